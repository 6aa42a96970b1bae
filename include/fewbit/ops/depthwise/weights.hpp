#pragma once
/// Weights of depthwise convolutions, as other libraries store them, and their packed form.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "fewbit/arch/avx2_taps.hpp"
#include "fewbit/arch/neon_taps.hpp"
#include "fewbit/arch/tap_unit.hpp"
#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/bits.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/ops/integer_output.hpp"
#include "fewbit/ops/window2d.hpp"
#include "fewbit/quant/params.hpp"
#include "fewbit/quant/quantized_matrix.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// Weights of a depthwise convolution. A weight is (code - zero point) * scale.
struct depthwise_weights {
  /// [kernel row][kernel column] x [output channel], TFLite's order 1HWC.
  row_matrix<std::int8_t> codes;
  /// One for each output channel, or one for all. Operators that are made with fixed_multipliers
  /// do not use them.
  std::vector<float> scales;
  /// One for each output channel, one for all, or none: all are 0.
  std::vector<std::int32_t> zero_points;
};

namespace detail {

/// Four bits at position i of packed codes, low half of each byte first.
[[nodiscard]] inline std::int8_t signed_nibble(const std::uint8_t* bytes, index i) noexcept {
  const int four = (bytes[i / 2] >> (i % 2 * 4)) & 15;
  return static_cast<std::int8_t>((four ^ 8) - 8);
}

}  // namespace detail

/// Codes of XNNPACK, ONNX and PyTorch, [channel][kernel row][kernel column], in the order of
/// depthwise_weights.
/// @param codes  output channels x (kernel height * kernel width)
[[nodiscard]] inline row_matrix<std::int8_t> hwc_from_chw(
    const Eigen::Ref<const row_matrix<std::int8_t>>& codes) {
  return codes.transpose();
}

/// Codes of 4 bits, -8 to 7, two in a byte with the first in the low half, as CMSIS-NN and TFLite
/// pack them.
/// @throws fewbit::error unless there are (taps * channels + 1) / 2 bytes
[[nodiscard]] inline row_matrix<std::int8_t> depthwise_codes_from_int4(
    std::span<const std::uint8_t> bytes, index taps, index channels) {
  detail::expect(taps >= 1, "depthwise_codes_from_int4", "taps", taps, "at least 1");
  detail::expect(channels >= 1, "depthwise_codes_from_int4", "channels", channels, "at least 1");
  detail::expect_equal("depthwise_codes_from_int4", "number of bytes",
                       static_cast<index>(bytes.size()), (taps * channels + 1) / 2);
  row_matrix<std::int8_t> codes(taps, channels);
  for (index i = 0; i < codes.size(); ++i) codes.data()[i] = detail::signed_nibble(bytes.data(), i);
  return codes;
}

/// Quantized weights, one row for each output channel: [channel][kernel row][kernel column].
template <IntegerScheme S>
  requires(!S::has_minimum)
[[nodiscard]] depthwise_weights depthwise_weights_of(const quantized_matrix<S>& w) {
  static_assert(std::is_same_v<typename S::granularity, per_row> ||
                    std::is_same_v<typename S::granularity, per_tensor>,
                "fewbit: depthwise weights have a scale for each row or matrix");
  constexpr int shift = S::storage::is_signed ? 0 : 1 << (S::storage::bits - 1);
  depthwise_weights made{row_matrix<std::int8_t>(w.cols(), w.rows()), {}, {}};
  for (index c = 0; c < w.rows(); ++c) {
    for (index tap = 0; tap < w.cols(); ++tap)
      made.codes(tap, c) = static_cast<std::int8_t>(w.code(c, tap) - shift);
    made.scales.push_back(w.scale(c, 0));
    if constexpr (S::is_affine) made.zero_points.push_back(w.zero_point(c, 0) - shift);
  }
  return made;
}

namespace detail {

/// A depthwise convolution: windows, and output channels for each channel of the image. Output
/// channel c * multiplier + m belongs to channel c.
struct depthwise_shape {
  placed_window window;
  index multiplier = 1;

  [[nodiscard]] index channels() const noexcept { return window.image().channels * multiplier; }
  [[nodiscard]] index inputs() const noexcept { return window.image().size(); }
  [[nodiscard]] index outputs() const noexcept { return window.output_pixels() * channels(); }
};

/// Fails unless there are codes for each tap and output channel, scales and zero points for each
/// channel or for all.
inline void expect_depthwise_weights(const char* function, const depthwise_weights& w,
                                     const depthwise_shape& shape) {
  expect(shape.multiplier >= 1, function, "multiplier", shape.multiplier, "at least 1");
  const index taps = shape.window.window().taps(), channels = shape.channels();
  if (w.codes.rows() != taps || w.codes.cols() != channels) {
    fail(function, "weights.codes", shape_text(w.codes.rows(), w.codes.cols()),
         shape_text(taps, channels) + ": kernel height * kernel width x output channels");
  }
  const auto zeros = static_cast<index>(w.zero_points.size());
  if (zeros > 1 && zeros != channels) {
    fail(function, "number of zero points of weights", zeros,
         "0, 1 or " + std::to_string(channels));
  }
  for (index i = 0; i < zeros; ++i) {
    expect_zero_point(function, item("weights.zero_points", i),
                      w.zero_points[static_cast<std::size_t>(i)], -128, 127);
  }
}

/// The element of a list that has one for each channel, one for all, or none.
template <class T>
[[nodiscard]] T of_channel(const std::vector<T>& list, index channel) noexcept {
  if (list.empty()) return T{};
  return list.size() == 1 ? list[0] : list[static_cast<std::size_t>(channel)];
}

/// S_in * S_w / S_out of each channel, in double.
[[nodiscard]] inline std::vector<double> depthwise_factors(const char* function,
                                                           const depthwise_weights& w,
                                                           index channels, const quant_params& in,
                                                           const quant_params& out) {
  const auto scales = static_cast<index>(w.scales.size());
  if (scales != 1 && scales != channels) {
    fail(function, "number of scales of weights", scales, "1 or " + std::to_string(channels));
  }
  for (index i = 0; i < scales; ++i) {
    expect_positive_scale(function, item("weights.scales", i),
                          w.scales[static_cast<std::size_t>(i)]);
  }
  expect_positive_scale(function, "input_params.scale", in.scale);
  expect_positive_scale(function, "output_params.scale", out.scale);
  std::vector<double> factors;
  for (index c = 0; c < channels; ++c) {
    factors.push_back(double{in.scale} * double{of_channel(w.scales, c)} / double{out.scale});
  }
  return factors;
}

/// Weights minus their zero points, -255 to 255.
[[nodiscard]] inline row_matrix<std::int16_t> centered(const depthwise_weights& w) {
  row_matrix<std::int16_t> values(w.codes.rows(), w.codes.cols());
  for (index tap = 0; tap < values.rows(); ++tap) {
    for (index c = 0; c < values.cols(); ++c)
      values(tap, c) = static_cast<std::int16_t>(w.codes(tap, c) - of_channel(w.zero_points, c));
  }
  return values;
}

template <class Shape, class Parts>
void visit_depthwise_shape(Shape& shape, Parts& parts) {
  visit_placed_window(shape.window, parts);
  parts.number("multiplier", shape.multiplier, 1, largest_channels);
  if constexpr (Parts::loads) {
    expect_countable(parts.place(), "number of output channels", shape.window.image().channels,
                     shape.multiplier);
    expect(shape.channels() <= largest_channels, parts.place(), "number of output channels",
           shape.channels(), "at most " + std::to_string(largest_channels));
  }
}

/// Output channels in the order of the sums of a unit: blocks of Unit::channels lanes. The last
/// block starts so early that it ends with the last channel. If there are fewer channels than
/// lanes, the other lanes repeat the last channel.
template <class Unit>
struct channel_blocks {
  index channels;

  [[nodiscard]] index count() const noexcept {
    return (channels + Unit::channels - 1) / Unit::channels;
  }
  [[nodiscard]] index first(index block) const noexcept {
    return std::max(std::min(block * Unit::channels, channels - Unit::channels), index{0});
  }
  /// Number of sums of a pixel.
  [[nodiscard]] index lanes() const noexcept { return count() * Unit::channels; }
  /// The channel of a sum.
  [[nodiscard]] index channel(index lane) const noexcept {
    const auto in_block = static_cast<int>(lane % Unit::channels);
    const int c = Unit::channel_of(in_block / Unit::lanes, in_block % Unit::lanes);
    return std::min(first(lane / Unit::channels) + c, channels - 1);
  }
};

/// Kernel rows in groups of Unit::depth.
template <class Unit>
[[nodiscard]] index tap_groups(const extent2d& kernel) noexcept {
  return (kernel.height + Unit::depth - 1) / Unit::depth;
}
/// Bytes of the packed weights of a block.
template <class Unit>
[[nodiscard]] index block_weights(const extent2d& kernel) noexcept {
  return tap_groups<Unit>(kernel) * kernel.width * Unit::channels * Unit::depth;
}

/// Weights as [block][group of kernel rows][kernel column][sum][row of the group]; rows below the
/// kernel have weights 0.
template <class Unit>
[[nodiscard]] aligned_buffer<std::byte> packed_taps(const row_matrix<std::int16_t>& weights,
                                                    const extent2d& kernel) {
  using weight = typename Unit::weight;
  const channel_blocks<Unit> blocks{weights.cols()};
  const index groups = tap_groups<Unit>(kernel);
  aligned_buffer<std::byte> packed(blocks.count() * block_weights<Unit>(kernel) *
                                   index{sizeof(weight)});
  std::byte* to = packed.data();
  for (index b = 0; b < blocks.count(); ++b) {
    for (index g = 0; g < groups; ++g) {
      for (index kx = 0; kx < kernel.width; ++kx) {
        for (index lane = 0; lane < Unit::channels; ++lane) {
          const index channel = blocks.channel(b * Unit::channels + lane);
          for (index d = 0; d < Unit::depth; ++d, to += sizeof(weight)) {
            const index ky = g * Unit::depth + d;
            const auto w = ky < kernel.height
                               ? static_cast<weight>(weights(ky * kernel.width + kx, channel))
                               : weight{0};
            std::memcpy(to, &w, sizeof(w));
          }
        }
      }
    }
  }
  return packed;
}

/// The weights that packed_taps packed: taps x channels.
///
/// @param lane_of  lane_of(channel) is a sum of the channel
template <class Unit, class F>
[[nodiscard]] row_matrix<std::int16_t> unpacked_taps(const std::byte* packed,
                                                     const extent2d& kernel, index channels,
                                                     const F& lane_of) {
  using weight = typename Unit::weight;
  row_matrix<std::int16_t> values(kernel.height * kernel.width, channels);
  for (index c = 0; c < channels; ++c) {
    const index block = lane_of(c) / Unit::channels, lane = lane_of(c) % Unit::channels;
    for (index tap = 0; tap < values.rows(); ++tap) {
      const index ky = tap / kernel.width, kx = tap % kernel.width;
      const index at =
          block * block_weights<Unit>(kernel) +
          ((ky / Unit::depth * kernel.width + kx) * Unit::channels + lane) * Unit::depth +
          ky % Unit::depth;
      weight w;
      std::memcpy(&w, packed + at * index{sizeof(weight)}, sizeof(w));
      values(tap, c) = static_cast<std::int16_t>(w);
    }
  }
  return values;
}

}  // namespace detail

}}  // namespace fewbit

#include "fewbit/end.hpp"
