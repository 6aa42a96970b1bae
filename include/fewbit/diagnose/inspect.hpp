#pragma once
/// Figures and faults of the weights of a network, without running it.
///
///     const network_report report = inspect(layers);   // std::vector<network_layer>
///
/// It reads the layers before a layer_list checks them, so that it also finds a NaN.
/// Read before: weights.hpp, findings.hpp. Read next: diagnose.hpp, which starts with these.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/finite.hpp"
#include "fewbit/core/rows.hpp"
#include "fewbit/diagnose/errors.hpp"
#include "fewbit/diagnose/findings.hpp"
#include "fewbit/diagnose/report.hpp"
#include "fewbit/diagnose/weights.hpp"
#include "fewbit/equalize/network/layer.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// The most bars of a chart of rows; more rows are shown together.
inline constexpr index most_row_ranges = 256;

[[nodiscard]] inline const char* kind_word(layer_kind kind) noexcept {
  return kind == layer_kind::linear   ? "linear"
         : kind == layer_kind::conv2d ? "conv2d"
                                      : "depthwise";
}

/// max|w| of each row.
[[nodiscard]] inline std::vector<double> ranges_of_rows(const row_matrix<float>& w) {
  std::vector<double> all;
  for (index r = 0; r < w.rows(); ++r) all.push_back(double{finite_amax(&w(r, 0), w.cols())});
  return all;
}

/// The largest of each run of neighbours, so that at most most_row_ranges are left.
inline void set_row_ranges(const std::vector<double>& ranges, layer_figures& f) {
  const auto count = static_cast<index>(ranges.size());
  f.rows_per_range = (count + most_row_ranges - 1) / most_row_ranges;
  for (index first = 0; first < count; first += f.rows_per_range) {
    const auto begin = ranges.begin() + first;
    const auto end = ranges.begin() + std::min(first + f.rows_per_range, count);
    f.row_ranges.push_back(*std::max_element(begin, end));
  }
}

/// Sets range_ratio and widest_row, unless all rows are 0.
inline void set_range_ratio(const std::vector<double>& ranges, layer_figures& f) {
  std::vector<double> sorted;
  for (const double r : ranges) {
    if (r > 0) sorted.push_back(r);
  }
  if (sorted.empty()) return;
  std::sort(sorted.begin(), sorted.end());
  const auto widest = std::max_element(ranges.begin(), ranges.end());
  f.widest_row = static_cast<index>(widest - ranges.begin());
  f.range_ratio = *widest / sorted[(sorted.size() - 1) / 2];
}

/// Faults of the weights of layer i.
inline void find_weight_faults(index i, const row_matrix<float>& w, const weight_figures* q,
                               network_report& report) {
  const layer_figures& f = report.layers[static_cast<std::size_t>(i)];
  index bad = 0;
  matrix_position first;
  for (index r = 0; r < w.rows(); ++r) {
    for (index c = 0; c < w.cols(); ++c) {
      if (is_finite(w(r, c))) continue;
      if (bad++ == 0) first = {r, c};
    }
  }
  if (bad > 0) {
    report.findings.push_back(
        weights_not_finite(i, first.row, first.col, w(first.row, first.col), bad));
  }
  const bool has_row_scales = q != nullptr && q->has_row_scales;
  if (f.range_ratio.value_or(1) >= least_wide_ratio) {
    report.findings.push_back(wide_row(i, f.widest_row, *f.range_ratio, has_row_scales));
  }
  if (q == nullptr) return;
  if (std::abs(q->largest_shift) >= least_shift) {
    report.findings.push_back(
        shifted_codes(i, q->shifted_row, q->shifted_column, q->largest_shift, q->group > 0));
  }
  if (q->group > 0 && w.cols() % q->group != 0) {
    report.findings.push_back(uneven_groups(i, w.rows(), w.cols(), q->group));
  }
}

/// The report of the weights, not ranked.
[[nodiscard]] inline network_report inspected(const std::vector<network_layer>& layers,
                                              std::span<const weight_figures> weights) {
  network_report report;
  for (const network_layer& l : layers) {
    const std::size_t i = report.layers.size();
    const weight_figures* q = weights.empty() ? nullptr : &weights[i];
    layer_figures& f = report.layers.emplace_back();
    f.name = l.name;
    f.kind = kind_word(l.kind);
    f.scheme = q != nullptr ? q->scheme : "float";
    f.rows = l.weights.rows();
    f.cols = l.weights.cols();
    f.float_bytes = static_cast<std::uint64_t>(l.weights.size()) * sizeof(float);
    if (q != nullptr) {
      f.bytes = q->bytes;
      f.weights_db = q->sqnr_db;
      f.weights_clipped = q->clipped_share;
      f.unused_codes = q->unused_codes;
    }
    const std::vector<double> ranges = ranges_of_rows(l.weights);
    set_row_ranges(ranges, f);
    set_range_ratio(ranges, f);
    find_weight_faults(static_cast<index>(i), l.weights, q, report);
  }
  return report;
}

}  // namespace detail

/// The figures and faults of the weights alone, ranked.
///
/// @param weights  figures of the quantized weights, one for each layer, or none
/// @throws fewbit::error if the number of figures is another one, or a layer has no weights
[[nodiscard]] inline network_report inspect(const std::vector<network_layer>& layers,
                                            std::span<const weight_figures> weights = {}) {
  const auto count = static_cast<index>(layers.size());
  if (!weights.empty() && static_cast<index>(weights.size()) != count) {
    detail::fail("inspect", "number of weights", static_cast<index>(weights.size()),
                 detail::text(count) + ", one for each layer, or 0");
  }
  for (const network_layer& l : layers) {
    detail::expect_extents("inspect", detail::of_layer("weights", l.name).c_str(), l.weights);
  }
  network_report report = detail::inspected(layers, weights);
  rank(report);
  return report;
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
