#pragma once
/// The products of the inputs of all layers of a network, and codes of groups of rows joined to
/// those of a layer. Private to gptq_pass.hpp and adaround_pass.hpp.
///
/// The rows of a group of a convolution read only the channels of that group, and those of a
/// depthwise convolution one channel: they have products of their own. Read before:
/// input_products.hpp, network/simulate.hpp.

#include "fewbit/begin.hpp"

#include <cstddef>
#include <span>
#include <vector>

#include "fewbit/core/executor.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/equalize/input_products.hpp"
#include "fewbit/equalize/network/batches.hpp"
#include "fewbit/equalize/network/compute.hpp"
#include "fewbit/equalize/network/float_layer.hpp"
#include "fewbit/equalize/network/layer.hpp"
#include "fewbit/equalize/network/layer_list.hpp"
#include "fewbit/equalize/network/simulate.hpp"
#include "fewbit/ops/conv2d/patches.hpp"
#include "fewbit/quant/quantize.hpp"
#include "fewbit/quant/quantized_matrix.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

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
    const placed_window window("layer_products", l.image, l.window);
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
template <Scheme S>
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

/// Bytes of the products of the inputs of all layers, which a pass holds at the same time.
[[nodiscard]] inline index layer_products_bytes(const layer_list& layers) {
  index bytes = 0;
  for (const network_layer& l : layers) {
    bytes +=
        static_cast<index>(layer_products::groups_of(l)) * input_products::bytes_for(l.depth());
  }
  return bytes;
}

/// What a run of forward collects.
struct collected_products {
  std::vector<layer_products> layers;
  std::vector<index> calls;  ///< how often each layer was called
  bool cancelled = false;
};

/// Runs forward over all batches and adds up the products of the inputs of all layers, as the plan
/// computes them.
/// @param function  for sentences
/// @param steps     of the whole pass, for the progress
template <Executor E>
[[nodiscard]] collected_products collect_products(const char* function, const simulation& plan,
                                                  const forward_function& forward,
                                                  const input_batches& batches,
                                                  const progress_function& progress, index steps,
                                                  const E& executor) {
  collected_products found;
  for (const network_layer& l : plan.layers()) found.layers.emplace_back(l);
  found.calls.assign(found.layers.size(), 0);
  const compute_function compute = watching(
      plan.compute(executor), [&](index i, const row_matrix<float>& x, const row_matrix<float>&) {
        const network_layer& l = plan.layers()[i];
        expect_finite_in_layer(function, l.name, "x", x);
        ++found.calls[static_cast<std::size_t>(i)];
        found.layers[static_cast<std::size_t>(i)].add(l, plan[i].inputs, x, executor);
      });
  found.cancelled = !run_batches(forward, compute, batches, progress, {function, 0, steps});
  return found;
}

/// Quantizes the layers that forward calls by the products of their inputs, and makes the plan
/// compute with them. If progress ends the work, the plan stays as it was.
/// @tparam Report  has layers, not_called and cancelled; its layers have `layer` and `weights`
/// @param takes    takes(i): whether layer i is quantized
/// @param work     work(i, products, go_on, done) sets `done`; returns false if go_on() did
template <class Report, class Takes, class Work, Executor E>
[[nodiscard]] Report quantize_layers(const char* function, simulation& plan,
                                     const forward_function& forward, const input_batches& batches,
                                     const progress_function& progress, const Takes& takes,
                                     const Work& work, const E& executor) {
  const index steps = batches.count() + plan.size();
  const collected_products products =
      collect_products(function, plan, forward, batches, progress, steps, executor);
  Report result;
  result.cancelled = products.cancelled;
  for (index i = 0; i < plan.size() && !result.cancelled; ++i) {
    const auto at = static_cast<std::size_t>(i);
    if (products.calls[at] == 0) {
      result.not_called.push_back(i);
      continue;
    }
    if (!takes(i)) continue;
    const pass_step step{function, batches.count() + i, steps};
    result.layers.emplace_back().layer = i;
    result.cancelled = !work(
        i, products.layers[at], [&] { return may_continue(progress, step); }, result.layers.back());
  }
  result.cancelled = result.cancelled || !may_continue(progress, {function, steps, steps});
  if (result.cancelled) result.layers.clear();
  for (const auto& done : result.layers)
    plan[done.layer].weights = dequantize(done.weights, executor);
  return result;
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
