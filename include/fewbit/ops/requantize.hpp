#pragma once
/// Codes of one scale and zero point become codes of another.
///
///     const code_requantizer<std::int16_t, std::int8_t> to_int8(x_params, y_params);
///     to_int8(x, y);
///
/// 8-bit codes to 8-bit codes are a table lookup; others are computed. Read next:
/// ops/concatenate.hpp.

#include "fewbit/begin.hpp"

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "fewbit/arch/convert.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/fixed_point.hpp"
#include "fewbit/ops/code_blocks.hpp"
#include "fewbit/ops/code_table.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// One factor for all codes, as a rounding mode needs it.
template <class Mode>
class uniform_factor {
  static_assert(FixedPointMode<Mode>, "fewbit: give a rounding mode of core/fixed_point.hpp");

 public:
  uniform_factor() = default;
  explicit uniform_factor(const fixed_multiplier& m) noexcept : multiplier_(m) {}

  /// @param most_exponent  for which a code times 2^exponent fits int32
  /// @throws fewbit::error if the mode has no such factor
  uniform_factor(const char* function, double factor, int most_exponent) {
    if (!(factor >= 0.0 && factor < std::ldexp(1.0, most_exponent))) {
      fail(function, "x_params.scale / y_params.scale", factor,
           "0 to 2^" + std::to_string(most_exponent));
    }
    multiplier_ = Mode::multiplier(factor);
  }

  template <class V>
  FEWBIT_ALWAYS_INLINE V operator()(const V& x) const noexcept {
    return apply_multiplier<Mode>(x, multiplier_);
  }

 private:
  fixed_multiplier multiplier_;
};

template <>
class uniform_factor<xnn_fp32> {
 public:
  uniform_factor() = default;
  uniform_factor(const char* function, double factor, int /*most_exponent*/)
      : factor_(static_cast<float>(factor)) {
    if (!(factor >= 0x1p-32 && factor < 256.0)) {
      fail(function, "x_params.scale / y_params.scale", factor, "at least 2^-32 and less than 256");
    }
  }

  template <class V>
  FEWBIT_ALWAYS_INLINE V operator()(const V& x) const noexcept {
    using floats = arch::rebind<V, float>;
    return arch::nearest_int(floats(arch::convert<float>(x) * floats(factor_)));
  }

 private:
  float factor_ = 1.0F;
};

template <>
class uniform_factor<q7_pot> {
 public:
  uniform_factor() = default;
  uniform_factor(const char* function, double factor, int /*most_exponent*/) {
    int exponent = 0;
    if (std::frexp(factor, &exponent) != 0.5 || exponent < -30 || exponent > 1) {
      fail(function, "x_params.scale / y_params.scale", factor, "a power of two, 2^-31 to 1");
    }
    shift_ = 1 - exponent;
  }

  template <class V>
  FEWBIT_ALWAYS_INLINE V operator()(const V& x) const noexcept {
    return q7_pot::apply(x, V(shift_));
  }

 private:
  std::int32_t shift_ = 0;
};

}  // namespace detail

/// y = clamp(Mode((x - x_zero) * S_x / S_y) + y_zero, lowest, highest)
///
/// Source: TFLite's kernel Requantize.
///
/// @tparam In, Out  std::int8_t, std::uint8_t or std::int16_t (zero point 0)
/// @tparam Mode     any rounding mode of core/fixed_point.hpp
template <Code In, Code Out = In, class Mode = tflite_double>
class code_requantizer {
  static constexpr const char* name = "code_requantizer";
  static constexpr bool is_table = ByteCode<In> && ByteCode<Out>;
  static constexpr int most_exponent = ByteCode<In> ? 22 : 15;

 public:
  /// @throws fewbit::error if a scale is not positive, a zero point is no code, the mode has no
  ///         factor S_x / S_y, or bounds hold no code
  code_requantizer(const quant_params& x, const quant_params& y, const code_bounds& bounds = {}) {
    detail::expect_code_params<In>(name, "x_params", x);
    detail::expect_code_params<Out>(name, "y_params", y);
    set({name, double{x.scale} / double{y.scale}, most_exponent}, x.zero_point,
        {name, y.zero_point, bounds});
  }

  /// A multiplier that was computed elsewhere.
  /// @throws fewbit::error if its mantissa is negative, its exponent is not -31 to 22 (15 for
  ///         16-bit inputs), a zero point is no code, or bounds hold no code
  code_requantizer(const fixed_multiplier& factor, std::int32_t x_zero, std::int32_t y_zero,
                   const code_bounds& bounds = {})
    requires FixedPointMode<Mode>
  {
    detail::expect_multiplier(name, "factor", factor, -31, most_exponent);
    detail::expect_code_zero<In>(name, "x_zero", x_zero);
    detail::expect_code_zero<Out>(name, "y_zero", y_zero);
    set(detail::uniform_factor<Mode>(factor), x_zero, {name, y_zero, bounds});
  }

  /// @param x, y      matrices of one shape; y may be x if both have one type
  /// @param executor  runs blocks of codes; results do not depend on it
  /// If shapes differ, the error handler is called and the program terminates.
  template <class X, class Y, Executor E = inline_executor>
  void operator()(const X& x, Y&& y, const E& executor = {}) const noexcept {
    if constexpr (detail::takes_codes<In, Out, Y, X>()) {
      detail::for_codes_of(name, x, y, executor,
                           [&](index count, const In* from, Out* to) { run(count, from, to); });
    }
  }

  /// The same for `count` codes that follow one another.
  void run(index count, const In* x, Out* y) const noexcept {
    if constexpr (is_table) {
      requantizer_.run(count, x, y);
    } else {
      const detail::uniform_factor<Mode> factor = requantizer_.factor;
      const detail::code_output<Out> output = requantizer_.output;
      const detail::code_ints zeros(requantizer_.zero);
      detail::for_each_step(
          count,
          [&](Out* to, const In* from) {
            detail::code_ints values[4];
#pragma GCC unroll 4
            for (int i = 0; i < 4; ++i) {
              values[i] = factor(detail::code_ints(
                  detail::load_ints(from + i * detail::code_ints::lanes) - zeros));
            }
            output.store(values, to);
          },
          y, x);
    }
  }

 private:
  struct computed {
    detail::uniform_factor<Mode> factor;
    detail::code_output<Out> output;
    std::int32_t zero = 0;
  };
  template <class I, class O>
  struct requantizer {
    using type = computed;
  };
  template <ByteCode I, ByteCode O>
  struct requantizer<I, O> {
    using type = code_table<I, O>;
  };

  void set(const detail::uniform_factor<Mode>& factor, std::int32_t zero,
           const detail::code_output<Out>& output) {
    if constexpr (is_table) {
      requantizer_ =
          code_table<In, Out>([&](In x) { return output(factor(std::int32_t{x} - zero)); });
    } else {
      requantizer_ = {factor, output, zero};
    }
  }

  typename requantizer<In, Out>::type requantizer_;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
