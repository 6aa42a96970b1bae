#pragma once
/// The charts of a network on the report page: SQNR of all layers, losses, partial quantization,
/// times. Read next: layer_charts.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/index.hpp"
#include "fewbit/diagnose/page/drawing.hpp"
#include "fewbit/diagnose/page/numbers.hpp"
#include "fewbit/diagnose/report.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

[[nodiscard]] inline const layer_figures& layer_at(const network_report& report, index i) {
  return report.layers[static_cast<std::size_t>(i)];
}

[[nodiscard]] inline std::string layer_link(index i) { return "#layer-" + std::to_string(i + 1); }

/// The rectangle of a chart that data is drawn in, with its scales.
struct plot {
  double left, top, width, height;
  double lo_x, hi_x, lo_y, hi_y;

  [[nodiscard]] double x(double value) const noexcept {
    return left + width * (value - lo_x) / (hi_x - lo_x);
  }
  /// Values outside of the scale are drawn at its ends.
  [[nodiscard]] double y(double value) const noexcept {
    return top + height * (1 - (std::clamp(value, lo_y, hi_y) - lo_y) / (hi_y - lo_y));
  }
  [[nodiscard]] double bottom() const noexcept { return top + height; }
  [[nodiscard]] double right() const noexcept { return left + width; }
};

/// Horizontal lines with numbers on the left.
inline void draw_levels(drawing& page, const plot& area, int most) {
  const axis_ticks ticks = ticks_between(area.lo_y, area.hi_y, most);
  for (int i = 0; i < ticks.count; ++i) {
    const double y = area.y(ticks.at(i));
    page.line("axis", area.left, y, area.right(), y);
    page.text("", area.left - 8, y + 4, "end", fixed_text(ticks.at(i), ticks.decimals));
  }
}

/// The whole numbers of the x axis.
inline void draw_numbers(drawing& page, const plot& area, int most) {
  const double span = std::max(1.0, area.hi_x - area.lo_x);
  const axis_ticks ticks = ticks_between(area.lo_x, area.lo_x + span, most);
  for (int i = 0; i < ticks.count; ++i) {
    const double value = ticks.at(i);
    if (value != std::floor(value) || value > area.hi_x) continue;
    page.text("", area.x(value), area.bottom() + 18, "middle", fixed_text(value, 0));
  }
}

using figure_of_layer = std::optional<double> layer_figures::*;

/// One figure of all layers as a line with dots. Layers without the figure are left out.
inline void draw_layers(drawing& page, const plot& area, const network_report& report,
                        figure_of_layer figure, const std::string& style, const char* what) {
  std::vector<std::pair<double, double>> points;
  for (std::size_t i = 0; i < report.layers.size(); ++i) {
    const std::optional<double> value = report.layers[i].*figure;
    if (!value || *value != *value) continue;
    points.emplace_back(area.x(static_cast<double>(i + 1)), area.y(*value));
  }
  if (points.size() > 1) page.curve(style, points);
  if (report.layers.size() > 150) return;
  std::size_t next = 0;
  for (std::size_t i = 0; i < report.layers.size(); ++i) {
    const layer_figures& layer = report.layers[i];
    const std::optional<double> value = layer.*figure;
    if (!value || *value != *value) continue;
    const auto [x, y] = points[next++];
    page.link(layer_link(static_cast<index>(i)));
    page.dot(style + "-fill", x, y, report.layers.size() > 60 ? 2 : 3.2,
             printable(layer.name) + ": " + decibel_text(*value) + what);
    page.end_link();
  }
}

[[nodiscard]] inline bool any_layer_has(const network_report& report, figure_of_layer figure) {
  return std::any_of(report.layers.begin(), report.layers.end(),
                     [&](const layer_figures& l) { return (l.*figure).has_value(); });
}

/// The SQNR of all layers in the order of the network.
[[nodiscard]] inline std::string chart_of_layers(const network_report& report) {
  double most = 10;
  double least = 0;
  for (const layer_figures& layer : report.layers) {
    for (const auto& value : {layer.own_db, layer.output_db}) {
      if (!value || !std::isfinite(*value)) continue;
      most = std::max(most, *value);
      least = std::min(least, *value);
    }
  }
  const double count = static_cast<double>(report.layers.size());
  const plot area{44,
                  30,
                  444,
                  190,
                  count > 1 ? 1.0 : 0.5,
                  count > 1 ? count : 1.5,
                  std::max(least, -20.0),
                  std::ceil(most / 10) * 10};
  drawing page(500, 262, "SQNR of the outputs of each layer");
  draw_levels(page, area, 6);
  draw_numbers(page, area, 10);
  page.text("", (area.left + area.right()) / 2, area.bottom() + 38, "middle",
            "layers in the order of the network");
  page.text("", area.left - 8, 14, "end", "dB");
  draw_layers(page, area, report, &layer_figures::output_db, "total", " with all errors");
  draw_layers(page, area, report, &layer_figures::own_db, "own", " alone");
  page.text("own-text", area.left, 14, "start", "own error");
  page.text("total-text", area.left + 84, 14, "start", "with the errors that arrive");
  return page.take();
}

/// The layers whose quantization alone costs the metric most, the first ten.
[[nodiscard]] inline std::string chart_of_losses(const network_report& report) {
  std::vector<index> sorted;
  for (std::size_t i = 0; i < report.layers.size(); ++i) {
    const auto& loss = report.layers[i].loss;
    if (loss && *loss == *loss) sorted.push_back(static_cast<index>(i));
  }
  std::stable_sort(sorted.begin(), sorted.end(), [&](index a, index b) {
    return *layer_at(report, a).loss > *layer_at(report, b).loss;
  });
  if (sorted.size() > 10) sorted.resize(10);
  double most = 0;
  for (const index i : sorted) most = std::max(most, std::abs(*layer_at(report, i).loss));
  const double step = 24;
  drawing page(500, 6 + step * static_cast<double>(sorted.size()),
               "Loss of the metric with one layer quantized");
  double y = 4;
  for (const index i : sorted) {
    const layer_figures& layer = layer_at(report, i);
    const double loss = *layer.loss;
    page.link(layer_link(i));
    page.text("ink", 178, y + 13, "end", shortened(printable(layer.name), 25));
    page.end_link();
    const double width = most == 0 ? 0 : 226 * std::abs(loss) / most;
    page.rectangle(loss > 0 ? "total-fill" : "bar", 190, y + 3, std::max(width, 1.0), 13);
    page.text("", 198 + width, y + 13, "start", short_text(loss));
    y += step;
  }
  return page.take();
}

/// The metric over the number of layers that stay in float.
[[nodiscard]] inline std::string chart_of_partial(const network_report& report) {
  std::vector<double> values;
  if (report.quantized_metric) values.push_back(*report.quantized_metric);
  for (const partial_step& step : report.partial) values.push_back(step.metric);
  double lo = values.front();
  double hi = values.front();
  const auto include = [&](double v) { lo = std::min(lo, v), hi = std::max(hi, v); };
  for (const double v : values) include(v);
  std::optional<double> target;
  if (report.float_metric) {
    include(*report.float_metric);
    if (report.allowed_loss) {
      target = *report.float_metric - *report.allowed_loss;
      include(*target);
    }
  }
  const double margin = hi > lo ? 0.08 * (hi - lo) : std::max(std::abs(hi) * 0.01, 1e-6);
  const double first = report.quantized_metric ? 0 : 1;
  const double last = first + static_cast<double>(values.size()) - 1;
  const plot area{56, 12, 432, 208, first, std::max(last, first + 1), lo - margin, hi + margin};
  drawing page(500, 262, "Metric over the number of layers in float");
  draw_levels(page, area, 6);
  draw_numbers(page, area, 10);
  page.text("", (area.left + area.right()) / 2, area.bottom() + 38, "middle",
            "layers left in float");
  const auto draw_limit = [&](double value, const char* words, double below) {
    page.line("limit", area.left, area.y(value), area.right(), area.y(value));
    page.text("", area.left + 4, area.y(value) + below, "start", words);
  };
  if (report.float_metric) draw_limit(*report.float_metric, "float", -5);
  if (target) draw_limit(*target, "target", 14);
  std::vector<std::pair<double, double>> points;
  for (std::size_t i = 0; i < values.size(); ++i) {
    points.emplace_back(area.x(first + static_cast<double>(i)), area.y(values[i]));
  }
  page.curve("own", points);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const bool is_all = report.quantized_metric && i == 0;
    const std::size_t step = i - (report.quantized_metric ? 1 : 0);
    const std::string words =
        is_all ? "all layers quantized"
               : printable(layer_at(report, report.partial[step].layer).name) + " in float, too";
    page.dot("own-fill", points[i].first, points[i].second, values.size() > 60 ? 2 : 3.2,
             words + ": " + short_text(values[i]));
  }
  return page.take();
}

/// Layers that take the most time quantized, the first eight: quantized below float.
[[nodiscard]] inline std::string chart_of_times(const network_report& report) {
  std::vector<index> sorted;
  for (std::size_t i = 0; i < report.layers.size(); ++i) {
    const layer_figures& layer = report.layers[i];
    if (layer.float_seconds && layer.quantized_seconds) sorted.push_back(static_cast<index>(i));
  }
  std::stable_sort(sorted.begin(), sorted.end(), [&](index a, index b) {
    return *layer_at(report, a).quantized_seconds > *layer_at(report, b).quantized_seconds;
  });
  if (sorted.size() > 8) sorted.resize(8);
  double most = 0;
  for (const index i : sorted) {
    const layer_figures& layer = layer_at(report, i);
    most = std::max({most, *layer.float_seconds, *layer.quantized_seconds});
  }
  const double step = 30;
  drawing page(500, 6 + step * static_cast<double>(sorted.size()), "Time in float and quantized");
  double y = 4;
  for (const index i : sorted) {
    const layer_figures& layer = layer_at(report, i);
    page.link(layer_link(i));
    page.text("ink", 178, y + 15, "end", shortened(printable(layer.name), 25));
    page.end_link();
    const auto draw = [&](const char* style, double seconds, double below) {
      const double width = most > 0 ? 226 * seconds / most : 0;
      page.rectangle(style, 190, y + below, std::max(width, 1.0), 8);
      page.text("", 198 + width, y + below + 8, "start", duration_text(seconds));
    };
    draw("bar", *layer.float_seconds, 1);
    draw("own-fill", *layer.quantized_seconds, 12);
    y += step;
  }
  return page.take();
}

/// Two bars of a row of the table: SQNR of the outputs, own and with all errors.
[[nodiscard]] inline std::string pair_of_bars(const layer_figures& layer, double most) {
  drawing page(80, 14, "SQNR of the outputs, own and with all errors");
  const auto width = [&](double db) { return 80 * std::clamp(db / most, 0.0, 1.0); };
  if (layer.own_db) page.rectangle("own-fill", 0, 0, width(*layer.own_db), 5);
  if (layer.output_db) page.rectangle("total-fill", 0, 8, width(*layer.output_db), 5);
  return page.take();
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
