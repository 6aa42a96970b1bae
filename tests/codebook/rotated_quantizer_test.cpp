#include "fewbit/codebook/rotated_quantizer.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "fewbit/codebook/find_nearest.hpp"
#include "fewbit/core/executor_adapters.hpp"
#include "support/exact.hpp"
#include "support/reals.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace codebook_rotated_quantizer_test {

double missed(const row_matrix<float>& a, const row_matrix<float>& b) {
  return (a.cast<double>() - b.cast<double>()).squaredNorm();
}

/// A product of reflections about random planes: orthogonal without a decomposition.
row_matrix<float> random_rotation(index d, std::uint32_t seed) {
  row_matrix<double> r = row_matrix<double>::Identity(d, d);
  const row_matrix<double> normals = tests::random_reals(d, d, seed).cast<double>();
  for (index i = 0; i < d; ++i) {
    const Eigen::RowVectorXd v = normals.row(i) / normals.row(i).norm();
    r -= 2.0 * (r * v.transpose()) * v;
  }
  return r.cast<float>();
}

double off_orthogonal(const row_matrix<float>& r) {
  const row_matrix<double> wide = r.cast<double>();
  return (wide * wide.transpose() - row_matrix<double>::Identity(r.rows(), r.rows()))
      .cwiseAbs()
      .maxCoeff();
}

const pq_options four_parts{.parts = 4, .bits = 4};

/// 8 coordinates in the best order for four parts: each part has a large and a small coordinate.
/// The large variances differ, so the principal axes are unique.
row_matrix<float> balanced_points() {
  row_matrix<float> points = tests::random_reals(3000, 8, 5);
  for (index t = 0; t < 8; ++t) {
    points.col(t) *= t % 2 == 0 ? 1.0F + 0.25F * static_cast<float>(t) : 0.02F;
  }
  return points;
}

TEST(rotated_quantizer, finds_a_known_rotation) {
  const row_matrix<float> best = balanced_points();
  const product_quantizer oracle = train_product_quantizer(best, four_parts);
  const double least = missed(oracle.decode(oracle.encode(best)), best);
  const row_matrix<float> points = best * random_rotation(8, 1);
  const product_quantizer plain = train_product_quantizer(points, four_parts);
  const rotated_quantizer rotated = train_rotated_quantizer(points, {.pq = four_parts});
  const double miss = missed(rotated.decode(rotated.encode(points)), points);
  EXPECT_LT(miss, 1.2 * least);
  EXPECT_LT(miss, 0.2 * missed(plain.decode(plain.encode(points)), points));
  EXPECT_LT(off_orthogonal(rotated.rotation()), 1e-5);
}

TEST(rotated_quantizer, has_no_larger_error_for_dependent_neighbours) {
  row_matrix<float> points = tests::random_reals(2500, 12, 7);
  for (index t = 1; t < 12; ++t) points.col(t) = 0.8F * points.col(t - 1) + 0.6F * points.col(t);
  for (const index parts : {2, 6}) {
    const pq_options options{.parts = parts, .bits = 4};
    const product_quantizer plain = train_product_quantizer(points, options);
    const rotated_quantizer rotated = train_rotated_quantizer(points, {.pq = options});
    EXPECT_LE(missed(rotated.decode(rotated.encode(points)), points),
              missed(plain.decode(plain.encode(points)), points));
  }
}

TEST(rotated_quantizer, has_a_smaller_error_after_each_round) {
  const row_matrix<float> skewed = tests::random_reals(1500, 8, 9).array().cube();
  const row_matrix<float> points = skewed * random_rotation(8, 2);
  const rotated_quantizer first = train_rotated_quantizer(points, {.pq = four_parts, .rounds = 0});
  EXPECT_EQ(first.quantizer().centroids(3),
            train_product_quantizer(first.rotate(points), four_parts).centroids(3));
  std::vector<double> misses;
  const auto note = [&](const rotation_step& step) {
    EXPECT_EQ(step.rounds, 12);
    EXPECT_EQ(step.round, static_cast<index>(misses.size()) + (step.training.parts > 0 ? 0 : 1));
    if (step.round > 0) misses.push_back(step.squared_error);
    return true;
  };
  const rotated_quantizer rotated =
      train_rotated_quantizer(points, {.pq = four_parts, .rounds = 12}, note);
  ASSERT_EQ(misses.size(), 12U);
  EXPECT_NEAR(misses[0], missed(first.decode(first.encode(points)), points), 1e-4 * misses[0]);
  misses.push_back(missed(rotated.decode(rotated.encode(points)), points));
  for (std::size_t i = 1; i < misses.size(); ++i) EXPECT_LT(misses[i], 1.00001 * misses[i - 1]);
  EXPECT_LT(misses.back(), 0.995 * misses.front());
}

TEST(rotated_quantizer, nearest_rotation_maps_one_set_to_another) {
  const row_matrix<double> x = tests::random_reals(50, 6, 1).cast<double>();
  const row_matrix<float> r = random_rotation(6, 3);
  const Eigen::MatrixXd products = (x * r.transpose().cast<double>()).transpose() * x;
  EXPECT_LT(missed(detail::nearest_rotation(products), r), 1e-9);
}

TEST(rotated_quantizer, axes_balance_the_variance) {
  row_matrix<double> scatter = row_matrix<double>::Zero(4, 4);
  scatter.diagonal() << 8, 4, 2, 1;
  const row_matrix<float> axes = detail::balanced_axes(scatter, 2);
  const Eigen::Vector4d variances =
      (axes * scatter.cast<float>() * axes.transpose()).diagonal().cast<double>();
  EXPECT_NEAR(variances[0], 8, 1e-4);
  EXPECT_NEAR(variances[1], 1, 1e-4);
  EXPECT_NEAR(variances[2] * variances[3], 8, 1e-4);
  EXPECT_LT(off_orthogonal(detail::balanced_axes(Eigen::MatrixXd::Zero(6, 6), 3)), 1e-9);
}

TEST(rotated_quantizer, the_inverse_restores_points) {
  for (const index d : {1, 6, 17, 40, 150}) {
    const row_matrix<float> r = random_rotation(d, 4);
    const rotated_quantizer rq(r, product_quantizer({tests::random_reals(16, d, 2)}));
    const row_matrix<float> points = tests::random_reals(70, d, 3);
    const row_matrix<double> want = points.cast<double>() * r.transpose().cast<double>();
    const row_matrix<float> rotated = rq.rotate(points);
    EXPECT_LT((rotated.cast<double>() - want).cwiseAbs().maxCoeff(), 1e-5) << d;
    EXPECT_EQ(rq.rotate(Eigen::MatrixXf(points), thread_executor{3}), rotated) << d;
    const row_matrix<std::uint8_t> codes = rq.encode(points);
    EXPECT_EQ(codes, rq.quantizer().encode(rotated)) << d;
    const row_matrix<double> near = rq.quantizer().decode(codes).cast<double>() * r.cast<double>();
    EXPECT_LT((rq.decode(codes).cast<double>() - near).cwiseAbs().maxCoeff(), 1e-5) << d;
  }
}

/// The expected bits are those of a plain loop of fused multiply-adds.
TEST(rotated_quantizer, rotates_to_the_bits_of_plain_loops) {
  const row_matrix<float> r = random_rotation(19, 5);
  const rotated_quantizer rq(r, product_quantizer({tests::random_reals(16, 19, 2)}));
  const row_matrix<float> points = tests::random_reals(9, 19, 3);
  row_matrix<float> want = row_matrix<float>::Zero(9, 19);
  for (index i = 0; i < 9; ++i) {
    for (index j = 0; j < 19; ++j) {
      for (index t = 0; t < 19; ++t)
        want(i, j) = tests::exact_fma(points(i, t), r(j, t), want(i, j));
    }
  }
  EXPECT_EQ(rq.rotate(points), want);
}

TEST(rotated_quantizer, search_accepts_rotated_queries) {
  const row_matrix<float> points = balanced_points().topRows(600) * random_rotation(8, 6);
  const rotated_quantizer rq =
      train_rotated_quantizer(points, {.pq = {.parts = 4, .bits = 8}, .rounds = 2});
  const packed_codes packed(rq.quantizer(), rq.encode(points));
  const find_nearest_result found =
      find_nearest(rq.quantizer(), packed, rq.rotate(points.topRows(50)), 5);
  index hits = 0;
  for (index q = 0; q < 50; ++q) hits += (found.numbers.row(q).array() == q).any() ? 1 : 0;
  EXPECT_GE(hits, 48);
}

TEST(rotated_quantizer, training_is_the_same_for_any_threads_and_for_weights_of_one) {
  const row_matrix<float> points = balanced_points().topRows(700) * random_rotation(8, 7);
  const rotation_options options{.pq = four_parts, .rounds = 3};
  const rotated_quantizer one = train_rotated_quantizer(points, options);
  const rotated_quantizer three = train_rotated_quantizer(points, options, thread_executor{3});
  EXPECT_EQ(one.rotation(), three.rotation());
  EXPECT_EQ(one.quantizer().centroids(2), three.quantizer().centroids(2));
  const std::vector<float> ones(700, 1.0F);
  rotation_options weighted = options;
  weighted.pq.clustering.weights = ones;
  EXPECT_EQ(train_rotated_quantizer(points, weighted).rotation(), one.rotation());
}

TEST(rotated_quantizer, points_of_weight_zero_do_not_count) {
  row_matrix<float> points = balanced_points().topRows(900) * random_rotation(8, 8);
  std::vector<float> weights(900, 2.0F);
  for (std::size_t i = 600; i < 900; ++i) weights[i] = 0.0F;
  rotation_options options{.pq = four_parts, .rounds = 3};
  options.pq.clustering.weights = weights;
  const rotated_quantizer one = train_rotated_quantizer(points, options);
  points.bottomRows(300) *= -3.0F;
  EXPECT_EQ(train_rotated_quantizer(points, options).rotation(), one.rotation());
}

TEST(rotated_quantizer, progress_may_stop) {
  const row_matrix<float> points = balanced_points().topRows(300) * random_rotation(8, 9);
  const auto stopped_in = [&](index round) {
    return train_rotated_quantizer(points, {.pq = four_parts}, [&](const rotation_step& step) {
      EXPECT_LE(step.round, round);
      return step.round < round;
    });
  };
  EXPECT_EQ(stopped_in(2).rotation(),
            train_rotated_quantizer(points, {.pq = four_parts, .rounds = 2}).rotation());
  EXPECT_EQ(stopped_in(0).rotation(),
            train_rotated_quantizer(points, {.pq = four_parts, .rounds = 0}).rotation());
}

TEST(rotated_quantizer, equal_points_are_kept) {
  const row_matrix<float> points = row_matrix<float>::Constant(40, 8, 1.5F);
  const rotated_quantizer rq = train_rotated_quantizer(points, {.pq = four_parts, .rounds = 2});
  EXPECT_LT(missed(rq.decode(rq.encode(points)), points), 1e-8);
  EXPECT_LT(off_orthogonal(rq.rotation()), 1e-5);
}

#if FEWBIT_HAS_EXCEPTIONS

TEST(rotated_quantizer, rejects_bad_rotations) {
  const product_quantizer pq({tests::random_reals(16, 8, 2)});
  const auto sentence = [&](const row_matrix<float>& r) {
    return tests::sentence_of([&] { return rotated_quantizer(r, pq); });
  };
  row_matrix<float> r = random_rotation(8, 2);
  EXPECT_EQ(sentence(r), "no error");
  EXPECT_EQ(sentence(r.leftCols(7)), "fewbit: rotated_quantizer: rotation.cols() is 7, expected 8");
  EXPECT_EQ(sentence(r.topRows(7)), "fewbit: rotated_quantizer: rotation.rows() is 7, expected 8");
  EXPECT_EQ(sentence(2 * row_matrix<float>::Identity(8, 8)),
            "fewbit: rotated_quantizer: the largest entry of |rotation * rotation' - 1| is 3, "
            "expected at most 0.001");
  r(1, 2) = std::nanf("");
  EXPECT_EQ(sentence(r),
            "fewbit: rotated_quantizer: rotation(1, 2) is nan, expected a finite number");
}

TEST(rotated_quantizer, rejects_bad_points_and_options) {
  row_matrix<float> points = tests::random_reals(60, 8, 2);
  const auto training = [&](const rotation_options& o) {
    return tests::sentence_of([&] { return train_rotated_quantizer(points, o); });
  };
  EXPECT_EQ(training({.pq = {.parts = 3}}),
            "fewbit: train_rotated_quantizer: pq.parts is 3, expected a divisor of 8");
  EXPECT_EQ(training({.pq = {.bits = 5}}),
            "fewbit: train_rotated_quantizer: pq.bits is 5, expected 4 or 8");
  EXPECT_EQ(training({.rounds = -1}),
            "fewbit: train_rotated_quantizer: rounds is -1, expected at least 0");
  EXPECT_EQ(training({.pq = {.clustering = {.iterations = 0}}}),
            "fewbit: train_rotated_quantizer: pq.clustering.iterations is 0, expected at least 1");
  EXPECT_EQ(
      training({.pq = {.bits = 8}}),
      "fewbit: train_rotated_quantizer: points.rows() is 60, expected at least 256, the number "
      "of centroids of 8 bits");
  const rotated_quantizer rq(random_rotation(8, 2),
                             product_quantizer({tests::random_reals(16, 8, 2)}));
  EXPECT_EQ(tests::sentence_of([&] { return rq.rotate(points.leftCols(4)); }),
            "fewbit: rotate: points.cols() is 4, expected 8");
  EXPECT_EQ(tests::sentence_of([&] { return rq.decode(row_matrix<std::uint8_t>::Zero(2, 3)); }),
            "fewbit: decode: codes.cols() is 3, expected 1");
  points(5, 6) = std::numeric_limits<float>::infinity();
  EXPECT_EQ(tests::sentence_of([&] { return rq.encode(points); }),
            "fewbit: encode: points(5, 6) is inf, expected a finite number");
  EXPECT_EQ(tests::sentence_of([&] { return rq.rotate(points); }),
            "fewbit: rotate: points(5, 6) is inf, expected a finite number");
  EXPECT_EQ(training({}),
            "fewbit: train_rotated_quantizer: points(5, 6) is inf, expected a finite number");
}

#endif

}  // namespace codebook_rotated_quantizer_test
}  // namespace fewbit
