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
#include <span>
#include <utility>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/equalize/gptq.hpp"
#include "fewbit/equalize/input_products.hpp"
#include "fewbit/equalize/network/batches.hpp"
#include "fewbit/equalize/network/compute.hpp"
#include "fewbit/equalize/network/float_layer.hpp"
#include "fewbit/equalize/network/layer.hpp"
#include "fewbit/equalize/network/layer_list.hpp"
#include "fewbit/equalize/network/simulate.hpp"
#include "fewbit/ops/conv2d/patches.hpp"
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

/// The products of the inputs of each group of a layer.
class layer_products {
 public:
  explicit layer_products(const network_layer& l)
      : groups_(groups_of(l), input_products(l.depth())) {}

  /// Number of groups whose rows of weights read inputs of their own.
  [[nodiscard]] static std::size_t groups_of(const network_layer& l) noexcept {
    return static_cast<std::size_t>(l.kind == layer_kind::linear   ? 1
                                    : l.kind == layer_kind::conv2d ? l.groups
                                                                   : l.image.channels);
  }
  [[nodiscard]] const std::vector<input_products>& groups() const noexcept { return groups_; }

  /// Adds the inputs of a call. x has finite numbers and l.inputs() columns.
  template <Executor E>
  void add(const network_layer& l, const input_codes& codes, const row_matrix<float>& x,
           const E& executor) {
    row_matrix<float> memory;
    if (l.kind == layer_kind::linear) {
      const float* from = prepared_rows(l, codes, x, 0, x.rows(), memory);
      groups_[0].add(Eigen::Map<const row_matrix<float>>(from, x.rows(), x.cols()), executor);
      return;
    }
    const placed_window window("gptq_pass", l.image, l.window);
    const auto groups = static_cast<index>(groups_.size());
    const patch_gatherer<float, float> gatherer(window, groups, l.depth(), 0);
    row_matrix<float> patches(window.output_pixels(), l.depth());
    for (index r = 0; r < x.rows(); ++r) {
      const float* image = prepared_rows(l, codes, x, r, 1, memory);
      for (index g = 0; g < groups; ++g) {
        gatherer.rows(image, g * (l.image.channels / groups), 0, patches.rows(), patches.data());
        groups_[static_cast<std::size_t>(g)].add(patches, executor);
      }
    }
  }

 private:
  std::vector<input_products> groups_;
};

/// Joins matrices of the same number of columns, row under row.
template <GptqScheme S>
[[nodiscard]] quantized_matrix<S> joined_rows(const std::vector<quantized_matrix<S>>& parts) {
  index rows = 0;
  std::vector<float> scales, more;  // minima, or the levels of the first part
  std::vector<typename S::code> zero_points;
  for (const auto& part : parts) {
    rows += part.rows();
    scales.insert(scales.end(), part.scales().begin(), part.scales().end());
    more.insert(more.end(), part.minima().begin(), part.minima().end());
    zero_points.insert(zero_points.end(), part.zero_points().begin(), part.zero_points().end());
  }
  row_matrix<typename S::code> codes(rows, parts.front().cols());
  index first = 0;
  for (const auto& part : parts) {
    codes.middleRows(first, part.rows()) = part.codes();
    first += part.rows();
  }
  if constexpr (CodebookScheme<S>) {
    return quantized_matrix<S>(codes, scales, parts.front().levels());
  } else if constexpr (S::has_minimum) {
    return quantized_matrix<S>(codes, scales, std::span<const float>(more));
  } else {
    return quantized_matrix<S>(codes, scales, zero_points);
  }
}

/// Quantizes one layer, group by group. Error sentences have its name.
template <GptqScheme S, Executor E>
[[nodiscard]] gptq_layer<S> quantize_layer(const network_layer& l, const layer_products& products,
                                           const gptq_options<S>& options, const E& executor) {
  const std::string function = "gptq_pass: layer '" + l.name + "'";
  const auto groups = static_cast<index>(products.groups().size());
  const index rows = l.channels() / groups;
  std::vector<quantized_matrix<S>> parts;
  gptq_layer<S> done;
  gptq_report& all = done.report;
  no_progress none;
  for (index g = 0; g < groups; ++g) {
    auto part = gptq_in_strips<S, strip_width>(
        function.c_str(), l.weights.middleRows(g * rows, rows),
        products.groups()[static_cast<std::size_t>(g)], options, none, executor);
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
  return done;
}

}  // namespace detail

/// Bytes of the products of the inputs of all layers, which gptq_pass holds at the same time.
[[nodiscard]] inline index gptq_pass_bytes(const layer_list& layers) {
  index bytes = 0;
  for (const network_layer& l : layers) {
    bytes += static_cast<index>(detail::layer_products::groups_of(l)) *
             input_products::bytes_for(l.depth());
  }
  return bytes;
}

/// Quantizes the weights of all layers that forward calls, and makes the plan compute with them.
///
/// @tparam S        groups within a row: a scale per row, or for each group of columns
/// @param options   for every layer; without params. A codebook needs levels, so that the groups of
///                  a layer have the same ones
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
  std::vector<detail::layer_products> products;
  for (const network_layer& l : plan.layers()) products.emplace_back(l);
  std::vector<index> calls(products.size(), 0);
  const index steps = batches.count() + plan.size();
  gptq_pass_report<S> result;
  const compute_function compute = watching(
      plan.compute(executor), [&](index i, const row_matrix<float>& x, const row_matrix<float>&) {
        const network_layer& l = plan.layers()[i];
        detail::expect_finite_in_layer(function, l.name, "x", x);
        ++calls[static_cast<std::size_t>(i)];
        products[static_cast<std::size_t>(i)].add(l, plan[i].inputs, x, executor);
      });
  result.cancelled =
      !detail::run_batches(forward, compute, batches, progress, {function, 0, steps});
  for (index i = 0; i < plan.size() && !result.cancelled; ++i) {
    if (calls[static_cast<std::size_t>(i)] == 0) {
      result.not_called.push_back(i);
      continue;
    }
    result.layers.push_back(detail::quantize_layer<S>(
        plan.layers()[i], products[static_cast<std::size_t>(i)], options, executor));
    result.layers.back().layer = i;
    result.cancelled = progress && !progress({function, batches.count() + i + 1, steps});
  }
  if (result.cancelled) result.layers.clear();
  for (const gptq_layer<S>& done : result.layers) {
    plan[done.layer].weights = dequantize(done.weights, executor);
  }
  return result;
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
