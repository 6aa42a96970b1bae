#pragma once
/// A report as JSON, with all data that the page shows.
///
///     const std::string text = report_json(report);
///
/// Schema, version 1. A figure that was not measured is absent. An SQNR is a number of decibels, or
/// "inf" or "-inf". Layers are positions in "layers", from 0. Numbers have the digits that restore
/// every bit.
///
///     {"fewbit_report": 1, "title": text, "rows": count, "cancelled": bool,
///      "metric": {"name": text, "float": x, "quantized": x, "allowed_loss": x},
///      "layers": [{"name": text, "kind": text, "scheme": text, "rows": count, "cols": count,
///        "float_bytes": count, "bytes": count, "weights_db": dB, "inputs_db": dB, "own_db": dB,
///        "arriving_db": dB, "output_db": dB, "noisiest_row": position, "constant_error": share,
///        "weights_clipped": share, "inputs_clipped": share, "saturated": count,
///        "unused_codes": share, "range_ratio": x, "widest_row": position, "float_seconds": x,
///        "quantized_seconds": x, "metric_alone": x, "loss": x, "rows_per_range": count,
///        "row_ranges": [x, ...],
///        "inputs": {"lo": x, "hi": x, "counts": [count, ...],
///                   "marks": [{"label": text, "value": x}, ...]}}, ...],
///      "findings": [{"fault": word, "layer": position, "row": position, "channel": position,
///                    "measure": x, "statement": text, "advice": text}, ...],
///      "order": [position, ...],
///      "partial": [{"layer": position, "metric": x}, ...]}
///
/// The words of faults are those of the enumeration `fault`. Names that are not UTF-8 are written
/// with U+FFFD in place of each malformed byte.
/// Read next: io/report_file.hpp, which writes and reads files.

#include "fewbit/begin.hpp"

#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "fewbit/config.hpp"
#include "fewbit/core/json_text.hpp"
#include "fewbit/diagnose/page/numbers.hpp"
#include "fewbit/diagnose/report.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

class report_json_writer {
 public:
  [[nodiscard]] std::string write(const network_report& report) {
    out_ = "{";
    field("fewbit_report", std::uint64_t{1});
    field("title", report.title);
    field("rows", report.rows);
    field("cancelled", report.cancelled);
    open("metric", '{');
    field("name", report.metric);
    field("float", report.float_metric);
    field("quantized", report.quantized_metric);
    field("allowed_loss", report.allowed_loss);
    close('}');
    list("layers", report.layers, [&](const layer_figures& l) { layer(l); });
    list("findings", report.findings, [&](const finding& f) { fault_found(f); });
    list("order", report.order, [&](index i) { value(i); });
    list("partial", report.partial, [&](const partial_step& s) {
      open('{');
      field("layer", s.layer);
      field("metric", s.metric);
      close('}');
    });
    close('}');
    return std::move(out_) + "\n";
  }

 private:
  void layer(const layer_figures& l) {
    open('{');
    field("name", l.name);
    field("kind", l.kind);
    field("scheme", l.scheme);
    field("rows", l.rows);
    field("cols", l.cols);
    field("float_bytes", l.float_bytes);
    field("bytes", l.bytes);
    field("weights_db", l.weights_db);
    field("inputs_db", l.inputs_db);
    field("own_db", l.own_db);
    field("arriving_db", l.arriving_db);
    field("output_db", l.output_db);
    if (l.noisiest_row >= 0) field("noisiest_row", l.noisiest_row);
    field("constant_error", l.constant_error);
    field("weights_clipped", l.weights_clipped);
    field("inputs_clipped", l.inputs_clipped);
    field("saturated", l.saturated);
    field("unused_codes", l.unused_codes);
    field("range_ratio", l.range_ratio);
    field("widest_row", l.widest_row);
    field("float_seconds", l.float_seconds);
    field("quantized_seconds", l.quantized_seconds);
    field("metric_alone", l.metric_alone);
    field("loss", l.loss);
    field("rows_per_range", l.rows_per_range);
    list("row_ranges", l.row_ranges, [&](double x) { value(x); });
    open("inputs", '{');
    field("lo", l.inputs.lo);
    field("hi", l.inputs.hi);
    list("counts", l.inputs.counts, [&](std::uint64_t n) { value(n); });
    list("marks", l.inputs.marks, [&](const report_mark& m) {
      open('{');
      field("label", m.label);
      field("value", m.value);
      close('}');
    });
    close('}');
    close('}');
  }

  void fault_found(const finding& f) {
    open('{');
    field("fault", std::string(fault_word(f.kind)));
    field("layer", f.layer);
    if (f.row >= 0) field("row", f.row);
    if (f.channel >= 0) field("channel", f.channel);
    field("measure", f.measure);
    field("statement", f.statement);
    field("advice", f.advice);
    close('}');
  }

  void comma() {
    const char last = out_.back();
    if (last != '{' && last != '[' && last != ':') out_ += ',';
  }
  void open(char bracket) {
    comma();
    out_ += bracket;
  }
  void open(std::string_view name, char bracket) {
    key(name);
    out_ += bracket;
  }
  void close(char bracket) { out_ += bracket; }
  void key(std::string_view name) {
    comma();
    append_json_string(out_, name);
    out_ += ':';
  }

  template <class T>
  void field(std::string_view name, const T& x) {
    key(name);
    value(x);
  }
  template <class T>
  void field(std::string_view name, const std::optional<T>& x) {
    if (x) field(name, *x);
  }

  template <class List, class Write>
  void list(std::string_view name, const List& items, const Write& write) {
    open(name, '[');
    for (const auto& item : items) write(item);
    close(']');
  }

  void value(const std::string& text) {
    comma();
    append_json_string(out_, with_valid_bytes(text));
  }
  void value(bool x) {
    comma();
    out_ += x ? "true" : "false";
  }
  void value(double x) {
    comma();
    if (x != x || std::isinf(x)) {
      out_ += x != x ? "\"nan\"" : x > 0 ? "\"inf\"" : "\"-inf\"";
      return;
    }
    char digits[32];
    out_.append(digits, std::to_chars(digits, digits + sizeof(digits), x).ptr);
  }
  template <class T>
    requires std::is_integral_v<T>
  void value(T x) {
    comma();
    out_ += std::to_string(x);
  }

  [[nodiscard]] static std::string with_valid_bytes(std::string_view text) {
    std::string valid;
    while (!text.empty()) {
      const std::size_t length = utf8_length(text);
      valid += length > 0 ? text.substr(0, length) : std::string_view("\uFFFD");
      text.remove_prefix(length > 0 ? length : 1);
    }
    return valid;
  }

  std::string out_;
};

}  // namespace detail

/// The report as one line of JSON; the head of this header has the schema.
[[nodiscard]] inline std::string report_json(const network_report& report) {
  return detail::report_json_writer().write(report);
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
