#pragma once
/// Outlier channel splitting for the layers of a network.
///
///     simulation plan(layers);
///     const auto done = outlier_split_pass<scheme<int4, per_tensor>>(plan, 0.02);
///     // plan computes with the codes of the split weights; done.layers has them
///     const split_layer<S>& l = done.layers[0];
///     compute_in_float(l.wide, repeat_channels(x, l), y);    // or a layer of l.codes
///
/// Channels of a convolution are split with all their taps: weights of out x (row, column, channel)
/// are a matrix of (out * taps) x channels. A depthwise layer and a convolution with groups keep
/// their channels, because each output reads few of them. A layer is split if this lowers the error
/// of its weights. No data are needed. Memory: two copies of the largest layer, and the result.
/// Read before: outlier_split.hpp, network/simulate.hpp.

#include "fewbit/begin.hpp"

#include <cstddef>
#include <type_traits>
#include <utility>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/rows.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/equalize/network/batches.hpp"
#include "fewbit/equalize/network/layer.hpp"
#include "fewbit/equalize/network/layer_list.hpp"
#include "fewbit/equalize/network/simulate.hpp"
#include "fewbit/equalize/outlier_split.hpp"
#include "fewbit/quant/quantize.hpp"
#include "fewbit/quant/quantized_matrix.hpp"
#include "fewbit/quant/scheme.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// Schemes that outlier_split_pass accepts: symmetric integers with one scale for the matrix.
template <class S>
concept SplitScheme =
    IntegerScheme<S> && std::is_same_v<typename S::granularity, per_tensor> && !S::is_affine &&
    !S::has_minimum && !S::is_random && S::storage::bits >= 2 && S::storage::bits <= 16;

/// A layer whose input channels were split.
template <SplitScheme S>
struct split_layer {
  index layer = 0;             ///< its position in the list
  network_layer wide;          ///< the layer in float with more input channels
  quantized_matrix<S> codes;   ///< of wide.weights
  std::vector<index> sources;  ///< channel j of `wide` reads channel sources[j] of the inputs
  double plain_error = 0.0;    ///< |W - Q|^2 without a split
  double squared_error = 0.0;  ///< the same with joined codes
};

/// What outlier_split_pass did.
template <SplitScheme S>
struct outlier_split_report {
  std::vector<split_layer<S>> layers;  ///< that were split, in the order of the list
  std::vector<index> not_split;        ///< layers that stay as they were
  bool cancelled = false;              ///< the simulation was not changed
};

namespace detail {

/// Weights with one input channel in each column.
[[nodiscard]] inline row_matrix<float> channels_as_columns(const network_layer& l) {
  const index channels = l.input_channels();
  return Eigen::Map<const row_matrix<float>>(l.weights.data(), l.weights.size() / channels,
                                             channels);
}

/// Sums of the columns of each source: n x channels.
[[nodiscard]] inline row_matrix<float> joined_columns(const row_matrix<float>& parts,
                                                      const std::vector<index>& sources,
                                                      index channels) {
  row_matrix<float> joined = row_matrix<float>::Zero(parts.rows(), channels);
  for (std::size_t j = 0; j < sources.size(); ++j)
    joined.col(sources[j]) += parts.col(static_cast<index>(j));
  return joined;
}

/// The layer with repeated input channels.
[[nodiscard]] inline network_layer widened(const network_layer& l, const split_weights& split) {
  network_layer wide = l;
  const auto channels = static_cast<index>(split.sources.size());
  wide.weights = Eigen::Map<const row_matrix<float>>(split.weights.data(), l.channels(),
                                                     split.weights.size() / l.channels());
  if (l.kind == layer_kind::conv2d) wide.image.channels = channels;
  if (l.input_factors.size() == 0) return wide;
  wide.input_factors.resize(channels);
  for (index j = 0; j < channels; ++j)
    wide.input_factors[j] = l.input_factors[split.sources[static_cast<std::size_t>(j)]];
  return wide;
}

}  // namespace detail

/// The inputs of a split layer: channels of each pixel in the order of its sources.
/// @throws fewbit::error if a row of x has not the channels that were split
template <SplitScheme S>
[[nodiscard]] row_matrix<float> repeat_channels(const row_matrix<float>& x,
                                                const split_layer<S>& l) {
  const index wide = l.wide.input_channels(), pixels = l.wide.inputs() / wide;
  detail::expect(x.cols() % pixels == 0, "repeat_channels", "number of columns of x", x.cols(),
                 "a multiple of " + detail::text(pixels) + ", the number of pixels");
  const Eigen::Map<const row_matrix<float>> channels(x.data(), x.rows() * pixels,
                                                     x.cols() / pixels);
  const row_matrix<float> repeated = repeat_columns(channels, l.sources);
  return Eigen::Map<const row_matrix<float>>(repeated.data(), x.rows(), pixels * wide);
}

/// Splits the input channels with the largest weights of each layer, and makes the plan compute
/// with the codes.
///
/// @param share     copies per channel, from 0 to 1
/// @param progress  called before each layer
/// @throws fewbit::error if share is out of range. The simulation is then unchanged.
template <SplitScheme S>
outlier_split_report<S> outlier_split_pass(simulation& plan, double share,
                                           const progress_function& progress = {}) {
  const char* function = "outlier_split_pass";
  detail::expect(share >= 0.0 && share <= 1.0, function, "share", share, "0 to 1");
  outlier_split_report<S> result;
  std::vector<row_matrix<float>> joined;
  for (index i = 0; i < plan.size(); ++i) {
    if (!detail::may_continue(progress, {function, i, plan.size()})) return {{}, {}, true};
    const network_layer& l = plan.layers()[i];
    result.not_split.push_back(i);
    if (l.kind == layer_kind::depthwise_conv2d || (l.kind == layer_kind::conv2d && l.groups != 1))
      continue;
    const row_matrix<float> w = detail::channels_as_columns(l);
    const split_weights split = split_outliers(w, share, S::storage::bits);
    split_layer<S> made{i, detail::widened(l, split), {}, split.sources};
    made.codes = quantize<S>(made.wide.weights, quant_params{split.scale, 0});
    const row_matrix<float> coded = dequantize(made.codes);
    const Eigen::Map<const row_matrix<float>> parts(coded.data(), w.rows(), split.weights.cols());
    row_matrix<float> values = detail::joined_columns(parts, split.sources, w.cols());
    made.plain_error = (w - fake_quantize<S>(w)).template cast<double>().squaredNorm();
    made.squared_error = (w - values).template cast<double>().squaredNorm();
    if (!(made.squared_error < made.plain_error)) continue;
    result.not_split.pop_back();
    result.layers.push_back(std::move(made));
    joined.push_back(std::move(values));
  }
  for (std::size_t i = 0; i < joined.size(); ++i) {
    const index layer = result.layers[i].layer;
    const network_layer& l = plan.layers()[layer];
    plan[layer].weights =
        Eigen::Map<const row_matrix<float>>(joined[i].data(), l.channels(), l.depth());
  }
  return result;
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
