#include "fewbit/codebook/row_table.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace fewbit { namespace codebook_row_table_test {

TEST(row_table, finds_equal_rows_and_adds_different_ones) {
  const std::vector<float> rows = {1, 2, 1, 2, 2, 1, -0.0F, 3, 0.0F, 3};
  detail::row_table table(5);
  const auto row = [&](index i) { return &rows[static_cast<std::size_t>(2 * i)]; };
  std::vector<std::int32_t> numbers;
  for (std::int32_t i = 0; i < 5; ++i) numbers.push_back(table.find_or_add(i, row, row(i), 2, 1));
  EXPECT_EQ(numbers, (std::vector<std::int32_t>{0, 0, 2, 3, 3}));
  table.clear();
  EXPECT_EQ(table.find_or_add(4, row, row(4), 2, 1), 4);
}

TEST(row_table, reads_coordinates_with_a_step) {
  // Two rows of three coordinates, side by side, and the first row again.
  const std::vector<float> columns = {1, 4, 1, 2, 5, 2, 3, 6, 3};
  detail::row_table table(3);
  const auto row = [&](index i) { return &columns[static_cast<std::size_t>(i)]; };
  EXPECT_EQ(table.find_or_add(0, row, row(0), 3, 3), 0);
  EXPECT_EQ(table.find_or_add(1, row, row(1), 3, 3), 1);
  EXPECT_EQ(table.find_or_add(2, row, row(2), 3, 3), 0);
}

TEST(row_table, holds_as_many_rows_as_it_was_made_for) {
  std::vector<float> rows;
  for (int i = 0; i < 1000; ++i) rows.push_back(static_cast<float>(i % 500));
  detail::row_table table(500);
  const auto row = [&](index i) { return &rows[static_cast<std::size_t>(i)]; };
  for (std::int32_t i = 0; i < 1000; ++i)
    ASSERT_EQ(table.find_or_add(i, row, row(i), 1, 1), i % 500) << i;
}

}  // namespace codebook_row_table_test
}  // namespace fewbit
