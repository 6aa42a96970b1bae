#pragma once
/// What a diagnosis tells, as plain data: figures of each layer, findings, sensitivity.
///
///     network_report report = ...;            // diagnose.hpp fills one
///     rank(report);                           // findings.hpp: the worst first
///     const std::string page = report_html(report);   // page.hpp
///     const std::string data = report_json(report);   // json.hpp
///
/// A figure that was not measured is empty. A report from another tool can be filled by hand.
/// Read next: diagnose.hpp (makes it), findings.hpp (faults and advice), compare.hpp (two reports).

#include "fewbit/begin.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/index.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// A value with a name on the axis of a histogram, for example a threshold.
struct report_mark {
  std::string label;
  double value = 0;

  friend bool operator==(const report_mark&, const report_mark&) = default;
};

/// Counts of values in bins of equal width over [lo, hi].
struct report_histogram {
  double lo = 0;
  double hi = 0;
  std::vector<std::uint64_t> counts;
  std::vector<report_mark> marks;

  friend bool operator==(const report_histogram&, const report_histogram&) = default;
};

/// What was measured of one layer.
///
/// SQNR is 10 log10(sum y^2 / sum (y - y_hat)^2) in decibels. It is +infinity without an error, and
/// -infinity where all y are 0 and some y_hat are not.
struct layer_figures {
  std::string name;
  std::string kind;    ///< "linear", "conv2d" ...
  std::string scheme;  ///< of the weights; "float" if they are not quantized
  index rows = 0;      ///< output channels
  index cols = 0;      ///< weights of an output channel

  std::uint64_t float_bytes = 0;
  std::optional<std::uint64_t> bytes;  ///< of the quantized weights

  std::optional<double> weights_db;   ///< SQNR of the weights
  std::optional<double> inputs_db;    ///< SQNR of the quantized inputs of the float network
  std::optional<double> own_db;       ///< SQNR of the outputs, computed from inputs without error
  std::optional<double> arriving_db;  ///< SQNR of the inputs, with the errors of the layers before
  std::optional<double> output_db;    ///< SQNR of the outputs, with the errors of the layers before

  index noisiest_row = -1;  ///< output channel with the most own error; -1 if not measured
  /// Share of the own error that is constant in each output channel, 0 to 1.
  std::optional<double> constant_error;

  std::optional<double> weights_clipped;   ///< share of the weights outside of the codes, 0 to 1
  std::optional<double> inputs_clipped;    ///< share of the inputs outside of their range, 0 to 1
  std::optional<std::uint64_t> saturated;  ///< input values outside of it, in the quantized network
  std::optional<double> unused_codes;      ///< share of the codes that no weight has, 0 to 1
  std::optional<double> range_ratio;       ///< largest max|w| of a row, over the median of the rows
  index widest_row = 0;

  std::optional<double> float_seconds;      ///< one pass over all inputs
  std::optional<double> quantized_seconds;  ///< the same

  std::optional<double> metric_alone;  ///< metric of the network with this layer alone quantized
  std::optional<double> loss;          ///< what the metric loses by that; negative is a gain

  std::vector<double> row_ranges;  ///< max|w|; of neighbouring rows together if there are many
  index rows_per_range = 1;        ///< rows of each entry
  report_histogram inputs;         ///< of the values of the inputs

  friend bool operator==(const layer_figures&, const layer_figures&) = default;
};

/// What can be wrong with a layer, the worst first. A report ranks its findings in this order.
enum class fault : std::uint8_t {
  weights_not_finite,  ///< a NaN or an infinity among the weights
  inputs_not_finite,   ///< a NaN or an infinity among the inputs
  outputs_not_finite,  ///< a NaN or an infinity among the outputs, of inputs that are finite
  not_excited,         ///< calibration never saw an input that is not 0
  shifted_codes,       ///< codes that are one step or more from the nearest one
  dead_input,          ///< an input is always 0
  wide_row,            ///< a row of weights is much wider than the median
  uneven_groups,       ///< the group does not divide the length of a row
  clipped_inputs,      ///< many inputs are outside of the range of calibration
  lowest_sqnr,         ///< the layer with the largest error of its own
  most_sensitive,      ///< the layer whose quantization costs the metric most
  slower,              ///< slower than in float
};

/// A fault of a layer in words.
struct finding {
  fault kind = fault::lowest_sqnr;
  index layer = 0;        ///< position in network_report::layers
  index row = -1;         ///< row of the weights, or row of the inputs; -1 if it concerns no row
  index channel = -1;     ///< column of the weights, or channel of the inputs; -1 if none
  double measure = 0;     ///< how bad it is, among findings of this kind
  std::string statement;  ///< what was measured, for example "channel 37 is 12 times wider ..."
  std::string advice;     ///< what to do, for example "fold batch norm"

  friend bool operator==(const finding&, const finding&) = default;
};

/// One step of partial quantization: `layer` and those of the steps before stay in float.
struct partial_step {
  index layer = 0;    ///< position in network_report::layers
  double metric = 0;  ///< of the network with all other layers quantized

  friend bool operator==(const partial_step&, const partial_step&) = default;
};

/// All that is known of a quantized network.
struct network_report {
  std::string title;
  std::uint64_t rows = 0;             ///< inputs that the figures are of
  bool cancelled = false;             ///< fewer inputs than were given
  std::vector<layer_figures> layers;  ///< in the order of the network
  std::vector<finding> findings;      ///< the worst first, after rank()
  std::vector<index> order;           ///< positions of the layers, the worst first, after rank()

  std::string metric;  ///< its name; empty if none was measured. Larger is better
  std::optional<double> float_metric;
  std::optional<double> quantized_metric;  ///< with all layers quantized
  std::optional<double> allowed_loss;
  std::vector<partial_step> partial;  ///< the most sensitive layer first

  friend bool operator==(const network_report&, const network_report&) = default;
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// The words of a fault in JSON files. They do not change with the version of the library.
inline constexpr const char* fault_words[] = {
    "weights_not_finite", "inputs_not_finite", "outputs_not_finite", "not_excited",
    "shifted_codes",      "dead_input",        "wide_row",           "uneven_groups",
    "clipped_inputs",     "lowest_sqnr",       "most_sensitive",     "slower"};

[[nodiscard]] inline const char* fault_word(fault kind) noexcept {
  return fault_words[static_cast<std::size_t>(kind)];
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
