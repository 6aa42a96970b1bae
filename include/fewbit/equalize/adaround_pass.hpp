#pragma once
/// AdaRound for the layers of a network.
///
///     simulation plan(layers);
///     const auto done = adaround_pass<int4_per_row>(plan, forward, batches);
///     // plan computes with the new weights; done.layers has their codes
///
///     // the same with the scales that GPTQ chose
///     std::vector<quantized_matrix<int4_per_row>> codes(layers.size());
///     for (const auto& l : gptq_pass<int4_per_row>(plan, forward, batches).layers)
///       codes[l.layer] = l.weights;
///     adaround_pass<int4_per_row>(real_plan, forward, batches, codes);
///
/// One run of forward collects the products of the inputs of all layers, as the plan computes them
/// now. Then the codes of each layer are searched on their own.
///
/// Time: steps * n * k^2 products for a layer of n x k. Memory: adaround_pass_bytes. Read before:
/// adaround.hpp, network/simulate.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/equalize/adaround.hpp"
#include "fewbit/equalize/layer_products.hpp"
#include "fewbit/equalize/network/batches.hpp"
#include "fewbit/equalize/network/compute.hpp"
#include "fewbit/equalize/network/layer.hpp"
#include "fewbit/equalize/network/layer_list.hpp"
#include "fewbit/equalize/network/simulate.hpp"
#include "fewbit/quant/quantize.hpp"
#include "fewbit/quant/quantized_matrix.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// A layer whose codes adaround_pass searched.
template <AdaroundScheme S>
struct adaround_layer {
  index layer = 0;  ///< its position in the list
  quantized_matrix<S> weights;
  adaround_report report;  ///< sums over its groups
};

/// What adaround_pass did.
template <AdaroundScheme S>
struct adaround_pass_report {
  std::vector<adaround_layer<S>> layers;  ///< in the order of the list
  std::vector<index> not_called;  ///< layers that forward did not call: they stay as they were
  bool cancelled = false;         ///< the simulation was not changed
};

namespace detail {

/// Rows first .. first + count - 1 of codes with scales within rows.
template <IntegerScheme S>
[[nodiscard]] quantized_matrix<S> rows_of_codes(const quantized_matrix<S>& q, index first,
                                                index count) {
  const auto groups =
      static_cast<std::size_t>(S::granularity::count(q.rows(), q.cols()) / q.rows());
  const auto from = static_cast<std::size_t>(first) * groups;
  const auto size = static_cast<std::size_t>(count) * groups;
  const row_matrix<typename S::code> codes = q.codes().middleRows(first, count);
  const bool has_zeros = !q.zero_points().empty();
  return quantized_matrix<S>(codes, q.scales().subspan(from, size),
                             has_zeros ? q.zero_points().subspan(from, size) : q.zero_points());
}

/// Searches the codes of one layer, group by group. Returns false if `go_on` ends the work.
template <AdaroundScheme S, class Continue, Executor E>
[[nodiscard]] bool search_layer(const network_layer& l, const layer_products& products,
                                const quantized_matrix<S>& start, const adaround_options& options,
                                const Continue& go_on, adaround_layer<S>& done, const E& executor) {
  const auto groups = static_cast<index>(products.groups().size());
  const index rows = l.channels() / groups;
  std::vector<quantized_matrix<S>> parts;
  adaround_report& all = done.report;
  bool stopped = false;  // a search that is done when it is stopped is finished
  const auto step = [&](const adaround_step&) { return !(stopped = stopped || !go_on()); };
  for (index g = 0; g < groups; ++g) {
    auto part = adaround<S>(l.weights.middleRows(g * rows, rows),
                            products.groups()[static_cast<std::size_t>(g)],
                            rows_of_codes(start, g * rows, rows), options, step, executor);
    if (stopped) return false;
    all.plain_error += part.report.plain_error;
    all.squared_error += part.report.squared_error;
    all.undecided += part.report.undecided;
    all.changed += part.report.changed;
    parts.push_back(std::move(part.weights));
  }
  all.finished = true;
  done.weights = joined_rows(parts);
  return true;
}

template <AdaroundScheme S>
void expect_starts(const char* function, const layer_list& layers,
                   const std::vector<quantized_matrix<S>>& starts) {
  if (starts.empty()) return;
  expect_equal(function, "number of matrices of codes", static_cast<index>(starts.size()),
               layers.size());
  for (index i = 0; i < layers.size(); ++i) {
    const quantized_matrix<S>& q = starts[static_cast<std::size_t>(i)];
    const network_layer& l = layers[i];
    if (q.rows() == 0 || (q.rows() == l.channels() && q.cols() == l.depth())) continue;
    fail(function, of_layer("codes", l.name), shape_text(q.rows(), q.cols()),
         shape_text(l.channels(), l.depth()));
  }
}

}  // namespace detail

/// Bytes that adaround_pass holds at most beyond its arguments: the products of the inputs of all
/// layers, and those of the largest layer in full. A search takes as much again for each thread as
/// 16 rows of the layer with 8 bytes a weight.
[[nodiscard]] inline index adaround_pass_bytes(const layer_list& layers) {
  index largest = 0;
  for (const network_layer& l : layers) largest = std::max(largest, adaround_bytes(l.depth()));
  return detail::layer_products_bytes(layers) + largest;
}

/// Searches the codes of all layers that forward calls, and makes the plan compute with them.
///
/// @tparam S        groups within a row: a scale per row, or for each group of columns
/// @param starts    of each layer: codes, of which the scales and zero points are taken; 0 x 0: the
///                  layer stays as it was. No matrices: quantize<S> of all weights
/// @param options   for every layer
/// @param progress  called between batches and during the search of layers
/// @param executor  runs the layers and adaround; the codes do not depend on it. They depend on the
///                  instruction set as far as the inputs that forward computes do
/// @throws fewbit::error if there is no batch, if a number is not finite, if the number or shapes
///         of `starts` are not those of the layers, or if an option is out of its range; the
///         sentence has the layer. The simulation is then unchanged.
template <AdaroundScheme S, Executor E = inline_executor>
  requires detail::is_within_row<typename S::granularity>
adaround_pass_report<S> adaround_pass(simulation& plan, const forward_function& forward,
                                      const input_batches& batches,
                                      const std::vector<quantized_matrix<S>>& starts = {},
                                      const adaround_options& options = {},
                                      const progress_function& progress = {},
                                      const E& executor = {}) {
  const char* function = "adaround_pass";
  const layer_list& layers = plan.layers();
  detail::expect_starts<S>(function, layers, starts);
  detail::expect_adaround_options(function, options);
  return detail::quantize_layers<adaround_pass_report<S>>(
      function, plan, forward, batches, progress,
      [&](index i) { return starts.empty() || starts[static_cast<std::size_t>(i)].rows() > 0; },
      [&](index i, const detail::layer_products& products, const auto& go_on,
          adaround_layer<S>& done) {
        return detail::search_layer<S>(
            layers[i], products,
            starts.empty() ? quantize<S>(layers[i].weights) : starts[static_cast<std::size_t>(i)],
            options, go_on, done, executor);
      },
      executor);
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
