#include "fewbit/calib/entropy.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "calib/support.hpp"
#include "fewbit/calib/fixed_histogram.hpp"
#include "fewbit/calib/histogram_observer.hpp"
#include "support/plain_entropy.hpp"

namespace calib_entropy_test {

using fewbit::by_entropy;
using fewbit::clip;
using fewbit::fixed_histogram;
using fewbit::histogram;
using fewbit::histogram_observer;
using fewbit::index;
using fewbit::range;
using fewbit::tests::expect_error;
using fewbit::tests::magnitudes;
using fewbit::tests::plain_entropy_search;
using fewbit::tests::row_of;
using fewbit::tests::with_outlier;

histogram random_histogram(std::mt19937& random, std::size_t bins, int shape) {
  histogram h;
  h.width = 1.0;
  const double scale = static_cast<double>(bins) / (2.0 + static_cast<double>(random() % 8));
  for (std::size_t j = 0; j < bins; ++j) {
    const double x = static_cast<double>(j) / scale;
    const double density = shape % 2 == 0 ? std::exp(-x * x / 2) : std::exp(-x);
    const double expected = density * std::pow(10.0, 1 + shape);
    const double noise = static_cast<double>(random()) / 4294967296.0;
    h.counts.push_back(static_cast<std::uint64_t>(expected * (0.5 + noise) + noise));
  }
  h.counts.back() += 1;
  h.extremes = {0, static_cast<float>(bins)};
  return h;
}

TEST(entropy_test, equals_the_plain_method_on_random_histograms) {
  std::mt19937 random(1);
  for (int trial = 0; trial < 60; ++trial) {
    const std::size_t bins = 128 + random() % 500;
    const histogram h = random_histogram(random, bins, trial % 5);
    for (const int bits : {4, 8}) {
      for (const bool is_unsigned : {false, true}) {
        const int levels = 1 << (bits - (is_unsigned ? 0 : 1));
        const std::size_t want = plain_entropy_search(h.counts, levels, 128);
        const range got = by_entropy{bits, is_unsigned}(h);
        ASSERT_EQ(got.hi, static_cast<float>(want)) << trial << " " << bits;
        ASSERT_EQ(got.lo, -got.hi);
      }
    }
    const range early = by_entropy{.bits = 3, .first_bin = 10}(h);
    ASSERT_EQ(early.hi, static_cast<float>(plain_entropy_search(h.counts, 4, 10)));
    // There are more levels than bins, so every bin is a group of its own.
    const range deep = by_entropy{.bits = 16}(h);
    ASSERT_EQ(deep.hi, static_cast<float>(plain_entropy_search(h.counts, 1 << 15, 128)));
  }
}

TEST(entropy_test, equals_the_plain_method_on_sparse_histograms) {
  std::mt19937 random(2);
  for (int trial = 0; trial < 60; ++trial) {
    histogram h;
    h.width = 1.0;
    h.counts.assign(128 + random() % 300, 0);
    for (int i = 0; i < 2 + trial; ++i) {
      h.counts[random() % h.counts.size()] += 1 + random() % 9;
    }
    h.counts.back() += 1;
    h.extremes = {0, static_cast<float>(h.bins())};
    const range got = by_entropy{}(h);
    ASSERT_EQ(got.hi, static_cast<float>(plain_entropy_search(h.counts, 128, 128))) << trial;
  }
}

TEST(entropy_test, skips_thresholds_that_cut_the_tail) {
  // Bins 128 to 199 are empty and bin 200 is not. A threshold at edge 129 to 200 adds the tail to
  // an empty bin, so the divergence is infinite.
  histogram h;
  h.width = 1.0;
  h.counts.assign(201, 0);
  for (std::size_t j = 0; j < 128; ++j) h.counts[j] = 1000 + j % 2 * 900;
  h.counts[200] = 1;
  h.extremes = {0, 201};
  EXPECT_EQ(plain_entropy_search(h.counts, 128, 128), 128U);
  EXPECT_EQ(by_entropy{}(h).hi, 128.0F);
  EXPECT_EQ((by_entropy{.first_bin = 129}(h).hi), 201.0F);
}

TEST(entropy_test, the_last_of_equal_thresholds_is_chosen) {
  histogram h;
  h.width = 1.0;
  h.counts.assign(300, 0);
  for (std::size_t j = 0; j < 100; ++j) h.counts[j] = 10;
  h.extremes = {0, 300};
  // All non-empty bins have the same count. So Q equals P, and the divergence is 0 for every
  // threshold.
  EXPECT_EQ(plain_entropy_search(h.counts, 128, 128), 300U);
  EXPECT_EQ(by_entropy{}(h).hi, 300.0F);
}

TEST(entropy_test, published_values_with_linear_bins) {
  const auto normal = magnitudes(fewbit::tests::gaussian());
  fixed_histogram outlier(50.0F);
  outlier.observe(row_of(with_outlier(normal, 50.0F)));
  EXPECT_NEAR(outlier.range(by_entropy{}).hi, 4.419, 5e-4);

  fixed_histogram half_normal(*std::max_element(normal.begin(), normal.end()));
  half_normal.observe(row_of(normal));
  EXPECT_NEAR(half_normal.range(by_entropy{.bits = 4}).hi, 3.56, 5e-3);

  const auto laplace = magnitudes(fewbit::tests::laplacian());
  fixed_histogram tail(*std::max_element(laplace.begin(), laplace.end()));
  tail.observe(row_of(laplace));
  EXPECT_NEAR(tail.max(), 11.513, 5e-4);
  EXPECT_NEAR(tail.range(by_entropy{}).hi, 9.905, 5e-4);

  const auto& flat = fewbit::tests::uniform();
  fixed_histogram even(flat.back());
  even.observe(row_of(flat));
  EXPECT_EQ(even.range(by_entropy{}).hi, flat.back());
}

TEST(entropy_test, published_values_with_bins_of_power_of_two) {
  histogram_observer outlier;
  outlier.observe(row_of(with_outlier(fewbit::tests::gaussian(), 50.0F)));
  EXPECT_NEAR(outlier.range(by_entropy{}).hi, 4.419, outlier.width());

  histogram_observer half_normal;
  half_normal.observe(row_of(fewbit::tests::gaussian()));
  EXPECT_NEAR(half_normal.range(by_entropy{.bits = 4}).hi, 3.535, 5e-4);

  histogram_observer tail;
  tail.observe(row_of(fewbit::tests::laplacian()));
  EXPECT_NEAR(tail.range(by_entropy{}).hi, 9.905, tail.width());

  histogram_observer even;
  even.observe(row_of(fewbit::tests::uniform()));
  EXPECT_EQ(even.range(by_entropy{}).hi, fewbit::tests::uniform().back());
}

TEST(entropy_test, affine_is_the_threshold_within_the_data) {
  histogram_observer h;
  h.observe(row_of(with_outlier(fewbit::tests::gaussian(), 50.0F)));
  const range both = h.range(by_entropy{}, clip::affine);
  const float threshold = h.range(by_entropy{}).hi;
  EXPECT_EQ(both.hi, threshold);
  EXPECT_EQ(both.lo, std::max(-threshold, fewbit::tests::gaussian().front()));

  // If the data is on one side of 0, all codes are on that side.
  const auto laplace = magnitudes(fewbit::tests::laplacian());
  histogram_observer right;
  histogram_observer left;
  right.observe(row_of(laplace));
  left.observe(-row_of(laplace));
  const range r = right.range(by_entropy{.bits = 4}, clip::affine);
  EXPECT_EQ(r.lo, 0.0F);
  EXPECT_EQ(r.hi, right.range(by_entropy{.bits = 4, .unsigned_codes = true}).hi);
  EXPECT_NE(r.hi, right.range(by_entropy{.bits = 4}).hi);
  EXPECT_EQ(left.range(by_entropy{.bits = 4}, clip::affine), (range{-r.hi, 0}));
}

TEST(entropy_test, too_few_bins_give_the_maximum) {
  histogram few;
  few.width = 1.0;
  few.counts.assign(127, 3);
  few.extremes = {-2, 126.5F};
  EXPECT_EQ(by_entropy{}(few), (range{-126.5F, 126.5F}));
  for (const float value : {0.0F, 1e-45F, -2.5F}) {
    histogram_observer h;
    h.observe(row_of({value}));
    EXPECT_EQ(h.range(by_entropy{}).hi, std::abs(value));
    EXPECT_EQ(h.range(by_entropy{}, clip::affine),
              (range{std::min(value, 0.0F), std::max(value, 0.0F)}));
  }
}

TEST(entropy_test, rejects_bad_settings) {
  histogram_observer h;
  h.observe(row_of({1, 2}));
  for (const int bits : {-1, 1, 17}) {
    expect_error([&] { (void)h.range(by_entropy{.bits = bits}); },
                 "fewbit: by_entropy: bits is " + std::to_string(bits) + ", expected from 2 to 16");
  }
  expect_error([&] { (void)h.range(by_entropy{.first_bin = 0}); },
               "fewbit: by_entropy: first_bin is 0, expected at least 1");
  expect_error([] { (void)by_entropy{}(histogram{}); },
               "fewbit: by_entropy: histogram.width is 0, expected a positive number");
}

}  // namespace calib_entropy_test
