#include "fewbit/calib/calibration.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "calib/calibration_cases.hpp"
#include "calib/support.hpp"
#include "support/reverse_executor.hpp"

namespace calib_calibration_test {

using fewbit::by_entropy;
using fewbit::by_mse;
using fewbit::by_percentile;
using fewbit::calibration;
using fewbit::clip;
using fewbit::histogram_observer;
using fewbit::index;
using fewbit::max_observer;
using fewbit::nan_policy;
using fewbit::per_channel;
using fewbit::range;
using fewbit::tests::batch_of;
using fewbit::tests::empty_calibration;
using fewbit::tests::expect_error;
using fewbit::tests::matrix;
using fewbit::tests::observe_batch;
using fewbit::tests::seen;

TEST(calibration, equals_separate_observers) {
  const calibration c = seen({0, 1, 2});
  max_observer largest;
  histogram_observer all(64);
  per_channel<max_observer> largest_of(5);
  per_channel<histogram_observer> all_of(5, histogram_observer(64));
  for (const std::uint64_t b : {0U, 1U, 2U}) {
    const matrix x = batch_of(b);
    largest.observe(x);
    all.observe(x);
    largest_of.observe(x);
    all_of.observe(x);
  }
  EXPECT_EQ(c.observer<max_observer>("a/largest"), largest);
  EXPECT_EQ(c.observer<histogram_observer>("a/all"), all);
  EXPECT_EQ(c.observer<per_channel<max_observer>>("b largest"), largest_of);
  EXPECT_EQ(c.observer<per_channel<histogram_observer>>("b"), all_of);
  EXPECT_EQ(c.size(), 4);
  EXPECT_EQ(c.name(0), "a/all");
  EXPECT_EQ(c.name(3), "b largest");
  EXPECT_TRUE(c.contains("b"));
  EXPECT_FALSE(c.contains("c"));
  EXPECT_EQ(c.batches().count(), 3U);
}

/// The range of column c by an observer that sees only this column.
template <class Method>
range of_column(const std::vector<std::uint64_t>& batches, index c, const Method& method,
                clip ends) {
  histogram_observer alone(64);
  for (const std::uint64_t b : batches) alone.observe(matrix(batch_of(b).col(c)));
  return alone.range(method, ends);
}

TEST(calibration, chooses_a_range_for_each_channel_by_every_method) {
  const std::vector<std::uint64_t> batches{0, 1, 2, 3, 4, 5, 6, 7};
  const calibration c = seen(batches);
  for (const clip ends : {clip::symmetric, clip::affine}) {
    const auto check = [&](const auto& method) {
      const std::vector<range> ranges = c.ranges("b", method, ends);
      ASSERT_EQ(ranges.size(), 5U);
      for (index i = 0; i < 5; ++i) {
        EXPECT_EQ(ranges[static_cast<std::size_t>(i)], of_column(batches, i, method, ends)) << i;
      }
    };
    check(by_percentile{90});
    check(by_entropy{.bits = 3, .first_bin = 8});
    check(by_mse{.bits = 4, .first_bin = 8});
    check(fewbit::by_max{});
  }
  EXPECT_EQ(c.ranges("b").size(), 5U);
  EXPECT_EQ(c.ranges("a/all").front(), c.range("a/largest"));
  EXPECT_EQ(c.ranges("b"), c.ranges("b largest"));
}

TEST(calibration, gives_the_ranges_of_all_tensors_with_any_executor) {
  const calibration c = seen({0, 1, 2, 3});
  for (const clip ends : {clip::symmetric, clip::affine}) {
    const auto all = c.all_ranges(by_percentile{90}, ends);
    ASSERT_EQ(all.size(), 4U);
    EXPECT_EQ(all[0].name, "a/all");
    EXPECT_EQ(all[0].ranges, c.ranges("a/all", by_percentile{90}, ends));
    EXPECT_EQ(all[2].ranges, c.ranges("b", by_percentile{90}, ends));
    range extremes = c.range("a/largest");
    if (ends == clip::symmetric) extremes = {-extremes.amax(), extremes.amax()};
    EXPECT_EQ(all[1].ranges, std::vector<range>{extremes});
    EXPECT_EQ(all[3].ranges.size(), 5U);
    EXPECT_EQ(c.all_ranges(by_percentile{90}, ends, fewbit::tests::reverse_executor{}), all);
  }
  expect_error([&] { (void)c.all_ranges(by_percentile{101}); },
               "fewbit: calibration::all_ranges: p is 101, expected above 0 and at most 100");
  expect_error([] { (void)empty_calibration().all_ranges(by_mse{}); },
               "fewbit: calibration::all_ranges: tensor 'a/all': count of observed values is 0, "
               "expected at least 1");
}

TEST(calibration, any_split_and_any_order_of_merging_give_the_same_bits) {
  std::vector<std::uint64_t> all;
  for (std::uint64_t b = 0; b < 12; ++b) all.push_back(b);
  const calibration whole = seen(all);
  std::mt19937 random(5);
  for (int trial = 0; trial < 20; ++trial) {
    std::shuffle(all.begin(), all.end(), random);
    std::vector<calibration> parts(1 + random() % 5, empty_calibration());
    for (const std::uint64_t b : all) observe_batch(parts[random() % parts.size()], b);
    while (parts.size() > 1) {
      const std::size_t other = random() % (parts.size() - 1);
      if (random() % 2 == 0) {
        parts[other].merge(parts.back());
      } else {
        parts.back().merge(parts[other]);
        parts[other] = parts.back();
      }
      parts.pop_back();
    }
    ASSERT_EQ(parts[0], whole) << trial;
    ASSERT_EQ(parts[0].to_text(), whole.to_text()) << trial;
  }
}

TEST(calibration, merging_joins_the_names) {
  calibration left, right, both;
  const matrix x = batch_of(0);
  for (calibration* c : {&left, &both}) {
    c->add("left", histogram_observer{});
    c->observe("left", x);
  }
  for (calibration* c : {&right, &both}) {
    c->add("right", max_observer{});
    c->observe("right", x);
  }
  left.end_batch(1);
  right.end_batch(2);
  both.end_batch(1);
  both.end_batch(2);
  calibration other = right;
  other.merge(left);
  left.merge(right);
  EXPECT_EQ(left, both);
  EXPECT_EQ(other, both);
}

TEST(calibration, its_text_is_golden) {
  calibration c;
  c.add("w", max_observer{});
  c.observe("w", fewbit::tests::row_of({-1.5F, 0.25F}));
  c.end_batch(7);
  EXPECT_EQ(
      c.to_text(),
      "fewbit calibration 1\nbatch_ranges 1\n7 1\ntensors 1\ntensor w\nobserver max_observer\n"
      "fewbit max_observer 1\npolicy 0\ncount 2\nskipped 0\nlo bfc00000\nhi 3e800000\n");
}

TEST(calibration, a_restored_state_goes_on_like_the_original) {
  for (const auto& batches : {std::vector<std::uint64_t>{}, {0}, {5, 1, 9}}) {
    calibration c = seen(batches);
    calibration copy = calibration::from_text(c.to_text());
    EXPECT_EQ(copy, c);
    observe_batch(c, 3);
    observe_batch(copy, 3);
    EXPECT_EQ(copy, c);
    EXPECT_EQ(copy.to_text(), c.to_text());
  }
}

TEST(calibration, rejects_malformed_text) {
  calibration c;
  c.add("a", histogram_observer(16));
  c.add("b", per_channel<max_observer>(2));
  c.observe("a", fewbit::tests::row_of({-1.5F, 0.0F, 0.25F}));
  c.observe("b", matrix::Ones(2, 2));
  c.end_batch(3);
  c.end_batch(5);
  fewbit::tests::expect_survives_hostile_text(
      c.to_text(), [](const std::string& t) { return calibration::from_text(t); });
}

TEST(calibration, names_the_tensor_and_the_line_of_a_bad_text) {
  const std::string head = "fewbit calibration 1\nbatch_ranges 1\n7 1\ntensors 2\n";
  const auto w = [](const std::string& name, const std::string& lo = "bfc00000") {
    return "tensor " + name +
           "\nobserver max_observer\nfewbit max_observer 1\npolicy 0\ncount 2\nskipped 0\nlo " +
           lo + "\nhi 3e800000\n";
  };
  const auto read = [](const std::string& t) { (void)calibration::from_text(t); };
  const std::string start = "fewbit: calibration::from_text: ";
  read(head + w("a") + w("b"));
  expect_error([&] { read(head + w("a") + w("a")); },
               start + "tensor is 'a', expected a name above the one before");
  expect_error([&] { read(head + w("b") + w("a")); },
               start + "tensor is 'a', expected a name above the one before");
  expect_error([&] { read(head + w("a") + w("b", "7f800000")); },
               start + "tensor 'b': lo is inf, expected finite and not -0");
  expect_error([&] { read(head + w("a") + w("b", "x")); },
               start + "tensor 'b': line 19 is 'lo x', expected 'lo <8 hexadecimal digits>'");
  expect_error([&] { read(head + w("a")); },
               start + "line 13 is missing, expected 'tensor <words>'");
  expect_error([&] { read(head + w("a") + w("b") + "x\n"); },
               start + "line 21 is 'x', expected the end");
  expect_error([&] { read(head + w("")); },
               start + "length of the name of a tensor is 0, expected from 1 to 4096");
  expect_error([&] { read(head + w("\x7F")); },
               start + "a byte in the name of a tensor is 127, expected no control character");
  expect_error([&] { read("fewbit calibration 1\nbatch_ranges 0\ntensors 1\n" + w("a")); },
               start +
                   "tensor 'a': count of values is above 0, expected 0, because no batch was "
                   "seen");
  expect_error([&] { read(head + "tensor a\nobserver moving_average_observer\n"); },
               start +
                   "tensor 'a': observer is moving_average_observer, expected max_observer, "
                   "histogram_observer or per_channel of one of them");
  for (const char* ranges : {"2\n7 1\n8 1\n", "2\n7 1\n3 1\n", "1\n-1 1\n"}) {
    expect_error([&] { read(std::string("fewbit calibration 1\nbatch_ranges ") + ranges); },
                 start + "first batch of a range is " +
                     std::string(ranges[2] == '-'   ? "-1"
                                 : ranges[6] == '8' ? "8"
                                                    : "3") +
                     ", expected at least 0 and behind the end of the range before");
  }
  for (const char* range : {"7 0", "1 4611686018427387903"}) {
    expect_error(
        [&] { read(std::string("fewbit calibration 1\nbatch_ranges 1\n") + range + "\n"); },
        start + "count of batches of a range is " + std::string(range).substr(2) +
            ", expected at least 1, and no number above 4611686018427387902");
  }
}

TEST(calibration, refuses_a_text_whose_observers_need_much_memory) {
#if FEWBIT_HAS_EXCEPTIONS
  const std::string wide = histogram_observer(65536).to_text();
  const std::string text =
      "fewbit calibration 1\nbatch_ranges 0\ntensors 1\ntensor a\nobserver "
      "per_channel<histogram_observer>\nfewbit per_channel 1\nchannels 2\n" +
      wide + wide;
  EXPECT_EQ(calibration::from_text(text, 1100000).to_text(), text);
  const std::string sentence =
      fewbit::tests::sentence_of([&] { (void)calibration::from_text(text, 1000000); });
  const std::string start =
      "fewbit: calibration::from_text: tensor 'a': memory of the observers is 10";
  const std::string end = " bytes or more, expected at most 1000000, the limit of this call";
  EXPECT_TRUE(sentence.starts_with(start) && sentence.ends_with(end)) << sentence;
#endif
}

TEST(calibration, refuses_bad_calls_and_stays_as_it_was) {
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  calibration c = seen({0});
  const calibration before = c;
  const std::string start = "fewbit: calibration::";
  expect_error([&] { c.add("b", max_observer{}); },
               start + "add: tensor is 'b', expected a name without observer");
  expect_error([&] { c.add("", max_observer{}); },
               start + "add: length of the name of a tensor is 0, expected from 1 to 4096");
  expect_error([&] { c.add(std::string(4097, 'x'), max_observer{}); },
               start + "add: length of the name of a tensor is 4097, expected from 1 to 4096");
  expect_error([&] { c.add("a\nb", max_observer{}); },
               start + "add: a byte in the name of a tensor is 10, expected no control character");
  expect_error([&] { c.add("z", c.observer<max_observer>("a/largest")); },
               start + "add: count of values of the observer is 115, expected 0");
  expect_error([&] { c.observe("z", matrix::Ones(1, 1)); },
               start + "observe: tensor is 'z', expected a name of add()");
  expect_error([&] { c.observe("b", matrix::Ones(1, 4)); },
               start + "observe: tensor 'b': x.cols() is 4, expected 5");
  expect_error([&] { c.observe("a/all", matrix::Constant(1, 2, nan)); },
               start + "observe: tensor 'a/all': x(0, 0) is nan, expected a finite number");
  expect_error([&] { c.end_batch(0); }, start +
                                            "end_batch: number of a batch is 0, expected a "
                                            "batch that was not seen before");
  expect_error([&] { (void)c.observer<max_observer>("b"); },
               start +
                   "observer: tensor 'b': observer is per_channel<histogram_observer>, "
                   "expected max_observer");
  expect_error([&] { (void)c.range("b"); },
               start +
                   "range: tensor 'b': observer is per_channel<histogram_observer>, expected "
                   "one without channels; use ranges()");
  expect_error([&] { (void)c.range("a/largest", by_mse{}); },
               start +
                   "ranges: tensor 'a/largest': observer is max_observer, expected one with "
                   "histograms");
  expect_error([] { (void)empty_calibration().range("a/all"); },
               start +
                   "ranges: tensor 'a/all': count of observed values is 0, expected at least "
                   "1");
  EXPECT_EQ(c, before);
}

TEST(calibration, has_no_state_while_a_batch_is_open) {
  calibration c = seen({0});
  calibration other = seen({1});
  c.observe("a/largest", matrix::Ones(1, 1));
  const calibration before = c;
  const std::string open = " is not ended, expected end_batch() after its values";
  expect_error([&] { (void)c.to_text(); }, "fewbit: calibration::to_text: batch" + open);
  expect_error([&] { c.merge(other); }, "fewbit: calibration::merge: batch" + open);
  expect_error([&] { other.merge(c); }, "fewbit: calibration::merge: batch of other" + open);
  EXPECT_EQ(c, before);
  EXPECT_EQ(other, seen({1}));
  c.end_batch(2);
  c.merge(other);
}

TEST(calibration, refuses_to_merge_what_does_not_fit_and_stays_as_it_was) {
  const std::string start = "fewbit: calibration::merge: ";
  const auto check = [&](const calibration& other, const std::string& sentence) {
    calibration c = seen({0, 1});
    expect_error([&] { c.merge(other); }, start + sentence);
    EXPECT_EQ(c, seen({0, 1}));
  };
  check(seen({1, 2}), "number of a batch of other is 1, expected a batch that was not seen before");
  const auto with = [](const char* name, const auto& observer) {
    calibration c;
    c.add("0", max_observer{});  // a tensor before it, which must not be merged
    c.add(name, observer);
    return c;
  };
  check(with("b", max_observer{}),
        "tensor 'b': observer of other is max_observer, expected per_channel<histogram_observer>");
  check(with("a/all", histogram_observer(16)), "tensor 'a/all': bins of other is 16, expected 64");
  check(with("a/all", histogram_observer(64, nan_policy::skip)),
        "tensor 'a/all': nan_policy of other is skip, expected fail");
  check(with("b largest", per_channel<max_observer>(4)),
        "tensor 'b largest': channels of other is 4, expected 5");
  check(with("b", per_channel<histogram_observer>(5, histogram_observer(32))),
        "tensor 'b': bins of other is 32, expected 64");
}

TEST(calibration, refuses_counts_above_the_limit_before_anything_changes) {
  const auto state = [](const std::string& count, int batch) {
    return calibration::from_text("fewbit calibration 1\nbatch_ranges 1\n" + std::to_string(batch) +
                                  " 1\ntensors 2\ntensor a\nobserver max_observer\nfewbit "
                                  "max_observer 1\npolicy 0\ncount 1\nskipped 0\nlo 00000000\nhi "
                                  "00000000\ntensor b\nobserver max_observer\nfewbit max_observer "
                                  "1\npolicy 0\ncount " +
                                  count + "\nskipped 0\nlo 00000000\nhi 00000000\n");
  };
  calibration c = state("4611686018427387903", 0);
  const calibration before = c;
  expect_error([&] { c.merge(state("1", 1)); },
               "fewbit: calibration::merge: tensor 'b': count of observed values is "
               "4611686018427387904, expected at most 4611686018427387903");
  EXPECT_EQ(c, before);
  expect_error([&] { c.observe("b", matrix::Ones(1, 1)); },
               "fewbit: calibration::observe: tensor 'b': count of observed values is "
               "4611686018427387904, expected at most 4611686018427387903");
  EXPECT_EQ(c, before);
  expect_error([&] { (void)state("4611686018427387904", 1); },
               "fewbit: calibration::from_text: tensor 'b': line 17 is 'count "
               "4611686018427387904', expected 'count <integer from 0 to 4611686018427387903>'");
}

}  // namespace calib_calibration_test
