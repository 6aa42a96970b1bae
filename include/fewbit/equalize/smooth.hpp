#pragma once
/// SmoothQuant: moves the difficulty of quantizing from activations to weights.
///
///     const smoothing s = search_smoothing<int8_per_row, int8_per_tensor>(x, {wq, wk, wv});
///     smooth_layers<int8_per_row, int8_per_tensor>(layers, forward, batches,
///                                                  {{.consumers = {"wq", "wk", "wv"}}});
///
/// A few channels of activations are often 100 times as wide as the others. One scale for all then
/// leaves few codes to the others. Channel j is divided by s_j, and the weights that read it are
/// multiplied:
///
///     s_j = max|x_j|^e / max|w_j|^(1 - e),   x w^T = (x / s) (w s)^T
///
/// where max|w_j| is over all layers that read x. Exponent e = 0.5 gives both sides equal ranges.
/// The best e depends on the layer, so it is searched: the one with the smallest error of the
/// outputs of the quantized layers, or no smoothing. A channel that calibration never excited has
/// s = 1; a smaller s would multiply later values.
///
/// 1 / s goes into the layer before, if that is named; otherwise into input_factors of the
/// consumers. The user may fold these into the gain of a norm.
///
/// Source: Xiao et al. 2022, arXiv:2211.10438. Read before: network/observe.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/equalize/network/observe.hpp"
#include "fewbit/equalize/smooth/search.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// s_j = max(1e-5, amax_x_j^exponent / max(1e-5, amax_w_j)^(1 - exponent)); 1 where amax_x_j is 0.
///
/// @throws fewbit::error if the lengths differ, if a range is negative or not finite, or if the
///         exponent is outside 0 to 1
[[nodiscard]] inline Eigen::VectorXf smoothing_factors(const Eigen::VectorXf& amax_x,
                                                       const Eigen::VectorXf& amax_w,
                                                       double exponent) {
  constexpr const char* function = "smoothing_factors";
  detail::expect_equal(function, "length of amax_w", amax_w.size(), amax_x.size());
  if (!(exponent >= 0.0 && exponent <= 1.0)) detail::fail(function, "exponent", exponent, "0 to 1");
  Eigen::VectorXf s = Eigen::VectorXf::Ones(amax_x.size());
  for (index j = 0; j < s.size(); ++j) {
    for (const bool of_x : {true, false}) {
      const float amax = of_x ? amax_x[j] : amax_w[j];
      if (!detail::is_finite(amax) || amax < 0.0F) {
        detail::fail(function, detail::item(of_x ? "amax_x" : "amax_w", j), amax,
                     "a finite number, at least 0");
      }
    }
    if (amax_x[j] == 0.0F) continue;
    const double weights = std::pow(std::fmax(1e-5, double{amax_w[j]}), 1.0 - exponent);
    s[j] = static_cast<float>(std::fmax(1e-5, std::pow(double{amax_x[j]}, exponent) / weights));
  }
  return s;
}

struct smoothing_options {
  /// Exponents that are tried, each from 0 to 1. With 1, each channel fills the range exactly, so
  /// values that calibration did not see are clipped more often.
  std::vector<double> exponents = {0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9};
  /// Numbers of inputs that a group keeps to measure errors on.
  index sample_numbers = index{1} << 20;
  progress_function progress{};
};

namespace detail {

inline void expect_options(const char* function, const smoothing_options& options) {
  expect(!options.exponents.empty(), function, "number of exponents", 0, "at least 1");
  expect(options.sample_numbers >= 1, function, "sample_numbers", options.sample_numbers,
         "at least 1");
  for (const double e : options.exponents) {
    expect(e >= 0.0 && e <= 1.0, function, "exponent", e, "0 to 1");
  }
}

}  // namespace detail

/// Searches the factors of linear layers that read x.
///
/// @tparam S        scheme of the weights
/// @tparam X        scheme of x: per_tensor, or per_row for a scale for each row
/// @param x         samples x inputs
/// @param weights   each outputs x inputs
/// @param executor  runs the products
/// @throws fewbit::error if there are no weights, if a matrix is empty or not finite, if the
///         numbers of columns differ, or if the options are out of range
template <Scheme S, IntegerScheme X, Executor E = inline_executor>
[[nodiscard]] smoothing search_smoothing(const Eigen::Ref<const row_matrix<float>>& x,
                                         const std::vector<row_matrix<float>>& weights,
                                         const smoothing_options& options = {},
                                         const E& executor = {}) {
  constexpr const char* function = "search_smoothing";
  detail::expect_options(function, options);
  detail::expect_finite(function, "x", x);
  detail::expect(!weights.empty(), function, "number of weights", 0, "at least 1");
  std::vector<network_layer> layers;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const std::string argument = detail::item("weights", static_cast<std::int64_t>(i));
    detail::expect_finite(function, argument.c_str(), weights[i]);
    if (weights[i].cols() != x.cols()) {
      detail::fail(function, "number of columns of " + argument, weights[i].cols(), x.cols());
    }
    layers.emplace_back();
    layers.back().weights = weights[i];
  }
  detail::smoothing_data data;
  data.observe(x, x.cols());
  data.keep(x, std::max(options.sample_numbers / x.cols(), index{1}));
  return detail::smoothing_search<S, X, E>(std::move(layers), data, executor)
      .best(options.exponents, smoothing_factors);
}

/// Layers that read the same inputs.
struct smoothing_group {
  std::vector<std::string> consumers;  ///< all layers that read these inputs
  /// The layer that takes 1 / s, with at most relu or relu6 between; empty: the consumers take it.
  std::string producer{};
};

/// What smooth_layers did.
struct smoothing_report {
  std::vector<smoothing> groups;  ///< in the order of the groups
  bool cancelled = false;         ///< no layer was changed
};

namespace detail {

struct placed_group {
  std::vector<index> consumers;
  index producer = -1;
  index channels = 0;
};

inline placed_group place(const char* function, const layer_list& layers,
                          const smoothing_group& group) {
  placed_group placed;
  expect(!group.consumers.empty(), function, "number of consumers", 0, "at least 1");
  for (const std::string& name : group.consumers) {
    placed.consumers.push_back(layers.find(function, name));
    const network_layer& l = layers[placed.consumers.back()];
    const network_layer& first = layers[placed.consumers.front()];
    if (l.inputs() != first.inputs()) {
      fail(function, of_layer("number of inputs", l.name), l.inputs(),
           text(first.inputs()) + ", as of layer '" + first.name + "'");
    }
    if (l.input_factors.size() != 0) {
      fail(function, of_layer("input_factors", l.name), "set", "none: a layer is smoothed once");
    }
  }
  placed.channels = layers[placed.consumers.front()].input_channels();
  if (group.producer.empty()) return placed;
  placed.producer = layers.find(function, group.producer);
  placed.channels = layers[placed.producer].channels();
  for (const index c : placed.consumers) {
    if (c == placed.producer) {
      fail(function, of_layer("place in a group", layers[c].name), "producer and consumer",
           "one of them");
    }
    expect_reads(function, layers[placed.producer], layers[c]);
  }
  return placed;
}

/// Finds the layers of all groups. A layer is a consumer of one group at most, and the producer of
/// one group at most: otherwise other readers of its outputs would not follow the change.
inline std::vector<placed_group> place_all(const char* function, const layer_list& layers,
                                           const std::vector<smoothing_group>& groups) {
  std::vector<placed_group> placed;
  std::vector<bool> reads(static_cast<std::size_t>(layers.size()), false), writes = reads;
  const auto use = [&](index layer, std::vector<bool>& used, const char* what) {
    if (used[static_cast<std::size_t>(layer)])
      fail(function, of_layer(what, layers[layer].name), 2, 1);
    used[static_cast<std::size_t>(layer)] = true;
  };
  for (const smoothing_group& group : groups) {
    placed.push_back(place(function, layers, group));
    for (const index c : placed.back().consumers) use(c, reads, "number of groups");
    if (placed.back().producer >= 0)
      use(placed.back().producer, writes, "number of groups whose inputs are the outputs");
  }
  return placed;
}

/// Observes the inputs of all groups; false if cancelled. The first consumer stands for all.
template <Executor E>
bool observe_groups(const char* function, const layer_list& layers, const forward_function& forward,
                    const input_batches& batches, const smoothing_options& options,
                    const std::vector<placed_group>& groups, std::vector<smoothing_data>& data,
                    const E& executor) {
  data.resize(groups.size());
  observed_layers<char> seen;
  const auto use = [&](index layer, const row_matrix<float>& x, const row_matrix<float>&) {
    for (std::size_t g = 0; g < groups.size(); ++g) {
      if (groups[g].consumers.front() != layer) continue;
      data[g].observe(x, groups[g].channels);
      const index rows = std::max(options.sample_numbers / x.cols(), index{1});
      const index quota = (rows + batches.count() - 1) / batches.count();
      data[g].keep(x, std::min(quota, rows - data[g].sample.rows()));
    }
  };
  if (!watch_layers(function, layers, forward, batches, options.progress, seen, use, executor))
    return false;
  for (const placed_group& group : groups) {
    const index first = group.consumers.front();
    if (seen.calls[static_cast<std::size_t>(first)] == 0) {
      fail(function, of_layer("number of calls", layers[first].name), 0, "at least 1");
    }
  }
  return true;
}

}  // namespace detail

/// Smooths the inputs of groups of layers where that makes the error of their outputs smaller.
/// Errors are measured on the inputs of the network in float. The outputs of the network in float
/// are the same up to rounding.
///
/// Memory: sample_numbers floats for each group, their outputs, and copies of the changed layers.
///
/// @tparam S, X     as in search_smoothing
/// @param executor  runs the layers
/// @throws fewbit::error if a layer is not found, is not called, has input_factors, or is a
///         consumer or the producer of two groups, if the layers of a group read different numbers
///         of inputs, and for bad batches and options. All layers are then unchanged.
template <Scheme S, IntegerScheme X, Executor E = inline_executor>
smoothing_report smooth_layers(layer_list& layers, const forward_function& forward,
                               const input_batches& batches,
                               const std::vector<smoothing_group>& groups,
                               const smoothing_options& options = {}, const E& executor = {}) {
  constexpr const char* function = "smooth_layers";
  detail::expect_options(function, options);
  const std::vector<detail::placed_group> placed = detail::place_all(function, layers, groups);
  smoothing_report report;
  std::vector<detail::smoothing_data> data;
  report.cancelled =
      !detail::observe_groups(function, layers, forward, batches, options, placed, data, executor);
  if (report.cancelled) return report;
  detail::layer_draft draft(layers);
  for (std::size_t g = 0; g < placed.size(); ++g) {
    std::vector<network_layer> readers;
    for (const index c : placed[g].consumers) readers.push_back(draft[c]);
    report.groups.push_back(detail::smoothing_search<S, X, E>(std::move(readers), data[g], executor)
                                .best(options.exponents, smoothing_factors));
    const smoothing& found = report.groups.back();
    if (!found.is_smoothed) continue;
    if (placed[g].producer >= 0)
      detail::divide_outputs(draft.change(placed[g].producer), found.factors);
    for (const index c : placed[g].consumers) {
      network_layer& l = draft.change(c);
      detail::scale_inputs(l, found.factors);
      if (placed[g].producer < 0) l.input_factors = detail::inverse_factors(l, found.factors);
    }
  }
  draft.commit();
  return report;
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
