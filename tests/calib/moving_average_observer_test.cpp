#include "fewbit/calib/moving_average_observer.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "calib/support.hpp"

namespace calib_moving_average_observer_test {

using fewbit::moving_average_observer;
using fewbit::nan_policy;
using fewbit::range;
using fewbit::tests::expect_error;
using fewbit::tests::matrix;
using fewbit::tests::row_of;

static_assert(fewbit::Observer<moving_average_observer>);
static_assert(!fewbit::MergeableObserver<moving_average_observer>);

constexpr float nan = std::numeric_limits<float>::quiet_NaN();

TEST(moving_average_observer_test, first_batch_sets_and_later_ones_move) {
  moving_average_observer o(0.75);
  o.observe(row_of({-4, 8}));
  EXPECT_EQ(o.range(), (range{-4, 8}));
  o.observe(row_of({-8, 0, 16}));
  EXPECT_EQ(o.range(), (range{-5, 10}));
  o.observe(row_of({3}));
  EXPECT_EQ(o.range(), (range{-3, 8.25F}));
  EXPECT_EQ(o.batches(), 3U);
}

TEST(moving_average_observer_test, equals_the_closed_form) {
  moving_average_observer o(0.9);
  double want = 0;
  for (int i = 0; i < 200; ++i) {
    o.observe(row_of({-static_cast<float>(i % 13), static_cast<float>(i % 17)}));
  }
  for (int i = 0; i < 200; ++i) {
    want += (i == 0 ? 1.0 : 0.1) * std::pow(0.9, 199 - i) * (i % 17);
  }
  EXPECT_NEAR(o.range().hi, want, 1e-5);
}

TEST(moving_average_observer_test, momentum_zero_is_the_last_batch) {
  moving_average_observer o(0.0);
  o.observe(row_of({-4, 8}));
  o.observe(row_of({-1, 2}));
  EXPECT_EQ(o.range(), (range{-1, 2}));
}

TEST(moving_average_observer_test, a_constant_does_not_change) {
  moving_average_observer o;
  EXPECT_EQ(o.momentum(), 0.99);
  for (int i = 0; i < 1000; ++i) o.observe(row_of({0.1F}));
  EXPECT_EQ(o.range(), (range{0.1F, 0.1F}));
  moving_average_observer edge;
  constexpr float largest = std::numeric_limits<float>::max();
  for (int i = 0; i < 1000; ++i) edge.observe(row_of({-largest, largest}));
  EXPECT_EQ(edge.range(), (range{-largest, largest}));
  EXPECT_EQ(moving_average_observer::from_text(edge.to_text()), edge);
}

TEST(moving_average_observer_test, batches_without_values_change_nothing) {
  moving_average_observer o(0.5, nan_policy::skip);
  o.observe(row_of({nan}));
  expect_error([&] { (void)o.range(); },
               "fewbit: moving_average_observer::range: count of observed values is 0, "
               "expected at least 1");
  o.observe(row_of({1, nan, 3}));
  o.observe(row_of({nan}));
  EXPECT_EQ(o.range(), (range{1, 3}));
  EXPECT_EQ(o.batches(), 1U);
  EXPECT_EQ(o.skipped(), 3U);
}

TEST(moving_average_observer_test, keeps_its_state_when_a_batch_is_bad) {
  moving_average_observer o;
  o.observe(row_of({1, 2}));
  const moving_average_observer before = o;
  expect_error(
      [&] {
        o.observe(row_of({9, nan}));
      },
      "fewbit: moving_average_observer::observe: x(0, 1) is nan, expected a finite "
      "number");
  EXPECT_EQ(o, before);
}

TEST(moving_average_observer_test, rejects_a_bad_momentum) {
  const std::string start = "fewbit: moving_average_observer: momentum is ";
  const std::string end = ", expected at least 0 and below 1";
  expect_error([] { moving_average_observer(1.0); }, start + "1" + end);
  expect_error([] { moving_average_observer(-0.5); }, start + "-0.5" + end);
  expect_error([] { moving_average_observer{static_cast<double>(nan)}; }, start + "nan" + end);
}

TEST(moving_average_observer_test, its_text_is_exact) {
  moving_average_observer o(0.9, nan_policy::skip);
  for (int i = 1; i < 10; ++i) o.observe(row_of({-1.0F / static_cast<float>(i), nan, 0.3F}));
  const auto copy = moving_average_observer::from_text(o.to_text());
  EXPECT_EQ(copy, o);
  EXPECT_EQ(copy.to_text(), o.to_text());
  const moving_average_observer empty;
  EXPECT_EQ(moving_average_observer::from_text(empty.to_text()), empty);
}

TEST(moving_average_observer_test, rejects_impossible_states) {
  const auto read = [](const char* momentum, const char* batches, const char* lo, const char* hi) {
    (void)moving_average_observer::from_text(
        std::string("fewbit moving_average_observer 1\npolicy 0\nmomentum ") + momentum +
        "\nbatches " + batches + "\nskipped 0\nlo " + lo + "\nhi " + hi + "\n");
  };
  const std::string start = "fewbit: moving_average_observer::from_text: ";
  constexpr const char* zero = "0000000000000000";
  constexpr const char* half = "3fe0000000000000";
  constexpr const char* one = "3ff0000000000000";
  constexpr const char* infinity = "7ff0000000000000";
  read(half, "1", half, one);
  expect_error([&] { read(one, "1", half, one); },
               start + "momentum is 1, expected at least 0 and below 1");
  expect_error([&] { read(half, "1", one, half); }, start + "lo is 1, expected at most hi");
  expect_error([&] { read(half, "0", zero, half); }, start + "batches is 0, expected at least 1");
  constexpr const char* minus_zero = "8000000000000000";
  constexpr const char* no_float = "3fd5555555555555";  // 1/3
  expect_error([&] { read(half, "0", minus_zero, zero); }, start + "lo is -0, expected not -0");
  expect_error([&] { read(half, "0", zero, minus_zero); }, start + "hi is -0, expected not -0");
  expect_error([&] { read(half, "7", minus_zero, half); }, start + "lo is -0, expected not -0");
  expect_error([&] { read(minus_zero, "1", zero, half); },
               start + "momentum is -0, expected not -0");
  read(half, "2", no_float, one);
  const std::string single = ", expected a float after one batch or with momentum 0";
  expect_error([&] { read(half, "1", no_float, one); }, start + "lo is 0.333333333" + single);
  expect_error([&] { read(zero, "9", zero, no_float); }, start + "hi is 0.333333333" + single);
  expect_error([&] { read(half, "1", zero, infinity); },
               start + "hi is inf, expected a number in the range of float");
}

TEST(moving_average_observer_test, momentum_minus_zero_is_zero) {
  moving_average_observer o(-0.0);
  EXPECT_EQ(o.to_text(), moving_average_observer(0.0).to_text());
  o.observe(row_of({-0.0F}));
  o.observe(row_of({0.0F}));
  EXPECT_EQ(moving_average_observer::from_text(o.to_text()), o);
}

TEST(moving_average_observer_test, refuses_empty_batches_and_counts_above_the_limit) {
  const std::string head =
      "fewbit moving_average_observer 1\npolicy 1\nmomentum 3fe0000000000000\n";
  const std::string values = "lo 0000000000000000\nhi 0000000000000000\n";
  auto skipped = moving_average_observer::from_text(
      head + "batches 1\nskipped 4611686018427387903\n" + values);
  auto batches = moving_average_observer::from_text(
      head + "batches 4611686018427387903\nskipped 0\n" + values);
  const auto before = skipped;
  const std::string start = "fewbit: moving_average_observer::observe: ";
  const std::string end = " is 4611686018427387904, expected at most 4611686018427387903";
  expect_error([&] { skipped.observe(row_of({1, nan})); }, start + "count of skipped values" + end);
  expect_error([&] { skipped.observe(matrix(0, 3)); },
               start + "x is 0 x 3, expected at least one row and one column");
  EXPECT_EQ(skipped, before);
  expect_error([&] { batches.observe(row_of({1})); }, start + "count of batches" + end);
  expect_error(
      [] {
        (void)moving_average_observer::from_text(
            "fewbit moving_average_observer 1\npolicy 0\nmomentum 3fe0000000000000\nbatches 1\n"
            "skipped 5\n");
      },
      "fewbit: moving_average_observer::from_text: line 5 is 'skipped 5', expected 'skipped "
      "<integer from 0 to 0>'");
}

TEST(moving_average_observer_test, rejects_malformed_text) {
  moving_average_observer o;
  o.observe(row_of({-1, 2}));
  fewbit::tests::expect_survives_hostile_text(o.to_text(), moving_average_observer::from_text);
}

}  // namespace calib_moving_average_observer_test
