/// How much quantization costs trained networks: in float, in int8 with ranges of inputs by four
/// methods, and by quantize_within in int8 and int4.
///
///     accuracy_table --data DIR [--json PATH] [--svg PATH] [--quick 1] [--network NAME]
///
/// Weights of int8 have a scale for each row, inputs are uint8 with a zero point. All quantized
/// figures are of integer layers (equalize/integer_network.hpp), except those of
/// layers that quantize_within leaves in float. The workflow never sees a label or a test sample of
/// the ResNets, the keywords and stories260K: its metric is the percentage of decisions on the
/// calibration inputs that equal those of the network in float, or the perplexity of calibration
/// texts. The other networks have so few samples that calibration and test share some.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "accuracy_svg.hpp"
#include "fewbit/calib/entropy.hpp"
#include "fewbit/calib/histogram_observer.hpp"
#include "fewbit/calib/mse.hpp"
#include "fewbit/calib/percentile.hpp"
#include "fewbit/search/quantize_within.hpp"
#include "llama_network.hpp"
#include "options.hpp"
#include "real_networks.hpp"
#include "silero_network.hpp"
#include "table.hpp"
#include "tiny_networks.hpp"

namespace fewbit::examples { namespace {

/// A network of the table, and how many samples of it are used.
struct entry {
  real_network net;
  index calibration;  ///< in one batch, so that biases are corrected in one pass
  index tests;
};

/// The decision of each row: the largest output, or whether a single output is above 1/2.
std::vector<index> decisions(const matrix& outputs) {
  std::vector<index> all;
  for (index r = 0; r < outputs.rows(); ++r) {
    index best = outputs(r, 0) > 0.5F ? 1 : 0;
    if (outputs.cols() > 1) outputs.row(r).maxCoeff(&best);
    all.push_back(best);
  }
  return all;
}

/// The percentage of decisions on calibration inputs that equal those in float.
metric_function agreement(const entry& e, const input_batches& batches) {
  std::vector<std::vector<index>> real;
  for (index i = 0; i < batches.count(); ++i)
    real.push_back(decisions(e.net.forward(batches[i], float_compute(e.net.layers))));
  return [&e, batches, real](const compute_function& compute) {
    index equal = 0, all = 0;
    for (index i = 0; i < batches.count(); ++i) {
      const std::vector<index> found = decisions(e.net.forward(batches[i], compute));
      const std::vector<index>& expected = real[static_cast<std::size_t>(i)];
      for (std::size_t r = 0; r < found.size(); ++r) equal += found[r] == expected[r] ? 1 : 0;
      all += static_cast<index>(found.size());
    }
    return 100.0 * static_cast<double>(equal) / static_cast<double>(all);
  };
}

/// Minus the mean loss of the next token of calibration texts, in percent of perplexity.
metric_function likelihood(const entry& e, const input_batches& batches) {
  return [&e, batches](const compute_function& compute) {
    double loss = 0.0;
    index tokens = 0;
    for (index i = 0; i < batches.count(); ++i) {
      const matrix texts = batches[i];
      const matrix logits = e.net.forward(texts, compute);
      for (index t = 0; t < logits.rows(); ++t) {
        const index text = t / texts.cols(), at = t % texts.cols();
        if (at + 1 == texts.cols()) continue;
        const Eigen::RowVectorXd values = logits.row(t).cast<double>();
        const double most = values.maxCoeff();
        loss += most + std::log((values.array() - most).exp().sum()) -
                values[static_cast<index>(texts(text, at + 1))];
        ++tokens;
      }
    }
    return -100.0 * loss / static_cast<double>(tokens);
  };
}

metric_function choice(const entry& e, const input_batches& batches) {
  return e.net.larger_is_better ? agreement(e, batches) : likelihood(e, batches);
}

/// The quality on test samples in integers, with ranges by a method.
template <class... Method>
double with_ranges(const entry& e, const observed_layers<histogram_observer>& seen,
                   const Method&... method) {
  simulation plan(e.net.layers);
  std::vector<quantized_matrix<int8_per_row>> codes;
  for (const network_layer& l : e.net.layers) codes.push_back(quantize<int8_per_row>(l.weights));
  plan.quantize_weights<int8_per_row>();
  plan.quantize_inputs<uint8_affine>(seen, method...);
  const integer_network<int8_per_row, uint8_affine> net(plan, codes);
  return e.net.metric(e.tests)(net.compute());
}

/// The quality on test samples by quantize_within. Prints its steps.
template <IntegerScheme S>
double by_workflow(const entry& e, const char* what, double allowed_loss,
                   const within_options& options) {
  const input_batches batches = e.net.batches(e.calibration, e.calibration);
  const auto progress = [&](const pass_step& step) {
    if (step.done == 0 || step.done == step.total)
      std::fprintf(stderr, "%s, %s: %s\n", e.net.name.c_str(), what, step.what);
    return true;
  };
  const auto found = quantize_within<S, uint8_affine>(
      e.net.layers, e.net.forward, batches, choice(e, batches), allowed_loss, options, progress);
  std::printf("%s, %s: in float %.2f\n", e.net.name.c_str(), what, found.float_metric);
  for (const ladder_step& s : found.steps) {
    std::printf("  %-30s %8.2f  %+7.2f  %6.1f s%s\n", s.what.c_str(), s.metric, s.gain, s.seconds,
                s.is_kept ? "  kept" : "");
  }
  const auto net = found.integers();
  return e.net.metric(e.tests)(net.compute());
}

/// Whether inputs are quantized row by row at each call: rows of tokens differ much.
bool is_by_row(const entry& e) {
  return std::all_of(e.net.layers.begin(), e.net.layers.end(),
                     [](const network_layer& l) { return l.kind == layer_kind::linear; });
}

double in_eight_bits(const entry& e) {
  within_options options;
  options.links = e.net.links;
  if (is_by_row(e)) options.inputs = ladder_inputs::by_row;
  return by_workflow<int8_per_row>(e, "int8", 1.0, options);
}

/// Codes of 4 bits: in groups of 32 with zero points where all layers are linear, with a scale for
/// each row elsewhere.
double in_four_bits(const entry& e) {
  within_options options;
  options.links = e.net.links;
  options.mixed_precision = false;
  options.stops_when_met = false;
  if (!is_by_row(e)) return by_workflow<int4_per_row>(e, "int4", 1.0, options);
  options.inputs = ladder_inputs::by_row;
  return by_workflow<uint4_grouped<32>>(e, "int4", 1.0, options);
}

std::vector<double> row_of(const entry& e) {
  const input_batches batches = e.net.batches(e.calibration, e.calibration);
  const auto seen = observe_inputs<histogram_observer>(e.net.layers, e.net.forward, batches);
  return {e.net.metric(e.tests)(float_compute(e.net.layers)),
          with_ranges(e, seen),
          with_ranges(e, seen, by_percentile{99.99}, clip::affine),
          with_ranges(e, seen, by_entropy{}, clip::affine),
          with_ranges(e, seen, by_mse{}, clip::affine),
          in_eight_bits(e),
          in_four_bits(e)};
}

std::vector<entry> entries(const std::string& data, bool is_quick) {
  const auto count = [&](index all, index quick) { return is_quick ? quick : all; };
  return {{load_resnet(data, 3), count(256, 64), count(6000, 100)},
          {load_resnet(data, 5), count(256, 64), count(6000, 100)},
          {load_mobilenet(data), count(40, 4), count(80, 8)},
          {load_resnet8(data), count(256, 64), count(6000, 200)},
          {load_keywords(data), count(120, 40), count(480, 100)},
          {load_person(data), count(60, 10), count(60, 20)},
          {load_silero(data), count(300, 60), count(1125, 200)},
          {load_stories(data), count(4, 1), count(6, 1)}};
}

int run(const options& given) {
  const std::string data = given.text("--data", FEWBIT_DATA_DIR);
  if (!std::ifstream(data + "/stories260k/stories260k.safetensors")) {
    std::printf("no data: %s has no stories260k/stories260k.safetensors\n", data.c_str());
    return 77;
  }
  const std::string only = given.text("--network");
  table results("accuracy_table", "network",
                {{"float", "float", 2},
                 {"int8 max", "int8_max", 2},
                 {"99.99 %", "int8_percentile", 2},
                 {"entropy", "int8_entropy", 2},
                 {"mse", "int8_mse", 2},
                 {"int8 workflow", "int8_workflow", 2},
                 {"int4 workflow", "int4_workflow", 2}});
  for (const entry& e : entries(data, given.number("--quick", 0, 0, 1) == 1)) {
    if (!only.empty() && e.net.name != only) continue;
    results.add(e.net.name + ", " + e.net.unit, row_of(e));
  }
  results.print();
  if (const std::string path = given.text("--json"); !path.empty()) results.write_json(path);
  if (const std::string path = given.text("--svg"); !path.empty()) draw_accuracy(results, path);
  return 0;
}

}  // namespace
}  // namespace fewbit::examples

int main(int argc, char** argv) {
  const fewbit::examples::options given(
      argc, argv,
      "Measures trained networks in float, int8 and int4, with several calibrators "
      "and by quantize_within.",
      {{"--data", "DIR", "folder of the networks and their data"},
       {"--network", "NAME", "only this network, for example ResNet-20"},
       {"--quick", "1", "a few samples of each"},
       {"--json", "PATH", "writes the table as JSON"},
       {"--svg", "PATH", "draws the table"}});
  try {
    return fewbit::examples::run(given);
  } catch (const fewbit::error& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
