#pragma once
/// Sizes of the weights of a network.

#include "fewbit/core/types.hpp"
#include "fewbit/quant/quantize.hpp"
#include "fewbit/quant/scheme.hpp"

namespace fewbit::examples {

/// Size in a file of the codes, scales and zero points, in bytes. `layers` are structs with a
/// member `weights`.
template <Scheme S, class Layers>
double weight_bytes(const Layers& layers) {
  index sum = 0;
  for (const auto& layer : layers) sum += quantize<S>(layer.weights).storage_bytes();
  return static_cast<double>(sum);
}

/// The same for float weights.
template <class Layers>
double float_weight_bytes(const Layers& layers) {
  index sum = 0;
  for (const auto& layer : layers) sum += layer.weights.size() * index{sizeof(float)};
  return static_cast<double>(sum);
}

}  // namespace fewbit::examples
