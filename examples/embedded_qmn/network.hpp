#pragma once
// The network of embedded_qmn: 8 x 8 pixels -> ten logits, in int8 codes with power-of-two scales.
//
// pixels 8 x 8 x 1 -> 3 x 3 convolution, relu -> maximum of 2 x 2 -> 3 x 3 convolution, relu ->
// average of 2 x 2 -> linear

#include <array>
#include <cstdint>
#include <fewbit/ops/qmn.hpp>
#include <span>

namespace fewbit::examples {

/// Pixels are 0 to 16 and mean 0 to 1.
inline constexpr int pixel_fraction_bits = 4;

inline constexpr image_extents pixel_image{8, 8, 1};
inline constexpr index conv1_channels = 8, conv2_channels = 16, classes = 10;

inline constexpr window2d same3x3{.kernel = {3, 3}, .padding = {1, 1, 1, 1}};
inline constexpr window2d halves{.kernel = {2, 2}, .stride = {2, 2}};

/// Weights, bias and shifts of the layers, in constant memory.
struct digits_parameters {
  q7_weights conv1;
  q7_weights conv2;
  q7_weights linear;
};

class digits_network {
 public:
  /// Memory of the codes between the layers. Layers read one array and write the other.
  struct memory {
    std::array<std::int8_t, 512> even;
    std::array<std::int8_t, 128> odd;
  };

  constexpr explicit digits_network(const digits_parameters& p)
      : conv1(pixel_image, same3x3, p.conv1),
        pool1(conv1.output(), halves),
        conv2(pool1.output(), same3x3, p.conv2),
        pool2(conv2.output(), halves),
        linear(pool2.output().size(), p.linear) {}

  void operator()(std::span<const std::int8_t> pixels, memory& codes,
                  std::span<std::int8_t> logits) const noexcept {
    conv1(pixels, codes.even);
    pool1(codes.even, codes.odd);
    conv2(codes.odd, std::span(codes.even).first<256>());
    pool2(std::span(codes.even).first<256>(), std::span(codes.odd).first<64>());
    linear(std::span(codes.odd).first<64>(), logits);
  }

  q7_conv2d conv1;
  q7_max_pool2d pool1;
  q7_conv2d conv2;
  q7_average_pool2d pool2;
  q7_linear linear;
};

/// Position of the largest logit.
inline int largest(std::span<const std::int8_t> logits) noexcept {
  int best = 0;
  for (int i = 1; i < static_cast<int>(logits.size()); ++i) {
    if (logits[static_cast<std::size_t>(i)] > logits[static_cast<std::size_t>(best)]) best = i;
  }
  return best;
}

}  // namespace fewbit::examples
