#pragma once
/// Two reports of a network compared: what became better, what worse, and by how much.
///
///     const report_changes c = compare_reports(read_report("before.json"), report);
///     std::puts(changes_text(c).c_str());
///
/// Read before: report.hpp. io/report_file.hpp reads reports.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/diagnose/page/numbers.hpp"
#include "fewbit/diagnose/report.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// A layer of both reports. A change is the second figure minus the first; it is empty if one of
/// them is, and 0 if both are the same infinity.
struct layer_change {
  std::string name;
  std::optional<double> own_db;
  std::optional<double> output_db;
  std::optional<double> loss;
  std::optional<double> bytes;
  bool has_new_scheme = false;
  std::vector<fault> new_faults;   ///< found in the second report alone
  std::vector<fault> gone_faults;  ///< found in the first report alone
};

/// What compare_reports() returns.
struct report_changes {
  std::vector<layer_change> layers;  ///< the one that became worst first
  std::vector<std::string> removed;  ///< layers of the first report alone
  std::vector<std::string> added;    ///< layers of the second report alone
  std::optional<double> metric;      ///< of the quantized network
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

template <class T>
[[nodiscard]] std::optional<double> change_of(const std::optional<T>& before,
                                              const std::optional<T>& after) {
  if (!before || !after) return std::nullopt;
  if (*before == *after) return 0;
  return static_cast<double>(*after) - static_cast<double>(*before);
}

/// The faults of layer `of` in report a that it does not have as layer `other` of report b. Faults
/// that every report has, such as the layer with the lowest SQNR, are left out.
[[nodiscard]] inline std::vector<fault> faults_alone(const network_report& a, index of,
                                                     const network_report& b, index other) {
  std::vector<fault> alone;
  for (const finding& f : a.findings) {
    if (f.layer != of || f.kind > fault::clipped_inputs) continue;
    const bool has_twin = std::any_of(b.findings.begin(), b.findings.end(), [&](const finding& g) {
      return g.layer == other && g.kind == f.kind;
    });
    if (!has_twin && std::find(alone.begin(), alone.end(), f.kind) == alone.end()) {
      alone.push_back(f.kind);
    }
  }
  return alone;
}

[[nodiscard]] inline index position_of(const network_report& report, const std::string& name) {
  for (std::size_t i = 0; i < report.layers.size(); ++i) {
    if (report.layers[i].name == name) return static_cast<index>(i);
  }
  return -1;
}

/// How much worse a layer became: by new faults, then by its error.
[[nodiscard]] inline double worse_by(const layer_change& c) {
  constexpr double of_a_fault = 1e6;
  const double faults = static_cast<double>(c.new_faults.size()) * of_a_fault -
                        static_cast<double>(c.gone_faults.size()) * of_a_fault;
  const double change = c.own_db.value_or(c.output_db.value_or(0));
  return faults - (change == change ? change : 0);
}

[[nodiscard]] inline std::string signed_text(double x, int decimals) {
  return (x > 0 ? "+" : "") + fixed_text(x, decimals);
}

}  // namespace detail

/// What changed from one report to another, layer by layer, by name.
/// @throws fewbit::error if a report has no layers, or if the two have no layer in common
[[nodiscard]] inline report_changes compare_reports(const network_report& before,
                                                    const network_report& after) {
  constexpr const char* function = "compare_reports";
  detail::expect(!before.layers.empty(), function, "number of layers of before", 0, "at least 1");
  detail::expect(!after.layers.empty(), function, "number of layers of after", 0, "at least 1");
  report_changes changes;
  for (std::size_t i = 0; i < before.layers.size(); ++i) {
    const layer_figures& a = before.layers[i];
    const index at = detail::position_of(after, a.name);
    if (at < 0) {
      changes.removed.push_back(a.name);
      continue;
    }
    const layer_figures& b = after.layers[static_cast<std::size_t>(at)];
    layer_change c;
    c.name = a.name;
    c.own_db = detail::change_of(a.own_db, b.own_db);
    c.output_db = detail::change_of(a.output_db, b.output_db);
    c.loss = detail::change_of(a.loss, b.loss);
    c.bytes = detail::change_of(a.bytes, b.bytes);
    c.has_new_scheme = a.scheme != b.scheme;
    c.new_faults = detail::faults_alone(after, at, before, static_cast<index>(i));
    c.gone_faults = detail::faults_alone(before, static_cast<index>(i), after, at);
    changes.layers.push_back(std::move(c));
  }
  for (const layer_figures& b : after.layers) {
    if (detail::position_of(before, b.name) < 0) changes.added.push_back(b.name);
  }
  if (changes.layers.empty()) {
    detail::fail(function, "layer '" + after.layers.front().name + "' of after", "new",
                 "at least one layer of both reports");
  }
  changes.metric = detail::change_of(before.quantized_metric, after.quantized_metric);
  std::stable_sort(changes.layers.begin(), changes.layers.end(),
                   [](const layer_change& a, const layer_change& b) {
                     return detail::worse_by(a) > detail::worse_by(b);
                   });
  return changes;
}

/// The changes as lines of text, the layer that became worst first. Layers that did not change are
/// counted in the last line.
[[nodiscard]] inline std::string changes_text(const report_changes& changes) {
  std::string text;
  if (changes.metric) text += "metric " + detail::signed_text(*changes.metric, 3) + "\n";
  std::size_t same = 0;
  for (const layer_change& c : changes.layers) {
    std::string words;
    const auto add = [&](const char* name, const std::optional<double>& change, int decimals,
                         const char* unit) {
      if (!change || *change == 0) return;
      words += (words.empty() ? "" : ", ") + std::string(name) +
               detail::signed_text(*change, decimals) + unit;
    };
    add("own error ", c.own_db, 1, " dB");
    add("all errors ", c.output_db, 1, " dB");
    add("loss ", c.loss, 3, "");
    add("bytes ", c.bytes, 0, "");
    if (c.has_new_scheme) words += words.empty() ? "new scheme" : ", new scheme";
    for (const fault f : c.new_faults) {
      words += (words.empty() ? "new: " : ", new: ") + std::string(detail::fault_word(f));
    }
    for (const fault f : c.gone_faults) {
      words += (words.empty() ? "gone: " : ", gone: ") + std::string(detail::fault_word(f));
    }
    if (words.empty()) {
      ++same;
    } else {
      text += detail::printable(c.name) + ": " + words + "\n";
    }
  }
  for (const std::string& name : changes.removed) text += detail::printable(name) + ": removed\n";
  for (const std::string& name : changes.added) text += detail::printable(name) + ": added\n";
  return text + std::to_string(same) + (same == 1 ? " layer" : " layers") + " without a change\n";
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
