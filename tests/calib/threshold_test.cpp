#include "fewbit/calib/threshold.hpp"

#include <gtest/gtest.h>

#include "calib/support.hpp"
#include "fewbit/calib/fixed_histogram.hpp"
#include "fewbit/calib/histogram_observer.hpp"

namespace calib_threshold_test {

using fewbit::by_max;
using fewbit::clip;
using fewbit::histogram;
using fewbit::range;
using fewbit::tests::expect_error;
using fewbit::tests::row_of;
using fewbit::tests::with_outlier;

/// A method that a program can add. Its threshold is twice the mean of |x|.
struct by_mean {
  range operator()(const histogram& h) const {
    double sum = 0;
    for (fewbit::index i = 0; i < h.bins(); ++i) {
      sum += h.center(i) * static_cast<double>(h.count(i));
    }
    const auto a = static_cast<float>(2 * sum / static_cast<double>(h.total()));
    return {-a, a};
  }
};

static_assert(fewbit::ThresholdMethod<by_max>);
static_assert(fewbit::ThresholdMethod<fewbit::by_percentile>);
static_assert(fewbit::ThresholdMethod<fewbit::by_entropy>);
static_assert(fewbit::ThresholdMethod<fewbit::by_mse>);
static_assert(fewbit::ThresholdMethod<by_mean>);
static_assert(!fewbit::ThresholdMethod<int>);

template <class H>
class threshold_test : public testing::Test {
 protected:
  static H make() {
    if constexpr (std::is_same_v<H, fewbit::fixed_histogram>) {
      return H(64.0F);
    } else {
      return H();
    }
  }
};
using kinds = testing::Types<fewbit::histogram_observer, fewbit::fixed_histogram>;
TYPED_TEST_SUITE(threshold_test, kinds);

TYPED_TEST(threshold_test, by_max_is_exact) {
  TypeParam h = this->make();
  h.observe(row_of(with_outlier(fewbit::tests::gaussian(), 50.0F)));
  EXPECT_EQ(h.range(by_max{}), (range{-50, 50}));
  EXPECT_EQ(h.range(by_max{}, clip::affine), (range{fewbit::tests::gaussian().front(), 50}));
  TypeParam negative = this->make();
  negative.observe(row_of({-3.3F, -1.1F}));
  EXPECT_EQ(negative.range(by_max{}), (range{-3.3F, 3.3F}));
  EXPECT_EQ(negative.range(by_max{}, clip::affine), (range{-3.3F, -1.1F}));
}

TYPED_TEST(threshold_test, accepts_a_method_of_the_program) {
  TypeParam h = this->make();
  h.observe(row_of(fewbit::tests::gaussian()));
  EXPECT_NEAR(h.range(by_mean{}).hi, 2 * 0.797885, 0.001);
}

TYPED_TEST(threshold_test, every_method_stays_within_the_data) {
  for (unsigned seed = 0; seed < 30; ++seed) {
    auto values = fewbit::tests::wild_values(1 + seed * seed, 2 + static_cast<int>(seed) / 3, seed);
    if (seed % 3 == 1) values = fewbit::tests::magnitudes(values);
    TypeParam h = this->make();
    h.observe(row_of(values));
    const range all = h.range();
    const auto check = [&](const auto& method) {
      const range s = h.range(method);
      EXPECT_EQ(s.lo, -s.hi);
      EXPECT_LE(s.hi, all.amax());
      EXPECT_TRUE(s.hi > 0 || all.amax() == 0);
      const range a = h.range(method, clip::affine);
      EXPECT_LE(a.lo, a.hi);
      EXPECT_GE(a.lo, std::min(all.lo, 0.0F));
      EXPECT_LE(a.hi, std::max(all.hi, 0.0F));
    };
    check(by_max{});
    check(fewbit::by_percentile{99.0});
    check(fewbit::by_percentile{60.0});
    check(fewbit::by_entropy{});
    check(fewbit::by_entropy{.bits = 4, .first_bin = 16});
    check(fewbit::by_mse{});
    check(fewbit::by_mse{.bits = 2, .first_bin = 16});
  }
}

TEST(by_max_test, rejects_an_empty_histogram) {
  expect_error([] { (void)by_max{}(histogram{}); },
               "fewbit: by_max: histogram.width is 0, expected a positive number");
}

}  // namespace calib_threshold_test
