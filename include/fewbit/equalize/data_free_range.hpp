#pragma once
/// Ranges of activations from the statistics of folded batch norms, without data.
///
///     const range r = data_free_range(layers[conv1]);          // outputs of a layer
///     plan[conv2].inputs = codes_of<uint8_affine>(r);          // the inputs of the next one
///
/// The outputs of channel c before the activation lie within beta_c +- 6 gamma_c for all but two in
/// 10^9 of normal numbers. The range of a layer covers those of all channels, after the activation.
/// It is wider than a calibrated range, because few channels reach 6 deviations.
///
/// Source: Nagel et al. 2019, arXiv:1906.04721, section 5 (n = 6). Read before: batch_norm.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cmath>

#include "fewbit/equalize/network/layer.hpp"
#include "fewbit/quant/range.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// [min (means - width |deviations|), max (means + width |deviations|)], after the activation.
///
/// @param caps  of relu6, one for each channel; empty: all are 6
/// @throws fewbit::error if the lengths differ, if there is no channel, or if a number or the width
///         is not finite or the width is negative
[[nodiscard]] inline range data_free_range(const Eigen::VectorXf& means,
                                           const Eigen::VectorXf& deviations,
                                           layer_activation activation = layer_activation::none,
                                           const Eigen::VectorXf& caps = Eigen::VectorXf(),
                                           float width = 6.0F) {
  constexpr const char* function = "data_free_range";
  detail::expect_finite(function, "means", means.transpose());
  detail::expect_equal(function, "length of deviations", deviations.size(), means.size());
  detail::expect_finite(function, "deviations", deviations.transpose());
  if (caps.size() != 0) detail::expect_equal(function, "length of caps", caps.size(), means.size());
  if (!detail::is_finite(width) || width < 0.0F) {
    detail::fail(function, "width", width, "a finite number, at least 0");
  }
  const auto activated = [&](float x, index c) {
    if (activation == layer_activation::none) return x;
    const float cap = caps.size() == 0 ? 6.0F : caps[c];
    return std::max(activation == layer_activation::relu6 ? std::min(x, cap) : x, 0.0F);
  };
  range all{};
  for (index c = 0; c < means.size(); ++c) {
    const float reach = width * std::abs(deviations[c]);
    const range r{activated(means[c] - reach, c), activated(means[c] + reach, c)};
    all = c == 0 ? r : range{std::min(all.lo, r.lo), std::max(all.hi, r.hi)};
  }
  return all;
}

/// The range of the outputs of a layer with statistics.
/// @throws fewbit::error if the layer has no output_means
[[nodiscard]] inline range data_free_range(const network_layer& l, float width = 6.0F) {
  if (!l.has_statistics()) {
    detail::fail("data_free_range", detail::of_layer("output_means", l.name), "empty",
                 "those of a folded batch norm");
  }
  return data_free_range(l.output_means, l.output_deviations, l.activation, l.caps, width);
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
