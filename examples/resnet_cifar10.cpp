// A trained residual network on real images: float32, int8 with each calibrator, int4 weights, and
// integers alone.
//
// support/resnet.hpp defines the network and reads its data. Quantization follows Wu et al. 2020
// (arXiv:2004.09602): every layer, first and last included, has symmetric weights with a scale per
// output channel and symmetric inputs with one scale per tensor. In these rows, layers exchange
// floats. In the row "integer only" (support/integer_resnet.hpp) there is no float between the
// pixels and the logits. Read main() and run() first. --data names the folder of the data.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fewbit/fewbit.hpp>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "support/integer_resnet.hpp"
#include "support/npy.hpp"
#include "support/options.hpp"
#include "support/resnet.hpp"
#include "support/table.hpp"
#include "support/weight_bytes.hpp"

namespace fewbit::examples {

// ---- kinds of quantized layers

/// Weights of scheme S and float inputs.
template <class S>
resnet<linear<S, float_inputs>, float> weights_only(const std::vector<float_weights>& layers) {
  std::vector<linear<S, float_inputs>> made;
  for (const auto& l : layers) made.emplace_back(l.weights, l.bias, linear_options{l.relu, {}});
  return resnet<linear<S, float_inputs>, float>(std::move(made));
}

/// Weights of scheme S. The input of layer i is int8 with range ranges[i], symmetric.
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

/// Histograms with 2048 bins from 0 to the largest magnitude of each layer, as in the reference. A
/// first pass finds that magnitude. (One pass with histogram_observer gives bins of other widths
/// and accuracies as good.)
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

/// Images that calibrate the network in integers alone.
constexpr index integer_calibration = 512;

void add_integer_only(const std::vector<float_weights>& layers, const image_set& calibration,
                      comparison& all) {
  const auto seen = watch_resnet(layers, calibration, integer_calibration);
  all.add("int8, integer only", weight_bytes<int8_per_row>(layers),
          integer_resnet(layers, choose(seen, by_mse{})));
}

/// Rows in which layers exchange floats.
void add_layer_wise(const std::vector<float_weights>& layers,
                    const std::vector<fixed_histogram>& seen, comparison& all) {
  const std::vector<range> by_kl = choose(seen, by_entropy{});
  const double int8_bytes = weight_bytes<int8_per_row>(layers);
  const double int4_bytes = weight_bytes<int4_per_row>(layers);
  const auto add_int8 = [&](const std::string& name, const std::vector<range>& ranges) {
    all.add(name, int8_bytes, in_integers<int8_per_row>(layers, ranges));
  };
  add_int8("int8, max", choose(seen, by_max{}));
  add_int8("int8, percentile 99.99", choose(seen, by_percentile{99.99}));
  add_int8("int8, entropy", by_kl);
  add_int8("int8, mse", choose(seen, by_mse{}));
  all.add("int4 weights, float inputs", int4_bytes, weights_only<int4_per_row>(layers));
  all.add("int4 weights, int8 entropy", int4_bytes, in_integers<int4_per_row>(layers, by_kl));
}

int run(const options& given) {
  const std::string folder = given.text("--data", FEWBIT_DATA_DIR);
  const index depth_number = given.number("--depth", 20, 8, 1202);
  const std::string depth = std::to_string(depth_number);
  if (depth_number % 6 != 2) given.wrong("--depth is " + depth + ", expected 20, 32, 44, 56 ...");
  const std::string rows = given.text("--rows", "all");
  if (rows != "all" && rows != "integer")
    given.wrong("--rows is " + rows + ", expected all or integer");
  const std::string weights = folder + "/resnet/resnet" + depth + "_cifar10_folded.safetensors";
  if (!std::filesystem::exists(weights)) {
    std::fprintf(stderr, "no data: %s is missing; --data names the folder\n", weights.c_str());
    return 1;
  }

  const auto layers = load_weights(weights, (depth_number - 2) / 6);
  const image_set calibration{read_npy(folder + "/cifar10/calib_images.npy")};
  const image_set test{read_npy(folder + "/cifar10/test_images.npy")};
  const tensor labels = read_npy(folder + "/cifar10/test_labels.npy");
  const index count = given.number("--images", test.count(), 1, test.count());

  comparison all("resnet_cifar10", test, labels, count);
  all.add("float32", float_weight_bytes(layers), in_float(layers));
  add_integer_only(layers, calibration, all);
  if (rows == "all") add_layer_wise(layers, calibrate(layers, calibration), all);
  const table& results = all.results();
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
       {"--depth", "N", "which network: 20, the default, 32, 44 or 56"},
       {"--rows", "all|integer", "all rows, or float32 and integers alone"},
       {"--json", "PATH", "writes the table as JSON, too"}});
  return fewbit::examples::run(given);
}
