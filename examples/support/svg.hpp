#pragma once
/// Writes text and lines to an SVG file.

#include <cstdio>
#include <fstream>
#include <string>

#include "fewbit/core/error.hpp"

namespace fewbit::examples {

/// A white page. y increases downwards.
class svg {
 public:
  svg(double width, double height) {
    print(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %.0f %.0f' width='%.0f' "
        "height='%.0f' font-family='DejaVu Sans, Helvetica, Arial, sans-serif' font-size='13'>\n"
        "<rect width='100%%' height='100%%' fill='#fff'/>\n",
        width, height, width, height);
  }

  /// Adds an element, formatted as by printf. At most 511 characters.
  template <class... Values>
  void print(const char* format, Values... values) {
    char line[512];
    std::snprintf(line, sizeof line, format, values...);
    out_ += line;
  }

  /// @param anchor  the part of the text at x: start, middle or end
  /// @param style   further attributes of the element
  void text(double x, double y, const char* anchor, const char* color, const char* style,
            const std::string& words) {
    print("<text x='%.1f' y='%.1f' text-anchor='%s' fill='%s' %s>", x, y, anchor, color, style);
    for (const char c : words) out_ += c == '<' ? "&lt;" : c == '&' ? "&amp;" : std::string(1, c);
    out_ += "</text>\n";
  }

  void title(double x, double y, const std::string& words) {
    text(x, y, "start", "#111", "font-size='17' font-weight='bold'", words);
  }

  void line(double x1, double y1, double x2, double y2, const char* color, double thickness) {
    print("<line x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f' stroke='%s' stroke-width='%.1f'/>\n", x1,
          y1, x2, y2, color, thickness);
  }

  /// @throws fewbit::error if the file cannot be written
  void write(const std::string& path) const {
    std::ofstream file(path);
    file << out_ << "</svg>\n";
    file.close();
    if (!file) detail::fail("svg", path, "not writable", "a path to write to");
  }

 private:
  std::string out_;
};

}  // namespace fewbit::examples
