#pragma once
/// Observers of the inputs of all layers.
///
///     const auto seen = observe_inputs<histogram_observer>(layers, forward, batches);
///     const range r = seen.observers[0].range(by_entropy{});
///
/// Read before: batches.hpp, calib/observer.hpp. Read next: simulate.hpp.

#include "fewbit/begin.hpp"

#include <cstddef>
#include <vector>

#include "fewbit/calib/observer.hpp"
#include "fewbit/equalize/network/batches.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// What a pass over calibration inputs saw.
template <class O>
struct observed_layers {
  std::vector<O> observers;  ///< one for each layer
  std::vector<index> calls;  ///< how often each layer was called; 0: its observer is empty
  std::vector<index> order;  ///< layers in the order of their first calls
  bool cancelled = false;    ///< observers saw only some of the batches
};

namespace detail {

/// Calls use(layer, x, y) after each layer that was computed in float, with finite x and y. Counts
/// the calls.
/// @throws fewbit::error if a number that a layer reads or writes is not finite; the sentence has
///         the layer
template <class O, class Use, Executor E>
bool watch_layers(const char* function, const layer_list& layers, const forward_function& forward,
                  const input_batches& batches, const progress_function& progress,
                  observed_layers<O>& seen, const Use& use, const E& executor) {
  seen.calls.assign(static_cast<std::size_t>(layers.size()), 0);
  const compute_function compute =
      watching(float_compute(layers, executor),
               [&](index layer, const row_matrix<float>& x, const row_matrix<float>& y) {
                 const network_layer& l = layers[layer];
                 expect_finite_in_layer(function, l.name, "x", x);
                 expect_finite_in_layer(function, l.name, "y", y);
                 if (seen.calls[static_cast<std::size_t>(layer)]++ == 0)
                   seen.order.push_back(layer);
                 use(layer, x, y);
               });
  seen.cancelled =
      !run_batches(forward, compute, batches, progress, {function, 0, batches.count()});
  return !seen.cancelled;
}

}  // namespace detail

/// Observes the inputs of each layer while forward computes in float. An observer sees x times
/// input_factors: the numbers that codes stand for. Memory: one observer for each layer.
///
/// @param prototype  each observer starts as a copy of it
/// @param executor   runs the layers
/// @throws fewbit::error if there is no batch, if a batch is empty, or if a batch or the inputs or
///         outputs of a layer are not finite; the sentence has the layer
template <Observer O, Executor E = inline_executor>
[[nodiscard]] observed_layers<O> observe_inputs(
    const layer_list& layers, const forward_function& forward, const input_batches& batches,
    const O& prototype = O{}, const progress_function& progress = {}, const E& executor = {}) {
  observed_layers<O> seen;
  seen.observers.assign(static_cast<std::size_t>(layers.size()), prototype);
  const auto observe = [&](index layer, const row_matrix<float>& x, const row_matrix<float>&) {
    O& observer = seen.observers[static_cast<std::size_t>(layer)];
    const Eigen::VectorXf& factors = layers[layer].input_factors;
    if (factors.size() == 0) return observer.observe(x);
    row_matrix<float> scaled = x;
    detail::scale_channels(factors, scaled.data(), scaled.size());
    observer.observe(scaled);
  };
  detail::watch_layers("observe_inputs", layers, forward, batches, progress, seen, observe,
                       executor);
  return seen;
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
