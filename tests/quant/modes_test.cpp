#include "fewbit/quant/modes.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <limits>
#include <vector>

#include "quant/reference.hpp"
#include "support/exact.hpp"
#include "support/sanitized.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace quant_modes_test {

constexpr float inf = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

// The three formulas as the libraries define them, in double where float gives the same result.

struct onnx_oracle {
  using mode = onnx;
  static double rounded(float x, float scale) {
    return std::nearbyint(static_cast<float>(double{x} / double{scale}));
  }
};
struct fbgemm_oracle {
  using mode = fbgemm;
  static double rounded(float x, float scale) {
    const auto reciprocal = static_cast<float>(1.0 / double{scale});
    return std::nearbyint(static_cast<float>(double{x} * double{reciprocal}));
  }
};
struct tflite_oracle {
  using mode = tflite;
  static double rounded(float x, float scale) {
    return tests::exact_round(static_cast<float>(double{x} / double{scale}));
  }
};

/// The code of a number that the oracle has rounded.
template <class T>
int code_of_rounded(double rounded, int zero) {
  return static_cast<int>(
      std::clamp<double>(rounded + zero, detail::code_limits<T>::min, detail::code_limits<T>::max));
}

template <class Oracle, class T>
int oracle_code(float x, float scale, int zero) {
  return code_of_rounded<T>(Oracle::rounded(x, scale), zero);
}

template <class Oracle>
class modes_test : public testing::Test {};
using oracles = testing::Types<onnx_oracle, fbgemm_oracle, tflite_oracle>;
TYPED_TEST_SUITE(modes_test, oracles);

/// Every tie of the code range, the two floats next to it, and every integer.
std::vector<float> ties(int limit, float scale) {
  std::vector<float> x;
  for (int half = -2 * limit; half <= 2 * limit; ++half) {
    const float value = static_cast<float>(half) / 2 * scale;
    x.push_back(value);
    x.push_back(std::nextafterf(value, inf));
    x.push_back(std::nextafterf(value, -inf));
  }
  return x;
}

template <class Oracle, class T>
void expect_every_tie_at_every_zero_point(int step) {
  using limits = detail::code_limits<T>;
  for (const float scale : {1.0F, 0.1F, 0.0235294122F, 3.0F}) {
    const std::vector<float> x = ties(limits::max - limits::min + 2, scale);
    const auto n = static_cast<index>(x.size());
    std::vector<double> rounded;
    for (const float value : x) rounded.push_back(Oracle::rounded(value, scale));
    row_matrix<code_of<T>> codes(1, n);
    for (int zero = limits::min; zero <= limits::max; zero += step) {
      quantize_with<typename Oracle::mode, T>(Eigen::Map<const row_matrix<float>>(x.data(), 1, n),
                                              codes, {scale, zero});
      for (index i = 0; i < n; ++i) {
        const float value = x[static_cast<std::size_t>(i)];
        const int expected = code_of_rounded<T>(rounded[static_cast<std::size_t>(i)], zero);
        const int alone = Oracle::mode::template quantize<T>(value, scale, zero);
        // Millions of assertions take long where they are not optimized.
        if (codes(0, i) == expected && alone == expected) continue;
        ASSERT_EQ(int{codes(0, i)}, expected) << value << " / " << scale << " + " << zero;
        ASSERT_EQ(alone, expected) << value << " / " << scale << " + " << zero;
      }
    }
  }
}

TYPED_TEST(modes_test, every_tie_at_every_zero_point) {
  constexpr int step = tests::sanitized ? 17 : 1;  // 255 is a multiple of it
  expect_every_tie_at_every_zero_point<TypeParam, std::int8_t>(step);
  expect_every_tie_at_every_zero_point<TypeParam, std::uint8_t>(step);
  expect_every_tie_at_every_zero_point<TypeParam, int4>(1);
  expect_every_tie_at_every_zero_point<TypeParam, uint4>(1);
  expect_every_tie_at_every_zero_point<TypeParam, int2>(1);
  expect_every_tie_at_every_zero_point<TypeParam, std::int16_t>(32767);
  expect_every_tie_at_every_zero_point<TypeParam, std::uint16_t>(65535);
}

TYPED_TEST(modes_test, noise_equals_the_reference_in_any_view) {
  using mode = typename TypeParam::mode;
  const row_matrix<float> all = tests::noise_matrix(20, 90, 3, 9.0);
  const auto x = all.block(1, 2, 17, 83);
  row_matrix<std::int8_t> codes = row_matrix<std::int8_t>::Constant(20, 90, 77);
  quantize_with<mode, std::int8_t>(x, codes.block(1, 2, 17, 83), {0.037F, -5});
  for (index r = 0; r < 20; ++r) {
    for (index c = 0; c < 90; ++c) {
      const bool inside = r >= 1 && r < 18 && c >= 2 && c < 85;
      const int expected = inside ? oracle_code<TypeParam, std::int8_t>(all(r, c), 0.037F, -5) : 77;
      ASSERT_EQ(int{codes(r, c)}, expected);
    }
  }
}

TYPED_TEST(modes_test, out_of_range_values_and_nan_are_defined_in_both_widths) {
  using mode = typename TypeParam::mode;
  const float x[] = {inf, -inf, nan, -nan, FLT_MAX, -FLT_MAX, 3e9F, -3e9F, 1e-45F, -1e-45F};
  const int expected[] = {255, 0, 0, 0, 255, 0, 255, 0, 200, 200};
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(int{mode::template quantize<std::uint8_t>(x[i], 0.5F, 200)}, expected[i]) << x[i];
    const auto lanes = mode::template quantize<std::uint8_t>(arch::vec<float, 8>(x[i]), 0.5F, 200);
    EXPECT_EQ(int{lanes[5]}, expected[i]) << x[i];
  }
}

TYPED_TEST(modes_test, dequantize_is_the_affine_map) {
  using mode = typename TypeParam::mode;
  EXPECT_EQ(mode::dequantize(std::int8_t{-128}, 0.5F, 127), -127.5F);
  EXPECT_EQ(mode::dequantize(std::uint8_t{255}, 0.1F, 0), 25.5F);
  EXPECT_EQ(mode::dequantize(std::uint16_t{65535}, 2.0F, 65534), 2.0F);
  EXPECT_EQ(mode::dequantize(std::numeric_limits<std::int32_t>::min(), 1.0F, 1), -0x1p31F);
}

TEST(modes, where_the_three_differ) {
  EXPECT_EQ(int{onnx::quantize<std::int8_t>(2.5F, 1.0F, 0)}, 2);
  EXPECT_EQ(int{fbgemm::quantize<std::int8_t>(2.5F, 1.0F, 0)}, 2);
  EXPECT_EQ(int{tflite::quantize<std::int8_t>(2.5F, 1.0F, 0)}, 3);
  EXPECT_EQ(int{tflite::quantize<std::int8_t>(-2.5F, 1.0F, 0)}, -3);
  // The zero point is added after the rounding: 2.5 is rounded to 2, then 1 is added.
  EXPECT_EQ(int{onnx::quantize<std::int8_t>(2.5F, 1.0F, 1)}, 3);
  // A product with the reciprocal differs from a quotient.
  int differences = 0;
  for (int k = 1; k < 200; ++k) {
    const float scale = static_cast<float>(k) / 1000;
    for (int i = -120; i < 120; ++i) {
      const float tie = (static_cast<float>(i) + 0.5F) * scale;
      const int divided = onnx::quantize<std::int8_t>(tie, scale, 0);
      const int multiplied = fbgemm::quantize<std::int8_t>(tie, scale, 0);
      differences += divided != multiplied ? 1 : 0;
      EXPECT_LE(std::abs(divided - multiplied), 1);
    }
  }
  EXPECT_GT(differences, 0);
}

TEST(modes, onnx_dynamic_parameters) {
  const quant_params p = onnx::dynamic_quantize_linear({-1.0F, 3.0F});
  EXPECT_EQ(p.scale, 4.0F / 255.0F);
  EXPECT_EQ(p.zero_point, 64);
  EXPECT_EQ(onnx::dynamic_quantize_linear({1.0F, 3.0F}), (quant_params{3.0F / 255.0F, 0}));
  EXPECT_EQ(onnx::dynamic_quantize_linear({-3.0F, -1.0F}), (quant_params{3.0F / 255.0F, 255}));
  EXPECT_EQ(onnx::dynamic_quantize_linear({0.0F, 0.0F}), (quant_params{1.0F, 0}));
}

TEST(modes, fbgemm_parameters) {
  const quant_params p = fbgemm::choose_params<std::uint8_t>({-1.0F, 3.0F});
  EXPECT_EQ(p, (quant_params{static_cast<float>(4.0 / 255), 64}));
  EXPECT_EQ(fbgemm::choose_params<std::int8_t>({-1.0F, 3.0F}).zero_point, -64);
  EXPECT_EQ(fbgemm::choose_params<std::uint8_t>({2.0F, 3.0F}).zero_point, 0);
  EXPECT_EQ(fbgemm::choose_params<std::uint8_t>({0.0F, 0.0F}), (quant_params{0.1F, 0}));
  // Here 1 / scale is infinite, so the scale is 0.1. A larger range gives the smallest scale.
  EXPECT_EQ(fbgemm::choose_params<std::uint8_t>({0.0F, 1e-38F}).scale, 0.1F);
  EXPECT_EQ(fbgemm::choose_params<std::uint8_t>({0.0F, 1e-30F}), (quant_params{6.1e-5F, 0}));
  EXPECT_EQ(fbgemm::choose_params<std::uint8_t>({-1e-30F, 0.0F}), (quant_params{6.1e-5F, 255}));
  EXPECT_EQ(fbgemm::choose_params<std::uint8_t>({-1e-30F, 1e-30F}), (quant_params{6.1e-5F, 128}));
}

TEST(modes, fbgemm_options) {
  const fbgemm_options middle{.preserve_sparsity = true};
  EXPECT_EQ(fbgemm::choose_params<std::uint8_t>({-1.0F, 3.0F}, middle).zero_point, 128);
  EXPECT_EQ(fbgemm::choose_params<std::int8_t>({-1.0F, 3.0F}, middle).zero_point, 0);
  EXPECT_NEAR(fbgemm::choose_params<std::int8_t>({-1.0F, 3.0F}, middle).scale, 3.0 / 127, 1e-8);
  EXPECT_EQ(fbgemm::choose_params<std::uint8_t>({0.0F, 3.0F}, middle).zero_point, 0);
  const fbgemm_options power{.power_of_two = true};
  EXPECT_EQ(fbgemm::choose_params<std::uint8_t>({-1.0F, 3.0F}, power), (quant_params{0x1p-5F, 32}));
  EXPECT_EQ(fbgemm::choose_params<std::uint8_t>({0.0F, 300.0F}, power).scale, 2.0F);
  EXPECT_EQ(fbgemm::choose_params<std::uint8_t>({0.0F, 255.0F}, power).scale, 1.0F);
}

TEST(modes, tflite_parameters) {
  const tflite::params p = tflite::choose_params<std::int8_t>({-1.0F, 3.0F});
  EXPECT_EQ(p.scale, 4.0 / 255);
  EXPECT_EQ(p.zero_point, -64);
  EXPECT_EQ(tflite::choose_params<std::int8_t>({-1.0F, 3.0F}, true).scale, 4.0 / 254);
  EXPECT_EQ(tflite::choose_params<std::uint8_t>({0.0F, 0.0F}).scale, 0.0);
  EXPECT_EQ(tflite::choose_params<std::uint8_t>({0.0F, 0.0F}).zero_point, 0);
  // The exact zero point 127.5 is rounded away from zero; FBGEMM rounds it to even. Both give 128.
  // With codes -128..127 the exact zero point is -0.5, and the two differ.
  EXPECT_EQ(tflite::choose_params<std::uint8_t>({-1.0F, 1.0F}).zero_point, 128);
  EXPECT_EQ(tflite::choose_params<std::int8_t>({-1.0F, 1.0F}).zero_point, -1);
  EXPECT_EQ(fbgemm::choose_params<std::int8_t>({-1.0F, 1.0F}).zero_point, 0);
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(modes, bad_ranges_are_named) {
  EXPECT_EQ(tests::sentence_of([] {
              (void)onnx::dynamic_quantize_linear({0.0F, nan});
            }),
            "fewbit: onnx::dynamic_quantize_linear: range.hi is nan, expected a finite number");
  EXPECT_EQ(tests::sentence_of([] {
              (void)onnx::dynamic_quantize_linear({-FLT_MAX, FLT_MAX});
            }),
            "fewbit: onnx::dynamic_quantize_linear: range.hi - range.lo is inf, expected a finite "
            "number");
  EXPECT_EQ(tests::sentence_of([] {
              (void)fbgemm::choose_params<std::int8_t>({inf, inf});
            }),
            "fewbit: fbgemm::choose_params: range.lo is inf, expected a finite number");
  EXPECT_EQ(tests::sentence_of([] {
              (void)tflite::choose_params<std::int8_t>({2.0F, 1.0F});
            }),
            "fewbit: tflite::choose_params: range.lo is 2, expected at most range.hi, 1");
}
#endif

}  // namespace quant_modes_test
}  // namespace fewbit
