#pragma once
/// Draws lines over a logarithmic axis to an SVG file.

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "svg.hpp"

namespace fewbit::examples {

/// A named line. Its points are ordered from left to right.
struct chart_line {
  std::string label;
  std::vector<std::array<double, 2>> points;  ///< x > 0, y of 0 to 100
};

/// Percentages over an axis of powers of two. The names of the lines are listed on the right.
class line_chart_svg {
 public:
  /// The axis shows 2^first to 2^last.
  line_chart_svg(int first, int last, std::string title, std::string x_title, std::string y_title)
      : first_(first),
        last_(last),
        title_(std::move(title)),
        x_title_(std::move(x_title)),
        y_title_(std::move(y_title)) {}

  void add(chart_line line) { lines_.push_back(std::move(line)); }

  /// @throws fewbit::error if the file cannot be written.
  void write(const std::string& path) const {
    svg page(width, top + plot_height + 60.0);
    draw_axes(page);
    for (std::size_t i = 0; i < lines_.size(); ++i) draw_line(page, i);
    page.title(left, 28.0, title_);
    page.write(path);
  }

 private:
  static constexpr double width = 980.0;
  static constexpr double left = 60.0;
  static constexpr double top = 64.0;
  static constexpr double plot_width = 580.0;
  static constexpr double plot_height = 360.0;

  [[nodiscard]] double x_of(double x) const {
    // Leaves half a step of space on both sides.
    return left + plot_width * (std::log2(x) - first_ + 0.5) / (last_ - first_ + 1);
  }
  static double y_of(double percent) { return top + plot_height * (1.0 - percent / 100.0); }

  void draw_axes(svg& page) const {
    for (int percent = 0; percent <= 100; percent += 20) {
      const double y = y_of(percent);
      page.line(left, y, left + plot_width, y, percent == 0 ? "#444" : "#e4e7eb", 1.0);
      page.text(left - 9.0, y + 4.5, "end", "#444", "", std::to_string(percent));
    }
    for (int e = first_; e <= last_; ++e) {
      const double x = x_of(std::exp2(e));
      page.line(x, top + plot_height, x, top + plot_height + 5.0, "#444", 1.0);
      page.text(x, top + plot_height + 20.0, "middle", "#444", "", std::to_string(1 << e));
    }
    page.text(left + plot_width / 2.0, top + plot_height + 44.0, "middle", "#444", "", x_title_);
    page.text(left - 30.0, top - 14.0, "start", "#444", "", y_title_);
  }

  void draw_line(svg& page, std::size_t number) const {
    // Colours that are distinct for readers with colour blindness (Okabe and Ito).
    static constexpr std::array<const char*, 7> colors{"#0072b2", "#56b4e9", "#009e73", "#d55e00",
                                                       "#e69f00", "#cc79a7", "#444444"};
    const chart_line& line = lines_[number];
    const char* color = colors[number % colors.size()];
    for (std::size_t i = 0; i < line.points.size(); ++i) {
      const auto [x, y] = line.points[i];
      page.print("<circle cx='%.1f' cy='%.1f' r='4' fill='%s'/>\n", x_of(x), y_of(y), color);
      if (i == 0) continue;
      const auto [last_x, last_y] = line.points[i - 1];
      page.line(x_of(last_x), y_of(last_y), x_of(x), y_of(y), color, 2.0);
    }
    const double y = top + 20.0 + 22.0 * static_cast<double>(number);
    page.line(left + plot_width + 16.0, y - 4.5, left + plot_width + 40.0, y - 4.5, color, 2.0);
    page.text(left + plot_width + 48.0, y, "start", "#111", "", line.label);
  }

  int first_;
  int last_;
  std::string title_;
  std::string x_title_;
  std::string y_title_;
  std::vector<chart_line> lines_;
};

}  // namespace fewbit::examples
