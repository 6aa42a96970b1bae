#include "fewbit/calib/histogram_observer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "calib/support.hpp"

namespace calib_histogram_observer_test {

using fewbit::clip;
using fewbit::histogram;
using fewbit::histogram_observer;
using fewbit::index;
using fewbit::nan_policy;
using fewbit::range;
using fewbit::tests::expect_error;
using fewbit::tests::matrix;
using fewbit::tests::row_of;
using fewbit::tests::wild_values;

static_assert(fewbit::MergeableObserver<histogram_observer>);

constexpr float nan = std::numeric_limits<float>::quiet_NaN();
constexpr float largest = std::numeric_limits<float>::max();
constexpr float smallest = std::numeric_limits<float>::denorm_min();

histogram_observer seen(const std::vector<float>& values, index bins = 2048) {
  histogram_observer o(bins);
  o.observe(row_of(values));
  return o;
}

/// Finds the smallest power of two w >= 2^-149 with amax < bins * w by trial.
long double wanted_width(float amax, index bins) {
  long double w = std::ldexp(1.0L, -149);
  while (amax >= w * static_cast<long double>(bins)) w *= 2;
  return w;
}

/// Compares the bins with counts in long double, where every quotient is exact.
void expect_counts(const histogram_observer& o, const std::vector<float>& values) {
  float amax = 0;
  for (const float v : values) amax = std::max(amax, std::abs(v));
  const long double w = wanted_width(amax, o.bins());
  ASSERT_EQ(o.width(), static_cast<double>(w));

  std::vector<std::uint64_t> left(static_cast<std::size_t>(o.bins()), 0);
  std::vector<std::uint64_t> right = left;
  for (const float v : values) {
    const auto k = static_cast<std::size_t>(std::floor(std::abs(static_cast<long double>(v)) / w));
    ++(v < 0 ? left : right)[k];
  }
  const histogram signs = o.snapshot(clip::affine);
  const histogram sizes = o.snapshot(clip::symmetric);
  EXPECT_EQ(signs.total(), values.size());
  EXPECT_EQ(sizes.total(), values.size());
  for (index k = 0; k < o.bins(); ++k) {
    const auto i = static_cast<std::size_t>(k);
    const index at_right = signs.zero + k;
    const index at_left = signs.zero - 1 - k;
    ASSERT_EQ(at_right < signs.bins() ? signs.count(at_right) : 0, right[i]) << k;
    ASSERT_EQ(at_left >= 0 ? signs.count(at_left) : 0, left[i]) << k;
    ASSERT_EQ(k < sizes.bins() ? sizes.count(k) : 0, left[i] + right[i]) << k;
  }
}

TEST(histogram_observer_test, counts_as_defined) {
  for (const index bins : {16, 2048}) {
    for (const int octaves : {2, 12, 40, 240}) {
      for (const std::size_t n : {1U, 2U, 17U, 1000U, 20011U}) {
        const auto values = wild_values(n, octaves, static_cast<unsigned>(n) + 1);
        expect_counts(seen(values, bins), values);
      }
    }
  }
}

TEST(histogram_observer_test, counts_values_on_and_near_edges) {
  std::vector<float> values;
  for (int k = 1; k < 1024; ++k) {
    const float edge = static_cast<float>(k) / 512.0F;
    for (const float v : {edge, std::nextafter(edge, 0.0F), std::nextafter(edge, 9.0F)}) {
      values.push_back(v);
      values.push_back(-v);
    }
  }
  expect_counts(seen(values, 16), values);
  expect_counts(seen(values, 1024), values);
  expect_counts(seen(values, 2048), values);
}

/// Tests short and long batches, which use different code. Must also hold with compiler flags that
/// ignore the sign of zero.
TEST(histogram_observer_test, zeros_of_both_signs_are_not_negative_values) {
  for (const std::size_t n : {1U, 40U, 5000U, 40000U}) {
    std::vector<float> values(n, -0.0F);
    const histogram_observer negative = seen(values);
    for (std::size_t i = 0; i < n; i += 3) values[i] = 0.0F;
    EXPECT_EQ(seen(values), negative);
    EXPECT_EQ(histogram_observer::from_text(negative.to_text()), negative);
    const histogram h = negative.snapshot(clip::affine);
    EXPECT_EQ(h.zero, 0);
    EXPECT_EQ(h.total(), n);
    values.push_back(-1.0F);
    const histogram below = seen(values).snapshot(clip::affine);
    EXPECT_EQ(below.count_of(0, below.zero), 1U);
    EXPECT_EQ(histogram_observer::from_text(seen(values).to_text()), seen(values));
  }
}

TEST(histogram_observer_test, counts_the_smallest_and_largest_floats) {
  const float normal = std::numeric_limits<float>::min();
  const std::vector<std::vector<float>> cases = {
      {0.0F, -0.0F},
      {smallest},
      {-smallest, smallest, 0},
      {smallest * 2047, -smallest * 2047},
      {smallest * 2048, smallest, -smallest},
      {smallest * 4097, smallest, smallest * 3, -smallest * 5},
      {normal, normal - smallest, normal + smallest, -normal},
      {largest, -largest, smallest, -smallest, normal, 1},
      {1e-30F, 1e30F},
  };
  for (const auto& values : cases) {
    for (const index bins : {16, 2048, 65536}) expect_counts(seen(values, bins), values);
  }
}

TEST(histogram_observer_test, state_is_a_function_of_the_multiset) {
  const auto values = wild_values(3000, 30, 5);
  const histogram_observer whole = seen(values);
  std::mt19937 random(3);
  for (int trial = 0; trial < 60; ++trial) {
    auto shuffled = values;
    std::shuffle(shuffled.begin(), shuffled.end(), random);
    if (trial == 0) std::sort(shuffled.begin(), shuffled.end());
    if (trial == 1) std::sort(shuffled.begin(), shuffled.end(), std::greater<>());
    std::vector<histogram_observer> parts(1 + random() % 5);
    for (std::size_t begin = 0; begin < shuffled.size();) {
      const std::size_t n = std::min<std::size_t>(1 + random() % 500, shuffled.size() - begin);
      const std::vector<float> batch(shuffled.begin() + static_cast<std::ptrdiff_t>(begin),
                                     shuffled.begin() + static_cast<std::ptrdiff_t>(begin + n));
      parts[random() % parts.size()].observe(row_of(batch));
      begin += n;
    }
    std::shuffle(parts.begin(), parts.end(), random);
    while (parts.size() > 1) {
      if (random() % 2 == 0) {
        parts[parts.size() - 2].merge(parts.back());
      } else {
        parts.back().merge(parts[parts.size() - 2]);
        parts[parts.size() - 2] = parts.back();
      }
      parts.pop_back();
    }
    ASSERT_EQ(parts[0], whole) << trial;
    ASSERT_EQ(parts[0].to_text(), whole.to_text()) << trial;
  }
}

TEST(histogram_observer_test, every_order_of_widening_gives_the_same_state) {
  std::vector<float> values = {0.0F, smallest, -1e-40F, 1e-20F, -3.0F, 7e30F};
  std::sort(values.begin(), values.end());
  const histogram_observer whole = seen(values, 16);
  do {
    histogram_observer one_by_one(16);
    for (const float v : values) one_by_one.observe(row_of({v}));
    ASSERT_EQ(one_by_one, whole);
  } while (std::next_permutation(values.begin(), values.end()));
}

TEST(histogram_observer_test, merging_itself_doubles_the_counts) {
  histogram_observer o = seen({1, -2, 3});
  o.merge(o);
  EXPECT_EQ(o, seen({1, -2, 3, 1, -2, 3}));
  histogram_observer empty;
  empty.merge(histogram_observer{});
  EXPECT_EQ(empty, histogram_observer{});
  empty.merge(o);
  EXPECT_EQ(empty, o);
  o.merge(histogram_observer{});
  EXPECT_EQ(empty, o);
}

TEST(histogram_observer_test, batch_length_does_not_matter) {
  const auto values = wild_values(16 * 8 * 20 + 5, 6, 9);
  histogram_observer one_by_one(16);
  for (const float v : values) one_by_one.observe(row_of({v}));
  EXPECT_EQ(seen(values, 16), one_by_one);
  const matrix x =
      Eigen::Map<const matrix>(values.data(), 5, static_cast<index>(values.size()) / 5);
  histogram_observer by_columns(16);
  by_columns.observe(x.leftCols(3));
  by_columns.observe(x.rightCols(x.cols() - 3));
  EXPECT_EQ(by_columns, one_by_one);
}

TEST(histogram_observer_test, snapshot_has_only_the_bins_in_use) {
  const histogram_observer o = seen({-1.5F, 3.0F});
  EXPECT_EQ(o.width(), 4.0 / 2048);
  const histogram signs = o.snapshot(clip::affine);
  EXPECT_EQ(signs.ends, clip::affine);
  EXPECT_EQ(signs.zero, 769);
  EXPECT_EQ(signs.edge(1), -1.5);
  EXPECT_EQ(signs.bins(), 769 + 1537);
  EXPECT_EQ(signs.edge(signs.bins() - 1), 3.0);
  EXPECT_EQ(signs.extremes, (range{-1.5F, 3.0F}));
  const histogram sizes = o.snapshot(clip::symmetric);
  EXPECT_EQ(sizes.ends, clip::symmetric);
  EXPECT_EQ(sizes.zero, 0);
  EXPECT_EQ(sizes.bins(), 1537);
  EXPECT_EQ(sizes.center(1536), 3.0 + 1.0 / 1024);
  EXPECT_EQ(seen({-2, -1}).snapshot(clip::affine).zero, 1025);
  EXPECT_EQ(seen({-2, -1}).snapshot(clip::affine).bins(), 1025);
  EXPECT_EQ(seen({2, 1}).snapshot(clip::affine).zero, 0);
}

TEST(histogram_observer_test, keeps_its_state_when_a_batch_is_bad) {
  histogram_observer o = seen({1, 2});
  const histogram_observer before = o;
  expect_error(
      [&] {
        o.observe(row_of({900, 1, nan}));
      },
      "fewbit: histogram_observer::observe: x(0, 2) is nan, expected a finite number");
  EXPECT_EQ(o, before);
  expect_error([&] { o.merge(histogram_observer(64)); },
               "fewbit: histogram_observer::merge: bins of other is 64, expected 2048");
  expect_error([&] { o.merge(histogram_observer(2048, nan_policy::skip)); },
               "fewbit: histogram_observer::merge: nan_policy of other is skip, expected fail");
  EXPECT_EQ(o, before);
}

TEST(histogram_observer_test, skips_and_counts_on_request) {
  auto values = wild_values(40000, 8, 4);
  const auto finite = values;
  values.insert(values.begin() + 20001, {nan, std::numeric_limits<float>::infinity()});
  values.push_back(-std::numeric_limits<float>::infinity());
  histogram_observer o(2048, nan_policy::skip);
  o.observe(row_of(values));
  EXPECT_EQ(o.skipped(), 3U);
  expect_counts(o, finite);
}

TEST(histogram_observer_test, rejects_bad_numbers_of_bins) {
  for (const index bins : {-16, 0, 1, 8, 24, 100, 131072}) {
    expect_error([&] { histogram_observer o(bins); },
                 "fewbit: histogram_observer: bins is " + std::to_string(bins) +
                     ", expected a power of two from 16 to 65536");
  }
}

TEST(histogram_observer_test, is_empty_before_the_first_value) {
  const histogram_observer o;
  const std::string end = ": count of observed values is 0, expected at least 1";
  expect_error([&] { (void)o.range(); }, "fewbit: histogram_observer::range" + end);
  expect_error([&] { (void)o.range(fewbit::by_max{}); }, "fewbit: histogram_observer::range" + end);
  expect_error([&] { (void)o.snapshot(clip::affine); },
               "fewbit: histogram_observer::snapshot" + end);
}

TEST(histogram_observer_test, its_text_is_golden_and_exact) {
  EXPECT_EQ(seen({-1.5F, 0, 0, 15.5F}, 16).to_text(),
            "fewbit histogram_observer 2\npolicy 0\nbins 16\ncount 4\nskipped 0\nlo bfc00000\n"
            "hi 41780000\nfilled 3\n-2 1\n0 2\n15 1\noctave_bins 2\n-9569 1\n9788 1\n");
  // With 2048 bins, 64 widths are 0.5. Only values below 0.5 are counted by octave.
  EXPECT_EQ(seen({-0.125F, 0, 0, 15.5F}, 2048).to_text(),
            "fewbit histogram_observer 2\npolicy 0\nbins 2048\ncount 4\nskipped 0\nlo be000000\n"
            "hi 41780000\nfilled 3\n-17 1\n0 2\n1984 1\noctave_bins 1\n-9345 1\n");
  for (const auto& values : {std::vector<float>{0.0F},
                             {smallest},
                             {largest, -1.0F},
                             wild_values(5000, 20, 6),
                             wild_values(5000, 240, 6)}) {
    const histogram_observer o = seen(values);
    EXPECT_EQ(histogram_observer::from_text(o.to_text()), o);
  }
  const histogram_observer empty;
  EXPECT_EQ(histogram_observer::from_text(empty.to_text()), empty);
}

TEST(histogram_observer_test, a_restored_state_counts_like_the_original) {
  histogram_observer o = seen({1, 2, -3});
  histogram_observer copy = histogram_observer::from_text(o.to_text());
  o.observe(row_of({100}));
  copy.observe(row_of({100}));
  EXPECT_EQ(copy, o);
}

TEST(histogram_observer_test, rejects_impossible_states) {
  const std::string head = "fewbit histogram_observer 2\npolicy 0\nbins 16\ncount 4\nskipped 0\n";
  const std::string ends = "lo bfc00000\nhi 41780000\n";
  const std::string octaves = "octave_bins 2\n-9569 1\n9788 3\n";
  const auto read = [](const std::string& t) { (void)histogram_observer::from_text(t); };
  const std::string start = "fewbit: histogram_observer::from_text: ";
  read(head + ends + "filled 2\n-2 1\n15 3\n" + octaves);
  expect_error([&] { read(head + ends + "filled 2\n-2 1\n15 2\n"); },
               start + "sum of the bins is 3, expected 4");
  expect_error([&] { read(head + ends + "filled 2\n-2 1\n15 4\n"); },
               start + "count of a bin is 4, expected at least 1, and in sum 4");
  expect_error([&] { read(head + ends + "filled 3\n-2 1\n3 0\n15 3\n"); },
               start + "count of a bin is 0, expected at least 1, and in sum 4");
  expect_error([&] { read(head + ends + "filled 2\n-3 1\n15 3\n"); },
               start + "first bin is -3, expected -2");
  expect_error([&] { read(head + ends + "filled 2\n-2 1\n14 3\n"); },
               start + "last bin is 14, expected 15");
  expect_error([&] { read(head + ends + "filled 3\n-2 1\n3 1\n3 2\n"); },
               start + "bin is 3, expected above the bin before and below the number of bins");
  expect_error([&] { read(head + ends + "filled 2\n-2 1\n16 3\n"); },
               start + "bin is 16, expected above the bin before and below the number of bins");
  expect_error([&] { read(head + ends + "filled 1\n-17 4\n"); },
               start + "bin is -17, expected above the bin before and below the number of bins");
  expect_error([&] { read(head + ends + "filled 33\n"); },
               start + "line 8 is 'filled 33', expected 'filled <integer from 0 to 32>'");
  expect_error([&] { read("fewbit histogram_observer 2\npolicy 0\nbins 17\n"); },
               start + "bins is 17, expected a power of two from 16 to 65536");
  expect_error([&] { read("fewbit histogram_observer 2\npolicy 0\nbins 1099511627776\n"); },
               start + "line 3 is 'bins 1099511627776', expected 'bins <integer from 0 to 65536>'");
  expect_error(
      [&] { read("fewbit histogram_observer 2\npolicy 0\nbins 16\ncount 4\nskipped 5\n"); },
      start + "line 5 is 'skipped 5', expected 'skipped <integer from 0 to 0>'");
  expect_error(
      [&] {
        read(
            "fewbit histogram_observer 2\npolicy 1\nbins 16\ncount 4\nskipped "
            "4611686018427387903\n");
      },
      start +
          "line 5 is 'skipped 4611686018427387903', expected 'skipped <integer from 0 to "
          "4611686018427387899>'");
}

TEST(histogram_observer_test, refuses_the_former_text) {
  expect_error(
      [] {
        (void)histogram_observer::from_text(
            "fewbit histogram_observer 1\npolicy 0\nbins 16\ncount 0\nskipped 0\nlo 00000000\n"
            "hi 00000000\nfilled 0\n");
      },
      "fewbit: histogram_observer::from_text: line 1 is 'fewbit histogram_observer 1', expected "
      "'fewbit histogram_observer 2'");
}

TEST(histogram_observer_test, rejects_impossible_octaves) {
  const std::string start = "fewbit: histogram_observer::from_text: ";
  const auto read = [](const std::string& octaves) {
    (void)histogram_observer::from_text(
        "fewbit histogram_observer 2\npolicy 0\nbins 16\ncount 4\nskipped 0\nlo bfc00000\n"
        "hi 41780000\nfilled 3\n-2 1\n0 2\n15 1\noctave_bins " +
        octaves);
  };
  read("2\n-9569 1\n9788 1\n");               // bin 0 counts two zeros
  read("4\n-9569 1\n0 1\n9500 1\n9788 1\n");  // bin 0 counts two small values
  const std::string other = start +
                            "octave bins is a count of other values, expected the values of "
                            "the linear bins";
  const std::string extremes = start +
                               "octave bins is without lo or hi, expected the first with lo "
                               "and the last with hi";
  const std::string key =
      ", expected the key of a float, above the key before and below the linear bins";
  const std::string count = start + "count of an octave bin is ";
  const std::string sum = ", expected at least 1, and in sum at most the count of the linear bins";
  expect_error([&] { read("0\n"); }, other);
  expect_error([&] { read("1\n9788 1\n"); }, other);
  expect_error([&] { read("1\n-9569 1\n"); }, other);
  // Key 9540 is 1.0625, but linear bin 1 is empty.
  expect_error([&] { read("3\n-9569 1\n9540 1\n9788 1\n"); }, other);
  expect_error([&] { read("3\n-9569 1\n-1 1\n9788 1\n"); }, other);
  expect_error([&] { read("2\n-9570 1\n9788 1\n"); }, extremes);
  expect_error([&] { read("2\n-9569 1\n9789 1\n"); }, extremes);
  expect_error([&] { read("2\n-9569 1\n9788 0\n"); }, count + "0" + sum);
  expect_error([&] { read("2\n-9569 1\n9788 4\n"); }, count + "4" + sum);
  expect_error([&] { read("2\n9788 1\n9788 1\n"); }, start + "octave bin is 9788" + key);
  expect_error([&] { read("1\n17728 1\n"); }, start + "octave bin is 17728" + key);
  expect_error([&] { read("1\n-17729 1\n"); }, start + "octave bin is -17729" + key);
  expect_error([&] { read("1\n1 1\n"); }, start + "octave bin is 1" + key);
  expect_error([&] { read("1\n-98 1\n"); }, start + "octave bin is -98" + key);
  expect_error([&] { read("35457\n"); },
               start +
                   "line 12 is 'octave_bins 35457', expected 'octave_bins <integer from 0 to "
                   "35456>'");
}

TEST(histogram_observer_test, rejects_octaves_of_large_values_and_halves_of_coarse_bins) {
  std::vector<float> values;
  for (int e = -40; e <= 0; ++e) values.push_back(std::ldexp(1.5F, e));
  const histogram_observer o = seen(values);
  const std::string text = o.to_text();
  EXPECT_EQ(histogram_observer::from_text(text), o);
  // 1.5 * 2^-40 is in octave 109, below the 20 highest. Its key is 109 * 64 + 32 = 7008.
  const auto with = [&](const std::string& former, const std::string& line) {
    std::string changed = text;
    const std::size_t at = changed.find("\n" + former + "\n");
    EXPECT_NE(at, std::string::npos);
    return at == std::string::npos ? changed : changed.replace(at + 1, former.size(), line);
  };
  expect_error([&] { (void)histogram_observer::from_text(with("7008 1", "7009 1")); },
               "fewbit: histogram_observer::from_text: octave bin is 7009, expected the lowest key "
               "of a bin");
  // The width is 2^-10. 1.5 * 2^-5 is the largest value below 64 widths; 2^-4 is not below them.
  expect_error([&] { (void)histogram_observer::from_text(with("9248 1", "9280 1")); },
               "fewbit: histogram_observer::from_text: octave bin is 9280, expected the key of a "
               "float, above the key before and below the linear bins");
}

TEST(histogram_observer_test, needs_the_documented_memory) {
  EXPECT_LE(sizeof(histogram_observer), 1000U);
  histogram_observer o;
  for (int e = -149; e <= 127; ++e) {
    const float x = std::ldexp(1.0F, e);
    o.observe(row_of({x, -x}));
  }
  EXPECT_LE(o.bytes(), 36000U);
}

TEST(histogram_observer_test, counts_above_the_limit_are_refused) {
  histogram_observer o = seen({1, -2, 3, 1e-9F});
  for (int i = 0; i < 59; ++i) o.merge(o);
  EXPECT_EQ(o.count(), std::uint64_t{1} << 61U);
  EXPECT_EQ(histogram_observer::from_text(o.to_text()), o);
  EXPECT_EQ(o.snapshot(clip::affine).total(), std::uint64_t{1} << 61U);
  EXPECT_EQ(o.range(fewbit::by_percentile{75}).hi, 2.0F + 1.0F / 512);
  const histogram_observer before = o;
  expect_error(
      [&] { o.merge(o); },
      "fewbit: histogram_observer::merge: count of observed values is 4611686018427387904, "
      "expected at most 4611686018427387903");
  EXPECT_EQ(o, before);
}

TEST(histogram_observer_test, refuses_an_empty_batch) {
  for (const nan_policy policy : {nan_policy::fail, nan_policy::skip}) {
    histogram_observer o(2048, policy);
    o.observe(row_of({1}));
    const histogram_observer before = o;
    expect_error([&] { o.observe(matrix(0, 3)); },
                 "fewbit: histogram_observer::observe: x is 0 x 3, expected at least one row and "
                 "one column");
    EXPECT_EQ(o, before);
  }
}

TEST(histogram_observer_test, rejects_malformed_text) {
  const auto text = seen({-1.5F, 0, 0, 15.5F}, 16).to_text();
  fewbit::tests::expect_survives_hostile_text(text, histogram_observer::from_text);
}

}  // namespace calib_histogram_observer_test
