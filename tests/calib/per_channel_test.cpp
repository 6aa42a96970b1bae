#include "fewbit/calib/per_channel.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "calib/support.hpp"
#include "fewbit/calib/fixed_histogram.hpp"
#include "fewbit/calib/max_observer.hpp"
#include "fewbit/calib/moving_average_observer.hpp"
#include "fewbit/calib/threshold_observer.hpp"

namespace {

using fewbit::clip;
using fewbit::histogram_observer;
using fewbit::index;
using fewbit::max_observer;
using fewbit::nan_policy;
using fewbit::per_channel;
using fewbit::range;
using fewbit::tests::expect_error;
using fewbit::tests::matrix;
using fewbit::tests::wild_values;

constexpr float nan = std::numeric_limits<float>::quiet_NaN();

matrix wild_matrix(index rows, index cols, unsigned seed) {
  const auto values = wild_values(static_cast<std::size_t>(rows * cols), 20, seed);
  return Eigen::Map<const matrix>(values.data(), rows, cols);
}

template <class O>
class per_channel_test : public testing::Test {
 protected:
  static O prototype() {
    if constexpr (std::is_same_v<O, fewbit::fixed_histogram>) {
      return O(5.0F, 32);
    } else if constexpr (std::is_same_v<O, histogram_observer>) {
      return O(64);
    } else {
      return O();
    }
  }
};
using observers =
    testing::Types<max_observer, fewbit::moving_average_observer, histogram_observer,
                   fewbit::fixed_histogram, fewbit::percentile_observer, fewbit::mse_observer>;
TYPED_TEST_SUITE(per_channel_test, observers);

TYPED_TEST(per_channel_test, equals_separate_observers) {
  for (const index channels : {1, 2, 15, 16, 17, 40}) {
    per_channel<TypeParam> together(channels, this->prototype());
    std::vector<TypeParam> apart(static_cast<std::size_t>(channels), this->prototype());
    for (unsigned batch = 0; batch < 3; ++batch) {
      const matrix x = wild_matrix(batch == 1 ? 1 : 50, channels + 3, batch);
      together.observe(x.middleCols(2, channels));
      for (index c = 0; c < channels; ++c) {
        apart[static_cast<std::size_t>(c)].observe(matrix(x.col(2 + c)));
      }
    }
    const std::vector<range> ranges = together.ranges();
    for (index c = 0; c < channels; ++c) {
      const TypeParam& alone = apart[static_cast<std::size_t>(c)];
      ASSERT_EQ(together[c], alone) << c << " of " << channels;
      EXPECT_EQ(ranges[static_cast<std::size_t>(c)], alone.range());
    }
    EXPECT_EQ(per_channel<TypeParam>::from_text(together.to_text()), together);
  }
}

TYPED_TEST(per_channel_test, survives_hostile_text) {
  per_channel<TypeParam> o(2, this->prototype());
  o.observe(wild_matrix(2, 2, 1));
  fewbit::tests::expect_survives_hostile_text(o.to_text(), per_channel<TypeParam>::from_text);
}

TEST(per_channel_max_test, merging_equals_having_seen_both) {
  const matrix x = wild_matrix(30, 5, 1);
  per_channel<histogram_observer> whole(5);
  per_channel<histogram_observer> top(5);
  per_channel<histogram_observer> bottom(5);
  whole.observe(x);
  top.observe(x.topRows(10));
  bottom.observe(x.bottomRows(20));
  per_channel<histogram_observer> both = bottom;
  both.merge(top);
  top.merge(bottom);
  EXPECT_EQ(both, whole);
  EXPECT_EQ(top, whole);
}

TEST(per_channel_max_test, passes_arguments_to_each_range) {
  per_channel<histogram_observer> o(3);
  const matrix x = wild_matrix(500, 3, 2);
  o.observe(x);
  const auto ranges = o.ranges(fewbit::by_percentile{90}, clip::affine);
  for (index c = 0; c < 3; ++c) {
    EXPECT_EQ(ranges[static_cast<std::size_t>(c)],
              o[c].range(fewbit::by_percentile{90}, clip::affine));
  }
}

TEST(per_channel_max_test, keeps_every_channel_when_a_batch_is_bad) {
  per_channel<max_observer> o(20);
  o.observe(wild_matrix(4, 20, 3));
  const auto before = o;
  matrix x = wild_matrix(4, 20, 4);
  x(2, 18) = nan;
  expect_error([&] { o.observe(x); },
               "fewbit: per_channel::observe: x(2, 18) is nan, expected a finite number");
  expect_error([&] { o.observe(x.leftCols(3)); },
               "fewbit: per_channel::observe: x.cols() is 3, expected 20");
  expect_error([&] { o.merge(per_channel<max_observer>(19)); },
               "fewbit: per_channel::merge: channels of other is 19, expected 20");
  per_channel<max_observer> other(20, max_observer(nan_policy::skip));
  expect_error([&] { o.merge(other); },
               "fewbit: max_observer::merge: nan_policy of other is skip, expected fail");
  EXPECT_EQ(o, before);
}

TEST(per_channel_max_test, skips_in_the_channel_concerned) {
  per_channel<max_observer> o(3, max_observer(nan_policy::skip));
  matrix x = matrix::Ones(4, 3);
  x(1, 2) = nan;
  x(3, 0) = std::numeric_limits<float>::infinity();
  x(2, 0) = nan;
  o.observe(x);
  EXPECT_EQ(o.skipped(), 3U);
  EXPECT_EQ(o[0].skipped(), 2U);
  EXPECT_EQ(o[1].count(), 4U);
  EXPECT_EQ(o[2].count(), 3U);
}

TEST(per_channel_max_test, an_empty_batch_changes_nothing) {
  per_channel<max_observer> o(3);
  o.observe(matrix(0, 3));
  EXPECT_EQ(o, per_channel<max_observer>(3));
  expect_error([&] { (void)o.ranges(); },
               "fewbit: max_observer::range: count of observed values is 0, expected at least 1");
}

TEST(per_channel_max_test, rejects_bad_numbers_of_channels) {
  for (const index channels : {-1, 0}) {
    expect_error(
        [&] { per_channel<max_observer> o(channels); },
        "fewbit: per_channel: channels is " + std::to_string(channels) + ", expected at least 1");
  }
  expect_error(
      [] { (void)per_channel<max_observer>::from_text("fewbit per_channel 1\nchannels 0\n"); },
      "fewbit: per_channel::from_text: channels is 0, expected at least 1");
  expect_error(
      [] {
        (void)per_channel<max_observer>::from_text("fewbit per_channel 1\nchannels 999999999999\n");
      },
      "fewbit: per_channel::from_text: line 3 is '', expected a line more");
}

}  // namespace
