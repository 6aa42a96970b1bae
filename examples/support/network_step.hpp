#pragma once
/// What the steps of float_network.hpp and integer_network.hpp have in common.

#include "fewbit/ops/window2d.hpp"

namespace fewbit::examples {

/// What a step does to its sums: nothing, max(x, 0), or min(max(x, 0), 6).
enum class activation { none, relu, relu6 };

/// The extents of the outputs of windows.
inline image_extents output_extents(const placed_window& windows, index channels) {
  return {windows.output().height, windows.output().width, channels};
}

}  // namespace fewbit::examples
