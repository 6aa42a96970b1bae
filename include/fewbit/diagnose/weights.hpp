#pragma once
/// Figures of quantized weights: error, clipped weights, unused codes, codes that are shifted.
///
///     const auto q = quantize<int4_grouped<32>>(w);
///     const weight_figures f = measure_weights(w, q);
///     const auto all = measure_weights<int8_per_row>(layers);   // one for each layer of a network
///
/// Read next: diagnose.hpp, which takes them.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/rows.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/equalize/network/layer_list.hpp"
#include "fewbit/quant/metrics.hpp"
#include "fewbit/quant/quantize.hpp"
#include "fewbit/quant/quantized_matrix.hpp"
#include "fewbit/quant/scheme.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// What was measured of the quantized weights of a layer.
struct weight_figures {
  std::string scheme;                   ///< storage, granularity and zero point
  std::uint64_t bytes = 0;              ///< codes, scales and zero points
  std::optional<double> sqnr_db;        ///< 10 log10(sum w^2 / sum (w - w_hat)^2)
  std::optional<double> clipped_share;  ///< weights outside of the codes, as clipped_share()
  std::optional<double> unused_codes;   ///< share of the codes that no weight has
  index group = 0;                      ///< weights of a group; 0 if the scheme has no groups
  bool has_row_scales = false;          ///< rows have scales of their own

  /// The mean of (w_hat - w) / step over the weights of a group of a row that are inside the codes,
  /// where it is largest. It is 1 if all codes of a group are one too large. It is 0 if in no group
  /// three quarters of at least 4 weights (or of a shorter row) are half a step or more to the same
  /// side: so it is for weights rounded to nearest, and for GPTQ, which moves some weights by
  /// several steps.
  double largest_shift = 0;
  index shifted_row = -1;     ///< row of that group
  index shifted_column = -1;  ///< first column of that group
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// "int4 grouped:32 symmetric"
template <Scheme S>
[[nodiscard]] std::string short_scheme_text() {
  std::string text = std::string(S::storage::name) + " " + S::granularity::name;
  const index group = columns_of_group<typename S::granularity>;
  if (group > 0) text += ":" + std::to_string(group);
  return text + " " + S::zero_point::name;
}

/// The share of the codes of S that no weight has.
template <Scheme S>
[[nodiscard]] double share_of_unused(const quantized_matrix<S>& q) {
  constexpr bool is_binary = std::is_same_v<typename S::storage, binary>;
  constexpr int codes = is_binary ? 2 : S::code_max - S::code_min + 1;
  std::vector<bool> is_used(static_cast<std::size_t>(S::code_max - S::code_min + 1), false);
  std::vector<typename S::code> row(static_cast<std::size_t>(q.cols()));
  int used = 0;
  for (index r = 0; r < q.rows(); ++r) {
    q.unpack_row(r, row.data());
    for (const auto code : row) {
      const auto at = static_cast<std::size_t>(code - S::code_min);
      used += is_used[at] ? 0 : 1;
      is_used[at] = true;
    }
  }
  return 1.0 - static_cast<double>(used) / codes;
}

/// The mean of the errors of a group of weights, in steps, if they are shifted codes: at least
/// `least_count` errors, three quarters of them half a step or more to the same side. Otherwise 0.
[[nodiscard]] inline double shift_of_errors(const std::vector<double>& errors,
                                            std::size_t least_count) noexcept {
  constexpr double half_a_step = 0.45;  // less than 0.5, for errors of rounding
  double sum = 0;
  std::size_t above = 0, below = 0;
  for (const double error : errors) {
    sum += error;
    above += error >= half_a_step ? 1 : 0;
    below += error <= -half_a_step ? 1 : 0;
  }
  if (errors.size() < least_count || 4 * std::max(above, below) < 3 * errors.size()) return 0;
  return sum / static_cast<double>(errors.size());
}

/// Finds the group of a row with the largest shift.
template <Scheme S>
void find_shift(const matrix_ref& w, const quantized_matrix<S>& q, weight_figures& figures) {
  const row_matrix<float> values = dequantize(q);
  const index width = figures.group > 0 ? figures.group : w.cols();
  const auto least_count = static_cast<std::size_t>(std::min<index>(4, w.cols()));
  std::vector<double> errors;
  for (index r = 0; r < w.rows(); ++r) {
    for (index first = 0; first < w.cols(); first += width) {
      errors.clear();
      for (index c = first; c < std::min(first + width, w.cols()); ++c) {
        const float step = q.scale(r, c);
        if (step == 0.0F) continue;
        if (is_clipped<S>(w(r, c), step, q.zero_point(r, c), q.minimum(r, c))) continue;
        errors.push_back((double{values(r, c)} - double{w(r, c)}) / double{step});
      }
      const double shift = shift_of_errors(errors, least_count);
      if (std::abs(shift) <= std::abs(figures.largest_shift)) continue;
      figures.largest_shift = shift;
      figures.shifted_row = r;
      figures.shifted_column = first;
    }
  }
}

}  // namespace detail

/// Figures of the codes `q` of the weights `w`.
/// @throws fewbit::error if `w` is empty or not finite, or the shapes differ
template <Scheme S>
[[nodiscard]] weight_figures measure_weights(const Eigen::Ref<const row_matrix<float>>& w,
                                             const quantized_matrix<S>& q) {
  detail::expect_comparable("measure_weights", "q", w, q);
  const error_report error = measure_error(w, q);
  weight_figures figures;
  figures.scheme = detail::short_scheme_text<S>();
  figures.bytes = static_cast<std::uint64_t>(q.storage_bytes());
  figures.sqnr_db = error.sqnr_db;
  figures.clipped_share = error.clipped_share;
  figures.unused_codes = detail::share_of_unused(q);
  figures.group = detail::columns_of_group<typename S::granularity>;
  using granularity = typename S::granularity;
  figures.has_row_scales =
      !std::is_same_v<granularity, per_tensor> && !std::is_same_v<granularity, per_col>;
  if constexpr (IntegerScheme<S>) detail::find_shift(w, q, figures);
  return figures;
}

/// The same for all layers of a network, quantized under S.
template <Scheme S, class Rule = default_rule<S>>
[[nodiscard]] std::vector<weight_figures> measure_weights(const layer_list& layers) {
  std::vector<weight_figures> all;
  for (const network_layer& layer : layers) {
    all.push_back(measure_weights(layer.weights, quantize<S, Rule>(layer.weights)));
  }
  return all;
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
