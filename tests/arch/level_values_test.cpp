#include "fewbit/arch/level_values.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <cstdint>

namespace fewbit { namespace arch_level_values_test {

/// Every code in every lane, with other bits above it. No two levels are equal.
template <int Bits, int Lanes>
void expect_values() {
  using words = arch::vec<std::uint32_t, Lanes>;
  using values = arch::level_values<Bits, Lanes>;
  std::array<float, values::list_size> levels{};
  for (std::size_t i = 0; i < levels.size(); ++i)
    levels[i] = static_cast<float>(i % (1U << Bits)) * 0.75F - 20.0F;
  for (unsigned first = 0; first < 1U << Bits; ++first) {
    words codes;
    for (int i = 0; i < Lanes; ++i)
      codes.set(i, (first + static_cast<unsigned>(i)) % (1U << Bits) | 0xABCD5A5DU << Bits);
    const arch::vec<float, Lanes> found = values(levels.data())(codes);
    for (int i = 0; i < Lanes; ++i) {
      const unsigned code = (first + static_cast<unsigned>(i)) % (1U << Bits);
      ASSERT_EQ(found[i], static_cast<float>(code) * 0.75F - 20.0F) << Bits << " bits, lane " << i;
    }
  }
}

template <int Bits>
void expect_values_in_all_lanes() {
  expect_values<Bits, 4>();
  expect_values<Bits, 8>();
  expect_values<Bits, 16>();
}

TEST(level_values, are_the_levels_of_the_codes) {
  expect_values_in_all_lanes<2>();
  expect_values_in_all_lanes<3>();
  expect_values_in_all_lanes<4>();
  expect_values_in_all_lanes<8>();
}

}  // namespace arch_level_values_test
}  // namespace fewbit
