#pragma once
/// Weights of a few bits, and the widths and instruction sets that typed tests run over.

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <string>

#include "fewbit/arch/all.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit::tests {

/// Calls f.template operator()<Bits>() for every width of narrow weights.
template <class F>
void for_each_width(const F& f) {
  f.template operator()<1>();
  f.template operator()<2>();
  f.template operator()<3>();
  f.template operator()<4>();
}

/// The largest value of a code, and the distance between values.
constexpr int largest_value_of(int bits) { return bits == 1 ? 2 : (1 << bits) - 1; }
constexpr int step_of(int bits) { return bits == 1 ? 2 : 1; }

/// Uniform over all weights of so many bits, from a generator whose sequence the standard fixes.
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

namespace detail {

template <class List>
struct archs_of;
template <class... Archs>
struct archs_of<arch::list<Archs...>> {
  using type = testing::Types<Archs...>;
};

}  // namespace detail

using archs = detail::archs_of<arch::compiled>::type;

/// Names of typed tests: the instruction set's.
struct arch_names {
  template <class Arch>
  static std::string GetName(int) {
    return Arch::name;
  }
};

}  // namespace fewbit::tests
