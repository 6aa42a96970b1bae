#include "fewbit/codebook/nearest_1d.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

namespace fewbit { namespace codebook_nearest_1d_test {

/// The nearest by comparing all distances. Of equally near ones, the first.
std::int32_t plain_nearest(const std::vector<float>& centroids, float x) {
  std::size_t best = 0;
  for (std::size_t j = 1; j < centroids.size(); ++j) {
    const double gain =
        std::abs(double{x} - double{centroids[best]}) - std::abs(double{x} - double{centroids[j]});
    if (gain > 0) best = j;
  }
  return static_cast<std::int32_t>(best);
}

TEST(nearest_1d, equals_all_distances_on_a_grid_full_of_ties) {
  std::mt19937 random(1);
  for (std::size_t k = 1; k < 20; ++k) {
    std::vector<float> centroids;
    for (std::size_t j = 0; j < k; ++j) {
      centroids.push_back(static_cast<float>(static_cast<int>(random() % 17) - 8));
    }
    const sorted_centroids sorted(centroids);
    std::size_t place = 0;
    for (float x = -10.0F; x <= 10.0F; x += 0.25F) {
      EXPECT_EQ(sorted.nearest(x), plain_nearest(centroids, x)) << "k=" << k << " x=" << x;
      place = sorted.advance_to_nearest(place, x);
      EXPECT_EQ(sorted.number(place), sorted.nearest(x));
    }
  }
}

TEST(nearest_1d, midpoints_of_extreme_numbers_are_finite) {
  const sorted_centroids sorted({3e38F, -3e38F, 3.2e38F});
  EXPECT_EQ(sorted.nearest(0.0F), 0) << "the lower number";
  EXPECT_EQ(sorted.nearest(-1.0F), 1);
  EXPECT_EQ(sorted.nearest(1.0F), 0);
  EXPECT_EQ(sorted.nearest(3.15e38F), 2);
  EXPECT_EQ(sorted_centroids({0.0F, 1e-45F}).nearest(1e-45F), 1);
}

}  // namespace codebook_nearest_1d_test
}  // namespace fewbit
