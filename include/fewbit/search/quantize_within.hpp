#pragma once
/// Quantizes a network within an allowed loss of the user's metric: one call.
///
///     const auto q = quantize_within<int8_per_row>(layers, forward, batches, metric, 0.5);
///     for (const ladder_step& s : q.steps) print(s.what, s.metric, s.seconds, s.is_kept);
///     const integer_network<int8_per_row> net = q.integers();   // ready to run and to save
///     const row_matrix<float> logits = forward(images, net.compute());
///
/// The steps, in the order of their cost. The work ends as soon as the metric is within the loss; a
/// step that does not raise the metric is undone.
///
/// | step               | what it changes                                                        |
/// |--------------------|------------------------------------------------------------------------|
/// | max ... mse        | ranges of inputs: maximum, percentiles, entropy, mean squared error    |
/// | bias correction    | biases, by the mean error of each output channel                       |
/// | equalization       | ranges of channels of linked layers; then ranges and biases again      |
/// | smoothing          | SmoothQuant: ranges of inputs move to weights; then the same           |
/// | GPTQ               | codes of weights, by the inputs of each layer; then biases again       |
/// | AdaRound           | the same, if the options say so                                        |
/// | mixed precision    | the most sensitive layers: int8 weights, inputs of 16 bits, then float |
///
/// The workflow is that of Wu et al. 2020, arXiv:2004.09602. The headers of the repairs name their
/// sources. Read before: equalize/network.hpp, equalize/integer_network.hpp,
/// diagnose/sensitivity.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/equalize/adaround_pass.hpp"
#include "fewbit/equalize/gptq.hpp"
#include "fewbit/equalize/gptq_pass.hpp"
#include "fewbit/equalize/integer_network.hpp"
#include "fewbit/equalize/network.hpp"
#include "fewbit/search/ladder.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// A network within an allowed loss, and how it was found.
template <IntegerScheme S, IntegerScheme X>
struct within_result {
  double float_metric = 0;
  double metric = 0;       ///< of the quantized network
  bool is_met = false;     ///< metric >= float_metric - allowed_loss
  bool cancelled = false;  ///< the best network so far
  std::vector<ladder_step> steps;
  std::vector<layer_precision> precision;  ///< of each layer
  /// The layers as the steps changed them; `plan` refers to them.
  std::shared_ptr<const layer_list> layers;
  simulation plan;
  std::vector<quantized_matrix<S>> codes;  ///< of each layer; 0 x 0: not under S
  /// Codes of layers with int8 weights under another S, and of layers with inputs of 16 bits.
  std::vector<quantized_matrix<int8_per_row>> int8_codes;

  /// The layers in integers. Layers in float are computed with the weights of the plan.
  [[nodiscard]] integer_network<S, X> integers() const { return {plan, codes, int8_codes}; }
};

namespace detail {

/// Bytes of the inputs that smoothing keeps, and of their outputs.
[[nodiscard]] inline index smoothing_bytes(const layer_list& layers,
                                           const std::vector<smoothing_group>& groups) {
  index numbers = 0;
  for (const smoothing_group& g : groups) {
    for (const std::string& name : g.consumers) {
      const network_layer& l = layers[layers.find("quantize_within_bytes", name)];
      const index rows = std::max(smoothing_options{}.sample_numbers / l.inputs(), index{1});
      numbers += rows * (l.inputs() + 2 * l.outputs());
    }
  }
  return numbers * index{sizeof(float)};
}

}  // namespace detail

/// Bytes that quantize_within holds at most beyond its arguments and what forward and metric need:
/// three networks, and the largest of: histograms; inputs that smoothing keeps; products of GPTQ or
/// AdaRound.
/// @throws fewbit::error if a group of the options names no layer
template <IntegerScheme S>
[[nodiscard]] index quantize_within_bytes(const layer_list& layers,
                                          const within_options& options = {}) {
  constexpr index histogram = 36 * 1024;  // as histogram_observer says
  index most = std::max(layers.size() * histogram, detail::smoothing_bytes(layers, options.groups));
  index largest = 0, weights = 0;
  for (const network_layer& l : layers) {
    weights += l.weights.size() * index{sizeof(float)};
    if constexpr (GptqScheme<S>)
      largest = std::max(largest, gptq_bytes<S>(l.channels(), l.depth()));
  }
  if (options.gptq) most = std::max(most, weights + gptq_pass_bytes(layers) + largest);
  if (options.adaround) most = std::max(most, weights + adaround_pass_bytes(layers));
  return 3 * detail::state_bytes<S>(layers) + most;
}

/// @tparam S            scheme of the weights of all layers
/// @tparam X            scheme of fixed inputs
/// @param forward       the user's network
/// @param calibration   inputs; several passes read them
/// @param metric        larger is better. Its data should be neither those of the final figure nor
///                      those of `calibration`: codes fit the inputs that chose them. It should be
///                      fine: a share of equal decisions of some hundred inputs cannot tell a loss
///                      of 1 % from none, but a divergence of probabilities can
/// @param allowed_loss  what the metric may lose, at least 0; less than the final figure may lose
/// @param progress      called before each step and between the batches of steps; if it returns
///                      false, the result is the best network so far
/// @param executor      runs the layers; results do not depend on it
/// @throws fewbit::error if there is no layer or no calibration batch, if links or groups do not
///         fit the layers, if ranges are calibrated and a layer is never called, or if the metric
///         or a number that a layer reads is not finite; the sentence has step or layer. `layers`
///         is never changed
template <IntegerScheme S, IntegerScheme X = int8_per_tensor, Executor E = inline_executor>
[[nodiscard]] within_result<S, X> quantize_within(
    const layer_list& layers, const forward_function& forward, const input_batches& calibration,
    const metric_function& metric, double allowed_loss, const within_options& options = {},
    const progress_function& progress = {}, const E& executor = {}) {
  detail::ladder<S, X, E> ladder(layers, forward, calibration, metric, allowed_loss, options,
                                 progress, executor);
  ladder.climb();
  auto& best = ladder.best();
  return {ladder.float_metric(), best.metric,
          ladder.is_met(),       ladder.is_cancelled(),
          ladder.steps(),        best.precision,
          best.layers,           best.plan,
          std::move(best.codes), std::move(best.int8_codes)};
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
