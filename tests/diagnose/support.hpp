#pragma once
/// Networks with and without faults, for tests of diagnose/.

#include <string>
#include <utility>
#include <vector>

#include "equalize/support.hpp"
#include "fewbit/diagnose/diagnose.hpp"

namespace fewbit::tests {

/// Four linear layers, 32 -> 64 -> 40 -> 32 -> 10, whose weights and biases have no fault.
inline std::vector<network_layer> sound_layers() {
  return {
      linear_layer("first", random_reals(64, 32, 1) * 0.05F, random_reals(64, 1, 11) * 0.02F,
                   layer_activation::relu),
      linear_layer("second", random_reals(40, 64, 2) * 0.05F, random_reals(40, 1, 12) * 0.02F,
                   layer_activation::relu),
      linear_layer("third", random_reals(32, 40, 3) * 0.05F, random_reals(32, 1, 13) * 0.02F,
                   layer_activation::relu),
      linear_layer("last", random_reals(10, 32, 4) * 0.05F, random_reals(10, 1, 14) * 0.02F),
  };
}

inline matrix sound_inputs() { return random_reals(48, 32, 21); }

/// A network in int8, calibrated on `calibration`, measured on `inputs`.
inline network_report report_of(const std::vector<network_layer>& made, const matrix& inputs,
                                const matrix& calibration) {
  const layer_list layers(made);
  const forward_function forward = in_sequence(layers.size());
  const auto seen = observe_inputs<histogram_observer>(layers, forward, {calibration});
  simulation plan(layers);
  plan.quantize_weights<int8_per_row>();
  plan.quantize_inputs<int8_per_tensor>(seen, by_max{});
  quantized_network network = as_planned(plan);
  network.weights = measure_weights<int8_per_row>(layers);
  network.calibrated = calibrated_inputs(seen);
  return diagnose(layers, forward, {inputs}, network);
}
inline network_report report_of(const std::vector<network_layer>& made) {
  return report_of(made, sound_inputs(), sound_inputs());
}

/// The name of the layer of the first finding.
inline std::string first_layer(const network_report& report) {
  return report.layers[static_cast<std::size_t>(report.findings.at(0).layer)].name;
}

}  // namespace fewbit::tests
