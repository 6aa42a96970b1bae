#pragma once
/// The columns of the table of the report page: titles, meaning, values, text.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/diagnose/page/numbers.hpp"
#include "fewbit/diagnose/report.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// A column of numbers. A layer without a value shows an empty cell, which sorts last.
struct page_column {
  std::string title;
  const char* meaning;
  const char* style;       // p2, p3, p4: hidden on narrow pages, p4 first
  const char* first_sort;  // the worst value first
  std::optional<double> (*value)(const layer_figures&);
  std::string (*text)(double);
  int decimals = -1;  // of all values alike, in place of `text`; -1: not used
  double unit = 1;

  [[nodiscard]] std::string text_of(double x) const {
    return decimals >= 0 ? fixed_text(x / unit, decimals) : text(x);
  }
};

template <class T>
[[nodiscard]] std::optional<double> as_double(const std::optional<T>& value) {
  return value ? std::optional<double>(static_cast<double>(*value)) : std::nullopt;
}

[[nodiscard]] inline std::string decibels_alone(double db) { return fixed_text(db, 1); }
[[nodiscard]] inline std::string bytes_of_double(double bytes) {
  return bytes_text(static_cast<std::uint64_t>(bytes));
}
[[nodiscard]] inline std::string count_of_double(double n) {
  return count_text(static_cast<std::uint64_t>(n));
}

/// All columns that the page can show, in their order.
[[nodiscard]] inline const std::vector<page_column>& page_columns() {
  using layer = const layer_figures&;
  static const std::vector<page_column> columns = {
      {"Own error, dB", "SQNR of the outputs of the quantized layer on inputs without error.", "",
       "ascending", [](layer l) { return l.own_db; }, decibels_alone},
      {"All errors, dB",
       "SQNR of its outputs in the quantized network, with the errors of the layers before.", "",
       "ascending", [](layer l) { return l.output_db; }, decibels_alone},
      {"Arriving, dB",
       "SQNR of its inputs in the quantized network: the errors of the layers before.", "p3",
       "ascending", [](layer l) { return l.arriving_db; }, decibels_alone},
      {"Weights, dB", "SQNR of the quantized weights.", "p2", "ascending",
       [](layer l) { return l.weights_db; }, decibels_alone},
      {"Inputs, dB", "SQNR of the quantized inputs of the float network.", "p2", "ascending",
       [](layer l) { return l.inputs_db; }, decibels_alone},
      {"Clipped inputs", "Share of the input values outside of the range that calibration chose.",
       "p3", "descending", [](layer l) { return l.inputs_clipped; }, percent_text},
      {"Saturated inputs", "Input values outside of that range in the quantized network.", "p4",
       "descending", [](layer l) { return as_double(l.saturated); }, count_of_double},
      {"Clipped weights", "Share of the weights outside of the codes.", "p4", "descending",
       [](layer l) { return l.weights_clipped; }, percent_text},
      {"Unused codes", "Share of the codes that no weight of the layer has.", "p4", "descending",
       [](layer l) { return l.unused_codes; }, percent_text},
      {"Range ratio", "Largest max|w| of a row of the weights, divided by the median of the rows.",
       "p2", "descending", [](layer l) { return l.range_ratio; }, times_text},
      {"Loss", "What the metric loses with this layer alone quantized.", "p2", "descending",
       [](layer l) { return l.loss; }, short_text},
      {"Bytes", "Bytes of the weights.", "p3", "descending",
       [](layer l) { return as_double(l.bytes); }, bytes_of_double},
      {"Time, float", "Time of all its calls in one pass over the inputs, in float.", "p4",
       "descending", [](layer l) { return l.float_seconds; }, duration_text},
      {"Time, integers", "The same in integers.", "p3", "descending",
       [](layer l) { return l.quantized_seconds; }, duration_text},
  };
  return columns;
}

/// Gives all values of a column the same decimals, three digits for the largest, and times the same
/// unit, which the title then names.
inline void align_column(page_column& column, const network_report& report) {
  const bool is_time = column.text == duration_text;
  if (!is_time && column.text != short_text) return;
  double most = 0;
  for (const layer_figures& layer : report.layers) {
    const std::optional<double> value = column.value(layer);
    if (value && std::isfinite(*value)) most = std::max(most, std::abs(*value));
  }
  if (is_time) {
    column.unit = most >= 1 ? 1 : most >= 1e-3 ? 1e-3 : 1e-6;
    column.title += most >= 1 ? ", s" : most >= 1e-3 ? ", ms" : ", \u00b5s";
  }
  if (most == 0 || most / column.unit >= 1e9 || most / column.unit < 1e-6) return;
  const int before = static_cast<int>(std::floor(std::log10(most / column.unit)));
  column.decimals = std::max(0, 2 - before);
}

/// The columns that at least one layer has a value for.
[[nodiscard]] inline std::vector<page_column> columns_of(const network_report& report) {
  std::vector<page_column> used;
  for (const page_column& column : page_columns()) {
    for (const layer_figures& layer : report.layers) {
      if (!column.value(layer)) continue;
      used.push_back(column);
      align_column(used.back(), report);
      break;
    }
  }
  return used;
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
