#pragma once
/// Convolutions of NHWC images: conv2d<S, Inputs>.
///
///     window2d window{.kernel = {3, 3}, .stride = {2, 2}};
///     window.padding = same_padding(image, window);
///     conv2d<int8_per_row> layer(weights, image, window, bias);  // out x (9 * channels) floats
///     layer.reserve(images);
///     layer(x, y);                                                 // one image in each row
///
/// | Inputs                      | x                | y              | factor of the sums           |
/// |-----------------------------|------------------|----------------|------------------------------|
/// | dynamic_int8                | floats           | floats, codes  | floats; a scale for an image |
/// | static_int8, static_uint8   | floats, codes    | floats, codes  | floats                       |
/// | integer_only<In, Out, Mode> | codes            | codes          | fixed-point multipliers      |
///
///     y(p, c) = bias(c) + sum over kernel rows ky, kernel columns kx, channels i of the group of
///               x(y0 + ky * dilation, x0 + kx * dilation, i) * w(c, ky, kx, i)
///
/// (y0, x0) is the first pixel of window p. Sums are exact in int32. Pixels outside the image are
/// the real number 0. The layer gathers some windows at a time: at most 256 KiB for each worker, or
/// one row tile of windows where that is larger. Instruction sets without 8-bit dots transform
/// windows of 3 x 3 (ops/conv2d/winograd.hpp). Calls and memory are those of all layers
/// (ops/layer.hpp).
/// Read before: ops/window2d.hpp. Read next: ops/depthwise_conv2d.hpp.

#include "fewbit/begin.hpp"

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "fewbit/ops/conv2d/product.hpp"
#include "fewbit/ops/integer_weights.hpp"
#include "fewbit/quant/quantize.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// Weights of other libraries, [out][channel][kernel row][kernel column], in the order of conv2d,
/// [out][kernel row][kernel column][channel].
///
/// @param w  out x (channels * kernel height * kernel width)
/// @throws fewbit::error unless w has as many columns
template <class T>
[[nodiscard]] row_matrix<T> ohwi_from_oihw(const Eigen::Ref<const row_matrix<T>>& w,
                                           const extent2d& kernel) {
  const index taps = kernel.height * kernel.width;
  if (taps < 1 || w.cols() % taps != 0) {
    detail::fail("ohwi_from_oihw", "number of columns of w", w.cols(),
                 "a multiple of kernel height * kernel width, " + std::to_string(taps));
  }
  const index channels = w.cols() / taps;
  row_matrix<T> ordered(w.rows(), w.cols());
  for (index c = 0; c < channels; ++c) {
    for (index tap = 0; tap < taps; ++tap) ordered.col(tap * channels + c) = w.col(c * taps + tap);
  }
  return ordered;
}
/// The same for float weights of any expression.
[[nodiscard]] inline row_matrix<float> ohwi_from_oihw(const Eigen::Ref<const row_matrix<float>>& w,
                                                      const extent2d& kernel) {
  return ohwi_from_oihw<float>(w, kernel);
}

/// @tparam S       scheme of the weights, out x (kernel height * kernel width * channels of a
///                 group): integers of up to 8 bits, a scale for each row or matrix; weights of 1
///                 to 4 bits stay packed
/// @tparam Inputs  see the table above
/// @tparam Arch    instruction set, for comparing; programs leave it alone
template <Scheme S, class Inputs = dynamic_int8, class Arch = arch::native>
class conv2d : public layer<detail::conv_product<S, Inputs, Arch>>,
               public detail::saved_layer<conv2d<S, Inputs, Arch>> {
  using product = detail::conv_product<S, Inputs, Arch>;
  using base = layer<product>;
  using parts = detail::integer_parts<S, Inputs>;
  static constexpr const char* name = product::name;

 public:
  /// No images.
  conv2d() = default;

  /// Quantizes and packs float weights.
  /// @param image  extents of the inputs
  /// @param bias   one number for each output channel, or none
  /// @throws fewbit::error if the window does not fit the image, if weights have another shape than
  ///         window and groups say or are not finite, if bias has another length, or if a sum could
  ///         leave int32
  conv2d(const Eigen::Ref<const row_matrix<float>>& weights, const image_extents& image,
         const window2d& window, const Eigen::Ref<const Eigen::VectorXf>& bias = Eigen::VectorXf(),
         const layer_options& options = {}, index groups = 1)
    requires(!Inputs::is_static)
      : conv2d(detail::quantized_weights<S>(weights), image, window, bias, options, groups) {}
  /// Packs quantized weights.
  conv2d(const quantized_matrix<S>& weights, const image_extents& image, const window2d& window,
         const Eigen::Ref<const Eigen::VectorXf>& bias = Eigen::VectorXf(),
         const layer_options& options = {}, index groups = 1)
    requires(!Inputs::is_static)
      : base(product(weights, placed_window(name, image, window), groups, bias, quant_params{},
                     options)) {}

  /// The same with inputs of known parameters.
  conv2d(const Eigen::Ref<const row_matrix<float>>& weights, const image_extents& image,
         const window2d& window, const Eigen::Ref<const Eigen::VectorXf>& bias,
         const quant_params& input_params, const layer_options& options = {}, index groups = 1)
    requires(Inputs::is_static && !product::is_integer)
      : conv2d(detail::quantized_weights<S>(weights), image, window, bias, input_params, options,
               groups) {}
  conv2d(const quantized_matrix<S>& weights, const image_extents& image, const window2d& window,
         const Eigen::Ref<const Eigen::VectorXf>& bias, const quant_params& input_params,
         const layer_options& options = {}, index groups = 1)
    requires(Inputs::is_static && !product::is_integer)
      : base(product(weights, placed_window(name, image, window), groups, bias, input_params,
                     options)) {}

  /// In integers alone. The factors are S_in * S_w / S_out, in double.
  /// @param bias  real numbers; they become multiples of S_in * S_w
  /// @throws fewbit::error also if the rounding mode cannot hold a factor
  conv2d(const quantized_matrix<S>& weights, const image_extents& image, const window2d& window,
         const Eigen::Ref<const Eigen::VectorXf>& bias, const quant_params& input_params,
         const integer_options& options, index groups = 1)
    requires product::is_integer
      : conv2d(weights, image, window, parts::bias(name, weights, bias, input_params), input_params,
               options, groups) {}
  /// @param bias  multiples of S_in * S_w, one for each output channel, or none
  conv2d(const quantized_matrix<S>& weights, const image_extents& image, const window2d& window,
         std::span<const std::int32_t> bias, const quant_params& input_params,
         const integer_options& options, index groups = 1)
    requires product::is_integer
      : base(product(weights, placed_window(name, image, window), groups, bias, input_params,
                     parts::output(name, weights, input_params, options))) {}
  /// With multipliers that were computed elsewhere, one for each output channel. Scales of weights
  /// and outputs are not used. The zero point of outputs may lie up to 127 outside the codes.
  conv2d(const quantized_matrix<S>& weights, const image_extents& image, const window2d& window,
         std::span<const std::int32_t> bias, std::span<const fixed_multiplier> multipliers,
         std::int32_t input_zero_point, const integer_options& options, index groups = 1)
    requires product::is_integer
      : base(product(weights, placed_window(name, image, window), groups, bias,
                     quant_params{1.0F, input_zero_point},
                     parts::output(name, multipliers, options))) {}
};

template <class S, class Inputs, class Arch>
inline constexpr const char* detail::layer_word<conv2d<S, Inputs, Arch>> = "conv2d";

}}  // namespace fewbit

#include "fewbit/end.hpp"
