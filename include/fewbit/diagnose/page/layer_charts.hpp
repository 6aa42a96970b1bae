#pragma once
/// The charts of one layer: the histogram of its inputs with thresholds, the ranges of its rows.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/diagnose/findings.hpp"
#include "fewbit/diagnose/page/charts.hpp"
#include "fewbit/diagnose/page/drawing.hpp"
#include "fewbit/diagnose/page/numbers.hpp"
#include "fewbit/diagnose/report.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// Draws marks as lines with labels above the bars. Marks of the left half are labelled on their
/// right, the smallest on top; those of the right half on their left, the largest on top. So no
/// line crosses the label of a neighbour.
inline void draw_marks(drawing& page, const plot& area, std::vector<report_mark> marks) {
  const double middle = (area.lo_x + area.hi_x) / 2;
  std::stable_sort(marks.begin(), marks.end(), [&](const report_mark& a, const report_mark& b) {
    const bool a_right = a.value > middle;
    const bool b_right = b.value > middle;
    if (a_right != b_right) return b_right;
    return a_right ? a.value > b.value : a.value < b.value;
  });
  double y = 14;
  for (const report_mark& mark : marks) {
    const bool is_right = mark.value > middle;
    const bool is_beyond = mark.value > area.hi_x || mark.value < area.lo_x;
    const std::string used = mark.label == "in use" ? " used" : "";
    const double x = area.x(std::clamp(mark.value, area.lo_x, area.hi_x));
    if (!is_beyond) page.line("mark" + used, x, y - 8, x, area.bottom());
    page.text("mark-text" + used, x + (is_right ? -6 : 6), y, is_right ? "end" : "start",
              (is_beyond && !is_right ? "\u2190 " : "") + mark.label + " " +
                  short_text(mark.value) + (is_beyond && is_right ? " \u2192" : ""));
    y += 16;
  }
}

/// Values of the inputs of a layer. Counts are on a logarithmic axis. The axis is at most three
/// times as long as the values need.
[[nodiscard]] inline std::string chart_of_inputs(const report_histogram& h) {
  double lo = h.lo;
  double hi = h.hi;
  for (const report_mark& mark : h.marks) {
    lo = std::max(std::min(lo, mark.value), h.lo - (h.hi - h.lo));
    hi = std::min(std::max(hi, mark.value), h.hi + (h.hi - h.lo));
  }
  std::uint64_t largest = 1;
  for (const std::uint64_t n : h.counts) largest = std::max(largest, n);
  const double top = std::log10(static_cast<double>(largest)) + 0.3;
  const double labels = 16.0 * static_cast<double>(h.marks.size());
  const plot area{8, 8 + labels, 404, 120, lo, hi, 0, top};
  drawing page(420, area.bottom() + 28, "Histogram of the inputs");
  std::string bars;
  const double step = (area.x(h.hi) - area.x(h.lo)) / static_cast<double>(h.counts.size());
  for (std::size_t i = 0; i < h.counts.size(); ++i) {
    if (h.counts[i] == 0) continue;
    const double y = area.y(std::log10(static_cast<double>(h.counts[i])) + 0.3);
    bars += "M" + coordinate(area.x(h.lo) + step * static_cast<double>(i)) + " " +
            coordinate(area.bottom()) + "V" + coordinate(y) + "h" + coordinate(step * 0.86) + "V" +
            coordinate(area.bottom());
  }
  page.path("bar", bars);
  page.line("axis", area.left, area.bottom(), area.right(), area.bottom());
  const axis_ticks ticks = ticks_between(lo, hi, 6);
  for (int i = 0; i < ticks.count; ++i) {
    page.text("", area.x(ticks.at(i)), area.bottom() + 18, "middle",
              fixed_text(ticks.at(i), ticks.decimals));
  }
  draw_marks(page, area, h.marks);
  return page.take();
}

/// max|w| of the rows of a layer on a logarithmic axis. The line is the median.
[[nodiscard]] inline std::string chart_of_rows(const layer_figures& layer) {
  std::vector<double> sorted;
  for (const double r : layer.row_ranges) {
    if (r > 0 && std::isfinite(r)) sorted.push_back(r);
  }
  std::sort(sorted.begin(), sorted.end());
  if (sorted.empty()) return {};
  const double median = sorted[sorted.size() / 2];
  const double lo = std::log10(sorted.front()) - 0.15;
  const double hi = std::max(std::log10(sorted.back()), lo + 0.5) + 0.05;
  const double count = static_cast<double>(layer.row_ranges.size());
  const plot area{54, 12, 358, 116, 0, count, lo, hi};
  drawing page(420, 170, "Ranges of the rows of the weights");
  const double step = area.width / count;
  std::string bars;
  for (std::size_t i = 0; i < layer.row_ranges.size(); ++i) {
    const double r = layer.row_ranges[i];
    if (!(r > 0) || !std::isfinite(r)) continue;
    const double x = area.left + step * static_cast<double>(i);
    const double y = area.y(std::log10(r));
    if (r > least_wide_ratio * median) {
      page.rectangle("bad-fill", x, y, std::max(step * 0.82, 2.0), area.bottom() - y);
      continue;
    }
    bars += "M" + coordinate(x) + " " + coordinate(area.bottom()) + "V" + coordinate(y) + "h" +
            coordinate(step * 0.82) + "V" + coordinate(area.bottom());
  }
  page.path("bar", bars);
  page.line("axis", area.left, area.bottom(), area.right(), area.bottom());
  page.line("limit", area.left, area.y(std::log10(median)), area.right(),
            area.y(std::log10(median)));
  const double of_median = area.y(std::log10(median)) + 4;
  const double of_most = area.y(std::log10(sorted.back())) + 4;
  page.text("", area.left - 8, of_most, "end", short_text(sorted.back()));
  if (of_median - of_most > 13) page.text("", area.left - 8, of_median, "end", short_text(median));
  page.text("", area.left, area.bottom() + 18, "start", "0");
  page.text("", area.right(), area.bottom() + 18, "end",
            count_text(static_cast<std::uint64_t>(layer.rows - 1)));
  page.text("", (area.left + area.right()) / 2, area.bottom() + 34, "middle", "row");
  return page.take();
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
