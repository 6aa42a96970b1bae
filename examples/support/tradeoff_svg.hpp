#pragma once
/// Draws the size and accuracy of several variants to an SVG file.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "svg.hpp"

namespace fewbit::examples {

/// One variant, a point of the picture.
struct tradeoff {
  std::string label;
  double bytes;
  double percent;
};

/// Bytes on a logarithmic x axis, percent on the y axis. Labels are listed on the right, the best
/// first, and a line connects each label with its point. So labels never overlap, even for close
/// points. Variants are drawn darker if no other is better in one value and at least equal in the
/// other.
class tradeoff_svg {
 public:
  tradeoff_svg(std::vector<tradeoff> ways, std::string title, std::string y_title)
      : ways_(std::move(ways)), title_(std::move(title)), y_title_(std::move(y_title)) {
    std::stable_sort(ways_.begin(), ways_.end(),
                     [](const tradeoff& a, const tradeoff& b) { return a.percent > b.percent; });
    const auto [fewest, most] =
        std::minmax_element(ways_.begin(), ways_.end(),
                            [](const tradeoff& a, const tradeoff& b) { return a.bytes < b.bytes; });
    first_power_ = std::floor(std::log2(fewest->bytes));
    last_power_ = std::max(std::ceil(std::log2(most->bytes)), first_power_ + 1.0);
    top_percent_ = 10.0 * std::ceil(ways_.front().percent / 10.0);
    low_percent_ = std::min(10.0 * std::floor(ways_.back().percent / 10.0), top_percent_ - 10.0);
    height_ = std::max(400.0, label_height * static_cast<double>(ways_.size() - 1));
  }

  /// @throws fewbit::error if the file cannot be written
  void write(const std::string& path) const {
    svg page(width, top + height_ + 60.0);
    page.title(left, 28.0, title_);
    draw_axes(page);
    draw_ways(page);
    page.write(path);
  }

 private:
  static constexpr double width = 1000.0;
  static constexpr double left = 60.0;
  static constexpr double top = 70.0;
  static constexpr double plot_width = 560.0;
  static constexpr double label_height = 19.0;

  [[nodiscard]] double x_of(double bytes) const {
    return left + plot_width * (std::log2(bytes) - first_power_) / (last_power_ - first_power_);
  }
  [[nodiscard]] double y_of(double percent) const {
    return top + height_ * (top_percent_ - percent) / (top_percent_ - low_percent_);
  }

  [[nodiscard]] bool is_beaten(const tradeoff& way) const {
    return std::any_of(ways_.begin(), ways_.end(), [&](const tradeoff& other) {
      return other.bytes <= way.bytes && other.percent >= way.percent &&
             (other.bytes < way.bytes || other.percent > way.percent);
    });
  }

  void draw_axes(svg& page) const {
    const double bottom = top + height_;
    char label[32];
    for (double percent = low_percent_; percent <= top_percent_; percent += 10.0) {
      page.line(left, y_of(percent), left + plot_width, y_of(percent), "#ddd", 1.0);
      std::snprintf(label, sizeof label, "%.0f", percent);
      page.text(left - 9.0, y_of(percent) + 4.5, "end", "#444", "", label);
    }
    for (double power = first_power_; power <= last_power_; ++power) {
      const double x = x_of(std::exp2(power));
      page.line(x, bottom, x, bottom + 5.0, "#444", 1.0);
      std::snprintf(label, sizeof label, "%.0f", std::exp2(power) / 1024.0);
      page.text(x, bottom + 20.0, "middle", "#444", "", label);
    }
    page.line(left, top, left, bottom, "#444", 1.0);
    page.line(left, bottom, left + plot_width, bottom, "#444", 1.0);
    page.text(left + plot_width / 2.0, bottom + 44.0, "middle", "#444", "", "KiB of weights");
    page.text(left - 30.0, top - 14.0, "start", "#444", "", y_title_);
  }

  void draw_ways(svg& page) const {
    const double labels = left + plot_width + 40.0;
    for (std::size_t i = 0; i < ways_.size(); ++i) {
      const tradeoff& way = ways_[i];
      const char* color = is_beaten(way) ? "#8aa4bd" : "#b2182b";
      const double x = x_of(way.bytes), y = y_of(way.percent);
      const double label_y = top + label_height * static_cast<double>(i);
      page.line(x, y, labels - 5.0, label_y - 4.5, color, 0.6);
      page.print("<circle cx='%.1f' cy='%.1f' r='4.5' fill='%s'/>\n", x, y, color);
      char numbers[64];
      std::snprintf(numbers, sizeof numbers, ": %.2f %%, %.0f KiB", way.percent,
                    way.bytes / 1024.0);
      page.text(labels, label_y, "start", "#111", "", way.label + numbers);
    }
  }

  std::vector<tradeoff> ways_;
  std::string title_;
  std::string y_title_;
  double first_power_ = 0.0;
  double last_power_ = 0.0;
  double low_percent_ = 0.0;
  double top_percent_ = 0.0;
  double height_ = 0.0;
};

}  // namespace fewbit::examples
