#pragma once
/// Faults of a layer in plain sentences with advice, and their order.
///
///     report.findings.push_back(wide_row(3, 37, 5250.0, true));
///     rank(report);      // adds what the figures say, and sorts: the worst first
///
/// | fault              | found if                                                              |
/// |--------------------|-----------------------------------------------------------------------|
/// | weights_not_finite | a weight is a NaN or an infinity                                      |
/// | inputs_not_finite  | an input of a layer is a NaN or an infinity                           |
/// | outputs_not_finite | an output is one, and all inputs are finite: the layer makes it       |
/// | not_excited        | calibration never called the layer, or saw no input but 0             |
/// | shifted_codes      | the codes of a group are too large, or too small: 3/4 step on average |
/// | dead_input         | an input that the layer relies on (by its weights) is always 0, in at |
/// |                    | least 32 values of 8 rows                                             |
/// | wide_row           | max|w| of a row is at least 20 times the median of the rows           |
/// | uneven_groups      | the group does not divide the length of a row                         |
/// | clipped_inputs     | at least 1 % of the inputs are outside of the range of calibration    |
/// | lowest_sqnr        | the largest own error of all layers                                   |
/// | most_sensitive     | the largest loss of the metric, more than 0                           |
/// | slower             | at least 1.1 times the time in float                                  |
///
/// Read before: report.hpp. Read next: diagnose.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/diagnose/page/numbers.hpp"
#include "fewbit/diagnose/report.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

inline constexpr double least_wide_ratio = 20;
/// Trained networks have rows that are 20 to 100 times wider, before batch norm is folded.
inline constexpr double least_sure_wide_ratio = 200;
inline constexpr double least_shift = 0.75;
inline constexpr double least_clipped_share = 0.01;
inline constexpr double least_slower = 1.1;

[[nodiscard]] inline std::string index_text(index i) {
  return count_text(static_cast<std::uint64_t>(i));
}

[[nodiscard]] inline finding weights_not_finite(index layer, index row, index column, float value,
                                                index count) {
  finding f{fault::weights_not_finite, layer, row, column, static_cast<double>(count), {}, {}};
  f.statement =
      "weight (row " + index_text(row) + ", column " + index_text(column) + ") is " + text(value);
  if (count > 1) f.statement += ", the first of " + index_text(count) + " that are not finite";
  f.advice = "Repair the file or the training that made it. No other figure of the network holds.";
  return f;
}

[[nodiscard]] inline finding inputs_not_finite(index layer, index row, index channel, float value,
                                               bool is_quantized) {
  finding f{fault::inputs_not_finite, layer, row, channel, 0, {}, {}};
  f.statement = std::string("its input is ") + text(value) + " in row " + index_text(row) +
                ", channel " + index_text(channel) +
                (is_quantized ? ", in the quantized network" : "");
  f.advice =
      "Repair the data or the step before this layer. Inputs that hold such a number were left out "
      "of all figures.";
  return f;
}

[[nodiscard]] inline finding outputs_not_finite(index layer, index row, index channel, float value,
                                                bool is_quantized) {
  finding f{fault::outputs_not_finite, layer, row, channel, 0, {}, {}};
  f.statement = std::string("its output is ") + text(value) + " in row " + index_text(row) +
                ", channel " + index_text(channel) +
                (is_quantized ? ", in the quantized network" : "") + ", and its inputs are finite";
  f.advice = is_quantized
                 ? "Look for such a number among its quantized weights, scales or biases, or for a "
                   "sum that overflows."
                 : "Its sums overflow: scale its inputs, weights or bias down.";
  return f;
}

/// @param calls  of the layer in calibration
[[nodiscard]] inline finding not_excited(index layer, index calls) {
  finding f{fault::not_excited, layer, -1, -1, 0, {}, {}};
  f.statement = calls == 0
                    ? std::string("calibration never called this layer")
                    : "calibration saw only zeros at its inputs, in " +
                          (calls == 1 ? "its only call" : "all " + index_text(calls) + " calls");
  f.advice = "Calibrate with data that reaches this layer. Its range is a guess until then.";
  return f;
}

[[nodiscard]] inline finding never_called(index layer) {
  finding f{fault::not_excited, layer, -1, -1, 0, {}, {}};
  f.statement = "no input reached this layer: it was never called";
  f.advice = "Measure with data that reaches this layer, or remove it from the list.";
  return f;
}

[[nodiscard]] inline finding shifted_codes(index layer, index row, index column, double shift,
                                           bool has_groups) {
  finding f{fault::shifted_codes, layer, row, column, std::abs(shift), {}, {}};
  f.statement = "the codes of row " + index_text(row) +
                (has_groups ? " from column " + index_text(column) : "") + " are " +
                fixed_text(std::abs(shift), 2) + " steps too " + (shift > 0 ? "large" : "small") +
                " on average";
  f.advice =
      "Compare the zero points and the order of the packed codes with the program that wrote them.";
  return f;
}

[[nodiscard]] inline finding dead_input(index layer, index channel, index count, index channels,
                                        std::uint64_t rows) {
  finding f{fault::dead_input,
            layer,
            -1,
            channel,
            static_cast<double>(count) / static_cast<double>(channels),
            {},
            {}};
  f.statement = "input channel " + index_text(channel) + " is 0 in all " + count_text(rows) +
                (rows == 1 ? " row" : " rows");
  if (count > 1) {
    f.statement = index_text(count) + " of " + index_text(channels) +
                  " input channels are 0 in all " + count_text(rows) +
                  " rows, the first is channel " + index_text(channel);
  }
  f.advice =
      "Look for a broken step before this layer. Its weights show that training saw this input.";
  return f;
}

[[nodiscard]] inline finding wide_row(index layer, index row, double ratio, bool has_row_scales) {
  finding f{fault::wide_row, layer, row, -1, ratio, {}, {}};
  f.statement =
      "channel " + index_text(row) + " is " + times_text(ratio) + " times wider than the median";
  f.advice = has_row_scales ? "Fold batch norm, equalize the layer with the next one, or split the "
                              "channel: the scale of its outputs is that of all others, too."
                            : "Fold batch norm, use per-channel scales or split it.";
  return f;
}

/// "4 or 43": the divisors of `cols` next to `group`.
[[nodiscard]] inline std::string divisors_near(index cols, index group) {
  index below = std::min(cols, group);
  index above = std::min(cols, group);
  while (cols % below != 0) --below;
  while (cols % above != 0) ++above;
  return index_text(below) + (above == below ? "" : " or " + index_text(above));
}

[[nodiscard]] inline finding uneven_groups(index layer, index rows, index cols, index group) {
  const index rest = cols % group;
  finding f{fault::uneven_groups,
            layer,
            0,
            cols - rest,
            static_cast<double>(rest) / static_cast<double>(group),
            {},
            {}};
  f.statement = "groups of " + index_text(group) + " do not divide the " + index_text(cols) +
                " weights of a row: rows 0 to " + index_text(rows - 1) + " end with a group of " +
                index_text(rest);
  f.advice = "The codes are valid, but other programs refuse them. Groups of " +
             divisors_near(cols, group) + " divide the row.";
  return f;
}

[[nodiscard]] inline finding clipped_inputs(index layer, double share) {
  finding f{fault::clipped_inputs, layer, -1, -1, share, {}, {}};
  f.statement = percent_text(share) + " of its inputs are outside of the range of calibration";
  f.advice =
      "Calibrate with data like this, or choose a wider range: a higher percentile, or the "
      "maximum.";
  return f;
}

inline bool is_derived(fault kind) noexcept { return kind >= fault::clipped_inputs; }

/// The place of a finding, the worst first: faults in the order of their kinds, but inputs that are
/// always 0 after what is surely wrong, because sound networks have some after a relu.
[[nodiscard]] inline int place_of(const finding& f) noexcept {
  const bool is_sure = f.kind == fault::uneven_groups ||
                       (f.kind == fault::wide_row && f.measure >= least_sure_wide_ratio);
  return is_sure ? 2 * static_cast<int>(fault::dead_input) - 1 : 2 * static_cast<int>(f.kind);
}

/// The position of the layer whose figure is smallest; -1 if no layer has it.
[[nodiscard]] inline index position_of_least(const network_report& report,
                                             std::optional<double> layer_figures::*figure,
                                             double sign) {
  index least = -1;
  for (std::size_t i = 0; i < report.layers.size(); ++i) {
    const auto& value = report.layers[i].*figure;
    if (!value || *value != *value) continue;
    if (least < 0 ||
        sign * *value < sign * *(report.layers[static_cast<std::size_t>(least)].*figure))
      least = static_cast<index>(i);
  }
  return least;
}

[[nodiscard]] inline double median_own_db(const network_report& report) {
  std::vector<double> all;
  for (const layer_figures& layer : report.layers) {
    if (layer.own_db && *layer.own_db == *layer.own_db) all.push_back(*layer.own_db);
  }
  std::sort(all.begin(), all.end());
  return all[all.size() / 2];
}

inline void add_lowest_sqnr(network_report& report) {
  const index least = position_of_least(report, &layer_figures::own_db, 1);
  if (least < 0) return;
  const layer_figures& layer = report.layers[static_cast<std::size_t>(least)];
  if (std::isinf(*layer.own_db) && *layer.own_db > 0) return;
  finding f{fault::lowest_sqnr, least, layer.noisiest_row, -1, -*layer.own_db, {}, {}};
  f.statement = "its own error is the largest of all layers, " + decibel_text(*layer.own_db) +
                " (median " + decibel_text(median_own_db(report)) + ")";
  const double shift = layer.constant_error.value_or(0);
  const bool by_weights =
      layer.weights_db && (!layer.inputs_db || *layer.weights_db < *layer.inputs_db);
  if (shift > 0.5) {
    f.advice = percent_text(shift) +
               " of the error is constant in each channel: bias correction removes that.";
  } else if (by_weights) {
    f.advice =
        "Its weights lose more than its inputs: try GPTQ or rounding search, smaller groups, or "
        "more bits for this layer.";
  } else if (layer.weights_db && layer.inputs_db) {
    f.advice =
        "Its inputs lose more than its weights: try another calibration method, SmoothQuant, or a "
        "scale for each row.";
  } else {
    f.advice = "Give it more bits, or leave it in float.";
  }
  if (layer.noisiest_row >= 0)
    f.advice += " The worst output channel is " + index_text(layer.noisiest_row) + ".";
  report.findings.push_back(std::move(f));
}

inline void add_most_sensitive(network_report& report) {
  const index most = position_of_least(report, &layer_figures::loss, -1);
  if (most < 0) return;
  const double loss = *report.layers[static_cast<std::size_t>(most)].loss;
  if (!(loss > 0)) return;
  finding f{fault::most_sensitive, most, -1, -1, loss, {}, {}};
  f.statement = "quantizing this layer alone costs " + short_text(loss) + " of " +
                (report.metric.empty() ? "the metric" : report.metric) + ", the most of all layers";
  f.advice = "Repair it first. If nothing helps, leave it in float or give it 16 bits.";
  report.findings.push_back(std::move(f));
}

inline void add_slower(network_report& report) {
  for (std::size_t i = 0; i < report.layers.size(); ++i) {
    const layer_figures& layer = report.layers[i];
    if (!layer.float_seconds || !layer.quantized_seconds) continue;
    if (!(*layer.quantized_seconds > least_slower * *layer.float_seconds)) continue;
    finding f{fault::slower,
              static_cast<index>(i),
              -1,
              -1,
              *layer.quantized_seconds - *layer.float_seconds,
              {},
              {}};
    f.statement = "it takes " + duration_text(*layer.quantized_seconds) + " quantized and " +
                  duration_text(*layer.float_seconds) + " in float";
    f.advice =
        "Leave it in float, or make it larger: more rows at a time, several layers in one product.";
    report.findings.push_back(std::move(f));
  }
}

/// Layers with findings first, in the order of these, where a slow layer counts as sound. Then all
/// others by their own error, the largest first.
[[nodiscard]] inline std::vector<index> ranked_layers(const network_report& report) {
  constexpr double unknown = 1e300;
  std::vector<std::size_t> first(report.layers.size(), report.findings.size());
  for (std::size_t i = report.findings.size(); i-- > 0;) {
    const finding& f = report.findings[i];
    if (f.kind != fault::slower) first[static_cast<std::size_t>(f.layer)] = i;
  }
  const auto error_of = [&](index i) {
    const layer_figures& l = report.layers[static_cast<std::size_t>(i)];
    for (const auto& db : {l.own_db, l.output_db, l.weights_db}) {
      if (db && *db == *db) return *db;
    }
    return unknown;
  };
  std::vector<index> order(report.layers.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<index>(i);
  std::stable_sort(order.begin(), order.end(), [&](index a, index b) {
    const std::size_t of_a = first[static_cast<std::size_t>(a)];
    const std::size_t of_b = first[static_cast<std::size_t>(b)];
    return of_a != of_b ? of_a < of_b : error_of(a) < error_of(b);
  });
  return order;
}

inline void expect_valid_report(const char* function, const network_report& report) {
  const auto count = static_cast<index>(report.layers.size());
  const auto expect_position = [&](const std::string& argument, index layer) {
    if (layer < 0 || layer >= count) {
      fail(function, argument, layer, "a position of " + text(count) + " layers");
    }
  };
  for (std::size_t i = 0; i < report.findings.size(); ++i) {
    expect_position(item("findings", static_cast<index>(i)) + ".layer", report.findings[i].layer);
  }
  for (std::size_t i = 0; i < report.partial.size(); ++i) {
    expect_position(item("partial", static_cast<index>(i)) + ".layer", report.partial[i].layer);
  }
  for (std::size_t i = 0; i < report.order.size(); ++i) {
    expect_position(item("order", static_cast<index>(i)), report.order[i]);
  }
}

}  // namespace detail

/// Adds the findings that follow from figures of the layers (clipped_inputs, lowest_sqnr,
/// most_sensitive, slower), in place of those that are there, sorts all findings, and sets the
/// order of the layers: the worst first.
/// @throws fewbit::error if a finding names no layer of the report
inline void rank(network_report& report) {
  detail::expect_valid_report("rank", report);
  const auto is_old = [](const finding& f) { return detail::is_derived(f.kind); };
  report.findings.erase(std::remove_if(report.findings.begin(), report.findings.end(), is_old),
                        report.findings.end());
  for (std::size_t i = 0; i < report.layers.size(); ++i) {
    const double share = report.layers[i].inputs_clipped.value_or(0);
    if (share >= detail::least_clipped_share)
      report.findings.push_back(detail::clipped_inputs(static_cast<index>(i), share));
  }
  detail::add_lowest_sqnr(report);
  detail::add_most_sensitive(report);
  detail::add_slower(report);
  std::stable_sort(report.findings.begin(), report.findings.end(),
                   [](const finding& a, const finding& b) {
                     const int place_a = detail::place_of(a), place_b = detail::place_of(b);
                     if (place_a != place_b) return place_a < place_b;
                     return a.measure > b.measure;
                   });
  report.order = detail::ranked_layers(report);
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
