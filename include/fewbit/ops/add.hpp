#pragma once
/// Adds and subtracts tensors of codes: residual connections.
///
///     const elementwise_add<std::int8_t> add(a_params, b_params, y_params);   // once
///     add(a, b, y);                                                           // often
///     add(a, b, y, executor);
///
/// | Mode                    | y                                                                |
/// |-------------------------|------------------------------------------------------------------|
/// | tflite_double, ...      | fixed point: inputs shifted left, three multipliers, as TFLite   |
/// | (core/fixed_point.hpp)  | and CMSIS-NN compute it                                          |
/// | onnxruntime_float       | float: QLinearAdd of onnxruntime on x86 with AVX2                |
///
/// Codes are int8, uint8 or, with fixed point, int16. In fixed point, the constructor checks the
/// results of all pairs of 8-bit codes, so that calls are fast (ops/digit_pairs.hpp,
/// ops/linear_pairs.hpp). Read next: ops/multiply.hpp.

#include "fewbit/begin.hpp"

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "fewbit/arch/code_pairs.hpp"
#include "fewbit/arch/fused.hpp"
#include "fewbit/arch/products.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/fixed_point.hpp"
#include "fewbit/ops/code_blocks.hpp"
#include "fewbit/ops/digit_pairs.hpp"
#include "fewbit/ops/linear_pairs.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// A sum of codes in fixed point. Multipliers are less than 1: their exponents are 0 or less.
struct add_params {
  fixed_multiplier a;  ///< (a - a_zero) * 2^left_shift is multiplied by it
  fixed_multiplier b;  ///< (b - b_zero) * 2^left_shift is multiplied by it
  fixed_multiplier y;  ///< the sum is multiplied by it
  std::int32_t a_zero = 0;
  std::int32_t b_zero = 0;
  std::int32_t y_zero = 0;
  int left_shift = 20;  ///< 20 for 8-bit codes and 15 for 16-bit codes in TFLite

  friend bool operator==(const add_params&, const add_params&) = default;
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// Sums in float, as onnxruntime's QLinearAdd computes them on x86 with AVX2:
///
///     y = sat(rne(fma(a, S_a / S_y, fma(b, S_b / S_y, y_zero - z))))
///     z = fma(S_a / S_y, a_zero, S_b / S_y * b_zero)
///
/// The ONNX formula, sat(rne(((a - a_zero) S_a + (b - b_zero) S_b) / S_y) + y_zero), differs from
/// it near ties.
struct onnxruntime_float {};

namespace detail {

/// The multipliers of TFLite: a and b are scaled to twice the larger scale.
template <class Mode>
[[nodiscard]] add_params add_params_of(const char* function, const quant_params& a,
                                       const quant_params& b, const quant_params& y,
                                       int left_shift) {
  const double twice = 2.0 * double{std::max(a.scale, b.scale)};
  const double factor = twice / (std::ldexp(1.0, left_shift) * double{y.scale});
  if (!(factor < 1.0)) {
    fail(function, "y_params.scale", y.scale,
         "more than " + text(std::ldexp(twice, -left_shift)) + ", for the scales of a and b");
  }
  const auto multiplier = [](double real) {
    const fixed_multiplier m = Mode::multiplier(real);
    return m.exponent > 0 ? fixed_multiplier{std::numeric_limits<std::int32_t>::max(), 0} : m;
  };
  return {multiplier(double{a.scale} / twice),
          multiplier(double{b.scale} / twice),
          multiplier(factor),
          a.zero_point,
          b.zero_point,
          y.zero_point,
          left_shift};
}

/// The real number that a multiplier stands for.
[[nodiscard]] inline double real_of(const fixed_multiplier& m) noexcept {
  return std::ldexp(static_cast<double>(m.mantissa), m.exponent - 31);
}

/// Sums of one register of int32 in fixed point.
template <class Mode, bool Subtracts>
struct fixed_point_sum {
  add_params params;

  FEWBIT_ALWAYS_INLINE code_ints operator()(const code_ints& a, const code_ints& b) const noexcept {
    const code_ints shift(params.left_shift);
    const code_ints x = apply_multiplier<Mode>(
        shift_left(code_ints(a - code_ints(params.a_zero)), shift), params.a);
    const code_ints y = apply_multiplier<Mode>(
        shift_left(code_ints(b - code_ints(params.b_zero)), shift), params.b);
    return apply_multiplier<Mode>(Subtracts ? code_ints(x - y) : code_ints(x + y), params.y);
  }
};

/// The same in float.
template <bool Subtracts>
struct float_sum {
  float a_ratio = 0.0F;
  float b_ratio = 0.0F;
  float constant = 0.0F;

  float_sum() = default;
  float_sum(const quant_params& a, const quant_params& b, const quant_params& y) noexcept
      : a_ratio(a.scale / y.scale), b_ratio(Subtracts ? -(b.scale / y.scale) : b.scale / y.scale) {
    const float zeros =
        arch::fused_multiply_add(a_ratio, static_cast<float>(a.zero_point),
                                 arch::rounded(b_ratio * static_cast<float>(b.zero_point)));
    constant = static_cast<float>(y.zero_point) - zeros;
  }

  FEWBIT_ALWAYS_INLINE code_ints operator()(const code_ints& a, const code_ints& b) const noexcept {
    using floats = arch::rebind<code_ints, float>;
    const floats of_b =
        arch::fused_multiply_add(arch::convert<float>(b), floats(b_ratio), floats(constant));
    const floats sum = arch::fused_multiply_add(arch::convert<float>(a), floats(a_ratio), of_b);
    return arch::nearest_int(arch::clamp(sum, floats(-0x1p30F), floats(0x1p30F)));
  }
};

}  // namespace detail

/// y = a + b, or a - b, of real numbers that are codes with scales and zero points.
///
/// In fixed point, with x_a = (a - a_zero) * 2^left_shift and x_b alike:
///
///     y = clamp(Mode((Mode(x_a, m_a) +- Mode(x_b, m_b)), m_y) + y_zero, lowest, highest)
///
/// Mode(x, m) is x * m rounded as the mode does.
/// Sources: TFLite's kernels add and sub; CMSIS-NN arm_elementwise_add_s8 and _s16.
///
/// @tparam T     std::int8_t, std::uint8_t or std::int16_t; zero points of 16-bit codes are 0
/// @tparam Mode  a mode of core/fixed_point.hpp, or onnxruntime_float (8-bit codes)
template <Code T, class Mode, bool Subtracts>
class elementwise_sum {
  static constexpr bool is_float = std::is_same_v<Mode, onnxruntime_float>;
  static_assert(is_float || FixedPointMode<Mode>,
                "fewbit: give a rounding mode of core/fixed_point.hpp, or onnxruntime_float");
  static_assert(!is_float || ByteCode<T>, "fewbit: onnxruntime adds codes of 8 bits only");
  static constexpr const char* name = Subtracts ? "elementwise_subtract" : "elementwise_add";
  static constexpr int usual_shift = sizeof(T) == 1 ? 20 : 15;

 public:
  /// @param a, b, y  scale and zero point
  /// @param bounds   of the codes of y: a fused activation
  /// @throws fewbit::error if a scale is not positive, a zero point is no code, bounds hold no
  ///         code, or, in fixed point, twice the larger scale is 2^left_shift times that of y or
  ///         more
  elementwise_sum(const quant_params& a, const quant_params& b, const quant_params& y,
                  const code_bounds& bounds = {}) {
    detail::expect_code_params<T>(name, "a_params", a);
    detail::expect_code_params<T>(name, "b_params", b);
    detail::expect_code_params<T>(name, "y_params", y);
    if constexpr (is_float) {
      sum_ = {a, b, y};
      if (!detail::is_finite(sum_.a_ratio) || !detail::is_finite(sum_.b_ratio) ||
          !detail::is_finite(sum_.constant)) {
        detail::fail(name, "y_params.scale", y.scale, "large enough for the scales of a and b");
      }
      output_ = {name, 0, bounds};
    } else {
      set(detail::add_params_of<Mode>(name, a, b, y, usual_shift), bounds);
    }
  }

  /// Multipliers that were computed elsewhere.
  /// @throws fewbit::error if a mantissa is negative, an exponent not -31 to 0, left_shift not 0 to
  ///         20 (15 for 16-bit codes), a zero point no code, or bounds hold no code
  explicit elementwise_sum(const add_params& params, const code_bounds& bounds = {})
    requires(!is_float)
  {
    detail::expect_multiplier(name, "params.a", params.a, -31, 0);
    detail::expect_multiplier(name, "params.b", params.b, -31, 0);
    detail::expect_multiplier(name, "params.y", params.y, -31, 0);
    detail::expect(params.left_shift >= 0 && params.left_shift <= usual_shift, name,
                   "params.left_shift", params.left_shift, detail::interval(0, usual_shift));
    detail::expect_code_zero<T>(name, "params.a_zero", params.a_zero);
    detail::expect_code_zero<T>(name, "params.b_zero", params.b_zero);
    detail::expect_code_zero<T>(name, "params.y_zero", params.y_zero);
    set(params, bounds);
  }

  /// The multipliers in use.
  [[nodiscard]] const add_params& params() const noexcept
    requires(!is_float)
  {
    return sum_.params;
  }
  [[nodiscard]] const code_bounds& bounds() const noexcept { return output_.bounds(); }
  /// Whether calls take a fast way: always in float; in fixed point if one formula gives all
  /// results of 8-bit codes (ops/digit_pairs.hpp, ops/linear_pairs.hpp).
  [[nodiscard]] bool is_fast() const noexcept {
    if constexpr (seeks_formula) {
      return formulas_.found != formula::none;
    } else {
      return is_float;
    }
  }

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
  using sum_type = std::conditional_t<is_float, detail::float_sum<Subtracts>,
                                      detail::fixed_point_sum<Mode, Subtracts>>;
  static constexpr bool seeks_formula = ByteCode<T> && !is_float;
  using byte_code = std::conditional_t<ByteCode<T>, T, std::int8_t>;
  enum class formula : std::uint8_t { none, digits, pairs };
  struct no_formula {};
  struct formulas {
    formula found = formula::none;
    detail::digit_pairs<byte_code, Subtracts> digits;
    detail::linear_pairs<byte_code> pairs;
  };

  void set(const add_params& params, const code_bounds& bounds) {
    if constexpr (!is_float) {
      output_ = {name, params.y_zero, bounds};
      sum_.params = params;
      const double scale = std::ldexp(detail::real_of(params.y), params.left_shift);
      find_formula(detail::real_of(params.a) * scale, detail::real_of(params.b) * scale,
                   params.a_zero, params.b_zero);
    }
  }

  /// @param a_factor, b_factor  absolute values
  void find_formula(double a_factor, double b_factor, std::int32_t a_zero, std::int32_t b_zero) {
    if constexpr (seeks_formula) {
      std::vector<T> results(65536);
      T all[256], same[256];
      for (int i = 0; i < 256; ++i) all[i] = static_cast<T>(std::numeric_limits<T>::min() + i);
      for (int i = 0; i < 256; ++i) {
        std::fill_n(&same[0], 256, all[i]);
        run_exactly(256, &same[0], &all[0], &results[static_cast<std::size_t>(256 * i)]);
      }
      const code_bounds& kept = output_.bounds();
      if (arch::has_byte_pairs &&
          formulas_.digits.fit(a_factor, b_factor, a_zero, b_zero, output_.zero_point(), kept,
                               results.data())) {
        formulas_.found = formula::digits;
      } else if (formulas_.pairs.fit(a_factor, Subtracts ? -b_factor : b_factor, a_zero, b_zero,
                                     kept, results.data())) {
        formulas_.found = formula::pairs;
      }
    }
  }

  void run(index count, const T* a, const T* b, T* y) const noexcept {
    if constexpr (seeks_formula) {
      const code_bounds& kept = output_.bounds();
      if (formulas_.found == formula::digits) return formulas_.digits(count, kept, a, b, y);
      if (formulas_.found == formula::pairs) return formulas_.pairs(count, kept, a, b, y);
    }
    run_exactly(count, a, b, y);
  }

  /// Not inlined, so that its step is.
  [[gnu::noinline]] void run_exactly(index count, const T* a, const T* b, T* y) const noexcept {
    const sum_type sum = sum_;
    const detail::code_output<T> output = output_;
    detail::for_each_step(
        count,
        [&](T* to, const T* from_a, const T* from_b) {
          detail::code_ints sums[4];
#pragma GCC unroll 4
          for (int i = 0; i < 4; ++i) {
            const index first = i * detail::code_ints::lanes;
            sums[i] = sum(detail::load_ints(from_a + first), detail::load_ints(from_b + first));
          }
          output.store(sums, to);
        },
        y, a, b);
  }

  sum_type sum_;
  detail::code_output<T> output_;
  [[no_unique_address]] std::conditional_t<seeks_formula, formulas, no_formula> formulas_;
};

/// y = a + b.
template <Code T, class Mode = tflite_double>
using elementwise_add = elementwise_sum<T, Mode, false>;

/// y = a - b.
template <Code T, class Mode = tflite_double>
using elementwise_subtract = elementwise_sum<T, Mode, true>;

}}  // namespace fewbit

#include "fewbit/end.hpp"
