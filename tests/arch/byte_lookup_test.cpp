#include "fewbit/arch/byte_lookup.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>

namespace fewbit { namespace arch_byte_lookup_test {

TEST(arch_byte_lookup, finds_the_entry_of_every_byte) {
  std::mt19937 random(1);
  std::uint8_t entries[256], codes[arch::byte_lookup::at_once], found[arch::byte_lookup::at_once];
  for (std::uint8_t& e : entries) e = static_cast<std::uint8_t>(random());
  const arch::byte_lookup table(&entries[0]);
  const arch::byte_lookup::step step(table);
  for (int first = 0; first < 256; ++first) {
    EXPECT_EQ(table[static_cast<std::uint8_t>(first)], entries[first]);
    for (int i = 0; i < arch::byte_lookup::at_once; ++i)
      codes[i] = static_cast<std::uint8_t>(first + 37 * i);
    step(&codes[0], &found[0]);
    for (int i = 0; i < arch::byte_lookup::at_once; ++i)
      ASSERT_EQ(found[i], entries[codes[i]]) << i;
  }
}

}}  // namespace fewbit::arch_byte_lookup_test
