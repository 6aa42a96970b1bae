// Trains the network of embedded_qmn in float, quantizes it to power-of-two scales and writes its
// weights, and some test images, as arrays of constants:
//
//     make_network <folder of the digits> <header to write>
//
// It prints the accuracy of the float and of the quantized network. The same build writes the same
// header each time.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

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

// ---- layers in float. An image is a row: height, width, channels.

/// A weight matrix, its bias, and Adam's averages of their gradients (arXiv:1412.6980).
struct float_layer {
  matrix w;  // outputs x inputs
  Eigen::RowVectorXf b;
  matrix w_mean, w_square;
  Eigen::RowVectorXf b_mean, b_square;

  float_layer(index outputs, index inputs, std::uint64_t seed) {
    const float deviation = std::sqrt(2.0F / static_cast<float>(inputs));
    w = matrix::NullaryExpr(outputs, inputs, [&](index r, index c) {
      return deviation * normal(generator{seed}, r * inputs + c);
    });
    b = Eigen::RowVectorXf::Zero(outputs);
    w_mean = w_square = matrix::Zero(outputs, inputs);
    b_mean = b_square = b;
  }

  void learn(const matrix& w_gradient, const Eigen::RowVectorXf& b_gradient, int step) {
    move(w, w_gradient, w_mean, w_square, step);
    move(b, b_gradient, b_mean, b_square, step);
  }

 private:
  template <class M>
  static void move(M& value, const M& gradient, M& mean, M& square, int step) {
    constexpr float rate = 2e-3F, keep_mean = 0.9F, keep_square = 0.999F;
    const auto t = static_cast<float>(step);
    mean = keep_mean * mean + (1.0F - keep_mean) * gradient;
    square = keep_square * square + (1.0F - keep_square) * gradient.cwiseAbs2();
    const float mean_share = 1.0F - std::pow(keep_mean, t);
    const float square_share = 1.0F - std::pow(keep_square, t);
    value.array() -=
        rate * (mean.array() / mean_share) / ((square.array() / square_share).sqrt() + 1e-8F);
  }
};

/// The 3 x 3 pixels around each pixel, one row for each pixel; 0 outside the image.
matrix patches_of(const matrix& x, const image_extents& image) {
  const index c = image.channels;
  matrix patches = matrix::Zero(x.rows() * image.pixels(), 9 * c);
  for (index n = 0; n < x.rows(); ++n) {
    for (index p = 0; p < image.pixels(); ++p) {
      for (index tap = 0; tap < 9; ++tap) {
        const index row = p / image.width + tap / 3 - 1, col = p % image.width + tap % 3 - 1;
        if (row < 0 || row >= image.height || col < 0 || col >= image.width) continue;
        patches.row(n * image.pixels() + p).segment(tap * c, c) =
            x.row(n).segment((row * image.width + col) * c, c);
      }
    }
  }
  return patches;
}

/// The reverse: each number of a patch is added to its pixel.
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

// ---- the float network

/// The same numbers as rows of images, or as rows of pixels.
matrix reshaped(const matrix& m, index rows) {
  return Eigen::Map<const matrix>(m.data(), rows, m.size() / rows);
}

class float_network {
 public:
  static constexpr image_extents image1 = pixel_image;
  static constexpr image_extents maps1{8, 8, conv1_channels};
  static constexpr image_extents image2{4, 4, conv1_channels};
  static constexpr image_extents maps2{4, 4, conv2_channels};

  float_layer conv1{conv1_channels, 9, 1};
  float_layer conv2{conv2_channels, 9 * conv1_channels, 2};
  float_layer linear{classes, maps2.size() / 4, 3};

  /// What the layers computed last; a, b: after relu.
  matrix a, b, pooled_a, pooled_b, logits;

  void operator()(const matrix& x) {
    const index n = x.rows();
    patches1_ = patches_of(x, image1);
    a = reshaped(relu(patches1_ * conv1.w.transpose(), conv1.b), n);
    pooled_a = max_pool(a, maps1);
    patches2_ = patches_of(pooled_a, image2);
    b = reshaped(relu(patches2_ * conv2.w.transpose(), conv2.b), n);
    pooled_b = average_pool(b, maps2);
    logits = pooled_b * linear.w.transpose();
    logits.rowwise() += linear.b;
  }

  /// A step of training on a batch.
  void learn(const matrix& x, const std::vector<int>& labels, int step) {
    (*this)(x);
    const index n = x.rows();
    matrix d = logits;
    for (index r = 0; r < n; ++r) {
      d.row(r) = (d.row(r).array() - d.row(r).maxCoeff()).exp().matrix().eval();
      d.row(r) /= d.row(r).sum();
      d(r, labels[static_cast<std::size_t>(r)]) -= 1.0F;
    }
    d /= static_cast<float>(n);
    const matrix dw = d.transpose() * pooled_b;
    const Eigen::RowVectorXf db = d.colwise().sum();
    matrix back = average_pool_back(d * linear.w, maps2);
    linear.learn(dw, db, step);
    back = sums_of_patches(learn_convolution(conv2, back, b, patches2_, step), image2);
    back = max_pool_back(back, a, pooled_a, maps1);
    learn_convolution(conv1, back, a, patches1_, step);
  }

 private:
  static matrix relu(matrix y, const Eigen::RowVectorXf& bias) {
    y.rowwise() += bias;
    return y.cwiseMax(0.0F);
  }

  /// Returns the gradient of the patches.
  static matrix learn_convolution(float_layer& layer, const matrix& gradient, const matrix& y,
                                  const matrix& patches, int step) {
    const matrix active = (y.array() > 0.0F).select(gradient, 0.0F);
    const matrix d = reshaped(active, patches.rows());
    const matrix back = d * layer.w;
    layer.learn(d.transpose() * patches, d.colwise().sum(), step);
    return back;
  }

  matrix patches1_, patches2_;
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
    formats.weights = fraction_bits(layer.w.cwiseAbs().maxCoeff());
    const int sums = formats.inputs + formats.weights;
    formats.bias = std::min(fraction_bits(layer.b.cwiseAbs().maxCoeff()), sums);
    formats.outputs = std::min(fraction_bits(largest_output), sums);
    weights = codes_of(layer.w.data(), layer.w.size(), formats.weights);
    bias = codes_of(layer.b.data(), layer.b.size(), formats.bias);
  }

  [[nodiscard]] q7_weights view() const { return {weights, bias, formats.shifts(), relu}; }
};

double percent(index right, std::size_t all) {
  return 100.0 * static_cast<double>(right) / static_cast<double>(all);
}

double float_accuracy(float_network& network, const dataset& data) {
  network(data.images);
  index right = 0;
  for (index r = 0; r < data.images.rows(); ++r) {
    index best = 0;
    network.logits.row(r).maxCoeff(&best);
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
  constexpr index batch = 40;
  int step = 0;
  for (std::uint64_t epoch = 0; epoch < 80; ++epoch) {
    const std::vector<index> rows = shuffled(train.images.rows(), {7 + epoch});
    for (index first = 0; first < train.images.rows(); first += batch) {
      const dataset part = rows_of(train, rows, first, batch);
      network.learn(part.images, part.labels, ++step);
    }
  }

  // The largest numbers of the training images choose the formats of outputs.
  network(train.images);
  const q7_layer conv1(network.conv1, pixel_fraction_bits, network.a.maxCoeff(), true);
  const q7_layer conv2(network.conv2, conv1.formats.outputs, network.b.maxCoeff(), true);
  const q7_layer linear(network.linear, conv2.formats.outputs, network.logits.cwiseAbs().maxCoeff(),
                        false);
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
