#include "fewbit/equalize/network.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "equalize/support.hpp"
#include "fewbit/calib/histogram_observer.hpp"
#include "fewbit/calib/max_observer.hpp"
#include "fewbit/core/executor_adapters.hpp"
#include "support/plain_conv.hpp"
#include "support/reverse_executor.hpp"

namespace fewbit { namespace equalize_network_test {

using tests::image_layer;
using tests::in_sequence;
using tests::linear_layer;
using tests::matrix;
using tests::mobile_block;
using tests::random_reals;
#if FEWBIT_HAS_EXCEPTIONS
using tests::sentence_of;
#endif

constexpr float nan = std::numeric_limits<float>::quiet_NaN();

/// Small integers, so that all sums are exact in float.
matrix small_integers(index rows, index cols, unsigned seed) {
  const auto codes =
      tests::random_codes_of<std::int8_t>(static_cast<std::size_t>(rows * cols), seed, -9, 9);
  return Eigen::Map<const row_matrix<std::int8_t>>(codes.data(), rows, cols).cast<float>();
}

TEST(equalize_network, computes_convolutions_exactly) {
  for (const tests::conv_case& c : tests::conv_cases()) {
    SCOPED_TRACE(testing::Message() << c.image.height << " x " << c.image.width << " x "
                                    << c.image.channels << " to " << c.channels);
    network_layer l = image_layer("conv", layer_kind::conv2d,
                                  small_integers(c.channels, c.depth(), 1), c.image, c.window);
    l.groups = c.groups;
    l.bias = small_integers(c.channels, 1, 2);
    const layer_list layers({l});
    const matrix x = small_integers(3, c.image.size(), 3);
    matrix y, again;
    float_compute(layers)(0, x, y);
    EXPECT_EQ(y.cast<double>(), tests::plain_layer(l, x.cast<double>()));
    compute_in_float(l, x, again, thread_executor{3});
    EXPECT_EQ(y, again);
    compute_in_float(l, x, again, tests::reverse_executor{});
    EXPECT_EQ(y, again);
  }
}

TEST(equalize_network, computes_depthwise_and_linear_layers_exactly) {
  for (const index copies : {1, 3}) {
    window2d window{.kernel = {3, 2}, .stride = {2, 1}, .dilation = {1, 2}};
    window.padding = {1, 0, 2, 1};
    network_layer l = image_layer("depthwise", layer_kind::depthwise_conv2d,
                                  small_integers(5 * copies, 6, 1), {7, 6, 5}, window);
    l.bias = {};
    const matrix x = small_integers(2, l.inputs(), 3);
    matrix y;
    compute_in_float(l, x, y);
    EXPECT_EQ(y.cast<double>(), tests::plain_layer(l, x.cast<double>())) << copies;
  }
  network_layer l = linear_layer("linear", small_integers(7, 33, 4), small_integers(7, 1, 5));
  l.input_factors = Eigen::VectorXf::LinSpaced(33, 1.0F, 33.0F);
  l.activation = layer_activation::relu;
  const matrix x = small_integers(130, 33, 6);
  matrix y, again;
  compute_in_float(l, x, y);
  EXPECT_EQ(y.cast<double>(), tests::plain_layer(l, x.cast<double>()));
  compute_in_float(l, x, again, thread_executor{3});
  EXPECT_EQ(y, again);
}

TEST(equalize_network, applies_activations_caps_and_factors) {
  auto made = mobile_block(layer_activation::relu6);
  made[0].caps = Eigen::VectorXf::LinSpaced(8, 0.5F, 4.0F);
  made[1].input_factors = Eigen::VectorXf::LinSpaced(8, 0.25F, 2.0F);
  const layer_list layers(made);
  const matrix x = random_reals(4, 90, 9);
  const matrix y = in_sequence(4)(x, float_compute(layers));
  EXPECT_LE(tests::largest_difference(tests::plain_sequence(layers, x), y.cast<double>()), 1e-5);
  EXPECT_EQ(layers[0].outputs(), 240);
  EXPECT_EQ(layers[1].outputs(), 72);
  EXPECT_EQ(layers[1].products(), 72 * 9);
  EXPECT_EQ(layers[3].inputs(), 36);
}

TEST(equalize_network, finds_and_replaces_layers) {
  layer_list layers(mobile_block(layer_activation::relu));
  EXPECT_EQ(layers.size(), 4);
  EXPECT_EQ(layers.find("project"), 2);
  network_layer changed = layers[2];
  changed.weights *= 2.0F;
  layers.replace({{2, changed}});
  EXPECT_EQ(layers[2].weights, changed.weights);
}

TEST(equalize_network, observes_inputs_and_counts_calls) {
  const layer_list layers({linear_layer("a", matrix::Identity(2, 2)),
                           linear_layer("b", 2.0F * matrix::Identity(2, 2)),
                           linear_layer("never", matrix::Identity(2, 2))});
  const forward_function forward = [](const matrix& x, const compute_function& compute) {
    matrix y, z;
    compute(1, x, y);
    compute(0, y, z);
    compute(0, z, y);
    return y;
  };
  matrix first(1, 2), second(2, 2);
  first << 1.0F, -3.0F;
  second << 0.5F, 2.0F, 4.0F, -1.0F;
  index steps = 0;
  const progress_function progress = [&](const pass_step& step) {
    EXPECT_EQ(step.done, steps++);
    EXPECT_EQ(step.total, 2);
    EXPECT_STREQ(step.what, "observe_inputs");
    return true;
  };
  const auto seen =
      observe_inputs<max_observer>(layers, forward, {first, second}, max_observer{}, progress);
  EXPECT_EQ(steps, 2);
  EXPECT_FALSE(seen.cancelled);
  EXPECT_EQ(seen.calls, (std::vector<index>{4, 2, 0}));
  EXPECT_EQ(seen.order, (std::vector<index>{1, 0}));
  EXPECT_EQ(seen.observers[0].range(), (range{-6.0F, 8.0F}));
  EXPECT_EQ(seen.observers[1].range(), (range{-3.0F, 4.0F}));

  const auto stopped = observe_inputs<max_observer>(layers, forward, {first, second}, {},
                                                    [](const pass_step& s) { return s.done < 1; });
  EXPECT_TRUE(stopped.cancelled);
  EXPECT_EQ(stopped.observers[1].range(), (range{-3.0F, 1.0F}));
}

TEST(equalize_network, observers_see_inputs_times_their_factors) {
  network_layer l = linear_layer("a", matrix::Identity(2, 2));
  l.input_factors = Eigen::Vector2f(2.0F, 8.0F);
  const layer_list layers({l});
  matrix x(1, 2);
  x << 3.0F, 1.0F;
  EXPECT_EQ(observe_inputs<max_observer>(layers, in_sequence(1), {x}).observers[0].range(),
            (range{6.0F, 8.0F}));
}

TEST(equalize_network, simulates_codes_of_inputs_and_weights) {
  const layer_list layers({linear_layer("a", random_reals(9, 37, 1), random_reals(9, 1, 2))});
  const matrix x = random_reals(5, 37, 3);
  const auto seen = observe_inputs<max_observer>(layers, in_sequence(1), {x});
  simulation plan(layers);
  const matrix real = in_sequence(1)(x, float_compute(layers));
  EXPECT_EQ(in_sequence(1)(x, plan.compute()), real);

  plan.quantize_weights<int4_per_row>();
  plan.quantize_inputs<uint8_affine>(seen);
  const quantized_matrix<int4_per_row> w = quantize<int4_per_row>(layers[0].weights);
  const range r = seen.observers[0].range();
  const double step = (double{r.hi} - double{r.lo}) / 255.0;
  const double zero = std::nearbyint(-double{r.lo} / step);
  const matrix y = in_sequence(1)(x, plan.compute());
  for (index i = 0; i < 5; ++i) {
    for (index o = 0; o < 9; ++o) {
      double sum = double{layers[0].bias[o]};
      for (index k = 0; k < 37; ++k) {
        const double code = std::nearbyint(double{x(i, k)} / step) + zero;
        sum += (code - zero) * step * w.code(o, k) * double{w.scale(o, k)};
      }
      EXPECT_NEAR(y(i, o), sum, 1e-4);
    }
  }

  plan[0].bias = Eigen::VectorXf::Zero(9);
  plan[0].has_bias = true;
  const matrix without = in_sequence(1)(x, plan.compute());
  EXPECT_LE((y - without - layers[0].bias.transpose().replicate(5, 1)).cwiseAbs().maxCoeff(), 1e-4);
}

TEST(equalize_network, simulates_a_scale_for_each_row_of_inputs) {
  matrix x(4, 3);
  x << 127.0F, -3.4F, 0.5F, 1.0F, 0.5F, -0.25F, 0.0F, 0.0F, 0.0F, 1e-40F, -1e-40F, 0.0F;
  matrix codes = x;
  codes_by_row<int8>().apply(codes);
  EXPECT_EQ(codes(0, 0), 127.0F);
  EXPECT_EQ(codes(0, 1), -3.0F);
  EXPECT_EQ(codes(0, 2), 0.0F);
  const float step = 1.0F / 127.0F;
  EXPECT_FLOAT_EQ(codes(1, 1), 64.0F * step);
  EXPECT_FLOAT_EQ(codes(1, 2), -32.0F * step);
  EXPECT_EQ(codes.row(2), Eigen::RowVector3f::Zero());
  EXPECT_EQ(codes.row(3), Eigen::RowVector3f::Zero());
  const input_codes affine = codes_of<int8_affine>({-1.0F, 3.0F});
  matrix edges(1, 4);
  edges << -2.0F, 0.0F, 3.0F, 9.0F;
  affine.apply(edges);
  EXPECT_EQ(edges(0, 1), 0.0F);
  EXPECT_NEAR(edges(0, 0), -1.0, 0.01);
  EXPECT_NEAR(edges(0, 2), 3.0, 0.01);
  EXPECT_EQ(edges(0, 2), edges(0, 3));
}

#if FEWBIT_HAS_EXCEPTIONS

/// The sentence after a change of one layer.
template <class Change>
std::string refusal(std::size_t layer, const Change& change) {
  auto made = mobile_block(layer_activation::relu6);
  change(made[layer]);
  return sentence_of([&] { return layer_list(made); });
}

TEST(equalize_network, names_the_layer_that_is_wrong) {
  const std::string start = "fewbit: layer_list: ";
  EXPECT_EQ(refusal(1, [](network_layer& l) { l.weights(3, 5) = nan; }),
            start + "weights(3, 5) of layer 'depthwise' is nan, expected a finite number");
  EXPECT_EQ(refusal(3, [](network_layer& l) { l.bias[2] = nan; }),
            start + "bias[2] of layer 'head' is nan, expected a finite number");
  EXPECT_EQ(refusal(3, [](network_layer& l) { l.bias = Eigen::VectorXf::Zero(4); }),
            start + "length of bias of layer 'head' is 4, expected 5");
  EXPECT_EQ(refusal(3, [](network_layer& l) { l.weights.resize(0, 3); }),
            start + "weights of layer 'head' is 0 x 3, expected at least one row and one column");
  EXPECT_EQ(refusal(2, [](network_layer& l) { l.name = "expand"; }),
            start + "name 'expand' is used twice, expected a name of one layer");
  EXPECT_EQ(refusal(2, [](network_layer& l) { l.name.clear(); }),
            start + "name of a layer is empty, expected a name");
  EXPECT_EQ(refusal(0, [](network_layer& l) { l.weights = matrix::Ones(8, 4); }),
            start +
                "layer 'expand': number of columns of weights is 4, expected 3: kernel height "
                "* kernel width * channels of a group");
  EXPECT_EQ(refusal(0, [](network_layer& l) { l.groups = 2; }),
            start +
                "layer 'expand': groups is 2, expected a divisor of the number of channels of "
                "the image, 3");
  EXPECT_EQ(refusal(1, [](network_layer& l) { l.weights = matrix::Ones(9, 9); }),
            start +
                "layer 'depthwise': number of rows of weights is 9, expected a multiple of the "
                "number of channels of the image, 8");
  EXPECT_EQ(refusal(1, [](network_layer& l) { l.weights = matrix::Ones(8, 8); }),
            start +
                "layer 'depthwise': number of columns of weights is 8, expected 9: kernel "
                "height * kernel width");
  EXPECT_NE(refusal(1,
                    [](network_layer& l) {
                      l.window.kernel = {9, 9};
                    })
                .find("kernel.height"),
            std::string::npos);
  EXPECT_EQ(refusal(1, [](network_layer& l) { l.caps = Eigen::VectorXf::Constant(8, -1.0F); }),
            start + "caps[0] of layer 'depthwise' is -1, expected at least 1.17549435e-38");
  EXPECT_EQ(refusal(1, [](network_layer& l) { l.output_means = Eigen::VectorXf::Ones(8); }),
            start + "length of output_deviations of layer 'depthwise' is 0, expected 8");
  EXPECT_EQ(refusal(0, [](network_layer& l) { l.input_factors = Eigen::VectorXf::Ones(2); }),
            start + "length of input_factors of layer 'expand' is 2, expected 3");
}

TEST(equalize_network, replaces_all_layers_or_none) {
  layer_list layers(mobile_block(layer_activation::relu));
  network_layer good = layers[0], bad = layers[3];
  good.weights *= 2.0F;
  bad.weights.resize(5, 35);
  bad.weights.setOnes();
  const matrix before = layers[0].weights;
  const auto replace = [&](std::vector<changed_layer> changes) {
    return sentence_of([&] {
      layers.replace(changes);
      return 0;
    });
  };
  EXPECT_EQ(replace({{0, good}, {3, bad}}),
            "fewbit: layer_list::replace: number of inputs of layer 'head' is 35, expected 36");
  network_layer taller = layers[3];
  taller.weights = matrix::Ones(6, 36);
  taller.bias = Eigen::VectorXf::Ones(6);
  EXPECT_EQ(replace({{0, good}, {3, taller}}),
            "fewbit: layer_list::replace: number of outputs of layer 'head' is 6, expected 5");
  EXPECT_EQ(layers[0].weights, before);
  EXPECT_EQ(replace({{4, good}}),
            "fewbit: layer_list::replace: position of a layer is 4, expected 0 to 3");
  good.name = "other";
  EXPECT_EQ(replace({{0, good}}),
            "fewbit: layer_list::replace: name of the layer is other, expected expand");
  EXPECT_EQ(sentence_of([&] { return layers.find("conv9"); }),
            "fewbit: layer_list: layer is 'conv9', expected the name of a layer");
}

TEST(equalize_network, names_the_layer_whose_shapes_do_not_chain) {
  const layer_list layers(
      {linear_layer("a", matrix::Ones(3, 2)), linear_layer("b", matrix::Ones(1, 4))});
  EXPECT_EQ(sentence_of(in_sequence(2), matrix::Ones(2, 2), float_compute(layers)),
            "fewbit: float_compute: number of columns of x of layer 'b' is 3, expected 4");
  EXPECT_EQ(sentence_of(in_sequence(1), matrix(0, 2), float_compute(layers)),
            "fewbit: float_compute: number of rows of x of layer 'a' is 0, expected at least 1");
  EXPECT_EQ(
      sentence_of(in_sequence(3), matrix::Ones(2, 2),
                  watching(float_compute(layers), [](index, const matrix&, const matrix&) {})),
      "fewbit: float_compute: number of columns of x of layer 'b' is 3, expected 4");
  simulation plan(layers);
  matrix same = matrix::Ones(3, 2);
  const auto in_place = [&](const compute_function& compute) {
    return sentence_of([&] {
      compute(0, same, same);
      return 0;
    });
  };
  EXPECT_EQ(in_place(float_compute(layers)),
            "fewbit: float_compute: y of layer 'a' is x, expected another matrix");
  EXPECT_EQ(in_place(plan.compute()),
            "fewbit: simulation::compute: y of layer 'a' is x, expected another matrix");
  plan[0].bias = Eigen::VectorXf::Ones(2);
  plan[0].has_bias = true;
  EXPECT_EQ(sentence_of(in_sequence(1), matrix::Ones(2, 2), plan.compute()),
            "fewbit: simulation::compute: length of bias of layer 'a' is 2, expected 3");
  plan[0].weights = matrix::Ones(2, 2);
  EXPECT_EQ(sentence_of(in_sequence(1), matrix::Ones(2, 2), plan.compute()),
            "fewbit: simulation::compute: weights of layer 'a' is 2 x 2, expected 3 x 2");
  matrix y;
  EXPECT_EQ(sentence_of([&] {
              plan.compute()(2, matrix::Ones(1, 1), y);
              return 0;
            }),
            "fewbit: simulation::compute: position of a layer is 2, expected 0 to 1");
}

TEST(equalize_network, refuses_bad_calibration_data) {
  const layer_list layers(
      {linear_layer("a", matrix::Ones(3, 2)), linear_layer("b", matrix::Ones(1, 3))});
  const auto observe = [&](const forward_function& forward, const input_batches& batches) {
    return sentence_of(
        [&] { return observe_inputs<histogram_observer>(layers, forward, batches); });
  };
  const std::string start = "fewbit: observe_inputs: ";
  EXPECT_EQ(observe(in_sequence(2), {}),
            start + "number of calibration batches is 0, expected at least 1");
  EXPECT_EQ(observe({}, {matrix::Ones(1, 2)}), start + "forward is empty, expected a callable");
  EXPECT_EQ(sentence_of([] { return input_batches(3, {}); }),
            "fewbit: input_batches: batch is empty, expected a callable");
  EXPECT_EQ(observe(in_sequence(2), {matrix::Ones(1, 2), matrix(0, 2)}),
            start + "calibration batch 1 is 0 x 2, expected at least one row and one column");
  matrix bad = matrix::Ones(2, 2);
  bad(1, 0) = nan;
  EXPECT_EQ(observe(in_sequence(2), {bad}),
            start + "calibration batch 0(1, 0) is nan, expected a finite number");
  const forward_function spoils = [&](const matrix& x, const compute_function& compute) {
    matrix y, z;
    compute(0, x, y);
    y(0, 2) = std::numeric_limits<float>::infinity();
    compute(1, y, z);
    return z;
  };
  EXPECT_EQ(observe(spoils, {matrix::Ones(2, 2)}),
            start + "x(0, 2) of layer 'b' is inf, expected a finite number");
  EXPECT_EQ(observe(in_sequence(1), {matrix::Constant(2, 2, 3e38F)}),
            start + "y(0, 0) of layer 'a' is inf, expected a finite number");
  const auto seen = observe_inputs<max_observer>(layers, in_sequence(1), {matrix::Ones(1, 2)});
  simulation plan(layers);
  EXPECT_EQ(sentence_of([&] {
              plan.quantize_inputs<int8_per_tensor>(seen);
              return 0;
            }),
            "fewbit: simulation::quantize_inputs: number of calls of layer 'b' is 0, expected at "
            "least 1");
  EXPECT_EQ(plan[0].inputs, input_codes{});
}

TEST(equalize_network, refuses_a_metric_that_is_not_a_number) {
  const layer_list layers({linear_layer("a", matrix::Ones(1, 1))});
  const compute_function compute = float_compute(layers);
  const metric_function good = [](const compute_function&) { return 0.25; };
  const metric_function bad = [](const compute_function&) { return double{nan}; };
  EXPECT_EQ(detail::finite_metric("quantize_within", "value of the metric", good, compute), 0.25);
  EXPECT_EQ(sentence_of([&] {
              return detail::finite_metric("quantize_within", "value of the metric", bad, compute);
            }),
            "fewbit: quantize_within: value of the metric is nan, expected a finite number");
}

#endif

}}  // namespace fewbit::equalize_network_test
