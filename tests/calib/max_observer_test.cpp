#include "fewbit/calib/max_observer.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "calib/support.hpp"

namespace calib_max_observer_test {

using fewbit::max_observer;
using fewbit::nan_policy;
using fewbit::range;
using fewbit::tests::expect_error;
using fewbit::tests::matrix;
using fewbit::tests::row_of;

static_assert(fewbit::MergeableObserver<max_observer>);

constexpr float nan = std::numeric_limits<float>::quiet_NaN();

max_observer seen(const std::vector<float>& values) {
  max_observer o;
  o.observe(row_of(values));
  return o;
}

TEST(max_observer_test, returns_the_extremes) {
  EXPECT_EQ(seen({3, -1, 2}).range(), (range{-1, 3}));
  EXPECT_EQ(seen({-3, -1, -2}).range(), (range{-3, -1}));
  EXPECT_EQ(seen({5}).range(), (range{5, 5}));
  EXPECT_EQ(seen({0, 0}).range(), (range{0, 0}));
  EXPECT_EQ(seen({3, -4}).range().amax(), 4.0F);
}

TEST(max_observer_test, order_batches_and_merging_do_not_matter) {
  const std::vector<float> values = {-0.0F, 3, -1, 0, 2};
  fewbit::tests::expect_order_batches_and_merging_do_not_matter(max_observer{}, values);
  const max_observer whole = seen(values);
  max_observer both = whole;
  both.merge(max_observer{});
  EXPECT_EQ(both, whole);
  both.merge(both);
  EXPECT_EQ(both.count(), 10U);
  EXPECT_EQ(both.range(), whole.range());
}

TEST(max_observer_test, has_no_range_before_the_first_value) {
  const max_observer o;
  expect_error([&] { (void)o.range(); },
               "fewbit: max_observer::range: count of observed values is 0, expected at least 1");
}

TEST(max_observer_test, keeps_its_state_when_a_batch_is_bad) {
  max_observer o = seen({1, 2});
  const max_observer before = o;
  expect_error(
      [&] {
        o.observe(row_of({9, nan}));
      },
      "fewbit: max_observer::observe: x(0, 1) is nan, expected a finite number");
  EXPECT_EQ(o, before);
}

TEST(max_observer_test, skips_and_counts_on_request) {
  max_observer o(nan_policy::skip);
  o.observe(row_of({1, nan, 2, std::numeric_limits<float>::infinity()}));
  EXPECT_EQ(o.range(), (range{1, 2}));
  EXPECT_EQ(o.count(), 2U);
  EXPECT_EQ(o.skipped(), 2U);
  max_observer nothing(nan_policy::skip);
  nothing.observe(row_of({nan}));
  EXPECT_EQ(nothing.skipped(), 1U);
  expect_error([&] { (void)nothing.range(); },
               "fewbit: max_observer::range: count of observed values is 0, expected at least 1");
  nothing.merge(o);
  EXPECT_EQ(nothing.range(), (range{1, 2}));
  EXPECT_EQ(nothing.skipped(), 3U);
}

TEST(max_observer_test, merges_equal_policies_only) {
  max_observer o = seen({1});
  const max_observer before = o;
  expect_error([&] { o.merge(max_observer(nan_policy::skip)); },
               "fewbit: max_observer::merge: nan_policy of other is skip, expected fail");
  EXPECT_EQ(o, before);
}

TEST(max_observer_test, its_text_is_golden_and_exact) {
  max_observer o(nan_policy::skip);
  o.observe(row_of({-1.5F, nan, 1e-45F}));
  EXPECT_EQ(o.to_text(),
            "fewbit max_observer 1\npolicy 1\ncount 2\nskipped 1\nlo bfc00000\nhi 00000001\n");
  EXPECT_EQ(max_observer::from_text(o.to_text()), o);
  EXPECT_EQ(max_observer::from_text(max_observer{}.to_text()), max_observer{});
}

TEST(max_observer_test, rejects_impossible_states) {
  const auto text = [](const char* count, const char* lo, const char* hi) {
    return std::string("fewbit max_observer 1\npolicy 0\ncount ") + count + "\nskipped 0\nlo " +
           lo + "\nhi " + hi + "\n";
  };
  const auto read = [](const std::string& t) { (void)max_observer::from_text(t); };
  const std::string start = "fewbit: max_observer::from_text: ";
  expect_error([&] { read(text("2", "40000000", "3f800000")); },
               start + "lo is 2, expected at most hi, 1");
  expect_error([&] { read(text("2", "80000000", "3f800000")); },
               start + "lo is -0, expected finite and not -0");
  expect_error([&] { read(text("2", "00000000", "7f800000")); },
               start + "hi is inf, expected finite and not -0");
  expect_error([&] { read(text("0", "00000000", "3f800000")); },
               start + "count is 0, expected at least 1 where lo and hi are not 0");
  expect_error([&] { read(text("1", "00000000", "3f800000")); },
               start + "count is 1, expected at least 2 where lo and hi differ");
  expect_error([&] { read("fewbit max_observer 2\n"); },
               start + "line 1 is 'fewbit max_observer 2', expected 'fewbit max_observer 1'");
  expect_error([&] { read(text("2", "00000000", "3f800000") + "x\n"); },
               start + "line 7 is 'x', expected the end");
}

TEST(max_observer_test, rejects_skipped_values_under_the_policy_to_fail) {
  expect_error(
      [] {
        (void)max_observer::from_text(
            "fewbit max_observer 1\npolicy 0\ncount 2\nskipped 5\nlo 00000000\nhi 3f800000\n");
      },
      "fewbit: max_observer::from_text: line 4 is 'skipped 5', expected 'skipped <integer from 0 "
      "to "
      "0>'");
}

TEST(max_observer_test, counts_above_the_limit_are_refused) {
  max_observer o = seen({1, -2});
  for (int i = 0; i < 60; ++i) o.merge(o);
  EXPECT_EQ(max_observer::from_text(o.to_text()), o);
  const max_observer before = o;
  const std::string end =
      ": count of observed values is 4611686018427387904, expected at most 4611686018427387903";
  expect_error([&] { o.merge(o); }, "fewbit: max_observer::merge" + end);
  EXPECT_EQ(o, before);
  max_observer full = max_observer::from_text(
      "fewbit max_observer 1\npolicy 0\ncount 4611686018427387903\nskipped 0\nlo 00000000\n"
      "hi 3f800000\n");
  expect_error([&] { full.observe(row_of({7})); }, "fewbit: max_observer::observe" + end);
  EXPECT_EQ(full.range().hi, 1.0F);
}

TEST(max_observer_test, refuses_an_empty_batch) {
  for (const nan_policy policy : {nan_policy::fail, nan_policy::skip}) {
    max_observer o(policy);
    for (const matrix& x : {matrix(0, 0), matrix(0, 4), matrix(4, 0)}) {
      expect_error([&] { o.observe(x); },
                   "fewbit: max_observer::observe: x is " + std::to_string(x.rows()) + " x " +
                       std::to_string(x.cols()) + ", expected at least one row and one column");
    }
    EXPECT_EQ(o, max_observer(policy));
  }
}

TEST(max_observer_test, rejects_malformed_text) {
  fewbit::tests::expect_survives_hostile_text(seen({-1, 2, 7}).to_text(), max_observer::from_text);
}

}  // namespace calib_max_observer_test
