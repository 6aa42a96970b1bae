#include "fewbit/core/rows.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "support/sentence.hpp"

namespace fewbit { namespace core_rows_test {

/// 0, 1, 2 ... in row order.
row_matrix<float> counting(index rows, index cols) {
  row_matrix<float> w(rows, cols);
  for (index i = 0; i < w.size(); ++i) w.data()[i] = static_cast<float>(i);
  return w;
}

TEST(rows, runs_cover_a_matrix_in_row_order) {
  const row_matrix<float> all = counting(5, 7);
  const auto expect_runs = [](const detail::matrix_ref& x, int runs) {
    std::vector<float> seen;
    int calls = 0;
    detail::for_each_run(x, [&](const float* p, index n) {
      seen.insert(seen.end(), p, p + n);
      ++calls;
    });
    EXPECT_EQ(calls, runs);
    ASSERT_EQ(static_cast<index>(seen.size()), x.size());
    for (index i = 0; i < x.size(); ++i) {
      EXPECT_EQ(seen[static_cast<std::size_t>(i)], x(i / x.cols(), i % x.cols()));
    }
  };
  expect_runs(all, 1);
  expect_runs(all.block(1, 2, 3, 4), 3);
  expect_runs(row_matrix<float>(0, 4), 0);
  EXPECT_EQ(*detail::row_of(all.block(1, 2, 3, 4), 2), 23.0F);
}

TEST(rows, finite_runs_leave_out_non_finite_values) {
  row_matrix<float> w = counting(3, 5000);
  w(0, 0) = std::numeric_limits<float>::infinity();
  w(1, 4096) = std::numeric_limits<float>::quiet_NaN();
  w(2, 4999) = -std::numeric_limits<float>::infinity();
  std::vector<float> seen;
  detail::for_each_finite_run(w, false,
                              [&](const float* p, index n) { seen.insert(seen.end(), p, p + n); });
  std::vector<float> expected;
  for (int i = 1; i < 14999; ++i) {
    if (i != 9096) expected.push_back(static_cast<float>(i));
  }
  EXPECT_EQ(seen, expected);
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(rows, the_first_value_that_is_not_finite_is_named) {
  row_matrix<float> w = counting(3, 40);
  const auto failure = [&] {
    return tests::sentence_of([&] { detail::expect_finite("f", "w", w); });
  };
  EXPECT_EQ(failure(), "no error");
  w(2, 0) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(failure(), "fewbit: f: w(2, 0) is nan, expected a finite number");
  w(1, 39) = -std::numeric_limits<float>::infinity();
  EXPECT_EQ(failure(), "fewbit: f: w(1, 39) is -inf, expected a finite number");
  w.resize(0, 3);
  EXPECT_EQ(failure(), "fewbit: f: w is 0 x 3, expected at least one row and one column");
}

TEST(rows, another_shape_is_named) {
  const auto failure = [](index rows, index cols) {
    return tests::sentence_of([&] { detail::expect_same_shape("f", "w", 2, 3, rows, cols); });
  };
  EXPECT_EQ(failure(2, 3), "no error");
  EXPECT_EQ(failure(3, 2), "fewbit: f: w is 3 x 2, expected 2 x 3");
}
#endif

}  // namespace core_rows_test
}  // namespace fewbit
