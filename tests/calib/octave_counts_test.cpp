#include "fewbit/calib/octave_counts.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "calib/support.hpp"

namespace calib_octave_counts_test {

using fewbit::detail::octave_bin;
using fewbit::detail::octave_counts;

constexpr float largest = std::numeric_limits<float>::max();
constexpr float smallest = std::numeric_limits<float>::denorm_min();

int key_of(float x) {
  const int key = fewbit::detail::octave_key(std::bit_cast<std::int32_t>(std::abs(x)));
  return x < 0 ? ~key : key;
}

octave_counts counts_of(const std::vector<float>& values) {
  octave_counts out;
  for (const float v : values) {
    if (v != 0) out.add(key_of(v), 1);
  }
  return out;
}

/// Maps {lower edge, upper edge} of each bin of |x| to {negative, positive} counts. Computed with
/// ilogb and floor.
std::map<std::pair<double, double>, std::pair<std::uint64_t, std::uint64_t>> wanted(
    const std::vector<float>& values) {
  std::set<int, std::greater<>> octaves;
  for (const float v : values) {
    if (v != 0) octaves.insert(std::ilogb(v));
  }
  std::map<std::pair<double, double>, std::pair<std::uint64_t, std::uint64_t>> out;
  for (const float v : values) {
    if (v == 0) continue;
    const int e = std::ilogb(v);
    const auto rank = std::distance(octaves.begin(), octaves.find(e));
    const double width = std::ldexp(1.0, e) / (rank < 20 ? 64 : 4);
    const double lo = std::floor(std::abs(double{v}) / width) * width;
    auto& [negative, positive] = out[{lo, lo + width}];
    ++(v < 0 ? negative : positive);
  }
  return out;
}

void expect_counts(const octave_counts& counts, const std::vector<float>& values) {
  auto want = wanted(values);
  double previous = 0;
  counts.for_each([&](const octave_bin& b) {
    const double lo = fewbit::detail::edge_of_key(b.key);
    const double hi = fewbit::detail::edge_of_key(b.key + b.keys);
    EXPECT_GE(lo, previous);
    previous = hi;
    EXPECT_EQ(want.count({lo, hi}), 1U) << lo;
    EXPECT_EQ((want[{lo, hi}]), (std::pair{b.negative, b.positive})) << lo;
    want.erase({lo, hi});
  });
  EXPECT_TRUE(want.empty());
}

TEST(octave_counts_test, keys_ascend_with_the_magnitude_over_all_of_float) {
  int previous = -1;
  for (std::uint32_t bits = 1; bits < 0x7F800000U; bits += bits < 70000 ? 1 : 65521) {
    const auto x = std::bit_cast<float>(bits);
    const int key = key_of(x);
    ASSERT_GE(key, previous);
    ASSERT_LE(fewbit::detail::edge_of_key(key), double{x});
    ASSERT_GT(fewbit::detail::edge_of_key(key + 1), double{x});
    ASSERT_LE(fewbit::detail::edge_of_key(key + 1), 65.0 / 64 * fewbit::detail::edge_of_key(key));
    previous = key;
  }
  EXPECT_EQ(key_of(smallest), 0);
  EXPECT_EQ(key_of(largest), 277 * 64 - 1);
}

TEST(octave_counts_test, counts_as_defined) {
  for (const int octaves : {2, 12, 19, 20, 21, 40, 240}) {
    auto values = fewbit::tests::wild_values(3000, octaves, static_cast<unsigned>(octaves));
    expect_counts(counts_of(values), values);
    values.insert(values.end(), {smallest, -smallest, 3 * smallest, largest, -largest, 0.0F});
    expect_counts(counts_of(values), values);
  }
  expect_counts(octave_counts{}, {});
}

TEST(octave_counts_test, the_state_is_a_function_of_the_multiset) {
  auto values = fewbit::tests::wild_values(600, 60, 5);
  const octave_counts whole = counts_of(values);
  std::mt19937 random(1);
  for (int trial = 0; trial < 40; ++trial) {
    std::shuffle(values.begin(), values.end(), random);
    if (trial == 0) std::sort(values.begin(), values.end());
    if (trial == 1) std::sort(values.begin(), values.end(), std::greater<>());
    const auto cut = values.begin() + static_cast<std::ptrdiff_t>(random() % values.size());
    octave_counts left = counts_of({values.begin(), cut});
    const octave_counts right = counts_of({cut, values.end()});
    octave_counts other = right;
    other.add(left);
    left.add(right);
    ASSERT_EQ(left, whole) << trial;
    ASSERT_EQ(other, whole) << trial;
  }
}

TEST(octave_counts_test, an_octave_at_once_equals_its_keys) {
  std::vector<std::uint32_t> right(64);
  std::vector<std::uint32_t> left(64);
  for (std::uint32_t i = 0; i < 64; ++i) {
    right[i] = i * i % 7;
    left[i] = i == 3 ? 0xFFFFFFFFU : i % 5;
  }
  octave_counts at_once;
  octave_counts one_by_one;
  for (int octave = 100; octave < 125; ++octave) {
    at_once.add_octave(octave, right.data(), left.data());
    for (int i = 0; i < 64; ++i) {
      const auto at = static_cast<std::size_t>(i);
      one_by_one.add(octave * 64 + i, right[at]);
      one_by_one.add(~(octave * 64 + i), left[at]);
    }
    EXPECT_EQ(at_once, one_by_one);
  }
  at_once.add(at_once);
  EXPECT_EQ(at_once.total(), 2 * one_by_one.total());
}

}  // namespace calib_octave_counts_test
