#include "fewbit/arch/transpose.hpp"

#include <gtest/gtest.h>

#include <cstdint>

namespace arch_transpose_test {

using fewbit::arch::vec;

template <class T, int N>
void expect_columns() {
  vec<T, N> rows[N];
  for (int i = 0; i < N; ++i) {
    for (int j = 0; j < N; ++j) rows[i].set(j, static_cast<T>(i * N + j));
  }
  fewbit::arch::transpose(rows);
  for (int i = 0; i < N; ++i) {
    for (int j = 0; j < N; ++j) EXPECT_EQ(rows[i][j], static_cast<T>(j * N + i)) << N;
  }
}

TEST(transpose, turns_rows_into_columns) {
  expect_columns<std::uint32_t, 2>();
  expect_columns<std::uint32_t, 4>();
  expect_columns<std::uint32_t, 8>();
  expect_columns<std::uint32_t, 16>();
  expect_columns<std::uint64_t, 4>();
  expect_columns<std::uint64_t, 8>();
  expect_columns<std::uint16_t, 16>();
}

template <int N>
void expect_smallest_of_rows() {
  vec<float, N> rows[N];
  for (int i = 0; i < N; ++i) {
    for (int j = 0; j < N; ++j) rows[i].set(j, static_cast<float>(i + (j * 7 + i * 5) % N * 100));
  }
  const auto smallest = fewbit::arch::fold_rows(
      rows, [](const auto& a, const auto& b) { return fewbit::arch::min(a, b); });
  for (int i = 0; i < N; ++i) EXPECT_EQ(smallest[i], static_cast<float>(i)) << N;
}

TEST(fold_rows, reduces_each_row_to_one_lane) {
  expect_smallest_of_rows<2>();
  expect_smallest_of_rows<4>();
  expect_smallest_of_rows<8>();
  expect_smallest_of_rows<16>();
}

}  // namespace arch_transpose_test
