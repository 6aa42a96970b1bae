#pragma once
/// Multiplies tensors of codes element by element: gates, squeeze-and-excite, attention masks.
///
///     const elementwise_multiply<std::int8_t> multiply(a_params, b_params, y_params);
///     multiply(a, b, y);
///
/// Read before: ops/add.hpp. Products of matrices are ops/batch_matmul.hpp.

#include "fewbit/begin.hpp"

#include <cmath>
#include <cstdint>

#include "fewbit/core/executor.hpp"
#include "fewbit/core/fixed_point.hpp"
#include "fewbit/ops/code_blocks.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// A product of codes in fixed point.
struct multiply_params {
  fixed_multiplier factor;  ///< S_a * S_b / S_y
  std::int32_t a_zero = 0;
  std::int32_t b_zero = 0;
  std::int32_t y_zero = 0;

  friend bool operator==(const multiply_params&, const multiply_params&) = default;
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// y = clamp(Mode((a - a_zero) * (b - b_zero) * factor) + y_zero, lowest, highest)
///
/// Source: TFLite's kernel Mul; CMSIS-NN arm_elementwise_mul_s8 and _s16.
///
/// @tparam T     std::int8_t, std::uint8_t or std::int16_t; zero points of 16-bit codes are 0
/// @tparam Mode  a mode of core/fixed_point.hpp
template <Code T, FixedPointMode Mode = tflite_double>
class elementwise_multiply {
  static constexpr const char* name = "elementwise_multiply";
  static constexpr int most_exponent = ByteCode<T> ? 14 : 0;  // products have 17 and 31 bits

 public:
  /// @throws fewbit::error if a scale is not positive, a zero point is no code, S_a * S_b / S_y is
  ///         2^14 or more (1 or more for 16-bit codes), or bounds hold no code
  elementwise_multiply(const quant_params& a, const quant_params& b, const quant_params& y,
                       const code_bounds& bounds = {}) {
    detail::expect_code_params<T>(name, "a_params", a);
    detail::expect_code_params<T>(name, "b_params", b);
    detail::expect_code_params<T>(name, "y_params", y);
    const double factor = double{a.scale} * double{b.scale} / double{y.scale};
    if (!(factor < std::ldexp(1.0, most_exponent))) {
      detail::fail(name, "a_params.scale * b_params.scale / y_params.scale", factor,
                   "less than " + detail::text(1 << most_exponent));
    }
    params_ = {Mode::multiplier(factor), a.zero_point, b.zero_point, y.zero_point};
    output_ = {name, y.zero_point, bounds};
  }

  /// A multiplier that was computed elsewhere.
  /// @throws fewbit::error if its mantissa is negative, its exponent is not -31 to 15 (1 for 16-bit
  ///         codes), a zero point is no code, or bounds hold no code
  explicit elementwise_multiply(const multiply_params& params, const code_bounds& bounds = {}) {
    detail::expect_multiplier(name, "params.factor", params.factor, -31, most_exponent + 1);
    detail::expect_code_zero<T>(name, "params.a_zero", params.a_zero);
    detail::expect_code_zero<T>(name, "params.b_zero", params.b_zero);
    detail::expect_code_zero<T>(name, "params.y_zero", params.y_zero);
    params_ = params;
    output_ = {name, params.y_zero, bounds};
  }

  [[nodiscard]] const multiply_params& params() const noexcept { return params_; }
  [[nodiscard]] const code_bounds& bounds() const noexcept { return output_.bounds(); }

  /// @param a, b, y  matrices of one shape; b may be one row, which serves all rows; y may be a, or
  ///                 b of the same shape
  /// @param executor  runs blocks of codes; results do not depend on it
  /// If shapes differ, the error handler is called and the program terminates.
  template <class A, class B, class Y, Executor E = inline_executor>
  void operator()(const A& a, const B& b, Y&& y, const E& executor = {}) const noexcept {
    if constexpr (detail::takes_codes<T, T, Y, A, B>()) {
      detail::for_codes_of(name, a, b, y, executor,
                           [&](index count, const T* from_a, const T* from_b, T* to) {
                             run(count, from_a, from_b, to);
                           });
    }
  }

 private:
  void run(index count, const T* a, const T* b, T* y) const noexcept {
    using detail::code_ints;
    const detail::code_output<T> output = output_;
    const code_ints a_zero(params_.a_zero), b_zero(params_.b_zero);
    const fixed_multiplier factor = params_.factor;
    detail::for_each_step(
        count,
        [&](T* to, const T* from_a, const T* from_b) {
          code_ints values[4];
#pragma GCC unroll 4
          for (int i = 0; i < 4; ++i) {
            const index first = i * code_ints::lanes;
            const code_ints product = (detail::load_ints(from_a + first) - a_zero) *
                                      (detail::load_ints(from_b + first) - b_zero);
            values[i] = apply_multiplier<Mode>(product, factor);
          }
          output.store(values, to);
        },
        y, a, b);
  }

  multiply_params params_;
  detail::code_output<T> output_;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
