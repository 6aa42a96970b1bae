#pragma once
/// What quantize_within may do, what it tried, and a quantized network on its way. Read before:
/// quantize_within.hpp. Read next: ladder.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/bits.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/equalize/adaround/rounding_search.hpp"
#include "fewbit/equalize/channels.hpp"
#include "fewbit/equalize/network.hpp"
#include "fewbit/equalize/smooth.hpp"
#include "fewbit/quant/quantize.hpp"
#include "fewbit/quant/quantized_matrix.hpp"
#include "fewbit/quant/range.hpp"
#include "fewbit/quant/scheme.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// What quantize_within tried.
struct ladder_step {
  std::string what;  ///< "percentile 99.99", "bias correction" ...
  double metric = 0;
  double gain = 0;  ///< to the best metric before; of the first step: to the metric in float
  double seconds = 0;
  bool is_kept = false;
};

/// How a layer is computed in the end.
enum class layer_precision : std::uint8_t {
  quantized,     ///< weights under S
  int8_weights,  ///< of S with fewer bits: int8 weights, a scale for each row
  int16_inputs,  ///< int8 weights, and inputs of 16 bits
  in_float,
};

/// What becomes of the inputs of layers.
enum class ladder_inputs : std::uint8_t {
  calibrated,  ///< one scale for each layer, from calibration
  by_row,      ///< one scale for each row, at each call
  as_float,    ///< only weights are quantized
};

/// Which steps quantize_within may take.
struct within_options {
  ladder_inputs inputs = ladder_inputs::calibrated;
  std::vector<channel_link> links;      ///< pairs that equalization may scale; none: no such step
  std::vector<smoothing_group> groups;  ///< inputs that smoothing may scale; none: no such step
  bool correct_biases = true;
  bool gptq = true;
  /// AdaRound, too, with the scales that were best so far. It takes up to 40 times as long as GPTQ.
  bool adaround = false;
  adaround_options rounding{};  ///< of AdaRound
  bool mixed_precision = true;
  /// False: all steps are tried even where the metric is already within the loss, but not mixed
  /// precision.
  bool stops_when_met = true;
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// A quantized network on the ladder.
template <Scheme S>
struct ladder_state {
  /// All layers in float.
  explicit ladder_state(const layer_list& all)
      : layers(std::make_shared<const layer_list>(all)),
        plan(*layers),
        precision(static_cast<std::size_t>(all.size()), layer_precision::in_float) {}

  std::shared_ptr<const layer_list> layers;
  simulation plan;
  std::vector<quantized_matrix<S>> codes;
  std::vector<layer_precision> precision;
  std::vector<quantized_matrix<int8_per_row>> int8_codes;  ///< of layers with int8 weights
  std::vector<range> ranges;                               ///< of the inputs of each layer
  std::size_t calibrator = 0;  ///< position of the method that chose the ranges
  bool has_corrected_biases = false;
  double metric = -std::numeric_limits<double>::max();
};

/// Bytes of a network on the ladder: its layers, their weights in the plan, codes under S and int8.
template <Scheme S>
[[nodiscard]] index state_bytes(const layer_list& layers) {
  index bytes = 0;
  for (const network_layer& l : layers) {
    const index n = l.channels(), k = l.depth();
    const index groups = S::granularity::count(n, k);
    bytes += 2 * (n * k + n) * index{sizeof(float)} + n * packed_bytes<S::storage::bits>(k) +
             groups * index{2 * sizeof(float)} + n * k + n * index{sizeof(float)};
  }
  return bytes;
}

/// The weights of all layers under S, rounded.
template <Scheme S>
void round_weights(ladder_state<S>& s) {
  s.codes.clear();
  for (index i = 0; i < s.plan.size(); ++i) {
    s.codes.push_back(quantize<S>((*s.layers)[i].weights));
    s.plan[i].weights = dequantize(s.codes.back());
  }
  s.precision.assign(s.codes.size(), layer_precision::quantized);
  s.int8_codes.assign(s.codes.size(), {});
}

/// The plan with the weights and biases of the layers, and quantized inputs. Its inputs are closer
/// to those of the repaired network than inputs after rounded layers.
template <Scheme S>
[[nodiscard]] simulation with_float_weights(const ladder_state<S>& s) {
  simulation plan = s.plan;
  for (index i = 0; i < plan.size(); ++i) {
    plan[i].weights.resize(0, 0);
    plan[i].has_bias = false;
  }
  return plan;
}

template <Scheme S>
[[nodiscard]] quantized_matrix<int8_per_row> int8_codes_of(const ladder_state<S>& s, index layer) {
  if constexpr (std::is_same_v<S, int8_per_row>) {
    return s.codes[static_cast<std::size_t>(layer)];
  } else {
    return quantize<int8_per_row>((*s.layers)[layer].weights);
  }
}

/// Gives a layer more precision.
template <Scheme S>
void raise_layer(ladder_state<S>& s, index layer, layer_precision to, ladder_inputs inputs) {
  const auto at = static_cast<std::size_t>(layer);
  simulated_layer& plan = s.plan[layer];
  s.precision[at] = to;
  plan.has_bias = false;
  if (to == layer_precision::in_float) {
    s.codes[at] = {};
    s.int8_codes[at] = {};
    plan.weights.resize(0, 0);
    plan.inputs = {};
    return;
  }
  if (s.int8_codes[at].rows() == 0) s.int8_codes[at] = int8_codes_of(s, layer);
  s.codes[at] = {};
  plan.weights = dequantize(s.int8_codes[at]);
  if (to == layer_precision::int16_inputs) {
    plan.inputs =
        inputs == ladder_inputs::by_row ? wide_codes_by_row() : wide_codes_of(s.ranges[at]);
  }
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
