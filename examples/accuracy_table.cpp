/// How much quantization costs trained networks: in float, in int8 with ranges of inputs by four
/// methods, and by quantize_within in int8 and int4.
///
///     accuracy_table --data DIR [--json PATH] [--svg PATH] [--quick 1] [--network NAME]
///
/// Weights of int8 have a scale for each row, inputs are uint8 with a zero point. All quantized
/// figures are of integer layers (equalize/integer_network.hpp), except those of layers that
/// quantize_within leaves in float.
///
/// The workflow never sees a label or a test sample of the ResNets, the keywords and stories260K.
/// Its metric is likeness() on calibration inputs, or the likelihood of calibration texts. It may
/// lose 0.5: half of the 1 % that the figure may lose, because calibration sees few samples.
/// The other networks have so few samples that calibration and test share some.

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

/// What the metric of the workflow may lose on calibration inputs: half of what the figure may.
constexpr double allowed_loss = 0.5;

/// A network of the table, and how many samples of it are used.
struct entry {
  real_network net;
  index calibration;  ///< in one batch, so that biases are corrected in one pass
  index tests;
  /// The metric of the workflow reads as many further samples of the calibration set. Otherwise it
  /// reads those that ranges and codes were chosen by, and prefers what fits them too closely.
  bool has_judges;
};

input_batches seen_samples(const entry& e) { return e.net.batches(e.calibration, e.calibration); }

input_batches judging_samples(const entry& e) {
  if (!e.has_judges) return seen_samples(e);
  return {1, [all = e.net.batches(2 * e.calibration, e.calibration)](index) { return all[1]; }};
}

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

/// Probabilities of classes. Outputs in [0, 1] whose sum is 1 in each row are probabilities, a
/// single output is the first of two; others are logits.
matrix probabilities(const matrix& outputs) {
  if (outputs.cols() == 1) {
    matrix p(outputs.rows(), 2);
    p << outputs, 1.0F - outputs.array();
    return p;
  }
  const bool are_probabilities = outputs.minCoeff() >= 0.0F && outputs.maxCoeff() <= 1.0F &&
                                 (outputs.rowwise().sum().array() - 1.0F).abs().maxCoeff() < 1e-3F;
  if (are_probabilities) return outputs;
  matrix p = (outputs.colwise() - outputs.rowwise().maxCoeff()).array().exp();
  p.array().colwise() /= p.rowwise().sum().array();
  return p;
}

/// The divergence of Kullback and Leibler from `real` to `found`, summed over rows.
double divergence(const matrix& real, const matrix& found) {
  constexpr double least = 1e-7;  // a float cannot tell smaller probabilities from 0
  const Eigen::ArrayXXd p = real.cast<double>().array().max(least);
  const Eigen::ArrayXXd q = found.cast<double>().array().max(least);
  return (p * (p / q).log()).sum();
}

/// Minus the divergence of the probabilities from those in float, in percent: what the perplexity
/// of decisions that the network in float draws would lose. If the quality is the share of equal
/// decisions, their percentage on calibration inputs is added.
metric_function likeness(const entry& e, const input_batches& batches) {
  std::vector<matrix> real;
  for (index i = 0; i < batches.count(); ++i)
    real.push_back(e.net.forward(batches[i], float_compute(e.net.layers)));
  const bool are_decisions = e.net.unit == "decisions %";
  return [&e, batches, real, are_decisions](const compute_function& compute) {
    double all = 0.0, lost = 0.0, equal = 0.0;
    for (index i = 0; i < batches.count(); ++i) {
      const matrix& expected = real[static_cast<std::size_t>(i)];
      const matrix found = e.net.forward(batches[i], compute);
      lost += divergence(probabilities(expected), probabilities(found));
      const std::vector<index> a = decisions(expected), b = decisions(found);
      for (std::size_t r = 0; r < a.size(); ++r) equal += a[r] == b[r] ? 1.0 : 0.0;
      all += static_cast<double>(a.size());
    }
    return 100.0 * ((are_decisions ? equal : 0.0) - lost) / all;
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
  return e.net.larger_is_better ? likeness(e, batches) : likelihood(e, batches);
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
double by_workflow(const entry& e, const char* what, const within_options& options) {
  const input_batches seen = seen_samples(e), judging = judging_samples(e);
  const auto progress = [&](const pass_step& step) {
    if (step.done == 0 || step.done == step.total)
      std::fprintf(stderr, "%s, %s: %s\n", e.net.name.c_str(), what, step.what);
    return true;
  };
  const auto found = quantize_within<S, uint8_affine>(
      e.net.layers, e.net.forward, seen, choice(e, judging), allowed_loss, options, progress);
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
  return by_workflow<int8_per_row>(e, "int8", options);
}

/// Codes of 4 bits for the weights of all layers: in groups of 32 with zero points where all layers
/// are linear, with a scale for each row elsewhere. All repairs are tried; AdaRound, which takes
/// longer than the others together, only where all layers are linear. It gained nothing on the
/// convolutions of ResNet-20, the keywords and Silero VAD.
double in_four_bits(const entry& e) {
  within_options options;
  options.links = e.net.links;
  options.mixed_precision = false;
  options.stops_when_met = false;
  if (!is_by_row(e)) return by_workflow<int4_per_row>(e, "int4", options);
  options.inputs = ladder_inputs::by_row;
  options.adaround = true;
  options.rounding.steps = 500;
  return by_workflow<uint4_grouped<32>>(e, "int4", options);
}

std::vector<double> row_of(const entry& e) {
  const auto seen =
      observe_inputs<histogram_observer>(e.net.layers, e.net.forward, seen_samples(e));
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
  return {{load_resnet(data, 3), count(256, 64), count(6000, 100), true},
          {load_resnet(data, 5), count(256, 64), count(6000, 100), true},
          {load_mobilenet(data), count(40, 4), count(80, 8), false},
          {load_resnet8(data), count(256, 64), count(6000, 200), true},
          {load_keywords(data), count(120, 40), count(480, 100), false},
          {load_person(data), count(60, 10), count(60, 20), false},
          {load_silero(data), count(300, 60), count(1125, 200), false},
          {load_stories(data), count(4, 1), count(6, 1), false}};
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
