#pragma once
/// Products of layers in float: a block of windows at a time, by Eigen. Private to compute.hpp and
/// simulate.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>

#include "fewbit/core/executor.hpp"
#include "fewbit/equalize/network/input_codes.hpp"
#include "fewbit/equalize/network/layer.hpp"
#include "fewbit/ops/conv2d/patches.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// Rows of a linear layer that are multiplied at once. Fixed, so that results do not depend on the
/// executor.
inline constexpr index float_rows_at_a_time = 64;
/// Numbers of the patches that are multiplied at once: 256 KiB.
inline constexpr index float_patch_numbers = index{1} << 16;

using output_map = Eigen::Map<row_matrix<float>, 0, Eigen::OuterStride<>>;

/// Multiplies `count` numbers of pixels of x.size() channels by the factor of their channel.
inline void scale_channels(const Eigen::VectorXf& factors, float* x, index count) {
  const index channels = factors.size();
  Eigen::Map<row_matrix<float>> pixels(x, count / channels, channels);
  pixels.array().rowwise() *= factors.transpose().array();
}

/// The windows of one image as rows, times the weights of each group.
inline void convolve_image(const network_layer& l, const matrix_ref& weights,
                           const placed_window& window, const float* image, float* y) {
  const index channels = l.image.channels / l.groups, outputs = l.channels() / l.groups;
  const index depth = l.depth(), pixels = window.output_pixels();
  if (window.is_pointwise() && l.groups == 1) {
    Eigen::Map<row_matrix<float>>(y, pixels, outputs).noalias() =
        Eigen::Map<const row_matrix<float>>(image, pixels, depth) * weights.transpose();
    return;
  }
  const patch_gatherer<float, float> gatherer(window, l.groups, depth, 0);
  const index block = std::clamp(float_patch_numbers / depth, index{1}, pixels);
  row_matrix<float> patches(block, depth);
  for (index first = 0; first < pixels; first += block) {
    const index count = std::min(block, pixels - first);
    for (index g = 0; g < l.groups; ++g) {
      gatherer.rows(image, g * channels, first, count, patches.data());
      output_map out(y + first * l.channels() + g * outputs, count, outputs,
                     Eigen::OuterStride<>(l.channels()));
      out.noalias() = patches.topRows(count) * weights.middleRows(g * outputs, outputs).transpose();
    }
  }
}

/// A kernel for each output channel, tap by tap.
inline void convolve_depthwise(const network_layer& l, const row_matrix<float>& taps,
                               const placed_window& window, const float* image, float* y) {
  const index in = l.image.channels, copies = l.channels() / in;
  const window2d& w = window.window();
  Eigen::Map<row_matrix<float>> out(y, window.output_pixels(), l.channels());
  out.setZero();
  for (index row = 0, pixel = 0; row < window.output().height; ++row) {
    const tap_range v = window.rows_of(row);
    for (index col = 0; col < window.output().width; ++col, ++pixel) {
      const tap_range h = window.cols_of(col);
      for (index i = 0; i < v.count() * h.count(); ++i) {
        const index ky = i / h.count(), kx = i % h.count();
        const index tap = (v.first + ky) * w.kernel.width + h.first + kx;
        const float* from = image + ((v.pixel + ky * w.dilation.height) * l.image.width + h.pixel +
                                     kx * w.dilation.width) *
                                        in;
        if (copies == 1) {
          out.row(pixel) +=
              Eigen::Map<const Eigen::RowVectorXf>(from, in).cwiseProduct(taps.row(tap));
        } else {
          for (index c = 0; c < l.channels(); ++c) out(pixel, c) += from[c / copies] * taps(tap, c);
        }
      }
    }
  }
}

/// y = activation(y) for rows of pixels.
inline void activate_pixels(const network_layer& l, float* y, index pixels) {
  if (l.activation == layer_activation::none) return;
  Eigen::Map<row_matrix<float>> out(y, pixels, l.channels());
  out = out.cwiseMax(0.0F);
  if (l.activation != layer_activation::relu6) return;
  for (index c = 0; c < l.channels(); ++c) out.col(c) = out.col(c).cwiseMin(l.cap(c));
}

/// Rows first .. first + count - 1 of x as the product reads them: multiplied by input_factors, and
/// replaced by the numbers that their codes stand for. They are in `memory`, or in x if unchanged.
inline const float* prepared_rows(const network_layer& l, const input_codes& codes,
                                  const row_matrix<float>& x, index first, index count,
                                  row_matrix<float>& memory) {
  if (l.input_factors.size() == 0 && codes.mode == input_mode::as_float) {
    return x.data() + first * x.cols();
  }
  memory = x.middleRows(first, count);
  if (l.input_factors.size() != 0) scale_channels(l.input_factors, memory.data(), memory.size());
  codes.apply(memory);
  return memory.data();
}

/// y = weights * x' + bias, where weights and bias take the place of those of the
/// layer, and x' are the prepared rows of x. x has l.inputs() columns and at least one row.
template <Executor E>
void float_sums(const network_layer& l, const matrix_ref& weights, const Eigen::VectorXf& bias,
                const input_codes& codes, const row_matrix<float>& x, row_matrix<float>& y,
                const E& executor) {
  const bool is_linear = l.kind == layer_kind::linear;
  const placed_window window =
      is_linear ? placed_window() : placed_window("float_sums", l.image, l.window);
  row_matrix<float> taps;
  if (l.kind == layer_kind::depthwise_conv2d) taps = weights.transpose();
  const index pixels = is_linear ? 1 : window.output_pixels();
  y.resize(x.rows(), pixels * l.channels());
  const index block = is_linear ? float_rows_at_a_time : 1;
  executor.for_each((x.rows() + block - 1) / block, [&](index part) {
    const index first = part * block, count = std::min(block, x.rows() - first);
    row_matrix<float> memory;
    const float* from = prepared_rows(l, codes, x, first, count, memory);
    float* to = y.data() + first * y.cols();
    if (is_linear) {
      Eigen::Map<row_matrix<float>>(to, count, l.channels()).noalias() =
          Eigen::Map<const row_matrix<float>>(from, count, x.cols()) * weights.transpose();
    } else if (l.kind == layer_kind::conv2d) {
      convolve_image(l, weights, window, from, to);
    } else {
      convolve_depthwise(l, taps, window, from, to);
    }
    if (bias.size() == 0) return;
    Eigen::Map<row_matrix<float>>(to, count * pixels, l.channels()).rowwise() += bias.transpose();
  });
}

/// The same with the activation of the layer.
template <Executor E>
void product_in_float(const network_layer& l, const matrix_ref& weights,
                      const Eigen::VectorXf& bias, const input_codes& codes,
                      const row_matrix<float>& x, row_matrix<float>& y, const E& executor) {
  float_sums(l, weights, bias, codes, x, y, executor);
  activate_pixels(l, y.data(), y.size() / l.channels());
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
