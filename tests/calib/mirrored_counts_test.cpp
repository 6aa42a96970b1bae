#include "fewbit/calib/mirrored_counts.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

namespace calib_mirrored_counts_test {

using fewbit::index;
using fewbit::detail::mirrored_counts;

/// Bin k counts 10^(k + 4). So the digits of a sum show which bins it contains.
mirrored_counts example() {
  mirrored_counts counts(4);
  std::uint64_t value = 1;
  for (index k = -4; k < 4; ++k, value *= 10) counts.add(k, value);
  return counts;
}

std::vector<std::uint64_t> all(const mirrored_counts& counts) {
  std::vector<std::uint64_t> values;
  for (index k = -counts.bins_per_side(); k < counts.bins_per_side(); ++k) {
    values.push_back(counts[k]);
  }
  return values;
}

TEST(mirrored_counts_test, merges_neighbours_on_both_sides) {
  EXPECT_EQ(example().coarsened(0), example());
  const mirrored_counts once = example().coarsened(1);
  EXPECT_EQ(all(once), (std::vector<std::uint64_t>{0, 0, 11, 1100, 110000, 11000000, 0, 0}));
  const mirrored_counts twice = example().coarsened(2);
  EXPECT_EQ(once.coarsened(1), twice);
  EXPECT_EQ(all(twice), (std::vector<std::uint64_t>{0, 0, 0, 1111, 11110000, 0, 0, 0}));
  EXPECT_EQ(twice.coarsened(300), twice);
}

TEST(mirrored_counts_test, folds_and_cuts) {
  EXPECT_EQ(example().of_magnitudes(3, 0.5).counts,
            (std::vector<std::uint64_t>{11000, 100100, 1000010}));
  const fewbit::histogram cut = example().of_values(-1, 2, 0.5);
  EXPECT_EQ(cut.counts, (std::vector<std::uint64_t>{1000, 10000, 100000}));
  EXPECT_EQ(cut.zero, 1);
  EXPECT_EQ(cut.width, 0.5);
}

/// A count of 2^32 or more needs more than 4 bytes.
TEST(mirrored_counts_test, counts_beyond_32_bits) {
  constexpr std::uint64_t most = (std::uint64_t{1} << 62) - 1;
  constexpr std::uint64_t limit = std::uint64_t{1} << 32;
  for (const std::uint64_t n : {limit - 1, limit, limit + 1, most}) {
    mirrored_counts at_once(8);
    mirrored_counts bit_by_bit(8);
    at_once.add(-3, n);
    for (int i = 0; i < 62; ++i) bit_by_bit.add(-3, n & std::uint64_t{1} << i);
    EXPECT_EQ(at_once[-3], n);
    EXPECT_EQ(at_once[-2], 0U);
    EXPECT_EQ(at_once, bit_by_bit);
  }
  mirrored_counts counts(8);
  std::vector<std::uint32_t> more(16, 0xFFFFFFFFU);
  more[5] = 1;
  for (int i = 0; i < 3; ++i) counts.add_each(more.data());
  for (index k = -8; k < 8; ++k) {
    EXPECT_EQ(counts[k], std::uint64_t{3} * more[static_cast<std::size_t>(k + 8)]) << k;
  }
  counts.add(-3, limit - 4);
  counts.add_one(-3);
  EXPECT_EQ(counts[-3], limit);
  counts.add(counts);
  EXPECT_EQ(counts[-3], 2 * limit);
}

}  // namespace calib_mirrored_counts_test
