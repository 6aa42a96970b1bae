#include "fewbit/equalize/integer_network.hpp"

#include <gtest/gtest.h>

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
  const rows net(plan, codes_of_layers<int8_per_row>(layers));
  matrix y;
  EXPECT_EQ(sentence_of([&] { net.compute()(0, matrix::Zero(2, 89), y); }),
            "fewbit: integer_network: x of layer 'expand' is 2 x 89, expected at least one row of "
            "90 columns");
  EXPECT_EQ(sentence_of([&] { net.compute()(4, matrix::Zero(2, 89), y); }),
            "fewbit: integer_network: position of a layer is 4, expected 0 to 3");
}

}}  // namespace fewbit::equalize_integer_network_test
