#pragma once
/// Scales rounded to the 16 bits in which layers store them.

#include <cmath>

namespace fewbit::tests {

/// The nearest number of 12 significant bits, ties to even.
inline float with_12_bits(float scale) {
  int exponent = 0;
  const float mantissa = std::frexp(scale, &exponent);
  return std::ldexp(std::nearbyint(mantissa * 4096.0F) / 4096.0F, exponent);
}

}  // namespace fewbit::tests
