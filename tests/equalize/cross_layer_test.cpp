#include "fewbit/equalize/cross_layer.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "equalize/support.hpp"

namespace fewbit { namespace equalize_cross_layer_test {

using tests::in_sequence;
using tests::linear_layer;
using tests::matrix;
using tests::random_reals;

const channel_link whole_block{"expand", "depthwise", {"project"}};

/// W1 and W2 of the source of the acceptance values.
std::vector<network_layer> two_layers(layer_activation after) {
  matrix w1(3, 2), w2(2, 3);
  w1 << 4.0F, -2.0F, 0.1F, 0.05F, 1.0F, 1.0F;
  w2 << 0.5F, 8.0F, 0.0F, -0.25F, 2.0F, 0.0F;
  return {linear_layer("w1", w1, Eigen::Vector3f(0.5F, -0.2F, 1.0F), after),
          linear_layer("w2", w2)};
}

TEST(equalize_cross_layer, gives_a_pair_equal_ranges) {
  auto l = two_layers(layer_activation::relu);
  const layer_list before(l);
  const Eigen::VectorXf s = equalize_pair(l[0].weights, l[0].bias, l[1].weights);
  EXPECT_NEAR(s[0], 2.828427, 1e-6);
  EXPECT_NEAR(s[1], 0.111803, 1e-6);
  EXPECT_EQ(s[2], 1.0F);
  const Eigen::VectorXf r1 = output_channel_ranges(l[0].weights);
  const Eigen::VectorXf r2 = input_channel_ranges(l[1].weights, 3);
  EXPECT_NEAR(r1[0], 1.414214, 1e-6);
  EXPECT_NEAR(r2[0], 1.414214, 1e-6);
  EXPECT_NEAR(r1[1], 0.894427, 1e-6);
  EXPECT_NEAR(r2[1], 0.894427, 1e-6);
  EXPECT_EQ(r2[2], 0.0F);
  const matrix x = random_reals(50, 2, 3);
  EXPECT_LE(tests::largest_difference(tests::plain_sequence(before, x),
                                      tests::plain_sequence(layer_list(l), x)),
            1e-6);
}

TEST(equalize_cross_layer, relu6_needs_a_cap_for_each_channel) {
  const layer_list before(two_layers(layer_activation::relu6));
  layer_list after = before;
  const auto report = equalize_layers(after, {{"w1", "", {"w2"}}});
  EXPECT_TRUE(report.converged);
  EXPECT_EQ(report.rounds, 2);
  EXPECT_NEAR(report.spread_before[0], 40.0, 1e-4);
  EXPECT_NEAR(report.spread_after[0], 1.414214 / 0.894427, 1e-5);
  ASSERT_EQ(after[0].caps.size(), 3);
  EXPECT_NEAR(after[0].caps[0], 6.0 / 2.828427, 1e-5);
  const matrix x = 3.0F * random_reals(200, 2, 3);
  const Eigen::MatrixXd want = tests::plain_sequence(before, x);
  EXPECT_LE(tests::largest_difference(want, tests::plain_sequence(after, x)), 1e-6);
  network_layer plain = after[0];
  plain.caps = {};
  layer_list without = after;
  without.replace({{0, plain}});
  EXPECT_GT(tests::largest_difference(want, tests::plain_sequence(without, x)), 0.1);
}

TEST(equalize_cross_layer, gives_a_triple_equal_ranges) {
  const auto one = [](float r) { return Eigen::VectorXf::Constant(1, r).eval(); };
  const triple_scales s = scales_of_triple(one(8.0F), one(1.0F), one(2.0F));
  EXPECT_NEAR(s.before[0], 3.174802, 1e-6);
  EXPECT_NEAR(s.after[0], 1.259921, 1e-6);
  EXPECT_NEAR(8.0 / s.before[0], 2.519842, 1e-6);
  EXPECT_NEAR(1.0 * s.before[0] / s.after[0], 2.519842, 1e-6);
  EXPECT_NEAR(2.0 * s.after[0], 2.519842, 1e-6);
  EXPECT_EQ(scales_of_triple(one(8.0F), one(0.0F), one(2.0F)).before[0], 1.0F);
}

TEST(equalize_cross_layer, does_not_underflow) {
  const auto one = [](float r) { return Eigen::VectorXf::Constant(1, r).eval(); };
  EXPECT_EQ(pair_scales(one(1e-30F), one(1e-30F))[0], 1.0F);  // their product is 0 in float
  EXPECT_NEAR(pair_scales(one(1e-40F), one(1e-36F))[0], 0.01, 1e-6);
  EXPECT_EQ(pair_scales(one(0.0F), one(1.0F))[0], 1.0F);
  EXPECT_EQ(pair_scales(one(1.0F), one(0.0F))[0], 1.0F);
  EXPECT_EQ(pair_scales(one(1e30F), one(1e-30F))[0], 1e6F);  // the limit
  EXPECT_NEAR(scales_of_triple(one(1e-30F), one(1e-30F), one(1e-30F)).before[0], 1.0, 1e-6);
}

/// Factors for channels that differ by 2^10.
void make_uneven(std::vector<network_layer>& block) {
  for (index c = 0; c < 8; ++c) {
    block[0].weights.row(c) *= std::ldexp(1.0F, static_cast<int>(c % 5) * 2 - 6);
    block[1].weights.row(c) *= std::ldexp(1.0F, static_cast<int>(c % 3) * 3 - 4);
  }
}

TEST(equalize_cross_layer, keeps_the_outputs_of_a_block_with_a_depthwise_layer) {
  for (const auto after : {layer_activation::relu, layer_activation::relu6}) {
    auto block = tests::mobile_block(after);
    make_uneven(block);
    block[0].output_means = Eigen::VectorXf::Ones(8);
    block[0].output_deviations = Eigen::VectorXf::Ones(8);
    const layer_list before(block);
    layer_list layers = before;
    const auto report = equalize_layers(layers, {whole_block});
    EXPECT_TRUE(report.converged);
    EXPECT_GT(report.spread_before[0], 50.0);
    EXPECT_LT(report.spread_after[0], 20.0);
    const matrix x = random_reals(5, 90, 9);
    EXPECT_LE(tests::largest_difference(tests::plain_sequence(before, x),
                                        tests::plain_sequence(layers, x)),
              1e-5);
    const Eigen::VectorXf r1 = output_channel_ranges(layers[0].weights);
    const Eigen::VectorXf r2 = output_channel_ranges(layers[1].weights);
    const Eigen::VectorXf r3 = input_channel_ranges(layers[2].weights, 8);
    EXPECT_LE((r1 - r2).cwiseAbs().maxCoeff(), 1e-4 * r1.maxCoeff());
    EXPECT_LE((r1 - r3).cwiseAbs().maxCoeff(), 1e-4 * r1.maxCoeff());
    const Eigen::VectorXf s = before[0].bias.cwiseQuotient(layers[0].bias);
    EXPECT_LE((layers[0].output_means.cwiseProduct(s).array() - 1.0F).abs().maxCoeff(), 1e-5F);
    EXPECT_LE((layers[0].output_deviations.cwiseProduct(s).array() - 1.0F).abs().maxCoeff(), 1e-5F);
  }
}

TEST(equalize_cross_layer, scales_every_consumer_and_every_pixel) {
  const image_extents image{4, 4, 4};
  network_layer grouped = tests::image_layer("grouped", layer_kind::conv2d, random_reals(6, 18, 4),
                                             image, {.kernel = {3, 3}});
  grouped.groups = 2;
  const auto first = tests::image_layer("first", layer_kind::conv2d, random_reals(4, 2, 5),
                                        {4, 4, 2}, {}, layer_activation::relu);
  network_layer wide = tests::image_layer("wide", layer_kind::depthwise_conv2d,
                                          random_reals(8, 9, 6), image, {.kernel = {3, 3}});
  const layer_list before({first, grouped, linear_layer("flat", random_reals(3, 64, 7)), wide});
  layer_list layers = before;
  equalize_layers(layers, {{"first", "", {"grouped", "flat", "wide"}}});
  EXPECT_NE(layers[0].weights, before[0].weights);
  const Eigen::MatrixXd x = random_reals(3, 32, 8).cast<double>();
  for (const index reader : {1, 2, 3}) {
    EXPECT_LE(tests::largest_difference(
                  tests::plain_layer(before[reader], tests::plain_layer(before[0], x)),
                  tests::plain_layer(layers[reader], tests::plain_layer(layers[0], x))),
              1e-5)
        << reader;
  }
}

TEST(equalize_cross_layer, works_where_weights_have_one_scale) {
  auto block = tests::mobile_block(layer_activation::relu);
  make_uneven(block);
  const layer_list before(block);
  layer_list after = before;
  equalize_layers(after, {whole_block});
  const matrix x = random_reals(20, 90, 9);
  const Eigen::MatrixXd want = tests::plain_sequence(before, x);
  const auto quality = [&](const layer_list& layers) {
    simulation plan(layers);
    plan.quantize_weights<int8_per_tensor>();
    return tests::decibels(want, in_sequence(4)(x, plan.compute()).cast<double>());
  };
  EXPECT_GT(quality(after), quality(before) + 4.0);
}

TEST(equalize_cross_layer, can_be_cancelled) {
  const layer_list before(two_layers(layer_activation::relu));
  layer_list layers = before;
  equalization_options options;
  options.progress = [](const pass_step& s) { return s.done < 1; };
  const auto report = equalize_layers(layers, {{"w1", "", {"w2"}}}, options);
  EXPECT_TRUE(report.cancelled);
  EXPECT_EQ(layers[0].weights, before[0].weights);
  EXPECT_EQ(layers[1].weights, before[1].weights);
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(equalize_cross_layer, refuses_links_that_do_not_fit) {
  layer_list layers(tests::mobile_block(layer_activation::relu));
  const auto refusal = [&](const channel_link& link) {
    return tests::sentence_of([&] { return equalize_layers(layers, {whole_block, link}); });
  };
  const matrix before = layers[0].weights;
  const std::string start = "fewbit: equalize_layers: ";
  EXPECT_EQ(refusal({"expend", "", {"project"}}),
            start + "layer is 'expend', expected the name of a layer");
  EXPECT_EQ(refusal({"expand", "project", {"head"}}),
            start +
                "kind of layer 'project' is conv2d, expected depthwise_conv2d with one output "
                "channel for each input channel");
  EXPECT_EQ(refusal({"expand", "", {}}),
            start + "number of consumers of layer 'expand' is 0, expected at least 1");
  EXPECT_EQ(refusal({"project", "", {"expand"}}),
            start +
                "number of input channels of layer 'expand' is 3, expected 4, the number of "
                "output channels of layer 'project'");
  EXPECT_EQ(refusal({"expand", "depthwise", {"depthwise"}}),
            start + "place in a link of layer 'depthwise' is used twice, expected one place");
  // Other readers of the channels would not follow the scales of a second link.
  EXPECT_EQ(refusal({"expand", "", {"project"}}),
            start +
                "number of links of layer 'expand' is 2, expected 1 in which it is the producer or "
                "the depthwise layer: name all consumers in one link");
  EXPECT_EQ(refusal({"depthwise", "", {"project"}}).substr(0, 66),
            start + "number of links of layer 'depthwise' is 2");
  EXPECT_EQ(layers[0].weights, before);
  EXPECT_EQ(
      tests::sentence_of([&] { return equalize_layers(layers, {whole_block}, {.rounds = 0}); }),
      start + "rounds is 0, expected at least 1");
  layer_list two({linear_layer("a", matrix::Ones(3, 2)), linear_layer("b", matrix::Ones(3, 2)),
                  linear_layer("c", matrix::Ones(1, 3))});
  EXPECT_EQ(tests::sentence_of([&] {
              return equalize_layers(two, {{"a", "", {"c"}}, {"b", "", {"c"}}});
            }),
            start +
                "number of links of layer 'c' is 2, expected 1 in which it is a consumer or the "
                "depthwise layer");
  matrix w1 = matrix::Ones(3, 2), w2 = matrix::Ones(2, 4);
  Eigen::VectorXf b1;
  EXPECT_EQ(tests::sentence_of([&] { return equalize_pair(w1, b1, w2); }),
            "fewbit: equalize_pair: number of input channels of layer 'w2' is 4, expected 3, the "
            "number of output channels of layer 'w1'");
  w1(2, 1) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(tests::sentence_of([&] { return equalize_pair(w1, b1, w2); }),
            "fewbit: equalize_pair: weights(2, 1) of layer 'w1' is nan, expected a finite number");
}
#endif

}}  // namespace fewbit::equalize_cross_layer_test
