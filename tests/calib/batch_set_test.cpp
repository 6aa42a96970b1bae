#include "fewbit/calib/batch_set.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "calib/support.hpp"

namespace calib_batch_set_test {

using fewbit::batch_set;
using fewbit::tests::expect_error;

TEST(batch_set, equals_a_set_of_numbers) {
  std::mt19937 random(1);
  for (int trial = 0; trial < 50; ++trial) {
    batch_set numbers;
    std::set<std::uint64_t> want;
    for (int i = 0; i < 100; ++i) {
      const std::uint64_t n = random() % 120;
      if (!want.insert(n).second) continue;
      numbers.add(n);
      for (std::uint64_t k = 0; k < 122; ++k) ASSERT_EQ(numbers.contains(k), want.count(k) == 1);
    }
    EXPECT_EQ(numbers.count(), want.size());
    batch_set ascending;
    for (const std::uint64_t n : want) ascending.add(n);
    EXPECT_EQ(ascending, numbers);
  }
}

TEST(batch_set, neighbours_take_the_memory_of_one_range) {
  batch_set numbers;
  for (std::uint64_t n = 0; n < 100000; ++n) numbers.add(n);
  EXPECT_EQ(numbers.count(), 100000U);
  EXPECT_LE(numbers.bytes(), sizeof(batch_set) + 16);
}

TEST(batch_set, merging_is_the_union_in_either_order) {
  std::mt19937 random(2);
  for (int trial = 0; trial < 50; ++trial) {
    batch_set left, right, both;
    for (std::uint64_t n = 0; n < 60; ++n) {
      if (random() % 5 == 0) continue;
      (random() % 2 == 0 ? left : right).add(n);
      both.add(n);
    }
    batch_set other = right;
    other.merge(left);
    left.merge(right);
    EXPECT_EQ(left, both);
    EXPECT_EQ(other, both);
  }
}

TEST(batch_set, refuses_a_number_twice_and_stays_as_it_was) {
  batch_set numbers;
  for (const std::uint64_t n : {3U, 4U, 9U}) numbers.add(n);
  const batch_set before = numbers;
  for (const std::uint64_t n : {3U, 4U, 9U}) {
    expect_error([&] { numbers.add(n); }, "fewbit: batch_set::add: number of a batch is " +
                                              std::to_string(n) +
                                              ", expected a batch that was not seen before");
    batch_set one;
    one.add(n);
    expect_error([&] { numbers.merge(one); },
                 "fewbit: batch_set::merge: number of a batch of other is " + std::to_string(n) +
                     ", expected a batch that was not seen before");
  }
  EXPECT_EQ(numbers, before);
}

TEST(batch_set, has_a_largest_number_and_a_largest_count_of_ranges) {
  batch_set numbers;
  numbers.add(batch_set::largest);
  EXPECT_TRUE(numbers.contains(batch_set::largest));
  expect_error([&] { numbers.add(batch_set::largest + 1); },
               "fewbit: batch_set::add: number of a batch is 4611686018427387903, expected at most "
               "4611686018427387902");
  for (std::uint64_t n = 1; n < batch_set::most_ranges; ++n) numbers.add(2 * n);
  const batch_set full = numbers;
  expect_error([&] { numbers.add(2 * batch_set::most_ranges); },
               "fewbit: batch_set::add: ranges of batches is 65537, expected at most 65536: "
               "neighbouring numbers form one range");
  batch_set one;
  one.add(0);
  expect_error([&] { numbers.merge(one); },
               "fewbit: batch_set::merge: ranges of batches is 65537, expected at most 65536: "
               "neighbouring numbers form one range");
  EXPECT_EQ(numbers, full);
  numbers.add(3);
}

}  // namespace calib_batch_set_test
