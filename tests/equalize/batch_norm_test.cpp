#include "fewbit/equalize/batch_norm.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "equalize/support.hpp"

namespace fewbit { namespace equalize_batch_norm_test {

using tests::matrix;
using tests::random_reals;

batch_norm some_norm(index channels) {
  batch_norm n;
  n.gamma = random_reals(channels, 1, 11);
  n.beta = random_reals(channels, 1, 12);
  n.mean = random_reals(channels, 1, 13);
  n.variance = random_reals(channels, 1, 14).cwiseAbs().array() + 0.01F;
  n.variance[0] = 1e-4F;  // where epsilon counts
  return n;
}

/// gamma (sum - mean) / sqrt(variance + epsilon) + beta in double.
Eigen::MatrixXd normed(const Eigen::MatrixXd& sums, const batch_norm& n) {
  Eigen::MatrixXd y = sums;
  for (index p = 0; p < y.cols(); ++p) {
    const index c = p % n.gamma.size();
    const double deviation = std::sqrt(double{n.variance[c]} + n.epsilon);
    y.col(p) = (y.col(p).array() - double{n.mean[c]}) * (double{n.gamma[c]} / deviation) +
               double{n.beta[c]};
  }
  return y;
}

TEST(equalize_batch_norm, folds_into_every_kind_of_layer) {
  for (network_layer l : tests::mobile_block(layer_activation::none)) {
    for (const bool has_bias : {true, false}) {
      if (!has_bias) l.bias = {};
      const batch_norm n = some_norm(l.channels());
      network_layer folded = l;
      const folded_norm report = fold_batch_norm(folded, n);
      EXPECT_TRUE(report.repaired.empty());
      const Eigen::MatrixXd x = random_reals(3, l.inputs(), 5).cast<double>();
      const Eigen::MatrixXd want = normed(tests::plain_layer(l, x), n);
      EXPECT_LE(tests::largest_difference(want, tests::plain_layer(folded, x)), 1e-5) << l.name;
      EXPECT_EQ(folded.output_means, n.beta);
      EXPECT_EQ(folded.output_deviations, n.gamma.cwiseAbs());
    }
  }
}

TEST(equalize_batch_norm, repairs_a_channel_without_variance) {
  matrix w = matrix::Ones(3, 2);
  Eigen::VectorXf bias;
  batch_norm n;
  n.gamma = Eigen::Vector3f(1.0F, 1.7F, -2.0F);
  n.beta = Eigen::Vector3f(0.5F, -0.25F, 3.0F);
  n.mean = Eigen::Vector3f(1.0F, 4.0F, 0.0F);
  n.variance = Eigen::Vector3f(1.0F, 0.0F, 4.0F);

  matrix wide = w;
  const folded_norm without = fold_batch_norm(wide, bias, n, {.dead_variance = -1.0});
  EXPECT_NEAR(wide(1, 0), 537.587, 0.01);  // 1.7 / sqrt(1e-5)
  EXPECT_NEAR(without.largest_gain, 537.587, 0.01);

  bias = {};
  const folded_norm report = fold_batch_norm(w, bias, n);
  EXPECT_EQ(report.repaired, std::vector<index>{1});
  EXPECT_EQ(w.row(1), Eigen::RowVector2f::Zero());
  EXPECT_EQ(bias[1], -0.25F);
  EXPECT_NEAR(report.largest_gain, 1.0, 1e-5);
  EXPECT_NEAR(report.smallest_gain, 1.0, 1e-5);
  EXPECT_NEAR(bias[0], -0.5, 1e-4);
  EXPECT_NEAR(w(2, 1), -1.0, 1e-4);
}

TEST(equalize_batch_norm, repaired_channels_leave_the_codes_to_the_others) {
  // Input 3 is always 0 and the weights of channel 5 read it alone, as after training: its variance
  // is 0, and folding multiplies its weights by 316.
  matrix w = random_reals(16, 24, 1);
  w.row(5).setZero();
  w(5, 3) = 1.0F;
  matrix x = random_reals(40, 24, 2);
  x.col(3).setZero();
  const Eigen::MatrixXd sums = (x * w.transpose()).cast<double>();
  batch_norm n = some_norm(16);
  n.mean = sums.colwise().mean().transpose().cast<float>();
  for (index c = 0; c < 16; ++c) {
    n.variance[c] = static_cast<float>((sums.col(c).array() - double{n.mean[c]}).square().mean());
    n.gamma[c] = 1.0F;
  }
  const Eigen::MatrixXd want = normed(sums, n);
  const auto quality = [&](const fold_options& options) {
    network_layer l = tests::linear_layer("fc", w);
    EXPECT_EQ(fold_batch_norm(l, n, options).repaired.size(),
              options.dead_variance < 0.0 ? 0U : 1U);
    l.weights = fake_quantize<int8_per_tensor>(l.weights);
    return tests::decibels(want, tests::plain_layer(l, x.cast<double>()));
  };
  EXPECT_LT(quality({.dead_variance = -1.0}), 12.0);
  EXPECT_GT(quality({}), 40.0);
}

TEST(equalize_batch_norm, folds_a_list_and_sets_activations) {
  layer_list layers(tests::mobile_block(layer_activation::none));
  const auto reports = fold_batch_norms(
      layers, {{"expand", some_norm(8), layer_activation::relu6}, {"project", some_norm(4)}});
  EXPECT_EQ(reports.size(), 2U);
  EXPECT_EQ(layers[0].activation, layer_activation::relu6);
  EXPECT_TRUE(layers[0].has_statistics());
  EXPECT_FALSE(layers[1].has_statistics());
  EXPECT_TRUE(layers[2].has_statistics());
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(equalize_batch_norm, refuses_what_does_not_fit_and_changes_nothing) {
  const auto refusal = [](const auto& change) {
    network_layer l = tests::linear_layer("fc", random_reals(4, 3, 1));
    batch_norm n = some_norm(4);
    change(l, n);
    const matrix before = l.weights;
    const std::string sentence = tests::sentence_of([&] { return fold_batch_norm(l, n); });
    EXPECT_EQ(l.weights, before);
    return sentence;
  };
  const std::string start = "fewbit: fold_batch_norm: ";
  EXPECT_EQ(refusal([](auto&, auto& n) { n.gamma = random_reals(3, 1, 1); }),
            start + "length of gamma of layer 'fc' is 3, expected 4");
  EXPECT_EQ(refusal([](auto&, auto& n) { n.mean = {}; }),
            start + "length of mean of layer 'fc' is 0, expected 4");
  EXPECT_EQ(refusal([](auto&, auto& n) { n.variance[2] = -1.0F; }),
            start + "variance[2] of layer 'fc' is -1, expected at least 0");
  EXPECT_EQ(refusal([](auto&, auto& n) { n.beta[1] = std::numeric_limits<float>::infinity(); }),
            start + "beta[1] of layer 'fc' is inf, expected a finite number");
  EXPECT_EQ(refusal([](auto&, auto& n) { n.epsilon = -1e-3; }),
            start + "epsilon of layer 'fc' is -0.001, expected 0 to 1");
  EXPECT_EQ(refusal([](auto& l, auto&) { l.activation = layer_activation::relu; }),
            start +
                "activation of layer 'fc' is relu or relu6, expected none: the activation "
                "follows the batch norm");
  EXPECT_EQ(refusal([](auto&, auto& n) { n.gamma[3] = n.mean[3] = 3e38F; }),
            start + "weights(3, 0) of layer 'fc' is -inf, expected a finite number");

  layer_list layers(tests::mobile_block(layer_activation::none));
  const matrix before = layers[0].weights;
  EXPECT_EQ(tests::sentence_of([&] {
              return fold_batch_norms(layers, {{"expand", some_norm(8)}, {"head", some_norm(4)}});
            }),
            "fewbit: fold_batch_norms: length of gamma of layer 'head' is 4, expected 5");
  EXPECT_EQ(tests::sentence_of([&] {
              return fold_batch_norms(layers, {{"expand", some_norm(8)}, {"expand", some_norm(8)}});
            }),
            "fewbit: fold_batch_norms: number of batch norms of layer 'expand' is 2, expected 1");
  EXPECT_EQ(layers[0].weights, before);
}
#endif

}}  // namespace fewbit::equalize_batch_norm_test
