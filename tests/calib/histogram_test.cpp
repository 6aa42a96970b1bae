#include "fewbit/calib/histogram.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "calib/support.hpp"

namespace calib_histogram_test {

using fewbit::clip;
using fewbit::histogram;
using fewbit::range;
using fewbit::tests::expect_error;

histogram example() {
  histogram h;
  h.ends = clip::affine;
  h.counts = {1, 2, 3, 4, 5};
  h.width = 0.5;
  h.zero = 2;
  h.extremes = {-0.75F, 1.25F};
  return h;
}

TEST(histogram_test, places_edges_and_centres_around_zero) {
  const histogram h = example();
  EXPECT_EQ(h.bins(), 5);
  EXPECT_EQ(h.edge(0), -1.0);
  EXPECT_EQ(h.edge(2), 0.0);
  EXPECT_EQ(h.edge(5), 1.5);
  EXPECT_EQ(h.center(0), -0.75);
  EXPECT_EQ(h.center(2), 0.25);
  EXPECT_EQ(h.total(), 15U);
}

TEST(histogram_test, folds_either_side_onto_the_other) {
  const histogram folded = fewbit::detail::folded(example());
  EXPECT_EQ(folded.ends, clip::symmetric);
  EXPECT_EQ(folded.zero, 0);
  EXPECT_EQ(folded.width, 0.5);
  EXPECT_EQ(folded.counts, (std::vector<std::uint64_t>{5, 5, 5}));
  histogram left = example();
  left.zero = 4;
  EXPECT_EQ(fewbit::detail::folded(left).counts, (std::vector<std::uint64_t>{9, 3, 2, 1}));
}

TEST(histogram_test, a_threshold_stays_within_the_data) {
  EXPECT_EQ(fewbit::detail::symmetric_range(0.5, example()), (range{-0.5F, 0.5F}));
  EXPECT_EQ(fewbit::detail::symmetric_range(0.0, example()), (range{-1.25F, 1.25F}));
  EXPECT_EQ(fewbit::detail::symmetric_range(1.5, example()), (range{-1.25F, 1.25F}));
}

TEST(histogram_test, rejects_histograms_without_a_search_range) {
  const auto check = [](const histogram& h) { fewbit::detail::expect_searchable("f", h); };
  check(example());
  const auto with = [](auto change) {
    histogram h = example();
    change(h);
    return h;
  };
  const char* width = ", expected a positive number";
  expect_error([&] { check(with([](histogram& h) { h.width = 0; })); },
               std::string("fewbit: f: histogram.width is 0") + width);
  expect_error([&] { check(with([](histogram& h) { h.width = std::nan(""); })); },
               std::string("fewbit: f: histogram.width is nan") + width);
  const char* zero = ", expected 0 if symmetric, at most the number of bins if affine";
  expect_error([&] { check(with([](histogram& h) { h.ends = clip::symmetric; })); },
               std::string("fewbit: f: histogram.zero is 2") + zero);
  expect_error([&] { check(with([](histogram& h) { h.zero = 6; })); },
               std::string("fewbit: f: histogram.zero is 6") + zero);
  expect_error([&] { check(with([](histogram& h) { h.zero = -1; })); },
               std::string("fewbit: f: histogram.zero is -1") + zero);
  expect_error([&] { check(with([](histogram& h) {
                       h.extremes = {2, 1};
                     })); },
               "fewbit: f: histogram.extremes.lo is 2, expected at most histogram.extremes.hi, 1");
  expect_error([&] { check(with([](histogram& h) { h.counts.assign(3, 0); })); },
               "fewbit: f: histogram.total() is 0, expected at least 1");
}

}  // namespace calib_histogram_test
