#pragma once
/// What the tests of operators on codes share: plain integer arithmetic of TFLite, random codes and
/// executors that run blocks in odd orders.

#include <algorithm>
#include <cstdint>
#include <limits>
#include <random>

#include "fewbit/core/fixed_point.hpp"
#include "fewbit/core/types.hpp"
#include "support/reverse_executor.hpp"

namespace fewbit::tests {

/// SaturatingRoundingDoublingHighMul as gemmlowp writes it.
inline std::int32_t plain_high_mul(std::int32_t a, std::int32_t b) {
  constexpr auto least = std::numeric_limits<std::int32_t>::min();
  if (a == least && b == least) return std::numeric_limits<std::int32_t>::max();
  const std::int64_t product = std::int64_t{a} * b;
  const std::int64_t nudge = product >= 0 ? 1LL << 30 : 1 - (1LL << 30);
  return static_cast<std::int32_t>((product + nudge) / (1LL << 31));
}

/// RoundingDivideByPOT.
inline std::int32_t plain_divide_by_pot(std::int32_t x, int count) {
  const auto mask = static_cast<std::int32_t>((1LL << count) - 1);
  const std::int32_t rest = x & mask, threshold = (mask >> 1) + (x < 0 ? 1 : 0);
  return (x >> count) + (rest > threshold ? 1 : 0);
}

/// TFLite's MultiplyByQuantizedMultiplier with two roundings.
inline std::int32_t plain_multiply(std::int32_t x, const fixed_multiplier& m) {
  const auto shifted =
      static_cast<std::int32_t>(static_cast<std::uint32_t>(x) << std::max(m.exponent, 0));
  return plain_divide_by_pot(plain_high_mul(shifted, m.mantissa), std::max(-m.exponent, 0));
}

template <class T>
T plain_clamp(std::int64_t x, std::int64_t lowest = std::numeric_limits<T>::min(),
              std::int64_t highest = std::numeric_limits<T>::max()) {
  return static_cast<T>(std::min(std::max(x, lowest), highest));
}

/// Codes of the whole range; the extremes are frequent.
template <class T>
row_matrix<T> random_codes(index rows, index cols, unsigned seed) {
  std::mt19937 generator(seed);
  using limits = std::numeric_limits<T>;
  std::uniform_int_distribution<int> code(limits::min(), limits::max()), choice(0, 9);
  row_matrix<T> m(rows, cols);
  for (index i = 0; i < m.size(); ++i) {
    const int chosen = choice(generator), any = code(generator);
    m.data()[i] = static_cast<T>(chosen == 0 ? limits::min() : chosen == 1 ? limits::max() : any);
  }
  return m;
}

}  // namespace fewbit::tests
