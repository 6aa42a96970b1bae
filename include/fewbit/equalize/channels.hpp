#pragma once
/// Channels that one layer writes and others read: their ranges, and scaling them.
///
///     channel_link link{.producer = "expand", .depthwise = "depthwise", .consumers = {"project"}};
///
/// A consumer reads all channels of its producer, in their order. The user's code between them may
/// only do what commutes with a positive factor for each channel: relu, pools, means, padding with
/// 0, concatenation of pixels. A linear layer may read several pixels of the producer. Every layer
/// that reads the channels must be a consumer of the link; additions to other tensors are not
/// allowed. So a layer is the producer of one link at most, and a consumer of one link at most.
/// Read next: cross_layer.hpp.

#include "fewbit/begin.hpp"

#include <cmath>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/equalize/network/layer_list.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// The layers that write and read some channels, by name.
struct channel_link {
  std::string producer;
  std::string depthwise{};             ///< a depthwise layer between them, or empty
  std::vector<std::string> consumers;  ///< all layers that read the channels
};

/// The largest magnitude of the weights of each output channel.
[[nodiscard]] inline Eigen::VectorXf output_channel_ranges(
    const Eigen::Ref<const row_matrix<float>>& weights) {
  return weights.cwiseAbs().rowwise().maxCoeff();
}

/// The largest magnitude of the weights of each input channel. Column j reads channel j % channels,
/// as in linear layers and in convolutions without groups.
/// @throws fewbit::error unless the number of columns is a multiple of `channels`
[[nodiscard]] inline Eigen::VectorXf input_channel_ranges(
    const Eigen::Ref<const row_matrix<float>>& weights, index channels) {
  if (channels < 1 || weights.cols() % channels != 0) {
    detail::fail("input_channel_ranges", "number of columns of weights", weights.cols(),
                 "a multiple of the number of channels, " + detail::text(channels));
  }
  Eigen::VectorXf ranges = Eigen::VectorXf::Zero(channels);
  for (index first = 0; first < weights.cols(); first += channels) {
    const auto part = weights.middleCols(first, channels);
    ranges = ranges.cwiseMax(part.cwiseAbs().colwise().maxCoeff().transpose());
  }
  return ranges;
}

namespace detail {

/// Calls f(row, first column, first channel, columns) for runs of weights of neighbouring input
/// channels, of `channels` channels. The runs of depthwise layers are one channel each, whose
/// columns are `columns` weights of that channel.
template <class F>
void for_each_input_run(const network_layer& l, index channels, const F& f) {
  const bool is_depthwise = l.kind == layer_kind::depthwise_conv2d;
  const index groups = l.kind == layer_kind::conv2d ? l.groups : 1;
  const index width = is_depthwise ? l.depth() : channels / groups;
  for (index r = 0; r < l.channels(); ++r) {
    const index channel =
        is_depthwise ? r / (l.channels() / channels) : r / (l.channels() / groups) * width;
    for (index c = 0; c < l.depth(); c += width) f(r, c, channel, width);
  }
}

inline Eigen::VectorXf input_ranges(const network_layer& l, index channels) {
  Eigen::VectorXf ranges = Eigen::VectorXf::Zero(channels);
  const bool is_depthwise = l.kind == layer_kind::depthwise_conv2d;
  for_each_input_run(l, channels, [&](index r, index c, index channel, index width) {
    const auto run = l.weights.row(r).segment(c, width).cwiseAbs();
    if (is_depthwise) {
      ranges[channel] = std::fmax(ranges[channel], run.maxCoeff());
    } else {
      auto part = ranges.segment(channel, width);
      part = part.cwiseMax(run.transpose());
    }
  });
  return ranges;
}

/// Multiplies the weights of each input channel by a factor.
inline void scale_inputs(network_layer& l, const Eigen::VectorXf& factors) {
  const bool is_depthwise = l.kind == layer_kind::depthwise_conv2d;
  for_each_input_run(l, factors.size(), [&](index r, index c, index channel, index width) {
    auto run = l.weights.row(r).segment(c, width);
    if (is_depthwise) {
      run *= factors[channel];
    } else {
      run.array() *= factors.segment(channel, width).transpose().array();
    }
  });
}

/// b += w c, where the weights of input channel i read c_i in each pixel.
inline void add_products(network_layer& l, const Eigen::VectorXf& c) {
  Eigen::VectorXd added = Eigen::VectorXd::Zero(l.channels());
  const bool is_depthwise = l.kind == layer_kind::depthwise_conv2d;
  const bool has_factors = l.input_factors.size() != 0;
  for_each_input_run(l, c.size(), [&](index r, index col, index channel, index width) {
    for (index i = 0; i < width; ++i) {
      const index from = is_depthwise ? channel : channel + i;
      const index factor = l.kind == layer_kind::linear ? col + i : from;
      const double value = double{c[from]} * (has_factors ? double{l.input_factors[factor]} : 1.0);
      added[r] += double{l.weights(r, col + i)} * value;
    }
  });
  if (l.bias.size() == 0) l.bias = Eigen::VectorXf::Zero(l.channels());
  l.bias = (l.bias.cast<double>() + added).cast<float>();
}

/// Divides each output channel by a positive number: weights, bias, caps and statistics. A relu6
/// without caps gets caps.
inline void divide_outputs(network_layer& l, const Eigen::VectorXf& by) {
  l.weights.array().colwise() /= by.array();
  if (l.activation == layer_activation::relu6 && l.caps.size() == 0)
    l.caps = Eigen::VectorXf::Constant(l.channels(), 6.0F);
  for (Eigen::VectorXf* v : {&l.bias, &l.caps, &l.output_means, &l.output_deviations}) {
    if (v->size() != 0) v->array() /= by.array();
  }
}

inline const char* kind_text(layer_kind kind) noexcept {
  return kind == layer_kind::linear   ? "linear"
         : kind == layer_kind::conv2d ? "conv2d"
                                      : "depthwise_conv2d";
}

/// Positions of the layers of a link.
struct placed_link {
  index producer;
  index depthwise;  // -1 if there is none
  std::vector<index> consumers;

  /// The layer whose outputs the consumers read.
  [[nodiscard]] index last() const noexcept { return depthwise < 0 ? producer : depthwise; }
};

/// Fails unless a layer can read all channels of another.
inline void expect_reads(const char* function, const network_layer& producer,
                         const network_layer& consumer) {
  const index channels = producer.channels(), got = consumer.input_channels();
  const bool fits = consumer.kind == layer_kind::linear ? got % channels == 0 : got == channels;
  if (fits) return;
  fail(function, of_layer("number of input channels", consumer.name), got,
       text(channels) + ", the number of output channels of layer '" + producer.name + "'");
}

/// Finds the layers of a link and checks that their channels fit.
inline placed_link place(const char* function, const layer_list& layers, const channel_link& link) {
  placed_link placed{layers.find(function, link.producer), -1, {}};
  if (!link.depthwise.empty()) {
    placed.depthwise = layers.find(function, link.depthwise);
    const network_layer& between = layers[placed.depthwise];
    if (between.kind != layer_kind::depthwise_conv2d ||
        between.channels() != between.image.channels) {
      fail(function, of_layer("kind", between.name), kind_text(between.kind),
           "depthwise_conv2d with one output channel for each input channel");
    }
    expect_reads(function, layers[placed.producer], between);
  }
  if (link.consumers.empty()) {
    fail(function, of_layer("number of consumers", link.producer), 0, "at least 1");
  }
  for (const std::string& name : link.consumers) {
    placed.consumers.push_back(layers.find(function, name));
    expect_reads(function, layers[placed.last()], layers[placed.consumers.back()]);
  }
  std::vector<index> all = placed.consumers;
  all.push_back(placed.producer);
  if (placed.depthwise >= 0) all.push_back(placed.depthwise);
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (all[i] == all[j])
        fail(function, of_layer("place in a link", layers[all[i]].name), "used twice", "one place");
    }
  }
  return placed;
}

/// Fails if a layer belongs to two links, both times as a writer, or both times as a reader.
inline void expect_different_links(const char* function, const layer_list& layers,
                                   const std::vector<placed_link>& links, bool as_reader) {
  std::vector<index> uses(static_cast<std::size_t>(layers.size()), 0);
  const auto use = [&](index layer) {
    if (layer < 0 || ++uses[static_cast<std::size_t>(layer)] < 2) return;
    fail(function, of_layer("number of links", layers[layer].name), 2,
         as_reader ? "1 in which it is a consumer or the depthwise layer"
                   : "1 in which it is the producer or the depthwise layer: name all consumers in "
                     "one link");
  };
  for (const placed_link& link : links) {
    use(link.depthwise);
    if (as_reader) {
      for (const index consumer : link.consumers) use(consumer);
    } else {
      use(link.producer);
    }
  }
}

/// Finds the layers of links that are changed. The outputs of a layer change by one link only, and
/// so do its inputs: otherwise other readers of the channels would not follow the change.
inline std::vector<placed_link> place_all(const char* function, const layer_list& layers,
                                          const std::vector<channel_link>& links) {
  std::vector<placed_link> placed;
  placed.reserve(links.size());
  for (const channel_link& link : links) placed.push_back(place(function, layers, link));
  expect_different_links(function, layers, placed, false);
  expect_different_links(function, layers, placed, true);
  return placed;
}

/// Layers of a list that are being changed: copies, made when a layer is first written.
class layer_draft {
 public:
  explicit layer_draft(layer_list& layers)
      : layers_(layers), places_(static_cast<std::size_t>(layers.size()), -1) {}

  [[nodiscard]] const network_layer& operator[](index i) const noexcept {
    const index place = places_[static_cast<std::size_t>(i)];
    return place < 0 ? layers_[i] : changes_[static_cast<std::size_t>(place)].layer;
  }
  /// The copy of layer i that may be changed.
  [[nodiscard]] network_layer& change(index i) {
    index& place = places_[static_cast<std::size_t>(i)];
    if (place < 0) {
      place = static_cast<index>(changes_.size());
      changes_.push_back({i, layers_[i]});
    }
    return changes_[static_cast<std::size_t>(place)].layer;
  }
  /// Puts all changes into the list.
  void commit() {
    layers_.replace(std::move(changes_));
    changes_.clear();
    places_.assign(places_.size(), -1);
  }

 private:
  layer_list& layers_;
  std::vector<index> places_;
  std::vector<changed_layer> changes_;
};

}  // namespace detail

}}  // namespace fewbit

#include "fewbit/end.hpp"
