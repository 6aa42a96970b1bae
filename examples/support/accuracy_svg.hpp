#pragma once
/// Draws a table of accuracies: one group of bars for each network, one bar for each way to
/// quantize. A bar shows what is left of the quality in float, from `lowest_share` to all of it.

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "svg.hpp"
#include "table.hpp"

namespace fewbit::examples {

namespace accuracy_svg_detail {

inline constexpr double lowest_share = 90.0;
inline constexpr double left = 190.0, top = 84.0, width = 560.0, bar = 9.0, gap = 20.0;

struct kind {
  const char* name;
  const char* color;
};
/// The columns of the table after the one in float.
inline const std::vector<kind>& kinds() {
  static const std::vector<kind> all{
      {"int8, maximum", "#c7d3e0"},         {"int8, 99.99 %", "#a3b8cf"},
      {"int8, entropy", "#7f9dbe"},         {"int8, mean squared error", "#5b82ad"},
      {"int8, quantize_within", "#1f4e79"}, {"int4, quantize_within", "#d0783c"}};
  return all;
}

/// Percent of the quality in float; perplexities are better where they are smaller.
inline double share(const std::string& name, double real, double value) {
  const bool is_smaller_better = name.find("perplexity") != std::string::npos;
  return 100.0 * (is_smaller_better ? real / value : value / real);
}

inline double x_of(double percent) {
  return left + (std::clamp(percent, lowest_share, 101.0) - lowest_share) / 11.0 * width;
}

inline void draw_legend(svg& page) {
  double x = left;
  double y = 44.0;
  for (std::size_t i = 0; i < kinds().size(); ++i) {
    if (i == 3) {
      x = left;
      y += 18.0;
    }
    page.print("<rect x='%.1f' y='%.1f' width='11' height='11' fill='%s'/>\n", x, y - 10.0,
               kinds()[i].color);
    page.text(x + 17.0, y, "start", "#333", "font-size='12'", kinds()[i].name);
    x += 190.0;
  }
}

inline void draw_network(svg& page, const table::row& row, double y) {
  const std::string name = row.name.substr(0, row.name.find(','));
  char real[32];
  std::snprintf(real, sizeof real, "%.2f in float", row.values[0]);
  const double middle = y + bar * static_cast<double>(kinds().size()) / 2.0;
  page.text(left - 12.0, middle - 2.0, "end", "#111", "font-weight='bold'", name);
  page.text(left - 12.0, middle + 14.0, "end", "#666", "font-size='11'", real);
  for (std::size_t i = 0; i < kinds().size(); ++i, y += bar) {
    const double percent = share(row.name, row.values[0], row.values[i + 1]);
    page.print("<rect x='%.1f' y='%.1f' width='%.1f' height='%.1f' fill='%s'/>\n", left, y,
               std::max(1.0, x_of(percent) - left), bar - 1.5, kinds()[i].color);
    if (i + 2 < kinds().size()) continue;
    char text[32];
    std::snprintf(text, sizeof text, "%.2f", row.values[i + 1]);
    page.text(x_of(percent) + 5.0, y + 8.0, "start", "#333", "font-size='10'", text);
  }
}

}  // namespace accuracy_svg_detail

/// @throws fewbit::error if the file cannot be written
inline void draw_accuracy(const table& results, const std::string& path) {
  using namespace accuracy_svg_detail;
  const double group = bar * static_cast<double>(kinds().size()) + gap;
  const double height = group * static_cast<double>(results.rows().size());
  svg page(left + width + 70.0, top + height + 30.0);
  page.title(16.0, 22.0, "Quality after quantization, percent of float");
  draw_legend(page);
  for (int percent = 90; percent <= 100; percent += 2) {
    const double x = x_of(percent);
    page.line(x, top - 6.0, x, top + height - gap + 4.0, percent == 100 ? "#888" : "#e4e4e4", 1.0);
    page.text(x, top + height + 6.0, "middle", "#666", "font-size='11'",
              std::to_string(percent) + " %");
  }
  double y = top;
  for (const table::row& row : results.rows()) {
    draw_network(page, row, y);
    y += group;
  }
  page.write(path);
}

}  // namespace fewbit::examples
