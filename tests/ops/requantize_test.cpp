#include "fewbit/ops/requantize.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>

#include "support/code_ops.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace ops_requantize_test {

using tests::plain_clamp;
using tests::random_codes;

/// The rounding of each mode, in plain arithmetic.
template <class Mode>
std::int64_t plain_rounded(std::int32_t x, double factor) {
  if constexpr (std::is_same_v<Mode, xnn_fp32>) {
    volatile float scaled = static_cast<float>(x) * static_cast<float>(factor);
    return std::llrint(std::nearbyint(double{scaled}));
  } else if constexpr (std::is_same_v<Mode, q7_pot>) {
    return static_cast<std::int64_t>(std::floor(x * factor + 0.5));
  } else if constexpr (std::is_same_v<Mode, tflite_double> || std::is_same_v<Mode, cmsis_default>) {
    return tests::plain_multiply(x, quantize_multiplier(factor));
  } else {
    const fixed_multiplier m = Mode::multiplier(factor);
    return Mode::apply(x, m.mantissa, m.exponent);  // tests/core/fixed_point_test.cpp checks these
  }
}

template <class In, class Out, class Mode>
void expect_plain(double factor) {
  const int x_zero = sizeof(In) == 2 ? 0 : std::is_signed_v<In> ? -5 : 131;
  const int y_zero = sizeof(Out) == 2 ? 0 : std::is_signed_v<Out> ? 17 : 99;
  const auto y_scale = static_cast<float>(0.03125);
  const quant_params in{static_cast<float>(factor * 0.03125), x_zero}, out{y_scale, y_zero};
  const code_requantizer<In, Out, Mode> op(in, out, {-100, 3000});
  for (const index n : {1, 17, 64, 65, 300}) {
    const row_matrix<In> x = random_codes<In>(3, n, 1);
    row_matrix<Out> y(3, n), again(3, n);
    op(x, y);
    op(x, again, tests::reverse_executor{});
    EXPECT_EQ(y, again);
    const double exact = double{in.scale} / double{out.scale};
    for (index i = 0; i < y.size(); ++i) {
      const std::int64_t code = plain_rounded<Mode>(x.data()[i] - x_zero, exact) + y_zero;
      ASSERT_EQ(y.data()[i],
                plain_clamp<Out>(code, std::max<int>(-100, std::numeric_limits<Out>::min()),
                                 std::min<int>(3000, std::numeric_limits<Out>::max())))
          << int{x.data()[i]} << " " << factor;
    }
  }
}

template <class In, class Out, class Mode>
void expect_plain() {
  if constexpr (std::is_same_v<Mode, q7_pot>) {
    expect_plain<In, Out, Mode>(0.25);
    expect_plain<In, Out, Mode>(1.0);
  } else {
    expect_plain<In, Out, Mode>(0.37);
    expect_plain<In, Out, Mode>(1.7);
    expect_plain<In, Out, Mode>(0.5);
    expect_plain<In, Out, Mode>(0.0021);
  }
}

template <class Mode>
class ops_requantize : public testing::Test {};
using modes = testing::Types<tflite_double, tflite_double_neon, tflite_single, cmsis_default,
                             xnn_rndnu, xnn_fp32, q7_pot>;
TYPED_TEST_SUITE(ops_requantize, modes);

TYPED_TEST(ops_requantize, equals_plain_loops) {
  expect_plain<std::int8_t, std::int8_t, TypeParam>();
  expect_plain<std::int8_t, std::uint8_t, TypeParam>();
  expect_plain<std::int16_t, std::int8_t, TypeParam>();
  expect_plain<std::uint8_t, std::int16_t, TypeParam>();
}

TEST(ops_requantize_types, all_of_them) {
  expect_plain<std::uint8_t, std::int8_t, tflite_double>();
  expect_plain<std::uint8_t, std::uint8_t, tflite_double>();
  expect_plain<std::int8_t, std::int16_t, tflite_double>();
  expect_plain<std::int16_t, std::uint8_t, tflite_double>();
  expect_plain<std::int16_t, std::int16_t, tflite_double>();
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(ops_requantize_errors, name_the_argument) {
  using tests::sentence_of;
  const quant_params p{1.0F, 0};
  EXPECT_EQ(
      sentence_of([&] {
        return code_requantizer<std::int8_t>(p, {1e-9F, 0});
      }),
      "fewbit: code_requantizer: x_params.scale / y_params.scale is 1.00000003e+09, expected 0 "
      "to 2^22");
  EXPECT_EQ(sentence_of([&] {
              return code_requantizer<std::int8_t, std::int8_t, q7_pot>(p, {3.0F, 0});
            }),
            "fewbit: code_requantizer: x_params.scale / y_params.scale is 0.333333333, expected a "
            "power of two, 2^-31 to 1");
  EXPECT_EQ(sentence_of([&] {
              return code_requantizer<std::int8_t, std::int8_t, xnn_fp32>({1000.0F, 0}, p);
            }),
            "fewbit: code_requantizer: x_params.scale / y_params.scale is 1000, expected at least "
            "2^-32 and less than 256");
  EXPECT_EQ(sentence_of([&] {
              return code_requantizer<std::int8_t>({1, 23}, 0, 0);
            }),
            "fewbit: code_requantizer: factor.exponent is 23, expected -31 to 22");
  EXPECT_EQ(sentence_of([&] {
              return code_requantizer<std::uint8_t>({1, 0}, -1, 0);
            }),
            "fewbit: code_requantizer: x_zero is -1, expected 0 to 255");
}
#endif

}}  // namespace fewbit::ops_requantize_test
