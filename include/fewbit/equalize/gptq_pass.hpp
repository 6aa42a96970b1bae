#pragma once
/// GPTQ for the layers of a network.
///
///     simulation plan(layers);
///     plan.quantize_inputs<int8_per_tensor>(seen, by_max{});   // if the inputs will be codes, too
///     const auto done = gptq_pass<int4_per_row>(plan, forward, batches);
///     // plan computes with the new weights; done.layers has their codes
///
/// One run of forward collects the products of the inputs of all layers, as the plan computes them
/// now. Then each layer is quantized on its own. The rows of a group of a convolution read only the
/// channels of that group, and those of a depthwise convolution one channel: they have products of
/// their own.
///
/// Memory: 4 k^2 bytes for a layer of k inputs to a sum (gptq_pass_bytes). Read before: gptq.hpp,
/// network/simulate.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/equalize/gptq.hpp"
#include "fewbit/equalize/layer_products.hpp"
#include "fewbit/equalize/network/batches.hpp"
#include "fewbit/equalize/network/compute.hpp"
#include "fewbit/equalize/network/layer.hpp"
#include "fewbit/equalize/network/layer_list.hpp"
#include "fewbit/equalize/network/simulate.hpp"
#include "fewbit/quant/quantized_matrix.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// A layer that gptq_pass quantized.
template <GptqScheme S>
struct gptq_layer {
  index layer = 0;  ///< its position in the list
  quantized_matrix<S> weights;
  gptq_report report;  ///< sums over its groups; the largest damping; dead inputs of any group
};

/// What gptq_pass did.
template <GptqScheme S>
struct gptq_pass_report {
  std::vector<gptq_layer<S>> layers;  ///< in the order of the list
  std::vector<index> not_called;      ///< layers that forward did not call: they stay as they were
  bool cancelled = false;             ///< the simulation was not changed
};

namespace detail {

/// Quantizes one layer, group by group. Error sentences have its name. Returns false if `go_on`
/// ends the work.
template <GptqScheme S, class Continue, Executor E>
[[nodiscard]] bool quantize_layer(const network_layer& l, const layer_products& products,
                                  const gptq_options<S>& options, const Continue& go_on,
                                  gptq_layer<S>& done, const E& executor) {
  const std::string function = "gptq_pass: layer '" + l.name + "'";
  const auto groups = static_cast<index>(products.groups().size());
  const index rows = l.channels() / groups;
  std::vector<quantized_matrix<S>> parts;
  gptq_report& all = done.report;
  bool stopped = false;  // work that is done when it is stopped is finished
  const auto step = [&](const gptq_step&) { return !(stopped = stopped || !go_on()); };
  for (index g = 0; g < groups; ++g) {
    auto part = gptq_in_strips<S, strip_width>(
        function.c_str(), l.weights.middleRows(g * rows, rows),
        products.groups()[static_cast<std::size_t>(g)], options, step, executor);
    if (stopped) return false;
    all.loss += part.report.loss;
    all.squared_error += part.report.squared_error;
    all.damping = std::max(all.damping, part.report.damping);
    all.added = std::max(all.added, part.report.added);
    all.dead_inputs.insert(all.dead_inputs.end(), part.report.dead_inputs.begin(),
                           part.report.dead_inputs.end());
    parts.push_back(std::move(part.weights));
  }
  std::sort(all.dead_inputs.begin(), all.dead_inputs.end());
  all.dead_inputs.erase(std::unique(all.dead_inputs.begin(), all.dead_inputs.end()),
                        all.dead_inputs.end());
  all.finished = true;
  done.weights = joined_rows(parts);
  return true;
}

}  // namespace detail

/// Bytes of the products of the inputs of all layers, which gptq_pass holds at the same time.
[[nodiscard]] inline index gptq_pass_bytes(const layer_list& layers) {
  return detail::layer_products_bytes(layers);
}

/// Quantizes the weights of all layers that forward calls, and makes the plan compute with them.
///
/// @tparam S        groups within a row: a scale per row, or for each group of columns
/// @param options   for every layer; without params. A codebook needs levels, so that the groups of
///                  a layer have the same ones
/// @param progress  called between batches and during the work on layers
/// @param executor  runs the layers and gptq; the codes do not depend on it. They depend on the
///                  instruction set as far as the inputs that forward computes do
/// @throws fewbit::error if there is no batch, if a number is not finite, or as gptq does; the
///         sentence has the layer. The simulation is then unchanged.
template <GptqScheme S, Executor E = inline_executor>
  requires detail::is_within_row<typename S::granularity>
gptq_pass_report<S> gptq_pass(simulation& plan, const forward_function& forward,
                              const input_batches& batches, const gptq_options<S>& options = {},
                              const progress_function& progress = {}, const E& executor = {}) {
  const char* function = "gptq_pass";
  detail::expect(options.params.empty(), function, "number of params",
                 static_cast<index>(options.params.size()), "0");
  if constexpr (CodebookScheme<S>)
    detail::expect_valid_levels<S::storage::bits>(function, options.levels);
  return detail::quantize_layers<gptq_pass_report<S>>(
      function, plan, forward, batches, progress, [](index) { return true; },
      [&](index i, const detail::layer_products& products, const auto& go_on, gptq_layer<S>& done) {
        return detail::quantize_layer<S>(plan.layers()[i], products, options, go_on, done,
                                         executor);
      },
      executor);
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
