#pragma once
/// Reports of diagnose/ in files: the page as HTML, the data as JSON.
///
///     write_report("report.html", report);
///     write_report_json("report.json", report);
///     const network_report before = read_report("yesterday.json");
///
/// A file is written wholly or not at all (atomic_file.hpp). The schema of the JSON is in
/// diagnose/json.hpp. Reading checks every field, and an error names the file and the field.
/// Needs nlohmann-json.

#include "fewbit/begin.hpp"

#if __has_include(<nlohmann/json.hpp>)
#include <nlohmann/json.hpp>
#else
#error "fewbit/io/report_file.hpp needs nlohmann/json.hpp (nlohmann-json 3, nlohmann-json3-dev)"
#endif

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/diagnose/findings.hpp"
#include "fewbit/diagnose/json.hpp"
#include "fewbit/diagnose/page.hpp"
#include "fewbit/diagnose/report.hpp"
#include "fewbit/io/atomic_file.hpp"
#include "fewbit/io/file_error.hpp"
#include "fewbit/io/mapped_file.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// A value of the JSON tree, with the words that name it in errors: "layers[3].own_db".
class report_field {
 public:
  using json = nlohmann::json;

  report_field(const json& value, const char* function, std::string_view file, std::string name)
      : value_(&value), function_(function), file_(file), name_(std::move(name)) {}

  [[noreturn]] void fail(const char* want) const {
    const std::string text = value_->dump(-1, ' ', false, json::error_handler_t::replace);
    fail_in_file(function_, name_, {file_}, shortened(printable(text), 60), want);
  }

  /// The value of a key that must be there.
  [[nodiscard]] report_field operator[](const char* key) const {
    if (const std::optional<report_field> found = find(key)) return *found;
    fail_in_file(function_, join(key), {file_}, "missing", "a value");
  }

  [[nodiscard]] std::optional<report_field> find(const char* key) const {
    if (!value_->is_object()) fail("an object");
    const auto found = value_->find(key);
    if (found == value_->end()) return std::nullopt;
    return report_field(*found, function_, file_, join(key));
  }

  /// Calls use(item) for each item of a list.
  template <class Use>
  void for_each(const Use& use) const {
    if (!value_->is_array()) fail("a list");
    std::size_t i = 0;
    for (const json& item : *value_) {
      use(report_field(item, function_, file_, name_ + "[" + std::to_string(i++) + "]"));
    }
  }

  [[nodiscard]] std::string text() const {
    if (!value_->is_string()) fail("a text");
    return value_->get_ref<const std::string&>();
  }
  [[nodiscard]] bool boolean() const {
    if (!value_->is_boolean()) fail("true or false");
    return *value_ == json(true);
  }
  [[nodiscard]] std::uint64_t count() const {
    if (!value_->is_number_unsigned()) fail("an integer, at least 0");
    return value_->get<std::uint64_t>();
  }
  [[nodiscard]] index position() const {
    constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<index>::max());
    const std::uint64_t n = count();
    if (n > most) fail("a smaller integer");
    return static_cast<index>(n);
  }
  [[nodiscard]] double number() const {
    constexpr double infinity = std::numeric_limits<double>::infinity();
    if (value_->is_number()) return value_->get<double>();
    if (*value_ == json("inf")) return infinity;
    if (*value_ == json("-inf")) return -infinity;
    if (*value_ == json("nan")) return std::numeric_limits<double>::quiet_NaN();
    fail("a number, \"inf\", \"-inf\" or \"nan\"");
  }
  [[nodiscard]] fault kind() const {
    const std::string word = text();
    for (std::size_t i = 0; i < std::size(fault_words); ++i) {
      if (word == fault_words[i]) return static_cast<fault>(i);
    }
    fail("the word of a fault");
  }

  [[nodiscard]] std::optional<double> number(const char* key) const {
    const auto found = find(key);
    return found ? std::optional<double>(found->number()) : std::nullopt;
  }
  [[nodiscard]] std::optional<std::uint64_t> count(const char* key) const {
    const auto found = find(key);
    return found ? std::optional<std::uint64_t>(found->count()) : std::nullopt;
  }
  /// -1 if it is absent.
  [[nodiscard]] index position(const char* key) const {
    const auto found = find(key);
    return found ? found->position() : -1;
  }

 private:
  [[nodiscard]] std::string join(const char* key) const {
    return name_.empty() ? key : name_ + "." + key;
  }

  const json* value_;
  const char* function_;
  std::string_view file_;
  std::string name_;
};

[[nodiscard]] inline layer_figures layer_of_json(const report_field& in) {
  layer_figures l;
  l.name = in["name"].text();
  l.kind = in["kind"].text();
  l.scheme = in["scheme"].text();
  l.rows = in["rows"].position();
  l.cols = in["cols"].position();
  l.float_bytes = in["float_bytes"].count();
  l.bytes = in.count("bytes");
  l.weights_db = in.number("weights_db");
  l.inputs_db = in.number("inputs_db");
  l.own_db = in.number("own_db");
  l.arriving_db = in.number("arriving_db");
  l.output_db = in.number("output_db");
  l.noisiest_row = in.position("noisiest_row");
  l.constant_error = in.number("constant_error");
  l.weights_clipped = in.number("weights_clipped");
  l.inputs_clipped = in.number("inputs_clipped");
  l.saturated = in.count("saturated");
  l.unused_codes = in.number("unused_codes");
  l.range_ratio = in.number("range_ratio");
  l.widest_row = in["widest_row"].position();
  l.float_seconds = in.number("float_seconds");
  l.quantized_seconds = in.number("quantized_seconds");
  l.metric_alone = in.number("metric_alone");
  l.loss = in.number("loss");
  l.rows_per_range = in["rows_per_range"].position();
  in["row_ranges"].for_each([&](const report_field& x) { l.row_ranges.push_back(x.number()); });
  const report_field inputs = in["inputs"];
  l.inputs.lo = inputs["lo"].number();
  l.inputs.hi = inputs["hi"].number();
  inputs["counts"].for_each([&](const report_field& n) { l.inputs.counts.push_back(n.count()); });
  inputs["marks"].for_each([&](const report_field& m) {
    l.inputs.marks.push_back({m["label"].text(), m["value"].number()});
  });
  return l;
}

[[nodiscard]] inline finding finding_of_json(const report_field& in) {
  finding f;
  f.kind = in["fault"].kind();
  f.layer = in["layer"].position();
  f.row = in.position("row");
  f.channel = in.position("channel");
  f.measure = in["measure"].number();
  f.statement = in["statement"].text();
  f.advice = in["advice"].text();
  return f;
}

[[nodiscard]] inline network_report report_of_json(const report_field& in, const char* function) {
  if (in["fewbit_report"].count() != 1) in["fewbit_report"].fail("1, the version of the schema");
  network_report report;
  report.title = in["title"].text();
  report.rows = in["rows"].count();
  report.cancelled = in["cancelled"].boolean();
  const report_field metric = in["metric"];
  report.metric = metric["name"].text();
  report.float_metric = metric.number("float");
  report.quantized_metric = metric.number("quantized");
  report.allowed_loss = metric.number("allowed_loss");
  in["layers"].for_each([&](const report_field& l) { report.layers.push_back(layer_of_json(l)); });
  in["findings"].for_each(
      [&](const report_field& f) { report.findings.push_back(finding_of_json(f)); });
  in["order"].for_each([&](const report_field& i) { report.order.push_back(i.position()); });
  in["partial"].for_each([&](const report_field& s) {
    report.partial.push_back({s["layer"].position(), s["metric"].number()});
  });
  expect_valid_report(function, report);
  return report;
}

/// The report that a text describes. Errors name `file`.
[[nodiscard]] inline network_report parse_report(std::string_view text, const char* function,
                                                 std::string_view file) {
  const auto tree = nlohmann::json::parse(text.begin(), text.end(), nullptr, false);
  if (tree.is_discarded()) {
    fail(function, path_text(file), "not JSON", "the JSON of a report");
  }
  return report_of_json(report_field(tree, function, file, ""), function);
}

inline void write_whole_file(const char* function, const std::string& path,
                             const std::string& text) {
  atomic_file file(path, read_back::no, function);
  file.write(0, std::as_bytes(std::span(text)));
  file.commit();
}

}  // namespace detail

/// Writes the page of a report, one HTML file.
/// @throws fewbit::error if a finding names no layer, or with the reason of the system; the old
///         file then stays
inline void write_report(const std::string& path, const network_report& report) {
  detail::expect_valid_report("write_report", report);
  detail::write_whole_file("write_report", path, report_html(report));
}

/// Writes the data of a report as JSON.
/// @throws fewbit::error as write_report does
inline void write_report_json(const std::string& path, const network_report& report) {
  detail::expect_valid_report("write_report_json", report);
  detail::write_whole_file("write_report_json", path, report_json(report));
}

/// Reads what write_report_json wrote.
/// @throws fewbit::error if the file cannot be read, if it is no JSON, or with the first field that
///         is missing or has a wrong value
[[nodiscard]] inline network_report read_report(const std::string& path) {
  const mapped_file file(path, "read_report");
  const auto* text = reinterpret_cast<const char*>(file.bytes().data());
  return detail::parse_report({text, file.bytes().size()}, "read_report", path);
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
