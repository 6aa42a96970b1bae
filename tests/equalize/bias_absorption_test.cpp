#include "fewbit/equalize/bias_absorption.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "equalize/support.hpp"

namespace fewbit { namespace equalize_bias_absorption_test {

using tests::linear_layer;
using tests::matrix;
using tests::random_reals;

TEST(equalize_bias_absorption, absorbs_three_deviations_below_the_mean) {
  const Eigen::VectorXf c =
      absorbed_bias(Eigen::Vector3f(5.0F, 2.0F, 7.0F), Eigen::Vector3f(1.0F, 1.0F, -2.0F));
  EXPECT_EQ(c, Eigen::Vector3f(2.0F, 0.0F, 1.0F));
}

TEST(equalize_bias_absorption, is_exact_where_inputs_are_above_it) {
  const matrix w1 = 0.01F * random_reals(4, 6, 1), w2 = random_reals(3, 8, 2);
  Eigen::VectorXf b1 = Eigen::Vector4f(5.0F, -3.0F, 9.0F, 4.0F), b2 = random_reals(3, 1, 3);
  const Eigen::VectorXf means = b1, deviations = Eigen::Vector4f(1.0F, 0.1F, 1.0F, 1.0F);
  network_layer first = linear_layer("a", w1, b1, layer_activation::relu);
  network_layer second = linear_layer("b", w2, b2);
  const Eigen::MatrixXd x = random_reals(10, 6, 4).cast<double>();
  const auto outputs = [&] {
    const Eigen::MatrixXd h = tests::plain_layer(first, x);
    Eigen::MatrixXd twice(h.rows(), 8);  // two pixels of four channels
    twice << h, h;
    return tests::plain_layer(second, twice);
  };
  const Eigen::MatrixXd want = outputs();
  EXPECT_EQ(absorb_bias(b1, w2, b2, means, deviations), Eigen::Vector4f(2.0F, 0.0F, 6.0F, 1.0F));
  EXPECT_EQ(b1, Eigen::Vector4f(3.0F, -3.0F, 3.0F, 3.0F));
  first.bias = b1;
  EXPECT_GT(tests::largest_difference(want, outputs()), 0.1);
  second.bias = b2;
  EXPECT_LE(tests::largest_difference(want, outputs()), 1e-6);
}

/// expand and project of a block, with statistics; both have no padding.
std::vector<network_layer> without_padding(layer_activation after) {
  auto block = tests::mobile_block(after);
  block.erase(block.begin() + 1);
  block[1].image = block[0].image;
  block[1].image.channels = 8;
  block.pop_back();
  block[0].weights *= 0.01F;
  block[0].bias = Eigen::VectorXf::LinSpaced(8, 4.0F, 11.0F);
  block[0].output_means = block[0].bias;
  block[0].output_deviations = Eigen::VectorXf::Ones(8);
  return block;
}

TEST(equalize_bias_absorption, absorbs_in_a_network_with_factors_of_inputs) {
  auto made = without_padding(layer_activation::relu);
  made[1].input_factors = Eigen::VectorXf::LinSpaced(8, 0.5F, 3.0F);
  const layer_list before(made);
  layer_list layers = before;
  const auto report = absorb_biases(layers, {{"expand", "", {"project"}}});
  ASSERT_EQ(report.size(), 1U);
  EXPECT_EQ(report[0].reason, "");
  EXPECT_EQ(report[0].absorbed, Eigen::VectorXf::LinSpaced(8, 1.0F, 8.0F));
  EXPECT_EQ(layers[0].output_means, Eigen::VectorXf::Constant(8, 3.0F));
  const matrix x = random_reals(4, 90, 4);
  EXPECT_LE(
      tests::largest_difference(tests::plain_sequence(before, x), tests::plain_sequence(layers, x)),
      1e-6);
}

TEST(equalize_bias_absorption, lowers_the_caps_of_relu6) {
  const layer_list before(without_padding(layer_activation::relu6));
  layer_list layers = before;
  const auto report = absorb_biases(layers, {{"expand", "", {"project"}}});
  EXPECT_EQ(report[0].absorbed[0], 1.0F);
  EXPECT_EQ(report[0].absorbed[7], 3.0F);  // at most half of the cap
  EXPECT_EQ(layers[0].caps[7], 3.0F);
  EXPECT_EQ(layers[0].caps[0], 5.0F);
  const matrix x = random_reals(4, 90, 4);
  EXPECT_LE(
      tests::largest_difference(tests::plain_sequence(before, x), tests::plain_sequence(layers, x)),
      1e-6);
}

TEST(equalize_bias_absorption, says_why_it_leaves_a_link_alone) {
  auto block = tests::mobile_block(layer_activation::relu);
  block[0].output_means = Eigen::VectorXf::Constant(8, 5.0F);
  block[0].output_deviations = Eigen::VectorXf::Ones(8);
  const layer_list before(block);
  layer_list layers = before;
  const auto report = absorb_biases(
      layers,
      {{"expand", "", {"depthwise"}}, {"depthwise", "", {"project"}}, {"project", "", {"head"}}});
  ASSERT_EQ(report.size(), 3U);
  EXPECT_EQ(report[0].reason, "layer 'depthwise' has padding");
  EXPECT_EQ(report[1].reason, "layer 'depthwise' has no output_means");
  EXPECT_EQ(report[2].reason, "layer 'project' has no relu");
  EXPECT_EQ(layers[0].bias, before[0].bias);
  const auto padded =
      absorb_biases(layers, {{"expand", "", {"depthwise"}}}, {.with_padding = true});
  EXPECT_EQ(padded[0].absorbed, Eigen::VectorXf::Constant(8, 2.0F));
  for (index c = 0; c < 8; ++c) {
    EXPECT_NEAR(layers[1].bias[c], before[1].bias[c] + 2.0F * before[1].weights.row(c).sum(), 1e-4);
  }
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(equalize_bias_absorption, refuses_what_does_not_chain) {
  Eigen::VectorXf b1 = Eigen::Vector3f::Constant(9.0F), b2;
  const Eigen::VectorXf ones = Eigen::Vector3f::Ones();
  const auto refusal = [&](const matrix& w2, const Eigen::VectorXf& means) {
    return tests::sentence_of([&] { return absorb_bias(b1, w2, b2, means, ones); });
  };
  EXPECT_EQ(refusal(matrix::Ones(2, 4), 9.0F * ones),
            "fewbit: absorb_bias: number of columns of w2 is 4, expected a multiple of the length "
            "of b1, 3");
  EXPECT_EQ(refusal(matrix::Ones(2, 3), Eigen::Vector2f::Ones()),
            "fewbit: absorb_bias: length of means is 2, expected 3");
  EXPECT_EQ(refusal(matrix::Ones(2, 3),
                    Eigen::Vector3f(1.0F, std::numeric_limits<float>::quiet_NaN(), 1.0F)),
            "fewbit: absorb_bias: means(0, 1) is nan, expected a finite number");
  EXPECT_EQ(refusal(matrix::Constant(2, 3, 3e38F), 9.0F * ones),
            "fewbit: absorb_bias: bias[0] of layer 'w2' is inf, expected a finite number");
  EXPECT_EQ(b1, Eigen::Vector3f::Constant(9.0F));
  EXPECT_EQ(b2.size(), 0);
  layer_list layers({linear_layer("a", matrix::Ones(3, 2)), linear_layer("b", matrix::Ones(1, 3)),
                     linear_layer("c", matrix::Ones(1, 3))});
  EXPECT_EQ(tests::sentence_of([&] {
              return absorb_biases(layers, {{"a", "", {"b"}}, {"a", "", {"c"}}});
            }),
            "fewbit: absorb_biases: number of links of layer 'a' is 2, expected 1 in which it is "
            "the producer or the depthwise layer: name all consumers in one link");
}
#endif

}}  // namespace fewbit::equalize_bias_absorption_test
