#pragma once
/// A small convolutional float network in Eigen for images of 8 x 8 pixels, and its training:
///
///     3 x 3 convolution to 16 channels, relu, 2 x 2 maximum   8 x 8 -> 4 x 4
///     3 x 3 convolution to 32 channels, relu, 2 x 2 maximum   4 x 4 -> 2 x 2
///     linear layer, 128 inputs                                10 logits
///
/// Read before: mlp.hpp, convolution.hpp.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "convolution.hpp"
#include "fewbit/core/types.hpp"
#include "mlp.hpp"

namespace fewbit::examples {

/// The largest value of each 2 x 2 pixels, and the row of `x` that it comes from.
struct max_of_cells {
  feature_maps<float> values;
  row_matrix<index> rows;

  void of(const feature_maps<float>& x) {
    const index side = x.side / 2;
    values = {x.images, side, row_matrix<float>(x.images * side * side, x.channels())};
    rows.resize(values.values.rows(), x.channels());
    for (index cell = 0; cell < rows.rows(); ++cell) {
      const index image = cell / (side * side), pixel = cell % (side * side);
      const index first = (image * x.side + pixel / side * 2) * x.side + pixel % side * 2;
      for (index c = 0; c < x.channels(); ++c) {
        index best = first;
        for (const index row : {first + 1, first + x.side, first + x.side + 1}) {
          if (x.values(row, c) > x.values(best, c)) best = row;
        }
        rows(cell, c) = best;
        values.values(cell, c) = x.values(best, c);
      }
    }
  }

  /// The gradient of x for the gradient of the values, where x > 0.
  [[nodiscard]] row_matrix<float> gradient(const row_matrix<float>& error,
                                           const row_matrix<float>& x) const {
    row_matrix<float> result = row_matrix<float>::Zero(x.rows(), x.cols());
    for (index cell = 0; cell < rows.rows(); ++cell) {
      for (index c = 0; c < x.cols(); ++c) {
        const index row = rows(cell, c);
        if (x(row, c) > 0.0F) result(row, c) = error(cell, c);
      }
    }
    return result;
  }
};

class small_cnn {
 public:
  static constexpr index side = 8;

  explicit small_cnn(std::uint64_t seed)
      : layers_{random_layer(16, 9, seed), random_layer(32, 9 * 16, seed + 1),
                random_layer(10, 4 * 32, seed + 2)} {}

  [[nodiscard]] const std::vector<float_layer>& layers() const { return layers_; }
  [[nodiscard]] std::vector<float_layer>& layers() { return layers_; }

  /// Computes logits, one image in each row.
  void operator()(const row_matrix<float>& images, row_matrix<float>& logits) {
    const Eigen::Map<const row_matrix<float>> pixels(images.data(), images.size(), 1);
    feature_maps<float> x{images.rows(), side, pixels};
    for (std::size_t i = 0; i < 2; ++i) {
      stage& s = stages_[i];
      extract_patches(x, 1, s.patches);
      s.sums = {x.images, x.side, {}};
      s.sums.values.noalias() = s.patches * layers_[i].weights.transpose();
      s.sums.values.rowwise() += layers_[i].bias.transpose();
      s.sums.values = s.sums.values.cwiseMax(0.0F);
      s.pool.of(s.sums);
      x = s.pool.values;
    }
    features_ = Eigen::Map<const row_matrix<float>>(x.values.data(), images.rows(), 4 * 32);
    logits.noalias() = features_ * layers_[2].weights.transpose();
    logits.rowwise() += layers_[2].bias.transpose();
  }

  /// The outputs of convolution i after relu, in the last call.
  [[nodiscard]] const row_matrix<float>& hidden(std::size_t i) const {
    return stages_[i].sums.values;
  }

  /// The gradients of all layers, for the gradient of the logits of the last call.
  [[nodiscard]] std::vector<float_layer> gradients(const row_matrix<float>& error) const {
    std::vector<float_layer> result(3);
    result[2] = {error.transpose() * features_, error.colwise().sum()};
    row_matrix<float> below = error * layers_[2].weights;
    for (std::size_t i = 2; i-- > 0;) {
      const stage& s = stages_[i];
      const index channels = s.sums.channels();
      const Eigen::Map<const row_matrix<float>> cells(below.data(), below.size() / channels,
                                                      channels);
      const row_matrix<float> sums = s.pool.gradient(cells, s.sums.values);
      result[i] = {sums.transpose() * s.patches, sums.colwise().sum()};
      if (i > 0) below = add_patches(sums * layers_[i].weights, s.sums.images, s.sums.side);
    }
    return result;
  }

 private:
  struct stage {
    row_matrix<float> patches;
    feature_maps<float> sums;  // after relu
    max_of_cells pool;
  };

  /// The reverse of extract_patches: adds each patch to the pixels that it was taken from.
  static row_matrix<float> add_patches(const row_matrix<float>& patches, index images, index side) {
    const index channels = patches.cols() / 9;
    row_matrix<float> pixels = row_matrix<float>::Zero(images * side * side, channels);
    for (index p = 0; p < patches.rows(); ++p) {
      const index row = p / side % side, col = p % side;
      for (index tap = 0; tap < 9; ++tap) {
        const index y = row + tap / 3 - 1, x = col + tap % 3 - 1;
        if (y < 0 || y >= side || x < 0 || x >= side) continue;
        pixels.row(p + (tap / 3 - 1) * side + tap % 3 - 1) +=
            patches.row(p).segment(tap * channels, channels);
      }
    }
    return pixels;
  }

  std::vector<float_layer> layers_;
  stage stages_[2];
  row_matrix<float> features_;
};

}  // namespace fewbit::examples
