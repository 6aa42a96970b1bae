#include "fewbit/equalize/smooth.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "equalize/support.hpp"
#include "fewbit/calib/max_observer.hpp"
#include "support/reverse_executor.hpp"

namespace fewbit { namespace equalize_smooth_test {

using tests::in_sequence;
using tests::lcg;
using tests::linear_layer;
using tests::matrix;
using tests::random_reals;

TEST(equalize_smooth, balances_inputs_and_weights) {
  const Eigen::Vector2f x(16.0F, 1.0F), w(1.0F, 4.0F);
  const Eigen::VectorXf s = smoothing_factors(x, w, 0.5);
  EXPECT_NEAR(s[0], 4.0, 1e-6);
  EXPECT_NEAR(s[1], 0.5, 1e-6);
  EXPECT_NEAR(x[0] / s[0], 4.0, 1e-6);  // the maxima of both sides
  EXPECT_NEAR(w[0] * s[0], 4.0, 1e-6);
  EXPECT_NEAR(x[1] / s[1], 2.0, 1e-6);
  EXPECT_NEAR(w[1] * s[1], 2.0, 1e-6);
  // A channel never excited has 1; weights of 0 count as 1e-5.
  const Eigen::VectorXf edges = smoothing_factors(Eigen::Vector3f(0.0F, 4.0F, 1e-20F),
                                                  Eigen::Vector3f(3.0F, 0.0F, 1.0F), 0.5);
  EXPECT_EQ(edges[0], 1.0F);
  EXPECT_NEAR(edges[1], 2.0 / std::sqrt(1e-5), 1e-2);
  EXPECT_EQ(edges[2], 1e-5F);
}

/// X and W of the acceptance values.
matrix wide_inputs() {
  Eigen::MatrixXd x = lcg(256, 64, 21);
  x.col(3) *= 60.0;
  x.col(40) *= 60.0;
  return x.cast<float>();
}

double decibels_of(double error) { return -10.0 * std::log10(error); }

TEST(equalize_smooth, finds_the_best_exponent) {
  const matrix x = wide_inputs(), w = lcg(32, 64, 22).cast<float>();
  smoothing_options options;
  options.exponents = {0.0, 0.25, 0.5, 0.75, 1.0};
  const smoothing found = search_smoothing<int8_per_row, int8_per_tensor>(x, {w}, options);
  EXPECT_NEAR(decibels_of(found.error_before), 33.23, 0.01);
  const std::vector<double> want{32.99, 40.75, 45.02, 43.15, 36.29};
  ASSERT_EQ(found.errors.size(), want.size());
  for (std::size_t i = 0; i < want.size(); ++i) {
    EXPECT_NEAR(decibels_of(found.errors[i]), want[i], 0.01) << i;
  }
  EXPECT_TRUE(found.is_smoothed);
  EXPECT_EQ(found.exponent, 0.5);
  EXPECT_EQ(found.error, found.errors[2]);
  const auto again =
      search_smoothing<int8_per_row, int8_per_tensor>(x, {w}, options, tests::reverse_executor{});
  EXPECT_EQ(again.factors, found.factors);
  EXPECT_EQ(again.errors, found.errors);
}

TEST(equalize_smooth, shares_factors_between_all_consumers) {
  const matrix x = wide_inputs(), w = lcg(32, 64, 22).cast<float>();
  matrix narrow = w, wide = lcg(8, 64, 23).cast<float>() * 8.0F;
  const smoothing found =
      search_smoothing<int8_per_row, int8_per_tensor>(x, {wide, narrow}, {.exponents = {0.5}});
  Eigen::VectorXf ranges = narrow.cwiseAbs().colwise().maxCoeff().transpose();
  ranges = ranges.cwiseMax(wide.cwiseAbs().colwise().maxCoeff().transpose());
  EXPECT_EQ(found.factors,
            smoothing_factors(x.cwiseAbs().colwise().maxCoeff().transpose(), ranges, 0.5));
}

TEST(equalize_smooth, leaves_even_inputs_alone) {
  matrix x = matrix::Ones(64, 16), w = matrix::Zero(4, 16);
  for (index i = 0; i < x.size(); ++i) x.data()[i] = static_cast<float>(i % 255 - 127);
  w.diagonal().setConstant(127.0F);
  const smoothing found = search_smoothing<int8_per_row, int8_per_tensor>(x, {w});
  EXPECT_FALSE(found.is_smoothed);
  EXPECT_EQ(found.error, 0.0);
  EXPECT_EQ(found.factors, Eigen::VectorXf::Ones(16));
}

/// norm -> {a, b}, and a -> relu -> c, with some wide channels.
layer_list branches() {
  auto a =
      linear_layer("a", random_reals(12, 64, 1), random_reals(12, 1, 2), layer_activation::relu);
  for (const index wide : {2, 7}) {
    a.weights.row(wide) *= 50.0F;
    a.bias[wide] *= 50.0F;
  }
  return layer_list(
      {a, linear_layer("b", random_reals(5, 64, 3)), linear_layer("c", random_reals(6, 12, 4))});
}

const forward_function run_branches = [](const matrix& x, const compute_function& compute) {
  matrix y, z, sum;
  compute(0, x, y);
  compute(1, x, z);
  compute(2, y, sum);
  matrix both(x.rows(), 11);
  both << z, sum;
  return both;
};

TEST(equalize_smooth, smooths_a_network_and_keeps_its_outputs) {
  const layer_list before = branches();
  layer_list layers = before;
  const matrix x = wide_inputs();
  const input_batches batches = {x.topRows(100), x.bottomRows(156)};
  const auto report = smooth_layers<int8_per_row, int8_per_tensor>(layers, run_branches, batches,
                                                                   {{{"a", "b"}}, {{"c"}, "a"}});
  ASSERT_EQ(report.groups.size(), 2U);
  for (const smoothing& g : report.groups) {
    EXPECT_TRUE(g.is_smoothed);
    EXPECT_LT(g.error, g.error_before / 3.0);
  }
  EXPECT_EQ(layers[0].input_factors, layers[1].input_factors);
  EXPECT_EQ(layers[0].input_factors.size(), 64);
  EXPECT_EQ(layers[2].input_factors.size(), 0);
  const matrix real = run_branches(x, float_compute(before));
  EXPECT_LE(tests::largest_difference(real.cast<double>(),
                                      run_branches(x, float_compute(layers)).cast<double>()),
            1e-5);
  const auto quality = [&](const layer_list& l) {
    simulation plan(l);
    plan.quantize_weights<int8_per_row>();
    plan.quantize_inputs<int8_per_tensor>(observe_inputs<max_observer>(l, run_branches, batches));
    return tests::decibels(real.cast<double>(), run_branches(x, plan.compute()).cast<double>());
  };
  EXPECT_GT(quality(layers), quality(before) + 5.0);
}

TEST(equalize_smooth, smooths_channels_of_images_with_dynamic_and_static_scales) {
  const layer_list before(tests::mobile_block(layer_activation::relu));
  matrix x = random_reals(12, 90, 5);
  for (index j = 1; j < 90; j += 3) x.col(j) *= 40.0F;
  for (const bool by_row : {false, true}) {
    layer_list layers = before;
    const std::vector<smoothing_group> groups{
        {{"expand"}}, {{"depthwise"}, "expand"}, {{"head"}, "project"}};
    const auto report =
        by_row ? smooth_layers<int4_per_row, int8_per_row>(layers, in_sequence(4), {x}, groups)
               : smooth_layers<int4_per_row, uint8_affine>(layers, in_sequence(4), {x}, groups);
    EXPECT_EQ(report.groups[0].factors.size(), 3);
    EXPECT_EQ(report.groups[1].factors.size(), 8);
    EXPECT_EQ(report.groups[2].factors.size(), 4);
    EXPECT_LE(tests::largest_difference(tests::plain_sequence(before, x),
                                        tests::plain_sequence(layers, x)),
              1e-5);
    for (const smoothing& g : report.groups) EXPECT_LE(g.error, g.error_before);
  }
}

TEST(equalize_smooth, keeps_a_bounded_sample_and_can_be_cancelled) {
  detail::smoothing_data data;
  for (index i = 0; i < 5; ++i) data.keep(random_reals(10, 4, 1), 3);
  EXPECT_EQ(data.sample.rows(), 15);
  data.keep(random_reals(2, 4, 1), 3);
  EXPECT_EQ(data.sample.rows(), 17);
  data.keep(random_reals(2, 4, 1), 0);
  EXPECT_EQ(data.sample.rows(), 17);

  const layer_list before = branches();
  layer_list layers = before;
  smoothing_options options;
  options.progress = [](const pass_step& s) { return s.done < 1; };
  const input_batches batches = {wide_inputs(), wide_inputs()};
  const auto report = smooth_layers<int8_per_row, int8_per_tensor>(layers, run_branches, batches,
                                                                   {{{"a", "b"}}}, options);
  EXPECT_TRUE(report.cancelled);
  EXPECT_EQ(layers[0].weights, before[0].weights);
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(equalize_smooth, refuses_bad_groups_and_data) {
  layer_list layers = branches();
  const matrix before = layers[0].weights;
  const input_batches good = {wide_inputs()};
  const auto refusal = [&](const std::vector<smoothing_group>& groups, const input_batches& batches,
                           const smoothing_options& options = {}) {
    return tests::sentence_of([&] {
      return smooth_layers<int8_per_row, int8_per_tensor>(layers, run_branches, batches, groups,
                                                          options);
    });
  };
  const std::string start = "fewbit: smooth_layers: ";
  EXPECT_EQ(refusal({{{"a", "b"}}, {{"b"}}}, good),
            start + "number of groups of layer 'b' is 2, expected 1");
  EXPECT_EQ(refusal({{{"a", "c"}}}, good),
            start + "number of inputs of layer 'c' is 12, expected 64, as of layer 'a'");
  const std::string twice = "number of groups whose inputs are the outputs of layer 'p' is 2";
  layer_list forked({linear_layer("p", matrix::Ones(3, 3)), linear_layer("q", matrix::Ones(1, 3)),
                     linear_layer("r", matrix::Ones(1, 3))});
  const auto of_forked = [&](const std::vector<smoothing_group>& groups) {
    return tests::sentence_of([&] {
      return smooth_layers<int8_per_row, int8_per_tensor>(forked, tests::in_sequence(1),
                                                          {matrix::Ones(1, 3)}, groups);
    });
  };
  EXPECT_EQ(of_forked({{{"q"}, "p"}, {{"r"}, "p"}}), start + twice + ", expected 1");
  EXPECT_EQ(of_forked({{{"q", "p"}, "p"}}),
            start + "place in a group of layer 'p' is producer and consumer, expected one of them");
  EXPECT_EQ(refusal({{{}}}, good), start + "number of consumers is 0, expected at least 1");
  EXPECT_EQ(refusal({{{"d"}}}, good), start + "layer is 'd', expected the name of a layer");
  EXPECT_EQ(refusal({{{"a"}}}, {}),
            start + "number of calibration batches is 0, expected at least 1");
  matrix bad = wide_inputs();
  bad(4, 9) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(refusal({{{"a"}}}, {bad}),
            start + "calibration batch 0(4, 9) is nan, expected a finite number");
  EXPECT_EQ(refusal({{{"a"}}}, good, {.exponents = {}}),
            start + "number of exponents is 0, expected at least 1");
  EXPECT_EQ(refusal({{{"a"}}}, good, {.exponents = {1.5}}),
            start + "exponent is 1.5, expected 0 to 1");
  network_layer smoothed = layers[1];
  smoothed.input_factors = Eigen::VectorXf::Ones(64);
  layers.replace({{1, smoothed}});
  EXPECT_EQ(refusal({{{"a", "b"}}}, good),
            start + "input_factors of layer 'b' is set, expected none: a layer is smoothed once");
  EXPECT_EQ(layers[0].weights, before);
  EXPECT_EQ(tests::sentence_of([] {
              return smoothing_factors(Eigen::Vector2f(1.0F, -1.0F), Eigen::Vector2f::Ones(), 0.5);
            }),
            "fewbit: smoothing_factors: amax_x[1] is -1, expected a finite number, at least 0");
  EXPECT_EQ(tests::sentence_of([&] {
              return search_smoothing<int8_per_row, int8_per_tensor>(matrix::Ones(2, 3),
                                                                     {matrix::Ones(2, 4)});
            }),
            "fewbit: search_smoothing: number of columns of weights[0] is 4, expected 3");
  EXPECT_EQ(tests::sentence_of([&] {
              return search_smoothing<int8_per_row, int8_per_tensor>(matrix::Ones(2, 3), {});
            }),
            "fewbit: search_smoothing: number of weights is 0, expected at least 1");
}
#endif

}}  // namespace fewbit::equalize_smooth_test
