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

namespace fewbit { namespace codebook_nearest_test {

template <class Arch>
class nearest : public testing::Test {};
TYPED_TEST_SUITE(nearest, tests::archs, tests::arch_names);

/// Checks that each point has the centroid of the least distance, by plain loops in double; of
/// equal distances, the first centroid.
void expect_nearest(const row_matrix<float>& points, const row_matrix<float>& centroids,
                    const std::vector<std::int32_t>& found) {
  ASSERT_EQ(static_cast<index>(found.size()), points.rows());
  for (index i = 0; i < points.rows(); ++i) {
    index first = 0;
    double least = std::numeric_limits<double>::infinity();
    for (index j = 0; j < centroids.rows(); ++j) {
      double sum = 0.0;
      for (index t = 0; t < points.cols(); ++t) {
        const double miss = double{points(i, t)} - double{centroids(j, t)};
        sum += arch::rounded(miss * miss);
      }
      if (sum < least) first = j;
      least = std::min(least, sum);
    }
    EXPECT_EQ(found[static_cast<std::size_t>(i)], first) << "point " << i;
  }
}

TYPED_TEST(nearest, finds_the_nearest_centroid) {
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

/// Small integers: every score is exact, so equal distances have equal scores.
TYPED_TEST(nearest, chooses_the_lower_number_of_equal_distances) {
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
      std::vector<std::int32_t> found(96);
      for (index i = 0; i < points.rows(); i += panel_points) {
        nearest_in_panel<TypeParam>(packed, panels.panel(i / panel_points), points.data() + i * d,
                                    d, panel_points, found.data() + i);
      }
      SCOPED_TRACE(testing::Message() << "d=" << d << " k=" << k);
      expect_nearest(points, centroids, found);
    }
  }
}

TYPED_TEST(nearest, the_same_as_one_fused_chain_per_score) {
  const row_matrix<float> points = tests::random_reals(48, 6, 3);
  const row_matrix<float> centroids = tests::random_reals(301, 6, 4);
  const packed_centroids packed(centroids);
  const detail::point_panels panels(points, packed.map(), inline_executor{});
  std::int32_t found[panel_points], alone[panel_points];
  nearest_in_panel<TypeParam>(packed, panels.panel(0), found);
  nearest_in_panel<TypeParam>(packed, panels.panel(0), points.data(), 6, 48, alone);
  EXPECT_TRUE(std::equal(found, found + 48, alone));
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

TYPED_TEST(nearest, a_point_on_a_centroid_has_distance_zero) {
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

/// Repeats the check for every instruction set and size, with the data and its mirror images.
template <class Arch>
void expect_nearest_of_all(const row_matrix<float>& points, const row_matrix<float>& centroids) {
  const auto check = [](const row_matrix<float>& x, const row_matrix<float>& c) {
    expect_nearest(x, c, nearest_centroids<Arch>(x, c));
  };
  check(points, centroids);
  check(-points, -centroids);
  check(points.rowwise().reverse(), centroids.rowwise().reverse());
  check(points.colwise().reverse(), centroids.colwise().reverse());
  const float largest = std::max(points.cwiseAbs().maxCoeff(), centroids.cwiseAbs().maxCoeff());
  for (const float size : {0x1p-100F, 1e-20F, 0.1F, 1e10F, 0x1p90F}) {
    if (largest * size < 1e38F) check(size * points, size * centroids);
  }
}

TYPED_TEST(nearest, is_precise_with_one_centroid_far_away) {
  row_matrix<float> centroids(3, 2), points(2, 2);
  centroids << 0, 0, 10, 10, 1e6, 1e6;
  points << 0, 0, 10, 10;
  EXPECT_EQ(nearest_centroids<TypeParam>(points, centroids), (std::vector<std::int32_t>{0, 1}));
  for (const float far : {1e4F, 1e6F, 1e9F, -1e6F}) {
    centroids.row(2).setConstant(far);
    expect_nearest_of_all<TypeParam>(points, centroids);
    centroids.row(2) << 3.0F, far;  // distant in one coordinate only
    expect_nearest_of_all<TypeParam>(points, centroids);
  }
  for (const index d : {3, 8, 33}) {
    for (const index k : {9, 40, 700}) {
      row_matrix<float> near = tests::random_reals(k, d, 21);
      const row_matrix<float> x = tests::random_reals(97, d, 22);
      near.row(k / 2).setConstant(1e7F);
      expect_nearest(x, near, nearest_centroids<TypeParam>(x, near));
      near(k / 2, 0) = -1e30F;
      expect_nearest(x, near, nearest_centroids<TypeParam>(x, near));
    }
  }
}

TYPED_TEST(nearest, points_far_away_and_clusters_far_from_zero) {
  row_matrix<float> centroids = tests::random_reals(40, 4, 23);
  row_matrix<float> points = tests::random_reals(100, 4, 24);
  for (index i = 0; i < 100; i += 7) {
    points(i, i % 4) = std::ldexp(i % 2 == 0 ? 1.0F : -1.0F, static_cast<int>(i));
  }
  expect_nearest_of_all<TypeParam>(points, centroids);
  for (index j = 0; j < 40; ++j) {
    for (index t = 0; t < 4; ++t) {
      centroids(j, t) = 1e6F + static_cast<float>((j >> t) % 2) * 0.125F + (j < 16 ? 0.0F : 50.0F);
    }
  }
  points.array() = 1e6F + 0.0625F * points.array();
  expect_nearest_of_all<TypeParam>(points, centroids);
}

TYPED_TEST(nearest, centroids_of_very_different_sizes) {
  for (const index k : {20, 300}) {
    row_matrix<float> centroids = tests::random_reals(k, 3, 25);
    for (index i = 0; i < centroids.size(); ++i) {
      centroids.data()[i] = std::ldexp(centroids.data()[i], static_cast<int>(i % 240) - 130);
    }
    expect_nearest(centroids, centroids, nearest_centroids<TypeParam>(centroids, centroids));
    const row_matrix<float> points = 1.25F * centroids;
    expect_nearest(points, centroids, nearest_centroids<TypeParam>(points, centroids));
  }
  const float most = std::numeric_limits<float>::max();
  const float least = std::numeric_limits<float>::denorm_min();
  row_matrix<float> ends(5, 2);
  ends << most, -most, -most, most, 0, 0, least, 0, 3 * least, 0;
  expect_nearest_of_all<TypeParam>(ends, ends);
}

TYPED_TEST(nearest, chooses_the_first_of_equal_centroids) {
  row_matrix<float> centroids = tests::random_reals(256, 6, 26);
  for (index j = 0; j < 256; ++j) centroids.row(j) = centroids.row(j % 5).eval();
  const row_matrix<float> points = tests::random_reals(60, 6, 27);
  expect_nearest(points, centroids, nearest_centroids<TypeParam>(points, centroids));
  expect_nearest(centroids, centroids, nearest_centroids<TypeParam>(centroids, centroids));
}

#if FEWBIT_HAS_EXCEPTIONS

TEST(nearest_centroids, rejects_bad_points_and_centroids) {
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

}  // namespace codebook_nearest_test
}  // namespace fewbit
