// The weights of a trained network in few bits, on real images: uniform levels, codebooks, and
// product quantization.
//
// The network is ResNet-20 (support/resnet.hpp). All its layers are compressed. Inputs and sums
// stay float, so only the weights lose accuracy. Rows with the same number of bits differ in two
// ways:
//
// - the levels of a weight: uniform, at quantiles, at powers of two, or learned;
// - what the training minimises: the error of the weights, or the error of the outputs for sample
//   inputs ("activation-aware").
//
// Bytes include codes, scales, levels and centroids. Read main() and run() first.
//
// The data are not part of this project; support/resnet.hpp lists the files that --data must
// contain.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fewbit/codebook/lloyd_max.hpp>
#include <fewbit/codebook/output_aware.hpp>
#include <fewbit/codebook/product_quantizer.hpp>
#include <fewbit/core/half.hpp>
#include <fewbit/fewbit.hpp>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "support/options.hpp"
#include "support/resnet.hpp"
#include "support/tradeoff_svg.hpp"
#include "support/weight_bytes.hpp"

namespace fewbit::examples {

// ---- sample inputs of a layer

/// Some rows of inputs of a layer. For a convolution: patches of the first image of each batch.
class input_sample {
 public:
  /// @param side  side length of the images of a convolution; 0 for another layer
  input_sample(index side, index stride) : side_(side), stride_(stride) {}

  void observe(const matrix& x) {
    if (side_ == 0) {
      add(x);
      return;
    }
    matrix patches;
    extract_patches(feature_maps<float>{1, side_, x.topRows(side_ * side_)}, stride_, patches);
    add(patches);
  }

  /// The sampled inputs, one per row.
  [[nodiscard]] matrix rows() const {
    return Eigen::Map<const matrix>(values_.data(), count_, width_);
  }

  /// The mean of the square of each input.
  [[nodiscard]] std::vector<float> importance() const {
    const Eigen::RowVectorXf squares = rows().array().square().colwise().mean();
    return {squares.begin(), squares.end()};
  }

 private:
  /// Keeps four rows per batch. The step of 17 rows reaches every pixel after some batches.
  void add(const matrix& x) {
    const index kept = std::min(index{4}, x.rows());
    for (index i = 0; i < kept; ++i) {
      const auto row = x.row(17 * (count_ + i) % x.rows());
      values_.insert(values_.end(), row.begin(), row.end());
    }
    count_ += kept;
    width_ = x.cols();
  }

  index side_;
  index stride_;
  std::vector<float> values_;
  index count_ = 0;
  index width_ = 0;
};

std::vector<input_sample> sample_inputs(const std::vector<float_weights>& layers,
                                        const image_set& images) {
  std::vector<input_sample> samples;
  index side = 32;
  index channels = layers.front().weights.rows();
  for (const float_weights& layer : layers) {
    const index outputs = layer.weights.rows();
    const bool is_convolution = &layer != &layers.back();
    const index stride = is_convolution && outputs > channels ? 2 : 1;
    samples.emplace_back(is_convolution ? side : 0, stride);
    side /= stride;
    channels = outputs;
  }
  watch("inputs of the layers", layers, images, samples);
  return samples;
}

// ---- ways to compress a layer

using codebook4 = codebook_per_row<4>;

/// Adds the network whose layer i has the weights quantized(layer i, i) under scheme S.
template <class S, class Quantized>
void add(comparison& all, const std::string& name, const std::vector<float_weights>& layers,
         const Quantized& quantized) {
  std::vector<linear<S, float_inputs>> made;
  index bytes = 0;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const quantized_matrix<S> w = quantized(layers[i].weights, i);
    bytes += w.storage_bytes();
    made.emplace_back(w, layers[i].bias, linear_options{layers[i].relu, {}});
  }
  all.add(name, static_cast<double>(bytes),
          resnet<linear<S, float_inputs>, float>(std::move(made)));
}

/// Scales and levels are computed from the weights alone.
template <class S, class Rule = default_rule<S>>
void add_plain(comparison& all, const std::string& name, const std::vector<float_weights>& layers) {
  add<S>(all, name, layers, [](const matrix& w, std::size_t) { return quantize<S, Rule>(w); });
}

/// Reorders weights from (output, dy, dx, channel) to (output, channel, dy, dx).
matrix by_channel(const matrix& w) {
  const index channels = w.cols() / 9;
  matrix out(w.rows(), w.cols());
  for (index k = 0; k < w.cols(); ++k) out.col(k % channels * 9 + k / channels) = w.col(k);
  return out;
}

/// The decoded weights of a layer, and the bytes of its codes and centroids.
struct coded_layer {
  matrix weights;
  index bytes;
};

/// One codebook of 256 centroids in half precision for all blocks of a layer. With rows of inputs
/// the centroids preserve the outputs, otherwise the weights. A block is `width` neighbouring
/// weights in the order of by_channel; each channel has nine. So the inputs of a block are
/// neighbouring pixels.
coded_layer by_products(const matrix& w, index width, const matrix* inputs) {
  const auto cut = [&](const matrix& rows) {
    const matrix ordered = by_channel(rows);
    return matrix(Eigen::Map<const matrix>(ordered.data(), ordered.size() / width, width));
  };
  const pq_options options{.parts = 1, .bits = 8};
  const matrix points = cut(w);
  row_matrix<std::uint8_t> codes;
  matrix centroids;
  if (inputs == nullptr) {
    const product_quantizer pq = train_product_quantizer(points, options);
    codes = pq.encode(points);
    centroids = pq.centroids(0);
  } else {
    output_aware_codes found = train_output_aware(points, cut(*inputs), options);
    codes = std::move(found.codes);
    centroids = found.quantizer.centroids(0);
  }
  for (float& x : centroids.reshaped()) x = from_half(to_half(x));
  matrix near(points.rows(), width);
  for (index i = 0; i < near.rows(); ++i) near.row(i) = centroids.row(codes(i, 0));
  const Eigen::Map<const matrix> ordered(near.data(), w.rows(), w.cols());
  return {patch_order(ordered), codes.size() + centroids.size() * index{sizeof(std::uint16_t)}};
}

/// Learned levels, weighted by the mean square of the inputs.
quantized_matrix<codebook4> by_levels(const matrix& w, const input_sample& inputs) {
  return quantize<codebook4>(w, lloyd_max_levels<codebook4>(w, inputs.importance()));
}

/// Product quantization of the layers with 64 outputs: three quarters of all weights. The other
/// layers are too small for their own centroids and get 4-bit codebooks, the same in both variants.
void add_products(comparison& all, const std::string& name,
                  const std::vector<float_weights>& layers, const std::vector<input_sample>& inputs,
                  index width, bool regard_inputs) {
  std::vector<float_weights> coded = layers;
  index bytes = 0;
  progress bar("centroids of " + name, static_cast<index>(layers.size()));
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const matrix& w = layers[i].weights;
    if (w.rows() < 64) {
      const auto q = by_levels(w, inputs[i]);
      coded[i].weights = dequantize(q);
      bytes += q.storage_bytes();
    } else {
      const matrix rows = inputs[i].rows();
      coded_layer c = by_products(w, width, regard_inputs ? &rows : nullptr);
      coded[i].weights = std::move(c.weights);
      bytes += c.bytes;
    }
    bar.update(static_cast<index>(i) + 1);
  }
  all.add(name, static_cast<double>(bytes), in_float(coded));
}

/// @param few  omits levels that do not depend on data, and large blocks
table compare(const std::vector<float_weights>& layers, const std::vector<input_sample>& inputs,
              comparison all, bool few) {
  all.add("float32", float_weight_bytes(layers), in_float(layers));
  add_plain<int4_per_row>(all, "int4", layers);
  if (!few) {
    add_plain<codebook4, powers_of_two>(all, "codebook 4, powers of two", layers);
    add_plain<codebook4, additive_powers_of_two>(all, "codebook 4, sums of powers", layers);
    add_plain<codebook4, normal_quantiles>(all, "codebook 4, quantiles", layers);
  }
  add_plain<codebook4>(all, "codebook 4, learned", layers);
  add<codebook4>(all, "codebook 4, activation-aware", layers,
                 [&](const matrix& w, std::size_t i) { return by_levels(w, inputs[i]); });
  for (const index width : {3, 9}) {
    if (few && width > 3) break;
    const std::string name = "blocks of " + std::to_string(width);
    add_products(all, name, layers, inputs, width, false);
    add_products(all, name + ", activation-aware", layers, inputs, width, true);
  }
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
  const std::string rows = given.text("--rows", "all");
  if (rows != "all" && rows != "few") given.wrong("--rows is " + rows + ", expected all or few");

  const table results = compare(layers, sample_inputs(layers, calibration),
                                {"compress_weights", test, labels, count}, rows == "few");
  results.print();
  std::printf(
      "\nResNet-20, %td test images, inputs float, images per second of processor time: %s\n",
      count, machine_name().c_str());
  if (const std::string path = given.text("--json"); !path.empty()) results.write_json(path);
  if (const std::string path = given.text("--svg"); !path.empty()) {
    std::vector<tradeoff> ways;
    for (const auto& row : results.rows()) ways.push_back({row.name, row.values[2], row.values[0]});
    tradeoff_svg(ways, "ResNet-20 on CIFAR-10, weights compressed", "top-1 %").write(path);
  }
  return 0;
}

}  // namespace fewbit::examples

int main(int argc, char** argv) {
  const fewbit::examples::options given(
      argc, argv, "compress_weights: a trained network's weights in few bits, on CIFAR-10.",
      {{"--data", "DIR", "folder with resnet/ and cifar10/"},
       {"--images", "N", "how many test images, all by default"},
       {"--rows", "WHICH", "all, or few: without data-independent levels and large blocks"},
       {"--json", "PATH", "writes the table as JSON, too"},
       {"--svg", "PATH", "writes a picture of top-1 against bytes"}});
  return fewbit::examples::run(given);
}
