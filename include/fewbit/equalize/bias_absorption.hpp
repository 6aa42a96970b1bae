#pragma once
/// Moves large biases into the next layer, so that activations need a smaller range.
///
///     absorb_bias(b1, w2, b2, means, deviations);              // matrices
///     absorb_biases(layers, {{"conv1", "", {"conv2"}}});       // a network, after equalize_layers
///
/// If a channel before its relu is normal with mean beta and deviation gamma, then it is at least
/// c = max(0, beta - 3 gamma) for all but 0.13 % of the inputs. There relu(x - c) = relu(x) - c.
/// So c is subtracted from the bias before, and w2 c is added to the bias behind:
///
///     b1 -= c,   b2 += w2 c
///
/// Equalization makes large biases, because it divides some channels by small numbers. The output
/// of the network changes where x < c. A consumer with padding reads 0 outside the image, where c
/// is missing. Such consumers are left alone unless the options allow the error at the border.
///
/// Source: Nagel et al. 2019, arXiv:1906.04721, section 4.1.3. Read before: cross_layer.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/equalize/channels.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// c_i = max(0, means_i - 3 |deviations_i|).
[[nodiscard]] inline Eigen::VectorXf absorbed_bias(const Eigen::VectorXf& means,
                                                   const Eigen::VectorXf& deviations) {
  detail::expect_equal("absorbed_bias", "length of deviations", deviations.size(), means.size());
  return (means - 3.0F * deviations.cwiseAbs()).cwiseMax(0.0F);
}

namespace detail {

/// Subtracts c from the outputs before the activation: bias, caps and means.
inline void subtract_outputs(network_layer& l, const Eigen::VectorXf& c) {
  if (l.bias.size() == 0) l.bias = Eigen::VectorXf::Zero(l.channels());
  if (l.activation == layer_activation::relu6 && l.caps.size() == 0)
    l.caps = Eigen::VectorXf::Constant(l.channels(), 6.0F);
  l.bias -= c;
  if (l.caps.size() != 0) l.caps -= c;
  if (l.has_statistics()) l.output_means -= c;
}

}  // namespace detail

/// Absorbs the bias of a layer with relu into the next one.
///
/// @param w2  outputs x (pixels, channels): column j reads channel j % channels
/// @return    c
/// @throws fewbit::error if the lengths do not chain or a number is not finite. All arguments are
///         then unchanged.
inline Eigen::VectorXf absorb_bias(Eigen::VectorXf& b1,
                                   const Eigen::Ref<const row_matrix<float>>& w2,
                                   Eigen::VectorXf& b2, const Eigen::VectorXf& means,
                                   const Eigen::VectorXf& deviations) {
  constexpr const char* function = "absorb_bias";
  network_layer second;
  second.name = "w2";
  second.weights = w2;
  second.bias = b2;
  detail::expect_valid_layer(function, second);
  const index channels = b1.size();
  if (channels < 1 || w2.cols() % channels != 0) {
    detail::fail(function, "number of columns of w2", w2.cols(),
                 "a multiple of the length of b1, " + detail::text(channels));
  }
  detail::expect_equal(function, "length of means", means.size(), channels);
  detail::expect_equal(function, "length of deviations", deviations.size(), channels);
  for (const Eigen::VectorXf* v :
       std::initializer_list<const Eigen::VectorXf*>{&b1, &means, &deviations}) {
    const char* argument = v == &b1 ? "b1" : v == &means ? "means" : "deviations";
    detail::expect_finite(function, argument, v->transpose());
  }
  Eigen::VectorXf c = absorbed_bias(means, deviations);
  detail::add_products(second, c);
  detail::expect_valid_layer(function, second);
  b1 -= c;
  b2 = std::move(second.bias);
  return c;
}

struct absorption_options {
  /// Absorb also into consumers with padding. At the border, where they read 0 in place of c, their
  /// outputs then become larger or smaller by the products of c with the weights outside.
  bool with_padding = false;
};

/// What the pass did with one link.
struct absorbed_link {
  Eigen::VectorXf absorbed;  ///< c; empty if the link was left alone
  std::string reason;        ///< why it was left alone, or empty
};

namespace detail {

/// Why a link cannot be absorbed, or an empty text.
inline std::string refusal(const layer_draft& draft, const placed_link& link,
                           const absorption_options& options) {
  const network_layer& producer = draft[link.last()];
  if (producer.activation == layer_activation::none)
    return "layer '" + producer.name + "' has no relu";
  if (!producer.has_statistics()) return "layer '" + producer.name + "' has no output_means";
  for (const index c : link.consumers) {
    const network_layer& l = draft[c];
    if (l.kind != layer_kind::linear && !(l.window.padding == valid_padding) &&
        !options.with_padding) {
      return "layer '" + l.name + "' has padding";
    }
  }
  return {};
}

/// c of a layer. Under relu6 it is at most half of the cap, so that the cap stays positive.
inline Eigen::VectorXf absorbable(const network_layer& l) {
  Eigen::VectorXf c = absorbed_bias(l.output_means, l.output_deviations);
  if (l.activation != layer_activation::relu6) return c;
  for (index i = 0; i < c.size(); ++i) c[i] = std::min(c[i], l.cap(i) / 2.0F);
  return c;
}

}  // namespace detail

/// Absorbs the biases of the producers of links into their consumers. The producer is the depthwise
/// layer if the link has one. Links without relu or statistics, or with padding, are left alone.
/// The report says why.
///
/// @throws fewbit::error if a layer is not found, channels do not fit, or a layer writes or reads
///         the channels of two links. All layers are then unchanged.
inline std::vector<absorbed_link> absorb_biases(layer_list& layers,
                                                const std::vector<channel_link>& links,
                                                const absorption_options& options = {}) {
  std::vector<absorbed_link> report;
  detail::layer_draft draft(layers);
  for (const detail::placed_link& placed : detail::place_all("absorb_biases", layers, links)) {
    absorbed_link done;
    done.reason = detail::refusal(draft, placed, options);
    if (done.reason.empty()) {
      done.absorbed = detail::absorbable(draft[placed.last()]);
      detail::subtract_outputs(draft.change(placed.last()), done.absorbed);
      for (const index c : placed.consumers) detail::add_products(draft.change(c), done.absorbed);
    }
    report.push_back(std::move(done));
  }
  draft.commit();
  return report;
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
