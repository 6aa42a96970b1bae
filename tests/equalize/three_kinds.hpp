#pragma once
/// A network with a layer of each kind, its inputs, and errors of other weights.

#include <cstdint>
#include <utility>

#include "equalize/support.hpp"

namespace fewbit::tests {

/// A convolution with two groups, a depthwise one with two outputs per channel, and a head.
inline layer_list three_kinds() {
  const image_extents image{4, 3, 4}, wide{4, 3, 6};
  window2d window{.kernel = {3, 3}};
  window.padding = same_padding(image, window);
  network_layer grouped =
      image_layer("grouped", layer_kind::conv2d, random_reals(6, 18, 1), image, window);
  grouped.groups = 2;
  network_layer head = linear_layer("head", random_reals(5, 144, 4));
  head.input_factors = random_reals(144, 1, 5).cwiseAbs().array() + 0.1F;
  return layer_list(
      {std::move(grouped),
       image_layer("depthwise", layer_kind::depthwise_conv2d, random_reals(12, 9, 2), wide, window),
       std::move(head)});
}

/// Inputs whose columns depend on each other.
inline input_batches batches() {
  const auto batch = [](std::uint32_t seed) {
    return matrix(random_reals(40, 6, seed) * random_reals(6, 48, 9) +
                  random_reals(40, 48, seed + 1));
  };
  return {batch(20), batch(30)};
}

/// |y - y'|^2 of a layer with other weights, for its inputs in the float network.
inline double error_with(const layer_list& layers, index layer, const matrix& weights) {
  double error = 0.0;
  const compute_function compute =
      watching(float_compute(layers), [&](index i, const matrix& x, const matrix& y) {
        if (i != layer) return;
        network_layer changed = layers[i];
        changed.weights = weights;
        matrix other;
        compute_in_float(changed, x, other);
        error += (y.cast<double>() - other.cast<double>()).squaredNorm();
      });
  for (index b = 0; b < batches().count(); ++b) in_sequence(3)(batches()[b], compute);
  return error;
}

}  // namespace fewbit::tests
