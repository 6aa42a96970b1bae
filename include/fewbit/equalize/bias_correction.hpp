#pragma once
/// Corrects biases for the mean error of quantized weights.
///
///     b -= bias_shift(w, fake_quantize<int4_per_row>(w), means_of_inputs);     // matrices
///     correct_biases_by_statistics(plan, links);                // a network, without data
///     correct_biases_by_data(plan, forward, batches);           // a network, with data
///
/// Quantized weights W' move the mean of an output by (W' - W) E[x]. Subtracting this from the bias
/// costs nothing at run time.
///
/// | E[x]       | from                                                                            |
/// |------------|---------------------------------------------------------------------------------|
/// | statistics | folded batch norms: x = activation(normal of mean beta and deviation |gamma|)   |
/// | data       | the difference of the mean outputs, layer by layer, earlier layers corrected    |
///
/// The correction by data also contains the effect of quantized inputs and of earlier layers.
///
/// Source: Nagel et al. 2019, arXiv:1906.04721, section 4.2. Read before: network/simulate.hpp.
/// Read next: bias_from_data.hpp.

#include "fewbit/begin.hpp"

#include <cmath>
#include <cstddef>
#include <limits>
#include <utility>
#include <vector>

#include "fewbit/equalize/channels.hpp"
#include "fewbit/equalize/network/simulate.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// The mean of clamp(x, lo, hi) for a normal x. With a = (lo - mean) / g, c = (hi - mean) / g,
/// g = |deviation|, density phi and distribution function Phi:
///
///     g (phi(a) - phi(c)) + mean (Phi(c) - Phi(a)) + lo Phi(a) + hi (1 - Phi(c))
///
/// @param deviation  of any sign; 0 gives clamp(mean, lo, hi)
/// @param lo, hi     may be infinite
[[nodiscard]] inline double mean_of_clamped_normal(double mean, double deviation, double lo,
                                                   double hi) noexcept {
  const double g = std::fabs(deviation);
  if (g == 0.0) return std::fmin(std::fmax(mean, lo), hi);
  const auto density = [](double x) { return 0.3989422804014327 * std::exp(-x * x / 2.0); };
  const auto below = [](double x) { return std::erfc(-x * 0.7071067811865476) / 2.0; };
  const double a = (lo - mean) / g, c = (hi - mean) / g;
  constexpr double largest = std::numeric_limits<double>::max();
  const double at_lo = lo < -largest ? 0.0 : lo * below(a);
  const double at_hi = hi > largest ? 0.0 : hi * below(-c);
  return g * (density(a) - density(c)) + mean * (below(c) - below(a)) + at_lo + at_hi;
}

/// The mean of each output channel of a layer with statistics, after its activation.
/// @throws fewbit::error if the layer has no output_means
[[nodiscard]] inline Eigen::VectorXf expected_outputs(const network_layer& l) {
  if (!l.has_statistics()) {
    detail::fail("expected_outputs", detail::of_layer("output_means", l.name), "empty",
                 "those of a folded batch norm");
  }
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const double lo = l.activation == layer_activation::none ? -infinity : 0.0;
  Eigen::VectorXf means(l.channels());
  for (index c = 0; c < l.channels(); ++c) {
    const double hi = l.activation == layer_activation::relu6 ? double{l.cap(c)} : infinity;
    means[c] = static_cast<float>(
        mean_of_clamped_normal(l.output_means[c], l.output_deviations[c], lo, hi));
  }
  return means;
}

namespace detail {

/// (weights - those of the layer) E[x], in double.
inline Eigen::VectorXf shift_of(const network_layer& l, const row_matrix<float>& weights,
                                const Eigen::VectorXf& means) {
  network_layer difference = l;
  difference.weights = weights - l.weights;
  difference.bias = {};
  add_products(difference, means);
  return difference.bias;
}

}  // namespace detail

/// (quantized - weights) E[x]: what quantized weights add to the mean of each output.
///
/// @param means  E[x]; column j reads channel j % length of means
/// @throws fewbit::error if the shapes do not fit or a number is not finite
[[nodiscard]] inline Eigen::VectorXf bias_shift(
    const Eigen::Ref<const row_matrix<float>>& weights,
    const Eigen::Ref<const row_matrix<float>>& quantized, const Eigen::VectorXf& means) {
  constexpr const char* function = "bias_shift";
  detail::expect_finite(function, "weights", weights);
  detail::expect_finite(function, "quantized", quantized);
  detail::expect_same_shape(function, "quantized", weights.rows(), weights.cols(), quantized.rows(),
                            quantized.cols());
  detail::expect_finite(function, "means", means.transpose());
  if (weights.cols() % means.size() != 0) {
    detail::fail(function, "number of columns of weights", weights.cols(),
                 "a multiple of the length of means, " + detail::text(means.size()));
  }
  network_layer l;
  l.weights = weights;
  return detail::shift_of(l, quantized, means);
}

/// Corrects the biases of a simulation by statistics of folded batch norms, without data: those of
/// the consumers of each link. The statistics are those of the layer that they read.
///
/// @throws fewbit::error if a layer is not found, channels do not fit, a producer has no
///         statistics, a layer reads the channels of two links, or weights or bias of the
///         simulation do not fit their layer. The simulation is then unchanged.
inline void correct_biases_by_statistics(simulation& plan, const std::vector<channel_link>& links) {
  constexpr const char* function = "correct_biases_by_statistics";
  std::vector<detail::placed_link> all;
  all.reserve(links.size());
  for (const channel_link& link : links)
    all.push_back(detail::place(function, plan.layers(), link));
  detail::expect_different_links(function, plan.layers(), all, true);
  std::vector<Eigen::VectorXf> corrected(static_cast<std::size_t>(plan.size()));
  const auto correct = [&](index consumer, const Eigen::VectorXf& means) {
    const network_layer& l = plan.layers()[consumer];
    detail::expect_planned_shapes(function, l, plan.weights(consumer), plan.bias(consumer));
    const Eigen::VectorXf shift = detail::shift_of(l, plan.weights(consumer), means);
    const Eigen::VectorXf& bias = plan.bias(consumer);
    corrected[static_cast<std::size_t>(consumer)] =
        bias.size() == 0 ? Eigen::VectorXf(-shift) : Eigen::VectorXf(bias - shift);
  };
  for (const detail::placed_link& placed : all) {
    if (placed.depthwise >= 0)
      correct(placed.depthwise, expected_outputs(plan.layers()[placed.producer]));
    const Eigen::VectorXf means = expected_outputs(plan.layers()[placed.last()]);
    for (const index c : placed.consumers) correct(c, means);
  }
  for (index i = 0; i < plan.size(); ++i) {
    Eigen::VectorXf& bias = corrected[static_cast<std::size_t>(i)];
    if (bias.size() == 0) continue;
    plan[i].bias = std::move(bias);
    plan[i].has_bias = true;
  }
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
