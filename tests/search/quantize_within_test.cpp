#include "fewbit/search/quantize_within.hpp"

#include "fewbit/search/as_planned.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "equalize/support.hpp"
#include "support/reverse_executor.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace search_quantize_within_test {

using namespace tests;

/// Three linear layers, calibration inputs and test inputs.
struct trial {
  layer_list layers;
  forward_function forward = in_sequence(3);
  matrix seen = random_reals(64, 24, 11);
  matrix tested = random_reals(48, 24, 12);

  trial() : layers({layer("a", 32, 24, 1), layer("b", 32, 32, 3), layer("c", 8, 32, 5)}) {}

  static network_layer layer(const std::string& name, index n, index k, std::uint32_t seed) {
    return linear_layer(name, random_reals(n, k, seed), random_reals(n, 1, seed + 1),
                        name == "c" ? layer_activation::none : layer_activation::relu);
  }

  /// The signal-to-noise ratio of the outputs in decibels; 200 without noise.
  [[nodiscard]] metric_function metric() const {
    const matrix real = forward(tested, float_compute(layers));
    return [this, real](const compute_function& compute) {
      const double noise = (forward(tested, compute) - real).cast<double>().squaredNorm();
      return noise == 0.0
                 ? 200.0
                 : std::min(200.0, 10.0 * std::log10(real.cast<double>().squaredNorm() / noise));
    };
  }

  /// Quantizes until the ratio is `db`.
  template <IntegerScheme S>
  [[nodiscard]] auto until(double db, const within_options& options = {}) const {
    return quantize_within<S>(layers, forward, {seen}, metric(), 200.0 - db, options);
  }
};

/// The step of a name; it must exist.
template <class Result>
ladder_step step_of(const Result& r, const std::string& what) {
  for (const ladder_step& s : r.steps) {
    if (s.what == what) return s;
  }
  ADD_FAILURE() << "no step '" << what << "'";
  return {};
}

/// The steps as text, for messages of failures.
template <class Result>
std::string story(const Result& r) {
  std::string text;
  for (const ladder_step& s : r.steps)
    text += s.what + " " + std::to_string(s.metric) + (s.is_kept ? " kept\n" : "\n");
  return text;
}

/// What holds for all results.
template <class Result>
void expect_consistent(const trial& t, const Result& r) {
  double best = -1e300;
  for (const ladder_step& s : r.steps) {
    if (s.is_kept) best = s.metric;
    EXPECT_GE(s.seconds, 0.0);
  }
  EXPECT_EQ(r.metric, best);
  EXPECT_EQ(r.metric, t.metric()(r.plan.compute()));
  EXPECT_EQ(&r.plan.layers(), r.layers.get());
  EXPECT_EQ(r.float_metric, 200.0);
}

TEST(search_quantize_within, stops_at_the_first_step_that_is_within_the_loss) {
  const trial t;
  const auto r = t.until<int8_per_row>(20.0);
  ASSERT_EQ(r.steps.size(), 1U);
  EXPECT_EQ(r.steps[0].what, "max");
  EXPECT_TRUE(r.is_met) << story(r);
  EXPECT_FALSE(r.cancelled);
  EXPECT_EQ(r.steps[0].gain, r.metric - 200.0);
  expect_consistent(t, r);
  // The same in integers.
  const auto net = r.integers();
  EXPECT_NEAR(t.metric()(net.compute()), r.metric, 0.5);
}

TEST(search_quantize_within, cuts_outliers_of_inputs) {
  trial t;
  t.seen(5, 7) = 60.0F;
  within_options options;
  options.mixed_precision = false;
  const auto r = t.until<int8_per_row>(150.0, options);
  EXPECT_FALSE(r.is_met);
  EXPECT_GT(r.metric, step_of(r, "max").metric + 6.0) << story(r);
  expect_consistent(t, r);
}

TEST(search_quantize_within, equalizes_channels_of_weights_with_one_scale) {
  trial t;
  std::vector<network_layer> made(t.layers.begin(), t.layers.end());
  for (index c = 0; c < 32; ++c) {
    const float s = c % 4 == 0 ? 300.0F : 1.0F;
    made[0].weights.row(c) *= s;
    made[0].bias[c] *= s;
    made[1].weights.col(c) /= s;
  }
  t.layers = layer_list(made);
  within_options options;
  options.gptq = options.mixed_precision = options.correct_biases = false;
  const auto without = t.until<int8_per_tensor>(25.0, options);
  EXPECT_FALSE(without.is_met);
  options.links = {{"a", "", {"b"}}};
  const auto r = t.until<int8_per_tensor>(25.0, options);
  EXPECT_TRUE(r.is_met) << story(r);
  EXPECT_GT(step_of(r, "equalization").gain, 10.0);
  EXPECT_NE(r.layers->operator[](0).weights, t.layers[0].weights);
  expect_consistent(t, r);
}

TEST(search_quantize_within, compensates_rounding_errors_by_gptq) {
  const trial t;
  within_options options;
  options.inputs = ladder_inputs::as_float;
  options.mixed_precision = false;
  options.stops_when_met = false;
  const auto r = t.until<int3_per_row>(200.0, options);
  EXPECT_FALSE(r.is_met);
  EXPECT_EQ(r.steps[0].what, "rounding");
  const ladder_step plain = step_of(r, "GPTQ"), ordered = step_of(r, "GPTQ, columns by activation");
  EXPECT_TRUE(plain.is_kept || ordered.is_kept);
  EXPECT_GT(r.metric, r.steps[0].metric + 0.5);
  expect_consistent(t, r);
}

TEST(search_quantize_within, raises_the_precision_of_sensitive_layers) {
  const trial t;
  within_options options;
  options.gptq = options.correct_biases = false;
  const auto r = t.until<int4_per_row>(25.0, options);
  EXPECT_TRUE(r.is_met) << story(r);
  index raised = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_NE(r.precision[i], layer_precision::in_float);
    if (r.precision[i] == layer_precision::quantized) continue;
    ++raised;
    EXPECT_EQ(r.codes[i].rows(), 0);
    EXPECT_EQ(r.int8_codes[i].rows(), t.layers[static_cast<index>(i)].channels());
  }
  EXPECT_GE(raised, 1);
  expect_consistent(t, r);
  const auto net = r.integers();
  for (index i = 0; i < 3; ++i) EXPECT_TRUE(net.is_integer(i));
  EXPECT_NEAR(t.metric()(net.compute()), r.metric, 0.5);
  // Without loss, all layers end in float.
  const auto all = t.until<int4_per_row>(200.0, options);
  EXPECT_TRUE(all.is_met);
  for (const layer_precision p : all.precision) EXPECT_EQ(p, layer_precision::in_float);
}

TEST(search_quantize_within, is_diagnosed_as_planned) {
  const trial t;
  within_options options;
  options.gptq = options.correct_biases = false;
  const auto r = t.until<int4_per_row>(25.0, options);
  const auto schemes_of = [&](const auto& result) {
    std::vector<std::string> schemes;
    for (const layer_figures& l :
         diagnose(*result.layers, t.forward, {t.seen}, as_planned(result)).layers)
      schemes.push_back(l.scheme.substr(0, l.scheme.find(' ')));
    return schemes;
  };
  std::vector<std::string> schemes;
  for (const layer_precision p : r.precision)
    schemes.push_back(p == layer_precision::quantized ? "int4" : "int8");
  EXPECT_EQ(schemes_of(r), schemes);
  EXPECT_EQ(schemes_of(t.until<int4_per_row>(200.0, options)),
            (std::vector<std::string>{"float", "float", "float"}));
  const auto whole = t.until<int8_per_row>(1.0);
  EXPECT_EQ(as_planned(whole).weights[0].scheme.substr(0, 4), "int8");
}

TEST(search_quantize_within, gives_inputs_of_16_bits_before_it_leaves_layers_in_float) {
  const trial t;
  within_options options;
  options.gptq = options.correct_biases = false;
  for (const ladder_inputs inputs : {ladder_inputs::calibrated, ladder_inputs::by_row}) {
    options.inputs = inputs;
    const auto r = t.until<int8_per_row>(43.0, options);
    EXPECT_TRUE(r.is_met) << story(r);
    EXPECT_LT(r.steps[0].metric, 43.0);
    index wide = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_NE(r.precision[i], layer_precision::in_float) << story(r);
      if (r.precision[i] != layer_precision::int16_inputs) continue;
      ++wide;
      EXPECT_TRUE(r.plan[static_cast<index>(i)].inputs.is_wide());
    }
    EXPECT_GE(wide, 1) << story(r);
    expect_consistent(t, r);
    const auto net = r.integers();
    for (index i = 0; i < 3; ++i) EXPECT_TRUE(net.is_integer(i));
    EXPECT_NEAR(t.metric()(net.compute()), r.metric, 0.5);
  }
}

TEST(search_quantize_within, searches_rounding_if_it_may) {
  const trial t;
  within_options options;
  options.inputs = ladder_inputs::as_float;
  options.mixed_precision = options.stops_when_met = options.gptq = false;
  options.correct_biases = false;
  options.adaround = true;
  options.rounding.steps = 200;
  const auto r = t.until<int3_per_row>(200.0, options);
  EXPECT_TRUE(step_of(r, "AdaRound").is_kept) << story(r);
  EXPECT_GT(step_of(r, "AdaRound").gain, 0.5) << story(r);
  for (std::size_t i = 0; i < 3; ++i)
    EXPECT_EQ(dequantize(r.codes[i]), r.plan.weights(static_cast<index>(i)));
  expect_consistent(t, r);
}

TEST(search_quantize_within, keeps_the_best_network_when_cancelled) {
  const trial t;
  const auto r = quantize_within<int4_per_row>(
      t.layers, t.forward, {t.seen}, t.metric(), 0.0, {},
      [](const pass_step& s) { return std::string(s.what) != "percentile 99.99"; });
  EXPECT_TRUE(r.cancelled);
  EXPECT_FALSE(r.is_met);
  ASSERT_EQ(r.steps.size(), 1U);
  expect_consistent(t, r);
  const auto none = quantize_within<int4_per_row>(t.layers, t.forward, {t.seen}, t.metric(), 0.0,
                                                  {}, [](const pass_step&) { return false; });
  EXPECT_TRUE(none.cancelled);
  EXPECT_TRUE(none.steps.empty());
  EXPECT_FALSE(none.is_met);
  for (const layer_precision p : none.precision) EXPECT_EQ(p, layer_precision::in_float);
}

TEST(search_quantize_within, can_be_cancelled_within_a_step) {
  const trial t;
  within_options options;
  options.stops_when_met = false;
  options.groups = {{{"b"}}};
  options.adaround = true;
  options.rounding.steps = 3;
  for (const std::string within :
       {"correct_biases_by_data", "smooth_layers", "gptq_pass", "adaround_pass"}) {
    SCOPED_TRACE(within);
    bool stopped = false;
    const auto r = quantize_within<int4_per_row>(t.layers, t.forward, {t.seen}, t.metric(), 0.0,
                                                 options, [&](const pass_step& s) {
                                                   EXPECT_FALSE(stopped);
                                                   stopped = s.what == within;
                                                   return !stopped;
                                                 });
    EXPECT_TRUE(stopped);
    EXPECT_TRUE(r.cancelled);
    ASSERT_GE(r.steps.size(), 6U);
    expect_consistent(t, r);
  }
}

TEST(search_quantize_within, gives_the_same_for_any_executor) {
  const trial t;
  within_options options;
  options.adaround = true;
  options.rounding.steps = 20;
  options.links = {{"a", "", {"b"}}};
  options.groups = {{{"b"}}};
  const auto a = t.until<int4_per_row>(46.0, options);
  const auto b = quantize_within<int4_per_row>(t.layers, t.forward, {t.seen}, t.metric(), 154.0,
                                               options, {}, reverse_executor{});
  EXPECT_GE(a.steps.size(), 12U);
  ASSERT_EQ(a.steps.size(), b.steps.size());
  for (std::size_t i = 0; i < a.steps.size(); ++i) {
    EXPECT_EQ(a.steps[i].what, b.steps[i].what);
    EXPECT_EQ(a.steps[i].metric, b.steps[i].metric);
  }
}

TEST(search_quantize_within, tells_its_memory) {
  const trial t;
  // Each weight: 8 bytes as two floats, 1 as int8, 1/2 as int4. Each row: 8 bytes of biases, 8 of a
  // scale and zero point of int4, 4 of a scale of int8.
  const index weights = 32 * 24 + 32 * 32 + 8 * 32, rows = 72;
  const index state = weights * 8 + weights + weights / 2 + rows * 20;
  within_options options;
  options.gptq = false;
  EXPECT_EQ(quantize_within_bytes<int4_per_row>(t.layers, options), 3 * state + 3 * 36 * 1024);
  options.groups = {{{"b"}}};
  EXPECT_EQ(quantize_within_bytes<int4_per_row>(t.layers, options),
            3 * state + (1 << 20) / 32 * (32 + 2 * 32) * 4);
  options.groups.clear();
  // One layer whose products take more than its histogram.
  const layer_list wide({linear_layer("wide", random_reals(8, 512, 1))});
  const index of_wide = 3 * (512 * 8 * 8 + 512 * 8 + 512 * 4 + 8 * 20);
  options.gptq = true;
  EXPECT_EQ(quantize_within_bytes<int4_per_row>(wide, options),
            of_wide + 512 * 8 * 4 + gptq_pass_bytes(wide) + gptq_bytes<int4_per_row>(8, 512));
  options.adaround = true;
  options.gptq = false;
  EXPECT_EQ(quantize_within_bytes<int4_per_row>(wide, options),
            of_wide + 512 * 8 * 4 + adaround_pass_bytes(wide));
}

TEST(search_quantize_within, refuses_what_it_cannot_use) {
  const trial t;
  const auto call = [&](const layer_list& layers, const input_batches& batches,
                        const metric_function& metric, double loss) {
    return sentence_of([&] {
      return quantize_within<int8_per_row>(layers, t.forward, batches, metric, loss).metric;
    });
  };
  const metric_function nan = [](const compute_function&) { return std::nan(""); };
  const input_batches batches{t.seen};
  EXPECT_EQ(call(layer_list(), batches, t.metric(), 1.0),
            "fewbit: quantize_within: number of layers is 0, expected at least 1");
  EXPECT_EQ(call(t.layers, batches, nan, 1.0),
            "fewbit: quantize_within: metric with all layers in float is nan, expected a finite "
            "number");
  EXPECT_EQ(call(t.layers, {}, t.metric(), 1.0),
            "fewbit: quantize_within: number of calibration batches is 0, expected at least 1");
  EXPECT_EQ(call(t.layers, batches, {}, 1.0),
            "fewbit: quantize_within: metric is empty, expected a callable");
  EXPECT_EQ(call(t.layers, batches, t.metric(), -1.0),
            "fewbit: quantize_within: allowed_loss is -1, expected a finite number, at least 0");
  // Links and groups are checked before the metric is measured.
  const metric_function fatal = [](const compute_function&) -> double { std::abort(); };
  const auto with = [&](const within_options& options) {
    return sentence_of([&] {
      return quantize_within<int8_per_row>(t.layers, t.forward, batches, fatal, 1.0, options)
          .metric;
    });
  };
  within_options options;
  options.links = {{"nobody", "", {"b"}}};
  EXPECT_EQ(with(options),
            "fewbit: quantize_within: layer is 'nobody', expected the name of a layer");
  options.links.clear();
  options.groups = {{{}, ""}};
  EXPECT_EQ(with(options),
            "fewbit: quantize_within: number of consumers is 0, expected at least 1");
  matrix bad = t.seen;
  bad(3, 4) = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(call(t.layers, {bad}, t.metric(), 1.0),
            "fewbit: observe_inputs: calibration batch 0(3, 4) is nan, expected a finite number");
  const layer_list more({t.layers[0], t.layers[1], t.layers[2], trial::layer("d", 3, 8, 9)});
  EXPECT_NE(call(more, batches, t.metric(), 1.0).find("'d'"), std::string::npos);
}

}}  // namespace fewbit::search_quantize_within_test
