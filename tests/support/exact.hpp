#pragma once
/// fma() and round() for oracles, exact on every platform. The C library of mingw rounds twice in
/// fmaf, and rounds the float before one half to 1.

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "support/wide.hpp"

namespace fewbit::tests {

namespace detail {

/// mantissa * 2^exponent.
struct scaled {
  wide mantissa;
  int exponent;

  static scaled of(float x) {
    int exponent = 0;
    const float fraction = std::frexp(x, &exponent);
    return {static_cast<std::int64_t>(std::ldexp(fraction, 24)), exponent - 24};
  }

  /// The same number at a lower exponent.
  [[nodiscard]] scaled at(int lower) const {
    return {mantissa * wide::power_of_two(exponent - lower), lower};
  }
};

inline scaled sum_of(const scaled& a, const scaled& b) {
  const scaled &high = a.exponent > b.exponent ? a : b, &low = a.exponent > b.exponent ? b : a;
  constexpr int most = 70;
  if (high.exponent - low.exponent <= most) {
    return {high.at(low.exponent).mantissa + low.mantissa, low.exponent};
  }
  // A rounding to 24 bits depends only on the sign of the lower number.
  const int lowest = high.exponent - most;
  const wide sign = low.mantissa < wide(0) ? -1 : 1;
  return {high.at(lowest).mantissa + sign, lowest};
}

}  // namespace detail

/// a * b + c, rounded once to the nearest float, ties to even.
inline float exact_fma(float a, float b, float c) {
  const float roughly = static_cast<float>(double{a} * double{b} + double{c});
  if (a == 0.0F || b == 0.0F || c == 0.0F || !std::isfinite(double{a} * double{b} + double{c})) {
    return roughly;
  }
  const detail::scaled x = detail::scaled::of(a), y = detail::scaled::of(b);
  const detail::scaled sum =
      detail::sum_of({x.mantissa * y.mantissa, x.exponent + y.exponent}, detail::scaled::of(c));
  if (sum.mantissa == wide(0)) return roughly;
  const bool is_negative = sum.mantissa < wide(0);
  wide size = is_negative ? -sum.mantissa : sum.mantissa;
  int exponent = sum.exponent;
  const int lowest = std::max(exponent + size.width() - 24, -149);
  if (lowest > exponent) {
    const wide unit = wide::power_of_two(lowest - exponent), whole = size / unit;
    const wide rest = size - whole * unit, twice = rest + rest;
    const bool is_odd = static_cast<std::int64_t>(whole) % 2 != 0;
    size = twice > unit || (twice == unit && is_odd) ? whole + wide(1) : whole;
    exponent = lowest;
  }
  const double value = std::ldexp(static_cast<double>(static_cast<std::int64_t>(size)), exponent);
  return static_cast<float>(is_negative ? -value : value);
}

/// The nearest integer, ties away from zero.
inline double exact_round(double x) {
  const double whole = std::trunc(x);
  return std::fabs(x - whole) >= 0.5 ? whole + std::copysign(1.0, x) : whole;
}

}  // namespace fewbit::tests
