// The weights of a trained network in few bits, on real images: uniform steps and codebooks.
//
// The network is ResNet-20 (support/resnet.hpp), every layer of it; inputs and sums stay float, so
// that only the weights count. Rows of the table of about one size differ in where the levels of a
// weight stand: evenly, at quantiles or powers of two, or learned from the weights of a layer or of
// all, with regard to the inputs that they meet (activation-aware) or without. Bytes are those of
// codes, scales and levels. Read main() and run() first.
//
// The data are not part of this project; resnet_cifar10.cpp says which files --data must hold.

#include <cstdio>
#include <fewbit/fewbit.hpp>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "support/options.hpp"
#include "support/resnet.hpp"
#include "support/weight_bytes.hpp"

namespace fewbit::examples {

// ---- what the inputs of a layer are like

/// Mean of the square of each channel.
class mean_squares {
 public:
  void observe(const matrix& x) {
    if (sums_.size() == 0) sums_.setZero(x.cols());
    sums_ += x.array().square().matrix().colwise().sum().transpose().cast<double>();
    rows_ += x.rows();
  }

  /// For each of `inputs` weights of an output, of which each channel has several in turn.
  [[nodiscard]] std::vector<float> importance(index inputs) const {
    std::vector<float> of_inputs;
    for (index k = 0; k < inputs; ++k) {
      const double sum = sums_[k % sums_.size()];
      of_inputs.push_back(static_cast<float>(sum / static_cast<double>(rows_)));
    }
    return of_inputs;
  }

 private:
  Eigen::VectorXd sums_;
  index rows_ = 0;
};

std::vector<std::vector<float>> importance_of_inputs(const std::vector<float_weights>& layers,
                                                     const image_set& images) {
  std::vector<mean_squares> seen(layers.size());
  watch("inputs of the layers", layers, images, seen);
  std::vector<std::vector<float>> all;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    all.push_back(seen[i].importance(layers[i].weights.cols()));
  }
  return all;
}

// ---- the ways to compress it

using codebook4 = codebook_per_row<4>;

/// One list of levels for all layers: lloyd_max_levels of all their weights at once, where a layer
/// counts by its error relative to its outputs.
std::vector<float> shared_levels(const std::vector<float_weights>& layers,
                                 const std::vector<std::vector<float>>& importance) {
  std::vector<float> quotients, counts;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const matrix& w = layers[i].weights;
    const Eigen::Map<const Eigen::RowVectorXf> of_inputs(importance[i].data(), w.cols());
    const float outputs = (w.array().square().rowwise() * of_inputs.array()).sum();
    for (index r = 0; r < w.rows(); ++r) {
      const float scale = w.row(r).cwiseAbs().maxCoeff();
      for (index k = 0; k < w.cols(); ++k) {
        quotients.push_back(w(r, k) / scale);
        counts.push_back(of_inputs[k] * scale * scale / outputs);
      }
    }
  }
  kmeans_options options;
  options.iterations = 200;
  options.weights = counts;
  const auto count = static_cast<index>(quotients.size());
  const Eigen::Map<const matrix> points(quotients.data(), count, 1);
  const matrix levels = kmeans(points, 16, options).centroids;
  return {levels.data(), levels.data() + levels.size()};
}

/// Adds the network whose layer i has the weights quantized(layer i, i), which are of scheme S.
/// Bytes that all layers share count once.
template <class S, class Quantized>
void add(comparison& all, const std::string& name, const std::vector<float_weights>& layers,
         const Quantized& quantized, index shared_bytes = 0) {
  std::vector<linear<S, float_inputs>> made;
  index bytes = shared_bytes - shared_bytes * static_cast<index>(layers.size());
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const quantized_matrix<S> w = quantized(layers[i].weights, i);
    bytes += w.storage_bytes();
    made.emplace_back(w, layers[i].bias, linear_options{layers[i].relu, {}});
  }
  all.add(name, static_cast<double>(bytes),
          resnet<linear<S, float_inputs>, float>(std::move(made)));
}

/// Scales and levels from the weights alone.
template <class S, class Rule = default_rule<S>>
void add_plain(comparison& all, const std::string& name, const std::vector<float_weights>& layers) {
  add<S>(all, name, layers, [](const matrix& w, std::size_t) { return quantize<S, Rule>(w); });
}

table compare(const std::vector<float_weights>& layers,
              const std::vector<std::vector<float>>& importance, comparison all) {
  all.add("float32", float_weight_bytes(layers), in_float(layers));
  add_plain<int4_per_row>(all, "int4", layers);
  add<int4_per_row>(all, "int4, activation-aware", layers, [&](const matrix& w, std::size_t i) {
    return weighted_quantize<int4_per_row>(w, importance[i]);
  });
  add_plain<codebook4, powers_of_two>(all, "codebook 4, powers of two", layers);
  add_plain<codebook4, additive_powers_of_two>(all, "codebook 4, sums of powers", layers);
  add_plain<codebook4, normal_quantiles>(all, "codebook 4, quantiles", layers);
  add_plain<codebook4>(all, "codebook 4, learned", layers);
  add<codebook4>(all, "codebook 4, activation-aware", layers, [&](const matrix& w, std::size_t i) {
    return quantize<codebook4>(w, lloyd_max_levels<codebook4>(w, importance[i]));
  });
  const std::vector<float> shared = shared_levels(layers, importance);
  add<codebook4>(
      all, "codebook 4, one list", layers,
      [&](const matrix& w, std::size_t) { return quantize<codebook4>(w, shared); },
      static_cast<index>(shared.size() * sizeof(float)));
  add_plain<int3_per_row>(all, "int3", layers);
  add_plain<codebook_per_row<3>>(all, "codebook 3, learned", layers);
  // ---- product quantization: more weights to a code
  return all.results();
}

int run(const options& given) {
  const std::string folder = given.text("--data", FEWBIT_DATA_DIR);
  const std::string weights = folder + "/resnet/resnet20_cifar10_folded.safetensors";
  if (!std::filesystem::exists(weights)) {
    std::fprintf(stderr, "no data: %s is missing; --data names the folder\n", weights.c_str());
    return 1;
  }
  const auto layers = load_weights(weights, 3);
  const image_set calibration{read_npy(folder + "/cifar10/calib_images.npy")};
  const image_set test{read_npy(folder + "/cifar10/test_images.npy")};
  const tensor labels = read_npy(folder + "/cifar10/test_labels.npy");
  const index count = given.number("--images", test.count(), 1, test.count());

  const table results = compare(layers, importance_of_inputs(layers, calibration),
                                {"compress_weights", test, labels, count});
  results.print();
  std::printf(
      "\nResNet-20, %td test images, inputs float, images per second of processor time: %s\n",
      count, machine_name().c_str());
  if (const std::string path = given.text("--json"); !path.empty()) results.write_json(path);
  return 0;
}

}  // namespace fewbit::examples

int main(int argc, char** argv) {
  const fewbit::examples::options given(
      argc, argv, "compress_weights: a trained network's weights in few bits, on CIFAR-10.",
      {{"--data", "DIR", "folder with resnet/ and cifar10/"},
       {"--images", "N", "how many test images, all by default"},
       {"--json", "PATH", "writes the table as JSON, too"}});
  return fewbit::examples::run(given);
}
