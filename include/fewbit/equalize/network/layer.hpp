#pragma once
/// A layer of a network in float: kind, weights, bias, geometry, activation.
///
/// | kind             | weights                                                | a row of x  |
/// |------------------|--------------------------------------------------------|-------------|
/// | linear           | outputs x inputs                                       | inputs      |
/// | conv2d           | output channels x (kernel row, kernel column, channel) | one image   |
/// | depthwise_conv2d | output channels x (kernel row, kernel column)          | one image   |
///
/// Images are NHWC. A depthwise layer with channels * M rows of weights has M outputs for each
/// input channel; rows c * M .. c * M + M - 1 read channel c. A layer computes
///
///     y = activation(weights * (x * input_factors) + bias)
///
/// The activation belongs to the layer where it follows the layer directly. Other activations stay
/// in the user's code. Read next: layer_list.hpp.

#include "fewbit/begin.hpp"

#include <cstdint>
#include <limits>
#include <string>

#include "fewbit/core/error.hpp"
#include "fewbit/core/finite.hpp"
#include "fewbit/core/rows.hpp"
#include "fewbit/ops/conv2d/product.hpp"
#include "fewbit/ops/window2d.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// What a layer computes.
enum class layer_kind : std::uint8_t { linear, conv2d, depthwise_conv2d };

/// What follows the sums of a layer directly.
enum class layer_activation : std::uint8_t {
  none,   ///< y
  relu,   ///< max(y, 0)
  relu6,  ///< min(max(y, 0), cap), where the cap of a channel is 6 unless the layer has caps
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

struct network_layer {
  std::string name{};
  layer_kind kind = layer_kind::linear;
  row_matrix<float> weights{};
  Eigen::VectorXf bias{};  ///< one number for each output channel, or none
  image_extents image{};   ///< of convolutions: one input image
  window2d window{};       ///< of convolutions
  index groups = 1;        ///< of conv2d
  layer_activation activation = layer_activation::none;
  Eigen::VectorXf caps{};  ///< of relu6: the cap of each output channel; empty: all are 6
  Eigen::VectorXf
      input_factors{};  ///< x is multiplied by them, channel by channel; empty: all are 1
  /// Mean and standard deviation of each output channel before the activation, from a folded batch
  /// norm: beta and |gamma|. Empty if they are not known.
  Eigen::VectorXf output_means{};
  Eigen::VectorXf output_deviations{};

  /// Number of output channels.
  [[nodiscard]] index channels() const noexcept { return weights.rows(); }
  /// Number of input channels: of an image, or all inputs of a linear layer.
  [[nodiscard]] index input_channels() const noexcept {
    return kind == layer_kind::linear ? weights.cols() : image.channels;
  }
  /// Number of weights of an output channel.
  [[nodiscard]] index depth() const noexcept { return weights.cols(); }
  /// Number of columns of x.
  [[nodiscard]] index inputs() const noexcept {
    return kind == layer_kind::linear ? weights.cols() : image.size();
  }
  /// Number of output pixels; 1 for linear layers.
  [[nodiscard]] index output_pixels() const {
    return kind == layer_kind::linear
               ? 1
               : placed_window("network_layer", image, window).output_pixels();
  }
  /// Number of columns of y.
  [[nodiscard]] index outputs() const { return output_pixels() * channels(); }
  /// Number of products of a row of x.
  [[nodiscard]] index products() const { return outputs() * depth(); }
  /// The cap of an output channel under relu6.
  [[nodiscard]] float cap(index channel) const noexcept {
    return caps.size() == 0 ? 6.0F : caps[channel];
  }
  /// Whether means and deviations of the outputs are known.
  [[nodiscard]] bool has_statistics() const noexcept { return output_means.size() != 0; }
};

namespace detail {

/// "weights of layer 'conv1'": an argument and the layer that it belongs to.
inline std::string of_layer(const std::string& argument, const std::string& name) {
  return argument + " of layer '" + name + "'";
}

/// Fails unless a vector is empty or has `count` finite numbers, each at least `least`.
inline void expect_layer_vector(const char* function, const std::string& layer,
                                const char* argument, const Eigen::VectorXf& v, index count,
                                float least) {
  if (v.size() == 0) return;
  if (v.size() != count)
    fail(function, of_layer(std::string("length of ") + argument, layer), v.size(), count);
  for (index i = 0; i < count; ++i) {
    if (!is_finite(v[i]))
      fail(function, of_layer(item(argument, i), layer), v[i], "a finite number");
    if (v[i] < least) {
      fail(function, of_layer(item(argument, i), layer), v[i], "at least " + text(least));
    }
  }
}

/// Fails if a number of a matrix of a layer is not finite, with its row and column.
inline void expect_finite_in_layer(const char* function, const std::string& layer,
                                   const char* argument, const matrix_ref& m) {
  for (index r = 0; r < m.rows(); ++r) {
    if (largest_of(row_of(m, r), m.cols()).is_finite) continue;
    index c = 0;
    while (is_finite(m(r, c))) ++c;
    fail(function, of_layer(element(argument, r, c), layer), m(r, c), "a finite number");
  }
}

/// Fails unless the window fits the image and the weights fit window, channels and groups.
inline void expect_geometry(const char* function, const network_layer& l) {
  const std::string where = std::string(function) + ": layer '" + l.name + "'";
  if (l.kind == layer_kind::linear) return;
  const placed_window window(where.c_str(), l.image, l.window);
  if (l.kind == layer_kind::conv2d) {
    expect_conv_weights(where.c_str(), conv_shape{window, l.groups, l.channels()}, l.depth());
    return;
  }
  expect(l.channels() % l.image.channels == 0, where.c_str(), "number of rows of weights",
         l.channels(),
         "a multiple of the number of channels of the image, " + text(l.image.channels));
  expect(l.depth() == l.window.taps(), where.c_str(), "number of columns of weights", l.depth(),
         text(l.window.taps()) + ": kernel height * kernel width");
}

/// Fails unless all parts of a layer fit together and all numbers are finite.
inline void expect_valid_layer(const char* function, const network_layer& l) {
  expect(!l.name.empty(), function, "name of a layer", "empty", "a name");
  if (l.weights.size() == 0) {
    fail(function, of_layer("weights", l.name), shape_text(l.weights.rows(), l.weights.cols()),
         "at least one row and one column");
  }
  expect_geometry(function, l);
  expect_finite_in_layer(function, l.name, "weights", l.weights);
  constexpr float any = -std::numeric_limits<float>::max();
  constexpr float positive = std::numeric_limits<float>::min();
  expect_layer_vector(function, l.name, "bias", l.bias, l.channels(), any);
  expect_layer_vector(function, l.name, "caps", l.caps, l.channels(), positive);
  expect_layer_vector(function, l.name, "input_factors", l.input_factors, l.input_channels(),
                      positive);
  expect_layer_vector(function, l.name, "output_means", l.output_means, l.channels(), any);
  expect_layer_vector(function, l.name, "output_deviations", l.output_deviations, l.channels(),
                      0.0F);
  if (l.output_means.size() != l.output_deviations.size()) {
    fail(function, of_layer("length of output_deviations", l.name), l.output_deviations.size(),
         l.output_means.size());
  }
}

}  // namespace detail

}}  // namespace fewbit

#include "fewbit/end.hpp"
