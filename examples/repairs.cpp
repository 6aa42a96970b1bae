// Repairs of equalize/ on trained networks: what each gains, and what it costs.
//
// Each row quantizes a network in a way that hurts it, without and with one repair. The network is
// simulated in float. The table shows its quality and the signal to noise of its outputs. Read
// weights_row() first, then support/real_networks.hpp, which loads the networks.
// --data names the folder of the data:
//   resnet/resnet20_cifar10.safetensors, cifar10/{calib,test}_images.npy, cifar10/test_labels.npy
//   mobilenetv2_int8/   graph, images, labels; see requantized_graphs.cpp
//   silero_vad/         silero_vad_jit_v6_16k.safetensors, audio_public_i16.npy,
//                       jit_v6_public_probs.npy
//   stories260k/        stories260k.safetensors, tokens_{calibration_,}sampled.npy

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/calib/max_observer.hpp"
#include "fewbit/equalize/bias_absorption.hpp"
#include "fewbit/equalize/bias_correction.hpp"
#include "fewbit/equalize/bias_from_data.hpp"
#include "fewbit/equalize/cross_layer.hpp"
#include "fewbit/equalize/data_free_range.hpp"
#include "fewbit/equalize/outlier_split.hpp"
#include "fewbit/equalize/smooth.hpp"
#include "fewbit/equalize/sub_tensor.hpp"
#include "support/llama_network.hpp"
#include "support/options.hpp"
#include "support/real_networks.hpp"
#include "support/silero_network.hpp"
#include "support/table.hpp"

namespace fewbit::examples {

using int4_per_tensor = scheme<int4, per_tensor>;

/// Seconds of the processor since it was made.
class stopwatch {
 public:
  [[nodiscard]] double seconds() const {
    return static_cast<double>(std::clock() - start_) / CLOCKS_PER_SEC;
  }

 private:
  std::clock_t start_ = std::clock();
};

/// A network, the samples that repairs may see, and those that measure it.
class bench {
 public:
  /// @param seen      calibration samples
  /// @param measured  test samples
  bench(real_network net, index seen, index measured, table& results)
      : net_(std::move(net)),
        batches_(net_.batches(seen, seen)),
        metric_(net_.metric(measured)),
        real_(net_.forward(batches_[0], float_compute(net_.layers))),
        results_(results) {
    std::fprintf(stderr, "%s in float: %.2f %s\n", net_.name.c_str(),
                 metric_(float_compute(net_.layers)), net_.unit.c_str());
  }

  [[nodiscard]] const real_network& net() const { return net_; }
  [[nodiscard]] const input_batches& batches() const { return batches_; }

  /// Adds a row: a simulation without and with a repair, which took `seconds`.
  void add(const std::string& name, const simulation& without, const simulation& with,
           double seconds) {
    const std::string label = net_.name + ", " + name;
    std::fprintf(stderr, "%s\n", label.c_str());
    results_.add(label, {metric_(without.compute()), metric_(with.compute()), decibels(without),
                         decibels(with), seconds});
  }

 private:
  [[nodiscard]] double decibels(const simulation& plan) const {
    const matrix y = net_.forward(batches_[0], plan.compute());
    const double signal = real_.cast<double>().squaredNorm();
    return 10.0 * std::log10(signal / (real_ - y).cast<double>().squaredNorm());
  }

  real_network net_;
  input_batches batches_;
  metric_function metric_;
  matrix real_;
  table& results_;
};

/// Weights under S, inputs in float, before and after a repair of the layers in float.
template <class S, class Repair>
void weights_row(bench& b, const std::string& name, const Repair& repair) {
  layer_list layers = b.net().layers;
  const stopwatch time;
  repair(layers);
  const double seconds = time.seconds();
  simulation without(b.net().layers), with(layers);
  without.quantize_weights<S>();
  with.quantize_weights<S>();
  b.add(name, without, with, seconds);
}

/// Weights under S, inputs of all layers as int8 with the ranges of their maxima.
template <class S, class Repair>
void inputs_row(bench& b, const std::string& name, const Repair& repair) {
  const auto quantized = [&](const layer_list& layers) {
    simulation plan(layers);
    plan.quantize_weights<S>();
    plan.quantize_inputs<int8_per_tensor>(
        observe_inputs<max_observer>(layers, b.net().forward, b.batches()));
    return plan;
  };
  layer_list layers = b.net().layers;
  const stopwatch time;
  repair(layers);
  const double seconds = time.seconds();
  b.add(name, quantized(b.net().layers), quantized(layers), seconds);
}

/// Weights under S, before and after a repair of the simulation.
template <class S, class Repair>
void plan_row(bench& b, const std::string& name, const Repair& repair) {
  simulation without(b.net().layers);
  without.quantize_weights<S>();
  simulation with = without;
  const stopwatch time;
  repair(with);
  b.add(name, without, with, time.seconds());
}

void cross_layer(bench& b, layer_list& layers) { equalize_layers(layers, b.net().links); }

template <class S>
void bias_by_data_row(bench& b, const std::string& scheme) {
  plan_row<S>(b, scheme + ", biases by data", [&](simulation& plan) {
    correct_biases_by_data(plan, b.net().forward, b.batches());
  });
}

/// Weights under S, without a repair and with two of them.
template <class S>
void equalize_and_correct_row(bench& b, const std::string& scheme) {
  layer_list layers = b.net().layers;
  const stopwatch time;
  cross_layer(b, layers);
  simulation without(b.net().layers), with(layers);
  without.quantize_weights<S>();
  with.quantize_weights<S>();
  correct_biases_by_data(with, b.net().forward, b.batches());
  b.add(scheme + ", cross-layer and biases by data", without, with, time.seconds());
}

// ---- the networks

void resnet(bench& b) {
  weights_row<int4_per_tensor>(b, "int4 per tensor, cross-layer",
                               [&](layer_list& l) { cross_layer(b, l); });
  plan_row<int4_per_tensor>(b, "int4 per tensor, biases by statistics", [&](simulation& plan) {
    correct_biases_by_statistics(plan, b.net().links);
  });
  bias_by_data_row<int4_per_tensor>(b, "int4 per tensor");
  equalize_and_correct_row<int4_per_tensor>(b, "int4 per tensor");
  bias_by_data_row<int4_per_row>(b, "int4 per row");
  inputs_row<int8_per_row>(b, "int8, bias absorption", [&](layer_list& l) {
    absorb_biases(l, b.net().links, {.with_padding = true});
  });

  simulation by_data(b.net().layers), by_statistics(b.net().layers);
  const auto seen = observe_inputs<max_observer>(b.net().layers, b.net().forward, b.batches());
  const stopwatch time;
  for (const channel_link& link : b.net().links) {
    const index reader = b.net().layers.find(link.consumers[0]);
    by_data[reader].inputs =
        codes_of<uint8_affine>(seen.observers[static_cast<std::size_t>(reader)].range());
    by_statistics[reader].inputs =
        codes_of<uint8_affine>(data_free_range(b.net().layers[b.net().layers.find(link.producer)]));
  }
  b.add("uint8 inputs, data-free ranges for maxima", by_data, by_statistics, time.seconds());
}

/// The weights of depthwise layers under one scale, and of sub-tensors of sorted rows.
void sub_tensors(bench& b) {
  layer_list layers = b.net().layers;
  const stopwatch time;
  const auto shared = share_layer_scales<int8>(layers, b.net().links, 30.0);
  const double seconds = time.seconds();
  simulation without(b.net().layers), with(layers);
  index scales = 0, rows = 0;
  for (std::size_t i = 0; i < shared.size(); ++i) {
    const index at = layers.find(b.net().links[i].depthwise);
    without.quantize_weights<int8_per_tensor>(at);
    const index group = shared[i].depthwise.rows_per_scale;
    matrix coded = layers[at].weights;
    for (index r = 0; r < coded.rows(); r += group) {
      const index count = std::min(group, coded.rows() - r);
      coded.middleRows(r, count) =
          fake_quantize<int8_per_tensor>(layers[at].weights.middleRows(r, count));
    }
    with[at].weights = std::move(coded);
    scales += shared[i].depthwise.scales;
    rows += layers[at].channels();
  }
  std::fprintf(stderr, "%td scales for %td depthwise channels\n", scales, rows);
  b.add("int8 depthwise per tensor, sub-tensors", without, with, seconds);
}

void mobilenet(bench& b) {
  weights_row<int8_per_tensor>(b, "int8 per tensor, cross-layer",
                               [&](layer_list& l) { cross_layer(b, l); });
  sub_tensors(b);
  bias_by_data_row<int8_per_tensor>(b, "int8 per tensor");
  equalize_and_correct_row<int8_per_tensor>(b, "int8 per tensor");
}

void silero(bench& b) {
  weights_row<int8_per_tensor>(b, "int8 per tensor, cross-layer",
                               [&](layer_list& l) { cross_layer(b, l); });
  bias_by_data_row<int4_per_row>(b, "int4 per row");
  inputs_row<int8_per_row>(b, "int8, smoothing of conv1", [&](layer_list& l) {
    smooth_layers<int8_per_row, int8_per_tensor>(l, b.net().forward, b.batches(), {{{"conv1"}}});
  });
}

void stories(bench& b) {
  bias_by_data_row<int4_grouped<32>>(b, "int4 in groups of 32");
  bias_by_data_row<int3_grouped<32>>(b, "int3 in groups of 32");
  inputs_row<int8_per_row>(b, "int8, smoothing", [&](layer_list& l) {
    std::vector<smoothing_group> groups;
    for (const network_layer& layer : l) groups.push_back({{layer.name}});
    smooth_layers<int8_per_row, int8_per_tensor>(l, b.net().forward, b.batches(), groups);
  });

  // The layer reads the split channels twice. Outputs of codes are those of the joined columns.
  simulation without(b.net().layers), with(b.net().layers);
  without.quantize_weights<int4_per_tensor>();
  const stopwatch time;
  for (index i = 0; i < b.net().layers.size(); ++i) {
    const matrix& w = b.net().layers[i].weights;
    const split_weights split = split_outliers(w, 0.05, 4);
    const matrix coded =
        fake_quantize<int4_per_tensor>(split.weights, quant_params{split.scale, 0});
    with[i].weights = matrix::Zero(w.rows(), w.cols());
    for (std::size_t j = 0; j < split.sources.size(); ++j)
      with[i].weights.col(split.sources[j]) += coded.col(static_cast<index>(j));
  }
  b.add("int4 per tensor, 5 % more columns", without, with, time.seconds());
}

int run(const options& given) {
  const std::string data = given.text("--data", FEWBIT_DATA_DIR),
                    only = given.text("--network", "all");
  for (const char* folder :
       {"resnet", "cifar10", "mobilenetv2_int8", "silero_vad", "stories260k"}) {
    if (std::filesystem::exists(data + "/" + folder)) continue;
    std::fprintf(stderr, "no data: %s/%s is missing; --data names the folder\n", data.c_str(),
                 folder);
    return 77;
  }
  table results("repairs", "scheme",
                {{"without", "without", 2},
                 {"with", "with", 2},
                 {"dB without", "db_without", 1},
                 {"dB with", "db_with", 1},
                 {"seconds", "seconds", 2}});
  const auto wanted = [&](const char* name) { return only == "all" || only == name; };
  const auto measure = [&](real_network net, index seen, index measured, void (*rows)(bench&)) {
    bench b(std::move(net), seen, measured, results);
    rows(b);
  };
  if (wanted("resnet"))
    measure(load_resnet(data, 3), 100, given.number("--images", 1000, 1, 6000), resnet);
  if (wanted("mobilenet")) measure(load_mobilenet(data), 16, 120, mobilenet);
  if (wanted("silero")) measure(load_silero(data), 400, 1125, silero);
  if (wanted("stories")) measure(load_stories(data), 4, 6, stories);
  results.print();
  if (!given.text("--json").empty()) results.write_json(given.text("--json"));
  return 0;
}

}  // namespace fewbit::examples

int main(int argc, char** argv) {
  return fewbit::examples::run({argc,
                                argv,
                                "Repairs of quantized networks: quality without and with each.",
                                {{"--data", "DIR", "folder of the data"},
                                 {"--network", "NAME", "resnet, mobilenet, silero, stories or all"},
                                 {"--images", "N", "test images of ResNet-20, 1000 if not given"},
                                 {"--json", "PATH", "write the table as JSON"}}});
}
