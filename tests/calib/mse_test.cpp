#include "fewbit/calib/mse.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "calib/support.hpp"
#include "fewbit/calib/fixed_histogram.hpp"
#include "fewbit/calib/histogram_observer.hpp"

namespace calib_mse_test {

using fewbit::by_mse;
using fewbit::clip;
using fewbit::fixed_histogram;
using fewbit::histogram;
using fewbit::histogram_observer;
using fewbit::index;
using fewbit::range;
using fewbit::tests::expect_error;
using fewbit::tests::row_of;
using fewbit::tests::with_outlier;

/// Mean squared error of the codes -levels to levels with step a / levels, computed from the
/// values.
double symmetric_mse(const std::vector<float>& values, double a, int levels) {
  double sum = 0;
  for (const float v : values) {
    const double step = a / levels;
    const double code = std::clamp(std::nearbyint(v / step), -1.0 * levels, 1.0 * levels);
    sum += (code * step - v) * (code * step - v);
  }
  return sum / static_cast<double>(values.size());
}

/// Sum of squared errors of the range [lo, hi], computed bin by bin. A fused multiply-add can
/// change the rounding, but by much less than the differences that the tests compare.
double affine_error(const histogram& h, double lo, double hi, double levels) {
  const double step = (hi - lo) / levels;
  const double zero = std::nearbyint(-lo / step);
  double sum = 0;
  for (index i = 0; i < h.bins(); ++i) {
    const double code = std::clamp(std::nearbyint(h.center(i) / step) + zero, 0.0, levels);
    const double miss = (code - zero) * step - h.center(i);
    sum += static_cast<double>(h.count(i)) * miss * miss;
  }
  return sum;
}

struct optimum {
  int bits;
  double clip;
  double mse;
};

template <class H>
void expect_optima(const H& h, const std::vector<float>& values,
                   const std::vector<optimum>& optima) {
  for (const auto& [bits, wanted, mse] : optima) {
    const range r = h.range(by_mse{.bits = bits});
    EXPECT_NEAR(r.hi, wanted, 0.03 * wanted) << bits;
    EXPECT_EQ(r.lo, -r.hi);
    if (mse > 0) {
      EXPECT_NEAR(symmetric_mse(values, r.hi, (1 << (bits - 1)) - 1), mse, 0.01 * mse) << bits;
    }
  }
}

const std::vector<optimum> gaussian_optima = {
    {2, 1.2240, 0.190174}, {3, 1.9523, 0.04686}, {4, 2.474, 0.012889}, {8, 3.92, 8.83e-5}};
const std::vector<optimum> laplacian_optima = {
    {2, 2.000, 0}, {3, 3.486, 0}, {4, 4.820, 0}, {8, 9.88, 0}};

/// The finite sample must change the 8-bit error by less than one hundredth. This needs many
/// values.
const std::vector<float>& many_gaussian() {
  static const std::vector<float> values = fewbit::tests::normal_quantiles(1000000);
  return values;
}

TEST(mse_test, published_optima_with_linear_bins) {
  fixed_histogram normal(many_gaussian().back());
  normal.observe(row_of(many_gaussian()));
  expect_optima(normal, many_gaussian(), gaussian_optima);
  fixed_histogram laplace(fewbit::tests::laplacian().back());
  laplace.observe(row_of(fewbit::tests::laplacian()));
  expect_optima(laplace, fewbit::tests::laplacian(), laplacian_optima);
}

TEST(mse_test, published_optima_with_bins_of_power_of_two) {
  histogram_observer normal;
  normal.observe(row_of(many_gaussian()));
  expect_optima(normal, many_gaussian(), gaussian_optima);
  histogram_observer laplace;
  laplace.observe(row_of(fewbit::tests::laplacian()));
  expect_optima(laplace, fewbit::tests::laplacian(), laplacian_optima);
}

TEST(mse_test, an_outlier_moves_the_eight_bit_optimum) {
  const auto values = row_of(with_outlier(fewbit::tests::gaussian(), 50.0F));
  fixed_histogram linear(50.0F);
  linear.observe(values);
  EXPECT_NEAR(linear.range(by_mse{}).hi, 32.6, 0.05);
  histogram_observer coarse(2048);
  coarse.observe(values);
  ASSERT_EQ(coarse.width(), 1.0 / 32);
  EXPECT_NEAR(coarse.range(by_mse{}).hi, 31.77, 5e-3);
  histogram_observer fine(4096);
  fine.observe(values);
  ASSERT_EQ(fine.width(), 1.0 / 64);
  EXPECT_NEAR(fine.range(by_mse{}).hi, 32.74, 5e-3);
}

TEST(mse_test, equals_the_plain_method_on_random_histograms) {
  std::mt19937 random(1);
  for (int trial = 0; trial < 30; ++trial) {
    histogram h;
    h.width = 0.125;
    h.counts.assign(129 + random() % 200, 0);
    for (int i = 0; i < 400; ++i) {
      const auto spread = static_cast<std::size_t>(random() % 100 * (random() % 100));
      h.counts[spread * h.counts.size() / 10000] += random() % 50;
    }
    h.counts.back() += 1;
    h.extremes = {-1, static_cast<float>(h.edge(h.bins()))};
    for (const int bits : {2, 4, 8}) {
      for (const bool is_unsigned : {false, true}) {
        const int levels = (1 << (bits - (is_unsigned ? 0 : 1))) - 1;
        double least = 1e300;
        std::vector<double> errors;
        for (index i = 20; i < h.bins(); ++i) {
          errors.push_back(affine_error(h, 0.0, h.center(i), levels));
          least = std::min(least, errors.back());
        }
        const range got = by_mse{bits, is_unsigned, 20}(h);
        const auto chosen = static_cast<std::size_t>(got.hi / 0.125F - 20.0F);
        ASSERT_EQ(got.hi, static_cast<float>(h.center(static_cast<index>(chosen) + 20)));
        ASSERT_LE(errors[chosen], least * (1 + 1e-12)) << trial << " " << bits;
      }
    }
  }
}

TEST(mse_test, the_smallest_of_equal_thresholds_is_chosen) {
  // All values are at 1.5. Three steps from 0 to 1.5 code it without error, and so do three steps
  // from 0 to 4.5.
  histogram h;
  h.width = 1.0;
  h.counts = {0, 5, 0, 0, 0};
  h.extremes = {0.0F, 5.0F};
  EXPECT_EQ((by_mse{.bits = 2, .unsigned_codes = true, .first_bin = 1}(h).hi), 1.5F);
  EXPECT_EQ((by_mse{.bits = 2, .unsigned_codes = true, .first_bin = 2}(h).hi), 4.5F);
  EXPECT_EQ(affine_error(h, 0, 1.5, 3), 0.0);
  EXPECT_EQ(affine_error(h, 0, 4.5, 3), 0.0);
}

TEST(mse_test, affine_search_finds_what_a_full_search_finds) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal(0.3F, 1.0F);
  std::vector<float> values;
  for (int i = 0; i < 20000; ++i) values.push_back(normal(random));
  histogram_observer h(64);
  h.observe(row_of(values));
  const histogram s = h.snapshot(clip::affine);
  for (const int bits : {3, 4, 8}) {
    const double levels = (1 << bits) - 1;
    const range got = by_mse{.bits = bits, .first_bin = 4}(s);
    double least = 1e300;
    for (index l = 0; l + 4 < s.zero; ++l) {
      for (index r = s.zero + 4; r < s.bins(); ++r) {
        least = std::min(least, affine_error(s, s.center(l), s.center(r), levels));
      }
    }
    EXPECT_LE(affine_error(s, got.lo, got.hi, levels), least * 1.02) << bits;
  }
}

TEST(mse_test, affine_uses_all_codes_for_one_sided_data) {
  const auto half = fewbit::tests::magnitudes(fewbit::tests::gaussian());
  histogram_observer right;
  histogram_observer left;
  right.observe(row_of(half));
  left.observe(-row_of(half));
  const range r = right.range(by_mse{.bits = 4}, clip::affine);
  EXPECT_EQ(r.lo, 0.0F);
  EXPECT_EQ(r.hi, right.range(by_mse{.bits = 4, .unsigned_codes = true}).hi);
  EXPECT_EQ(left.range(by_mse{.bits = 4}, clip::affine), (range{-r.hi, 0}));
}

TEST(mse_test, affine_never_does_worse_than_the_extremes) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    histogram_observer h(256);
    h.observe(row_of(fewbit::tests::wild_values(500, 6, seed)));
    const histogram s = h.snapshot(clip::affine);
    const range e = h.range();
    const range got = h.range(by_mse{.bits = 4, .first_bin = 8}, clip::affine);
    EXPECT_LE(affine_error(s, got.lo, got.hi, 15),
              affine_error(s, std::min(e.lo, 0.0F), std::max(e.hi, 0.0F), 15) * (1 + 1e-9));
    EXPECT_GE(got.lo, std::min(e.lo, 0.0F));
    EXPECT_LE(got.hi, std::max(e.hi, 0.0F));
  }
}

TEST(mse_test, too_few_bins_give_the_extremes) {
  for (const float value : {0.0F, 1e-45F, -2.5F, 3e38F}) {
    histogram_observer h(16);
    h.observe(row_of({value}));
    EXPECT_EQ(h.range(by_mse{}).hi, std::abs(value));
    EXPECT_EQ(h.range(by_mse{}, clip::affine),
              (range{std::min(value, 0.0F), std::max(value, 0.0F)}));
  }
}

TEST(mse_test, a_first_bin_behind_all_bins_gives_the_extremes) {
  histogram_observer h(16);
  h.observe(row_of({-1.0F, 0.25F, 2.0F}));
  for (const index first : {index{16}, std::numeric_limits<index>::max()}) {
    EXPECT_EQ(h.range(by_mse{.first_bin = first}).hi, 2.0F);
    EXPECT_EQ(h.range(by_mse{.first_bin = first}, clip::affine), (range{-1.0F, 2.0F}));
  }
}

TEST(mse_test, scaling_the_data_by_a_power_of_two_scales_the_range) {
  for (const int bits : {3, 8}) {
    histogram_observer h;
    histogram_observer tiny;
    h.observe(row_of(fewbit::tests::gaussian()));
    tiny.observe(row_of(fewbit::tests::gaussian()) * 0x1p-90F);
    for (const clip ends : {clip::symmetric, clip::affine}) {
      const range r = h.range(by_mse{.bits = bits}, ends);
      EXPECT_EQ(tiny.range(by_mse{.bits = bits}, ends), (range{r.lo * 0x1p-90F, r.hi * 0x1p-90F}));
    }
  }
}

TEST(mse_test, rejects_bad_settings) {
  histogram_observer h;
  h.observe(row_of({1, 2}));
  for (const int bits : {0, 1, 17}) {
    expect_error([&] { (void)h.range(by_mse{.bits = bits}); },
                 "fewbit: by_mse: bits is " + std::to_string(bits) + ", expected from 2 to 16");
  }
  expect_error([&] { (void)h.range(by_mse{.first_bin = -3}); },
               "fewbit: by_mse: first_bin is -3, expected at least 1");
  expect_error([] { (void)by_mse{}(histogram{}); },
               "fewbit: by_mse: histogram.width is 0, expected a positive number");
}

}  // namespace calib_mse_test
