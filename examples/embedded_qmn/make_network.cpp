// Trains the network of embedded_qmn in float, quantizes it to power-of-two scales and writes its
// weights, and some test images, as arrays of constants:
//
//     make_network <folder of the digits> <header to write>
//
// It prints the accuracy of the float and of the quantized network. The same build writes the same
// header each time.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "../support/convolution.hpp"
#include "../support/mlp.hpp"
#include "../support/npy.hpp"
#include "fewbit/core/random.hpp"
#include "fewbit/quant/params.hpp"
#include "network.hpp"

namespace fewbit::examples {

using matrix = row_matrix<float>;

// ---- data

struct dataset {
  matrix images;  // pixels / 16
  std::vector<int> labels;
};

std::vector<index> shuffled(index n, const generator& g) {
  std::vector<index> order(static_cast<std::size_t>(n));
  for (index i = 0; i < n; ++i) order[static_cast<std::size_t>(i)] = i;
  for (index i = n - 1; i > 0; --i) {
    const auto j = std::min(static_cast<index>(uniform(g, i) * static_cast<float>(i + 1)), i);
    std::swap(order[static_cast<std::size_t>(i)], order[static_cast<std::size_t>(j)]);
  }
  return order;
}

dataset rows_of(const dataset& all, const std::vector<index>& order, index first, index count) {
  const std::vector<index> rows(order.begin() + first, order.begin() + first + count);
  dataset part{all.images(rows, Eigen::all), {}};
  for (const index r : rows) part.labels.push_back(all.labels[static_cast<std::size_t>(r)]);
  return part;
}

// ---- the float network. An image is a row: height, width, channels.

/// Matrices of one row for each image, as rows of pixels and back.
matrix reshaped(const matrix& m, index rows) {
  return Eigen::Map<const matrix>(m.data(), rows, m.size() / rows);
}

matrix patches_of(const matrix& x, const image_extents& image) {
  matrix patches;
  extract_patches(
      feature_maps<float>{x.rows(), image.width, reshaped(x, x.rows() * image.pixels())}, 1,
      patches);
  return patches;
}

/// The reverse of patches_of: each number of a patch is added to its pixel.
matrix sums_of_patches(const matrix& patches, const image_extents& image) {
  const index c = image.channels;
  matrix x = matrix::Zero(patches.rows() / image.pixels(), image.size());
  for (index n = 0; n < x.rows(); ++n) {
    for (index p = 0; p < image.pixels(); ++p) {
      for (index tap = 0; tap < 9; ++tap) {
        const index row = p / image.width + tap / 3 - 1, col = p % image.width + tap % 3 - 1;
        if (row < 0 || row >= image.height || col < 0 || col >= image.width) continue;
        x.row(n).segment((row * image.width + col) * c, c) +=
            patches.row(n * image.pixels() + p).segment(tap * c, c);
      }
    }
  }
  return x;
}

/// Calls f(position in the output, position in the input) for each channel of the 2 x 2 pixels of
/// each output pixel.
template <class F>
void for_halves(const image_extents& image, const F& f) {
  const index width = image.width / 2;
  for (index p = 0; p < image.pixels() / 4; ++p) {
    for (index tap = 0; tap < 4; ++tap) {
      const index row = p / width * 2 + tap / 2, col = p % width * 2 + tap % 2;
      for (index c = 0; c < image.channels; ++c) {
        f(p * image.channels + c, (row * image.width + col) * image.channels + c);
      }
    }
  }
}

matrix max_pool(const matrix& x, const image_extents& image) {
  matrix y = matrix::Constant(x.rows(), image.size() / 4, -1e30F);
  for_halves(image, [&](index to, index from) { y.col(to) = y.col(to).cwiseMax(x.col(from)); });
  return y;
}

/// Gradients reach the first of the largest numbers.
matrix max_pool_back(const matrix& gradient, const matrix& x, const matrix& y,
                     const image_extents& image) {
  matrix left = gradient, back = matrix::Zero(x.rows(), x.cols());
  for_halves(image, [&](index to, index from) {
    for (index n = 0; n < x.rows(); ++n) {
      if (x(n, from) == y(n, to)) back(n, from) = std::exchange(left(n, to), 0.0F);
    }
  });
  return back;
}

matrix average_pool(const matrix& x, const image_extents& image) {
  matrix y = matrix::Zero(x.rows(), image.size() / 4);
  for_halves(image, [&](index to, index from) { y.col(to) += 0.25F * x.col(from); });
  return y;
}

matrix average_pool_back(const matrix& gradient, const image_extents& image) {
  matrix back(gradient.rows(), image.size());
  for_halves(image, [&](index to, index from) { back.col(from) = 0.25F * gradient.col(to); });
  return back;
}

class float_network {
 public:
  static constexpr image_extents maps1{8, 8, conv1_channels};
  static constexpr image_extents image2{4, 4, conv1_channels};
  static constexpr image_extents maps2{4, 4, conv2_channels};

  [[nodiscard]] std::vector<float_layer>& layers() { return layers_; }
  /// The outputs of convolution i after relu, in the last call.
  [[nodiscard]] const matrix& hidden(std::size_t i) const { return hidden_[i]; }

  void operator()(const matrix& x, matrix& logits) {
    patches_[0] = patches_of(x, pixel_image);
    hidden_[0] = convolution(0, x.rows());
    pooled_[0] = max_pool(hidden_[0], maps1);
    patches_[1] = patches_of(pooled_[0], image2);
    hidden_[1] = convolution(1, x.rows());
    pooled_[1] = average_pool(hidden_[1], maps2);
    logits = pooled_[1] * layers_[2].weights.transpose();
    logits.rowwise() += layers_[2].bias.transpose();
  }

  /// The gradients of all layers, for the gradient of the logits of the last call.
  [[nodiscard]] std::vector<float_layer> gradients(const matrix& error) const {
    const matrix d2 = relu_gradient(1, average_pool_back(error * layers_[2].weights, maps2));
    const matrix below = sums_of_patches(d2 * layers_[1].weights, image2);
    const matrix d1 = relu_gradient(0, max_pool_back(below, hidden_[0], pooled_[0], maps1));
    return {gradient(d1, patches_[0]), gradient(d2, patches_[1]), gradient(error, pooled_[1])};
  }

 private:
  [[nodiscard]] matrix convolution(std::size_t i, index images) const {
    matrix y = patches_[i] * layers_[i].weights.transpose();
    y.rowwise() += layers_[i].bias.transpose();
    return reshaped(y.cwiseMax(0.0F), images);
  }

  /// The gradient of the sums of convolution i, a pixel in each row.
  [[nodiscard]] matrix relu_gradient(std::size_t i, const matrix& error) const {
    const matrix active = (hidden_[i].array() > 0.0F).select(error, 0.0F);
    return reshaped(active, patches_[i].rows());
  }

  static float_layer gradient(const matrix& error, const matrix& inputs) {
    return {error.transpose() * inputs, error.colwise().sum()};
  }

  std::vector<float_layer> layers_{random_layer(conv1_channels, 9, 1),
                                   random_layer(conv2_channels, 9 * conv1_channels, 2),
                                   random_layer(classes, maps2.size() / 4, 3)};
  std::array<matrix, 2> patches_, hidden_, pooled_;
};

// ---- quantization

/// The most fractional bits with which no number saturates.
int fraction_bits(float amax) {
  return -std::ilogb(choose_params<int8_power_of_two>(range{-amax, amax}).scale);
}

std::vector<std::int8_t> codes_of(const float* numbers, index count, int bits) {
  std::vector<std::int8_t> codes;
  for (index i = 0; i < count; ++i) {
    const float code = std::nearbyint(std::ldexp(numbers[i], bits));
    codes.push_back(static_cast<std::int8_t>(std::clamp(code, -128.0F, 127.0F)));
  }
  return codes;
}

struct q7_layer {
  std::vector<std::int8_t> weights, bias;
  q7_formats formats;
  bool relu;

  q7_layer(const float_layer& layer, int input_bits, float largest_output, bool has_relu)
      : relu(has_relu) {
    formats.inputs = input_bits;
    formats.weights = fraction_bits(layer.weights.cwiseAbs().maxCoeff());
    const int sums = formats.inputs + formats.weights;
    formats.bias = std::min(fraction_bits(layer.bias.cwiseAbs().maxCoeff()), sums);
    formats.outputs = std::min(fraction_bits(largest_output), sums);
    weights = codes_of(layer.weights.data(), layer.weights.size(), formats.weights);
    bias = codes_of(layer.bias.data(), layer.bias.size(), formats.bias);
  }

  [[nodiscard]] q7_weights view() const { return {weights, bias, formats.shifts(), relu}; }
};

double percent(index right, std::size_t all) {
  return 100.0 * static_cast<double>(right) / static_cast<double>(all);
}

double float_accuracy(float_network& network, const dataset& data) {
  matrix logits;
  network(data.images, logits);
  index right = 0;
  for (index r = 0; r < data.images.rows(); ++r) {
    index best = 0;
    logits.row(r).maxCoeff(&best);
    right += best == data.labels[static_cast<std::size_t>(r)] ? 1 : 0;
  }
  return percent(right, data.labels.size());
}

double q7_accuracy(const digits_network& network, const dataset& data) {
  digits_network::memory memory{};
  std::array<std::int8_t, classes> logits{};
  index right = 0;
  for (index r = 0; r < data.images.rows(); ++r) {
    network(codes_of(data.images.row(r).data(), data.images.cols(), pixel_fraction_bits), memory,
            logits);
    right += largest(logits) == data.labels[static_cast<std::size_t>(r)] ? 1 : 0;
  }
  return percent(right, data.labels.size());
}

// ---- the header

void write_array(std::ostream& out, const std::string& name,
                 const std::vector<std::int8_t>& codes) {
  out << "alignas(4) inline constexpr std::int8_t " << name << "[] = {";
  for (std::size_t i = 0; i < codes.size(); ++i) {
    out << (i % 16 == 0 ? "\n    " : " ") << int{codes[i]} << ",";
  }
  out << "\n};\n";
}

void write_layer(std::ostream& out, const std::string& name, const q7_layer& layer) {
  write_array(out, name + "_weights", layer.weights);
  write_array(out, name + "_bias", layer.bias);
  const q7_formats& f = layer.formats;
  out << "inline constexpr q7_formats " << name << "_formats{" << f.inputs << ", " << f.weights
      << ", " << f.bias << ", " << f.outputs << "};\n\n";
}

void write_header(const std::string& path, const q7_layer& conv1, const q7_layer& conv2,
                  const q7_layer& linear, const dataset& test, index images) {
  std::ofstream out(path);
  out << "#pragma once\n// Written by make_network.\n\n#include \"embedded_qmn/network.hpp\"\n\n"
      << "namespace fewbit::examples {\n\n";
  write_layer(out, "conv1", conv1);
  write_layer(out, "conv2", conv2);
  write_layer(out, "linear", linear);
  out << "inline constexpr digits_parameters parameters{\n"
      << "    {conv1_weights, conv1_bias, conv1_formats.shifts(), true},\n"
      << "    {conv2_weights, conv2_bias, conv2_formats.shifts(), true},\n"
      << "    {linear_weights, linear_bias, linear_formats.shifts(), false}};\n\n"
      << "inline constexpr std::size_t image_count = " << images << ";\n"
      << "alignas(4) inline constexpr std::int8_t images[image_count][" << pixel_image.size()
      << "] = {\n";
  for (index r = 0; r < images; ++r) {
    out << "    {";
    for (const std::int8_t code :
         codes_of(test.images.row(r).data(), test.images.cols(), pixel_fraction_bits)) {
      out << int{code} << ", ";
    }
    out << "},\n";
  }
  out << "};\ninline constexpr std::int8_t labels[image_count] = {";
  for (index r = 0; r < images; ++r) out << test.labels[static_cast<std::size_t>(r)] << ", ";
  out << "};\n\n}  // namespace fewbit::examples\n";
  out.close();
  if (!out) throw error("make_network: cannot write " + path);
}

void make_network(const std::string& folder, const std::string& path) {
  const tensor images = read_npy(folder + "/digits_images.npy");
  const tensor labels = read_npy(folder + "/digits_labels.npy");
  dataset all{images.matrix<std::uint8_t>().cast<float>() / 16.0F, {}};
  for (index i = 0; i < all.images.rows(); ++i)
    all.labels.push_back(labels.matrix<std::uint8_t>()(i));
  const std::vector<index> order = shuffled(all.images.rows(), {2024});
  const dataset train = rows_of(all, order, 0, 1200);
  const dataset test = rows_of(all, order, 1200, all.images.rows() - 1200);

  float_network network;
  trainer<float_network> learn(network, 2e-3F);
  constexpr index batch = 40;
  for (std::uint64_t epoch = 0; epoch < 80; ++epoch) {
    const std::vector<index> rows = shuffled(train.images.rows(), {7 + epoch});
    for (index first = 0; first < train.images.rows(); first += batch) {
      const dataset part = rows_of(train, rows, first, batch);
      learn.step(part.images, part.labels);
    }
  }

  // The largest numbers of the training images choose the formats of outputs.
  matrix logits;
  network(train.images, logits);
  const std::vector<float_layer>& layers = network.layers();
  const q7_layer conv1(layers[0], pixel_fraction_bits, network.hidden(0).maxCoeff(), true);
  const q7_layer conv2(layers[1], conv1.formats.outputs, network.hidden(1).maxCoeff(), true);
  const q7_layer linear(layers[2], conv2.formats.outputs, logits.cwiseAbs().maxCoeff(), false);
  const digits_network quantized({conv1.view(), conv2.view(), linear.view()});
  std::printf("right of %d test images: float %.2f %%, int8 with powers of two %.2f %%\n",
              static_cast<int>(test.labels.size()), float_accuracy(network, test),
              q7_accuracy(quantized, test));
  write_header(path, conv1, conv2, linear, test, 32);
}

}  // namespace fewbit::examples

int main(int count, char** arguments) {
  if (count != 3) {
    std::fprintf(stderr, "make_network <folder of the digits> <header to write>\n");
    return 2;
  }
  try {
    fewbit::examples::make_network(arguments[1], arguments[2]);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
  return 0;
}
