#include "fewbit/diagnose/sensitivity.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "diagnose/support.hpp"

namespace fewbit { namespace diagnose_sensitivity_test {

using tests::in_sequence;
using tests::matrix;
using tests::sound_inputs;
using tests::sound_layers;
#if FEWBIT_HAS_EXCEPTIONS
using tests::sentence_of;
#endif

/// A metric that knows which layers are quantized: 90 minus the costs of these. The quantized
/// layers of the test set all outputs to 0.
struct known_costs {
  layer_list layers{sound_layers()};
  std::vector<double> costs{0.5, 4.0, -0.25, 1.0};
  compute_function quantized = [this](index layer, const matrix& x, matrix& y) {
    y.setZero(x.rows(), layers[layer].outputs());
  };

  [[nodiscard]] double operator()(const compute_function& compute) const {
    double value = 90;
    matrix y;
    for (index i = 0; i < layers.size(); ++i) {
      compute(i, matrix::Ones(1, layers[i].inputs()), y);
      if (y.isZero(0.0F)) value -= costs[static_cast<std::size_t>(i)];
    }
    return value;
  }
};

TEST(diagnose_sensitivity_test, quantizes_one_layer_at_a_time) {
  const known_costs metric;
  std::vector<index> steps;
  const layer_sensitivity s =
      measure_sensitivity(metric.layers, std::cref(metric), metric.quantized,
                          [&](const pass_step& step) { return steps.push_back(step.done), true; });
  EXPECT_EQ(s.float_metric, 90.0);
  EXPECT_EQ(s.metrics, (std::vector<double>{89.5, 86.0, 90.25, 89.0}));
  EXPECT_EQ(s.loss(1), 4.0);
  EXPECT_EQ(s.measured, 4);
  EXPECT_EQ(steps, (std::vector<index>{0, 1, 2, 3}));
}

TEST(diagnose_sensitivity_test, leaves_the_most_sensitive_layers_in_float_until_the_target_is_met) {
  const known_costs metric;
  const layer_sensitivity s =
      measure_sensitivity(metric.layers, std::cref(metric), metric.quantized);
  const auto plan = [&](double allowed) {
    return quantize_partially(metric.layers, std::cref(metric), metric.quantized, s, allowed);
  };
  EXPECT_EQ(plan(5.25).steps.size(), 0U);  // all quantized: 84.75
  EXPECT_EQ(plan(5.25).quantized_metric, 84.75);
  EXPECT_TRUE(plan(5.25).is_met);
  const partial_plan two = plan(0.25);
  EXPECT_EQ(two.steps, (std::vector<partial_step>{{1, 88.75}, {3, 89.75}}));
  EXPECT_TRUE(two.is_met);
  EXPECT_TRUE(two.is_float(3));
  EXPECT_FALSE(two.is_float(0));
  const partial_plan one = plan(1.25);  // met exactly
  EXPECT_EQ(one.steps.size(), 1U);
  const partial_plan all = plan(0.0);
  EXPECT_EQ(all.steps.size(), 3U);  // the third layer gains, so it stays quantized
  EXPECT_TRUE(all.is_met);
}

TEST(diagnose_sensitivity_test, stops_when_cancelled) {
  const known_costs metric;
  const auto only_one = [](const pass_step& step) { return step.done < 1; };
  const layer_sensitivity some =
      measure_sensitivity(metric.layers, std::cref(metric), metric.quantized, only_one);
  EXPECT_EQ(some.measured, 1);
  const layer_sensitivity s =
      measure_sensitivity(metric.layers, std::cref(metric), metric.quantized);
  const partial_plan plan =
      quantize_partially(metric.layers, std::cref(metric), metric.quantized, s, 0.0, only_one);
  EXPECT_TRUE(plan.cancelled);
  EXPECT_FALSE(plan.is_met);
  EXPECT_EQ(plan.steps.size(), 1U);
}

TEST(diagnose_sensitivity_test, fills_a_report) {
  const known_costs metric;
  const layer_sensitivity s =
      measure_sensitivity(metric.layers, std::cref(metric), metric.quantized);
  network_report report = inspect(sound_layers());
  add_sensitivity(report, s);
  add_partial(report,
              quantize_partially(metric.layers, std::cref(metric), metric.quantized, s, 0.25));
  rank(report);
  EXPECT_EQ(report.layers[1].loss.value(), 4.0);
  EXPECT_EQ(report.layers[2].metric_alone.value(), 90.25);
  EXPECT_EQ(report.partial.size(), 2U);
  ASSERT_EQ(report.findings.size(), 1U);
  EXPECT_EQ(report.findings[0].kind, fault::most_sensitive);
  EXPECT_EQ(report.findings[0].layer, 1);
  EXPECT_NE(report.findings[0].statement.find("costs 4.00 of the metric"), std::string::npos);
  EXPECT_EQ(report.order[0], 1);
  rank(report);
  EXPECT_EQ(report.findings.size(), 1U) << "a second call must add nothing";
}

TEST(diagnose_sensitivity_test, a_slow_layer_is_named_but_not_among_the_worst) {
  network_report report;
  report.layers.resize(3);
  for (layer_figures& l : report.layers) l.float_seconds = 1;
  report.layers[0].own_db = 30;
  report.layers[0].quantized_seconds = 1.05;
  report.layers[1].own_db = 20;
  report.layers[1].quantized_seconds = 0.5;
  report.layers[2].own_db = 40;
  report.layers[2].quantized_seconds = 1.2;
  rank(report);
  ASSERT_EQ(report.findings.size(), 2U);
  EXPECT_EQ(report.findings[0].kind, fault::lowest_sqnr);
  EXPECT_EQ(report.findings[0].layer, 1);
  EXPECT_EQ(report.findings[1].kind, fault::slower);
  EXPECT_EQ(report.findings[1].layer, 2);
  EXPECT_EQ(report.order, (std::vector<index>{1, 0, 2}));
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(diagnose_sensitivity_test, names_bad_input) {
  const known_costs metric;
  constexpr double bad = std::numeric_limits<double>::quiet_NaN();
  int calls = 0;
  const metric_function breaks = [&](const compute_function&) { return ++calls == 3 ? bad : 1.0; };
  EXPECT_EQ(
      sentence_of([&] { return measure_sensitivity(metric.layers, breaks, metric.quantized); }),
      "fewbit: measure_sensitivity: metric with layer 'second' quantized is nan, expected a "
      "finite number");
  const metric_function never = [&](const compute_function&) { return bad; };
  EXPECT_EQ(
      sentence_of([&] { return measure_sensitivity(metric.layers, never, metric.quantized); }),
      "fewbit: measure_sensitivity: metric with all layers in float is nan, expected a finite "
      "number");
  EXPECT_EQ(sentence_of([&] { return measure_sensitivity(metric.layers, {}, metric.quantized); }),
            "fewbit: measure_sensitivity: metric is empty, expected a callable");
  EXPECT_EQ(sentence_of([&] { return measure_sensitivity(metric.layers, never, {}); }),
            "fewbit: measure_sensitivity: quantized is empty, expected a callable");
  EXPECT_EQ(sentence_of([&] { return measure_sensitivity(layer_list(), never, metric.quantized); }),
            "fewbit: measure_sensitivity: number of layers is 0, expected at least 1");
  layer_sensitivity s = measure_sensitivity(metric.layers, std::cref(metric), metric.quantized);
  const auto partial = [&](const metric_function& m, double allowed) {
    return sentence_of(
        [&] { return quantize_partially(metric.layers, m, metric.quantized, s, allowed); });
  };
  EXPECT_EQ(
      partial(never, 1.0),
      "fewbit: quantize_partially: metric with all layers quantized is nan, expected a finite "
      "number");
  EXPECT_EQ(partial(std::cref(metric), -1.0),
            "fewbit: quantize_partially: allowed_loss is -1, expected a finite number, at least 0");
  calls = 1;
  EXPECT_EQ(
      partial(breaks, 0.0),
      "fewbit: quantize_partially: metric with layer 'second' in float, too is nan, expected a "
      "finite number");
  s.measured = 3;
  EXPECT_EQ(
      partial(std::cref(metric), 1.0),
      "fewbit: quantize_partially: number of measured layers of sensitivity is 3, expected 4");
  network_report report;
  EXPECT_EQ(sentence_of([&] { add_sensitivity(report, s); }),
            "fewbit: add_sensitivity: number of layers of sensitivity is 4, expected 0");
}
#endif

}}  // namespace fewbit::diagnose_sensitivity_test
