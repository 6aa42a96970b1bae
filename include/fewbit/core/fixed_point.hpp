#pragma once
/// Multiplies integer accumulators by a real factor, with the rounding modes of other libraries,
/// bit for bit.
///
/// An accumulator times S_input * S_weight / S_output is an output code. Programs that must
/// reproduce TFLite, CMSIS-NN or XNNPACK have to round this product in the same way. Each rounding
/// mode is a type, chosen at compile time:
///
/// | type               | factor      | rounding of acc * factor                               |
/// |--------------------|-------------|--------------------------------------------------------|
/// | tflite_double      | Q31, shift  | product half up, then shift half away from zero        |
/// | tflite_double_neon | Q31, shift  | product half up, then shift half up                    |
/// | tflite_single      | Q31, shift  | once, half up; the most exact of the integer modes     |
/// | cmsis_default      | Q31, shift  | as tflite_double, without its saturation               |
/// | xnn_rndnu          | 24 bits     | once, half up, saturating                              |
/// | xnn_fp32           | float       | in float, half to even, clamped before rounding        |
/// | q7_pot             | 2^-shift    | once, half up                                          |
/// | tflite_int64       | Q15, shift  | once, half up; for int64 accumulators                  |
///
/// Every `apply` takes std::int32_t or arch::vec<std::int32_t, N>; both give the same bits, and
/// factors may differ from lane to lane. Integer products are computed in 64 bits.
///
/// Source of the scheme: Jacob et al. 2017, arXiv:1712.05877. Source of each mode: the library in
/// its name. gemm/ applies the modes to tiles of accumulators; ops/ computes the factor of each
/// output channel.

#include "fewbit/begin.hpp"

#include <bit>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>

#include "fewbit/arch/products.hpp"
#include "fewbit/arch/vec.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/error.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// The real number mantissa * 2^(exponent - 31). From `quantize_multiplier`, mantissa is 0 or in
/// [2^30, 2^31) and exponent in [-31, 30].
struct fixed_multiplier {
  std::int32_t mantissa = 0;
  int exponent = 0;

  friend bool operator==(const fixed_multiplier&, const fixed_multiplier&) = default;
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// The nearest integer, ties away from zero. Replaces std::round, because some C libraries round
/// the largest number below 0.5 to 1.
inline double round_half_away(double x) noexcept {
  const double whole = std::trunc(x);
  return std::abs(x - whole) >= 0.5 ? whole + std::copysign(1.0, x) : whole;
}

/// The nearest multiplier. Its exponent may exceed 30, the largest of quantize_multiplier. The
/// error sentence names `function`.
inline fixed_multiplier nearest_multiplier(const char* function, double real) {
  if (!(real >= 0.0 && real <= std::numeric_limits<double>::max())) {
    fail(function, "real", real, "a finite number that is not negative");
  }
  int exponent = 0;
  const double fraction = std::frexp(real, &exponent);  // in [0.5, 1), or 0
  auto mantissa = static_cast<std::int64_t>(round_half_away(std::ldexp(fraction, 31)));
  if (mantissa == std::int64_t{1} << 31) {
    mantissa /= 2;
    ++exponent;
  }
  if (mantissa == 0 || exponent < -31) return {};
  return {static_cast<std::int32_t>(mantissa), exponent};
}

/// The nearest multiplier of a factor below 2^30.
inline fixed_multiplier bounded_multiplier(const char* function, double real) {
  const fixed_multiplier nearest = nearest_multiplier(function, real);
  if (nearest.exponent > 30) fail(function, "real", real, "less than 2^30");
  return nearest;
}

/// The nearest multiplier of any factor; a factor of 2^30 or more becomes the largest multiplier.
inline fixed_multiplier saturated_multiplier(const char* function, double real) {
  const fixed_multiplier nearest = nearest_multiplier(function, real);
  if (nearest.exponent > 30) return {std::numeric_limits<std::int32_t>::max(), 30};
  return nearest;
}

/// A factor in the range that XNNPACK accepts, as a float.
inline float xnn_factor(const char* function, double real) {
  const auto factor = static_cast<float>(real);
  if (!(factor >= 0x1p-32F && factor < 256.0F)) {
    fail(function, "real", real, "at least 2^-32 and less than 256");
  }
  return factor;
}

/// x * 2^count, wrapping; count is taken modulo 32.
template <class V>
FEWBIT_ALWAYS_INLINE V shift_left(const V& x, const V& count) noexcept {
  const auto bits = arch::bits_as<std::uint32_t>(x);
  return arch::bits_as<std::int32_t>(bits << arch::bits_as<std::uint32_t>(V(count & V(31))));
}

/// x / 2^count rounded to nearest; ties go away from zero or up. count is taken modulo 32. Compares
/// the bits shifted out with one half; adding one half before the shift could overflow.
template <bool AwayFromZero, class V>
FEWBIT_ALWAYS_INLINE V shift_right_rounded(const V& x, const V& count) noexcept {
  const V places = count & V(31);
  const V mask = shift_left(V(-1), places) ^ V(-1);
  V threshold = mask >> V(1);
  if constexpr (AwayFromZero) threshold = threshold - (x >> V(31));
  return V(x >> places) + arch::select(V(x & mask) > threshold, V(1), V(0));
}

/// floor(acc * mantissa * 2^(exponent - 31) + 1/2) in 64 bits, for exponent in [-31, 30].
template <class V>
FEWBIT_ALWAYS_INLINE arch::rebind<V, std::int64_t> scale_once(const V& acc, const V& mantissa,
                                                              const V& exponent) noexcept {
  using wide = arch::rebind<V, std::int64_t>;
  const wide product = arch::convert<std::int64_t>(acc) * arch::convert<std::int64_t>(mantissa);
  const wide places = arch::convert<std::int64_t>(V(V(31) - exponent)) & wide(63);
  const wide half = wide(wide(1) << places) >> wide(1);
  return wide(product + half) >> places;
}

}  // namespace detail

/// The multiplier nearest to a factor. Zero and factors below 2^-32 become 0.
///
/// @throws fewbit::error unless 0 <= real < 2^30.
/// Source: TFLite, QuantizeMultiplier.
[[nodiscard]] inline fixed_multiplier quantize_multiplier(double real) {
  return detail::bounded_multiplier("quantize_multiplier", real);
}

/// Like `quantize_multiplier`, but a factor of 2^30 or more becomes the largest multiplier, as in
/// TFLite built for single rounding.
[[nodiscard]] inline fixed_multiplier quantize_multiplier_saturating(double real) {
  return detail::saturated_multiplier("quantize_multiplier_saturating", real);
}

/// a * b / 2^31 rounded half up. Only the smallest integer times itself does not fit; the result is
/// then the largest integer. Equals vqrdmulh of Arm.
template <class V>
[[nodiscard]] FEWBIT_ALWAYS_INLINE V saturating_rounding_doubling_high_mul(const V& a,
                                                                           const V& b) noexcept {
  const V high = arch::rounded_high_product(a, b);
  const V smallest = V(std::numeric_limits<std::int32_t>::min());
  return arch::select(high == smallest, V(std::numeric_limits<std::int32_t>::max()), high);
}

/// x / 2^count rounded half away from zero; count in [0, 31].
template <class V>
[[nodiscard]] FEWBIT_ALWAYS_INLINE V rounding_divide_by_pot(const V& x, const V& count) noexcept {
  return detail::shift_right_rounded<true>(x, count);
}

/// x / 2^count rounded half up; count in [0, 31].
template <class V>
[[nodiscard]] FEWBIT_ALWAYS_INLINE V rounding_shift_right(const V& x, const V& count) noexcept {
  return detail::shift_right_rounded<false>(x, count);
}

/// A way to multiply by a fixed_multiplier: `multiplier(real)` prepares the factor, and
/// `apply(acc, mantissa, exponent)` uses it.
template <class Mode>
concept FixedPointMode = requires(std::int32_t v, double real) {
  { Mode::multiplier(real) } -> std::same_as<fixed_multiplier>;
  { Mode::apply(v, v, v) } noexcept -> std::same_as<std::int32_t>;
};

namespace detail {

/// Computes x = acc * 2^max(exponent, 0), which wraps; then y = x * mantissa / 2^31, rounded half
/// up; then y / 2^max(-exponent, 0), rounded again.
///
/// @tparam Saturates the smallest integer times itself becomes the largest integer
/// @tparam AwayFromZero  ties of the second rounding go away from zero, else up
template <bool Saturates, bool AwayFromZero>
struct double_rounding {
  template <class V>
  [[nodiscard]] FEWBIT_ALWAYS_INLINE static V apply(const V& acc, const V& mantissa,
                                                    const V& exponent) noexcept {
    const V zero(0);
    const V shifted = shift_left(acc, arch::max(exponent, zero));
    const V places = arch::max(V(zero - exponent), zero);
    if constexpr (Saturates) {
      return shift_right_rounded<AwayFromZero>(
          saturating_rounding_doubling_high_mul(shifted, mantissa), places);
    } else {
      return shift_right_rounded<AwayFromZero>(arch::rounded_high_product(shifted, mantissa),
                                               places);
    }
  }

  /// The same for exponents of -31 to 0, with fewer instructions.
  template <class V>
  [[nodiscard]] FEWBIT_ALWAYS_INLINE static V apply_below_one(const V& acc, const V& mantissa,
                                                              const V& exponent) noexcept {
    const V places = V(0) - exponent;
    const V mask = V(V(-1) << places) ^ V(-1);
    V product;
    if constexpr (Saturates) {
      product = saturating_rounding_doubling_high_mul(acc, mantissa);
    } else {
      product = arch::rounded_high_product(acc, mantissa);
    }
    V threshold = mask >> V(1);
    if constexpr (AwayFromZero) threshold = threshold - (product >> V(31));
    return V(product >> places) + arch::select(V(product & mask) > threshold, V(1), V(0));
  }
};

}  // namespace detail

/// TFLite's built-in kernels and gemmlowp: two roundings; the result differs from the exact product
/// by at most one. acc * 2^max(exponent, 0) wraps; callers must avoid accumulators for which it
/// does.
struct tflite_double : detail::double_rounding<true, true> {
  [[nodiscard]] static fixed_multiplier multiplier(double real) {
    return detail::bounded_multiplier("tflite_double::multiplier", real);
  }
};

/// TFLite's kernels that requantize four rows at a time on NEON: unlike tflite_double, negative
/// ties of the second rounding go up.
struct tflite_double_neon : detail::double_rounding<true, false> {
  [[nodiscard]] static fixed_multiplier multiplier(double real) {
    return detail::bounded_multiplier("tflite_double_neon::multiplier", real);
  }
};

/// The default of CMSIS-NN. Equals tflite_double for every mantissa >= 0.
struct cmsis_default : detail::double_rounding<false, true> {
  [[nodiscard]] static fixed_multiplier multiplier(double real) {
    return detail::bounded_multiplier("cmsis_default::multiplier", real);
  }
};

/// TFLite built for single rounding, ruy, and CMSIS-NN with its option of single rounding. A result
/// that does not fit 32 bits wraps; callers must avoid it.
struct tflite_single {
  [[nodiscard]] static fixed_multiplier multiplier(double real) {
    return detail::saturated_multiplier("tflite_single::multiplier", real);
  }
  template <class V>
  [[nodiscard]] FEWBIT_ALWAYS_INLINE static V apply(const V& acc, const V& mantissa,
                                                    const V& exponent) noexcept {
    return arch::convert<std::int32_t>(detail::scale_once(acc, mantissa, exponent));
  }
};

/// XNNPACK's integer kernels: the 24 bits of a float factor, one rounding, saturating.
struct xnn_rndnu {
  /// The mantissa is the significand of the factor as a float, so only the conversion to float
  /// rounds.
  /// @throws fewbit::error unless 2^-32 <= real < 256.
  [[nodiscard]] static fixed_multiplier multiplier(double real) {
    const float factor = detail::xnn_factor("xnn_rndnu::multiplier", real);
    const auto bits = std::bit_cast<std::uint32_t>(factor);
    return {static_cast<std::int32_t>((bits & 0x7FFFFF) | 0x800000),
            static_cast<int>(bits >> 23) - 119};
  }
  template <class V>
  [[nodiscard]] FEWBIT_ALWAYS_INLINE static V apply(const V& acc, const V& mantissa,
                                                    const V& exponent) noexcept {
    using wide = arch::rebind<V, std::int64_t>;
    const wide lowest(std::numeric_limits<std::int32_t>::min());
    const wide highest(std::numeric_limits<std::int32_t>::max());
    const wide scaled = detail::scale_once(acc, mantissa, exponent);
    return arch::convert<std::int32_t>(arch::min(arch::max(scaled, lowest), highest));
  }
};

/// XNNPACK's float kernels, which are TFLite's default on x86 and Arm.
struct xnn_fp32 {
  /// @throws fewbit::error unless 2^-32 <= real < 256.
  [[nodiscard]] static float multiplier(double real) {
    return detail::xnn_factor("xnn_fp32::multiplier", real);
  }

  /// float(acc) * factor clamped to [lowest, highest], then rounded half to even. The bounds are
  /// the range of the output minus its zero point, and |bounds| <= 2^22. The caller adds the zero
  /// point.
  template <class V>
  [[nodiscard]] FEWBIT_ALWAYS_INLINE static V apply(
      const V& acc, const arch::rebind<V, float>& factor, const arch::rebind<V, float>& lowest,
      const arch::rebind<V, float>& highest) noexcept {
    using real = arch::rebind<V, float>;
    const real scaled = arch::convert<float>(acc) * factor;
    return arch::round_to_int(arch::clamp(scaled, lowest, highest));
  }
};

/// Power-of-two scales of CMSIS-NN before 2020: the factor is 2^-shift, shift in [0, 31]. The
/// caller saturates to 8 bits.
struct q7_pot {
  template <class V>
  [[nodiscard]] FEWBIT_ALWAYS_INLINE static V apply(const V& acc, const V& shift) noexcept {
    return rounding_shift_right(acc, shift);
  }
};

/// `Mode::apply` with one factor for all lanes.
template <FixedPointMode Mode, class V>
[[nodiscard]] FEWBIT_ALWAYS_INLINE V apply_multiplier(const V& acc,
                                                      const fixed_multiplier& factor) noexcept {
  return Mode::apply(acc, V(factor.mantissa), V(factor.exponent));
}

/// acc * factor for accumulators of 64 bits (16-bit activations). The mantissa is rounded to 15
/// bits; the product is then rounded once, half up. |acc| < 2^47 and exponent in [-31, 7]. A result
/// that does not fit 32 bits wraps.
/// Source: TFLite and CMSIS-NN, which agree here.
[[nodiscard]] constexpr std::int32_t requantize_int64(std::int64_t acc,
                                                      const fixed_multiplier& factor) noexcept {
  const std::int64_t mantissa =
      factor.mantissa < 0x7FFF0000 ? (factor.mantissa + (1 << 15)) >> 16 : 0x7FFF;
  const int places = (15 - factor.exponent) & 63;
  const std::uint64_t product =
      static_cast<std::uint64_t>(acc) * static_cast<std::uint64_t>(mantissa);
  const std::uint64_t half = std::uint64_t{1} << ((places - 1) & 63);
  return static_cast<std::int32_t>(static_cast<std::int64_t>(product + half) >> places);
}

/// The mode of layers of 16-bit activations, whose sums are int64: requantize_int64.
struct tflite_int64 {
  /// @throws fewbit::error unless 0 <= real < 2^7
  [[nodiscard]] static fixed_multiplier multiplier(double real) {
    const fixed_multiplier factor = detail::bounded_multiplier("tflite_int64::multiplier", real);
    if (factor.exponent > 7)
      detail::fail("tflite_int64::multiplier", "real", real, "less than 2^7");
    return factor;
  }
  [[nodiscard]] static std::int32_t apply(std::int32_t acc, std::int32_t mantissa,
                                          std::int32_t exponent) noexcept {
    return requantize_int64(acc, {mantissa, exponent});
  }
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
