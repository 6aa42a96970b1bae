#pragma once
/// Softmax of rows of 16-bit codes, as TFLite and CMSIS-NN compute it: two tables of 513 numbers
/// with linear interpolation. Read before: ops/softmax.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

#include "fewbit/core/executor.hpp"
#include "fewbit/ops/softmax.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// A function of 16-bit codes: 513 numbers, one for each 128 codes, interpolated in integers.
using code_curve = std::array<std::int16_t, 513>;

namespace detail {

/// Half away from zero, in float.
[[nodiscard]] inline float round_float_half_away(float x) noexcept {
  return static_cast<float>(round_half_away(double{x}));
}

/// The curve of f on [low, high]. Each number is moved by half the error in the middle of its
/// segment. Source: TFLite, LUTPopulateInt16.
///
/// @param step_inverse  2^16 / (range of results), so that results have steps of its inverse
template <class F>
[[nodiscard]] code_curve curve_of(float low, float high, float step_inverse, const F& f) noexcept {
  const float step = (high - low) / 512.0F, half = step / 2.0F;
  const auto code = [](float x) {
    return static_cast<std::int16_t>(std::min(std::max(x, -32768.0F), 32767.0F));
  };
  const auto at = [&](int i) {
    return arch::rounded(low + arch::rounded(static_cast<float>(i) * step));
  };
  const auto scaled = [&](float x) { return arch::rounded(f(x) * step_inverse); };
  code_curve curve{};
  for (int i = 0; i < 512; ++i) {
    const float sample = round_float_half_away(scaled(at(i)));
    const float middle = round_float_half_away(scaled(arch::rounded(at(i) + half)));
    const float interpolated = round_float_half_away((scaled(at(i + 1)) + sample) / 2.0F);
    const float bias = round_float_half_away((interpolated - middle) / 2.0F);
    curve[static_cast<std::size_t>(i)] = code(sample - bias);
  }
  curve[512] = code(round_float_half_away(scaled(high)));
  return curve;
}

/// The interpolated value for a code.
[[nodiscard]] inline std::int32_t value_of(const code_curve& curve, std::int32_t code) noexcept {
  const std::size_t at = static_cast<std::uint32_t>(256 + (code >> 7));
  const int base = curve[at], slope = curve[at + 1] - base;
  return base + ((slope * (code & 127) + 64) >> 7);
}

}  // namespace detail

/// exp(x) of x in [-10, 0], in Q0.15.
[[nodiscard]] inline code_curve softmax_exp_curve() noexcept {
  return detail::curve_of(-10.0F, 0.0F, 32768.0F,
                          [](float x) { return static_cast<float>(std::exp(double{x})); });
}

/// 1 / (1 + x) of x in [0, 1], in Q0.15.
[[nodiscard]] inline code_curve softmax_reciprocal_curve() noexcept {
  return detail::curve_of(0.0F, 1.0F, 32768.0F, [](float x) { return 1.0F / (1.0F + x); });
}

/// Softmax of 16-bit codes with zero point 0. y has steps of 2^-15.
///
///     e = exp_curve[clamp(Mode((x - max) * multiplier) + 32767)]     in Q0.15
///     y = e * reciprocal_curve[sum of e], normalised by the leading bit of the sum
///
/// Source: TFLite's kernel SoftmaxInt16; CMSIS-NN arm_softmax_s16.
template <>
class softmax<std::int16_t, std::int16_t> {
  static constexpr const char* name = "softmax";

 public:
  /// @param classes  length of a row, 1 to 65535
  /// @throws fewbit::error unless classes are 1 to 65535 and beta * x_scale has a multiplier
  explicit softmax(index classes, float x_scale, double beta = 1.0)
      : softmax(classes, multiplier_of(x_scale, beta)) {}

  /// @param multiplier  of x - max: 2^16 - 1 codes are an exponent of 10
  /// @param exp, reciprocal  the curves
  explicit softmax(index classes, const fixed_multiplier& multiplier,
                   const code_curve& exp = softmax_exp_curve(),
                   const code_curve& reciprocal = softmax_reciprocal_curve())
      : classes_(classes), multiplier_(multiplier), exp_(exp), reciprocal_(reciprocal) {
    detail::expect_classes(name, classes, 65535);
    detail::expect_multiplier(name, "multiplier", multiplier, -31, 14);
  }

  [[nodiscard]] index classes() const noexcept { return classes_; }
  [[nodiscard]] const fixed_multiplier& multiplier() const noexcept { return multiplier_; }

  /// @param x  rows of classes() codes
  /// @param y  as many rows; no part of x
  /// @param executor  runs some rows at a time; results do not depend on it
  template <class X, class Y, Executor E = inline_executor>
  void operator()(const X& x, Y&& y, const E& executor = {}) const noexcept {
    if constexpr (detail::takes_codes<std::int16_t, std::int16_t, Y, X>()) {
      detail::expect_softmax_call(name, classes_, x, y);
      const auto& from = detail::rows_of(x);
      auto&& to = detail::rows_of(y);
      detail::for_each_row_group(from.rows(), classes_, executor, [&](index first, index rows) {
        for (index r = first; r < first + rows; ++r)
          run(from.data() + r * from.outerStride(), to.data() + r * to.outerStride());
      });
    }
  }

 private:
  static fixed_multiplier multiplier_of(float x_scale, double beta) {
    const double real = beta * double{x_scale} / (10.0 / 65535.0);
    if (!(real > 0.0 && real < 0x1p14)) {
      detail::fail(name, "beta * x_scale", beta * double{x_scale}, "more than 0 and less than 2.5");
    }
    return quantize_multiplier(real);
  }

  void run(const std::int16_t* x, std::int16_t* y) const noexcept {
    const int largest = detail::largest_code_of(classes_, x);
    std::int32_t sum = 0;
    for (index i = 0; i < classes_; ++i) {
      const std::int32_t scaled = apply_multiplier<tflite_double>(x[i] - largest, multiplier_);
      const std::int32_t code = std::clamp(std::max(scaled, -70000) + 32767, -32768, 32767);
      y[i] = static_cast<std::int16_t>(detail::value_of(exp_, code));
      sum += y[i];
    }
    const int zeros = std::countl_zero(static_cast<std::uint32_t>(sum));
    const std::int32_t normal = ((sum << (zeros - 1)) + (1 << 13)) >> 14;  // 2^16 to 2^17
    const auto code = static_cast<std::int16_t>(normal - 98304);
    const std::int32_t reciprocal = static_cast<std::int16_t>(detail::value_of(reciprocal_, code));
    for (index i = 0; i < classes_; ++i)
      y[i] = static_cast<std::int16_t>((((y[i] * reciprocal) >> (30 - zeros)) + 1) >> 1);
  }

  index classes_;
  fixed_multiplier multiplier_;
  code_curve exp_;
  code_curve reciprocal_;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
