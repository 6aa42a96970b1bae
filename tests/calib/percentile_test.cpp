#include "fewbit/calib/percentile.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "calib/support.hpp"
#include "fewbit/calib/fixed_histogram.hpp"
#include "fewbit/calib/histogram_observer.hpp"

namespace {

using fewbit::by_percentile;
using fewbit::clip;
using fewbit::exact_percentile;
using fewbit::fixed_histogram;
using fewbit::histogram_observer;
using fewbit::index;
using fewbit::range;
using fewbit::tests::expect_error;
using fewbit::tests::matrix;
using fewbit::tests::row_of;

std::vector<float> one_to(int n) {
  std::vector<float> values;
  for (int i = 1; i <= n; ++i) values.push_back(static_cast<float>(i % 2 == 0 ? i : -i));
  return values;
}

TEST(percentile_test, exact_percentile_is_the_kth_smallest_magnitude) {
  EXPECT_EQ(exact_percentile(row_of(one_to(10000)), 99.9), 9990.0F);
  EXPECT_EQ(exact_percentile(row_of(one_to(10000)), 99.99), 9999.0F);
  EXPECT_EQ(exact_percentile(row_of(one_to(10000)), 99.995), 10000.0F);
  EXPECT_EQ(exact_percentile(row_of(one_to(10000)), 100), 10000.0F);
  EXPECT_EQ(exact_percentile(row_of(one_to(10000)), 1e-9), 1.0F);
  EXPECT_EQ(exact_percentile(row_of({-7}), 50), 7.0F);
  const matrix x = Eigen::Map<const matrix>(one_to(12).data(), 3, 4);
  EXPECT_EQ(exact_percentile(x.leftCols(2), 50), 5.0F);
}

TEST(percentile_test, rank_is_the_first_at_or_above_the_share) {
  for (int n = 1; n <= 3000; n += 37) {
    for (int per_mille = 1; per_mille <= 1000; ++per_mille) {
      const auto want = static_cast<std::uint64_t>((std::int64_t{n} * per_mille + 999) / 1000);
      EXPECT_EQ(fewbit::detail::rank(static_cast<std::uint64_t>(n), per_mille / 10.0), want);
    }
  }
  EXPECT_EQ(fewbit::detail::rank(std::uint64_t{1} << 62, 100.0), std::uint64_t{1} << 62);
}

TEST(percentile_test, published_values_with_linear_bins) {
  fixed_histogram h(50.0F);
  h.observe(row_of(fewbit::tests::with_outlier(fewbit::tests::gaussian(), 50.0F)));
  EXPECT_NEAR(h.range(by_percentile{99.9}).hi, 3.271, 5e-4);
  EXPECT_NEAR(h.range(by_percentile{99.99}).hi, 3.906, 5e-4);
  EXPECT_NEAR(h.range(by_percentile{99.999}).hi, 4.395, 6e-4);
  EXPECT_NEAR(h.range(by_percentile{99.9999}).hi, 49.98, 5e-3);
}

TEST(percentile_test, published_values_with_bins_of_power_of_two) {
  histogram_observer h;
  h.observe(row_of(fewbit::tests::with_outlier(fewbit::tests::gaussian(), 50.0F)));
  const float bin = 1.0F / 32;
  ASSERT_EQ(h.width(), bin);
  EXPECT_NEAR(h.range(by_percentile{99.9}).hi, 3.271, bin);
  EXPECT_NEAR(h.range(by_percentile{99.99}).hi, 3.906, bin);
  EXPECT_NEAR(h.range(by_percentile{99.999}).hi, 4.395, bin);
  EXPECT_NEAR(h.range(by_percentile{99.9999}).hi, 49.98, bin);
}

TEST(percentile_test, a_histogram_answers_the_bin_of_the_exact_value) {
  for (const auto& values : {fewbit::tests::wild_values(5000, 6, 1), one_to(3000)}) {
    histogram_observer h;
    h.observe(row_of(values));
    for (const double p : {60.0, 75.0, 90.0, 99.0, 99.9, 99.97}) {
      const float exact = exact_percentile(row_of(values), p);
      const float got = h.range(by_percentile{p}).hi;
      EXPECT_LE(got, exact);
      EXPECT_GT(got + static_cast<float>(h.width()), exact);
    }
  }
  fixed_histogram whole_numbers(10000.0F, 10000);
  whole_numbers.observe(row_of(one_to(10000)));
  EXPECT_EQ(whole_numbers.range(by_percentile{99.9}).hi, 9990.0F);
}

TEST(percentile_test, affine_cuts_half_of_the_share_at_each_end) {
  std::vector<float> values;
  for (int i = -300; i < 700; ++i) values.push_back(static_cast<float>(i) + 0.5F);
  fixed_histogram h(1000.0F, 1000);
  h.observe(row_of(values));
  // 50 are cut at each end: the first kept are -249.5, in (-250, -249], and 649.5, in [649, 650).
  EXPECT_EQ(h.range(by_percentile{90}, clip::affine), (range{-249, 649}));
  EXPECT_EQ(h.range(by_percentile{100}, clip::affine), (range{-299.5F, 699.5F}));
}

/// 1000 values from 0.5 to 999.5: 100 are cut, all on the side that has a tail.
TEST(percentile_test, affine_cuts_the_whole_share_of_one_sided_data_at_their_one_end) {
  std::vector<float> values;
  for (int i = 0; i < 1000; ++i) values.push_back(static_cast<float>(i) + 0.5F);
  fixed_histogram above(1000.0F, 1000);
  fixed_histogram below(1000.0F, 1000);
  above.observe(row_of(values));
  below.observe(-row_of(values));
  EXPECT_EQ(above.range(by_percentile{90}, clip::affine), (range{0.5F, 899}));
  EXPECT_EQ(below.range(by_percentile{90}, clip::affine), (range{-899, -0.5F}));
}

TEST(percentile_test, negating_the_data_negates_the_affine_range) {
  auto values = fewbit::tests::wild_values(4000, 5, 8);
  for (std::size_t i = 0; i < values.size(); i += 2) values[i] = std::abs(values[i]);
  histogram_observer h;
  histogram_observer mirrored;
  h.observe(row_of(values));
  mirrored.observe(-row_of(values));
  for (const double p : {50.0, 90.0, 99.0, 99.9, 100.0}) {
    const range r = h.range(by_percentile{p}, clip::affine);
    const range m = mirrored.range(by_percentile{p}, clip::affine);
    EXPECT_EQ(r, (range{-m.hi, -m.lo}));
    EXPECT_LT(r.lo, r.hi);
    EXPECT_EQ(h.range(by_percentile{p}), mirrored.range(by_percentile{p}));
  }
}

TEST(percentile_test, sparse_and_constant_data_give_their_extremes) {
  std::vector<float> sparse(1000, 0.0F);
  sparse[3] = 5.0F;
  sparse[4] = -2.0F;
  histogram_observer h;
  h.observe(row_of(sparse));
  EXPECT_EQ(h.range(by_percentile{99}), (range{-5, 5}));
  EXPECT_EQ(h.range(by_percentile{99}, clip::affine), (range{-2, 5}));
  for (const float value : {0.0F, 3.1F, -3.1F, 1e-45F, 3e38F}) {
    histogram_observer constant;
    constant.observe(row_of({value, value}));
    EXPECT_EQ(constant.range(by_percentile{99}, clip::affine), (range{value, value}));
    const range r = constant.range(by_percentile{99});
    EXPECT_LE(r.hi, std::abs(value));
    EXPECT_GE(r.hi, std::abs(value) * 0.999F);
    EXPECT_EQ(r.lo, -r.hi);
    EXPECT_EQ(constant.range(by_percentile{100}).hi, std::abs(value));
  }
}

TEST(percentile_test, rejects_bad_shares_and_data) {
  histogram_observer h;
  h.observe(row_of({1, 2}));
  for (const double p : {0.0, -1.0, 100.5, std::nan("")}) {
    const std::string end =
        ": p is " + fewbit::detail::text(p) + ", expected above 0 and at most 100";
    expect_error([&] { (void)h.range(by_percentile{p}); }, "fewbit: by_percentile" + end);
    expect_error([&] { (void)exact_percentile(row_of({1}), p); }, "fewbit: exact_percentile" + end);
  }
  expect_error([] { (void)exact_percentile(matrix(0, 2), 50); },
               "fewbit: exact_percentile: count of observed values is 0, expected at least 1");
  expect_error(
      [] {
        (void)exact_percentile(row_of({1, std::nanf("")}), 50);
      },
      "fewbit: exact_percentile: x(0, 1) is nan, expected a finite number");
}

}  // namespace
