#include "fewbit/codebook/output_aware.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "fewbit/core/executor_adapters.hpp"
#include "support/reals.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace codebook_output_aware_test {

kmeans_result run(const row_matrix<float>& weights, const row_matrix<float>& inputs, index k,
                  const kmeans_options& options = {}) {
  return output_aware_kmeans(weights, inputs, k, options, no_progress{});
}

row_matrix<float> reconstruction(const kmeans_result& r) {
  row_matrix<float> w(static_cast<index>(r.assignment.size()), r.centroids.cols());
  for (index i = 0; i < w.rows(); ++i) {
    w.row(i) = r.centroids.row(r.assignment[static_cast<std::size_t>(i)]);
  }
  return w;
}

/// |X (W - W^)|^2
double output_error(const row_matrix<float>& inputs, const row_matrix<float>& w,
                    const row_matrix<float>& near) {
  return (inputs.cast<double>() * (w - near).cast<double>().transpose()).squaredNorm();
}

/// Inputs whose coordinates are correlated and differ in size.
row_matrix<float> correlated_inputs(index samples, index d) {
  row_matrix<float> x = tests::random_reals(samples, d, 31);
  for (index t = 1; t < d; ++t) x.col(t) = 0.3F * x.col(t) + x.col(t - 1) / static_cast<float>(t);
  return x;
}

/// The case of the paper: inputs are 0 in one coordinate, and plain k-means clusters by it.
TEST(output_aware, weights_without_inputs_do_not_count) {
  row_matrix<float> weights(4, 2), inputs(3, 2);
  weights << 1.0F, 10.0F, 1.1F, -10.0F, 5.0F, 10.0F, 5.1F, -10.0F;
  inputs << 1, 0, 2, 0, 3, 0;
  const kmeans_result plain = kmeans(weights, 2);
  EXPECT_EQ(plain.assignment[0], plain.assignment[2]);
  EXPECT_EQ(plain.assignment[1], plain.assignment[3]);
  EXPECT_NEAR(output_error(inputs, weights, reconstruction(plain)), 224.0, 1e-3);
  const kmeans_result aware = run(weights, inputs, 2);
  EXPECT_EQ(aware.assignment[0], aware.assignment[1]);
  EXPECT_EQ(aware.assignment[2], aware.assignment[3]);
  EXPECT_NEAR(output_error(inputs, weights, reconstruction(aware)), 0.14, 1e-5);
  EXPECT_NEAR(aware.inertia, 0.14, 1e-5);
}

TEST(output_aware, inertia_is_the_error_of_the_outputs) {
  const row_matrix<float> weights = tests::random_reals(300, 5, 1);
  for (const index samples : {3, 40}) {  // lower rank, full rank
    const row_matrix<float> inputs = correlated_inputs(samples, 5);
    const kmeans_result aware = run(weights, inputs, 20);
    const double error = output_error(inputs, weights, reconstruction(aware));
    EXPECT_NEAR(aware.inertia, error, 1e-6 * error);
    EXPECT_LT(error, 0.9 * output_error(inputs, weights, reconstruction(kmeans(weights, 20))));
  }
}

/// A row of weight w counts as w rows. A cluster of rows with weight 0 still has a mean.
TEST(output_aware, uses_the_weights_of_rows) {
  const row_matrix<float> weights = tests::random_reals(60, 3, 1);
  const row_matrix<float> inputs = correlated_inputs(20, 3);
  std::vector<float> counts(60);
  for (std::size_t i = 0; i < counts.size(); ++i) counts[i] = static_cast<float>(i % 4);
  kmeans_options options;
  options.weights = counts;
  const kmeans_result r = run(weights, inputs, 5, options);
  row_matrix<double> sums = row_matrix<double>::Zero(5, 3);
  std::array<double, 5> total{};
  double error = 0.0;
  for (index i = 0; i < 60; ++i) {
    const auto j = static_cast<std::size_t>(r.assignment[static_cast<std::size_t>(i)]);
    const double count = double{counts[static_cast<std::size_t>(i)]};
    total[j] += count;
    sums.row(static_cast<index>(j)) += count * weights.row(i).cast<double>();
    error += count * output_error(inputs, weights.row(i), reconstruction(r).row(i));
  }
  for (std::size_t j = 0; j < 5; ++j) {
    const auto row = static_cast<index>(j);
    EXPECT_LT((sums.row(row) / total[j] - r.centroids.row(row).cast<double>()).norm(), 1e-6);
  }
  EXPECT_NEAR(r.inertia, error, 1e-6 * error);

  const std::vector<std::int32_t> all_in_one(60, 0);
  const std::vector<float> nothing(60, 0.0F);
  const row_matrix<float> mean = detail::means_of(weights, nothing, all_in_one, 1);
  EXPECT_LT((mean.row(0) - weights.colwise().mean()).norm(), 1e-6F);
}

/// Both steps have converged: no other code and no other centroid lowers the error.
TEST(output_aware, both_steps_leave_the_result_unchanged) {
  const row_matrix<float> weights = tests::random_reals(60, 3, 1);
  const row_matrix<float> inputs = correlated_inputs(20, 3);
  const kmeans_result r = run(weights, inputs, 6, {.iterations = 100});
  const double error = output_error(inputs, weights, reconstruction(r));
  for (index i = 0; i < 60; ++i) {
    for (std::int32_t j = 0; j < 6; ++j) {
      kmeans_result other = r;
      other.assignment[static_cast<std::size_t>(i)] = j;
      EXPECT_GE(output_error(inputs, weights, reconstruction(other)), error * (1 - 1e-5));
    }
  }
  for (index i = 0; i < r.centroids.size(); ++i) {
    for (const float step : {-0.1F, 0.1F}) {
      kmeans_result other = r;
      other.centroids.data()[i] += step;
      EXPECT_GT(output_error(inputs, weights, reconstruction(other)), error);
    }
  }
}

TEST(output_aware, the_scale_of_weights_and_inputs_does_not_matter) {
  const row_matrix<float> weights = tests::random_reals(200, 4, 1);
  const row_matrix<float> inputs = correlated_inputs(30, 4);
  const kmeans_result r = run(weights, inputs, 9);
  EXPECT_EQ(run(weights * 0x1p-60F, inputs * 0x1p60F, 9).assignment, r.assignment);
  EXPECT_EQ(run(weights, inputs * 0x1p-80F, 9).assignment, r.assignment);
}

TEST(output_aware, inputs_of_zeros_leave_any_centroids) {
  const row_matrix<float> weights = tests::random_reals(50, 4, 1);
  const kmeans_result r = run(weights, row_matrix<float>::Zero(3, 4), 5);
  EXPECT_EQ(r.inertia, 0.0);
  EXPECT_TRUE(r.centroids.allFinite());
}

TEST(output_aware, quantizes_part_by_part) {
  const row_matrix<float> weights = tests::random_reals(400, 6, 1);
  const row_matrix<float> inputs = correlated_inputs(50, 6);
  const pq_options options{.parts = 2, .bits = 4, .clustering = {.seed = 3}};
  const output_aware_codes r = train_output_aware(weights, inputs, options);
  const kmeans_result second = run(weights.rightCols(3), inputs.rightCols(3), 16, {.seed = 4});
  EXPECT_EQ(r.quantizer.centroids(1), second.centroids);
  const row_matrix<float> w = r.quantizer.decode(r.codes);
  EXPECT_EQ(w.rightCols(3), reconstruction(second));
  const product_quantizer plain = train_product_quantizer(weights, options);
  const auto part_errors = [&](const row_matrix<float>& near) {
    return output_error(inputs.leftCols(3), weights.leftCols(3), near.leftCols(3)) +
           output_error(inputs.rightCols(3), weights.rightCols(3), near.rightCols(3));
  };
  EXPECT_LT(part_errors(w), 0.9 * part_errors(plain.decode(plain.encode(weights))));
  const output_aware_codes threads =
      train_output_aware<arch::scalar>(weights, inputs, options, thread_executor{3});
  EXPECT_EQ(threads.codes, r.codes);
  EXPECT_EQ(threads.quantizer.centroids(0), r.quantizer.centroids(0));
  index calls = 0;
  const auto stop = [&](const pq_step&) { return ++calls < 2; };
  EXPECT_EQ(train_output_aware(weights, inputs, options, stop).codes.cols(), 2);
  EXPECT_EQ(calls, 2);
}

/// Pairs of rows far from zero, the two rows of a pair at distance 1, and one more distant row.
TEST(output_aware, is_precise_with_rows_far_away) {
  const row_matrix<float> inputs = tests::random_reals(30, 2, 4);
  row_matrix<float> weights(9, 2);
  for (index i = 0; i < 8; ++i) {
    weights(i, 0) = 1e6F + static_cast<float>(i % 2);
    weights(i, 1) = 1e6F + 10.0F * static_cast<float>(i / 2);
  }
  for (const float far : {1e7F, 1e12F, -1e9F}) {
    weights.row(8).setConstant(far);
    const kmeans_result pairs =
        output_aware_kmeans(weights, inputs, 5, {.restarts = 4}, no_progress{});
    for (index i = 0; i < 8; ++i) {
      const auto at = static_cast<std::size_t>(i);
      EXPECT_EQ(pairs.assignment[at], pairs.assignment[at - at % 2]) << far;
    }
    EXPECT_NEAR(pairs.inertia, 2.0 * inputs.col(0).cast<double>().squaredNorm(),
                1e-6 * pairs.inertia);
    const kmeans_result all = output_aware_kmeans(weights, inputs, 9, {}, no_progress{});
    EXPECT_EQ(all.inertia, 0.0);
    for (index i = 0; i < 9; ++i) {
      EXPECT_EQ(all.centroids.row(all.assignment[static_cast<std::size_t>(i)]), weights.row(i));
    }
  }
}

#if FEWBIT_HAS_EXCEPTIONS

TEST(output_aware, rejects_bad_input) {
  row_matrix<float> weights = tests::random_reals(50, 6, 1);
  row_matrix<float> inputs = tests::random_reals(5, 6, 2);
  const auto sentence = [&](const row_matrix<float>& x, const pq_options& options) {
    return tests::sentence_of([&] { return train_output_aware(weights, x, options); });
  };
  EXPECT_EQ(sentence(inputs, {.parts = 2, .bits = 4}), "no error");
  EXPECT_EQ(sentence(inputs, {.parts = 4}),
            "fewbit: train_output_aware: parts is 4, expected a divisor of 6");
  EXPECT_EQ(sentence(inputs, {.parts = 2, .bits = 3}),
            "fewbit: train_output_aware: bits is 3, expected 4 or 8");
  EXPECT_EQ(sentence(inputs.leftCols(5), {.parts = 2}),
            "fewbit: train_output_aware: inputs.cols() is 5, expected 6");
  EXPECT_EQ(tests::sentence_of([&] { return run(weights, inputs.leftCols(2), 3); }),
            "fewbit: output_aware_kmeans: inputs.cols() is 2, expected 6");
  EXPECT_EQ(tests::sentence_of([&] { return run(weights, inputs, 0); }),
            "fewbit: output_aware_kmeans: k is 0, expected 1 to " + std::to_string(weights.rows()) +
                ", the number of points");
  EXPECT_EQ(tests::sentence_of([&] { return run(weights, inputs, weights.rows() + 1); }),
            "fewbit: output_aware_kmeans: k is " + std::to_string(weights.rows() + 1) +
                ", expected 1 to " + std::to_string(weights.rows()) + ", the number of points");
  EXPECT_EQ(sentence(inputs, {.parts = 2, .bits = 4, .clustering = {.restarts = 0}}),
            "fewbit: train_output_aware: clustering.restarts is 0, expected at least 1");
  EXPECT_EQ(tests::sentence_of([&] {
              return train_output_aware(weights.topRows(15), inputs, {.parts = 2, .bits = 4});
            }),
            "fewbit: train_output_aware: weights.rows() is 15, expected at least 16, the number of "
            "centroids of 4 bits");
  inputs(2, 3) = std::numeric_limits<float>::infinity();
  EXPECT_EQ(sentence(inputs, {.parts = 2}),
            "fewbit: train_output_aware: inputs(2, 3) is inf, expected a finite number");
  EXPECT_EQ(tests::sentence_of([&] { return run(weights, inputs, 3); }),
            "fewbit: output_aware_kmeans: inputs(2, 3) is inf, expected a finite number");
  weights(7, 1) = std::nanf("");
  EXPECT_EQ(sentence(inputs, {.parts = 2}),
            "fewbit: train_output_aware: weights(7, 1) is nan, expected a finite number");
  EXPECT_EQ(tests::sentence_of([&] { return run(weights, inputs, 3); }),
            "fewbit: output_aware_kmeans: weights(7, 1) is nan, expected a finite number");
}

#endif

}  // namespace codebook_output_aware_test
}  // namespace fewbit
