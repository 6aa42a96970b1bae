#include "fewbit/calib/fixed_histogram.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "calib/support.hpp"

namespace calib_fixed_histogram_test {

using fewbit::clip;
using fewbit::fixed_histogram;
using fewbit::histogram;
using fewbit::index;
using fewbit::nan_policy;
using fewbit::range;
using fewbit::tests::expect_error;
using fewbit::tests::row_of;
using fewbit::tests::wild_values;

static_assert(fewbit::MergeableObserver<fixed_histogram>);

constexpr float nan = std::numeric_limits<float>::quiet_NaN();
constexpr float inf = std::numeric_limits<float>::infinity();

fixed_histogram seen(float max, index bins, const std::vector<float>& values) {
  fixed_histogram o(max, bins);
  o.observe(row_of(values));
  return o;
}

TEST(fixed_histogram_test, counts_between_its_edges) {
  std::mt19937 random(1);
  for (const float max : {1.0F, 0.3F, 4.417F, 1e-40F, 3e38F}) {
    for (const index bins : {1, 3, 100, 2048}) {
      std::vector<float> values;
      for (int i = 0; i < 2000; ++i) {
        const double share = static_cast<double>(random()) / 2147483648.0 - 1.0;
        values.push_back(static_cast<float>(share * max));
      }
      for (index k = 1; k < bins; k += 7) {
        const double edge = static_cast<double>(k) * (double{max} / static_cast<double>(bins));
        values.push_back(static_cast<float>(edge));
        values.push_back(-static_cast<float>(edge));
      }
      values.push_back(max);
      const histogram h = seen(max, bins, values).snapshot(clip::symmetric);
      ASSERT_EQ(h.bins(), bins);
      std::vector<double> sizes;
      for (const float v : values) sizes.push_back(std::abs(double{v}));
      std::sort(sizes.begin(), sizes.end());
      for (index k = 0; k < bins; ++k) {
        const auto below = [&](index edge) {
          if (edge == bins) return sizes.end();
          return std::lower_bound(sizes.begin(), sizes.end(), h.edge(edge));
        };
        ASSERT_EQ(h.count(k), static_cast<std::uint64_t>(below(k + 1) - below(k)))
            << max << " " << bins << " " << k;
      }
    }
  }
}

TEST(fixed_histogram_test, mirrors_the_two_sides) {
  const histogram h = seen(4, 4, {0.5F, 1, 1.5F, -1, -1, -0.0F, 4}).snapshot(clip::affine);
  EXPECT_EQ(h.zero, 4);
  EXPECT_EQ(h.counts, (std::vector<std::uint64_t>{0, 0, 2, 0, 2, 2, 0, 1}));
  EXPECT_EQ(h.extremes, (range{-1, 4}));
}

TEST(fixed_histogram_test, clips_into_the_last_bin_and_counts_it) {
  const fixed_histogram o = seen(2, 4, {1, 2, 2.5F, -1e30F, 3e38F});
  EXPECT_EQ(o.clipped(), 3U);
  EXPECT_EQ(o.count(), 5U);
  EXPECT_EQ(o.range(), (range{-1e30F, 3e38F}));
  EXPECT_EQ(o.snapshot(clip::symmetric).counts, (std::vector<std::uint64_t>{0, 0, 1, 4}));
}

TEST(fixed_histogram_test, order_batches_and_merging_do_not_matter) {
  fewbit::tests::expect_order_batches_and_merging_do_not_matter(fixed_histogram(8, 50),
                                                                wild_values(999, 10, 2));
}

TEST(fixed_histogram_test, merges_equal_settings_only) {
  fixed_histogram o = seen(2, 4, {1});
  const fixed_histogram before = o;
  expect_error([&] { o.merge(fixed_histogram(3, 4)); },
               "fewbit: fixed_histogram::merge: max of other is 3, expected 2");
  expect_error([&] { o.merge(fixed_histogram(2, 5)); },
               "fewbit: fixed_histogram::merge: bins of other is 5, expected 4");
  expect_error([&] { o.merge(fixed_histogram(2, 4, nan_policy::skip)); },
               "fewbit: fixed_histogram::merge: nan_policy of other is skip, expected fail");
  EXPECT_EQ(o, before);
}

TEST(fixed_histogram_test, counts_above_the_limit_are_refused) {
  fixed_histogram o = seen(2, 4, {1, -5});
  for (int i = 0; i < 60; ++i) o.merge(o);
  EXPECT_EQ(o.count(), std::uint64_t{1} << 61U);
  EXPECT_EQ(o.clipped(), std::uint64_t{1} << 60U);
  EXPECT_EQ(fixed_histogram::from_text(o.to_text()), o);
  const fixed_histogram before = o;
  expect_error([&] { o.merge(before); },
               "fewbit: fixed_histogram::merge: count of observed values is 4611686018427387904, "
               "expected at most 4611686018427387903");
  expect_error([&] { o.observe(fewbit::tests::matrix(2, 0)); },
               "fewbit: fixed_histogram::observe: x is 2 x 0, expected at least one row and one "
               "column");
  EXPECT_EQ(o, before);
}

TEST(fixed_histogram_test, rejects_bad_settings) {
  for (const float max : {0.0F, -1.0F, nan, inf}) {
    expect_error([&] { fixed_histogram o(max); }, "fewbit: fixed_histogram: max is " +
                                                      fewbit::detail::text(max) +
                                                      ", expected a finite number above 0");
  }
  for (const index bins : {-1, 0, 65537}) {
    expect_error(
        [&] { fixed_histogram o(1, bins); },
        "fewbit: fixed_histogram: bins is " + std::to_string(bins) + ", expected from 1 to 65536");
  }
}

TEST(fixed_histogram_test, is_empty_before_the_first_value) {
  const std::string end = ": count of observed values is 0, expected at least 1";
  expect_error([] { (void)fixed_histogram(1).range(); }, "fewbit: fixed_histogram::range" + end);
  expect_error([] { (void)fixed_histogram(1).range(fewbit::by_mse{}); },
               "fewbit: fixed_histogram::range" + end);
  expect_error([] { (void)fixed_histogram(1).snapshot(clip::affine); },
               "fewbit: fixed_histogram::snapshot" + end);
}

TEST(fixed_histogram_test, follows_the_policy_for_bad_values) {
  fixed_histogram o = seen(2, 4, {1});
  const fixed_histogram before = o;
  expect_error(
      [&] {
        o.observe(row_of({1, inf}));
      },
      "fewbit: fixed_histogram::observe: x(0, 1) is inf, expected a finite number");
  EXPECT_EQ(o, before);
  fixed_histogram skipping(2, 4, nan_policy::skip);
  skipping.observe(row_of({nan, 1, -inf}));
  EXPECT_EQ(skipping.skipped(), 2U);
  EXPECT_EQ(skipping.clipped(), 0U);
  EXPECT_EQ(skipping.snapshot(clip::symmetric).counts, before.snapshot(clip::symmetric).counts);
}

TEST(fixed_histogram_test, its_text_is_golden_and_exact) {
  const fixed_histogram o = seen(2, 4, {-0.6F, 1, 5});
  EXPECT_EQ(o.to_text(),
            "fewbit fixed_histogram 2\npolicy 0\nmax 40000000\nbins 4\ncount 3\nskipped 0\n"
            "lo bf19999a\nhi 40a00000\nclipped 1\nfilled 3\n-2 1\n2 1\n3 1\noctave_bins 3\n"
            "-9485 1\n9536 1\n9680 1\n");
  EXPECT_EQ(fixed_histogram::from_text(o.to_text()), o);
  const fixed_histogram many = seen(0.7F, 999, wild_values(3000, 6, 3));
  EXPECT_EQ(fixed_histogram::from_text(many.to_text()), many);
}

TEST(fixed_histogram_test, rejects_impossible_clipping) {
  const auto read = [](const char* hi, const char* clipped, const char* octaves = nullptr) {
    const bool clips = std::string(hi) == "40a00000";
    (void)fixed_histogram::from_text(
        std::string("fewbit fixed_histogram 2\npolicy 0\nmax 40000000\nbins 4\ncount 3\nskipped "
                    "0\nlo 3f800000\nhi ") +
        hi + "\nclipped " + clipped + "\nfilled 2\n2 1\n3 2\noctave_bins " +
        (octaves != nullptr ? octaves
         : clips            ? "3\n9536 1\n9600 1\n9680 1\n"
                            : "2\n9536 1\n9600 2\n"));
  };
  read("40a00000", "1");
  read("40a00000", "2");
  read("40000000", "0");
  const std::string start = "fewbit: fixed_histogram::from_text: clipped is ";
  const std::string end =
      ", expected 0 if nothing exceeds max, else at most the counts of the end bins";
  expect_error([&] { read("40a00000", "0"); }, start + "0" + end);
  expect_error([&] { read("40a00000", "3"); }, start + "3" + end);
  expect_error([&] { read("40000000", "1"); }, start + "1" + end);
  // max is 2. The first text has octave bins at 1, 2.5 and 5, so clipped must be 2. The second has
  // octave bins at 1, 1.84 and 5, so clipped must be 1.
  expect_error([&] { read("40a00000", "1", "3\n9536 1\n9616 1\n9680 1\n"); }, start + "1" + end);
  expect_error([&] { read("40a00000", "2", "3\n9536 1\n9590 1\n9680 1\n"); }, start + "2" + end);
  const std::string octaves = "fewbit: fixed_histogram::from_text: octave bins is ";
  expect_error([&] { read("40a00000", "1", "3\n9536 1\n9560 1\n9680 1\n"); },
               octaves + "a count of other values, expected the values of the linear bins");
  expect_error([&] { read("40a00000", "1", "3\n9536 1\n9600 1\n9681 1\n"); },
               octaves + "without lo or hi, expected the first with lo and the last with hi");
}

TEST(fixed_histogram_test, rejects_malformed_text) {
  const auto text = seen(2, 4, {-0.6F, 1, 5}).to_text();
  fewbit::tests::expect_survives_hostile_text(text, fixed_histogram::from_text);
}

}  // namespace calib_fixed_histogram_test
