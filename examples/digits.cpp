// Quantizes a small network in every way that the library offers: trains it in float, calibrates
// its activations, quantizes it, and prints accuracy, size and time of each variant in one table.
// The last two rows are a network of convolutions in float and in integers alone.
//
// Read main() first: it shows all steps.

#include <cstdint>
#include <cstdio>
#include <fewbit/fewbit.hpp>
#include <filesystem>
#include <string>
#include <vector>

#include "support/histogram_svg.hpp"
#include "support/integer_network.hpp"
#include "support/mlp.hpp"
#include "support/npy.hpp"
#include "support/options.hpp"
#include "support/progress.hpp"
#include "support/small_cnn.hpp"
#include "support/stopwatch.hpp"
#include "support/table.hpp"
#include "support/weight_bytes.hpp"

namespace fewbit::examples {

using matrix = row_matrix<float>;
using bytes = row_matrix<std::uint8_t>;

// ---- data: 1797 images of 8 x 8 pixels, 0 to 16

struct dataset {
  bytes pixels;
  matrix images;  // pixels / 16
  std::vector<int> labels;
};

struct digits {
  dataset train;
  dataset calibration;
  dataset test;
};

std::vector<index> shuffled(index n, const generator& g) {
  std::vector<index> order(static_cast<std::size_t>(n));
  for (index i = 0; i < n; ++i) {
    const auto j = static_cast<index>(uniform(g, i) * static_cast<float>(i + 1));
    order[static_cast<std::size_t>(i)] = order[static_cast<std::size_t>(j)];
    order[static_cast<std::size_t>(j)] = i;
  }
  return order;
}

digits load_digits() {
  const std::string folder = FEWBIT_EXAMPLE_DATA_DIR;
  const tensor images = read_npy(folder + "/digits_images.npy");
  const tensor labels = read_npy(folder + "/digits_labels.npy");
  const bytes all = images.matrix<std::uint8_t>();
  const std::vector<index> order = shuffled(all.rows(), {2024});
  const auto take = [&](index first, index count) {
    const std::vector<index> rows(order.begin() + first, order.begin() + first + count);
    dataset part{all(rows, Eigen::all), {}, {}};
    part.images = part.pixels.cast<float>() / 16.0F;
    for (const index r : rows) part.labels.push_back(labels.matrix<std::uint8_t>()(r));
    return part;
  };
  return {take(0, 1000), take(1000, 200), take(1200, all.rows() - 1200)};
}

// ---- the float networks

template <class Model>
void train(const std::string& label, Model& model, float rate, const dataset& data) {
  constexpr int epochs = 30;
  constexpr index batch = 50;
  const double share = double{batch} / static_cast<double>(data.images.rows());
  trainer learn(model, rate);
  progress bar(label, epochs);
  for (int epoch = 0; epoch < epochs; ++epoch) {
    const auto order = shuffled(data.images.rows(), {7 + static_cast<std::uint64_t>(epoch)});
    double loss = 0.0;
    for (index first = 0; first < data.images.rows(); first += batch) {
      const std::vector<index> rows(order.begin() + first, order.begin() + first + batch);
      std::vector<int> labels;
      for (const index r : rows) labels.push_back(data.labels[static_cast<std::size_t>(r)]);
      loss += learn.step(data.images(rows, Eigen::all), labels);
    }
    bar.update(epoch + 1, "loss " + std::to_string(loss * share));
  }
}

// ---- calibration: distributions of the activations after each relu

struct activations {
  histogram_observer values;
  moving_average_observer average{0.9};
};

std::vector<activations> watch(mlp& model, const dataset& data) {
  constexpr index batch = 20;
  std::vector<activations> seen(model.layers().size() - 1);
  matrix logits;
  for (index first = 0; first < data.images.rows(); first += batch) {
    model(data.images.middleRows(first, batch), logits);
    for (std::size_t i = 0; i < seen.size(); ++i) {
      seen[i].values.observe(model.hidden(i));
      seen[i].average.observe(model.hidden(i));
    }
  }
  return seen;
}

struct calibrator {
  const char* name;
  range (*choose)(const activations&);
};

constexpr calibrator calibrators[] = {
    {"max", [](const activations& a) { return a.values.range(); }},
    {"moving average", [](const activations& a) { return a.average.range(); }},
    {"percentile 99.9",
     [](const activations& a) { return a.values.range(by_percentile{99.9}, clip::affine); }},
    {"percentile 99.99",
     [](const activations& a) { return a.values.range(by_percentile{99.99}, clip::affine); }},
    {"entropy", [](const activations& a) { return a.values.range(by_entropy{}, clip::affine); }},
    {"mse", [](const activations& a) { return a.values.range(by_mse{}, clip::affine); }},
};

// ---- quantized networks

/// Number of rows for which a layer reserves memory.
constexpr fewbit::index rows_at_a_time = 128;

/// Layers exchange floats. Each layer quantizes its inputs (dynamic_int8) or keeps them in float
/// (float_inputs).
template <class S, class Inputs>
class float_chain {
 public:
  explicit float_chain(const mlp& model) : values_(model.layers().size() - 1) {
    for (const float_layer& layer : model.layers()) {
      const bool last = layers_.size() == values_.size();
      layers_.emplace_back(layer.weights, layer.bias, linear_options{!last, {}});
      layers_.back().reserve(rows_at_a_time);
    }
  }

  void operator()(const matrix& images, matrix& logits) {
    const matrix* x = &images;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      matrix& y = i == values_.size() ? logits : values_[i];
      y.resize(x->rows(), layers_[i].outputs());
      layers_[i](*x, y);
      x = &y;
    }
  }

 private:
  std::vector<linear<S, Inputs>> layers_;
  std::vector<matrix> values_;
};

/// Layers exchange 8-bit codes: there is no float matrix between the pixels and the logits. The
/// pixels are codes of scale 1/16. hidden[i] holds the parameters of the codes after relu i.
template <class S>
class code_chain {
 public:
  code_chain(const mlp& model, const std::vector<quant_params>& hidden) : codes_(hidden.size()) {
    quant_params inputs{1.0F / 16.0F, 0};
    for (const float_layer& layer : model.layers()) {
      linear_options options;
      if (layers_.size() < hidden.size()) options = {true, hidden[layers_.size()]};
      layers_.emplace_back(layer.weights, layer.bias, inputs, options);
      layers_.back().reserve(rows_at_a_time);
      inputs = options.output_params;
    }
  }

  void operator()(const bytes& pixels, matrix& logits) {
    const bytes* x = &pixels;
    for (std::size_t i = 0; i < codes_.size(); ++i) {
      codes_[i].resize(x->rows(), layers_[i].outputs());
      layers_[i](*x, codes_[i]);
      x = &codes_[i];
    }
    logits.resize(x->rows(), layers_.back().outputs());
    layers_.back()(*x, logits);
  }

 private:
  std::vector<linear<S, static_uint8>> layers_;
  std::vector<bytes> codes_;
};

/// The network of convolutions in integers alone: from pixels to codes of logits, and activations
/// are codes. The logits become floats for the table.
class integer_cnn {
 public:
  integer_cnn(small_cnn& model, const dataset& calibration)
      : network_({small_cnn::side, small_cnn::side, 1}, params_of(model, calibration)) {
    const window2d patch{.kernel = {3, 3}, .padding = {1, 1, 1, 1}};
    const window2d cell{.kernel = {2, 2}, .stride = {2, 2}};
    const auto& layers = model.layers();
    fewbit::index x = 0;
    for (std::size_t i = 0; i < 2; ++i) {
      x = network_.conv2d(x, layers[i].weights, layers[i].bias, patch, activation::relu);
      x = network_.max_pool2d(x, cell);
    }
    network_.linear(x, layers[2].weights, layers[2].bias);
  }

  void operator()(const bytes& pixels, matrix& logits) {
    const quant_params& p = network_.output_params();
    const auto zero = static_cast<float>(p.zero_point);
    logits = (network_.run(pixels).cast<float>().array() - zero) * p.scale;
  }

 private:
  /// Parameters of the pixels, of both convolutions with their maxima, and of the logits.
  static std::vector<quant_params> params_of(small_cnn& model, const dataset& data) {
    matrix logits;
    model(data.images, logits);
    const auto params = [](const matrix& values) {
      max_observer seen;
      seen.observe(values);
      return choose_params<uint8_affine>(seen.range());
    };
    const quant_params first = params(model.hidden(0)), second = params(model.hidden(1));
    return {{1.0F / 16.0F, 0}, first, first, second, second, params(logits)};
  }

  integer_network<> network_;
};

/// The uint8 parameters of the activations for the ranges of a calibrator.
template <class Scale = real_scale>
std::vector<quant_params> choose_hidden(const std::vector<activations>& seen, const calibrator& c) {
  std::vector<quant_params> params;
  for (const activations& a : seen) {
    params.push_back(choose_params<scheme<uint8, per_tensor, affine, Scale>>(c.choose(a)));
  }
  return params;
}

// ---- the table

constexpr index timed_batch = 128;

double accuracy_percent(const matrix& logits, const std::vector<int>& labels) {
  index right = 0;
  for (index r = 0; r < logits.rows(); ++r) {
    index best = 0;
    logits.row(r).maxCoeff(&best);
    right += best == labels[static_cast<std::size_t>(r)] ? 1 : 0;
  }
  return 100.0 * static_cast<double>(right) / static_cast<double>(logits.rows());
}

/// Runs networks on the test images and adds a row to the table for each.
class comparison {
 public:
  comparison(mlp& model, const dataset& test) : model_(model), test_(test) {
    model(test.images, reference_);
    add("float32", model, test.images, float_weight_bytes(model.layers()));
  }

  template <class S, class Inputs>
  void add_float_chain(const std::string& name) {
    float_chain<S, Inputs> network(model_);
    add(name, network, test_.images, weight_bytes<S>(model_.layers()));
  }

  template <class S>
  void add_code_chain(const std::string& name, const std::vector<quant_params>& hidden) {
    code_chain<S> network(model_, hidden);
    add(name, network, test_.pixels, weight_bytes<S>(model_.layers()));
  }

  /// Rows of a network with a reference of its own.
  void add_convolutions(small_cnn& model, const dataset& calibration) {
    model(test_.images, reference_);
    add("convolutions, float32", model, test_.images, float_weight_bytes(model.layers()));
    integer_cnn network(model, calibration);
    add("convolutions, integers only", network, test_.pixels,
        weight_bytes<int8_per_row>(model.layers()));
  }

  [[nodiscard]] const table& results() const { return results_; }

 private:
  template <class Network, class Images>
  void add(const std::string& name, Network& network, const Images& images, double weights) {
    matrix logits;
    network(images, logits);
    const double accuracy = accuracy_percent(logits, test_.labels);
    const double quality = sqnr_db(reference_, logits);
    const Images batch = images.topRows(timed_batch);
    const double time = median_microseconds([&] { network(batch, logits); });
    results_.add(name, {accuracy, weights, time, quality});
  }

  mlp& model_;
  const dataset& test_;
  matrix reference_;
  table results_{"digits",
                 "scheme",
                 {{"accuracy %", "accuracy_percent", 2},
                  {"weight bytes", "weight_bytes", 0},
                  {"us per 128", "microseconds_per_128_images", 1},
                  {"SQNR dB", "logits_sqnr_db", 1}}};
};

void add_linear_layers(const std::vector<activations>& seen, comparison& all) {
  for (const calibrator& c : calibrators) {
    const std::string name = std::string("int8 static, ") + c.name;
    all.add_code_chain<int8_per_row>(name, choose_hidden(seen, c));
  }
  all.add_code_chain<int8_power_of_two>("int8 static, power of two",
                                        choose_hidden<power_of_two>(seen, calibrators[0]));
  all.add_float_chain<int8_per_row, dynamic_int8>("int8 dynamic");
  all.add_float_chain<int8_per_row, float_inputs>("int8 weights only");
  all.add_float_chain<int4_per_row, dynamic_int8>("int4 per row");
  all.add_float_chain<int4_grouped<32>, dynamic_int8>("int4 in groups of 32");
  all.add_float_chain<ternary_per_row, dynamic_int8>("ternary");
  all.add_float_chain<binary_per_row, dynamic_int8>("binary");
}

/// Draws the activations after the last relu, and the range that each calibrator chooses.
void draw(const activations& seen, const std::string& path) {
  std::vector<mark> marks;
  for (const calibrator& c : calibrators) marks.push_back({c.name, c.choose(seen).hi});
  histogram_svg picture(seen.values.snapshot(clip::affine), marks,
                        "Activations of the last hidden layer, and where calibrators clip them",
                        "activation after relu");
  picture.write(path);
}

int run(const options& given, const std::filesystem::path& program) {
  const digits data = load_digits();
  mlp model({64, 512, 512, 10}, 1);
  train("training", model, 1e-3F, data.train);
  small_cnn convolutions(11);
  train("training, convolutions", convolutions, 3e-3F, data.train);
  const std::vector<activations> seen = watch(model, data.calibration);
  comparison all(model, data.test);
  add_linear_layers(seen, all);
  all.add_convolutions(convolutions, data.calibration);
  const table& results = all.results();
  results.print();
  std::printf(
      "\n%td test images; layers 64-512-512-10; weight bytes: codes and scales as in a file;\n",
      data.test.images.rows());
  std::printf("us per 128: median time for 128 images on one core; %s\n", machine_name().c_str());
  const std::string picture = (program.parent_path() / "digits_activations.svg").string();
  draw(seen.back(), picture);
  std::printf("picture: %s\n", picture.c_str());
  if (const std::string path = given.text("--json"); !path.empty()) results.write_json(path);
  return 0;
}

}  // namespace fewbit::examples

int main(int argc, char** argv) {
  const fewbit::examples::options given(
      argc, argv, "digits: trains a small network and compares ways to quantize it.",
      {{"--json", "PATH", "writes the table as JSON, too"}});
  return fewbit::examples::run(given, std::filesystem::absolute(argv[0]).lexically_normal());
}
