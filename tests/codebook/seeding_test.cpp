#include "fewbit/codebook/seeding.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <set>
#include <vector>

#include "support/reals.hpp"

namespace fewbit { namespace codebook_seeding_test {

using detail::find_distinct;
using detail::kmeans_plus_plus;
using detail::point_panels;
using detail::random_sequence;

std::vector<index> choose(const row_matrix<float>& points, index k, std::uint64_t seed,
                          const std::vector<float>& weights = {}, index candidates = 3) {
  const point_panels panels(points, centering::of(points), inline_executor{});
  return kmeans_plus_plus<arch::native, inline_executor>(panels, points.cols(), weights, {})
      .choose(k, candidates, random_sequence({seed}));
}

/// 200 points in 30 distant places: one for each pair of residues mod 3 and mod 10.
row_matrix<float> thirty_places() {
  row_matrix<float> points = 0.01F * tests::random_reals(200, 3, 1);
  for (index i = 0; i < 200; ++i) points(i, i % 3) += 100.0F * static_cast<float>(i % 10 - 5);
  for (index i = 0; i < 200; ++i) points(i, (i + 1) % 3) += 1000.0F * static_cast<float>(i % 10);
  return points;
}

TEST(seeding, finds_every_distant_group) {
  const row_matrix<float> points = thirty_places();
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    std::set<index> places;
    for (const index i : choose(points, 30, seed)) places.insert(i % 30);
    EXPECT_GE(places.size(), 29U) << seed;
  }
}

TEST(seeding, stops_when_every_point_is_chosen_or_equal_to_one) {
  row_matrix<float> points(100, 2);
  for (index i = 0; i < 100; ++i) points.row(i).setConstant(static_cast<float>(i % 7));
  const std::vector<index> chosen = choose(points, 20, 3);
  ASSERT_EQ(chosen.size(), 7U);
  std::set<index> values;
  for (const index i : chosen) values.insert(i % 7);
  EXPECT_EQ(values.size(), 7U);
}

TEST(seeding, never_chooses_points_without_weight) {
  const row_matrix<float> points = tests::random_reals(300, 2, 4);
  std::vector<float> weights(300, 0.0F);
  for (std::size_t i = 0; i < 300; i += 3) weights[i] = 0.5F;
  for (const index i : choose(points, 50, 1, weights)) EXPECT_EQ(i % 3, 0);
}

/// The first centroid is drawn by weight: 9 to 1.
TEST(seeding, draws_by_weight) {
  row_matrix<float> points(2, 2);
  points << 0, 0, 1, 1;
  int first = 0;
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    first += choose(points, 1, seed, {9.0F, 1.0F})[0] == 0 ? 1 : 0;
  }
  EXPECT_NEAR(first, 1800, 60);
}

/// With one candidate the second centroid is drawn by squared distance: 1 to 9.
TEST(seeding, draws_by_squared_distance) {
  row_matrix<float> points(3, 1);
  points << 0, 1, -3;
  int far = 0, turns = 0;
  for (std::uint64_t seed = 0; seed < 6000; ++seed) {
    const std::vector<index> chosen = choose(points, 2, seed, {}, 1);
    if (chosen[0] != 0) continue;
    ++turns;
    far += chosen[1] == 2 ? 1 : 0;
  }
  EXPECT_NEAR(far, 0.9 * turns, 0.03 * turns);
}

TEST(seeding, more_candidates_lower_the_sum) {
  const row_matrix<float> points = tests::random_reals(2000, 2, 7);
  const auto sum_after = [&](index candidates) {
    double total = 0;
    for (std::uint64_t seed = 0; seed < 10; ++seed) {
      const std::vector<index> chosen = choose(points, 20, seed, {}, candidates);
      for (index i = 0; i < points.rows(); ++i) {
        float least = 1e30F;
        for (const index j : chosen) {
          least = std::min(least, (points.row(i) - points.row(j)).squaredNorm());
        }
        total += double{least};
      }
    }
    return total;
  };
  EXPECT_LT(sum_after(5), 0.95 * sum_after(1));
}

TEST(seeding, distinct_points_by_value_and_weight) {
  row_matrix<float> points(6, 2);
  points << 1, 2, 0.0F, 5, 1, 2, -0.0F, 5, 2, 1, 9, 9;
  const auto all = find_distinct(points, {}, 4);
  EXPECT_EQ(all.rows, (std::vector<index>{0, 1, 4, 5}));
  EXPECT_EQ(all.number, (std::vector<std::int32_t>{0, 1, 0, 1, 2, 3}));
  const std::vector<float> weights = {0, 1, 1, 1, 1, 0};
  const auto weighted = find_distinct(points, weights, 3);
  EXPECT_EQ(weighted.rows, (std::vector<index>{1, 2, 4}));
  EXPECT_EQ(weighted.number, (std::vector<std::int32_t>{-1, 0, 1, 0, 2, -1}));
  EXPECT_EQ(find_distinct(points, {}, 2).rows.size(), 3U) << "stops after k + 1 points";
  EXPECT_EQ(find_distinct(points, {}, index{1} << 30).rows.size(), 4U);
}

TEST(seeding, candidates_are_two_and_the_logarithm) {
  for (index k = 1; k < 200000; k += 1 + k / 50) {
    EXPECT_EQ(detail::default_candidates(k),
              2 + static_cast<index>(std::floor(std::log(static_cast<double>(k)))))
        << k;
  }
}

}  // namespace codebook_seeding_test
}  // namespace fewbit
