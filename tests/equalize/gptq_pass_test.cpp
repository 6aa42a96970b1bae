#include "fewbit/equalize/gptq_pass.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "equalize/three_kinds.hpp"
#include "support/reals.hpp"
#include "support/reverse_executor.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace equalize_gptq_pass_test {

using tests::batches;
using tests::error_with;
using tests::matrix;
using tests::random_reals;
using tests::three_kinds;

template <class S>
void expect_gains(const gptq_options<S>& options = {}) {
  const layer_list layers = three_kinds();
  simulation plan(layers);
  const auto done = gptq_pass<S>(plan, tests::in_sequence(3), batches(), options);
  ASSERT_EQ(done.layers.size(), 3U);
  EXPECT_FALSE(done.cancelled);
  EXPECT_TRUE(done.not_called.empty());
  for (index i = 0; i < 3; ++i) {
    SCOPED_TRACE(layers[i].name);
    const gptq_layer<S>& l = done.layers[static_cast<std::size_t>(i)];
    EXPECT_EQ(l.layer, i);
    EXPECT_EQ(dequantize(l.weights), plan.weights(i));
    const double error = error_with(layers, i, plan.weights(i));
    EXPECT_NEAR(l.report.squared_error, error, 1e-3 * error);
    EXPECT_LT(error, 0.9 * error_with(layers, i, fake_quantize<S>(layers[i].weights)));
  }
  simulation again(layers);
  gptq_pass<S>(again, tests::in_sequence(3), batches(), options, {}, tests::reverse_executor{});
  for (index i = 0; i < 3; ++i) EXPECT_EQ(again.weights(i), plan.weights(i));
}

TEST(gptq_pass, lowers_the_error_of_every_kind_of_layer) {
  expect_gains<int3_per_row>();
  expect_gains<scheme<uint3, grouped<6>, affine>>();
  expect_gains<scheme<uint2, per_row, real_minimum>>();
  const std::vector<float> levels{-1.0F, -0.4F, 0.3F, 1.0F};
  const layer_list layers = three_kinds();
  simulation plan(layers);
  const auto done =
      gptq_pass<codebook_per_row<2>>(plan, tests::in_sequence(3), batches(), {.levels = levels});
  EXPECT_EQ(done.layers.size(), 3U);
}

/// Numbers of few bits, so that sums of products are exact in any order.
matrix eighths(index rows, index cols, std::uint32_t seed) {
  return (random_reals(rows, cols, seed) * 8.0F).array().round() / 8.0F;
}

/// The pixels of images of 2 x 2 x 4 as rows, with the channels of one of two groups.
matrix pixels_of_group(const matrix& x, index group) {
  return Eigen::Map<const matrix>(x.data(), x.rows() * 4, 4).middleCols(2 * group, 2);
}

TEST(gptq_pass, equals_gptq_of_each_group_with_inputs_as_the_plan_has_them) {
  network_layer conv =
      tests::image_layer("conv", layer_kind::conv2d, random_reals(6, 2, 1), {2, 2, 4}, window2d{});
  conv.groups = 2;
  const layer_list layers({conv, tests::linear_layer("fc", random_reals(3, 16, 2))});
  const forward_function forward = [](const matrix& x, const compute_function& compute) {
    matrix y;
    compute(0, x, y);
    compute(1, x, y);
    return y;
  };
  matrix x = eighths(12, 16, 3);
  for (index p = 0; p < 4; ++p) {  // channel 0 of both groups, 0 of the first by the codes
    x.col(4 * p) *= 0.03125F;
    x.col(4 * p + 2).setZero();
    x.col(4 * p + 3) *= 0.5F;  // the first group needs more damping
  }
  simulation plan(layers);
  for (index i : {0, 1}) plan[i].inputs = {input_mode::fixed, {0.5F, 0}, -7, 7};
  matrix codes = x;
  plan[0].inputs.apply(codes);
  ASSERT_NE(codes, x);
  std::vector<index> done;
  const auto pass = gptq_pass<int3_per_row>(plan, forward, {x}, {}, [&](const pass_step& s) {
    done.push_back(s.done);
    return true;
  });
  // A batch, two layers, the end; a layer is asked several times while it is worked on.
  EXPECT_TRUE(std::is_sorted(done.begin(), done.end()));
  done.erase(std::unique(done.begin(), done.end()), done.end());
  EXPECT_EQ(done, (std::vector<index>{0, 1, 2, 3}));
  input_products of_fc(16);
  of_fc.add(codes);
  const auto fc = gptq<int3_per_row>(layers[1].weights, of_fc);
  EXPECT_EQ(pass.layers[1].weights, fc.weights);
  EXPECT_EQ(pass.layers[1].report.damping, fc.report.damping);

  const gptq_report& all = pass.layers[0].report;
  double loss = 0.0, damping = 0.0, added = 0.0;
  for (index g = 0; g < 2; ++g) {
    input_products h(2);
    h.add(pixels_of_group(codes, g));
    const auto part = gptq<int3_per_row>(conv.weights.middleRows(3 * g, 3), h);
    EXPECT_EQ(pass.layers[0].weights.codes().middleRows(3 * g, 3), part.weights.codes());
    EXPECT_EQ(part.report.dead_inputs, (std::vector<index>{0}));
    loss += part.report.loss;
    if (g == 1) {
      EXPECT_LT(part.report.added, added);
    }
    damping = std::max(damping, part.report.damping);
    added = std::max(added, part.report.added);
  }
  EXPECT_GT(loss, 0.0);
  EXPECT_DOUBLE_EQ(all.loss, loss);
  EXPECT_EQ(all.damping, damping);
  EXPECT_EQ(all.added, added);
  EXPECT_EQ(all.dead_inputs, (std::vector<index>{0}));
}

TEST(gptq_pass, leaves_layers_that_are_not_called) {
  const layer_list layers = three_kinds();
  simulation plan(layers);
  const auto done = gptq_pass<int4_per_row>(plan, tests::in_sequence(2), batches());
  EXPECT_EQ(done.layers.size(), 2U);
  EXPECT_EQ(done.not_called, (std::vector<index>{2}));
  EXPECT_EQ(plan.weights(2), layers[2].weights);
}

TEST(gptq_pass, changes_nothing_if_it_is_cancelled) {
  const layer_list layers = three_kinds();
  for (const index last : {0, 1, 2, 4}) {
    simulation plan(layers);
    bool stopped = false;
    const auto done = gptq_pass<int4_per_row>(plan, tests::in_sequence(3), batches(), {},
                                              [&](const pass_step& s) {
                                                EXPECT_EQ(s.total, 5);
                                                EXPECT_FALSE(stopped) << last;
                                                stopped = s.done >= last;
                                                return !stopped;
                                              });
    EXPECT_TRUE(done.cancelled) << last;
    EXPECT_TRUE(done.layers.empty());
    for (index i = 0; i < 3; ++i) EXPECT_EQ(plan.weights(i), layers[i].weights);
  }
}

TEST(gptq_pass, tells_its_memory) {
  EXPECT_EQ(gptq_pass_bytes(three_kinds()), 2 * input_products::bytes_for(18) +
                                                6 * input_products::bytes_for(9) +
                                                input_products::bytes_for(144));
}

#if FEWBIT_HAS_EXCEPTIONS

TEST(gptq_pass, names_the_layer_of_an_error) {
  const layer_list layers = three_kinds();
  simulation plan(layers);
  const auto sentence = [&](const input_batches& inputs,
                            const gptq_options<int4_per_row>& options) {
    return tests::sentence_of(
        [&] { return gptq_pass<int4_per_row>(plan, tests::in_sequence(3), inputs, options); });
  };
  EXPECT_EQ(sentence({}, {}),
            "fewbit: gptq_pass: number of calibration batches is 0, expected at least 1");
  matrix bad = random_reals(2, 48, 3);
  bad(1, 2) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(sentence({bad}, {}),
            "fewbit: gptq_pass: calibration batch 0(1, 2) is nan, expected a finite number");
  const std::string singular =
      sentence({matrix(random_reals(1, 48, 3))}, {.damping = 0.0, .most_damping = 0.0});
  EXPECT_NE(singular.find("fewbit: gptq_pass: layer 'grouped': h is singular"), std::string::npos)
      << singular;
  const std::vector<quant_params> params(6);
  EXPECT_EQ(sentence(batches(), {.params = params}),
            "fewbit: gptq_pass: number of params is 6, expected 0");
  for (index i = 0; i < 3; ++i) EXPECT_EQ(plan.weights(i), layers[i].weights);
}

#endif

}}  // namespace fewbit::equalize_gptq_pass_test
