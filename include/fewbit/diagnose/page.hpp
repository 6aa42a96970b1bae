#pragma once
/// The report as one HTML file, which needs no other file and no network.
///
///     const std::string page = report_html(report);
///
/// It shows the metric and the bytes, the three actions that are advised first, charts of the error
/// along the network and of sensitivity, and one table of all layers, the worst first. The table
/// sorts by each column and filters by words and findings; each row opens to all figures of its
/// layer, the histogram of its inputs and the ranges of its rows. Names are escaped, so a layer of
/// any name is harmless. The same report always gives the same bytes.
/// Read next: page/table.hpp, page/charts.hpp, page/style.hpp, page/script.hpp. io/report_file.hpp
/// writes the page to a file.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/diagnose/page/charts.hpp"
#include "fewbit/diagnose/page/numbers.hpp"
#include "fewbit/diagnose/page/script.hpp"
#include "fewbit/diagnose/page/style.hpp"
#include "fewbit/diagnose/page/table.hpp"
#include "fewbit/diagnose/report.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

class report_page {
 public:
  explicit report_page(const network_report& report) : report_(report) {}

  [[nodiscard]] std::string html() {
    const std::string title = escaped(report_.title.empty() ? "Diagnosis" : report_.title);
    out_ =
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>" + title +
        "</title><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
        "<meta name=\"generator\" content=\"fewbit\">"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
        "style-src 'unsafe-inline'; script-src 'unsafe-inline'\">"
        "<link rel=\"icon\" href=\"data:,\">"
        "<script>document.documentElement.className = 'js';</script><style>";
    (out_ += page_style) += "</style></head>\n<body><main><h1>" + title + "</h1>";
    add_lead();
    add_facts();
    add_actions();
    add_charts();
    out_ += "<h2>Layers, the worst first</h2>" + layer_table(report_).html();
    ((out_ += "</main><script>") += page_script) += "</script></body></html>\n";
    return std::move(out_);
  }

 private:
  void add_lead() {
    const auto number = [](std::size_t n) { return count_text(n); };
    std::string words =
        number(report_.layers.size()) + (report_.layers.size() == 1 ? " layer" : " layers");
    if (report_.rows > 0)
      words += ", measured on " + number(report_.rows) + (report_.rows == 1 ? " input" : " inputs");
    std::vector<std::string> schemes;
    for (const layer_figures& layer : report_.layers) {
      if (layer.scheme.empty()) continue;
      if (std::find(schemes.begin(), schemes.end(), layer.scheme) == schemes.end())
        schemes.push_back(layer.scheme);
    }
    if (schemes.size() == 1) words += ". Weights: " + schemes[0];
    if (schemes.size() > 1) words += ". Weights: " + number(schemes.size()) + " schemes";
    out_ += "<p class=\"lead\">" + escaped(words) + ".</p>";
  }

  void add_fact(const std::string& name, const std::string& value, const std::string& note) {
    out_ += "<div><dt>" + escaped(name) + "</dt><dd>" + escaped(value) + "<small>" + escaped(note) +
            "</small></dd></div>";
  }

  void add_facts() {
    out_ += "<dl class=\"facts\">";
    add_metric();
    add_bytes();
    add_extreme("Largest error of its own", &layer_figures::own_db);
    add_extreme("Largest error of all", &layer_figures::output_db);
    add_times();
    out_ += "</dl>";
  }

  void add_metric() {
    if (!report_.quantized_metric) return;
    std::string note = "quantized";
    if (report_.float_metric) {
      const double loss = *report_.quantized_metric - *report_.float_metric;
      note = "float " + short_text(*report_.float_metric) + ", change " + (loss > 0 ? "+" : "") +
             short_text(loss);
    }
    add_fact(report_.metric.empty() ? "Metric" : report_.metric,
             short_text(*report_.quantized_metric), note);
  }

  void add_bytes() {
    std::uint64_t bytes = 0;
    std::uint64_t of_float = 0;
    for (const layer_figures& layer : report_.layers) {
      bytes += layer.bytes.value_or(layer.float_bytes);
      of_float += layer.float_bytes;
    }
    if (bytes == 0) return;
    std::string note;
    if (of_float > 0) {
      note = "float " + bytes_text(of_float) + ", " +
             fixed_text(static_cast<double>(of_float) / static_cast<double>(bytes), 1) +
             " times smaller";
      if (bytes >= of_float) note = "not smaller than float, " + bytes_text(of_float);
    }
    add_fact("Weights", bytes_text(bytes), note);
  }

  void add_extreme(const char* name, figure_of_layer figure) {
    const layer_figures* worst = nullptr;
    for (const layer_figures& layer : report_.layers) {
      const auto& value = layer.*figure;
      if (!value || *value != *value) continue;
      if (worst == nullptr || *value < *(worst->*figure)) worst = &layer;
    }
    if (worst != nullptr) add_fact(name, decibel_text(*(worst->*figure)), worst->name);
  }

  void add_times() {
    double of_float = 0;
    double quantized = 0;
    for (const layer_figures& layer : report_.layers) {
      if (!layer.float_seconds || !layer.quantized_seconds) continue;
      of_float += *layer.float_seconds;
      quantized += *layer.quantized_seconds;
    }
    if (of_float <= 0 || quantized <= 0) return;
    add_fact("Time of one pass", duration_text(quantized),
             "float " + duration_text(of_float) + ", " + fixed_text(of_float / quantized, 2) +
                 " times faster");
  }

  /// The first finding of each of the three worst faults, and how many other layers have it.
  void add_actions() {
    std::vector<const finding*> first;
    for (const finding& f : report_.findings) {
      const bool is_known = std::any_of(first.begin(), first.end(),
                                        [&](const finding* g) { return g->kind == f.kind; });
      if (!is_known && first.size() < 3) first.push_back(&f);
    }
    if (first.empty()) return;
    out_ += "<h2>What to do first</h2><ol class=\"actions\">";
    for (const finding* f : first) {
      std::vector<index> others;
      for (const finding& g : report_.findings) {
        const bool is_other = g.kind == f->kind && g.layer != f->layer;
        if (is_other && std::find(others.begin(), others.end(), g.layer) == others.end())
          others.push_back(g.layer);
      }
      out_ += std::string("<li class=\"") + style_of(f->kind) + "\"><p><a class=\"layer\" href=\"" +
              layer_link(f->layer) + "\">" + escaped(layer_at(report_, f->layer).name) +
              "</a>: " + escaped(f->statement) + ".</p><p class=\"advice\">" + escaped(f->advice);
      if (!others.empty()) {
        out_ += " The same holds for " + count_text(others.size()) +
                (others.size() == 1 ? " other layer." : " other layers.");
      }
      out_ += "</p></li>";
    }
    out_ += "</ol>";
  }

  void add_figure(const std::string& title, const std::string& note, const std::string& drawing) {
    out_ += "<figure><figcaption>" + escaped(title) + "<small>" + escaped(note) +
            "</small></figcaption>" + drawing + "</figure>";
  }

  void add_charts() {
    const bool has_layers = any_layer_has(report_, &layer_figures::own_db) ||
                            any_layer_has(report_, &layer_figures::output_db);
    const bool has_losses = any_layer_has(report_, &layer_figures::loss);
    const bool has_partial = !report_.partial.empty();
    if (!has_layers && !has_losses && !has_partial) return;
    out_ += "<h2>Where the error comes from</h2><div class=\"charts\">";
    if (has_layers)
      add_figure("Signal to noise of the outputs", "higher is better", chart_of_layers(report_));
    const std::string metric = report_.metric.empty() ? "the metric" : report_.metric;
    if (has_losses) {
      add_figure("Sensitivity", "loss of " + metric + " with one layer quantized",
                 chart_of_losses(report_));
    }
    if (has_partial) {
      add_figure("Partial quantization", metric + " with the most sensitive layers in float",
                 chart_of_partial(report_));
    }
    if (any_layer_has(report_, &layer_figures::quantized_seconds)) {
      add_figure("Time", "grey: in float, blue: quantized; the layers that take the most time",
                 chart_of_times(report_));
    }
    out_ += "</div>";
  }

  const network_report& report_;
  std::string out_;
};

}  // namespace detail

/// The page of a report; see the head of this header.
[[nodiscard]] inline std::string report_html(const network_report& report) {
  return detail::report_page(report).html();
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
