#include "fewbit/quant/arrays.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cfloat>
#include <cmath>
#include <cstddef>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/core/aligned_buffer.hpp"
#include "support/reverse_executor.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace quant_arrays_test {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

/// Values of every kind, with ties for scale 0.5. Their order places each kind in every lane of a
/// register.
std::vector<float> mixed(std::size_t n, unsigned seed) {
  const std::vector<float> special = {nan,     -nan,     infinity, -infinity, 0.0F,     -0.0F,
                                      FLT_MAX, -FLT_MAX, FLT_MIN,  1e-44F,    0.25F,    -0.75F,
                                      1.25F,   -1.25F,   63.25F,   -63.75F,   63.9999F, 1e9F};
  std::mt19937 random(seed);
  std::vector<float> values;
  while (values.size() < n) {
    const auto draw = random();
    values.push_back(draw % 2 == 0
                         ? special[draw / 2 % special.size()]
                         : static_cast<float>(static_cast<int>(random() % 40001) - 20000) / 157.0F);
  }
  return values;
}

/// The documented formula in double. A volatile rounds the product to float.
int expected_code(float x, const quant_params& p, int lo, int hi) {
  if (x != x) return p.zero_point;
  volatile float quotient = x * (1.0F / p.scale);
  const double code = std::nearbyint(double{quotient}) + p.zero_point;
  return static_cast<int>(std::fmin(std::fmax(code, lo), hi));
}

template <class Code>
class row_quantizer_test : public testing::Test {};
using code_types = testing::Types<std::int8_t, std::uint8_t>;
TYPED_TEST_SUITE(row_quantizer_test, code_types);

TYPED_TEST(row_quantizer_test, equals_a_plain_loop_at_every_length) {
  constexpr int lo = std::numeric_limits<TypeParam>::min();
  constexpr int hi = std::numeric_limits<TypeParam>::max();
  for (const quant_params& p :
       {quant_params{0.5F, lo}, {0.5F, hi}, {0.5F, 3}, {0.0371F, 100}, {FLT_MIN, 1}, {1e30F, 7}}) {
    for (const int lowest : {lo, lo + 1}) {
      if (p.zero_point < lowest) continue;
      const detail::row_quantizer<TypeParam> quantizer(p, lowest, hi);
      for (std::size_t n = 0; n <= 70; ++n) {
        const std::vector<float> x = mixed(n, static_cast<unsigned>(n));
        std::vector<TypeParam> codes(n), expected;
        for (const float v : x) {
          expected.push_back(static_cast<TypeParam>(expected_code(v, p, lowest, hi)));
        }
        quantizer(x.data(), static_cast<index>(n), codes.data());
        ASSERT_EQ(codes, expected) << n << " values, scale " << p.scale;
      }
    }
  }
}

TYPED_TEST(row_quantizer_test, writes_no_code_after_the_row) {
  const std::vector<float> x = mixed(100, 1);
  const detail::row_quantizer<TypeParam> quantizer({0.5F, 3}, 0, 100);
  for (index n = 0; n < 70; ++n) {
    std::vector<TypeParam> codes(100, TypeParam{111});
    quantizer(x.data(), n, codes.data());
    for (auto i = static_cast<std::size_t>(n); i < codes.size(); ++i) ASSERT_EQ(codes[i], 111);
  }
}

/// With special values, and with finite numbers whose codes need no check.
TYPED_TEST(row_quantizer_test, fills_the_last_register_with_the_code_of_zero) {
  constexpr int lo = std::numeric_limits<TypeParam>::min();
  constexpr int hi = std::numeric_limits<TypeParam>::max();
  const quant_params p{0.37F, lo + 60};
  const detail::row_quantizer<TypeParam> quantizer(p, lo + 1, hi);
  for (std::size_t n = 0; n <= 150; ++n) {
    for (const bool fits : {false, true}) {
      std::vector<float> x = mixed(n, static_cast<unsigned>(n));
      const auto registers = (n + detail::code_lanes - 1) / detail::code_lanes;
      std::vector<TypeParam> codes(registers * detail::code_lanes + 1, TypeParam{111});
      std::vector<TypeParam> expected(codes.size(), static_cast<TypeParam>(p.zero_point));
      expected.back() = TypeParam{111};
      for (std::size_t i = 0; i < n; ++i) {
        if (fits && !(std::abs(x[i]) < 1e6F)) x[i] = 1.5F;
        expected[i] = static_cast<TypeParam>(expected_code(x[i], p, lo + 1, hi));
      }
      quantizer.to_whole_registers(x.data(), static_cast<index>(n), codes.data(), fits);
      ASSERT_EQ(codes, expected) << n << " values, fits " << fits;
    }
  }
}

/// Vectors of exact size, so that a sanitizer detects reads beyond their end.
TEST(finite_amax, equals_a_plain_loop_at_every_length) {
  for (unsigned n = 0; n <= 150; ++n) {
    std::vector<float> x = mixed(n, n + 1000);
    for (float& v : x) {  // else FLT_MAX would be the answer nearly everywhere
      if (std::abs(v) <= FLT_MAX) v = std::fmod(v, 200.0F);
    }
    float expected = 0.0F;
    for (const float v : x) {
      const float size = std::abs(v);
      if (size <= FLT_MAX && size > expected) expected = size;
    }
    EXPECT_EQ(detail::finite_amax(x.data(), static_cast<index>(n)), expected) << n << " values";
  }
}

TEST(finite_amax, finds_one_value_at_every_position) {
  for (std::size_t n = 1; n <= 70; ++n) {
    for (std::size_t place = 0; place < n; ++place) {
      for (const float filler : {0.5F, nan, -infinity, infinity}) {
        std::vector<float> x(n, filler);
        x[place] = -2.75F;
        ASSERT_EQ(detail::finite_amax(x.data(), static_cast<index>(n)), 2.75F);
      }
    }
  }
}

TEST(finite_amax, is_zero_without_finite_values) {
  const std::vector<float> x = {nan, infinity, -infinity, -nan, -0.0F};
  for (index n = 0; n <= 5; ++n) {
    EXPECT_EQ(std::bit_cast<std::uint32_t>(detail::finite_amax(x.data(), n)), 0U);
  }
  const float subnormal = -std::numeric_limits<float>::denorm_min();
  EXPECT_EQ(detail::finite_amax(&subnormal, 1), -subnormal);
  const float largest = -FLT_MAX;
  EXPECT_EQ(detail::finite_amax(&largest, 1), FLT_MAX);
}

TEST(dynamic_scale, maps_the_largest_value_to_127) {
  EXPECT_EQ(dynamic_scale(127.0F), 1.0F);
  EXPECT_EQ(dynamic_scale(254.0F), 2.0F);
  EXPECT_EQ(dynamic_scale(1.0F), 1.0F / 127.0F);
  EXPECT_EQ(dynamic_scale(FLT_MAX), std::nextafter(FLT_MAX / 127.0F, 0.0F));
}

TEST(dynamic_scale, keeps_codes_of_the_largest_floats_finite) {
  for (float amax = FLT_MAX; amax > FLT_MAX * 0.9999F; amax = std::nextafter(amax, 0.0F)) {
    for (const int largest : {1, 3, 7, 15, 127, 255}) {
      const float scale = dynamic_scale(amax, largest);
      const float plain = amax / static_cast<float>(largest);
      ASSERT_LE(scale * static_cast<float>(largest), FLT_MAX);
      ASSERT_TRUE(scale == plain || scale == std::nextafter(plain, 0.0F));
    }
  }
}

TEST(dynamic_scale, stays_a_normal_number) {
  EXPECT_EQ(dynamic_scale(0.0F), 1.0F);
  EXPECT_EQ(dynamic_scale(std::numeric_limits<float>::denorm_min()), FLT_MIN);
  EXPECT_EQ(dynamic_scale(126.0F * FLT_MIN), FLT_MIN);
  EXPECT_EQ(dynamic_scale(127.0F * FLT_MIN), FLT_MIN);
  EXPECT_EQ(dynamic_scale(254.0F * FLT_MIN), 2.0F * FLT_MIN);
}

/// The work that quantize_array and dequantize_array give to an executor, for sizes below and above
/// the one from which streaming stores are used.
template <class Work, class In, class Out>
void run(const Work& work, const In* from, std::size_t n, Out* to, bool streaming) {
  detail::run_by_pieces(work, from, static_cast<index>(n), to, streaming, inline_executor{});
}

template <class Code>
class array_test : public testing::Test {};
TYPED_TEST_SUITE(array_test, code_types);

/// Lengths around those of registers, parts and pieces, at aligned and unaligned addresses.
template <class Code>
void check_arrays(const std::vector<float>& x) {
  constexpr int lo = std::numeric_limits<Code>::min();
  constexpr int hi = std::numeric_limits<Code>::max();
  const quant_params p{0.5F, 9};
  for (const std::size_t n : std::initializer_list<std::size_t>{0, 1, 63, 64, 65, 200, 1024, 8191,
                                                                8192, 8193, 16600, 65536, 79900}) {
    for (const std::size_t first : std::initializer_list<std::size_t>{0, 1, 37}) {
      for (const bool streaming : {false, true}) {
        std::vector<Code> codes(n + 80, Code{111}), expected = codes;
        for (std::size_t i = 0; i < n; ++i)
          expected[first + i] = static_cast<Code>(expected_code(x[first + i], p, lo, hi));
        const detail::row_quantizer<Code> quantizer(p, lo, hi);
        run(quantizer, x.data() + first, n, codes.data() + first, streaming);
        ASSERT_EQ(codes, expected) << n << " values from " << first << " on" << streaming;
      }
    }
  }
}

TYPED_TEST(array_test, codes_equal_a_plain_loop) { check_arrays<TypeParam>(mixed(80000, 5)); }

/// Finite numbers only, so that no piece is encoded a second time.
TYPED_TEST(array_test, codes_of_numbers_equal_a_plain_loop) {
  std::vector<float> x = mixed(80000, 6);
  for (float& v : x) {
    if (!(std::abs(v) < 1e3F)) v = 1.0F;
  }
  check_arrays<TypeParam>(x);
}

/// One special value, at every position of a block that is checked together.
TYPED_TEST(array_test, finds_one_special_value_at_every_position) {
  constexpr int lo = std::numeric_limits<TypeParam>::min();
  constexpr int hi = std::numeric_limits<TypeParam>::max();
  const quant_params p{0.25F, 7};
  const std::size_t n = 8192 + 64;
  for (const float special : {nan, infinity, -infinity, 1e30F, -1e30F, 0x1p29F, -8192.0F}) {
    for (std::size_t place = 0; place < n; place += 61) {
      std::vector<float> x(n, 0.75F);
      x[place] = special;
      for (const bool streaming : {false, true}) {
        std::vector<TypeParam> codes(n), expected(n, TypeParam{10});
        expected[place] = static_cast<TypeParam>(expected_code(special, p, lo, hi));
        const detail::row_quantizer<TypeParam> quantizer(p, lo, hi);
        run(quantizer, x.data(), n, codes.data(), streaming);
        ASSERT_EQ(codes, expected) << special << " at " << place;
      }
    }
  }
}

TYPED_TEST(array_test, reals_equal_a_plain_loop) {
  constexpr int lo = std::numeric_limits<TypeParam>::min();
  constexpr int hi = std::numeric_limits<TypeParam>::max();
  std::vector<TypeParam> codes;
  for (int i = 0; i < 66000; ++i) codes.push_back(static_cast<TypeParam>(i * 7 + i / 256));
  for (const quant_params& p : {quant_params{0.0371F, lo}, {3.7F, hi}, {FLT_MIN, 1}}) {
    for (const std::size_t n :
         std::initializer_list<std::size_t>{0, 1, 15, 16, 17, 33, 300, 65930}) {
      for (const std::size_t first : std::initializer_list<std::size_t>{0, 1, 5, 16}) {
        std::vector<float> expected(n + 40, 0.5F);
        for (std::size_t i = 0; i < n; ++i) {
          volatile float steps = static_cast<float>(int{codes[first + i]} - p.zero_point);
          expected[first + i] = steps * p.scale;
        }
        for (const bool streaming : {false, true}) {
          std::vector<float> x(n + 40, 0.5F);
          const detail::array_decoder<TypeParam> decoder{p.scale, p.zero_point};
          run(decoder, codes.data() + first, n, x.data() + first, streaming);
          ASSERT_EQ(x, expected) << n << " codes from " << first << " on";
        }
      }
    }
  }
}

TYPED_TEST(array_test, public_functions_use_all_codes_of_the_type) {
  const std::vector<float> x = {-1e9F, 1e9F, nan, 1.25F};
  std::vector<TypeParam> codes(4);
  quantize_array(x.data(), 4, {0.5F, 3}, codes.data());
  using limits = std::numeric_limits<TypeParam>;
  EXPECT_EQ(codes, (std::vector<TypeParam>{limits::min(), limits::max(), 3, 5}));
  std::vector<float> back(4);
  dequantize_array(codes.data(), 4, {0.5F, 3}, back.data());
  EXPECT_EQ(back[3], 1.0F);
  EXPECT_EQ(back[0], 0.5F * static_cast<float>(limits::min() - 3));
}

TYPED_TEST(array_test, the_largest_floats_stay_finite) {
  using limits = std::numeric_limits<TypeParam>;
  const std::vector<float> x = {-FLT_MAX, FLT_MAX, 1e38F, -1e38F, 0.0F, -infinity, infinity, 1.0F};
  for (const int n : {8, 1000}) {
    std::vector<float> all, back(static_cast<std::size_t>(n));
    while (static_cast<int>(all.size()) < n) all.insert(all.end(), x.begin(), x.end());
    std::vector<TypeParam> codes(all.size());
    const int zero = (limits::min() + limits::max() + 1) / 2;
    for (const float scale : {FLT_MAX / 127, FLT_MAX / 10, FLT_MAX}) {
      quantize_array(all.data(), n, {scale, zero}, codes.data());
      dequantize_array(codes.data(), n, {scale, zero}, back.data());
      for (int i = 0; i < n; ++i) {
        const auto at = static_cast<std::size_t>(i);
        const double exact = (int{codes[at]} - zero) * double{scale};
        ASSERT_EQ(back[at], static_cast<float>(
                                std::fmin(std::fmax(exact, -double{FLT_MAX}), double{FLT_MAX})));
      }
    }
  }
}

#if FEWBIT_HAS_EXCEPTIONS
TYPED_TEST(array_test, names_bad_arguments_and_writes_nothing) {
  using limits = std::numeric_limits<TypeParam>;
  const float x = 1.0F;
  const TypeParam code = 9;
  TypeParam out = 9;
  float back = 7.0F;
  const std::vector<std::pair<quant_params, std::string>> wrong = {
      {{0.0F, 0}, "params.scale is 0, expected a finite positive number"},
      {{-1.0F, 0}, "params.scale is -1, expected a finite positive number"},
      {{nan, 0}, "params.scale is nan, expected a finite positive number"},
      {{infinity, 0}, "params.scale is inf, expected a finite positive number"},
      {{0x1p-130F, 0}, "params.scale is 7.34684e-40, expected at least 2^-126"},
      {{1.0F, limits::max() + 1},
       "params.zero_point is " + std::to_string(limits::max() + 1) + ", expected " +
           std::to_string(limits::min()) + " to " + std::to_string(limits::max())}};
  for (const auto& [p, words] : wrong) {
    EXPECT_EQ(tests::sentence_of([&, &q = p] {
                quantize_array(&x, 1, q, &out);
                return 0;
              }),
              "fewbit: quantize_array: " + words);
    EXPECT_EQ(tests::sentence_of([&, &q = p] {
                dequantize_array(&code, 1, q, &back);
                return 0;
              }),
              "fewbit: dequantize_array: " + words);
  }
  const quant_params good{1.0F, 0};
  const auto quantized = [&](const float* from, index n, TypeParam* to) {
    return tests::sentence_of([&] {
      quantize_array(from, n, good, to);
      return 0;
    });
  };
  EXPECT_EQ(quantized(&x, -1, &out), "fewbit: quantize_array: n is -1, expected 0 or more");
  EXPECT_EQ(quantized(nullptr, 1, &out),
            "fewbit: quantize_array: x is null, expected a pointer to numbers");
  EXPECT_EQ(quantized(&x, 1, nullptr),
            "fewbit: quantize_array: codes is null, expected a pointer to numbers");
  EXPECT_EQ(quantized(nullptr, 0, nullptr), "no error");
  EXPECT_EQ(out, 9);
  EXPECT_EQ(back, 7.0F);
}

TEST(quantize_rows, names_bad_arguments) {
  const float x = 1.0F;
  std::int8_t code = 9;
  float scale = 7.0F;
  const auto sentence = [&](const float* from, index rows, index cols, std::int8_t* to,
                            float* scales) {
    return tests::sentence_of([&] {
      quantize_rows(from, rows, cols, to, scales, nullptr);
      return 0;
    });
  };
  const std::string head = "fewbit: quantize_rows: ";
  EXPECT_EQ(sentence(&x, -1, 1, &code, &scale), head + "rows is -1, expected 0 or more");
  EXPECT_EQ(sentence(&x, 1, -1, &code, &scale), head + "cols is -1, expected 0 or more");
  EXPECT_EQ(sentence(nullptr, 1, 1, &code, &scale),
            head + "x is null, expected a pointer to numbers");
  EXPECT_EQ(sentence(&x, 1, 1, nullptr, &scale),
            head + "codes is null, expected a pointer to numbers");
  EXPECT_EQ(sentence(&x, 1, 1, &code, nullptr),
            head + "scales is null, expected a pointer to numbers");
  EXPECT_EQ(sentence(nullptr, 0, 5, nullptr, nullptr), "no error");
  EXPECT_EQ(code, 9);
}
#endif

/// Rows of ordinary numbers; some rows hold one special value.
std::vector<float> rows_with(float special, index rows, index cols) {
  std::mt19937 random(3);
  std::vector<float> x;
  for (index i = 0; i < rows * cols; ++i) {
    const float size = 1.0F + static_cast<float>(i / cols);
    x.push_back(size * static_cast<float>(static_cast<int>(random() % 2001) - 1000) / 1000.0F);
  }
  if (cols > 0) x[static_cast<std::size_t>((rows / 2 * cols) + (cols - 1) * 2 / 3)] = special;
  return x;
}

void check_rows(const std::vector<float>& x, index rows, index cols, bool streaming) {
  aligned_buffer<std::int8_t> codes(rows * cols + 1);
  codes[rows * cols] = 99;
  std::vector<float> scales(static_cast<std::size_t>(rows));
  std::vector<std::int32_t> sums(static_cast<std::size_t>(rows));
  detail::quantize_rows(x.data(), rows, cols, codes.data(), scales.data(), sums.data(), streaming,
                        tests::reverse_executor{});
  for (index r = 0; r < rows; ++r) {
    const float* row = x.data() + r * cols;
    float amax = 0;
    for (index c = 0; c < cols; ++c)
      if (std::abs(row[c]) <= FLT_MAX) amax = std::fmax(amax, std::abs(row[c]));
    float scale = amax == 0.0F ? 1.0F : std::fmax(amax / 127.0F, FLT_MIN);
    if (127.0F * scale > FLT_MAX) scale = std::nextafter(scale, 0.0F);
    std::int32_t sum = 0;
    for (index c = 0; c < cols; ++c) {
      const int expected = expected_code(row[c], {scale, 0}, -127, 127);
      ASSERT_EQ(codes[r * cols + c], expected) << row[c] << " at " << r << ", " << c;
      sum += expected;
    }
    ASSERT_EQ(scales[static_cast<std::size_t>(r)], scale) << "row " << r;
    ASSERT_EQ(sums[static_cast<std::size_t>(r)], sum) << "row " << r;
  }
  ASSERT_EQ(codes[rows * cols], 99);
}

TEST(quantize_rows, equals_a_plain_loop_for_every_shape) {
  for (const index cols : {0, 1, 31, 63, 64, 65, 127, 128, 200, 1024, 3072, 3073}) {
    for (const index rows : {1, 2, 3, 4, 70}) {
      for (const float special : {0.5F, 9e8F, 1e-42F, nan, -nan, infinity, -infinity, FLT_MAX}) {
        for (const bool streaming : {false, true}) {
          SCOPED_TRACE(testing::Message() << rows << " x " << cols << " with " << special);
          check_rows(rows_with(special, rows, cols), rows, cols, streaming);
          if (testing::Test::HasFatalFailure()) return;
        }
      }
      if (rows * cols > 70 * 1024) break;
    }
  }
}

TEST(quantize_rows, finds_a_nan_in_every_place) {
  constexpr index cols = 150;
  for (index place = 0; place < 3 * cols; ++place) {
    std::vector<float> x(3 * cols, 1.0F);
    x[static_cast<std::size_t>(place)] = nan;
    check_rows(x, 3, cols, false);
    if (testing::Test::HasFatalFailure()) return;
  }
}

TEST(quantize_rows, of_zeros_has_scale_one_and_needs_no_sums) {
  const std::vector<float> x(200, -0.0F);
  std::vector<std::int8_t> codes(200, 5);
  std::vector<float> scales(2);
  quantize_rows(x.data(), 2, 100, codes.data(), scales.data(), nullptr);
  EXPECT_EQ(codes, std::vector<std::int8_t>(200, 0));
  EXPECT_EQ(scales, (std::vector<float>{1.0F, 1.0F}));
}

}  // namespace quant_arrays_test
}  // namespace fewbit
