#include "fewbit/arch/table_unit.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>

#include "support/table_units.hpp"

namespace fewbit { namespace arch_table_unit_test {

template <class U>
class table_unit_test : public testing::Test {
 public:
  using unit = typename U::type;
};

TYPED_TEST_SUITE(table_unit_test, tests::table_units, tests::table_unit_names);

/// Column c looks up the indices in the two halves of its own byte.
TYPED_TEST(table_unit_test, looks_up_both_halves_of_each_byte) {
  constexpr int lanes = TestFixture::unit::lanes;
  std::mt19937 random(1);
  std::uint8_t table[16], codes[lanes];
  for (std::uint8_t& byte : table) byte = static_cast<std::uint8_t>(random());
  for (int first = 0; first < 256; first += 7) {
    for (int c = 0; c < lanes; ++c) codes[c] = static_cast<std::uint8_t>(first + c);
    const auto indices = TestFixture::unit::load(&codes[0]);
    const auto low = TestFixture::unit::lookup(&table[0], indices.low);
    const auto high = TestFixture::unit::lookup(&table[0], indices.high);
    for (int c = 0; c < lanes; ++c) {
      EXPECT_EQ(low[c], table[codes[c] & 15]) << c;
      EXPECT_EQ(high[c], table[codes[c] >> 4]) << c;
    }
  }
}

TYPED_TEST(table_unit_test, reads_two_bytes_as_one_number) {
  typename TestFixture::unit::bytes v(0);
  for (int c = 0; c < TestFixture::unit::lanes; ++c) v.set(c, static_cast<std::uint8_t>(3 * c + 1));
  const auto pairs = TestFixture::unit::as_pairs(v);
  for (int i = 0; i < TestFixture::unit::lanes / 2; ++i)
    EXPECT_EQ(pairs[i], v[2 * i] + 256 * v[2 * i + 1]) << i;
}

}  // namespace arch_table_unit_test
}  // namespace fewbit
