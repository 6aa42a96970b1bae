#pragma once
/// Networks and data for tests of equalize/, and plain loops in double.

#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/equalize/network.hpp"
#include "support/reals.hpp"
#include "support/sentence.hpp"

namespace fewbit::tests {

using matrix = row_matrix<float>;

/// A sequence of a linear congruential generator: x = x * 6364136223846793005 +
/// 1442695040888963407 mod 2^64 from x = seed; the values are (x >> 11) * 2^-52 - 1.
inline Eigen::MatrixXd lcg(index rows, index cols, std::uint64_t seed) {
  Eigen::MatrixXd m(rows, cols);
  std::uint64_t x = seed;
  for (index r = 0; r < rows; ++r) {
    for (index c = 0; c < cols; ++c) {
      x = x * 6364136223846793005U + 1442695040888963407U;
      m(r, c) = static_cast<double>(x >> 11) * 0x1p-52 - 1.0;
    }
  }
  return m;
}

inline network_layer linear_layer(std::string name, matrix weights, Eigen::VectorXf bias = {},
                                  layer_activation after = layer_activation::none) {
  network_layer l;
  l.name = std::move(name);
  l.weights = std::move(weights);
  l.bias = std::move(bias);
  l.activation = after;
  return l;
}

inline network_layer image_layer(std::string name, layer_kind kind, matrix weights,
                                 const image_extents& image, const window2d& window,
                                 layer_activation after = layer_activation::none) {
  network_layer l;
  l.name = std::move(name);
  l.kind = kind;
  l.weights = std::move(weights);
  l.bias = random_reals(l.weights.rows(), 1, 77);
  l.image = image;
  l.window = window;
  l.activation = after;
  return l;
}

/// Calls the layers one after the other.
inline forward_function in_sequence(index layers) {
  return [layers](const matrix& inputs, const compute_function& compute) {
    matrix x = inputs, y;
    for (index i = 0; i < layers; ++i) {
      compute(i, x, y);
      std::swap(x, y);
    }
    return x;
  };
}

/// expand (1x1), depthwise (3x3), project (1x1) on images of 6 x 5 x 3, and a linear head.
inline std::vector<network_layer> mobile_block(layer_activation after) {
  const image_extents image{6, 5, 3}, wide{6, 5, 8}, small{3, 3, 8};
  window2d window{.kernel = {3, 3}, .stride = {2, 2}};
  window.padding = same_padding(wide, window);
  return {
      image_layer("expand", layer_kind::conv2d, random_reals(8, 3, 1), image, {}, after),
      image_layer("depthwise", layer_kind::depthwise_conv2d, random_reals(8, 9, 2), wide, window,
                  after),
      image_layer("project", layer_kind::conv2d, random_reals(4, 8, 3), small, {}),
      linear_layer("head", random_reals(5, 36, 4), random_reals(5, 1, 5)),
  };
}

/// One layer as plain loops in double.
inline Eigen::MatrixXd plain_layer(const network_layer& l, const Eigen::MatrixXd& x) {
  const bool is_linear = l.kind == layer_kind::linear;
  const bool is_depthwise = l.kind == layer_kind::depthwise_conv2d;
  const auto& w = l.window;
  const index in = is_linear ? l.weights.cols() : l.image.channels, out = l.weights.rows();
  const auto extent = [](index size, index before, index after, index kernel, index dilation,
                         index stride) {
    return (size + before + after - dilation * (kernel - 1) - 1) / stride + 1;
  };
  const index height = is_linear ? 1
                                 : extent(l.image.height, w.padding.top, w.padding.bottom,
                                          w.kernel.height, w.dilation.height, w.stride.height);
  const index width = is_linear ? 1
                                : extent(l.image.width, w.padding.left, w.padding.right,
                                         w.kernel.width, w.dilation.width, w.stride.width);
  const index of_group = is_depthwise ? 1 : in / l.groups;
  Eigen::MatrixXd y(x.rows(), height * width * out);
  for (index n = 0; n < x.rows(); ++n) {
    for (index p = 0; p < height * width; ++p) {
      for (index o = 0; o < out; ++o) {
        const index first = is_depthwise ? o / (out / in) : o / (out / l.groups) * of_group;
        double sum = l.bias.size() == 0 ? 0.0 : double{l.bias[o]};
        for (index tap = 0; tap < (is_linear ? 1 : w.taps()); ++tap) {
          const index ky = tap / w.kernel.width, kx = tap % w.kernel.width;
          const index iy = p / width * w.stride.height + ky * w.dilation.height - w.padding.top;
          const index ix = p % width * w.stride.width + kx * w.dilation.width - w.padding.left;
          const index ih = is_linear ? 1 : l.image.height, iw = is_linear ? 1 : l.image.width;
          if (iy < 0 || iy >= ih || ix < 0 || ix >= iw) continue;
          for (index c = 0; c < of_group; ++c) {
            const double factor =
                l.input_factors.size() == 0 ? 1.0 : double{l.input_factors[first + c]};
            sum += x(n, (iy * iw + ix) * in + first + c) * factor *
                   double{l.weights(o, tap * of_group + c)};
          }
        }
        if (l.activation != layer_activation::none) sum = std::fmax(sum, 0.0);
        if (l.activation == layer_activation::relu6)
          sum = std::fmin(sum, l.caps.size() == 0 ? 6.0 : double{l.caps[o]});
        y(n, p * out + o) = sum;
      }
    }
  }
  return y;
}

/// A network of layers one after the other, in double.
inline Eigen::MatrixXd plain_sequence(const layer_list& layers, const matrix& inputs) {
  Eigen::MatrixXd x = inputs.cast<double>();
  for (const network_layer& l : layers) x = plain_layer(l, x);
  return x;
}

/// The largest difference, relative to the largest magnitude of the first.
inline double largest_difference(const Eigen::MatrixXd& a, const Eigen::MatrixXd& b) {
  return (a - b).cwiseAbs().maxCoeff() / a.cwiseAbs().maxCoeff();
}

/// 10 log10(|a|^2 / |a - b|^2).
inline double decibels(const Eigen::MatrixXd& a, const Eigen::MatrixXd& b) {
  return 10.0 * std::log10(a.squaredNorm() / (a - b).squaredNorm());
}

}  // namespace fewbit::tests
