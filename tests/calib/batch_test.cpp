#include "fewbit/calib/batch.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <vector>

#include "calib/support.hpp"

namespace calib_batch_test {

using fewbit::nan_policy;
using fewbit::detail::data_summary;
using fewbit::tests::expect_error;
using fewbit::tests::matrix;
using fewbit::tests::row_of;
using fewbit::tests::wild_values;

data_summary summarize(const char* function, const Eigen::Ref<const matrix>& x, nan_policy policy) {
  return fewbit::detail::summarize<false>({function}, x, policy).seen;
}

constexpr float nan = std::numeric_limits<float>::quiet_NaN();
constexpr float inf = std::numeric_limits<float>::infinity();
constexpr float largest = std::numeric_limits<float>::max();
constexpr float smallest = std::numeric_limits<float>::denorm_min();

TEST(batch_test, finds_extremes_at_every_position_of_every_length) {
  for (fewbit::index n = 1; n <= 70; ++n) {
    for (fewbit::index at = 0; at < n; ++at) {
      matrix x = matrix::Constant(1, n, 1.0F);
      x(0, at) = -3.0F;
      EXPECT_EQ(summarize("f", x, nan_policy::fail).lo, -3.0F) << n << " " << at;
      x(0, at) = 3.0F;
      EXPECT_EQ(summarize("f", x, nan_policy::fail).hi, 3.0F) << n << " " << at;
    }
  }
}

/// Long runs are read in several streams.
TEST(batch_test, finds_extremes_in_every_part_of_a_long_run) {
  for (const fewbit::index n : {16383, 16384, 16385, 16384 + 63, 16384 + 64, 40000}) {
    matrix x = matrix::Constant(1, n, 1.0F);
    const auto check = [&](fewbit::index at) {
      x(0, at) = -3.0F;
      EXPECT_EQ(summarize("f", x, nan_policy::fail).lo, -3.0F) << n << " " << at;
      x(0, at) = 3.0F;
      EXPECT_EQ(summarize("f", x, nan_policy::fail).hi, 3.0F) << n << " " << at;
      x(0, at) = 0.5F;
      EXPECT_EQ(fewbit::detail::summarize<true>({"f"}, x, nan_policy::fail).least_bits,
                std::bit_cast<std::int32_t>(0.5F));
      x(0, at) = nan;
      EXPECT_FALSE(fewbit::detail::all_finite(x)) << n << " " << at;
      x(0, at) = 1.0F;
    };
    for (fewbit::index at = 0; at < n; at += 67) check(at);
    check(n - 1);
  }
}

TEST(batch_test, accepts_the_whole_range_of_float) {
  const auto s = summarize("f", row_of({largest, -largest}), nan_policy::fail);
  EXPECT_EQ(s.lo, -largest);
  EXPECT_EQ(s.hi, largest);
  const auto tiny = summarize("f", row_of({smallest, -smallest}), nan_policy::fail);
  EXPECT_EQ(tiny.lo, -smallest);
  EXPECT_EQ(tiny.hi, smallest);
}

TEST(batch_test, treats_both_zeros_as_equal) {
  for (fewbit::index n : {1, 5, 64}) {
    const auto s = summarize("f", matrix::Constant(1, n, -0.0F), nan_policy::fail);
    EXPECT_EQ(std::bit_cast<std::uint32_t>(s.lo), 0U);
    EXPECT_EQ(std::bit_cast<std::uint32_t>(s.hi), 0U);
  }
}

TEST(batch_test, reads_all_layouts_and_expressions) {
  const std::vector<float> values = wild_values(12 * 20, 40, 1);
  const matrix all = Eigen::Map<const matrix>(values.data(), 12, 20);
  const matrix part = all.block(3, 5, 7, 9);
  const auto want = summarize("f", part, nan_policy::fail);
  EXPECT_EQ(want.count, 63U);
  EXPECT_EQ(want.lo, part.minCoeff());
  EXPECT_EQ(want.hi, part.maxCoeff());
  EXPECT_EQ(summarize("f", all.block(3, 5, 7, 9), nan_policy::fail), want);
  EXPECT_EQ(summarize("f", Eigen::MatrixXf(part), nan_policy::fail), want);
  EXPECT_EQ(summarize("f", part * 1.0F, nan_policy::fail), want);
}

TEST(batch_test, refuses_an_empty_batch) {
  for (const matrix& x : {matrix(0, 0), matrix(0, 3), matrix(3, 0)}) {
    for (const nan_policy policy : {nan_policy::fail, nan_policy::skip}) {
      expect_error([&] { (void)summarize("f", x, policy); },
                   "fewbit: f: x is " + std::to_string(x.rows()) + " x " +
                       std::to_string(x.cols()) + ", expected at least one row and one column");
    }
  }
}

TEST(batch_test, finds_the_smallest_magnitude_above_zero) {
  const auto least = [](const matrix& x) {
    return fewbit::detail::summarize<true>({"f"}, x, nan_policy::skip).least_bits;
  };
  for (fewbit::index n = 1; n <= 70; ++n) {
    for (fewbit::index at = 0; at < n; ++at) {
      matrix x = matrix::Constant(1, n, at % 2 == 0 ? 0.0F : -0.0F);
      EXPECT_EQ(least(x), 0x7FFFFFFF);
      x(0, (at + 1) % n) = inf;
      x(0, at) = -3.0F;
      EXPECT_EQ(least(x), std::bit_cast<std::int32_t>(3.0F));
      x(0, at) = smallest;
      EXPECT_EQ(least(x), 1);
    }
  }
  EXPECT_EQ(least(row_of({5, -2, 0, 3})), std::bit_cast<std::int32_t>(2.0F));
}

TEST(batch_test, names_the_first_bad_position) {
  matrix x = matrix::Zero(3, 40);
  x(2, 0) = nan;
  x(1, 39) = -inf;
  expect_error([&] { (void)summarize("f", x, nan_policy::fail); },
               "fewbit: f: x(1, 39) is -inf, expected a finite number");
  x(0, 17) = nan;
  expect_error([&] { (void)summarize("f", x, nan_policy::fail); },
               "fewbit: f: x(0, 17) is nan, expected a finite number");
  expect_error([&] { (void)summarize("f", x.block(1, 30, 2, 10), nan_policy::fail); },
               "fewbit: f: x(0, 9) is -inf, expected a finite number");
}

TEST(batch_test, finds_a_bad_value_at_every_position) {
  for (fewbit::index n = 1; n <= 70; ++n) {
    for (fewbit::index at = 0; at < n; ++at) {
      for (const float bad : {nan, -nan, inf, -inf}) {
        matrix x = matrix::Constant(1, n, 2.0F);
        x(0, at) = bad;
        EXPECT_FALSE(fewbit::detail::all_finite(x));
        const auto s = summarize("f", x, nan_policy::skip);
        EXPECT_EQ(s.skipped, 1U);
        EXPECT_EQ(s.count, static_cast<std::uint64_t>(n - 1));
        EXPECT_EQ(s.hi, n == 1 ? 0.0F : 2.0F);
      }
    }
  }
}

TEST(batch_test, skips_bad_values_in_all_pieces) {
  std::vector<float> values = wild_values(20000, 30, 2);
  std::vector<float> finite;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i % 7 == 3) {
      values[i] = i % 2 == 0 ? nan : inf;
    } else {
      finite.push_back(values[i]);
    }
  }
  const auto s = summarize("f", row_of(values), nan_policy::skip);
  EXPECT_EQ(s.count, finite.size());
  EXPECT_EQ(s.skipped, values.size() - finite.size());
  EXPECT_EQ(s.lo, *std::min_element(finite.begin(), finite.end()));
  EXPECT_EQ(s.hi, *std::max_element(finite.begin(), finite.end()));
  std::vector<float> read;
  fewbit::detail::for_each_finite_run(row_of(values), false, [&](const float* p, fewbit::index n) {
    read.insert(read.end(), p, p + n);
  });
  EXPECT_EQ(read, finite);
}

}  // namespace calib_batch_test
