#pragma once
/// The diagnosis of what quantize_within found.
///
///     const auto q = quantize_within<int8_per_row>(layers, forward, batches, metric, 0.5);
///     write_report("report.html", diagnose(*q.layers, forward, batches, as_planned(q)));
///
/// Read before: quantize_within.hpp, diagnose/diagnose.hpp.

#include "fewbit/begin.hpp"

#include <cstddef>
#include <cstdint>
#include <utility>

#include "fewbit/config.hpp"
#include "fewbit/diagnose/diagnose.hpp"
#include "fewbit/diagnose/weights.hpp"
#include "fewbit/search/quantize_within.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// A network that computes as the plan of `result`, with figures of its codes.
/// @param result  must live as long as the network
template <IntegerScheme S, IntegerScheme X>
[[nodiscard]] quantized_network as_planned(const within_result<S, X>& result) {
  quantized_network network = as_planned(result.plan);
  for (index i = 0; i < result.plan.size(); ++i) {
    const auto at = static_cast<std::size_t>(i);
    const row_matrix<float>& weights = (*result.layers)[i].weights;
    weight_figures figures;
    figures.scheme = "float";
    figures.bytes = static_cast<std::uint64_t>(weights.size()) * sizeof(float);
    if (result.codes[at].rows() > 0) {
      figures = measure_weights(weights, result.codes[at]);
    } else if (result.int8_codes[at].rows() > 0) {
      figures = measure_weights(weights, result.int8_codes[at]);
    }
    network.weights.push_back(std::move(figures));
  }
  return network;
}
template <IntegerScheme S, IntegerScheme X>
quantized_network as_planned(within_result<S, X>&&) = delete;

}}  // namespace fewbit

#include "fewbit/end.hpp"
