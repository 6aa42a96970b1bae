#include "fewbit/codebook/lloyd.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <set>
#include <vector>

#include "support/reals.hpp"

namespace fewbit { namespace codebook_lloyd_test {

using clusters = detail::lloyd<arch::native, inline_executor>;

/// Runs one iteration, replaces the centroids by the new ones and returns the inertia.
double iterate(const row_matrix<float>& points, const std::vector<float>& weights,
               row_matrix<float>& centroids, index* moved = nullptr, bool exact = true) {
  const detail::matrix_ref rows(points);
  const inline_executor executor;
  clusters c(rows, weights, centroids.rows(), executor);
  c.clear_assignment();
  const index count = c.assign(packed_centroids(centroids, c.map()), exact);
  if (moved != nullptr) *moved = count;
  detail::random_sequence random({1});
  return c.update(centroids, random);
}

TEST(lloyd, an_iteration_equals_plain_loops) {
  for (const index d : {2, 3, 4, 7, 8, 13, 21}) {
    for (const bool weighted : {false, true}) {
      const row_matrix<float> points = tests::random_reals(5000, d, 1).array() + 3.0F;
      std::vector<float> weights;
      for (int i = 0; weighted && i < 5000; ++i) weights.push_back(static_cast<float>(i % 4) / 4);
      const row_matrix<float> first = points.topRows(9);
      Eigen::MatrixXd sum = Eigen::MatrixXd::Zero(9, d);
      Eigen::VectorXd weight = Eigen::VectorXd::Zero(9);
      std::vector<index> nearest;
      for (index i = 0; i < points.rows(); ++i) {
        index best = 0;
        (first.rowwise() - points.row(i)).cast<double>().rowwise().squaredNorm().minCoeff(&best);
        const double w = weighted ? double{weights[static_cast<std::size_t>(i)]} : 1.0;
        sum.row(best) += w * points.row(i).cast<double>();
        weight[best] += w;
        nearest.push_back(best);
      }
      const Eigen::MatrixXd mean = sum.array().colwise() / weight.array();
      double want = 0;
      for (index i = 0; i < points.rows(); ++i) {
        const double w = weighted ? double{weights[static_cast<std::size_t>(i)]} : 1.0;
        want += w * (points.row(i).cast<double>() - mean.row(nearest[static_cast<std::size_t>(i)]))
                        .squaredNorm();
      }
      for (const bool exact : {true, false}) {
        row_matrix<float> centroids = first;
        index moved = 0;
        EXPECT_NEAR(iterate(points, weights, centroids, &moved, exact), want, 1e-6 * want)
            << "d=" << d;
        EXPECT_EQ(moved, 5000);
        EXPECT_LT((centroids.cast<double>() - mean).cwiseAbs().maxCoeff(), 1e-5) << "d=" << d;
      }
    }
  }
}

/// With a distant point the inertia is not computed as the difference of two large sums.
TEST(lloyd, inertia_of_pairs_is_accurate_with_a_point_far_away) {
  row_matrix<float> points(5, 2), centroids(3, 2);
  points << 0, 0, 0, 1, 10, 10, 10, 11, 1e6, 1e6;
  centroids << 0, 0.25F, 10, 10, 1e6, 1e6;
  for (const float far : {1e6F, 1e12F, -1e20F}) {
    points.row(4).setConstant(far);
    centroids.row(2).setConstant(far);
    row_matrix<float> next = centroids;
    index moved = 0;
    EXPECT_EQ(iterate(points, {}, next, &moved), 1.0) << far;
    EXPECT_EQ(next(0, 1), 0.5F);
    EXPECT_EQ(next(1, 1), 10.5F);
  }
  const inline_executor executor;
  const detail::matrix_ref rows(points);
  const clusters c(rows, {}, 3, executor);
  EXPECT_FALSE(c.scores_suffice(packed_centroids(centroids, c.map()), 1.0));
}

TEST(lloyd, scores_suffice_for_large_distances) {
  const row_matrix<float> points = tests::random_reals(3000, 4, 1);
  const inline_executor executor;
  for (const float size : {0x1p-60F, 1.0F, 0x1p60F}) {
    const row_matrix<float> sized = size * points;
    const detail::matrix_ref sized_rows(sized);
    const clusters c(sized_rows, {}, 9, executor);
    const packed_centroids centroids(sized.topRows(9), c.map());
    const double inertia = 3000.0 * double{size} * double{size};
    EXPECT_TRUE(c.scores_suffice(centroids, inertia));
    EXPECT_FALSE(c.scores_suffice(centroids, 1e-4 * inertia));
  }
}

/// 80 points around 0 and 20 around (100, 0); no point is nearest to centroids 2 to 4.
TEST(lloyd, empty_clusters_split_the_most_populated) {
  row_matrix<float> points = 0.1F * tests::random_reals(100, 2, 3);
  for (index i = 0; i < 20; ++i) points(5 * i, 0) += 100.0F;
  row_matrix<float> centroids(5, 2);
  centroids << 0, 0, 100, 0, 50, 9000, 50, 9000, 50, -9000;
  iterate(points, {}, centroids);
  // 80 is split into 40 and 40, then each 40 into 20 and 20.
  for (const index j : {0, 2, 3, 4}) EXPECT_LT(centroids.row(j).norm(), 0.2F) << j;
  EXPECT_NEAR(centroids(1, 0), 100.0F, 0.2F);
  std::set<float> different;
  for (const index j : {0, 2, 3, 4}) different.insert(centroids(j, 0));
  EXPECT_EQ(different.size(), 4U);
  const row_matrix<float> before = centroids;
  std::set<std::int32_t> used;
  for (const std::int32_t j : nearest_centroids(points, before)) used.insert(j);
  EXPECT_GE(used.size(), 4U) << "the parts of a split cluster get points of their own";
}

TEST(lloyd, a_cluster_of_equal_points_is_not_split) {
  row_matrix<float> points = row_matrix<float>::Zero(100, 2);
  for (index i = 0; i < 10; ++i) points.row(i) << 10.0F + static_cast<float>(i), 5.0F;
  row_matrix<float> centroids(3, 2);
  centroids << 0, 0, 14, 5, 500, 500;
  iterate(points, {}, centroids);
  EXPECT_EQ(centroids(0, 0), 0.0F);
  EXPECT_NEAR(centroids(1, 0), 14.5F, 0.5F);
  EXPECT_NEAR(centroids(2, 0), 14.5F, 0.5F);
}

TEST(lloyd, empty_clusters_stay_if_no_cluster_can_be_split) {
  row_matrix<float> points(4, 2);
  points << 0, 0, 0, 0, 1, 1, 1, 1;
  row_matrix<float> centroids(3, 2);
  centroids << 0, 0, 1, 1, 7, 7;
  EXPECT_EQ(iterate(points, {}, centroids), 0.0);
  EXPECT_EQ(centroids(2, 0), 7.0F);
}

}  // namespace codebook_lloyd_test
}  // namespace fewbit
