#include "fewbit/calib/percentile.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "calib/support.hpp"
#include "fewbit/calib/fixed_histogram.hpp"
#include "fewbit/calib/histogram_observer.hpp"

namespace calib_percentile_test {

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

constexpr float largest = std::numeric_limits<float>::max();

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
  // The published values are the lower edges of the bins, and they clip too many values.
  // by_percentile returns the upper edges.
  const double bin = 50.0 / 2048;
  EXPECT_NEAR(h.range(by_percentile{99.9}).hi, 3.271 + bin, 5e-4);
  EXPECT_NEAR(h.range(by_percentile{99.99}).hi, 3.906 + bin, 5e-4);
  EXPECT_NEAR(h.range(by_percentile{99.999}).hi, 4.395 + bin, 6e-4);
  EXPECT_NEAR(h.range(by_percentile{99.9999}).hi, 49.98 + bin, 5e-3);
}

TEST(percentile_test, published_values_with_bins_of_power_of_two) {
  histogram_observer h;
  h.observe(row_of(fewbit::tests::with_outlier(fewbit::tests::gaussian(), 50.0F)));
  const float bin = 1.0F / 32;
  ASSERT_EQ(h.width(), bin);
  EXPECT_EQ(h.range(by_percentile{99.9}).hi, 3.3125F);    // exact: 3.2934
  EXPECT_EQ(h.range(by_percentile{99.99}).hi, 3.9375F);   // exact: 3.9161
  EXPECT_EQ(h.range(by_percentile{99.999}).hi, 4.4375F);  // exact: 4.4172
  EXPECT_EQ(h.range(by_percentile{99.9999}).hi, 50.0F);
}

TEST(percentile_test, a_histogram_returns_the_bin_of_the_exact_value) {
  for (const auto& values : {fewbit::tests::wild_values(5000, 6, 1), one_to(3000)}) {
    histogram_observer h;
    h.observe(row_of(values));
    for (const double p : {60.0, 75.0, 90.0, 99.0, 99.9, 99.97}) {
      const float exact = exact_percentile(row_of(values), p);
      const float got = h.range(by_percentile{p}).hi;
      EXPECT_GE(got, exact);
      EXPECT_LE(got - static_cast<float>(h.width()), exact);
    }
  }
  fixed_histogram whole_numbers(10000.0F, 10000);
  whole_numbers.observe(row_of(one_to(10000)));
  EXPECT_EQ(whole_numbers.range(by_percentile{99.9}).hi, 9991.0F);  // the bin is [9990, 9991)
}

TEST(percentile_test, affine_cuts_half_of_the_share_at_each_end) {
  std::vector<float> values;
  for (int i = -300; i < 700; ++i) values.push_back(static_cast<float>(i) + 0.5F);
  fixed_histogram h(1000.0F, 1000);
  h.observe(row_of(values));
  // 50 values are clipped at each end. The extremes of the others are -249.5, in bin (-250, -249],
  // and 649.5, in bin [649, 650).
  EXPECT_EQ(h.range(by_percentile{90}, clip::affine), (range{-250, 650}));
  EXPECT_EQ(h.range(by_percentile{100}, clip::affine), (range{-299.5F, 699.5F}));
}

/// There are 1000 values with |x| from 0.5 to 999.5. 100 of them are clipped, all at the end far
/// from 0.
TEST(percentile_test, affine_cuts_one_sided_data_at_one_end) {
  std::vector<float> values;
  for (int i = 0; i < 1000; ++i) values.push_back(static_cast<float>(i) + 0.5F);
  fixed_histogram above(1000.0F, 1000);
  fixed_histogram below(1000.0F, 1000);
  above.observe(row_of(values));
  below.observe(-row_of(values));
  EXPECT_EQ(above.range(by_percentile{90}, clip::affine), (range{0.5F, 900}));
  EXPECT_EQ(below.range(by_percentile{90}, clip::affine), (range{-900, -0.5F}));
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
    EXPECT_EQ(constant.range(by_percentile{99}), (range{-std::abs(value), std::abs(value)}));
    EXPECT_EQ(constant.range(by_percentile{100}).hi, std::abs(value));
  }
}

/// Computes percentiles by sorting. A result may clip at most the given share, and may differ from
/// the exact percentile by one bin.
struct oracle {
  std::vector<float> values;
  std::vector<float> sizes = {};

  explicit oracle(std::vector<float> data) : values(std::move(data)) {
    std::sort(values.begin(), values.end());
    for (const float v : values) sizes.push_back(std::abs(v));
    std::sort(sizes.begin(), sizes.end());
  }

  /// The largest number of values that may be clipped at each of `ends` ends.
  /// @param share  the percentage to keep, in millionths of a percent
  [[nodiscard]] std::size_t may_clip(std::int64_t share, std::int64_t ends = 1) const {
    return static_cast<std::size_t>(static_cast<std::int64_t>(values.size()) * (100000000 - share) /
                                    (100000000 * ends));
  }

  [[nodiscard]] std::size_t clipped(const range& r) const {
    return static_cast<std::size_t>(
        std::count_if(values.begin(), values.end(), [&](float v) { return v < r.lo || v > r.hi; }));
  }

  /// The exact percentile plus one bin of 1/64 of it.
  static double with_a_bin(float exact) { return double{exact} * 65 / 64 + 1e-45; }

  void expect_symmetric(const range& r, std::int64_t share) const {
    EXPECT_EQ(r.lo, -r.hi);
    EXPECT_LE(clipped(r), may_clip(share));
    const float exact = sizes[sizes.size() - 1 - may_clip(share)];
    if (exact == 0) {
      EXPECT_EQ(r.hi, sizes.back());
    } else {
      EXPECT_LE(r.hi, with_a_bin(exact));
      EXPECT_LE(r.hi, sizes.back());
    }
  }

  void expect_affine(const range& r, std::int64_t share) const {
    EXPECT_LE(clipped(r), may_clip(share));
    const bool both = values.front() < 0 && values.back() > 0;
    const std::size_t cut = both ? may_clip(share, 2) : may_clip(share);
    const float hi = values[values.size() - 1 - (values.back() > 0 ? cut : 0)];
    const float lo = values[values.front() < 0 ? cut : 0];
    if (share == 100000000 || (lo == 0 && hi == 0)) {
      EXPECT_EQ(r, (range{values.front(), values.back()}));
      return;
    }
    EXPECT_LE(r.hi, hi > 0 ? with_a_bin(hi) : hi < 0 ? hi * 63.0 / 64 : 0);
    EXPECT_GE(r.lo, lo < 0 ? -with_a_bin(-lo) : lo > 0 ? lo * 63.0 / 64 : 0);
  }
};

/// Uniform and bell-shaped data without outliers, with and without zeros.
std::vector<std::vector<float>> bulks() {
  std::mt19937 random(11);
  std::vector<std::vector<float>> out(4);
  for (int i = 0; i < 4000; ++i) {
    const auto u = (static_cast<float>(random() >> 8U) + 0.5F) / 16777216.0F;
    out[0].push_back(u);
    out[1].push_back(i % 2 == 0 ? u : -u * 0.25F);
    out[2].push_back(i % 3 == 0 ? 0.0F : -u);
    out[3].push_back(fewbit::tests::gaussian()[static_cast<std::size_t>(i) * 25]);
  }
  return out;
}

/// The percentages to keep, in millionths of a percent.
constexpr std::int64_t shares[] = {1,        500000,   25000000, 50000000, 90000000,
                                   99000000, 99900000, 99990000, 100000000};

template <class H>
void expect_percentiles(H h, const std::vector<float>& values) {
  h.observe(row_of(values));
  const oracle want(values);
  for (const std::int64_t share : shares) {
    SCOPED_TRACE(share);
    const by_percentile method{static_cast<double>(share) / 1e6};
    want.expect_symmetric(h.range(method), share);
    want.expect_affine(h.range(method, clip::affine), share);
  }
}

TEST(percentile_test, most_values_keep_fine_bins_with_the_reported_outlier) {
  std::mt19937 random(5);
  std::vector<float> bulk;
  for (int i = 0; i < 10000; ++i)
    bulk.push_back((static_cast<float>(random() >> 8U) + 0.5F) / 16777216.0F);
  for (const float outlier : {1000.0F, 1024.0F, 1e30F, largest}) {
    for (const float sign : {1.0F, -1.0F}) {
      histogram_observer h;
      h.observe(row_of(fewbit::tests::with_outlier(bulk, sign * outlier)));
      EXPECT_NEAR(h.range(by_percentile{99.9}).hi, 0.999, 0.016);
      EXPECT_GE(h.range(by_percentile{99.9}).hi, exact_percentile(row_of(bulk), 99.9));
    }
  }
}

TEST(percentile_test, most_values_keep_fine_bins_with_outliers) {
  for (const auto& bulk : bulks()) {
    for (const float scale : {1.0F, 1e10F, 1e-30F, 1e-37F, 1e-41F}) {
      for (const float outlier :
           {0.0F, 3.0F, 1000.0F, -1024.0F, 1e30F, -1e30F, largest, -largest, 1e-30F, -1e-44F}) {
        SCOPED_TRACE(testing::Message() << scale << " " << outlier);
        std::vector<float> values = bulk;
        for (float& v : values) v *= scale;
        values.insert(values.begin() + 17, outlier);
        expect_percentiles(histogram_observer{}, values);
      }
    }
  }
}

TEST(percentile_test, holds_with_few_and_many_bins_and_given_ranges) {
  auto bulk = bulks()[3];
  bulk.insert(bulk.end(), {1e9F, -2e20F, 3e30F});
  for (const index bins : {16, 64, 128, 65536}) expect_percentiles(histogram_observer(bins), bulk);
  for (const float max : {1e-30F, 0.3F, 1.7F, 50.0F, 3e30F}) {
    for (const index bins : {1, 7, 2048}) expect_percentiles(fixed_histogram(max, bins), bulk);
  }
}

TEST(percentile_test, holds_for_data_of_many_octaves_and_for_little_data) {
  for (const int octaves : {2, 8, 16, 22}) {
    expect_percentiles(histogram_observer{}, fewbit::tests::wild_values(5000, octaves, 4));
  }
  for (const auto& values :
       std::vector<std::vector<float>>{{1},
                                       {-1},
                                       {0},
                                       {1, 2},
                                       {-1, 2},
                                       {-3, -2},
                                       {0, 5},
                                       {0, 0, -5},
                                       {2, 2, 2},
                                       {1e-45F, 1},
                                       {-1e-45F, 1e-45F},
                                       {largest, -largest},
                                       {largest, 1e-45F, 0, -1e-45F, -largest}}) {
    expect_percentiles(histogram_observer{}, values);
    expect_percentiles(histogram_observer(16), values);
    expect_percentiles(fixed_histogram(2.0F, 5), values);
  }
}

/// Octaves below the 20 highest have bins of relative width 1/4. Even there, at most the given
/// share of the values is clipped.
TEST(percentile_test, never_clips_too_many_values_in_coarse_bins) {
  for (const int octaves : {60, 120, 240}) {
    auto values = fewbit::tests::wild_values(3000, octaves, 2);
    values.insert(values.end(), {1e-45F, -1e-45F, largest, -largest});
    histogram_observer h;
    h.observe(row_of(values));
    const oracle want(values);
    for (const std::int64_t share : shares) {
      const range r = h.range(by_percentile{static_cast<double>(share) / 1e6});
      EXPECT_LE(want.clipped(r), want.may_clip(share));
      const float exact = want.sizes[values.size() - 1 - want.may_clip(share)];
      EXPECT_LE(r.hi, exact != 0 ? double{exact} * 1.25 : double{want.sizes.back()});
      EXPECT_LE(
          want.clipped(h.range(by_percentile{static_cast<double>(share) / 1e6}, clip::affine)),
          want.may_clip(share));
    }
  }
}

TEST(percentile_test, order_batches_and_merging_do_not_matter_with_outliers) {
  for (const float outlier : {1024.0F, -1e30F}) {
    auto values = bulks()[3];
    values.insert(values.begin() + 5, outlier);
    fewbit::tests::expect_order_batches_and_merging_do_not_matter(histogram_observer{}, values);
    fewbit::tests::expect_order_batches_and_merging_do_not_matter(fixed_histogram(3.0F), values);
    histogram_observer last;
    histogram_observer first;
    last.observe(row_of({values.begin() + 6, values.end()}));
    last.observe(row_of({values.begin(), values.begin() + 6}));
    first.observe(row_of({outlier}));
    values.erase(values.begin() + 5);
    for (const float v : values) first.observe(row_of({v}));
    EXPECT_EQ(first, last);
    EXPECT_EQ(histogram_observer::from_text(first.to_text()), last);
  }
}

TEST(percentile_test, scaling_by_a_power_of_two_scales_the_range) {
  auto values = bulks()[1];
  values.push_back(1e6F);
  histogram_observer h;
  h.observe(row_of(values));
  for (const float scale : {0x1p-60F, 0.5F, 8.0F, 0x1p90F}) {
    histogram_observer scaled;
    scaled.observe(row_of(values) * scale);
    for (const double p : {50.0, 99.0, 99.9}) {
      EXPECT_EQ(scaled.range(by_percentile{p}).hi, h.range(by_percentile{p}).hi * scale);
      const range r = h.range(by_percentile{p}, clip::affine);
      EXPECT_EQ(scaled.range(by_percentile{p}, clip::affine), (range{r.lo * scale, r.hi * scale}));
    }
  }
}

TEST(percentile_test, searches_a_histogram_of_the_program) {
  fewbit::histogram h;
  h.counts = {90, 5, 5};
  h.width = 0.5;
  h.extremes = {-7.0F, 1.3F};
  EXPECT_EQ(by_percentile{90}(h), (range{-0.5F, 0.5F}));
  EXPECT_EQ(by_percentile{91}(h), (range{-1.0F, 1.0F}));
  // The last bin also counts values above the last edge.
  EXPECT_EQ(by_percentile{96}(h), (range{-7.0F, 7.0F}));
  h.split = 1;
  h.narrow = {{0, 0, 10}, {0.125, 0.25, 80}};
  EXPECT_EQ(by_percentile{90}(h), (range{-0.25F, 0.25F}));
  const std::string words =
      "fewbit: by_percentile: histogram.narrow is a count of other values, expected the values of "
      "the bins that it splits";
  for (const std::vector<fewbit::small_bin>& narrow :
       std::vector<std::vector<fewbit::small_bin>>{{},
                                                   {{0, 0, 10}},
                                                   {{0.125, 0.25, 91}},
                                                   {{0.5, 0.75, 90}},
                                                   {{-0.25, -0.125, 90}},
                                                   {{0.125, 0.25, 10}, {0.125, 0.25, 80}},
                                                   {{0.25, 0.125, 90}},
                                                   {{-0.5, 0.25, 90}}}) {
    h.narrow = narrow;
    expect_error([&] { (void)by_percentile{90}(h); }, words);
  }
  h.split = -1;
  expect_error([&] { (void)by_percentile{90}(h); }, words);
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
               "fewbit: exact_percentile: x is 0 x 2, expected at least one row and one column");
  expect_error(
      [] {
        (void)exact_percentile(row_of({1, std::nanf("")}), 50);
      },
      "fewbit: exact_percentile: x(0, 1) is nan, expected a finite number");
}

}  // namespace calib_percentile_test
