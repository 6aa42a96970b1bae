#pragma once
/// Which layers cost the metric most, and how many must stay in float to meet a target.
///
///     const layer_sensitivity s = measure_sensitivity(layers, metric, plan.compute());
///     const partial_plan p = quantize_partially(layers, metric, plan.compute(), s, 0.5);
///     add_sensitivity(report, s);
///     add_partial(report, p);
///     rank(report);
///
/// Sensitivity quantizes one layer at a time. Partial quantization starts with all layers quantized
/// and leaves one more in float at each step, the most sensitive first, until the metric is within
/// the allowed loss. Both hold a few numbers for each layer.
///
/// Source: Wu et al. 2020, arXiv:2004.09602, section 6.
/// Read before: equalize/network/compute.hpp. Read next: page.hpp, which draws both.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/diagnose/findings.hpp"
#include "fewbit/diagnose/report.hpp"
#include "fewbit/equalize/network.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// The metric with one layer quantized.
struct layer_sensitivity {
  double float_metric = 0;
  std::vector<double> metrics;  ///< of each layer alone; the first `measured` ones hold
  index measured = 0;           ///< fewer than all layers if the work was cancelled

  /// What the metric loses by layer i; negative is a gain.
  [[nodiscard]] double loss(index i) const {
    return float_metric - metrics[static_cast<std::size_t>(i)];
  }
};

/// The layers that stay in float.
struct partial_plan {
  double float_metric = 0;
  double quantized_metric = 0;  ///< with all layers quantized
  double allowed_loss = 0;
  std::vector<partial_step> steps;  ///< one for each layer in float, the most sensitive first
  bool is_met = false;              ///< the last metric is within the allowed loss
  bool cancelled = false;

  /// Whether a layer stays in float.
  [[nodiscard]] bool is_float(index layer) const {
    return std::any_of(steps.begin(), steps.end(),
                       [&](const partial_step& s) { return s.layer == layer; });
  }
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// Computes the layers for which is_quantized[i] is true by `quantized`, others by `in_float`.
[[nodiscard]] inline compute_function mixed_compute(compute_function in_float,
                                                    compute_function quantized,
                                                    std::vector<bool> is_quantized) {
  return [in_float = std::move(in_float), quantized = std::move(quantized),
          is_quantized = std::move(is_quantized)](index layer, const row_matrix<float>& x,
                                                  row_matrix<float>& y) {
    detail::expect_layer_index("mixed_compute", layer, static_cast<index>(is_quantized.size()));
    (is_quantized[static_cast<std::size_t>(layer)] ? quantized : in_float)(layer, x, y);
  };
}

namespace detail {

inline void expect_callables(const char* function, const layer_list& layers,
                             const metric_function& metric, const compute_function& quantized) {
  expect(layers.size() >= 1, function, "number of layers", layers.size(), "at least 1");
  expect(static_cast<bool>(metric), function, "metric", "empty", "a callable");
  expect(static_cast<bool>(quantized), function, "quantized", "empty", "a callable");
}

}  // namespace detail

/// Measures the metric in float, and with each layer alone quantized.
///
/// @param metric     larger is better
/// @param quantized  computes the quantized layers
/// @param progress   called before each layer; the result holds the layers before if it returns
///                   false
/// @param executor   runs the float layers
/// @throws fewbit::error if there is no layer, or if the metric is not finite; the sentence has the
///         layer
template <Executor E = inline_executor>
[[nodiscard]] layer_sensitivity measure_sensitivity(const layer_list& layers,
                                                    const metric_function& metric,
                                                    const compute_function& quantized,
                                                    const progress_function& progress = {},
                                                    const E& executor = {}) {
  constexpr const char* function = "measure_sensitivity";
  detail::expect_callables(function, layers, metric, quantized);
  const compute_function in_float = float_compute(layers, executor);
  layer_sensitivity result;
  result.float_metric =
      detail::finite_metric(function, "metric with all layers in float", metric, in_float);
  result.metrics.assign(static_cast<std::size_t>(layers.size()), result.float_metric);
  for (index i = 0; i < layers.size(); ++i) {
    if (!detail::may_continue(progress, {function, i, layers.size()})) break;
    std::vector<bool> is_quantized(static_cast<std::size_t>(layers.size()), false);
    is_quantized[static_cast<std::size_t>(i)] = true;
    result.metrics[static_cast<std::size_t>(i)] =
        detail::finite_metric(function, "metric with layer '" + layers[i].name + "' quantized",
                              metric, mixed_compute(in_float, quantized, std::move(is_quantized)));
    result.measured = i + 1;
  }
  return result;
}

/// Leaves the most sensitive layers in float, one more at each step, until the metric is at least
/// float_metric - allowed_loss. If all layers are in float, it is.
///
/// @param sensitivity   of all layers
/// @param allowed_loss  at least 0
/// @throws fewbit::error if an argument is not as said, or if the metric is not finite
template <Executor E = inline_executor>
[[nodiscard]] partial_plan quantize_partially(
    const layer_list& layers, const metric_function& metric, const compute_function& quantized,
    const layer_sensitivity& sensitivity, double allowed_loss,
    const progress_function& progress = {}, const E& executor = {}) {
  constexpr const char* function = "quantize_partially";
  detail::expect_callables(function, layers, metric, quantized);
  detail::expect_equal(function, "number of measured layers of sensitivity", sensitivity.measured,
                       layers.size());
  detail::expect(allowed_loss >= 0 && allowed_loss <= std::numeric_limits<double>::max(), function,
                 "allowed_loss", allowed_loss, "a finite number, at least 0");
  std::vector<index> order(static_cast<std::size_t>(layers.size()));
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<index>(i);
  std::stable_sort(order.begin(), order.end(),
                   [&](index a, index b) { return sensitivity.loss(a) > sensitivity.loss(b); });
  const compute_function in_float = float_compute(layers, executor);
  std::vector<bool> is_quantized(order.size(), true);
  partial_plan plan;
  plan.float_metric = sensitivity.float_metric;
  plan.allowed_loss = allowed_loss;
  plan.quantized_metric =
      detail::finite_metric(function, "metric with all layers quantized", metric,
                            mixed_compute(in_float, quantized, is_quantized));
  double now = plan.quantized_metric;
  for (const index layer : order) {
    plan.is_met = now >= plan.float_metric - allowed_loss;
    if (plan.is_met) return plan;
    const auto done = static_cast<index>(plan.steps.size());
    plan.cancelled = !detail::may_continue(progress, {function, done, layers.size()});
    if (plan.cancelled) return plan;
    is_quantized[static_cast<std::size_t>(layer)] = false;
    now = detail::finite_metric(function,
                                "metric with layer '" + layers[layer].name + "' in float, too",
                                metric, mixed_compute(in_float, quantized, is_quantized));
    plan.steps.push_back({layer, now});
  }
  plan.is_met = now >= plan.float_metric - allowed_loss;
  return plan;
}

/// Writes the figures of sensitivity to a report of the same layers. Call rank() afterwards.
/// @throws fewbit::error if the number of layers differs
inline void add_sensitivity(network_report& report, const layer_sensitivity& sensitivity) {
  detail::expect_equal("add_sensitivity", "number of layers of sensitivity",
                       sensitivity.metrics.size(), report.layers.size());
  report.float_metric = sensitivity.float_metric;
  for (index i = 0; i < sensitivity.measured; ++i) {
    layer_figures& layer = report.layers[static_cast<std::size_t>(i)];
    layer.metric_alone = sensitivity.metrics[static_cast<std::size_t>(i)];
    layer.loss = sensitivity.loss(i);
  }
}

/// Writes the steps of partial quantization to a report of the same layers.
/// @throws fewbit::error if a step names no layer of the report
inline void add_partial(network_report& report, const partial_plan& plan) {
  const auto count = static_cast<index>(report.layers.size());
  for (const partial_step& step : plan.steps) {
    detail::expect_layer_index("add_partial", step.layer, count);
  }
  report.float_metric = plan.float_metric;
  report.quantized_metric = plan.quantized_metric;
  report.allowed_loss = plan.allowed_loss;
  report.partial = plan.steps;
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
