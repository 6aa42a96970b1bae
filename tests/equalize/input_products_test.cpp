#include "fewbit/equalize/input_products.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "equalize/matrices.hpp"
#include "fewbit/core/executor_adapters.hpp"
#include "support/reverse_executor.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace equalize_input_products_test {

using tests::lcg_floats;

bool are_equal(const input_products& a, const input_products& b) {
  bool equal = a.inputs() == b.inputs() && a.rows() == b.rows();
  for (index i = 0; i < a.inputs(); ++i) {
    equal = equal && a.mean_magnitude(i) == b.mean_magnitude(i);
    for (index j = 0; j < a.inputs(); ++j) equal = equal && a(i, j) == b(i, j);
  }
  return equal;
}

TEST(input_products, equal_sums_over_the_rows_in_order) {
  for (const index k : {1, 3, 31, 32, 33, 70}) {
    const row_matrix<float> x = lcg_floats(37, k, 5);
    input_products h(k);
    h.add(x);
    EXPECT_EQ(h.rows(), 37);
    for (index i = 0; i < k; ++i) {
      double magnitudes = 0.0;
      for (index r = 0; r < 37; ++r) magnitudes += std::abs(double{x(r, i)});
      EXPECT_EQ(h.mean_magnitude(i), magnitudes / 37.0);
      for (index j = 0; j < k; ++j) {
        double sum = 0.0;
        for (index r = 0; r < 37; ++r) sum += double{x(r, i)} * double{x(r, j)};
        ASSERT_EQ(h(i, j), sum) << "k=" << k << " i=" << i << " j=" << j;
      }
      EXPECT_EQ(h.mean_squares()[static_cast<std::size_t>(i)], static_cast<float>(h(i, i) / 37.0));
    }
    EXPECT_EQ(h.bytes(), input_products::bytes_for(k));
  }
}

TEST(input_products, do_not_depend_on_batches_or_executors) {
  const row_matrix<float> x = lcg_floats(300, 45, 6);
  input_products whole(45), pieces(45), threads(45), reversed(45);
  whole.add(x);
  for (index first = 0; first < 300; first += 7) {
    pieces.add(x.middleRows(first, std::min<index>(7, 300 - first)));
  }
  threads.add(x, thread_executor{3});
  reversed.add(x, tests::reverse_executor{});
  EXPECT_TRUE(are_equal(whole, pieces));
  EXPECT_TRUE(are_equal(whole, threads));
  EXPECT_TRUE(are_equal(whole, reversed));
}

TEST(input_products, merge_in_either_order) {
  const row_matrix<float> x = lcg_floats(50, 9, 7);
  input_products whole(9), a(9), b(9);
  whole.add(x);
  a.add(x.topRows(20));
  b.add(x.bottomRows(30));
  input_products ab = a, ba = b;
  ab.merge(b);
  ba.merge(a);
  EXPECT_TRUE(are_equal(ab, ba));
  EXPECT_EQ(ab.rows(), 50);
  for (index i = 0; i < 9; ++i) EXPECT_NEAR(ab(i, 8), whole(i, 8), 1e-14);
}

TEST(input_products, squared_error_is_that_of_outputs) {
  for (const index k : {1, 8, 33, 100}) {
    const row_matrix<float> x = lcg_floats(40, k, 8), d = lcg_floats(70, k, 9);
    input_products h(k);
    h.add(x);
    const double want = tests::output_error(x, d, row_matrix<float>::Zero(70, k));
    EXPECT_NEAR(h.squared_error(d), want, 1e-12 * want);
    EXPECT_EQ(h.squared_error(d), h.squared_error(d, tests::reverse_executor{}));
  }
}

#if FEWBIT_HAS_EXCEPTIONS

TEST(input_products, refuse_bad_input_and_stay_as_they_were) {
  EXPECT_EQ(tests::sentence_of([] { return input_products(0); }),
            "fewbit: input_products: inputs is 0, expected 1 to 2^24 - 1");
  input_products h(3);
  row_matrix<float> x = lcg_floats(4, 3, 1);
  h.add(x);
  const input_products before = h;
  x(2, 1) = std::numeric_limits<float>::quiet_NaN();
  const auto add = [&](const row_matrix<float>& rows) {
    return tests::sentence_of([&] { return h.add(rows), 0; });
  };
  EXPECT_EQ(add(x), "fewbit: input_products::add: x(2, 1) is nan, expected a finite number");
  EXPECT_EQ(add(lcg_floats(2, 4, 1)), "fewbit: input_products::add: x.cols() is 4, expected 3");
  EXPECT_EQ(add(row_matrix<float>(0, 3)),
            "fewbit: input_products::add: x is 0 x 3, expected at least one row and one column");
  EXPECT_EQ(tests::sentence_of([&] { return h.merge(input_products(2)), 0; }),
            "fewbit: input_products::merge: other.inputs() is 2, expected 3");
  EXPECT_EQ(tests::sentence_of([&] { return h.squared_error(lcg_floats(2, 4, 1)); }),
            "fewbit: input_products::squared_error: d.cols() is 4, expected 3");
  EXPECT_TRUE(are_equal(h, before));
}

#endif

}}  // namespace fewbit::equalize_input_products_test
