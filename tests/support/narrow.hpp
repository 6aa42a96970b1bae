#pragma once
/// Random weights of a few bits, for all widths.

#include <cstdint>
#include <random>

#include "fewbit/core/types.hpp"
#include "support/archs.hpp"

namespace fewbit::tests {

/// Calls f.template operator()<Bits>() for every width of narrow weights. A program with emulated
/// instructions takes one width for each order of bits, because it is compiled for long.
template <class F>
void for_each_width(const F& f) {
  f.template operator()<1>();
  if constexpr (!emulated_here) f.template operator()<2>();
  f.template operator()<3>();
  if constexpr (!emulated_here) f.template operator()<4>();
}

/// The largest value of a code, and the distance between values.
constexpr int largest_value_of(int bits) { return bits == 1 ? 2 : (1 << bits) - 1; }
constexpr int step_of(int bits) { return bits == 1 ? 2 : 1; }

/// Uniform over all weights of `bits` bits, from a generator whose sequence the C++ standard
/// defines.
inline row_matrix<std::int8_t> random_weights(index rows, index cols, int bits, int zero_point,
                                              std::uint32_t seed) {
  std::mt19937 random(seed);
  row_matrix<std::int8_t> w(rows, cols);
  for (index i = 0; i < w.size(); ++i) {
    const auto code = static_cast<int>((random() >> 13) % (1U << bits));
    w.data()[i] = static_cast<std::int8_t>(code * step_of(bits) - zero_point);
  }
  return w;
}

}  // namespace fewbit::tests
