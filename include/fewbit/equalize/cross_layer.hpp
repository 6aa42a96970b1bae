#pragma once
/// Cross-layer equalization: channels of equal range, without data.
///
///     equalize_pair(w1, b1, w2);                                 // matrices
///     equalize_layers(layers, {{.producer = "expand", .depthwise = "depthwise",
///                               .consumers = {"project"}}});     // a network
///
/// One scale for a matrix of weights fits badly where one channel is 100 times as wide as another.
/// relu(s x) = s relu(x) for s > 0, so output channel i of a layer may be divided by s_i and the
/// weights that read it multiplied. With r1 the range of the channel in the first layer and r2 in
/// the second,
///
///     s = sqrt(r1) / sqrt(r2)                           both ranges become sqrt(r1 r2)
///     k = cbrt(r1 r2 r3), s12 = r1 / k, s23 = k / r3    with a depthwise layer: all become k
///
/// Square roots are taken first, because r1 r2 can underflow. A channel with a range of 0 keeps
/// s = 1. relu6(s x) is not s relu6(x): the cap of the channel becomes 6 / s.
/// The outputs of the network are the same up to rounding. Weights with a scale for each channel
/// gain little; inputs quantized per tensor can gain or lose.
///
/// Source: Nagel et al. 2019, arXiv:1906.04721 (data-free quantization), section 4.1.
/// Read before: channels.hpp. Read next: bias_absorption.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "fewbit/core/rows.hpp"
#include "fewbit/equalize/channels.hpp"
#include "fewbit/equalize/network/batches.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// Scales of channels lie between 1 / largest_channel_scale and this, because biases and caps are
/// divided by them, too.
inline constexpr double largest_channel_scale = 1e6;

/// The scales of a depthwise layer's inputs (s12) and outputs (s23).
struct triple_scales {
  Eigen::VectorXf before;  ///< the first layer is divided by them
  Eigen::VectorXf after;   ///< the depthwise layer is divided by them
};

namespace detail {

inline float limited_scale(double s) noexcept {
  return static_cast<float>(std::clamp(s, 1.0 / largest_channel_scale, largest_channel_scale));
}

}  // namespace detail

/// s_i = sqrt(r1_i) / sqrt(r2_i); 1 if one of them is 0.
/// @param r1, r2  ranges, finite and not negative, of equal length
[[nodiscard]] inline Eigen::VectorXf pair_scales(const Eigen::VectorXf& r1,
                                                 const Eigen::VectorXf& r2) {
  detail::expect_equal("pair_scales", "length of r2", r2.size(), r1.size());
  Eigen::VectorXf scales = Eigen::VectorXf::Ones(r1.size());
  for (index i = 0; i < r1.size(); ++i) {
    if (!(r1[i] > 0.0F && r2[i] > 0.0F)) continue;
    scales[i] = detail::limited_scale(std::sqrt(double{r1[i]}) / std::sqrt(double{r2[i]}));
  }
  return scales;
}

/// s12 = r1 / k and s23 = k / r3 for k = cbrt(r1) cbrt(r2) cbrt(r3); 1 if one of them is 0.
/// @param r1, r2, r3  ranges, finite and not negative, of equal length
[[nodiscard]] inline triple_scales scales_of_triple(const Eigen::VectorXf& r1,
                                                    const Eigen::VectorXf& r2,
                                                    const Eigen::VectorXf& r3) {
  detail::expect_equal("scales_of_triple", "length of r2", r2.size(), r1.size());
  detail::expect_equal("scales_of_triple", "length of r3", r3.size(), r1.size());
  triple_scales s{Eigen::VectorXf::Ones(r1.size()), Eigen::VectorXf::Ones(r1.size())};
  for (index i = 0; i < r1.size(); ++i) {
    if (!(r1[i] > 0.0F && r2[i] > 0.0F && r3[i] > 0.0F)) continue;
    const double k = std::cbrt(double{r1[i]}) * std::cbrt(double{r2[i]}) * std::cbrt(double{r3[i]});
    s.before[i] = detail::limited_scale(r1[i] / k);
    s.after[i] = detail::limited_scale(k / r3[i]);
  }
  return s;
}

/// Divides the rows of w1 and b1 by s and multiplies the columns of w2 by s, with the s of
/// pair_scales.
///
/// @param w1  channels x inputs; @param b1  channels numbers, or none
/// @param w2  outputs x (pixels, channels): column j reads channel j % channels
/// @return    s; caps of a relu6 between the layers must be divided by it
/// @throws fewbit::error if a matrix is empty or not finite, or if the shapes do not chain. All
///         matrices are then unchanged.
inline Eigen::VectorXf equalize_pair(row_matrix<float>& w1, Eigen::VectorXf& b1,
                                     row_matrix<float>& w2) {
  constexpr const char* function = "equalize_pair";
  network_layer first, second;
  first.name = "w1";
  first.weights = w1;
  first.bias = b1;
  second.name = "w2";
  second.weights = w2;
  detail::expect_valid_layer(function, first);
  detail::expect_valid_layer(function, second);
  detail::expect_reads(function, first, second);
  Eigen::VectorXf s =
      pair_scales(output_channel_ranges(w1), detail::input_ranges(second, w1.rows()));
  detail::divide_outputs(first, s);
  detail::scale_inputs(second, s);
  w1 = std::move(first.weights);
  b1 = std::move(first.bias);
  w2 = std::move(second.weights);
  return s;
}

struct equalization_options {
  /// The pass is repeated over all links until no scale differs from 1 by more than `tolerance`, or
  /// this often: a layer that belongs to two links needs several rounds.
  index rounds = 20;
  double tolerance = 1e-3;
  progress_function progress{};
};

/// What a pass did.
struct equalization_report {
  /// The largest range of an output channel over the smallest that is not 0, of the producer of
  /// each link.
  std::vector<double> spread_before;
  std::vector<double> spread_after;
  index rounds = 0;
  bool converged = false;
  bool cancelled = false;  ///< no layer was changed
};

namespace detail {

inline double spread_of(const Eigen::VectorXf& ranges) noexcept {
  double largest = 0.0, smallest = 0.0;
  for (index i = 0; i < ranges.size(); ++i) {
    const double r = ranges[i];
    if (r == 0.0) continue;
    largest = std::fmax(largest, r);
    smallest = smallest == 0.0 ? r : std::fmin(smallest, r);
  }
  return smallest == 0.0 ? 1.0 : largest / smallest;
}

/// The largest |log s|.
inline double largest_change(const Eigen::VectorXf& s) noexcept {
  return s.size() == 0 ? 0.0 : s.cast<double>().array().log().abs().maxCoeff();
}

/// Equalizes one link once. Returns the largest |log s|.
inline double equalize_link(layer_draft& draft, const placed_link& link) {
  const index channels = draft[link.producer].channels();
  Eigen::VectorXf reads = Eigen::VectorXf::Zero(channels);
  for (const index c : link.consumers) reads = reads.cwiseMax(input_ranges(draft[c], channels));
  const Eigen::VectorXf writes = output_channel_ranges(draft[link.producer].weights);
  if (link.depthwise < 0) {
    const Eigen::VectorXf s = pair_scales(writes, reads);
    divide_outputs(draft.change(link.producer), s);
    for (const index c : link.consumers) scale_inputs(draft.change(c), s);
    return largest_change(s);
  }
  const Eigen::VectorXf between = output_channel_ranges(draft[link.depthwise].weights);
  const triple_scales s = scales_of_triple(writes, between, reads);
  divide_outputs(draft.change(link.producer), s.before);
  scale_inputs(draft.change(link.depthwise), s.before);
  divide_outputs(draft.change(link.depthwise), s.after);
  for (const index c : link.consumers) scale_inputs(draft.change(c), s.after);
  return std::fmax(largest_change(s.before), largest_change(s.after));
}

inline void expect_options(const char* function, const equalization_options& options) {
  expect(options.rounds >= 1, function, "rounds", options.rounds, "at least 1");
  expect(options.tolerance >= 0.0, function, "tolerance", options.tolerance, "at least 0");
}

}  // namespace detail

/// Equalizes the channels of all links, round by round. Weights, biases, caps and statistics of the
/// layers change; the outputs of the network do not.
///
/// @throws fewbit::error if a layer is not found, if channels do not fit, if a link uses a layer
///         twice, or if a layer writes or reads the channels of two links. All layers are then
///         unchanged.
inline equalization_report equalize_layers(layer_list& layers,
                                           const std::vector<channel_link>& links,
                                           const equalization_options& options = {}) {
  constexpr const char* function = "equalize_layers";
  detail::expect_options(function, options);
  const std::vector<detail::placed_link> placed = detail::place_all(function, layers, links);
  equalization_report report;
  const auto spreads = [&](const auto& of) {
    std::vector<double> all;
    all.reserve(placed.size());
    for (const detail::placed_link& link : placed)
      all.push_back(detail::spread_of(output_channel_ranges(of[link.producer].weights)));
    return all;
  };
  report.spread_before = spreads(layers);
  detail::layer_draft draft(layers);
  while (!report.converged && report.rounds < options.rounds) {
    if (!detail::may_continue(options.progress, {function, report.rounds, options.rounds})) {
      report.cancelled = true;
      report.spread_after = report.spread_before;
      return report;
    }
    double change = 0.0;
    for (const detail::placed_link& link : placed)
      change = std::fmax(change, detail::equalize_link(draft, link));
    ++report.rounds;
    report.converged = change <= options.tolerance;
  }
  report.spread_after = spreads(draft);
  draft.commit();
  return report;
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
