#pragma once
/// Pixels of 8 bits as inputs of networks: normalized floats, or codes of them by a table.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <span>

#include "fewbit/core/types.hpp"
#include "fewbit/quant/params.hpp"

namespace fewbit::examples {

/// The real value of an RGB pixel under the normalization of ImageNet: (pixel / 255 - mean) /
/// deviation of its channel.
inline float normalized_pixel(std::uint8_t pixel, index channel) {
  static constexpr std::array<float, 3> mean{0.485F, 0.456F, 0.406F};
  static constexpr std::array<float, 3> deviation{0.229F, 0.224F, 0.225F};
  const auto c = static_cast<std::size_t>(channel);
  return (static_cast<float>(pixel) / 255.0F - mean[c]) / deviation[c];
}

/// RGB pixels, one image in each row, as floats.
inline row_matrix<float> normalized(const Eigen::Ref<const row_matrix<std::uint8_t>>& pixels) {
  return row_matrix<float>::NullaryExpr(pixels.rows(), pixels.cols(), [&](index r, index c) {
    return normalized_pixel(pixels(r, c), c % 3);
  });
}

/// Turns RGB pixels into codes of their normalized values, without floats: a table of 256 codes for
/// each channel.
class pixel_encoder {
 public:
  /// Parameters whose codes 0 to 255 cover all pixels.
  static quant_params params() {
    range all;
    for (index c = 0; c < 3; ++c)
      all = hull(all, {normalized_pixel(0, c), normalized_pixel(255, c)});
    return choose_params<uint8_affine>(all);
  }

  pixel_encoder() {
    const quant_params p = params();
    for (index c = 0; c < 3; ++c) {
      for (int pixel = 0; pixel < 256; ++pixel) {
        const float steps = normalized_pixel(static_cast<std::uint8_t>(pixel), c) / p.scale;
        const int code = static_cast<int>(std::lround(steps)) + p.zero_point;
        tables_[static_cast<std::size_t>(c)][static_cast<std::size_t>(pixel)] =
            static_cast<std::uint8_t>(std::clamp(code, 0, 255));
      }
    }
  }

  [[nodiscard]] row_matrix<std::uint8_t> operator()(
      const Eigen::Ref<const row_matrix<std::uint8_t>>& pixels) const {
    row_matrix<std::uint8_t> codes(pixels.rows(), pixels.cols());
    const std::uint8_t* from = pixels.data();
    std::uint8_t* to = codes.data();
    for (index i = 0; i < codes.size(); i += 3) {
      for (index c = 0; c < 3; ++c) to[i + c] = tables_[static_cast<std::size_t>(c)][from[i + c]];
    }
    return codes;
  }

 private:
  std::array<std::array<std::uint8_t, 256>, 3> tables_{};
};

}  // namespace fewbit::examples
