#pragma once
/// Which numbers may be a scale: any float, or powers of two only. Fourth choice of a scheme.
///
/// A power of two turns requantization into a shift. It costs 0 to 6.02 dB, because the step grows
/// by up to a factor of two. Read next: rounding.hpp.

#include "fewbit/begin.hpp"

#include <cmath>
#include <concepts>
#include <limits>

#include "fewbit/config.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// The smallest scale: 2^-126, the smallest normal float, so that 1 / scale is finite.
inline constexpr float min_scale = std::numeric_limits<float>::min();

/// The exact step, rounded once to float; at least `min_scale`.
struct real_scale {
  static constexpr const char* name = "real_scale";
  static float round_step(double step) noexcept {
    return step < min_scale ? min_scale : static_cast<float>(step);
  }
  /// The largest scale <= step, for step >= 2^-126.
  static float round_down(double step) noexcept {
    const auto nearest = static_cast<float>(step);
    return double{nearest} > step ? std::nextafter(nearest, 0.0F) : nearest;
  }
};

/// 2^ceil(log2(step)), the smallest power of two that clips nothing. The exponent is clamped to
/// [-126, 127], so a step above 2^127, which is possible with 2 bits, clips.
struct power_of_two {
  static constexpr const char* name = "power_of_two";
  static float round_step(double step) noexcept {
    int exponent = 0;
    const double fraction = std::frexp(step, &exponent);  // in [0.5, 1): 0.5 is a power itself
    if (fraction == 0.5) --exponent;
    exponent = exponent < -126 ? -126 : exponent > 127 ? 127 : exponent;
    return std::ldexp(1.0F, exponent);
  }
  static float round_down(double step) noexcept {
    int exponent = 0;
    (void)std::frexp(step, &exponent);
    return std::ldexp(1.0F, exponent - 1);
  }
};

template <class T>
concept Scale = requires(double step) {
  { T::round_step(step) } -> std::same_as<float>;
  { T::round_down(step) } -> std::same_as<float>;
  { T::name } -> std::convertible_to<const char*>;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
