#include "fewbit/gemm/few_bits/grouped_weights.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include "fewbit/core/executor_adapters.hpp"
#include "support/archs.hpp"
#include "support/kept_scale.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace gemm_few_bits_grouped_weights_test {

using gemm::grouped_weights;
using gemm::short_scales;

float through(const short_scales& scales, float x) { return scales.decode(scales.encode(x)); }

TEST(short_scales, keep_12_bits_over_32_powers_of_two) {
  for (const float largest : {1.0F, 0.00731F, 3e38F, 1e-30F, 65504.0F}) {
    const short_scales scales(largest);
    float before = std::numeric_limits<float>::infinity();
    for (float x = largest; x > largest * 0x1p-31F && x > 0x1p-126F; x *= 0.9973F) {
      const float kept = through(scales, x);
      EXPECT_LE(std::fabs(kept - x), x * 0x1p-12F) << x;
      EXPECT_LE(kept, before) << x;
      before = kept;
    }
  }
}

TEST(short_scales, keep_scales_of_11_bits_exactly) {
  const short_scales scales(1.0F);
  for (int mantissa = 1024; mantissa < 2048; ++mantissa) {
    const float x = std::ldexp(static_cast<float>(mantissa), -21);
    EXPECT_EQ(through(scales, x), x);
    EXPECT_EQ(through(scales, x * 0x1p-19F), x * 0x1p-19F);
  }
}

TEST(short_scales, stay_finite_and_round_ties_to_even) {
  constexpr float most = std::numeric_limits<float>::max();
  EXPECT_EQ(through(short_scales(most), most), 0x1.FFEp127F);
  const short_scales scales(1.5F);
  EXPECT_EQ(through(scales, 1.0F + 0x1p-12F), 1.0F) << "half of the last bit";
  EXPECT_EQ(through(scales, 1.0F + 3 * 0x1p-12F), 1.0F + 4 * 0x1p-12F);
}

TEST(short_scales, raise_scales_far_below_the_largest) {
  const short_scales scales(1.0F);
  const float smallest = through(scales, 1e-30F);
  EXPECT_GT(smallest, 0x1p-33F);
  EXPECT_LT(smallest, 0x1p-31F);
  EXPECT_EQ(through(scales, std::numeric_limits<float>::denorm_min()), smallest);
}

TEST(short_scales, decode_vectors_like_scalars) {
  const short_scales scales(2.5F);
  std::uint16_t kept[16];
  for (int i = 0; i < 16; ++i) kept[i] = static_cast<std::uint16_t>(65535 - 4001 * i);
  const arch::vec<float, 16> all = scales.decode(arch::vec<std::uint16_t, 16>::load(kept));
  for (int i = 0; i < 16; ++i) EXPECT_EQ(all[i], scales.decode(kept[i]));
}

TEST(short_scales, report_their_range) {
  const short_scales scales(1.0F);
  for (const float held : {1.0F, 0.3F, 0x1.8p-31F}) EXPECT_TRUE(scales.holds(held)) << held;
  for (const float lost : {0.0F, 0x1p-33F, 1e-30F, 2.0F}) EXPECT_FALSE(scales.holds(lost)) << lost;
  const short_scales small(0x1p-126F);
  EXPECT_TRUE(small.holds(0x1p-126F));
  EXPECT_TRUE(small.holds(0x1p-137F)) << "one bit is all that it has";
  EXPECT_FALSE(small.holds(0x1.3p-140F));
}

TEST(with_12_bits, rounds_to_nearest_even_at_every_size) {
  for (int exponent = -149; exponent < 128; ++exponent) {
    for (const float mantissa : {1.0F, 1.0F + 0x1p-12F, 1.0F + 0x1.8p-11F, 1.2345678F, 1.999F}) {
      const float x = std::ldexp(mantissa, exponent);
      EXPECT_EQ(gemm::with_12_bits(x), tests::with_12_bits(x)) << x;
    }
  }
  EXPECT_EQ(gemm::with_12_bits(0.0F), 0.0F);
  EXPECT_EQ(gemm::with_12_bits(std::numeric_limits<float>::max()), 0x1.FFEp127F);
}

template <int Bits, class Arch = arch::native>
grouped_weights<Bits, Arch> weights(index n, index k, index group, bool affine = false) {
  const index groups = n * (group == 0 ? 1 : (k + group - 1) / group);
  const row_matrix<std::uint8_t> codes = row_matrix<std::uint8_t>::Constant(n, k, 1);
  std::vector<float> scales;
  for (index i = 0; i < groups; ++i) scales.push_back(static_cast<float>(i + 1));
  if (!affine) return {codes, group, scales, 1 << (Bits - 1)};
  const std::vector<std::uint8_t> zeros(static_cast<std::size_t>(groups), 1);
  return {codes, group, scales, zeros};
}

TEST(grouped_weights, need_the_documented_number_of_bits) {
  const auto bits = [](const auto& w) {
    return 8.0 * static_cast<double>(w.bytes()) / static_cast<double>(w.n() * w.k());
  };
  EXPECT_EQ(bits(weights<4>(64, 256, 32)), 4.5);
  EXPECT_EQ(bits(weights<4>(64, 256, 64)), 4.25);
  EXPECT_EQ(bits(weights<4>(64, 256, 128)), 4.125);
  EXPECT_EQ(bits(weights<4>(64, 256, 32, true)), 4.75);
  EXPECT_EQ(bits(weights<8>(64, 256, 32)), 8.5);
  EXPECT_EQ(bits(weights<3>(64, 256, 32)), 3.5);
  EXPECT_EQ(bits(weights<2>(64, 256, 32)), 2.5);
  EXPECT_EQ(bits(weights<2>(64, 256, 16)), 3.0);
  EXPECT_EQ(bits(weights<1>(64, 256, 32)), 1.5);
}

template <class Arch>
class pack_grouped_test : public testing::Test {};

TYPED_TEST_SUITE(pack_grouped_test, tests::archs, tests::arch_names);

TYPED_TEST(pack_grouped_test, packs_the_bytes_of_the_constructor_with_any_executor) {
  row_matrix<std::uint8_t> codes(70, 45);
  for (index i = 0; i < codes.size(); ++i) codes.data()[i] = static_cast<std::uint8_t>(i % 16);
  std::vector<float> scales, minima;
  std::vector<std::uint8_t> zeros;
  for (int i = 0; i < 210; ++i) {
    scales.push_back(static_cast<float>(i + 1));
    minima.push_back(static_cast<float>(i - 100));
    zeros.push_back(static_cast<std::uint8_t>(i % 16));
  }
  const auto expect_equal = [](const auto& got, const auto& wanted) {
    ASSERT_EQ(got.bytes(), wanted.bytes());
    EXPECT_TRUE(std::equal(wanted.panel(0), wanted.panel(0) + wanted.bytes(), got.panel(0)));
    EXPECT_EQ(got.stored_zero(), wanted.stored_zero());
    EXPECT_EQ(got.is_affine(), wanted.is_affine());
  };
  const auto check = [&]<bool HasMinimum>(const auto& zero) {
    const grouped_weights<4, TypeParam, HasMinimum> wanted(codes, 16, scales, zero);
    expect_equal(gemm::pack_grouped<4, TypeParam>(codes, 16, scales, zero), wanted);
    expect_equal(gemm::pack_grouped<4, TypeParam>(codes, 16, scales, zero, thread_executor{2}),
                 wanted);
  };
  check.template operator()<false>(8);
  check.template operator()<false>(zeros);
  check.template operator()<true>(minima);
}

/// The example at the head of the header.
TEST(grouped_weights, hold_the_bytes_of_the_documented_example) {
  row_matrix<std::uint8_t> codes(2, 5);
  codes << 9, 10, 11, 12, 13, 7, 6, 5, 4, 3;
  const std::vector<float> scales = {1.0F, 0.5F, 0.25F, 2.0F};
  const auto w = gemm::pack_grouped<4, arch::scalar>(codes, 4, scales, 8);
  std::vector<int> expected(96, 0);
  const auto put = [&](std::size_t at, const std::vector<int>& bytes) {
    std::copy(bytes.begin(), bytes.end(), expected.begin() + static_cast<std::ptrdiff_t>(at));
  };
  put(0, {0x09, 0x0A, 0x0B, 0x0C, 0x07, 0x06, 0x05, 0x04});
  put(32, {0xFF, 0xF7, 0xFF, 0xE7});
  put(48, {0x0D, 0, 0, 0, 0x03, 0, 0, 0});
  put(80, {0xFF, 0xEF, 0xFF, 0xFF});
  ASSERT_EQ(w.bytes(), 96);
  EXPECT_EQ(std::vector<int>(w.panel(0), w.panel(0) + 96), expected);
  EXPECT_EQ(w.scale(0, 1), 0.5F);
}

TEST(grouped_weights, keep_minima_as_they_are) {
  arch::compiled::for_each([]<class Arch>() {
    for (const bool is_wide : {false, true}) {
      const row_matrix<std::uint8_t> codes = row_matrix<std::uint8_t>::Constant(35, 75, 3);
      std::vector<float> scales(105, 1.0F), minima;
      if (is_wide) scales[70] = 1e-30F;
      for (int i = 0; i < 105; ++i) minima.push_back(1.0F / static_cast<float>(i - 50) * 1e-3F);
      minima[50] = -1e-45F;
      const grouped_weights<4, Arch, true> w(codes, 32, scales, minima);
      EXPECT_EQ(w.is_wide(), is_wide);
      EXPECT_EQ(w.tail_bytes(), decltype(w)::unit::cols * (is_wide ? 8 : 6));
      for (index i = 0; i < 105; ++i) {
        ASSERT_EQ(w.minimum(i / 3, i % 3), minima[static_cast<std::size_t>(i)]) << Arch::name;
        ASSERT_EQ(w.scale(i / 3, i % 3), tests::with_12_bits(scales[static_cast<std::size_t>(i)]));
      }
    }
  });
}

/// 35 rows of 3 groups. All scales are `others`, except one scale. All codes of group (1, 1) equal
/// the zero point.
template <int Bits, class Arch>
grouped_weights<Bits, Arch> weights_with(float others, index row, index group, float one,
                                         bool is_affine) {
  row_matrix<std::uint8_t> codes = row_matrix<std::uint8_t>::Constant(35, 75, 0);
  std::vector<float> scales(105, others);
  scales[static_cast<std::size_t>(row * 3 + group)] = one;
  const std::vector<std::uint8_t> zeros(105, 2);
  codes.block(1, 32, 1, 32).setConstant(Bits == 1 ? 1 : 2);
  if (is_affine) return {codes, 32, scales, zeros};
  return {codes, 32, scales, 2};
}

TEST(grouped_weights, keep_12_bits_of_every_scale) {
  arch::compiled::for_each([]<class Arch>() {
    const auto check = [&]<int Bits>(float others, float one, bool is_affine) {
      const auto w = weights_with<Bits, Arch>(others, 18, 2, one, is_affine);
      EXPECT_EQ(w.scale(18, 2), tests::with_12_bits(one)) << Arch::name << " " << others;
      EXPECT_EQ(w.scale(18, 1), tests::with_12_bits(others)) << Arch::name << " " << one;
      EXPECT_EQ(w.scale(34, 2), tests::with_12_bits(others)) << Arch::name << " " << one;
    };
    const float sizes[] = {0.123456789F, 1e-12F, 1e10F, 3e38F, 1e-37F, 1e-40F, 1.4e-45F, 0.0F};
    for (const float others : sizes) {
      for (const float one : sizes) {
        check.template operator()<1>(others, one, false);
        check.template operator()<4>(others, one, false);
        check.template operator()<4>(others, one, true);
        check.template operator()<8>(others, one, true);
      }
    }
  });
}

/// Wide scales take half a bit more for each weight in groups of 32.
TEST(grouped_weights, have_wide_scales_only_if_needed) {
  const auto is_wide = [](float others, index row, index group, float one) {
    const bool wide = weights_with<4, arch::native>(others, row, group, one, false).is_wide();
    EXPECT_EQ((weights_with<1, arch::native>(others, row, group, one, true).is_wide()), wide);
    return wide;
  };
  EXPECT_FALSE(is_wide(1.0F, 3, 0, 0x1p-31F));
  EXPECT_TRUE(is_wide(1.0F, 3, 0, 0x1p-33F));
  EXPECT_TRUE(is_wide(1.0F, 3, 0, 0x1p33F));
  EXPECT_TRUE(is_wide(1.0F, 3, 0, 0.0F));
  EXPECT_FALSE(is_wide(1e-12F, 1, 1, 1.0F)) << "a group of zeros";
  EXPECT_FALSE(is_wide(1e12F, 1, 1, 1.0F)) << "a group of zeros";
  EXPECT_FALSE(is_wide(1.0F, 1, 1, 0.0F)) << "a group of zeros";
  EXPECT_TRUE(is_wide(1.23e-40F, 1, 1, 1.0F)) << "scales of few bits";
  const auto narrow = weights_with<4, arch::native>(1.0F, 3, 0, 1.0F, false);
  const auto wide = weights_with<4, arch::native>(1.0F, 3, 0, 1e-20F, false);
  EXPECT_EQ(wide.bytes(), narrow.bytes() + narrow.panels() * 3 * 2 * decltype(wide)::unit::cols);
}

TEST(grouped_weights, of_only_zeros_accept_any_scales) {
  const row_matrix<std::uint8_t> codes = row_matrix<std::uint8_t>::Constant(2, 8, 8);
  const std::vector<float> scales = {0.0F, 1e38F};
  EXPECT_FALSE((grouped_weights<4>(codes, 0, scales, 8).is_wide()));
}

TEST(grouped_weights, report_their_shape_and_scales) {
  arch::compiled::for_each([]<class Arch>() {
    const auto with_bits = [&]<int Bits>(index chunks) {
      const auto w = weights<Bits, Arch>(35, 75, 32);
      EXPECT_EQ(w.n(), 35);
      EXPECT_EQ(w.k(), 75);
      EXPECT_EQ(w.groups(), 3);
      EXPECT_EQ(w.depth_of(2), 11);
      EXPECT_EQ(w.chunks(), chunks);
      for (index j = 0; j < 35; ++j) {
        for (index g = 0; g < 3; ++g)
          ASSERT_EQ(w.scale(j, g), static_cast<float>(j * 3 + g + 1)) << Arch::name << " " << Bits;
      }
    };
    with_bits.template operator()<1>(1 + 1 + 1);
    with_bits.template operator()<2>(2 + 2 + 1);
    with_bits.template operator()<3>(1 + 1 + 1);
    with_bits.template operator()<4>(4 + 4 + 2);
    with_bits.template operator()<8>(8 + 8 + 3);
  });
  const auto whole = weights<8>(3, 20, 0);
  EXPECT_EQ(whole.groups(), 1);
  EXPECT_EQ(whole.group(), 20);
}

#if FEWBIT_HAS_EXCEPTIONS
using tests::sentence_of;

/// The error sentence for 4-bit weights, 2 x 40 in groups of 32, after a change of the arguments.
struct parts {
  row_matrix<std::uint8_t> codes = row_matrix<std::uint8_t>::Constant(2, 40, 15);
  index group = 32;
  std::vector<float> scales = {1, 1, 1, 1};
  std::vector<std::uint8_t> zeros = {0, 15, 0, 15};

  [[nodiscard]] std::string sentence() const {
    return sentence_of([&] { (void)grouped_weights<4>(codes, group, scales, zeros); });
  }
  [[nodiscard]] std::string sentence_of_zero(int zero) const {
    return sentence_of([&] { (void)grouped_weights<4>(codes, group, scales, zero); });
  }
};

TEST(grouped_weights, name_bad_arguments) {
  parts p;
  EXPECT_EQ(p.sentence(), "no error");
  EXPECT_EQ(p.sentence_of_zero(16), "no error");
  EXPECT_EQ(p.sentence_of_zero(17), "fewbit: grouped_weights: zero_point is 17, expected 0 to 16");
  EXPECT_EQ(p.sentence_of_zero(-1), "fewbit: grouped_weights: zero_point is -1, expected 0 to 16");
  p.group = -1;
  EXPECT_EQ(p.sentence(), "fewbit: grouped_weights: group is -1, expected 0 or more");
  p.group = 32;
  p.codes(1, 39) = 16;
  EXPECT_EQ(p.sentence(), "fewbit: grouped_weights: codes(1, 39) is 16, expected 0 to 15");
  p.codes(1, 39) = 0;
  p.zeros[2] = 16;
  EXPECT_EQ(p.sentence(), "fewbit: grouped_weights: zero_points[2] is 16, expected 0 to 15");
  p.zeros.pop_back();
  EXPECT_EQ(p.sentence(), "fewbit: grouped_weights: number of zero points is 3, expected 4");
  p.zeros.clear();
  EXPECT_EQ(p.sentence(), "fewbit: grouped_weights: number of zero points is 0, expected 4");
  using limits = std::numeric_limits<float>;
  for (const float bad : {-1.0F, -1e-45F, limits::infinity(), limits::quiet_NaN()}) {
    p.scales[3] = bad;
    EXPECT_EQ(p.sentence(), "fewbit: grouped_weights: scales[3] is " + detail::text(bad) +
                                ", expected a finite number of at least 0");
  }
  p.scales.push_back(1);
  EXPECT_EQ(p.sentence(), "fewbit: grouped_weights: number of scales is 5, expected 4");
}

TEST(grouped_weights, name_bad_minima) {
  const parts p;
  const auto sentence = [&](const std::vector<float>& minima) {
    return sentence_of(
        [&] { (void)grouped_weights<4, arch::native, true>(p.codes, p.group, p.scales, minima); });
  };
  EXPECT_EQ(sentence({0, -1, 1e38F, -0.0F}), "no error");
  EXPECT_EQ(sentence({0, 1, 2}), "fewbit: grouped_weights: number of minima is 3, expected 4");
  EXPECT_EQ(sentence({0, 1, std::numeric_limits<float>::quiet_NaN(), 1}),
            "fewbit: grouped_weights: minima[2] is nan, expected a finite number");
}

/// With one bit, the value of a code is 0 or 2. The range of zero points follows from these values.
TEST(grouped_weights, of_one_bit_have_three_zero_points) {
  row_matrix<std::uint8_t> codes = row_matrix<std::uint8_t>::Constant(1, 8, 1);
  const std::vector<float> one = {1.0F};
  const auto sentence = [&](int zero) {
    return sentence_of([&] {
      const std::vector<std::uint8_t> zeros = {static_cast<std::uint8_t>(zero)};
      (void)grouped_weights<1>(codes, 0, one, zeros);
    });
  };
  EXPECT_EQ(sentence(2), "no error");
  EXPECT_EQ(sentence(3), "fewbit: grouped_weights: zero_points[0] is 3, expected 0 to 2");
  EXPECT_EQ(sentence_of([&] { (void)grouped_weights<1>(codes, 0, one, 4); }),
            "fewbit: grouped_weights: zero_point is 4, expected 0 to 3");
  codes(0, 3) = 2;
  EXPECT_EQ(sentence(2), "fewbit: grouped_weights: codes(0, 3) is 2, expected 0 to 1");
}

TEST(grouped_weights, refuse_empty_and_too_deep_weights) {
  const std::vector<float> one = {1.0F};
  const auto sentence = [&](index n, index k) {
    const row_matrix<std::uint8_t> codes = row_matrix<std::uint8_t>::Zero(n, k);
    return sentence_of([&] { (void)grouped_weights<8>(codes, 0, one, 128); });
  };
  EXPECT_EQ(sentence(0, 3), "fewbit: grouped_weights: number of rows is 0, expected at least 1");
  EXPECT_EQ(sentence(3, 0), "fewbit: grouped_weights: number of columns is 0, expected at least 1");
  EXPECT_EQ(sentence(1, 66311), "no error");
  EXPECT_EQ(sentence(1, 66312),
            "fewbit: grouped_weights: depth of a group is 66312, expected at most 66311");
}
#endif

}  // namespace gemm_few_bits_grouped_weights_test
}  // namespace fewbit
