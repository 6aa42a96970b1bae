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

namespace calib_per_channel_test {

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

TYPED_TEST(per_channel_test, rejects_malformed_text) {
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
               "fewbit: per_channel::merge: nan_policy of other is skip, expected fail");
  EXPECT_EQ(o, before);
}

TEST(per_channel_max_test, counts_skipped_values_by_channel) {
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

TYPED_TEST(per_channel_test, has_no_ranges_before_the_first_row) {
  const per_channel<TypeParam> o(3, this->prototype());
  expect_error([&] { (void)o.ranges(); },
               "fewbit: per_channel::ranges: count of observed values is 0, expected at least 1");
}

TYPED_TEST(per_channel_test, a_failing_call_changes_no_channel) {
  per_channel<TypeParam> o(20, this->prototype());
  o.observe(wild_matrix(4, 20, 3));
  const auto before = o;
  matrix x = wild_matrix(4, 20, 4);
  x(3, 19) = -std::numeric_limits<float>::infinity();
  expect_error([&] { o.observe(x); },
               "fewbit: per_channel::observe: x(3, 19) is -inf, expected a finite number");
  expect_error(
      [&] { o.observe(x.topRows(0)); },
      "fewbit: per_channel::observe: x is 0 x 20, expected at least one row and one column");
  expect_error([&] { o.observe(x.leftCols(19)); },
               "fewbit: per_channel::observe: x.cols() is 19, expected 20");
  EXPECT_EQ(o, before);
}

/// The text of a per_channel with two given channels. to_text() cannot write it if the channels
/// contradict each other.
template <class O>
std::string together(const O& first, const O& second) {
  return "fewbit per_channel 1\nchannels 2\n" + first.to_text() + second.to_text();
}

TYPED_TEST(per_channel_test, rejects_channels_that_have_seen_other_numbers_of_rows) {
  TypeParam two = this->prototype();
  two.observe(matrix::Ones(2, 1));
  TypeParam three = two;
  three.observe(matrix::Ones(1, 1));
  EXPECT_EQ(per_channel<TypeParam>::from_text(together(two, two))[1], two);
  const std::string counts = std::is_same_v<TypeParam, fewbit::moving_average_observer>
                                 ? "2, expected 1"
                                 : "3, expected 2";
  expect_error([&] { (void)per_channel<TypeParam>::from_text(together(two, three)); },
               "fewbit: per_channel::from_text: count of channel 1 is " + counts);
}

template <class O>
void expect_other_settings(const O& first, const O& second, const std::string& sentence) {
  expect_error([&] { (void)per_channel<O>::from_text(together(first, second)); },
               "fewbit: per_channel::from_text: " + sentence);
  if constexpr (fewbit::MergeableObserver<O>) {
    per_channel<O> o(2, first);
    const per_channel<O> before = o;
    std::string merging = sentence;
    merging.replace(merging.find("channel 1"), 9, "other");
    expect_error([&] { o.merge(per_channel<O>(2, second)); },
                 "fewbit: per_channel::merge: " + merging);
    EXPECT_EQ(o, before);
  }
}

TEST(per_channel_max_test, rejects_channels_of_other_settings) {
  constexpr nan_policy skip = nan_policy::skip;
  const std::string policy = "nan_policy of channel 1 is skip, expected fail";
  expect_other_settings(max_observer(), max_observer(skip), policy);
  expect_other_settings(histogram_observer(16), histogram_observer(16, skip), policy);
  expect_other_settings(histogram_observer(16), histogram_observer(32),
                        "bins of channel 1 is 32, expected 16");
  using fewbit::fixed_histogram;
  expect_other_settings(fixed_histogram(1, 4), fixed_histogram(1, 4, skip), policy);
  expect_other_settings(fixed_histogram(1, 4), fixed_histogram(1, 5),
                        "bins of channel 1 is 5, expected 4");
  expect_other_settings(fixed_histogram(1, 4), fixed_histogram(2, 4),
                        "max of channel 1 is 2, expected 1");
  using average = fewbit::moving_average_observer;
  expect_other_settings(average(0.5), average(0.5, skip), policy);
  expect_other_settings(average(0.5), average(0.75), "momentum of channel 1 is 0.75, expected 0.5");
  using fewbit::percentile_observer;
  const std::string method = "method of channel 1 is another one, expected that of this observer";
  expect_other_settings(percentile_observer({99}), percentile_observer({98}), method);
  expect_other_settings(percentile_observer({99}), percentile_observer({99}, clip::affine), method);
  expect_other_settings(percentile_observer({99}), percentile_observer({99}, clip::symmetric, 64),
                        "bins of channel 1 is 64, expected 2048");
}

TEST(per_channel_max_test, refuses_counts_above_the_limit_before_any_channel_changes) {
  per_channel<fewbit::moving_average_observer> o =
      per_channel<fewbit::moving_average_observer>::from_text(
          "fewbit per_channel 1\nchannels 2\nfewbit moving_average_observer 1\npolicy 1\n"
          "momentum 3fe0000000000000\nbatches 1\nskipped 0\nlo 0000000000000000\n"
          "hi 0000000000000000\nfewbit moving_average_observer 1\npolicy 1\n"
          "momentum 3fe0000000000000\nbatches 1\nskipped 4611686018427387903\nlo 0000000000000000\n"
          "hi 0000000000000000\n");
  const auto before = o;
  expect_error([&] { o.observe(matrix::Constant(1, 2, nan)); },
               "fewbit: per_channel::observe: count of skipped values is 4611686018427387904, "
               "expected at most 4611686018427387903");
  EXPECT_EQ(o, before);
  std::string text = o.to_text();
  const std::string skipped = "batches 1\nskipped 4611686018427387903";
  text.replace(text.find(skipped), skipped.size(), "batches 4611686018427387903\nskipped 0");
  auto many = per_channel<fewbit::moving_average_observer>::from_text(text);
  const auto full_batches = many;
  expect_error([&] { many.observe(matrix::Constant(1, 2, 1.0F)); },
               "fewbit: per_channel::observe: count of batches is 4611686018427387904, "
               "expected at most 4611686018427387903");
  EXPECT_EQ(many, full_batches);
  per_channel<max_observer> m(3);
  m.observe(wild_matrix(1, 3, 1));
  for (int i = 0; i < 61; ++i) m.merge(m);
  const auto full = m;
  expect_error([&] { m.merge(m); },
               "fewbit: per_channel::merge: count of observed values is 4611686018427387904, "
               "expected at most 4611686018427387903");
  EXPECT_EQ(m, full);
}

/// An observer as a program can write it, with only the members that the concepts require.
struct last_value {
  float value = 0;
  void observe(const Eigen::Ref<const matrix>& x) { value = x(x.rows() - 1, x.cols() - 1); }
  void merge(const last_value& other) { value = other.value; }
  [[nodiscard]] fewbit::range range() const { return {value, value}; }
  [[nodiscard]] static nan_policy policy() { return nan_policy::fail; }
  [[nodiscard]] static std::uint64_t skipped() { return 0; }
  [[nodiscard]] static std::string to_text() { return ""; }
  [[nodiscard]] static last_value from_text(std::string_view) { return {}; }
};

TEST(per_channel_max_test, accepts_an_observer_of_the_program) {
  per_channel<last_value> o(2);
  o.observe((matrix(2, 2) << 1, 2, 3, 4).finished());
  EXPECT_EQ(o.ranges(), (std::vector<range>{{3, 3}, {4, 4}}));
  per_channel<last_value> merged(2);
  merged.merge(o);
  EXPECT_EQ(merged.ranges(), o.ranges());
}

TEST(per_channel_max_test, rejects_bad_numbers_of_channels) {
  for (const index channels :
       {index{1} << 60, std::numeric_limits<index>::max(), index{1} << 40, (index{1} << 24) + 1}) {
    expect_error([&] { per_channel<histogram_observer> o(channels); },
                 "fewbit: per_channel: channels is " + std::to_string(channels) +
                     ", expected at most 16777216");
  }
  for (const index channels : {std::numeric_limits<index>::min(), -(index{1} << 60)}) {
    expect_error(
        [&] { per_channel<max_observer> o(channels); },
        "fewbit: per_channel: channels is " + std::to_string(channels) + ", expected at least 1");
  }

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
      "fewbit: per_channel::from_text: channels is 999999999999, expected at most 16777216");
}

}  // namespace calib_per_channel_test
