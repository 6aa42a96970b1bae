#pragma once
/// The residual network for CIFAR-10 of He et al. 2015 (arXiv:1512.03385) for any kind of linear
/// layer. Batch norms are folded into the convolutions. A convolution is a linear layer over the
/// patches of its input. The header also reads files and images, records activations and measures
/// accuracy.
///
/// The data are not part of this project. Their folder contains
///   resnet/resnet20_cifar10_folded.safetensors  float32, OIHW: conv1, layer{1,2,3}.{k}.conv{1,2},
///                                               linear, each with .weight and .bias (resnet32_...
///                                               for depth 32)
///   cifar10/test_images.npy, calib_images.npy   u8 [n, 32, 32, 3], RGB
///   cifar10/test_labels.npy                     u8 [n]

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "convolution.hpp"
#include "fewbit/ops/linear.hpp"
#include "fewbit/quant/modes.hpp"
#include "npy.hpp"
#include "pixels.hpp"
#include "progress.hpp"
#include "safetensors.hpp"
#include "table.hpp"

namespace fewbit::examples {

using matrix = row_matrix<float>;

inline constexpr index images_at_a_time = 4;  // patches of the widest layer: 2.4 MB as floats

// ---- the files

/// A layer of the file. `relu` is true if a relu follows directly.
struct float_weights {
  std::string name;
  matrix weights;
  Eigen::VectorXf bias;
  bool relu;
};

/// conv1, layer1.0.conv1, layer1.0.conv2, ... , linear, in the order of computation.
inline std::vector<float_weights> load_weights(const std::string& path, index blocks) {
  const safetensors file = read_safetensors(path);
  const auto load = [&](const std::string& name, bool relu) {
    const matrix w = file[name + ".weight"].matrix<float>();
    const Eigen::VectorXf bias = file[name + ".bias"].matrix<float>();
    return float_weights{name, name == "linear" ? w : patch_order(w), bias, relu};
  };
  std::vector<float_weights> layers{load("conv1", true)};
  for (int stage = 1; stage <= 3; ++stage) {
    for (index block = 0; block < blocks; ++block) {
      const std::string prefix =
          "layer" + std::to_string(stage) + "." + std::to_string(block) + ".conv";
      layers.push_back(load(prefix + "1", true));
      layers.push_back(load(prefix + "2", false));
    }
  }
  layers.push_back(load("linear", false));
  return layers;
}

/// Images of 32 x 32 pixels, 8-bit RGB.
struct image_set {
  tensor pixels;

  [[nodiscard]] index count() const { return pixels.shape[0]; }

  /// Some images, one in each row.
  [[nodiscard]] Eigen::Map<const row_matrix<std::uint8_t>> rows(index first, index images) const {
    constexpr index size = index{32} * 32 * 3;
    return {pixels.as<std::uint8_t>().data() + first * size, images, size};
  }

  /// Some images as inputs of the network: each channel normalized as in training.
  [[nodiscard]] feature_maps<float> normalized(index first, index images) const {
    feature_maps<float> x{images, 32, matrix(images * 32 * 32, 3)};
    const std::uint8_t* from = rows(first, images).data();
    for (index i = 0; i < x.values.size(); ++i)
      x.values.data()[i] = normalized_pixel(from[i], i % 3);
    return x;
  }
};

// ---- the network, for any kind of layer

/// A layer in float, by Eigen.
struct float_linear {
  const float_weights* layer;

  [[nodiscard]] index outputs() const { return layer->weights.rows(); }

  void operator()(const matrix& x, matrix& y) const {
    y.noalias() = x * layer->weights.transpose();
    y.rowwise() += layer->bias.transpose();
    if (layer->relu) y = y.cwiseMax(0.0F);
  }
};

/// Input is the type that a layer reads: float, or std::int8_t for codes of layer.input_params().
/// Codes are made before the patches, because each code appears in up to nine patches.
template <class Layer, class Input>
class resnet {
 public:
  explicit resnet(std::vector<Layer> layers) : layers_(std::move(layers)) {
    if constexpr (requires(Layer& layer) { layer.reserve(index{128}); }) {
      for (Layer& layer : layers_) layer.reserve(128);
    }
  }

  /// Computes the logits of a batch. Calls `watch(i, values)` with the input of each layer i.
  template <class Watch>
  matrix operator()(feature_maps<float> x, const Watch& watch) {
    std::size_t i = 0;
    x = convolve(i++, x, 1, watch);
    while (i + 1 < layers_.size()) {
      const index added = layers_[i].outputs() - x.channels();
      const index stride = added == 0 ? 1 : 2;
      feature_maps<float> y = convolve(i, x, stride, watch);
      y = convolve(i + 1, y, 1, watch);
      if (stride == 2) x = halved(x, added);
      x.values = (x.values + y.values).cwiseMax(0.0F);
      i += 2;
    }
    const matrix pooled = average_pool(x);
    watch(i, pooled);
    return apply(i, encode(i, pooled));
  }

  matrix operator()(feature_maps<float> x) {
    return (*this)(std::move(x), [](std::size_t, const matrix&) {});
  }

 private:
  template <class Watch>
  feature_maps<float> convolve(std::size_t i, const feature_maps<float>& x, index stride,
                               const Watch& watch) {
    watch(i, x.values);
    const feature_maps<Input> input{x.images, x.side, encode(i, x.values)};
    extract_patches(input, stride, patches_);
    return {x.images, x.side / stride, apply(i, patches_)};
  }

  row_matrix<Input> encode(std::size_t i, const matrix& x) const {
    if constexpr (std::is_same_v<Input, float>) {
      return x;
    } else {
      row_matrix<Input> codes(x.rows(), x.cols());
      quantize_with<onnx, Input>(x, codes, layers_[i].input_params());
      return codes;
    }
  }

  matrix apply(std::size_t i, const row_matrix<Input>& x) {
    matrix y(x.rows(), layers_[i].outputs());
    layers_[i](x, y);
    return y;
  }

  std::vector<Layer> layers_;
  row_matrix<Input> patches_;
};

inline resnet<float_linear, float> in_float(const std::vector<float_weights>& layers) {
  std::vector<float_linear> made;
  for (const float_weights& layer : layers) made.push_back({&layer});
  return resnet<float_linear, float>(std::move(made));
}

// ---- activations

/// Passes the input of each layer to its observer (for a convolution, the input before the
/// patches).
template <class O>
void watch(const std::string& label, const std::vector<float_weights>& layers,
           const image_set& images, std::vector<O>& observers) {
  auto network = in_float(layers);
  progress bar(label, images.count());
  for (index first = 0; first < images.count(); first += images_at_a_time) {
    const index count = std::min(images_at_a_time, images.count() - first);
    network(images.normalized(first, count),
            [&](std::size_t i, const matrix& x) { observers[i].observe(x); });
    bar.update(first + count);
  }
}

// ---- accuracy

using answers = std::vector<index>;

inline double percent_equal(const answers& a, const answers& b) {
  index equal = 0;
  for (std::size_t i = 0; i < a.size(); ++i) equal += a[i] == b[i] ? 1 : 0;
  return 100.0 * static_cast<double>(equal) / static_cast<double>(a.size());
}

/// Runs networks on the test images and adds a row to the table for each. The first one is the
/// reference.
class comparison {
 public:
  comparison(const std::string& program, const image_set& images, const tensor& labels, index count)
      : images_(images), count_(count), results_(columns_for(program)) {
    const auto all = labels.as<std::uint8_t>();
    labels_.assign(all.begin(), all.begin() + count);
  }

  template <class Network>
  void add(const std::string& name, double weights, Network network) {
    answers found;
    const std::clock_t start = std::clock();
    progress bar(name, count_);
    for (index first = 0; first < count_; first += images_at_a_time) {
      const index count = std::min(images_at_a_time, count_ - first);
      const auto logits = logits_of(network, first, count);
      for (index r = 0; r < count; ++r) {
        index best = 0;
        logits.row(r).maxCoeff(&best);
        found.push_back(best);
      }
      bar.update(first + count);
    }
    const auto ticks = static_cast<double>(std::clock() - start);
    const double rate = static_cast<double>(count_) * CLOCKS_PER_SEC / ticks;
    if (reference_.empty()) reference_ = found;
    results_.add(name,
                 {percent_equal(found, labels_), percent_equal(found, reference_), weights, rate});
  }

  [[nodiscard]] const table& results() const { return results_; }

 private:
  /// A network takes normalized floats, or pixels.
  template <class Network>
  auto logits_of(Network& network, index first, index count) const {
    if constexpr (std::is_invocable_v<Network&, feature_maps<float>>) {
      return network(images_.normalized(first, count));
    } else {
      return network(images_.rows(first, count));
    }
  }

  static table columns_for(const std::string& program) {
    return {program,
            "scheme",
            {{"top-1 %", "top1_percent", 2},
             {"as float %", "agrees_with_float_percent", 2},
             {"weight bytes", "weight_bytes", 0},
             {"images/s", "images_per_cpu_second", 0}}};
  }

  const image_set& images_;
  index count_;
  answers labels_;
  answers reference_;
  table results_;
};

}  // namespace fewbit::examples
