#pragma once
/// A network of images in float, by Eigen. A function that describes a network adds its steps one
/// by one; integer_network.hpp takes the same calls, so that one description serves both:
///
///     template <class Network>
///     void describe(Network& net) {
///       const index x = net.conv2d(0, weights, bias, window, activation::relu);   // 0: the input
///       net.linear(net.mean2d(x), w, b);                          // the last step is the output
///     }
///     float_network real(extents);
///     describe(real);
///     const matrix& logits = real.run(images);                    // one image in each row
///
/// Each step has a number of its own tensor: 0 is the input, 1 is the output of the first step.
/// A convolution multiplies the matrix of all its patches (im2col).

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/calib/histogram_observer.hpp"
#include "fewbit/ops/pad.hpp"
#include "fewbit/ops/window2d.hpp"
#include "fewbit/quant/params.hpp"
#include "network_step.hpp"
#include "progress.hpp"

namespace fewbit::examples {

using matrix = row_matrix<float>;

class float_network {
 public:
  struct layer {
    matrix weights;
  };

  explicit float_network(const image_extents& input) : extents_{input}, state_{{matrix()}, {}} {}

  /// @param weights  out x (kernel row, kernel column, channel)
  index conv2d(index x, const matrix& weights, const Eigen::VectorXf& bias, const window2d& window,
               activation after) {
    const placed_window windows("float_network", extents(x), window);
    layers_.push_back({weights});
    return add_step(output_extents(windows, weights.rows()), [=](state& s, matrix& y) {
      const index pixels = windows.output_pixels();
      const matrix& images = s.at(x);
      y.resize(images.rows(), pixels * weights.rows());
      for (index i = 0; i < images.rows(); ++i) {
        Eigen::Map<matrix> out(y.row(i).data(), pixels, weights.rows());
        out.noalias() = patches(windows, images.row(i).data(), s.patches) * weights.transpose();
        out.rowwise() += bias.transpose();
      }
      activate(y, after);
    });
  }

  /// @param weights  channels x (kernel row, kernel column)
  index depthwise_conv2d(index x, const matrix& weights, const Eigen::VectorXf& bias,
                         const window2d& window, activation after) {
    const placed_window windows("float_network", extents(x), window);
    layers_.push_back({weights});
    const matrix taps = weights.transpose();
    return add_step(output_extents(windows, weights.rows()), [=](state& s, matrix& y) {
      const matrix& images = s.at(x);
      y.resize(images.rows(), windows.output_pixels() * weights.rows());
      for (index i = 0; i < images.rows(); ++i) {
        Eigen::Map<matrix> out(y.row(i).data(), windows.output_pixels(), weights.rows());
        out.rowwise() = bias.transpose();
        for_each_tap(windows, images.row(i).data(), [&](index pixel, index tap, const float* from) {
          const Eigen::Map<const Eigen::RowVectorXf> values(from, weights.rows());
          out.row(pixel) += values.cwiseProduct(taps.row(tap));
        });
      }
      activate(y, after);
    });
  }

  /// @param weights  outputs x inputs
  index linear(index x, const matrix& weights, const Eigen::VectorXf& bias,
               activation after = activation::none) {
    layers_.push_back({weights});
    return add_step({1, 1, weights.rows()}, [=](state& s, matrix& y) {
      y.noalias() = s.at(x) * weights.transpose();
      y.rowwise() += bias.transpose();
      activate(y, after);
    });
  }

  index add(index a, index b, activation after) {
    return add_step(extents(a), [=](state& s, matrix& y) {
      y = s.at(a) + s.at(b);
      activate(y, after);
    });
  }

  index max_pool2d(index x, const window2d& window) {
    const placed_window windows("float_network", extents(x), window);
    const index channels = extents(x).channels;
    return add_step(output_extents(windows, channels), [=](state& s, matrix& y) {
      const matrix& images = s.at(x);
      y.setConstant(images.rows(), windows.output_pixels() * channels, -INFINITY);
      for (index i = 0; i < images.rows(); ++i) {
        Eigen::Map<matrix> out(y.row(i).data(), windows.output_pixels(), channels);
        for_each_tap(windows, images.row(i).data(), [&](index pixel, index, const float* from) {
          const Eigen::Map<const Eigen::RowVectorXf> values(from, channels);
          out.row(pixel) = out.row(pixel).cwiseMax(values);
        });
      }
    });
  }

  /// The mean of each channel.
  index mean2d(index x) {
    const image_extents image = extents(x);
    return add_step({1, 1, image.channels}, [=](state& s, matrix& y) {
      const matrix& images = s.at(x);
      y.resize(images.rows(), image.channels);
      for (index i = 0; i < images.rows(); ++i) {
        const Eigen::Map<const matrix> pixels(images.row(i).data(), image.pixels(), image.channels);
        y.row(i) = pixels.colwise().mean();
      }
    });
  }

  /// Adds channels of zeros.
  index pad_channels(index x, const padding_of_channels& added) {
    const image_extents image = extents(x);
    const index channels = added.before + image.channels + added.after;
    return add_step({image.height, image.width, channels}, [=](state& s, matrix& y) {
      const matrix& images = s.at(x);
      y.setZero(images.rows(), image.pixels() * channels);
      const index pixels = images.rows() * image.pixels();
      const Eigen::Map<const matrix> from(images.data(), pixels, image.channels);
      Eigen::Map<matrix>(y.data(), pixels, channels).middleCols(added.before, image.channels) =
          from;
    });
  }

  [[nodiscard]] const image_extents& extents(index tensor) const {
    return extents_[static_cast<std::size_t>(tensor)];
  }
  [[nodiscard]] std::size_t tensors() const { return extents_.size(); }
  /// The weights, in the order of the steps.
  [[nodiscard]] const std::vector<layer>& layers() const { return layers_; }

  /// Returns the output of the last step. Calls watch(tensor, values) for the input and each step.
  template <class Watch>
  const matrix& run(const matrix& images, const Watch& watch) {
    state_.values[0] = images;
    watch(std::size_t{0}, state_.values[0]);
    for (std::size_t i = 0; i < steps_.size(); ++i) {
      steps_[i](state_, state_.values[i + 1]);
      watch(i + 1, state_.values[i + 1]);
    }
    return state_.values.back();
  }
  const matrix& run(const matrix& images) {
    return run(images, [](std::size_t, const matrix&) {});
  }

 private:
  struct state {
    std::vector<matrix> values;
    matrix patches;

    [[nodiscard]] const matrix& at(index tensor) const {
      return values[static_cast<std::size_t>(tensor)];
    }
  };
  using step = std::function<void(state&, matrix&)>;

  index add_step(const image_extents& output, step made) {
    extents_.push_back(output);
    state_.values.emplace_back();
    steps_.push_back(std::move(made));
    return static_cast<index>(steps_.size());
  }

  static void activate(matrix& y, activation after) {
    if (after != activation::none) y = y.cwiseMax(0.0F);
    if (after == activation::relu6) y = y.cwiseMin(6.0F);
  }

  /// Calls f(output pixel, tap, first channel of the input pixel) for the taps inside the image.
  template <class F>
  static void for_each_tap(const placed_window& windows, const float* image, const F& f) {
    const image_extents& in = windows.image();
    const window2d& window = windows.window();
    index pixel = 0;
    for (index top = 0; top < windows.output().height; ++top) {
      const tap_range v = windows.rows_of(top);
      for (index col = 0; col < windows.output().width; ++col, ++pixel) {
        const tap_range h = windows.cols_of(col);
        for (index ky = v.first; ky < v.end; ++ky) {
          const index y = v.pixel + (ky - v.first) * window.dilation.height;
          for (index kx = h.first; kx < h.end; ++kx) {
            const index x = h.pixel + (kx - h.first) * window.dilation.width;
            f(pixel, ky * window.kernel.width + kx, image + (y * in.width + x) * in.channels);
          }
        }
      }
    }
  }

  /// One row for each window of an image; `memory` holds them unless the image itself does.
  static Eigen::Map<const matrix> patches(const placed_window& windows, const float* image,
                                          matrix& memory) {
    const index channels = windows.image().channels;
    const index pixels = windows.output_pixels(), depth = windows.window().taps() * channels;
    if (windows.is_pointwise()) return {image, pixels, depth};
    memory.setZero(pixels, depth);
    for_each_tap(windows, image, [&](index pixel, index tap, const float* from) {
      std::copy_n(from, channels, memory.data() + pixel * depth + tap * channels);
    });
    return {memory.data(), pixels, depth};
  }

  std::vector<image_extents> extents_;
  std::vector<layer> layers_;
  std::vector<step> steps_;
  state state_;
};

/// Watches the values of all tensors of a network for `count` images, `at_a_time` together.
///
/// @param images  images(first, count) returns a matrix with one image in each row
template <class Images>
std::vector<histogram_observer> watch(const std::string& label, float_network& network, index count,
                                      index at_a_time, const Images& images) {
  std::vector<histogram_observer> seen(network.tensors());
  progress bar(label, count);
  for (index first = 0; first < count; first += at_a_time) {
    const index part = std::min(at_a_time, count - first);
    network.run(images(first, part),
                [&](std::size_t i, const matrix& values) { seen[i].observe(values); });
    bar.update(first + part);
  }
  return seen;
}

/// Scale and zero point of uint8 codes for each tensor.
template <class Method>
std::vector<quant_params> choose(const std::vector<histogram_observer>& seen,
                                 const Method& method) {
  std::vector<quant_params> params;
  for (const histogram_observer& values : seen)
    params.push_back(choose_params<uint8_affine>(values.range(method, clip::affine)));
  return params;
}

}  // namespace fewbit::examples
