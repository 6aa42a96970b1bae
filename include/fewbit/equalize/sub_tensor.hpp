#pragma once
/// Few scales for a matrix whose rows differ in range: rows sorted by range, and neighbours share a
/// scale.
///
///     const shared_scales s = choose_shared_scales<int8>(w, 30.0);   // at least 30 dB in each row
///     const auto q = quantize<scheme<int8, sub_tensor<8>>>(rows_in_order(w, s.order));
///     share_layer_scales<int8>(layers, {{"expand", "depthwise", {"project"}}}, 30.0);
///
/// One scale for a matrix gives few codes to its narrow rows, as in depthwise convolutions. One
/// scale for each row repairs that, where the target supports it. Between both, G rows share a
/// scale: sub_tensor<G> of quant/granularity.hpp. Sorted by range, rows of a group have similar
/// ranges. Sorting permutes the output channels, so the layers that read them are permuted, too.
///
/// The split is this library's own reading of the title of arXiv:2011.08009 (Subtensor Quantization
/// for MobileNets, 2020). Read before: channels.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "fewbit/equalize/channels.hpp"
#include "fewbit/quant/quantize.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// How the rows of a matrix share scales.
struct shared_scales {
  std::vector<index> order;  ///< row order[i] of the matrix becomes row i: the widest comes first
  index rows_per_scale = 1;  ///< G of sub_tensor<G>
  index scales = 0;          ///< number of scales
  double worst_db = 0.0;     ///< the smallest signal to noise of a row, in decibels
};

/// Rows in another order: row order[i] becomes row i.
/// @throws fewbit::error unless `order` has each row once
[[nodiscard]] inline row_matrix<float> rows_in_order(const Eigen::Ref<const row_matrix<float>>& w,
                                                     const std::vector<index>& order) {
  constexpr const char* function = "rows_in_order";
  detail::expect_equal(function, "length of order", static_cast<index>(order.size()), w.rows());
  std::vector<bool> used(order.size(), false);
  row_matrix<float> sorted(w.rows(), w.cols());
  for (std::size_t i = 0; i < order.size(); ++i) {
    const index r = order[i];
    const bool is_row = r >= 0 && r < w.rows() && !used[static_cast<std::size_t>(r)];
    if (!is_row) {
      detail::fail(function, detail::item("order", static_cast<std::int64_t>(i)), r,
                   "each row once");
    }
    used[static_cast<std::size_t>(r)] = true;
    sorted.row(static_cast<index>(i)) = w.row(r);
  }
  return sorted;
}

/// The smallest signal to noise of a row in decibels, if `rows_per_scale` neighbouring rows share a
/// scale. Rows of zeros do not count; infinite if no row has an error.
///
/// @throws fewbit::error if w is empty or not finite, or if rows_per_scale is less than 1
template <IntegerStorage St, ZeroPoint Zp = symmetric>
[[nodiscard]] double worst_row_db(const Eigen::Ref<const row_matrix<float>>& w,
                                  index rows_per_scale) {
  constexpr const char* function = "worst_row_db";
  detail::expect_finite(function, "w", w);
  detail::expect(rows_per_scale >= 1, function, "rows_per_scale", rows_per_scale, "at least 1");
  double worst = std::numeric_limits<double>::infinity();
  for (index first = 0; first < w.rows(); first += rows_per_scale) {
    const index count = std::min(rows_per_scale, w.rows() - first);
    const row_matrix<float> group = w.middleRows(first, count);
    const row_matrix<float> coded = dequantize(quantize<scheme<St, per_tensor, Zp>>(group));
    for (index r = 0; r < count; ++r) {
      const double signal = group.row(r).cast<double>().squaredNorm();
      const double noise = (group.row(r) - coded.row(r)).cast<double>().squaredNorm();
      if (noise == 0.0) continue;
      worst = std::min(worst, 10.0 * std::log10(signal / noise));
    }
  }
  return worst;
}

namespace detail {

/// Rows by descending range; equal ranges keep their order.
inline std::vector<index> rows_by_range(const row_matrix<float>& w) {
  const Eigen::VectorXf ranges = output_channel_ranges(w);
  std::vector<index> order(static_cast<std::size_t>(w.rows()));
  std::iota(order.begin(), order.end(), index{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](index a, index b) { return ranges[a] > ranges[b]; });
  return order;
}

/// The number of rows per scale for rows as they are.
template <IntegerStorage St, ZeroPoint Zp>
shared_scales choose_in_order(const row_matrix<float>& w, double target_db) {
  shared_scales chosen;
  while (chosen.rows_per_scale < w.rows()) chosen.rows_per_scale *= 2;
  chosen.worst_db = worst_row_db<St, Zp>(w, chosen.rows_per_scale);
  while (chosen.worst_db < target_db && chosen.rows_per_scale > 1) {
    chosen.rows_per_scale /= 2;
    chosen.worst_db = worst_row_db<St, Zp>(w, chosen.rows_per_scale);
  }
  chosen.scales = (w.rows() + chosen.rows_per_scale - 1) / chosen.rows_per_scale;
  return chosen;
}

}  // namespace detail

/// Chooses the order of the rows, and the largest number of rows that share a scale, of all powers
/// of two, for which each row has at least `target_db` decibels of signal to noise. If even a scale
/// for each row does not reach that, it is chosen.
///
/// @throws fewbit::error if w is empty or not finite, or if target_db is not finite
template <IntegerStorage St, ZeroPoint Zp = symmetric>
[[nodiscard]] shared_scales choose_shared_scales(const Eigen::Ref<const row_matrix<float>>& w,
                                                 double target_db) {
  constexpr const char* function = "choose_shared_scales";
  detail::expect_finite(function, "w", w);
  detail::expect(std::fabs(target_db) <= 1e6, function, "target_db", target_db, "a finite number");
  const std::vector<index> order = detail::rows_by_range(w);
  shared_scales chosen = detail::choose_in_order<St, Zp>(rows_in_order(w, order), target_db);
  chosen.order = order;
  return chosen;
}

namespace detail {

inline Eigen::VectorXf in_order(const Eigen::VectorXf& v, const std::vector<index>& order) {
  if (v.size() == 0) return v;
  return rows_in_order(v, order).col(0);
}

/// Output channel order[i] becomes channel i.
inline void permute_outputs(network_layer& l, const std::vector<index>& order) {
  l.weights = rows_in_order(l.weights, order);
  for (Eigen::VectorXf* v : {&l.bias, &l.caps, &l.output_means, &l.output_deviations})
    *v = in_order(*v, order);
}

/// Input channel order[i] becomes channel i. Not for depthwise layers and groups.
inline void permute_inputs(network_layer& l, const std::vector<index>& order) {
  const auto channels = static_cast<index>(order.size());
  const network_layer old = l;
  for (index first = 0; first < l.depth(); first += channels) {
    for (index i = 0; i < channels; ++i) {
      const index from = order[static_cast<std::size_t>(i)];
      l.weights.col(first + i) = old.weights.col(first + from);
      if (first + i < l.input_factors.size())
        l.input_factors[first + i] = old.input_factors[first + from];
    }
  }
}

/// Fails unless the channels of a layer can take any order: outputs of a producer, inputs of a
/// consumer.
inline void expect_permutable(const char* function, const network_layer& l) {
  if (l.kind == layer_kind::depthwise_conv2d) {
    fail(function, of_layer("kind", l.name), "depthwise_conv2d",
         "conv2d or linear; name it as the depthwise layer of a link");
  }
  if (l.kind == layer_kind::conv2d && l.groups != 1)
    fail(function, of_layer("groups", l.name), l.groups, 1);
}

}  // namespace detail

/// What share_layer_scales did with one link: the scales of its producer and its depthwise layer.
struct shared_layer_scales {
  shared_scales producer;
  shared_scales depthwise;  ///< without scales if the link has no depthwise layer
};

/// Sorts the output channels of the producers of links, and chooses how many share a scale. With a
/// depthwise layer between, its rows give the order, because its ranges differ most; the producer's
/// scales are chosen in that order. The outputs of the network do not change.
///
/// @throws fewbit::error if a layer is not found, channels do not fit, a layer writes or reads the
///         channels of two links, a consumer is a depthwise layer, or the producer or a consumer
///         has groups. All layers are then unchanged.
template <IntegerStorage St, ZeroPoint Zp = symmetric>
std::vector<shared_layer_scales> share_layer_scales(layer_list& layers,
                                                    const std::vector<channel_link>& links,
                                                    double target_db) {
  constexpr const char* function = "share_layer_scales";
  std::vector<shared_layer_scales> report;
  detail::layer_draft draft(layers);
  for (const detail::placed_link& placed : detail::place_all(function, layers, links)) {
    detail::expect_permutable(function, layers[placed.producer]);
    for (const index c : placed.consumers) detail::expect_permutable(function, layers[c]);
    shared_layer_scales chosen;
    const shared_scales first =
        choose_shared_scales<St, Zp>(draft[placed.last()].weights, target_db);
    detail::permute_outputs(draft.change(placed.producer), first.order);
    if (placed.depthwise >= 0) {
      detail::permute_outputs(draft.change(placed.depthwise), first.order);
      chosen.depthwise = first;
      chosen.producer = detail::choose_in_order<St, Zp>(draft[placed.producer].weights, target_db);
      chosen.producer.order = first.order;
    } else {
      chosen.producer = first;
    }
    for (const index c : placed.consumers) detail::permute_inputs(draft.change(c), first.order);
    report.push_back(std::move(chosen));
  }
  draft.commit();
  return report;
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
