#include "fewbit/arch/transpose.hpp"

#include <gtest/gtest.h>

#include <cstdint>

namespace {

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

TEST(transpose, makes_columns_of_rows) {
  expect_columns<std::uint32_t, 2>();
  expect_columns<std::uint32_t, 4>();
  expect_columns<std::uint32_t, 8>();
  expect_columns<std::uint32_t, 16>();
  expect_columns<std::uint64_t, 4>();
  expect_columns<std::uint64_t, 8>();
  expect_columns<std::uint16_t, 16>();
}

}  // namespace
