// A trained residual network on real images: float32, int8 with each calibrator, int4 weights.
//
// The network is that of He et al. 2015 (arXiv:1512.03385) for CIFAR-10 with its batch norms folded
// into the convolutions; every convolution is a linear layer over the patches of its input.
// Quantization follows Wu et al. 2020 (arXiv:2004.09602): weights symmetric for each output
// channel, inputs symmetric for the whole tensor, every layer, first and last included. Read main()
// and run() first.
//
// The data are not part of this project. --data names a folder that holds
//   resnet/resnet20_cifar10_folded.safetensors  float32, OIHW: conv1, layer{1,2,3}.{k}.conv{1,2},
//                                               linear, each .weight and .bias (resnet32_... for
//                                               --depth 32)
//   cifar10/test_images.npy, calib_images.npy   u8 [n, 32, 32, 3], RGB
//   cifar10/test_labels.npy                     u8 [n]

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <fewbit/fewbit.hpp>
#include <filesystem>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/convolution.hpp"
#include "support/npy.hpp"
#include "support/options.hpp"
#include "support/progress.hpp"
#include "support/safetensors.hpp"
#include "support/table.hpp"
#include "support/weight_bytes.hpp"

namespace fewbit::examples {

using matrix = row_matrix<float>;

constexpr index images_at_a_time = 25;  // patches of the widest layer: 15 MB as floats

// ---- the files

/// A layer as the file has it; `relu` is what follows it at once.
struct float_weights {
  std::string name;
  matrix weights;
  Eigen::VectorXf bias;
  bool relu;
};

/// conv1, layer1.0.conv1, layer1.0.conv2, ... , linear, in the order in which data passes them.
std::vector<float_weights> load_weights(const std::string& path, index blocks) {
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

  /// Some of them as the network wants them: each channel normalized as in training.
  [[nodiscard]] feature_maps<float> normalized(index first, index images) const {
    static constexpr std::array<float, 3> mean{0.485F, 0.456F, 0.406F};
    static constexpr std::array<float, 3> deviation{0.229F, 0.224F, 0.225F};
    feature_maps<float> x{images, 32, matrix(images * 32 * 32, 3)};
    const std::uint8_t* from = pixels.as<std::uint8_t>().data() + first * 32 * 32 * 3;
    for (index i = 0; i < x.values.size(); ++i) {
      const auto c = static_cast<std::size_t>(i % 3);
      x.values.data()[i] = (static_cast<float>(from[i]) / 255.0F - mean[c]) / deviation[c];
    }
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

/// Input is what a layer reads: float, or std::int8_t for codes of layer.input_params(). The codes
/// are made before the patches, because a patch repeats each of them nine times.
template <class Layer, class Input>
class resnet {
 public:
  explicit resnet(std::vector<Layer> layers) : layers_(std::move(layers)) {}

  /// Logits of a batch. `watch(i, values)` is shown what goes into layer i.
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

// ---- the ways to quantize it

resnet<float_linear, float> in_float(const std::vector<float_weights>& layers) {
  std::vector<float_linear> made;
  for (const float_weights& layer : layers) made.push_back({&layer});
  return resnet<float_linear, float>(std::move(made));
}

/// Weights of scheme S, inputs float.
template <class S>
resnet<linear<S, float_inputs>, float> weights_only(const std::vector<float_weights>& layers) {
  std::vector<linear<S, float_inputs>> made;
  for (const auto& l : layers) made.emplace_back(l.weights, l.bias, linear_options{l.relu, {}});
  return resnet<linear<S, float_inputs>, float>(std::move(made));
}

/// Weights of scheme S; the input of layer i in int8 over ranges[i], symmetric.
template <class S>
resnet<linear<S, static_int8>, std::int8_t> in_integers(const std::vector<float_weights>& layers,
                                                        const std::vector<range>& ranges) {
  std::vector<linear<S, static_int8>> made;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const float_weights& l = layers[i];
    const quant_params inputs = choose_params<int8_per_tensor>(ranges[i]);
    made.emplace_back(l.weights, l.bias, inputs, linear_options{l.relu, {}});
  }
  return resnet<linear<S, static_int8>, std::int8_t>(std::move(made));
}

// ---- calibration

/// Shows each layer's observer what goes into that layer.
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

/// 2048 bins from 0 to the largest magnitude of each layer, as the reference has them; a first pass
/// finds that magnitude. (One pass with histogram_observer gives bins of other widths and
/// accuracies as good.)
std::vector<fixed_histogram> calibrate(const std::vector<float_weights>& layers,
                                       const image_set& images) {
  std::vector<max_observer> extremes(layers.size());
  watch("calibration, extremes", layers, images, extremes);
  std::vector<fixed_histogram> histograms;
  for (const max_observer& e : extremes) histograms.emplace_back(e.range().amax(), 2048);
  watch("calibration, histograms", layers, images, histograms);
  return histograms;
}

template <class Method>
std::vector<range> choose(const std::vector<fixed_histogram>& seen, const Method& method) {
  std::vector<range> ranges;
  for (const fixed_histogram& layer : seen) ranges.push_back(layer.range(method));
  return ranges;
}

// ---- the table

using answers = std::vector<index>;

double percent_equal(const answers& a, const answers& b) {
  index equal = 0;
  for (std::size_t i = 0; i < a.size(); ++i) equal += a[i] == b[i] ? 1 : 0;
  return 100.0 * static_cast<double>(equal) / static_cast<double>(a.size());
}

/// Runs networks on the test images and collects a row for each; the first one is the reference.
class comparison {
 public:
  comparison(const image_set& images, const tensor& labels, index count)
      : images_(images), count_(count) {
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
      const matrix logits = network(images_.normalized(first, count));
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
  const image_set& images_;
  index count_;
  answers labels_;
  answers reference_;
  table results_{"resnet_cifar10",
                 "scheme",
                 {{"top-1 %", "top1_percent", 2},
                  {"as float %", "agrees_with_float_percent", 2},
                  {"weight bytes", "weight_bytes", 0},
                  {"images/s", "images_per_cpu_second", 0}}};
};

table compare(const std::vector<float_weights>& layers, const std::vector<fixed_histogram>& seen,
              comparison all) {
  const std::vector<range> by_kl = choose(seen, by_entropy{});
  const double int8_bytes = weight_bytes<int8_per_row>(layers);
  const double int4_bytes = weight_bytes<int4_per_row>(layers);
  const auto add_int8 = [&](const std::string& name, const std::vector<range>& ranges) {
    all.add(name, int8_bytes, in_integers<int8_per_row>(layers, ranges));
  };
  all.add("float32", float_weight_bytes(layers), in_float(layers));
  add_int8("int8, max", choose(seen, by_max{}));
  add_int8("int8, percentile 99.99", choose(seen, by_percentile{99.99}));
  add_int8("int8, entropy", by_kl);
  add_int8("int8, mse", choose(seen, by_mse{}));
  all.add("int4 weights, float inputs", int4_bytes, weights_only<int4_per_row>(layers));
  all.add("int4 weights, int8 entropy", int4_bytes, in_integers<int4_per_row>(layers, by_kl));
  return all.results();
}

int run(const options& given) {
  const std::string folder = given.text("--data", FEWBIT_DATA_DIR);
  const std::string depth = given.text("--depth", "20");
  if (depth != "20" && depth != "32") given.wrong("--depth is " + depth + ", expected 20 or 32");
  const std::string weights = folder + "/resnet/resnet" + depth + "_cifar10_folded.safetensors";
  if (!std::filesystem::exists(weights)) {
    std::fprintf(stderr, "no data: %s is missing; --data names the folder\n", weights.c_str());
    return 1;
  }

  const auto layers = load_weights(weights, depth == "20" ? 3 : 5);
  const image_set calibration{read_npy(folder + "/cifar10/calib_images.npy")};
  const image_set test{read_npy(folder + "/cifar10/test_images.npy")};
  const tensor labels = read_npy(folder + "/cifar10/test_labels.npy");
  const index count = given.number("--images", test.count(), 1, test.count());

  const table results = compare(layers, calibrate(layers, calibration), {test, labels, count});
  results.print();
  std::printf("\nResNet-%s, %td test images, images per second of processor time: %s\n",
              depth.c_str(), count, machine_name().c_str());
  if (const std::string path = given.text("--json"); !path.empty()) results.write_json(path);
  return 0;
}

}  // namespace fewbit::examples

int main(int argc, char** argv) {
  const fewbit::examples::options given(
      argc, argv, "resnet_cifar10: a trained network in float32, int8 and int4 on CIFAR-10.",
      {{"--data", "DIR", "folder with resnet/ and cifar10/"},
       {"--images", "N", "how many test images, all by default"},
       {"--depth", "20|32", "which network, 20 by default"},
       {"--json", "PATH", "writes the table as JSON, too"}});
  return fewbit::examples::run(given);
}
