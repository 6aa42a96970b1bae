#include "fewbit/codebook/nearest.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "fewbit/core/executor_adapters.hpp"
#include "support/archs.hpp"
#include "support/exact.hpp"
#include "support/reals.hpp"
#include "support/sentence.hpp"

namespace fewbit {
namespace {

template <class Arch>
class nearest : public testing::Test {};
TYPED_TEST_SUITE(nearest, tests::archs, tests::arch_names);

double distance(const row_matrix<float>& points, index i, const row_matrix<float>& centroids,
                index j) {
  return (points.row(i).cast<double>() - centroids.row(j).cast<double>()).squaredNorm();
}

/// That no centroid is nearer than the one named, but for what rounding the score to float may
/// hide: a few units in the last place of |x - middle| |c - middle|.
void expect_nearest(const row_matrix<float>& points, const row_matrix<float>& centroids,
                    const std::vector<std::int32_t>& found) {
  ASSERT_EQ(static_cast<index>(found.size()), points.rows());
  const double extent = (centroids.rowwise() - centroids.colwise().mean()).cast<double>().norm();
  for (index i = 0; i < points.rows(); ++i) {
    const std::int32_t named = found[static_cast<std::size_t>(i)];
    ASSERT_TRUE(named >= 0 && named < centroids.rows());
    double least = std::numeric_limits<double>::infinity();
    for (index j = 0; j < centroids.rows(); ++j) {
      least = std::min(least, distance(points, i, centroids, j));
    }
    const double far = distance(points, i, centroids.colwise().mean(), 0);
    const double slack =
        1e-6 * static_cast<double>(points.cols()) * extent * (extent + std::sqrt(far));
    EXPECT_LE(distance(points, i, centroids, named), least + slack) << "point " << i;
  }
}

TYPED_TEST(nearest, no_other_centroid_is_nearer) {
  for (const index d : {1, 2, 3, 8, 9, 33}) {
    for (const index k : {1, 7, 8, 9, 17, 250}) {
      for (const index n : {1, 47, 48, 49, 97}) {
        SCOPED_TRACE(testing::Message() << "d=" << d << " k=" << k << " n=" << n);
        const row_matrix<float> points = tests::random_reals(n, d, 1);
        const row_matrix<float> centroids = tests::random_reals(k, d, 2);
        expect_nearest(points, centroids, nearest_centroids<TypeParam>(points, centroids));
      }
    }
  }
}

/// Small integers, of which every score is exact, so that ties are ties.
TYPED_TEST(nearest, of_equal_distances_the_lower_number_wins) {
  std::mt19937 random(5);
  const auto fill = [&](row_matrix<float>& m) {
    for (index i = 0; i < m.size(); ++i) m.data()[i] = static_cast<float>(random() % 3);
  };
  for (const index d : {1, 2, 3, 5}) {
    for (const index k : {5, 8, 16, 100, 200}) {
      row_matrix<float> points(96, d), centroids(k, d);
      fill(points);
      fill(centroids);
      const centering as_is{std::vector<float>(static_cast<std::size_t>(d), 0.0F), 1.0F};
      const packed_centroids packed(centroids, as_is);
      const detail::point_panels panels(points, as_is, inline_executor{});
      std::int32_t found[panel_points];
      for (index i = 0; i < points.rows(); ++i) {
        if (i % panel_points == 0) {
          nearest_in_panel<TypeParam>(packed, panels.panel(i / panel_points), found);
        }
        index first = 0;
        for (index j = 1; j < k; ++j) {
          if (distance(points, i, centroids, j) < distance(points, i, centroids, first)) first = j;
        }
        EXPECT_EQ(found[i % panel_points], first) << "d=" << d << " k=" << k << " point " << i;
      }
    }
  }
}

TYPED_TEST(nearest, the_same_as_one_fused_chain_per_score) {
  const row_matrix<float> points = tests::random_reals(48, 6, 3);
  const row_matrix<float> centroids = tests::random_reals(301, 6, 4);
  const packed_centroids packed(centroids);
  const detail::point_panels panels(points, packed.map(), inline_executor{});
  std::int32_t found[panel_points];
  nearest_in_panel<TypeParam>(packed, panels.panel(0), found);
  for (index i = 0; i < 48; ++i) {
    index best = 0;
    float least = std::numeric_limits<float>::infinity();
    for (index j = 0; j < centroids.rows(); ++j) {
      double norm = 0.0;
      for (index t = 0; t < 6; ++t) norm += std::pow(packed.map()(centroids(j, t), t), 2.0);
      auto score = static_cast<float>(norm / 2);
      for (index t = 0; t < 6; ++t) {
        score = tests::exact_fma(-packed.map()(centroids(j, t), t), packed.map()(points(i, t), t),
                                 score);
      }
      if (score < least) best = j;
      least = std::min(least, score);
    }
    EXPECT_EQ(found[i], best) << i;
  }
}

TYPED_TEST(nearest, far_from_zero_and_extreme_sizes) {
  const row_matrix<float> unit = tests::random_reals(60, 5, 6);
  const row_matrix<float> levels = tests::random_reals(20, 5, 7);
  const std::vector<std::int32_t> found = nearest_centroids<TypeParam>(unit, levels);
  for (const float size : {0x1p-120F, 0x1p-60F, 0x1p60F, 0x1p120F}) {
    EXPECT_EQ(nearest_centroids<TypeParam>(row_matrix<float>(unit * size),
                                           row_matrix<float>(levels * size)),
              found);
  }
  const row_matrix<float> points = unit.array() + 10000.0F;
  const row_matrix<float> centroids = levels.array() + 10000.0F;
  expect_nearest(points, centroids, nearest_centroids<TypeParam>(points, centroids));
  const row_matrix<float> outlier = row_matrix<float>::Constant(1, 5, -3e38F);
  EXPECT_GE(nearest_centroids<TypeParam>(outlier, levels)[0], 0);
}

TYPED_TEST(nearest, a_point_on_a_centroid_is_its_own) {
  const row_matrix<float> points = tests::random_reals(200, 3, 8);
  const std::vector<std::int32_t> found = nearest_centroids<TypeParam>(points, points);
  for (std::size_t i = 0; i < 200; ++i) EXPECT_EQ(found[i], static_cast<std::int32_t>(i));
}

TEST(nearest_centroids, any_executor_and_layout_give_the_same) {
  const row_matrix<float> wide = tests::random_reals(2000, 9, 1);
  const row_matrix<float> centroids = tests::random_reals(19, 5, 2);
  const row_matrix<float> points = wide.middleCols(2, 5);
  const std::vector<std::int32_t> found = nearest_centroids(points, centroids);
  EXPECT_EQ(nearest_centroids(wide.middleCols(2, 5), centroids, thread_executor{3}), found);
  EXPECT_EQ(nearest_centroids(Eigen::MatrixXf(points), Eigen::MatrixXf(centroids)), found);
}

#if FEWBIT_HAS_EXCEPTIONS

TEST(nearest_centroids, rejects_what_has_no_nearest) {
  const auto sentence = [](const row_matrix<float>& points, const row_matrix<float>& centroids) {
    return tests::sentence_of([&] { return nearest_centroids(points, centroids); });
  };
  row_matrix<float> three = row_matrix<float>::Zero(3, 2);
  EXPECT_EQ(sentence(three, row_matrix<float>::Zero(2, 3)),
            "fewbit: nearest_centroids: centroids.cols() is 3, expected 2");
  EXPECT_EQ(sentence(row_matrix<float>(0, 2), three),
            "fewbit: nearest_centroids: points is 0 x 2, expected at least one row and one column");
  EXPECT_EQ(sentence(three, row_matrix<float>(0, 2)),
            "fewbit: nearest_centroids: centroids is 0 x 2, expected at least one row and one "
            "column");
  three(2, 1) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(sentence(three, row_matrix<float>::Zero(2, 2)),
            "fewbit: nearest_centroids: points(2, 1) is nan, expected a finite number");
  EXPECT_EQ(sentence(row_matrix<float>::Zero(2, 2), three),
            "fewbit: nearest_centroids: centroids(2, 1) is nan, expected a finite number");
  EXPECT_EQ(tests::sentence_of([&] { return packed_centroids(three).size(); }),
            "fewbit: packed_centroids: centroids(2, 1) is nan, expected a finite number");
}

#endif

}  // namespace
}  // namespace fewbit
