#pragma once
/// A network as equalize/ takes it: a list of layers and a forward. It takes the calls of
/// float_network.hpp, so that one description serves both:
///
///     layered_network net(extents);
///     describe(net);                                 // net.conv2d(...), net.add(...), ...
///     const layer_list layers(net.layers());
///     const matrix logits = net.forward()(images, float_compute(layers));
///
/// Layers are named in the order of the steps: conv1, depthwise2, ..., unless named(...) gives the
/// next layer a name. Read before: fewbit/equalize/network.hpp.

#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/equalize/network.hpp"
#include "fewbit/ops/pad.hpp"
#include "network_step.hpp"

namespace fewbit::examples {

class layered_network {
 public:
  using matrix = row_matrix<float>;

  explicit layered_network(const image_extents& input) : extents_{input} {}

  /// The name of the next layer.
  layered_network& named(std::string name) {
    next_name_ = std::move(name);
    return *this;
  }

  index conv2d(index x, const matrix& weights, const Eigen::VectorXf& bias, const window2d& window,
               activation after) {
    return add_layer("conv", x, layer_kind::conv2d, weights, bias, window, after);
  }
  index depthwise_conv2d(index x, const matrix& weights, const Eigen::VectorXf& bias,
                         const window2d& window, activation after) {
    return add_layer("depthwise", x, layer_kind::depthwise_conv2d, weights, bias, window, after);
  }
  index linear(index x, const matrix& weights, const Eigen::VectorXf& bias,
               activation after = activation::none) {
    return add_layer("linear", x, layer_kind::linear, weights, bias, {}, after);
  }

  index add(index a, index b, activation after) {
    return add_step(extents(a), [=](const values& v, const compute_function&, matrix& y) {
      y = at(v, a) + at(v, b);
      if (after != activation::none) y = y.cwiseMax(0.0F);
      if (after == activation::relu6) y = y.cwiseMin(6.0F);
    });
  }

  /// The mean of each channel.
  index mean2d(index x) {
    const image_extents image = extents(x);
    return add_step({1, 1, image.channels}, [=](const values& v, const compute_function&,
                                                matrix& y) {
      const matrix& images = at(v, x);
      y.resize(images.rows(), image.channels);
      for (index i = 0; i < images.rows(); ++i) {
        const Eigen::Map<const matrix> pixels(images.row(i).data(), image.pixels(), image.channels);
        y.row(i) = pixels.colwise().mean();
      }
    });
  }

  /// Every second pixel in both directions, with added channels of zeros.
  index halve(index x, const padding_of_channels& added) {
    const image_extents image = extents(x);
    const image_extents half{(image.height + 1) / 2, (image.width + 1) / 2,
                             added.before + image.channels + added.after};
    return add_step(half, [=](const values& v, const compute_function&, matrix& y) {
      const matrix& images = at(v, x);
      y.setZero(images.rows(), half.size());
      for (index i = 0; i < images.rows(); ++i) {
        for (index p = 0; p < half.pixels(); ++p) {
          const index from = p / half.width * 2 * image.width + p % half.width * 2;
          y.row(i).segment(p * half.channels + added.before, image.channels) =
              images.row(i).segment(from * image.channels, image.channels);
        }
      }
    });
  }

  [[nodiscard]] const image_extents& extents(index tensor) const {
    return extents_[static_cast<std::size_t>(tensor)];
  }
  /// In the order of the steps.
  [[nodiscard]] const std::vector<network_layer>& layers() const { return layers_; }
  /// The output of the last step. It does not refer to this object.
  [[nodiscard]] forward_function forward() const {
    return [steps = steps_](const matrix& inputs, const compute_function& compute) {
      values v(steps.size() + 1);
      v[0] = inputs;
      for (std::size_t i = 0; i < steps.size(); ++i) steps[i](v, compute, v[i + 1]);
      return v.back();
    };
  }

 private:
  using values = std::vector<matrix>;
  using step = std::function<void(const values&, const compute_function&, matrix&)>;

  static const matrix& at(const values& v, index tensor) {
    return v[static_cast<std::size_t>(tensor)];
  }

  index add_layer(const char* kind_name, index x, layer_kind kind, const matrix& weights,
                  const Eigen::VectorXf& bias, const window2d& window, activation after) {
    network_layer l;
    const auto number = static_cast<index>(layers_.size());
    l.name = next_name_.empty() ? kind_name + std::to_string(number + 1) : next_name_;
    next_name_.clear();
    l.kind = kind;
    l.weights = weights;
    l.bias = bias;
    l.image = extents(x);
    l.window = window;
    l.activation = after == activation::none   ? layer_activation::none
                   : after == activation::relu ? layer_activation::relu
                                               : layer_activation::relu6;
    image_extents out{1, 1, l.channels()};
    if (kind != layer_kind::linear)
      out = output_extents(placed_window("layered_network", l.image, window), l.channels());
    layers_.push_back(std::move(l));
    return add_step(out, [=](const values& v, const compute_function& compute, matrix& y) {
      compute(number, at(v, x), y);
    });
  }

  index add_step(const image_extents& output, step made) {
    extents_.push_back(output);
    steps_.push_back(std::move(made));
    return static_cast<index>(steps_.size());
  }

  std::vector<image_extents> extents_;
  std::vector<network_layer> layers_;
  std::vector<step> steps_;
  std::string next_name_;
};

}  // namespace fewbit::examples
