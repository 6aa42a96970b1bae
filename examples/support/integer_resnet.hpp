#pragma once
/// The residual network of resnet.hpp in integers from pixels to logits, its sums of residuals
/// included.
///
/// Pixels become codes by a table. The shortcut to half the side length takes every second pixel
/// (a maximum of windows of one pixel) and adds channels of zeros. Read before: resnet.hpp,
/// float_network.hpp.

#include <cstdint>
#include <utility>
#include <vector>

#include "fewbit/calib/threshold.hpp"
#include "float_network.hpp"
#include "integer_network.hpp"
#include "pixels.hpp"
#include "resnet.hpp"

namespace fewbit::examples {

inline constexpr image_extents cifar_image{32, 32, 3};

/// Adds the steps of the network to a float_network or an integer_network.
template <class Network>
void describe_resnet(const std::vector<float_weights>& layers, Network& net) {
  std::size_t next = 0;
  const auto convolve = [&](index x, index stride, activation after) {
    const float_weights& l = layers[next++];
    const window2d window{.kernel = {3, 3}, .stride = {stride, stride}, .padding = {1, 1, 1, 1}};
    return net.conv2d(x, l.weights, l.bias, window, after);
  };
  index x = convolve(0, 1, activation::relu);
  while (next + 1 < layers.size()) {
    const index added = layers[next].weights.rows() - net.extents(x).channels;
    const index stride = added == 0 ? 1 : 2;
    const index y = convolve(convolve(x, stride, activation::relu), 1, activation::none);
    if (stride == 2) {
      x = net.max_pool2d(x, {.stride = {2, 2}});
      x = net.pad_channels(x, {added / 2, added / 2});
    }
    x = net.add(x, y, activation::relu);
  }
  net.linear(net.mean2d(x), layers.back().weights, layers.back().bias);
}

/// Histograms of all tensors for the first `count` images.
inline std::vector<histogram_observer> watch_resnet(const std::vector<float_weights>& layers,
                                                    const image_set& images, index count) {
  float_network network(cifar_image);
  describe_resnet(layers, network);
  return watch("calibration, all tensors", network, count, images_at_a_time,
               [&](index first, index part) { return normalized(images.rows(first, part)); });
}

/// Pixels in, codes of logits out.
class integer_resnet {
 public:
  /// @param params  of each tensor, from watch_resnet()
  integer_resnet(const std::vector<float_weights>& layers, std::vector<quant_params> params)
      : network_(cifar_image, with_pixels(std::move(params))) {
    describe_resnet(layers, network_);
  }

  /// @param pixels  one image in each row
  row_matrix<std::uint8_t> operator()(const Eigen::Ref<const row_matrix<std::uint8_t>>& pixels) {
    return network_.run(encode_(pixels));
  }

 private:
  static std::vector<quant_params> with_pixels(std::vector<quant_params> params) {
    params[0] = pixel_encoder::params();
    return params;
  }

  pixel_encoder encode_;
  integer_network<> network_;
};

}  // namespace fewbit::examples
