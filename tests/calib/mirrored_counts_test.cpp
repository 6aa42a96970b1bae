#include "fewbit/calib/mirrored_counts.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

namespace {

using fewbit::index;
using fewbit::detail::mirrored_counts;

/// Bin k holds 10^(k + 4), so that a sum tells which bins are in it.
mirrored_counts example() {
  mirrored_counts counts(4);
  std::uint64_t value = 1;
  for (index k = -4; k < 4; ++k, value *= 10) counts[k] = value;
  return counts;
}

TEST(mirrored_counts_test, merges_neighbours_on_both_sides) {
  mirrored_counts counts = example();
  counts.coarsen(0);
  EXPECT_EQ(counts, example());
  counts.coarsen(1);
  EXPECT_EQ(counts.all(), (std::vector<std::uint64_t>{0, 0, 11, 1100, 110000, 11000000, 0, 0}));
  mirrored_counts twice = example();
  twice.coarsen(2);
  counts.coarsen(1);
  EXPECT_EQ(counts, twice);
  EXPECT_EQ(counts.all(), (std::vector<std::uint64_t>{0, 0, 0, 1111, 11110000, 0, 0, 0}));
  counts.coarsen(300);
  EXPECT_EQ(counts, twice);
}

TEST(mirrored_counts_test, folds_and_cuts) {
  EXPECT_EQ(example().of_magnitudes(3, 0.5).counts,
            (std::vector<std::uint64_t>{11000, 100100, 1000010}));
  const fewbit::histogram cut = example().of_values(-1, 2, 0.5);
  EXPECT_EQ(cut.counts, (std::vector<std::uint64_t>{1000, 10000, 100000}));
  EXPECT_EQ(cut.zero, 1);
  EXPECT_EQ(cut.width, 0.5);
}

}  // namespace
