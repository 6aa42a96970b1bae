#pragma once
/// Images as codes of a graph's input.

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "fewbit/quant/modes.hpp"
#include "graph.hpp"
#include "pixels.hpp"
#include "tensor.hpp"

namespace fewbit::examples {

/// Image i as codes of the graph's input. Bytes are RGB pixels: they become the codes of `u8 /
/// 255`, minus the mean and divided by the standard deviation of ImageNet where the graph takes the
/// channels first; else byte 0 is the lowest code. Floats are quantized.
inline std::vector<std::int8_t> codes_of(const tensor& images, index i, const graph_tensor& input) {
  const auto size = static_cast<std::size_t>(input.size());
  const std::size_t first = static_cast<std::size_t>(i) * size;
  const auto code = [&](float real) {
    return static_cast<std::int8_t>(
        onnx::quantize<std::int8_t>(real, input.params.scale, input.params.zero_point));
  };
  std::vector<std::int8_t> codes(size);
  if (images.type == element::i8) {
    std::copy_n(images.as<std::int8_t>().begin() + static_cast<std::ptrdiff_t>(first), size,
                codes.begin());
  } else if (images.type == element::f32) {
    for (std::size_t k = 0; k < size; ++k) codes[k] = code(images.as<float>()[first + k]);
  } else if (input.shape.size() == 4 && input.shape[1] == 3) {
    const auto rgb = images.as<std::uint8_t>().subspan(first, size);
    for (std::size_t c = 0; c < 3; ++c) {
      for (std::size_t at = 0; at < size / 3; ++at)
        codes[c * size / 3 + at] = code(normalized_pixel(rgb[3 * at + c], static_cast<index>(c)));
    }
  } else {
    const auto bytes = images.as<std::uint8_t>().subspan(first, size);
    for (std::size_t k = 0; k < size; ++k) codes[k] = static_cast<std::int8_t>(int{bytes[k]} - 128);
  }
  return codes;
}

}  // namespace fewbit::examples
