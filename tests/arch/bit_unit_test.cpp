#include "fewbit/arch/bit_unit.hpp"

#include <gtest/gtest.h>

#include <bitset>
#include <cstdint>
#include <random>

#include "fewbit/arch/all.hpp"
#include "support/bit_codes.hpp"

namespace fewbit { namespace arch_bit_unit_test {

template <class U>
class bit_unit_test : public testing::Test {
 public:
  using unit = typename U::type;
  using words = typename unit::words;

  static words random_words(std::mt19937_64& random) {
    words w;
    for (int i = 0; i < unit::lanes; ++i) w.set(i, random());
    return w;
  }

  /// Sums after `steps` steps of the same bits, folded as often as the unit requires.
  static words sums_after(int steps, const words& bits) {
    words sums(0);
    if constexpr (unit::steps_per_fold == 0) {
      for (int i = 0; i < steps; ++i) sums = unit::add(sums, bits);
    } else {
      for (; steps > 0; steps -= unit::steps_per_fold) {
        typename unit::counts partial{};
        for (int i = 0; i < steps && i < unit::steps_per_fold; ++i)
          partial = unit::add(partial, bits);
        sums = unit::fold(sums, partial);
      }
    }
    return sums;
  }
};

TYPED_TEST_SUITE(bit_unit_test, tests::bit_units, tests::bit_unit_names);

TYPED_TEST(bit_unit_test, counts_the_ones_of_each_column) {
  std::mt19937_64 random(1);
  for (const int steps : {1, 2, 31, 32, 63}) {
    const auto bits = this->random_words(random);
    const auto sums = this->sums_after(steps, bits);
    for (int i = 0; i < TestFixture::unit::lanes; ++i) {
      const auto ones = std::bitset<64>(bits[i]).count();
      EXPECT_EQ(sums[i], ones * static_cast<std::size_t>(steps)) << i << " after " << steps;
    }
  }
}

/// 31 steps of 8 ones fill a byte to 248; one more would overflow it.
TYPED_TEST(bit_unit_test, counts_only_ones) {
  // Not a constant, because g++ 12 at -O2 counts the ones of a constant vector wrongly at compile
  // time.
  volatile std::uint64_t every_bit = ~std::uint64_t{0};
  const typename TestFixture::words ones(every_bit);
  for (const int steps : {31, 32, 1000}) {
    const auto sums = this->sums_after(steps, ones);
    for (int i = 0; i < TestFixture::unit::lanes; ++i)
      EXPECT_EQ(sums[i], static_cast<std::uint64_t>(64 * steps));
  }
}

TYPED_TEST(bit_unit_test, masks_differences) {
  std::mt19937_64 random(2);
  const auto a = this->random_words(random), b = this->random_words(random),
             mask = this->random_words(random);
  const auto got = TestFixture::unit::masked_xor(a, b, mask);
  for (int i = 0; i < TestFixture::unit::lanes; ++i) EXPECT_EQ(got[i], (a[i] ^ b[i]) & mask[i]);
}

/// The eight bit positions of a, b and c are all combinations of three bits.
TYPED_TEST(bit_unit_test, adds_three_bits) {
  using bits = typename TestFixture::unit;
  const typename bits::words a(0xAA), b(0xCC), c(0xF0);
  const auto sum = bits::sum_of_three(a, b, c), high = bits::majority(a, b, c);
  const auto carry = bits::carry(a, a ^ b, a ^ b ^ c);  // the parities of a, b and c
  for (int i = 0; i < bits::lanes; ++i) {
    EXPECT_EQ(sum[i], 0x96U) << i;
    EXPECT_EQ(high[i], 0xE8U) << i;
    EXPECT_EQ(carry[i], 0xE8U) << i;
  }
}

TYPED_TEST(bit_unit_test, gathers_a_bit_of_64_bytes) {
  std::mt19937 random(3);
  alignas(64) std::uint8_t bytes[64];
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
  for (int bit = 0; bit < 8; ++bit) {
    const std::uint64_t got = TestFixture::unit::plane(&bytes[0], bit);
    for (int i = 0; i < 64; ++i) EXPECT_EQ(got >> i & 1, bytes[i] >> bit & 1U) << i << " " << bit;
  }
}

}  // namespace arch_bit_unit_test
}  // namespace fewbit
