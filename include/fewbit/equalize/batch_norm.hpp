#pragma once
/// Folds a batch norm into the layer before it.
///
///     batch_norm norm{gamma, beta, mean, variance, 1e-5};
///     network_layer conv = ...;                       // without bias, or with one
///     const folded_norm done = fold_batch_norm(conv, norm);
///     // done.repaired: channels of variance 0
///
/// y = gamma (w x + b - mean) / sqrt(variance + epsilon) + beta becomes w' x + b' with
/// w' = w g, b' = (b - mean) g + beta, g = gamma / sqrt(variance + epsilon).
///
/// A channel whose variance is almost 0 was constant in training: its inputs are 0, or its weights
/// are. Then g is 1 / sqrt(epsilon), about 316 for 1e-5, and the channel widens the range of all
/// weights. Its output in training was beta, so the repair is w' = 0, b' = beta.
///
/// Sources: Jacob et al. 2018, arXiv:1712.05877 (folding); the repair follows the cause named by
/// the abstract of arXiv:2011.08009. Read next: cross_layer.hpp, which uses the statistics that
/// folding leaves in the layer.

#include "fewbit/begin.hpp"

#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/equalize/network/layer.hpp"
#include "fewbit/equalize/network/layer_list.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// A batch norm: one number for each output channel of the layer before it.
struct batch_norm {
  Eigen::VectorXf gamma;
  Eigen::VectorXf beta;
  Eigen::VectorXf mean;
  Eigen::VectorXf variance;
  double epsilon = 1e-5;
};

struct fold_options {
  /// Channels whose variance is at most this are replaced by the constant beta. Less than 0: none.
  /// The default, for data whose other channels have variances near 1, is far below the variance of
  /// a channel that carries a signal.
  double dead_variance = 1e-8;
};

/// What folding did.
struct folded_norm {
  std::vector<index> repaired;  ///< channels of almost no variance, now constant
  double largest_gain = 0.0;    ///< of |g| over the channels that were not repaired
  double smallest_gain = 0.0;
};

namespace detail {

/// Fails unless all vectors of a batch norm have `channels` finite numbers.
inline void expect_batch_norm(const char* function, const std::string& layer,
                              const batch_norm& norm, index channels) {
  constexpr float any = -std::numeric_limits<float>::max();
  const auto expect_vector = [&](const char* argument, const Eigen::VectorXf& v, float least) {
    if (v.size() == 0)
      fail(function, of_layer(std::string("length of ") + argument, layer), 0, channels);
    expect_layer_vector(function, layer, argument, v, channels, least);
  };
  expect_vector("gamma", norm.gamma, any);
  expect_vector("beta", norm.beta, any);
  expect_vector("mean", norm.mean, any);
  expect_vector("variance", norm.variance, 0.0F);
  if (!(norm.epsilon >= 0.0 && norm.epsilon <= 1.0)) {
    fail(function, of_layer("epsilon", layer), norm.epsilon, "0 to 1");
  }
}

inline folded_norm fold_into(const char* function, network_layer& l, const batch_norm& norm,
                             const fold_options& options) {
  expect_valid_layer(function, l);
  expect_batch_norm(function, l.name, norm, l.channels());
  if (l.activation != layer_activation::none) {
    fail(function, of_layer("activation", l.name), "relu or relu6",
         "none: the activation follows the batch norm");
  }
  network_layer folded = l;
  folded.bias = norm.beta;
  folded.output_means = norm.beta;
  folded.output_deviations = norm.gamma.cwiseAbs();
  folded_norm report;
  for (index c = 0; c < l.channels(); ++c) {
    if (double{norm.variance[c]} <= options.dead_variance) {
      report.repaired.push_back(c);
      folded.weights.row(c).setZero();
      folded.output_deviations[c] = 0.0F;
      continue;
    }
    const double gain = norm.gamma[c] / std::sqrt(norm.variance[c] + norm.epsilon);
    const double bias = l.bias.size() == 0 ? 0.0 : double{l.bias[c]};
    folded.weights.row(c) = (l.weights.row(c).cast<double>() * gain).cast<float>();
    folded.bias[c] = static_cast<float>((bias - norm.mean[c]) * gain + norm.beta[c]);
    const double size = std::fabs(gain);
    const bool is_first = c == static_cast<index>(report.repaired.size());
    report.largest_gain = is_first ? size : std::fmax(report.largest_gain, size);
    report.smallest_gain = is_first ? size : std::fmin(report.smallest_gain, size);
  }
  expect_valid_layer(function, folded);
  l = std::move(folded);
  return report;
}

}  // namespace detail

/// Folds a batch norm into a layer without activation. Sets output_means to beta and
/// output_deviations to |gamma|. The caller sets the activation that follows the batch norm
/// afterwards.
///
/// @throws fewbit::error if the layer has an activation, if a vector has another length than the
///         layer has channels, if a number is not finite or becomes so, or if a variance or epsilon
///         is negative or variance and epsilon are both 0. The layer is then unchanged.
inline folded_norm fold_batch_norm(network_layer& l, const batch_norm& norm,
                                   const fold_options& options = {}) {
  return detail::fold_into("fold_batch_norm", l, norm, options);
}

/// The same for weights and a bias: rows of weights are output channels. The bias may be empty.
inline folded_norm fold_batch_norm(row_matrix<float>& weights, Eigen::VectorXf& bias,
                                   const batch_norm& norm, const fold_options& options = {}) {
  network_layer l;
  l.name = "weights";
  l.weights = weights;
  l.bias = bias;
  folded_norm report = detail::fold_into("fold_batch_norm", l, norm, options);
  weights = std::move(l.weights);
  bias = std::move(l.bias);
  return report;
}

/// The batch norm that follows a layer of a list.
struct norm_of_layer {
  std::string layer;
  batch_norm norm;
  layer_activation activation = layer_activation::none;  ///< what follows the batch norm
};

/// Folds batch norms into layers of a list, all or, after an error, none.
/// @return what folding did, in the order of `norms`
/// @throws fewbit::error as fold_batch_norm, or if a layer is not found or named twice
inline std::vector<folded_norm> fold_batch_norms(layer_list& layers,
                                                 const std::vector<norm_of_layer>& norms,
                                                 const fold_options& options = {}) {
  constexpr const char* function = "fold_batch_norms";
  std::vector<folded_norm> reports;
  std::vector<changed_layer> changes;
  for (const norm_of_layer& n : norms) {
    changed_layer change{layers.find(function, n.layer), {}};
    for (const changed_layer& other : changes) {
      if (other.at == change.at)
        detail::fail(function, detail::of_layer("number of batch norms", n.layer), 2, 1);
    }
    change.layer = layers[change.at];
    reports.push_back(detail::fold_into(function, change.layer, n.norm, options));
    change.layer.activation = n.activation;
    changes.push_back(std::move(change));
  }
  layers.replace(std::move(changes));
  return reports;
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
