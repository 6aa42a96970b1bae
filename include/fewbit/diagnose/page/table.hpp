#pragma once
/// The table of the report page: one row for each layer, and what opens below it.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/diagnose/page/charts.hpp"
#include "fewbit/diagnose/page/columns.hpp"
#include "fewbit/diagnose/page/layer_charts.hpp"
#include "fewbit/diagnose/page/numbers.hpp"
#include "fewbit/diagnose/report.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// Faults that make results wrong are `bad`, others `warn`; the best of a sound layer is neither.
[[nodiscard]] inline const char* style_of(fault kind) noexcept {
  if (kind <= fault::wide_row) return "bad";
  return kind <= fault::clipped_inputs ? "warn" : "";
}

/// Two or three words for a fault, for the list that filters.
[[nodiscard]] inline const char* fault_title(fault kind) noexcept {
  static constexpr const char* titles[] = {"NaN in weights", "NaN in inputs",  "NaN in outputs",
                                           "not calibrated", "shifted codes",  "dead inputs",
                                           "wide row",       "uneven groups",  "clipped inputs",
                                           "largest error",  "most sensitive", "slower than float"};
  return titles[static_cast<std::size_t>(kind)];
}

/// The findings of a layer, the worst first.
[[nodiscard]] inline std::vector<const finding*> findings_of(const network_report& report,
                                                             index layer) {
  std::vector<const finding*> all;
  for (const finding& f : report.findings) {
    if (f.layer == layer) all.push_back(&f);
  }
  return all;
}

/// "conv2d, 16 rows of 27"
[[nodiscard]] inline std::string shape_words(const layer_figures& layer) {
  const auto number = [](index n) { return count_text(static_cast<std::uint64_t>(n)); };
  std::string words = layer.kind;
  if (layer.rows > 0) {
    words += (words.empty() ? "" : ", ") + number(layer.rows) + " rows of " + number(layer.cols);
  }
  return words;
}

class layer_table {
 public:
  explicit layer_table(const network_report& report)
      : report_(report), columns_(columns_of(report)) {
    for (const layer_figures& layer : report.layers) {
      for (const auto& value : {layer.own_db, layer.output_db}) {
        if (!value || !std::isfinite(*value)) continue;
        most_db_ = std::max(most_db_, *value);
        has_bars_ = true;
      }
    }
  }

  [[nodiscard]] std::string html() {
    out_ =
        "<div class=\"tools\"><input id=\"search\" type=\"search\" placeholder=\"Filter by name, "
        "scheme or finding\" "
        "aria-label=\"Filter\"><select id=\"choice\" aria-label=\"Findings\">"
        "<option value=\"\">All layers</option>";
    add_choices();
    out_ +=
        "</select><span id=\"shown\" class=\"soft\" role=\"status\"></span></div>"
        "<div class=\"sheet\"><table id=\"layers\">";
    add_head();
    for (std::size_t i = 0; i < report_.layers.size(); ++i) {
      const std::size_t n = report_.order.size() == report_.layers.size()
                                ? static_cast<std::size_t>(report_.order[i])
                                : i;
      add_layer(static_cast<index>(n), i + 1);
    }
    out_ += "</table><p id=\"none\" hidden>No layer matches.</p></div>";
    add_guide();
    return std::move(out_);
  }

 private:
  void add_choices() {
    for (int k = 0; k <= static_cast<int>(fault::slower); ++k) {
      const auto kind = static_cast<fault>(k);
      const bool is_there = std::any_of(report_.findings.begin(), report_.findings.end(),
                                        [&](const finding& f) { return f.kind == kind; });
      if (!is_there) continue;
      out_ += std::string("<option value=\"") + fault_word(kind) + "\">" + fault_title(kind) +
              "</option>";
    }
  }

  void add_head() {
    out_ +=
        "<thead><tr><th class=\"rank\" data-first=\"ascending\" aria-sort=\"ascending\">"
        "<button title=\"The worst layer first\">#</button></th>"
        "<th class=\"left\" data-first=\"ascending\">"
        "<button title=\"The order of the network\">Layer</button></th>";
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const page_column& column = columns_[i];
      out_ += std::string("<th class=\"") + column.style + "\" data-first=\"" + column.first_sort +
              "\"><button title=\"" + escaped(column.meaning) + "\">" + escaped(column.title) +
              "</button></th>";
      if (has_bars_ && i == bars_after()) out_ += "<th class=\"p3\"></th>";
    }
    out_ += "</tr></thead>";
  }

  /// The bars stand behind the two columns that they draw.
  [[nodiscard]] std::size_t bars_after() const {
    std::size_t last = 0;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const std::string& title = columns_[i].title;
      if (title == "Own error, dB" || title == "All errors, dB") last = i;
    }
    return last;
  }

  void add_layer(index n, std::size_t rank) {
    const layer_figures& layer = layer_at(report_, n);
    const auto findings = findings_of(report_, n);
    std::string words;
    std::string faults;
    for (const finding* f : findings) {
      faults += (faults.empty() ? "" : " ") + std::string(fault_word(f->kind));
      words += " " + f->statement + " " + fault_title(f->kind);
    }
    const std::string id = std::to_string(n + 1);
    out_ += "<tbody id=\"layer-" + id + "\" data-faults=\"" + faults + "\" data-text=\"" +
            escaped(lower(layer.name + " " + layer.kind + " " + layer.scheme + words)) + "\"><tr>";
    out_ += "<td class=\"rank\" data-v=\"" + std::to_string(rank) + "\">" + std::to_string(rank) +
            "</td><th scope=\"row\" class=\"layer\" data-v=\"" + id +
            "\"><button class=\"name\" aria-controls=\"more-" + id + "\">" + escaped(layer.name) +
            "</button>";
    if (findings.empty()) {
      out_ += "<small>" + escaped(shape_words(layer)) + "</small></th>";
    } else {
      out_ += std::string("<small class=\"") + style_of(findings[0]->kind) + "\">" +
              escaped(findings[0]->statement) + "</small></th>";
    }
    std::size_t cells = 2 + columns_.size();
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      add_cell(columns_[i], layer);
      if (!has_bars_ || i != bars_after()) continue;
      out_ += "<td class=\"pair p3\">" + pair_of_bars(layer, most_db_) + "</td>";
      ++cells;
    }
    out_ += "</tr><tr class=\"more\" id=\"more-" + id + "\"><td colspan=\"" +
            std::to_string(cells) + "\"><div class=\"inside\">";
    add_inside(layer, findings);
    out_ += "</div></td></tr></tbody>";
  }

  void add_cell(const page_column& column, const layer_figures& layer) {
    const std::optional<double> value = column.value(layer);
    out_ += std::string("<td class=\"") + column.style + "\"";
    if (value && *value == *value) out_ += " data-v=\"" + sort_text(*value) + "\"";
    out_ += ">" + (value ? escaped(column.text_of(*value)) : "") + "</td>";
  }

  /// A number that a script reads back.
  [[nodiscard]] static std::string sort_text(double x) {
    if (std::isinf(x)) return x > 0 ? "Infinity" : "-Infinity";
    char digits[32];
    return {digits, std::to_chars(digits, digits + sizeof(digits), x).ptr};
  }

  /// ASCII letters in lower case; what the script does with all letters.
  [[nodiscard]] static std::string lower(std::string text) {
    for (char& c : text) {
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return text;
  }

  void add_inside(const layer_figures& layer, const std::vector<const finding*>& findings) {
    out_ += "<div>";
    if (!findings.empty()) {
      out_ += "<h3>Findings</h3><ul>";
      for (const finding* f : findings) {
        out_ += std::string("<li><span class=\"") + style_of(f->kind) + "\">" +
                escaped(f->statement) + "</span>. " + escaped(f->advice) + "</li>";
      }
      out_ += "</ul>";
    }
    out_ += "<h3>All figures</h3><dl><dt>Shape</dt><dd>" + escaped(shape_words(layer)) +
            "</dd><dt>Scheme</dt><dd class=\"scheme\">" + escaped(layer.scheme) + "</dd>";
    for (const page_column& column : page_columns()) {
      const std::optional<double> value = column.value(layer);
      if (!value) continue;
      out_ += "<dt>" + escaped(column.title) + "</dt><dd>" + escaped(column.text(*value)) + "</dd>";
    }
    if (layer.float_bytes > 0) {
      out_ += "<dt>Bytes in float</dt><dd>" + escaped(bytes_text(layer.float_bytes)) + "</dd>";
    }
    out_ += "</dl></div>";
    const bool has_inputs = !layer.inputs.counts.empty() && layer.inputs.hi > layer.inputs.lo;
    if (has_inputs) {
      out_ += "<div><h3>Values of the inputs, counts on a logarithmic axis</h3>" +
              chart_of_inputs(layer.inputs) + "</div>";
    }
    if (layer.row_ranges.size() > 1) {
      out_ += "<div><h3>max |w| of the rows, on a logarithmic axis</h3>" + chart_of_rows(layer) +
              "</div>";
    }
  }

  void add_guide() {
    out_ += "<details class=\"guide\"><summary>What the columns mean</summary><dl>";
    for (const page_column& column : columns_) {
      out_ += "<dt>" + escaped(column.title) + "</dt><dd>" + escaped(column.meaning) + "</dd>";
    }
    out_ +=
        "<dt>SQNR</dt><dd>Signal to quantization noise, 10 log10(\u03a3y\u00b2 / \u03a3(y \u2212 "
        "\u0177)\u00b2). "
        "6 dB are a factor of two in the error.</dd></dl></details>";
  }

  const network_report& report_;
  std::vector<page_column> columns_;
  double most_db_ = 1;
  bool has_bars_ = false;
  std::string out_;
};

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
