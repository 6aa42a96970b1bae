#pragma once
/// The float network that a graph of others stands for: weights dequantized, activations float.
///
///     const graph g = read_graph(path);
///     float_network real(input_image(g));
///     describe_graph(g, real);                    // an integer_network takes the same description
///
/// The graph may be of int8 or of floats. Its own scales of activations are not used. A SOFTMAX at
/// the end is left out: the largest logit belongs to the largest probability. Inputs are NHWC: a
/// TRANSPOSE at the begin is left out. Read before: graph.hpp, float_network.hpp.

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "fewbit/ops/window2d.hpp"
#include "float_network.hpp"
#include "graph.hpp"

namespace fewbit::examples {

/// Extents of the images that the network reads.
inline image_extents input_image(const graph& g) {
  const bool transposes = g.ops.front().kind == "TRANSPOSE";
  return transposes ? g.at(g.ops.front().outputs[0]).image() : g.input().image();
}

namespace graph_detail {

/// The real numbers of a constant, as rows x cols in the order of the file. With a scale for each
/// channel, element i belongs to channel i / inner % channels.
inline matrix real_constant(const graph_tensor& t, index rows, index inner) {
  if (t.constant == nullptr) bad("a constant", t.name, "a tensor with data");
  const tensor& stored = *t.constant;
  if (rows < 1 || stored.size() % rows != 0)
    bad("the size of " + t.name, std::to_string(stored.size()), "whole rows");
  matrix real(rows, stored.size() / rows);
  const auto copy = [&](const auto& values) {
    for (index i = 0; i < real.size(); ++i)
      real.data()[i] = static_cast<float>(values[static_cast<std::size_t>(i)]);
  };
  if (holds<float>(stored.type)) {
    copy(stored.as<float>());
    return real;
  }
  holds<std::int8_t>(stored.type) ? copy(stored.as<std::int8_t>())
                                  : copy(stored.as<std::int32_t>());
  const auto scales = static_cast<index>(t.scales.size());
  if (scales < 1) bad("the scales of " + t.name, "none", "one or more");
  for (index i = 0; i < real.size(); ++i)
    real.data()[i] *= t.scales[static_cast<std::size_t>(i / inner % scales)];
  return real;
}

/// Adds the operators of a graph to a network, one by one.
template <class Network>
class graph_description {
 public:
  graph_description(const graph& g, Network& net) : g_(g), net_(net), made_(g.tensors.size(), -1) {
    made_[static_cast<std::size_t>(g.inputs[0])] = 0;
    pads_.resize(g.tensors.size());
  }

  void add(const graph_op& op) {
    const index x = made(op.inputs[0]);
    const std::string& kind = op.kind;
    if (kind == "TRANSPOSE" || kind == "RESHAPE" || kind == "SOFTMAX") return set(op, x);
    if (kind == "PAD") return pad(op, x);
    if (kind == "CONV_2D") return conv(op, x);
    if (kind == "DEPTHWISE_CONV_2D") return depthwise(op, x);
    if (kind == "FULLY_CONNECTED") {
      const index outputs = g_.at(op.inputs[1]).shape[0];
      const matrix w = real_constant(g_.at(op.inputs[1]), outputs, row_size(op.inputs[1]));
      return set(op, net_.linear(x, w, bias(op), activation_of(op)));
    }
    if (kind == "ADD") return set(op, net_.add(x, made(op.inputs[1]), activation_of(op)));
    if (kind == "MEAN") return set(op, net_.mean2d(x));
    const image_extents image = net_.extents(x);
    if (kind == "AVERAGE_POOL_2D" && op.number("filter_height", 0) == image.height &&
        op.number("filter_width", 0) == image.width) {
      return set(op, net_.mean2d(x));
    }
    bad("an operator", kind,
        "CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, ADD, MEAN, AVERAGE_POOL_2D of whole images, "
        "PAD, RESHAPE, SOFTMAX or TRANSPOSE");
  }

 private:
  [[nodiscard]] index made(index tensor) const {
    const index number = tensor < 0 ? -1 : made_[static_cast<std::size_t>(tensor)];
    if (number < 0) bad("an input", std::to_string(tensor), "the output of an operator before");
    return number;
  }
  void set(const graph_op& op, index number) {
    made_[static_cast<std::size_t>(op.outputs[0])] = number;
  }
  [[nodiscard]] index row_size(index tensor) const {
    return g_.at(tensor).size() / g_.at(tensor).shape[0];
  }

  [[nodiscard]] Eigen::VectorXf bias(const graph_op& op) const {
    const graph_tensor& t = g_.at(op.inputs.at(2));
    return real_constant(t, t.size(), 1);
  }

  [[nodiscard]] static activation activation_of(const graph_op& op) {
    const std::string name = op.word("fused_activation_function", "NONE");
    if (name == "RELU") return activation::relu;
    if (name == "RELU6") return activation::relu6;
    if (name != "NONE") bad("fused_activation_function", name, "NONE, RELU or RELU6");
    return activation::none;
  }

  /// The padding becomes that of the convolution that follows.
  void pad(const graph_op& op, index x) {
    const auto p = g_.at(op.inputs.at(1)).constant->as<std::int32_t>();
    if (p.size() != 8 || p[0] + p[1] + p[6] + p[7] != 0)
      bad("the padding of PAD", "another", "that of height and width");
    pads_[static_cast<std::size_t>(op.outputs[0])] = {p[2], p[3], p[4], p[5]};
    set(op, x);
  }

  [[nodiscard]] window2d window(const graph_op& op, index x, const extent2d& kernel) const {
    window2d w{.kernel = kernel,
               .stride = {op.number("stride_h", 1), op.number("stride_w", 1)},
               .dilation = {op.number("dilation_h_factor", 1), op.number("dilation_w_factor", 1)},
               .padding = pads_[static_cast<std::size_t>(op.inputs[0])]};
    if (op.word("padding", "VALID") == "SAME") w.padding = same_padding(net_.extents(x), w);
    return w;
  }

  void conv(const graph_op& op, index x) {
    const graph_tensor& t = g_.at(op.inputs[1]);  // [out, height, width, in]
    if (t.shape.size() != 4) bad("the weights of CONV_2D", t.name, "four extents");
    const matrix w = real_constant(t, t.shape[0], row_size(op.inputs[1]));
    set(op,
        net_.conv2d(x, w, bias(op), window(op, x, {t.shape[1], t.shape[2]}), activation_of(op)));
  }

  void depthwise(const graph_op& op, index x) {
    const graph_tensor& t = g_.at(op.inputs[1]);  // [1, height, width, channels]
    if (t.shape.size() != 4 || t.shape[3] != net_.extents(x).channels)
      bad("the weights of DEPTHWISE_CONV_2D", t.name, "one kernel for each channel");
    const matrix w = real_constant(t, t.shape[1] * t.shape[2], 1).transpose();
    set(op, net_.depthwise_conv2d(x, w, bias(op), window(op, x, {t.shape[1], t.shape[2]}),
                                  activation_of(op)));
  }

  const graph& g_;
  Network& net_;
  std::vector<index> made_;      // number of each tensor of the graph in the network; -1: none yet
  std::vector<padding2d> pads_;  // that a PAD adds to a tensor
};

}  // namespace graph_detail

/// Adds the operators of a graph to a float_network or an integer_network.
/// @throws fewbit::error if an operator is not known
template <class Network>
void describe_graph(const graph& g, Network& net) {
  graph_detail::graph_description<Network> description(g, net);
  for (const graph_op& op : g.ops) description.add(op);
}

}  // namespace fewbit::examples
