#pragma once
/// Draws a histogram with labelled marks to an SVG file.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/calib/histogram.hpp"
#include "svg.hpp"

namespace fewbit::examples {

/// A vertical line at `value`.
struct mark {
  std::string label;
  double value;
};

/// Counts on a logarithmic axis over [0, right edge of the last bin]. The labels are above the
/// bars, one per line, ordered from the smallest value down. So labels and marks never overlap,
/// even for close values.
class histogram_svg {
 public:
  histogram_svg(const histogram& h, std::vector<mark> marks, std::string title, std::string x_title)
      : marks_(std::move(marks)), title_(std::move(title)), x_title_(std::move(x_title)) {
    const index per_bar = std::max<index>(1, (h.bins() - h.zero + most_bars - 1) / most_bars);
    for (index i = h.zero; i < h.bins(); i += per_bar) {
      std::uint64_t sum = 0;
      for (index j = i; j < std::min(i + per_bar, h.bins()); ++j) sum += h.count(j);
      bars_.push_back(static_cast<double>(sum));
    }
    right_ = h.width * static_cast<double>(per_bar) * static_cast<double>(bars_.size());
    const double most = *std::max_element(bars_.begin(), bars_.end());
    decades_ = std::max(1.0, std::ceil(std::log10(most)));
    std::sort(marks_.begin(), marks_.end(),
              [](const mark& a, const mark& b) { return a.value < b.value; });
    top_ = 60.0 + label_height * static_cast<double>(marks_.size());
  }

  /// @throws fewbit::error if the file cannot be written.
  void write(const std::string& path) const {
    const double height = top_ + plot_height + 60.0;
    svg page(width, height);
    draw_bars(page);
    draw_axes(page);
    draw_marks(page);
    page.title(left, 28.0, title_);
    page.write(path);
  }

 private:
  static constexpr index most_bars = 200;
  static constexpr double width = 900.0;
  static constexpr double left = 70.0;
  static constexpr double plot_width = 660.0;
  static constexpr double plot_height = 320.0;
  static constexpr double label_height = 19.0;

  [[nodiscard]] double x_of(double value) const { return left + plot_width * value / right_; }
  [[nodiscard]] double y_of(double count) const {
    return top_ + plot_height * (1.0 - std::log10(std::max(count, 1.0)) / decades_);
  }

  /// A bin with one count has height 0 on this axis; its bar is drawn with a small height.
  void draw_bars(svg& page) const {
    const double step = plot_width / static_cast<double>(bars_.size());
    for (std::size_t i = 0; i < bars_.size(); ++i) {
      if (bars_[i] == 0.0) continue;
      const double y = y_of(std::max(bars_[i], 1.3));
      page.print("<rect x='%.2f' y='%.2f' width='%.2f' height='%.2f' fill='#9db4c8'/>\n",
                 left + step * static_cast<double>(i), y, std::max(step - 0.4, 0.5),
                 top_ + plot_height - y);
    }
  }

  void draw_axes(svg& page) const {
    const double bottom = top_ + plot_height;
    for (double e = 0.0; e <= decades_; ++e) {
      const double y = y_of(std::pow(10.0, e));
      page.line(left - 5.0, y, left, y, "#444", 1.0);
      char label[32];
      std::snprintf(label, sizeof label, "%.0f", std::pow(10.0, e));
      page.text(left - 9.0, y + 4.5, "end", "#444", "", label);
    }
    const double step = tick_step();
    for (double x = 0.0; x <= right_ * 1.0001; x += step) {
      page.line(x_of(x), bottom, x_of(x), bottom + 5.0, "#444", 1.0);
      char label[32];
      std::snprintf(label, sizeof label, "%.*f", step < 1.0 ? 1 : 0, x);
      page.text(x_of(x), bottom + 20.0, "middle", "#444", "", label);
    }
    page.line(left, top_, left, bottom, "#444", 1.0);
    page.line(left, bottom, left + plot_width, bottom, "#444", 1.0);
    page.text(left + plot_width / 2.0, bottom + 44.0, "middle", "#444", "", x_title_);
    page.text(left, top_ - 14.0, "end", "#444", "", "count");
  }

  /// The step, 1, 2 or 5 times a power of ten, that gives 4 to 10 ticks.
  [[nodiscard]] double tick_step() const {
    const double power = std::pow(10.0, std::floor(std::log10(right_ / 4.0)));
    const double leading = right_ / 4.0 / power;
    return power * (leading >= 5.0 ? 5.0 : leading >= 2.0 ? 2.0 : 1.0);
  }

  void draw_marks(svg& page) const {
    static constexpr const char* colors[] = {"#b2182b", "#1b7837", "#2166ac", "#8c510a",
                                             "#762a83", "#01665e", "#c51b7d", "#4d4d4d"};
    for (std::size_t i = 0; i < marks_.size(); ++i) {
      const char* color = colors[i % std::size(colors)];
      const double x = x_of(marks_[i].value);
      const double y = 56.0 + label_height * static_cast<double>(i);
      page.line(x, y - 10.0, x, top_ + plot_height, color, 1.6);
      char value[32];
      std::snprintf(value, sizeof value, ": %.3g", marks_[i].value);
      page.text(x + 5.0, y, "start", color, "", marks_[i].label + value);
    }
  }

  std::vector<mark> marks_;
  std::string title_;
  std::string x_title_;
  std::vector<double> bars_;
  double right_ = 0.0;
  double decades_ = 1.0;
  double top_ = 0.0;
};

}  // namespace fewbit::examples
