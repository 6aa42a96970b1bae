#pragma once
/// Convolution as a matrix product: the patch of the input for each output pixel becomes a row.

#include <algorithm>
#include <cstddef>

#include "fewbit/core/types.hpp"

namespace fewbit::examples {

/// Square images. `values` has one row per pixel and one column per channel (NHWC); the images
/// follow one another.
template <class T>
struct feature_maps {
  index images = 0;
  index side = 0;
  row_matrix<T> values;

  [[nodiscard]] index channels() const { return values.cols(); }
};

/// The 3 x 3 patches of x around every stride-th pixel: row (image, y, x), columns (dy, dx,
/// channel). Pixels outside the image are T{}, so codes need zero point 0.
template <class T>
void extract_patches(const feature_maps<T>& x, index stride, row_matrix<T>& patches) {
  const index c = x.channels();
  const index out = (x.side + stride - 1) / stride;
  patches.resize(x.images * out * out, 9 * c);
  T* to = patches.data();
  for (index image = 0; image < x.images; ++image) {
    for (index row = 0; row < out; ++row) {
      for (index col = 0; col < out; ++col) {
        for (index dy = -1; dy <= 1; ++dy, to += 3 * c) {
          const index y = row * stride + dy;
          const index left = col * stride - 1;
          const index first = std::max(index{0}, -left);
          const index last = std::min(index{3}, x.side - left);
          if (y < 0 || y >= x.side) {
            std::fill_n(to, 3 * c, T{});
            continue;
          }
          const T* from = x.values.data() + ((image * x.side + y) * x.side + left + first) * c;
          std::fill_n(to, first * c, T{});
          std::copy_n(from, (last - first) * c, to + first * c);
          std::fill(to + last * c, to + 3 * c, T{});
        }
      }
    }
  }
}

/// Reorders weights from the order of files (output, input, dy, dx) to the order of a patch
/// (output, dy, dx, input).
inline row_matrix<float> patch_order(const row_matrix<float>& weights) {
  const index channels = weights.cols() / 9;
  row_matrix<float> out(weights.rows(), weights.cols());
  for (index c = 0; c < channels; ++c) {
    for (index at = 0; at < 9; ++at) out.col(at * channels + c) = weights.col(c * 9 + at);
  }
  return out;
}

/// Every second pixel in both directions, with `added` channels of zeros, half of them before and
/// half after the others. A residual network for CIFAR uses this as the shortcut to half the side
/// length and twice the channels.
inline feature_maps<float> halved(const feature_maps<float>& x, index added) {
  const index side = x.side / 2;
  feature_maps<float> out{x.images, side, {}};
  out.values.setZero(x.images * side * side, x.channels() + added);
  for (index i = 0; i < out.values.rows(); ++i) {
    const index image = i / (side * side);
    const index pixel = i % (side * side);
    const index from = (image * x.side + pixel / side * 2) * x.side + pixel % side * 2;
    out.values.row(i).segment(added / 2, x.channels()) = x.values.row(from);
  }
  return out;
}

/// The mean of each channel of each image.
inline row_matrix<float> average_pool(const feature_maps<float>& x) {
  const index pixels = x.side * x.side;
  row_matrix<float> out(x.images, x.channels());
  for (index i = 0; i < x.images; ++i) {
    out.row(i) = x.values.middleRows(i * pixels, pixels).colwise().mean();
  }
  return out;
}

}  // namespace fewbit::examples
