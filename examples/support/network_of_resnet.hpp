#pragma once
/// The residual network of resnet.hpp as a list of layers and a forward, for equalize/ and
/// diagnose/.

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/equalize/network.hpp"
#include "resnet.hpp"

namespace fewbit::examples {

/// The layers, one image of 32 x 32 pixels in each row of the inputs.
inline layer_list layers_of_resnet(const std::vector<float_weights>& weights) {
  std::vector<network_layer> layers;
  index side = 32;
  index channels = 3;
  for (const float_weights& w : weights) {
    network_layer l;
    l.name = w.name;
    l.weights = w.weights;
    l.bias = w.bias;
    l.activation = w.relu ? layer_activation::relu : layer_activation::none;
    if (w.name != "linear") {
      const bool halves = w.relu && channels != 3 && w.weights.rows() != channels;
      const index stride = halves ? 2 : 1;
      l.kind = layer_kind::conv2d;
      l.image = {side, side, channels};
      l.window = {.kernel = {3, 3}, .stride = {stride, stride}, .padding = {1, 1, 1, 1}};
      side /= stride;
      channels = w.weights.rows();
    }
    layers.push_back(std::move(l));
  }
  return layer_list(std::move(layers));
}

/// Images of `side` pixels, one in each row, as the feature maps of convolution.hpp.
inline feature_maps<float> maps_of_rows(const matrix& x, index side) {
  const index pixels = side * side;
  feature_maps<float> maps{x.rows(), side, {}};
  maps.values = Eigen::Map<const matrix>(x.data(), x.rows() * pixels, x.cols() / pixels);
  return maps;
}

/// The forward of layers_of_resnet(layers); a copy of the list is not needed while it runs.
inline forward_function forward_of_resnet(const layer_list& layers) {
  struct block {
    index side;
    index added;  // channels of zeros in the shortcut
  };
  std::vector<block> blocks;
  for (index i = 1; i + 1 < layers.size(); i += 2) {
    blocks.push_back({layers[i].image.height, layers[i].channels() - layers[i].image.channels});
  }
  return [blocks](const matrix& images, const compute_function& compute) {
    matrix x, y, z;
    compute(0, images, x);
    index layer = 1;
    index side = 32;
    for (const block& b : blocks) {
      compute(layer++, x, y);
      compute(layer++, y, z);
      if (b.added > 0) {
        side = b.side / 2;
        const feature_maps<float> half = halved(maps_of_rows(x, b.side), b.added);
        x = Eigen::Map<const matrix>(half.values.data(), x.rows(), z.cols());
      }
      x = (x + z).cwiseMax(0.0F);
    }
    const matrix pooled = average_pool(maps_of_rows(x, side));
    matrix logits;
    compute(layer, pooled, logits);
    return logits;
  };
}

}  // namespace fewbit::examples
