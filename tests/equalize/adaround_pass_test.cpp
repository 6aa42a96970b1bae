#include "fewbit/equalize/adaround_pass.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "equalize/three_kinds.hpp"
#include "fewbit/equalize/gptq_pass.hpp"
#include "support/reverse_executor.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace equalize_adaround_pass_test {

using tests::batches;
using tests::error_with;
using tests::in_sequence;
using tests::matrix;
using tests::random_reals;
using tests::three_kinds;

constexpr adaround_options few_steps{.steps = 120};

template <class S>
void expect_gains() {
  SCOPED_TRACE(testing::Message() << S::storage::name << " " << S::granularity::name);
  const layer_list layers = three_kinds();
  simulation plan(layers);
  const auto done = adaround_pass<S>(plan, in_sequence(3), batches(), {}, few_steps);
  ASSERT_EQ(done.layers.size(), 3U);
  EXPECT_FALSE(done.cancelled);
  EXPECT_TRUE(done.not_called.empty());
  for (index i = 0; i < 3; ++i) {
    SCOPED_TRACE(layers[i].name);
    const adaround_layer<S>& l = done.layers[static_cast<std::size_t>(i)];
    EXPECT_EQ(l.layer, i);
    EXPECT_TRUE(l.report.finished);
    EXPECT_EQ(dequantize(l.weights), plan.weights(i));
    const auto plain = quantize<S>(layers[i].weights);
    EXPECT_TRUE(
        std::equal(plain.scales().begin(), plain.scales().end(), l.weights.scales().begin()));
    EXPECT_EQ((l.weights.codes().array() != plain.codes().array()).count(), l.report.changed);
    const double error = error_with(layers, i, plan.weights(i));
    const double plain_error = error_with(layers, i, dequantize(plain));
    EXPECT_NEAR(l.report.squared_error, error, 1e-3 * plain_error);
    EXPECT_NEAR(l.report.plain_error, plain_error, 1e-3 * plain_error);
    // A sum of few products has few ways to compensate for an error.
    EXPECT_LT(error, (layers[i].name == "head" ? 0.9 : 0.995) * plain_error);
  }
  simulation again(layers);
  adaround_pass<S>(again, in_sequence(3), batches(), {}, few_steps, {}, tests::reverse_executor{});
  for (index i = 0; i < 3; ++i) EXPECT_EQ(again.weights(i), plan.weights(i));
}

TEST(adaround_pass, lowers_the_error_of_every_kind_of_layer) {
  expect_gains<int3_per_row>();
  expect_gains<scheme<uint3, grouped<6>, affine>>();
}

TEST(adaround_pass, takes_scales_of_given_codes) {
  const layer_list layers = three_kinds();
  simulation plan(layers), searched(layers);
  std::vector<quantized_matrix<int3_per_row>> codes(3);
  for (const auto& l : gptq_pass<int3_per_row>(plan, in_sequence(3), batches()).layers)
    codes[static_cast<std::size_t>(l.layer)] = l.weights;
  codes[1] = {};
  const auto done =
      adaround_pass<int3_per_row>(searched, in_sequence(3), batches(), codes, few_steps);
  ASSERT_EQ(done.layers.size(), 2U);
  for (const auto& l : done.layers) {
    const auto& start = codes[static_cast<std::size_t>(l.layer)];
    EXPECT_TRUE(
        std::equal(start.scales().begin(), start.scales().end(), l.weights.scales().begin()));
    // Scales of least error are not those of the full range.
    EXPECT_NE(start.scale(0, 0), quantize<int3_per_row>(layers[l.layer].weights).scale(0, 0));
  }
  EXPECT_EQ(searched.weights(1), layers[1].weights);
}

TEST(adaround_pass, leaves_layers_that_are_not_called) {
  const layer_list layers = three_kinds();
  simulation plan(layers);
  const auto done = adaround_pass<int4_per_row>(plan, in_sequence(2), batches(), {}, few_steps);
  EXPECT_EQ(done.layers.size(), 2U);
  EXPECT_EQ(done.not_called, (std::vector<index>{2}));
  EXPECT_EQ(plan.weights(2), layers[2].weights);
}

TEST(adaround_pass, changes_nothing_if_it_is_cancelled) {
  const layer_list layers = three_kinds();
  for (const index last : {0, 1, 2, 4, 5}) {
    simulation plan(layers);
    bool stopped = false;
    const auto done = adaround_pass<int4_per_row>(plan, in_sequence(3), batches(), {}, {.steps = 5},
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

TEST(adaround_pass, tells_its_memory) {
  EXPECT_EQ(adaround_bytes(160), 160 * 160 * 8);
  EXPECT_GE(adaround_bytes(144), 144 * 144 * 8);
  EXPECT_EQ(adaround_pass_bytes(three_kinds()),
            2 * input_products::bytes_for(18) + 6 * input_products::bytes_for(9) +
                input_products::bytes_for(144) + adaround_bytes(144));
}

#if FEWBIT_HAS_EXCEPTIONS

TEST(adaround_pass, names_what_is_wrong) {
  const layer_list layers = three_kinds();
  simulation plan(layers);
  using codes = std::vector<quantized_matrix<int4_per_row>>;
  const auto sentence = [&](const input_batches& inputs, const codes& starts,
                            const adaround_options& options) {
    return tests::sentence_of(
        [&] { return adaround_pass<int4_per_row>(plan, in_sequence(3), inputs, starts, options); });
  };
  EXPECT_EQ(sentence({}, {}, {}),
            "fewbit: adaround_pass: number of calibration batches is 0, expected at least 1");
  matrix bad = random_reals(2, 48, 3);
  bad(1, 2) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(sentence({bad}, {}, {}),
            "fewbit: adaround_pass: calibration batch 0(1, 2) is nan, expected a finite number");
  EXPECT_EQ(sentence(batches(), codes(2), {}),
            "fewbit: adaround_pass: number of matrices of codes is 2, expected 3");
  codes starts(3);
  starts[2] = quantize<int4_per_row>(random_reals(5, 143, 1));
  EXPECT_EQ(sentence(batches(), starts, {}),
            "fewbit: adaround_pass: codes of layer 'head' is 5 x 143, expected 5 x 144");
  EXPECT_EQ(sentence(batches(), {}, {.steps = 0}),
            "fewbit: adaround_pass: steps is 0, expected at least 1");
  for (index i = 0; i < 3; ++i) EXPECT_EQ(plan.weights(i), layers[i].weights);
}

#endif

}}  // namespace fewbit::equalize_adaround_pass_test
