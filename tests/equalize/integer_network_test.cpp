#include "fewbit/equalize/integer_network.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "equalize/support.hpp"
#include "fewbit/calib/histogram_observer.hpp"
#include "support/reverse_executor.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace equalize_integer_network_test {

using namespace tests;

template <Scheme S>
std::vector<quantized_matrix<S>> codes_of_layers(const layer_list& layers) {
  std::vector<quantized_matrix<S>> codes;
  for (const network_layer& l : layers) codes.push_back(quantize<S>(l.weights));
  return codes;
}

/// The largest difference between two networks, as a share of the largest output.
double difference(const forward_function& forward, const matrix& x, const compute_function& a,
                  const compute_function& b) {
  const matrix real = forward(x, a);
  return (real - forward(x, b)).cwiseAbs().maxCoeff() / real.cwiseAbs().maxCoeff();
}

TEST(equalize_integer_network, equals_the_simulation) {
  for (const layer_activation after :
       {layer_activation::none, layer_activation::relu, layer_activation::relu6}) {
    const layer_list layers(mobile_block(after));
    const forward_function forward = in_sequence(4);
    const input_batches batches{random_reals(7, 90, 9)};
    const auto seen = observe_inputs<histogram_observer>(layers, forward, batches);
    simulation plan(layers);
    plan.quantize_weights<int8_per_row>();
    plan.quantize_inputs<uint8_affine>(seen);
    plan[2].inputs = codes_by_row<int8>();
    const integer_network<int8_per_row, uint8_affine> net(plan,
                                                          codes_of_layers<int8_per_row>(layers));
    for (index i = 0; i < 4; ++i) EXPECT_TRUE(net.is_integer(i));
    EXPECT_LT(net.bytes(), index{4} * (8 * 3 + 8 * 9 + 4 * 8 + 5 * 36) * 16);
    // The quantization itself costs more than 1e-3; a tie between two codes costs less.
    EXPECT_GT(difference(forward, batches[0], float_compute(layers), plan.compute()), 1e-3);
    EXPECT_LT(difference(forward, batches[0], plan.compute(), net.compute()), 1e-3);
    EXPECT_EQ(forward(batches[0], net.compute()),
              forward(batches[0], net.compute(reverse_executor{})));
  }
}

TEST(equalize_integer_network, scales_inputs_and_leaves_layers_in_float) {
  std::vector<network_layer> made = mobile_block(layer_activation::relu);
  made[0].input_factors = Eigen::Vector3f(0.5F, 2.0F, 4.0F);
  const layer_list layers(made);
  const forward_function forward = in_sequence(4);
  const input_batches batches{random_reals(3, 90, 9)};
  const auto seen = observe_inputs<histogram_observer>(layers, forward, batches);
  simulation plan(layers);
  plan.quantize_weights<int8_per_row>(0);
  plan.quantize_inputs<int8_per_tensor>(seen);
  for (index i = 1; i < 4; ++i) plan[i].inputs = {};
  std::vector<quantized_matrix<int8_per_row>> codes(4);
  codes[0] = quantize<int8_per_row>(layers[0].weights);
  codes[1] = quantize<int8_per_row>(layers[1].weights);  // not used: its inputs are floats
  const integer_network<int8_per_row> net(plan, codes);
  EXPECT_TRUE(net.is_integer(0));
  EXPECT_FALSE(net.is_integer(1));
  EXPECT_FALSE(net.is_integer(3));
  EXPECT_LT(difference(forward, batches[0], plan.compute(), net.compute()), 1e-3);
}

TEST(equalize_integer_network, takes_weights_in_groups_for_linear_layers) {
  const layer_list layers({linear_layer("a", random_reals(24, 70, 1), random_reals(24, 1, 2)),
                           linear_layer("b", random_reals(5, 24, 3))});
  simulation plan(layers);
  plan.quantize_weights<int4_grouped<32>>();
  for (index i = 0; i < 2; ++i) plan[i].inputs = codes_by_row<int8>();
  const integer_network<int4_grouped<32>> net(plan, codes_of_layers<int4_grouped<32>>(layers));
  EXPECT_LT(difference(in_sequence(2), random_reals(9, 70, 4), plan.compute(), net.compute()),
            2e-3);
}

/// Layers of int8 weights beside layers of int4 weights.
TEST(equalize_integer_network, takes_int8_codes_for_some_layers) {
  const layer_list layers(mobile_block(layer_activation::relu));
  const forward_function forward = in_sequence(4);
  const input_batches batches{random_reals(5, 90, 9)};
  const auto seen = observe_inputs<histogram_observer>(layers, forward, batches);
  simulation plan(layers);
  plan.quantize_inputs<uint8_affine>(seen);
  plan[3].inputs = codes_by_row<int8>();
  std::vector<quantized_matrix<int4_per_row>> codes(4);
  std::vector<quantized_matrix<int8_per_row>> int8_codes(4);
  for (const index i : {0, 2}) {
    codes[static_cast<std::size_t>(i)] = quantize<int4_per_row>(layers[i].weights);
    plan.quantize_weights<int4_per_row>(i);
    int8_codes[static_cast<std::size_t>(i + 1)] = quantize<int8_per_row>(layers[i + 1].weights);
    plan.quantize_weights<int8_per_row>(i + 1);
  }
  const integer_network<int4_per_row, uint8_affine> net(plan, codes, int8_codes);
  for (index i = 0; i < 4; ++i) EXPECT_TRUE(net.is_integer(i));
  EXPECT_LT(difference(forward, batches[0], plan.compute(), net.compute()), 1e-3);
  EXPECT_GT(difference(forward, batches[0], float_compute(layers), net.compute()), 1e-2);
}

/// The outputs of a layer for integer codes of inputs, in double.
Eigen::MatrixXd product_of_codes(const network_layer& l, const Eigen::VectorXf& bias,
                                 const quantized_matrix<int8_per_row>& w, const matrix& x,
                                 const input_codes& codes) {
  matrix scaled = x;
  if (l.input_factors.size() != 0)
    detail::scale_channels(l.input_factors, scaled.data(), scaled.size());
  Eigen::MatrixXd values(x.rows(), x.cols());
  for (index r = 0; r < x.rows(); ++r) {
    const double scale = codes.mode == input_mode::fixed
                             ? double{codes.params.scale}
                             : double{scaled.row(r).cwiseAbs().maxCoeff() / 32639.0F};
    for (index c = 0; c < x.cols(); ++c) {
      const double code = std::nearbyint(double{scaled(r, c)} / scale);
      values(r, c) = std::min(std::max(code, -32639.0), 32639.0) * scale;
    }
  }
  network_layer coded = l;
  coded.input_factors = {};
  coded.weights = dequantize(w);
  coded.bias = bias;
  return plain_layer(coded, values);
}

TEST(equalize_integer_network, takes_inputs_of_16_bits) {
  std::vector<network_layer> made = mobile_block(layer_activation::relu);
  made[0].input_factors = Eigen::Vector3f(0.5F, 2.0F, 4.0F);
  const layer_list layers(made);
  for (const bool is_by_row : {false, true}) {
    for (index i = 0; i < 4; ++i) {
      SCOPED_TRACE(layers[i].name);
      matrix x = random_reals(3, layers[i].inputs(), 7);
      x(0, 0) = 1.75F;  // beyond the range
      x.row(1) *= 0.25F;
      simulation plan(layers);
      plan[i].inputs = is_by_row ? wide_codes_by_row() : wide_codes_of({-1.5F, 0.25F});
      EXPECT_EQ(plan[i].inputs.highest, 32639);
      plan[i].bias = random_reals(layers[i].channels(), 1, 31);
      plan[i].has_bias = true;
      std::vector<quantized_matrix<int8_per_row>> codes(4);
      const auto& w = codes[static_cast<std::size_t>(i)] =
          quantize<int8_per_row>(layers[i].weights);
      plan[i].weights = dequantize(w);
      const integer_network<int8_per_row> net(plan, codes);
      EXPECT_TRUE(net.is_integer(i));
      matrix y, simulated, reversed;
      net.compute()(i, x, y);
      net.compute(reverse_executor{})(i, x, reversed);
      plan.compute()(i, x, simulated);
      EXPECT_EQ(y, reversed);
      // The noise of 8 bits is above 1e-3. A tie between two codes costs at most 1e-5.
      EXPECT_LT(largest_difference(product_of_codes(layers[i], plan[i].bias, w, x, plan[i].inputs),
                                   y.cast<double>()),
                2e-5);
      EXPECT_LT(largest_difference(y.cast<double>(), simulated.cast<double>()), 2e-5);
    }
  }
}

TEST(equalize_integer_network, splits_all_codes_of_16_bits) {
  const layer_list layers({linear_layer("a", matrix::Identity(1, 1))});
  simulation plan(layers);
  plan[0].inputs = {input_mode::fixed, {1.0F, 0}, -32639, 32639};
  std::vector<quantized_matrix<int8_per_row>> codes{quantize<int8_per_row>(layers[0].weights)};
  const integer_network<int8_per_row> net(plan, codes);
  matrix x(65536, 1), y;
  for (index i = 0; i < x.rows(); ++i) x(i, 0) = static_cast<float>(i - 32768);
  net.compute()(0, x, y);
  const matrix clamped = x.cwiseMax(-32639.0F).cwiseMin(32639.0F);
  EXPECT_LE((y - clamped).cwiseAbs().maxCoeff(), 0.01F);
}

TEST(equalize_integer_network, refuses_other_codes_with_the_layer) {
  using rows = integer_network<int8_per_row>;
  using groups = integer_network<int4_grouped<32>>;
  const layer_list layers(mobile_block(layer_activation::none));
  simulation plan(layers);
  for (index i = 0; i < 4; ++i) plan[i].inputs = codes_by_row<int8>();
  std::vector<quantized_matrix<int8_per_row>> codes;
  EXPECT_EQ(sentence_of([&] { rows(plan, codes); }),
            "fewbit: integer_network: number of matrices of codes is 0, expected 4");
  codes = codes_of_layers<int8_per_row>(layers);
  codes[2] = codes[3];
  EXPECT_EQ(sentence_of([&] { rows(plan, codes); }),
            "fewbit: integer_network: codes of layer 'project' is 5 x 36, expected 4 x 8");
  EXPECT_EQ(sentence_of([&] { groups(plan, codes_of_layers<int4_grouped<32>>(layers)); }),
            "fewbit: integer_network: codes of layer 'expand' is in groups, expected a scale for "
            "each row, because the layer is a convolution");
  codes = codes_of_layers<int8_per_row>(layers);
  const std::vector<quantized_matrix<int4_per_row>> none(4);
  using few_bits = integer_network<int4_per_row>;
  EXPECT_EQ(sentence_of([&] { few_bits(plan, none, {codes[0]}); }),
            "fewbit: integer_network: number of matrices of int8 codes is 1, expected 4");
  EXPECT_EQ(sentence_of([&] {
              few_bits(plan, none, {codes[0], codes[0], codes[2], codes[3]});
            }),
            "fewbit: integer_network: codes of layer 'depthwise' is 8 x 3, expected 8 x 9");
  plan[1].inputs = wide_codes_by_row();
  EXPECT_EQ(
      sentence_of([&] { few_bits(plan, codes_of_layers<int4_per_row>(layers)); }),
      "fewbit: integer_network: codes of layer 'depthwise' is not int8_per_row, expected int8 "
      "codes, because the inputs have 16 bits");
  plan[1].inputs = codes_by_row<int8>();
  const rows net(plan, codes);
  matrix y;
  EXPECT_EQ(sentence_of([&] { net.compute()(0, matrix::Zero(2, 89), y); }),
            "fewbit: integer_network: x of layer 'expand' is 2 x 89, expected at least one row of "
            "90 columns");
  matrix same = matrix::Zero(2, 90);
  EXPECT_EQ(sentence_of([&] { net.compute()(0, same, same); }),
            "fewbit: integer_network: y of layer 'expand' is x, expected another matrix");
  EXPECT_EQ(sentence_of([&] { net.compute()(4, matrix::Zero(2, 89), y); }),
            "fewbit: integer_network: position of a layer is 4, expected 0 to 3");
}

}}  // namespace fewbit::equalize_integer_network_test
