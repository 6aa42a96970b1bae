#include "fewbit/io/checksum.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <set>
#include <utility>
#include <vector>

namespace io_checksum_test {

/// Bytes 7 i + 3 modulo 256.
std::vector<std::byte> pattern(std::size_t size) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(7 * i + 3);
  return bytes;
}

/// Computed by a program in another language. Files keep these numbers.
TEST(checksum, is_the_same_everywhere) {
  EXPECT_EQ(fewbit::checksum(pattern(0)), 0x808b12cfb42e124cU);
  EXPECT_EQ(fewbit::checksum(pattern(1)), 0x328b930965d2dc84U);
  EXPECT_EQ(fewbit::checksum(pattern(63)), 0xd53cc6684139f96fU);
  EXPECT_EQ(fewbit::checksum(pattern(64)), 0x10e7f518670d5213U);
  EXPECT_EQ(fewbit::checksum(pattern(65)), 0xe787663c6117497aU);
  EXPECT_EQ(fewbit::checksum(pattern(1000)), 0x77f50a365aa01c94U);
}

TEST(checksum, changes_with_every_bit_and_with_the_size) {
  std::set<std::uint64_t> sums;
  std::size_t count = 0;
  for (const std::size_t size : {0U, 1U, 7U, 8U, 63U, 64U, 65U, 129U}) {
    std::vector<std::byte> bytes(size);
    sums.insert(fewbit::checksum(bytes));
    ++count;
    for (std::size_t bit = 0; bit < 8 * size; ++bit) {
      bytes[bit / 8] ^= std::byte{1} << (bit % 8);
      sums.insert(fewbit::checksum(bytes));
      bytes[bit / 8] ^= std::byte{1} << (bit % 8);
      ++count;
    }
  }
  EXPECT_EQ(sums.size(), count);
}

TEST(checksum, changes_with_every_two_bits) {
  std::vector<std::byte> bytes(128);
  const auto none = fewbit::checksum(bytes);
  const auto flip = [&](std::size_t bit) { bytes[bit / 8] ^= std::byte{1} << (bit % 8); };
  for (std::size_t a = 0; a < 64; ++a) {  // a word of the first block, and the one it is added to
    for (std::size_t b = 512; b < 576; ++b) {
      flip(a);
      flip(b);
      EXPECT_NE(fewbit::checksum(bytes), none) << a << " " << b;
      flip(a);
      flip(b);
    }
  }
}

TEST(checksum, depends_on_the_order_of_words) {
  auto bytes = pattern(256);
  const auto before = fewbit::checksum(bytes);
  for (std::size_t i = 0; i < 64; ++i) std::swap(bytes[i], bytes[i + 64]);
  EXPECT_NE(fewbit::checksum(bytes), before);
}

TEST(two_sums, are_sums_of_words) {
  for (const std::size_t size : {0U, 1U, 3U, 4U, 31U, 32U, 33U, 100U, 1000U}) {
    const std::vector<std::byte> bytes = pattern(size);
    fewbit::double_checksum wanted;
    for (std::size_t i = 0; i < size; ++i) {
      const std::uint64_t part = std::to_integer<std::uint64_t>(bytes[i]) << (8 * (i % 4));
      wanted.sum += part;
      wanted.weighted += (i / 4 + 1) * part;
    }
    EXPECT_EQ(fewbit::two_sums(bytes), wanted) << size;
  }
}

TEST(two_sums, change_with_every_one_and_two_bits) {
  for (const bool is_zero : {true, false}) {
    std::vector<std::byte> bytes = is_zero ? std::vector<std::byte>(72) : pattern(72);
    const auto none = fewbit::two_sums(bytes);
    const auto flip = [&](std::size_t bit) { bytes[bit / 8] ^= std::byte{1} << (bit % 8); };
    for (std::size_t a = 0; a < 8 * bytes.size(); ++a) {
      flip(a);
      EXPECT_NE(fewbit::two_sums(bytes), none) << a;
      for (std::size_t b = a % 4; b < a; b += 4) {
        flip(b);
        EXPECT_NE(fewbit::two_sums(bytes), none) << a << " " << b;
        flip(b);
      }
      flip(a);
    }
  }
}

TEST(two_sums, change_with_two_bits_that_are_far_apart) {
  std::vector<std::byte> bytes(std::size_t{1} << 22, std::byte{0x80});
  const auto none = fewbit::two_sums(bytes);
  for (std::size_t distance = 4; distance < bytes.size(); distance *= 2) {
    bytes[3] ^= std::byte{0x80};  // bit 31 of a word goes, that of another one comes
    bytes[3 + distance - 1] ^= std::byte{0x80};
    EXPECT_NE(fewbit::two_sums(bytes), none) << distance;
    bytes[3] ^= std::byte{0x80};
    bytes[3 + distance - 1] ^= std::byte{0x80};
  }
  std::vector<std::byte> zeros(std::size_t{1} << 20);
  for (std::size_t distance = 4; distance < zeros.size() - 4; distance *= 2) {
    // The word moves: one bit from 1 to 0, the same bit of another word from 0 to 1.
    zeros[3] = std::byte{0x80};
    const auto here = fewbit::two_sums(zeros);
    zeros[3] = std::byte{0};
    zeros[3 + distance] = std::byte{0x80};
    EXPECT_NE(fewbit::two_sums(zeros), here) << distance;
    zeros[3 + distance] = std::byte{0};
  }
}

}  // namespace io_checksum_test
