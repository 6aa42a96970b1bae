#include "fewbit/codebook/kmeans.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "fewbit/core/executor_adapters.hpp"
#include "support/reals.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace codebook_kmeans_test {

/// An executor that runs the pieces in reverse order.
struct reverse_executor {
  template <class F>
  void for_each(index n, F&& f) const {
    while (n-- > 0) f(n);
  }
};

void expect_equal(const kmeans_result& a, const kmeans_result& b) {
  EXPECT_EQ(a.centroids, b.centroids);
  EXPECT_EQ(a.assignment, b.assignment);
  EXPECT_EQ(a.inertia, b.inertia);
  EXPECT_EQ(a.iterations, b.iterations);
  EXPECT_EQ(a.converged, b.converged);
}

double plain_inertia(const row_matrix<float>& points, const kmeans_result& r,
                     const std::vector<float>& weights = {}) {
  double sum = 0;
  for (index i = 0; i < points.rows(); ++i) {
    const auto at = static_cast<std::size_t>(i);
    sum += (weights.empty() ? 1.0 : double{weights[at]}) *
           (points.row(i).cast<double>() - r.centroids.row(r.assignment[at]).cast<double>())
               .squaredNorm();
  }
  return sum;
}

/// Points around `places` distant corners; point i is near corner i % places.
row_matrix<float> blobs(index n, index d, index places, std::uint32_t seed) {
  row_matrix<float> points = 0.1F * tests::random_reals(n, d, seed);
  const row_matrix<float> corners = 10.0F * tests::random_reals(places, d, 99);
  for (index i = 0; i < n; ++i) points.row(i) += corners.row(i % places);
  return points;
}

TEST(kmeans, executors_and_instruction_sets_give_the_same_bits) {
  for (const index d : {1, 2, 7, 30}) {
    const row_matrix<float> points = tests::random_reals(4500, d, 1);
    const kmeans_options options{.iterations = 5, .restarts = 2, .seed = 3};
    for (const index k : {9, 150}) {
      SCOPED_TRACE(testing::Message() << "d=" << d << " k=" << k);
      const kmeans_result r = kmeans(points, k, options);
      expect_equal(kmeans(points, k, options, thread_executor{3}), r);
      expect_equal(kmeans(points, k, options, reverse_executor{}), r);
      arch::compiled::for_each(
          [&]<class Arch>() { expect_equal(kmeans<Arch>(points, k, options), r); });
      EXPECT_NEAR(r.inertia, plain_inertia(points, r), 1e-9 * r.inertia);
      EXPECT_EQ(nearest_centroids(points, r.centroids), r.assignment);
    }
  }
}

TEST(kmeans, finds_separate_groups) {
  for (const index d : {2, 5, 9}) {
    const row_matrix<float> points = blobs(1200, d, 12, 1);
    const kmeans_result r = kmeans(points, 12, {.restarts = 3});
    EXPECT_TRUE(r.converged);
    std::set<std::int32_t> used;
    for (std::size_t i = 0; i < 1200; ++i) {
      EXPECT_EQ(r.assignment[i], r.assignment[i % 12]);
      used.insert(r.assignment[i]);
    }
    EXPECT_EQ(used.size(), 12U);
    for (index j = 0; j < 12; ++j) {
      Eigen::RowVectorXd mean = Eigen::RowVectorXd::Zero(d);
      for (index i = j; i < 1200; i += 12) mean += points.row(i).cast<double>() / 100;
      const auto centroid = r.centroids.row(r.assignment[static_cast<std::size_t>(j)]);
      EXPECT_LT((centroid.cast<double>() - mean).norm(), 1e-4);
    }
  }
}

TEST(kmeans, seeds_differ_and_repeat_and_restarts_keep_the_best) {
  const row_matrix<float> points = tests::random_reals(2000, 3, 2);
  const auto run = [&](index restarts, std::uint64_t seed) {
    return kmeans(points, 20, {.restarts = restarts, .seed = seed});
  };
  expect_equal(run(1, 5), run(1, 5));
  EXPECT_NE(run(1, 5).inertia, run(1, 6).inertia);
  int improved = 0;
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    const double inertia = run(1, seed).inertia;
    EXPECT_LE(run(2, seed).inertia, inertia);
    EXPECT_LE(run(6, seed).inertia, run(2, seed).inertia);
    improved += run(6, seed).inertia < inertia ? 1 : 0;
  }
  EXPECT_GE(improved, 3);
}

TEST(kmeans, weights_are_repetitions) {
  for (const index d : {1, 2, 6}) {
    const row_matrix<float> points = blobs(300, d, 6, 4);
    std::vector<float> weights;
    std::vector<index> rows;
    for (index i = 0; i < 300; ++i) {
      weights.push_back(static_cast<float>(i % 4));
      for (index copy = 0; copy < i % 4; ++copy) rows.push_back(i);
    }
    const row_matrix<float> repeated = detail::rows_of(points, rows);
    const kmeans_result weighted = kmeans(points, 6, {.restarts = 4, .weights = weights});
    const kmeans_result plain = kmeans(repeated, 6, {.restarts = 4});
    EXPECT_NEAR(weighted.inertia, plain.inertia, 1e-5 * plain.inertia) << "d=" << d;
    EXPECT_NEAR(weighted.inertia, plain_inertia(points, weighted, weights), 1e-9 * plain.inertia);
    for (index j = 0; j < 6; ++j) {
      const float miss =
          (plain.centroids.rowwise() - weighted.centroids.row(j)).rowwise().norm().minCoeff();
      EXPECT_LT(miss, 1e-4F) << "d=" << d;
    }
  }
}

TEST(kmeans, keeps_few_different_points) {
  row_matrix<float> points(600, 3);
  for (index i = 0; i < 600; ++i) {
    points.row(i).setConstant(1.0F + static_cast<float>(i % 5) * 0x1p-23F);  // neighbouring floats
  }
  for (const index k : {5, 6, 300, 600}) {
    const kmeans_result r = kmeans(points, k);
    EXPECT_EQ(r.inertia, 0.0);
    EXPECT_TRUE(r.converged);
    ASSERT_EQ(r.centroids.rows(), k);
    for (std::size_t i = 0; i < 600; ++i) EXPECT_EQ(r.assignment[i], i % 5);
    EXPECT_EQ(r.centroids.row(k - 1), points.row(4));
  }
  EXPECT_GT(kmeans(points, 4).inertia, 0.0);
  const kmeans_result all = kmeans(tests::random_reals(50, 4, 1), 50);
  EXPECT_EQ(all.inertia, 0.0);
  std::vector<float> weights(600, 0.0F);
  weights[0] = weights[1] = weights[6] = 2.0F;
  EXPECT_EQ(kmeans(points, 2, {.weights = weights}).inertia, 0.0);
}

/// Different points whose squared distances are tiny relative to that of a distant point.
TEST(kmeans, tiny_differences_do_no_harm) {
  row_matrix<float> points = 1e-30F * tests::random_reals(500, 2, 1);
  points.row(7).setConstant(1e30F);
  const kmeans_result r = kmeans(points, 20);
  EXPECT_TRUE(r.centroids.allFinite());
  EXPECT_LT(r.inertia, 1e-3);
  EXPECT_EQ(r.centroids.rows(), 20);
}

/// Two pairs and a distant point. The least inertia is 1/2 for each pair.
TEST(kmeans, is_precise_with_one_point_far_away) {
  row_matrix<float> points(5, 2);
  points << 0, 0, 0, 1, 10, 10, 10, 11, 1e6, 1e6;
  for (const float far : {1e3F, 1e6F, 1e10F, 1e18F, -1e6F, 1e30F}) {
    points.row(4) << far, (far > 1e8F ? 3.0F : far);
    for (std::uint64_t seed = 0; seed < 10; ++seed) {
      const auto inertia = [&](const row_matrix<float>& x) {
        const kmeans_result r = kmeans(x, 3, {.seed = seed});
        EXPECT_EQ(r.inertia, plain_inertia(x, r));
        return r.inertia;
      };
      SCOPED_TRACE(testing::Message() << "far=" << far << " seed=" << seed);
      EXPECT_EQ(inertia(points), 1.0);
      EXPECT_EQ(inertia(-points), 1.0);
      EXPECT_EQ(inertia(points.rowwise().reverse()), 1.0);
      EXPECT_EQ(inertia(points.colwise().reverse()), 1.0);
      EXPECT_EQ(inertia(0x1p-60F * points), 0x1p-120);
      EXPECT_EQ(inertia(0x1p20F * points), 0x1p40);
    }
  }
}

/// The reported inertia equals that of plain loops, even if it is tiny relative to the extent.
TEST(kmeans, steps_are_exact_with_a_point_far_away) {
  row_matrix<float> points = blobs(3000, 3, 8, 6);
  const double near = kmeans(points, 8, {.restarts = 5}).inertia;
  for (const float far : {1e5F, 1e12F, 1e25F}) {
    points.row(17).setConstant(far);
    std::vector<kmeans_step> steps;
    const kmeans_result r =
        kmeans(points, 9, {.iterations = 60, .restarts = 5}, [&](const kmeans_step& s) {
          steps.push_back(s);
          return true;
        });
    EXPECT_NEAR(r.inertia, near, 0.01 * near) << far;
    EXPECT_NEAR(r.inertia, plain_inertia(points, r), 1e-12 * r.inertia);
    double least = steps[0].inertia;
    for (std::size_t i = 1; i < steps.size(); ++i) {
      least = std::min(least, steps[i].inertia);
      if (steps[i].restart != steps[i - 1].restart) continue;
      EXPECT_LE(steps[i].inertia, steps[i - 1].inertia * (1 + 1e-9));
    }
    EXPECT_NEAR(least, r.inertia, 1e-6 * r.inertia) << far;
  }
}

TEST(kmeans, is_accurate_far_from_zero) {
  const row_matrix<float> near = blobs(3000, 4, 40, 2);
  const row_matrix<float> far = near.array() + 4096.0F;
  const kmeans_result a = kmeans(near, 40);
  const kmeans_result b = kmeans(far, 40);
  EXPECT_NEAR(a.inertia, b.inertia, 0.05 * a.inertia);
  const kmeans_result scaled = kmeans(row_matrix<float>(near * 0x1p70F), 40);
  EXPECT_EQ(scaled.assignment, a.assignment);
}

TEST(kmeans, any_layout) {
  const row_matrix<float> points = tests::random_reals(400, 3, 2);
  row_matrix<float> wide = row_matrix<float>::Constant(400, 8, 77.0F);
  wide.middleCols(4, 3) = points;
  const kmeans_result r = kmeans(points, 10);
  expect_equal(kmeans(wide.middleCols(4, 3), 10), r);
  expect_equal(kmeans(Eigen::MatrixXf(points), 10), r);
  using map = Eigen::Map<const row_matrix<float>, 0, Eigen::OuterStride<>>;
  expect_equal(kmeans(map(wide.data() + 4, 400, 3, Eigen::OuterStride<>(8)), 10), r);
  expect_equal(kmeans(2.0F * points - points, 10), r);
}

TEST(kmeans, iterations_tolerance_and_progress) {
  const row_matrix<float> points = tests::random_reals(3000, 4, 3);
  std::vector<kmeans_step> steps;
  const kmeans_result r = kmeans(points, 30, {.iterations = 200}, [&](const kmeans_step& s) {
    steps.push_back(s);
    return true;
  });
  EXPECT_TRUE(r.converged);
  ASSERT_EQ(static_cast<index>(steps.size()), r.iterations);
  EXPECT_EQ(steps.front().moved, 3000);
  EXPECT_EQ(steps.back().moved, 0);
  EXPECT_NEAR(steps.back().inertia, r.inertia, 1e-6 * r.inertia);
  for (std::size_t i = 1; i < steps.size(); ++i) {
    EXPECT_LE(steps[i].inertia, steps[i - 1].inertia * (1 + 1e-9));
  }
  EXPECT_EQ(kmeans(points, 30, {.iterations = 3}).iterations, 3);
  EXPECT_FALSE(kmeans(points, 30, {.iterations = 3}).converged);
  const kmeans_result loose = kmeans(points, 30, {.iterations = 200, .tolerance = 0.01});
  EXPECT_TRUE(loose.converged);
  EXPECT_LT(loose.iterations, r.iterations);
  index calls = 0;
  const kmeans_result stopped = kmeans(points, 30, {.restarts = 9}, [&](const kmeans_step& s) {
    ++calls;
    return s.restart < 1 || s.iteration < 2;
  });
  EXPECT_EQ(calls, kmeans(points, 30).iterations + 2);
  EXPECT_LE(stopped.inertia, kmeans(points, 30).inertia);
}

TEST(kmeans, first_centroids_among_few_or_all_points) {
  const row_matrix<float> points = blobs(9000, 2, 30, 5);
  for (const index count : {1, 31, 1000, 9000, 20000}) {
    const kmeans_result r = kmeans(points, 30, {.restarts = 4, .seeding_points = count});
    EXPECT_LT(r.inertia, 9000.0 * 40) << count;
  }
  EXPECT_NE(kmeans(points, 33, {.candidates = 1}).inertia,
            kmeans(points, 33, {.candidates = 9}).inertia);
}

#if FEWBIT_HAS_EXCEPTIONS

TEST(kmeans, rejects_bad_input_by_name) {
  const row_matrix<float> good = tests::random_reals(5, 2, 1);
  const auto sentence = [&](const kmeans_options& options, index k = 2) {
    return tests::sentence_of([&] { return kmeans(good, k, options); });
  };
  EXPECT_EQ(sentence({}), "no error");
  EXPECT_EQ(sentence({}, 5), "no error");
  EXPECT_EQ(sentence({}, 0), "fewbit: kmeans: k is 0, expected 1 to 5, the number of points");
  EXPECT_EQ(sentence({}, 6), "fewbit: kmeans: k is 6, expected 1 to 5, the number of points");
  EXPECT_EQ(sentence({}, (index{1} << 30) + 1),
            "fewbit: kmeans: k is 1073741825, expected 1 to 5, the number of points");
  EXPECT_EQ(tests::sentence_of([&] { return kmeans(good.leftCols(1), 6); }),
            "fewbit: kmeans: k is 6, expected 1 to 5, the number of points");
  EXPECT_EQ(sentence({.iterations = 0}), "fewbit: kmeans: iterations is 0, expected at least 1");
  EXPECT_EQ(sentence({.restarts = 0}), "fewbit: kmeans: restarts is 0, expected at least 1");
  EXPECT_EQ(sentence({.tolerance = -0.5}),
            "fewbit: kmeans: tolerance is -0.5, expected at least 0");
  EXPECT_EQ(sentence({.tolerance = std::nan("")}),
            "fewbit: kmeans: tolerance is nan, expected at least 0");
  EXPECT_EQ(sentence({.candidates = -1}), "fewbit: kmeans: candidates is -1, expected at least 0");
  EXPECT_EQ(sentence({.seeding_points = -1}),
            "fewbit: kmeans: seeding_points is -1, expected at least 0");
  std::vector<float> weights = {1, 1, 1, 1};
  EXPECT_EQ(sentence({.weights = weights}), "fewbit: kmeans: weights.size() is 4, expected 5");
  weights = {1, 1, 1, std::numeric_limits<float>::quiet_NaN(), 1};
  EXPECT_EQ(sentence({.weights = weights}),
            "fewbit: kmeans: weights[3] is nan, expected a finite number of at least 0");
  weights[3] = -2;
  EXPECT_EQ(sentence({.weights = weights}),
            "fewbit: kmeans: weights[3] is -2, expected a finite number of at least 0");
  weights.assign(5, 0.0F);
  EXPECT_EQ(sentence({.weights = weights}),
            "fewbit: kmeans: the largest of weights is 0, expected more than 0");
}

TEST(kmeans, rejects_bad_points_by_position) {
  for (const index d : {1, 3}) {
    row_matrix<float> points = tests::random_reals(5, d, 1);
    points(3, d - 1) = std::numeric_limits<float>::infinity();
    const std::string position = "points(3, " + std::to_string(d - 1) + ")";
    EXPECT_EQ(tests::sentence_of([&] { return kmeans(points, 2); }),
              "fewbit: kmeans: " + position + " is inf, expected a finite number");
    points(3, d - 1) = std::numeric_limits<float>::quiet_NaN();
    EXPECT_EQ(tests::sentence_of([&] { return kmeans(points, 2); }),
              "fewbit: kmeans: " + position + " is nan, expected a finite number");
  }
  EXPECT_EQ(tests::sentence_of([&] { return kmeans(row_matrix<float>(0, 3), 2); }),
            "fewbit: kmeans: points is 0 x 3, expected at least one row and one column");
}

#endif

}  // namespace codebook_kmeans_test
}  // namespace fewbit
