#pragma once
/// Elements of inline SVG. Colours and sizes of text are in style.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/diagnose/page/numbers.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// A coordinate with one decimal.
[[nodiscard]] inline std::string coordinate(double x) {
  return (x < -0.05 ? "-" : "") + fixed_digits(x, 1);
}

/// A drawing; y increases downwards. `label` is what screen readers say.
class drawing {
 public:
  drawing(double width, double height, std::string_view label) {
    out_ = "<svg viewBox=\"0 0 " + coordinate(width) + " " + coordinate(height) +
           "\" role=\"img\" aria-label=\"" + escaped(label) + "\">";
  }

  void line(std::string_view style, double x1, double y1, double x2, double y2) {
    open("line", style);
    attribute("x1", x1).attribute("y1", y1).attribute("x2", x2).attribute("y2", y2);
    out_ += "/>";
  }

  void rectangle(std::string_view style, double x, double y, double width, double height) {
    open("rect", style);
    attribute("x", x).attribute("y", y).attribute("width", width).attribute("height", height);
    out_ += "/>";
  }

  /// A dot that shows `words` under the pointer.
  void dot(std::string_view style, double x, double y, double radius, std::string_view words) {
    open("circle", style);
    attribute("cx", x).attribute("cy", y).attribute("r", radius);
    out_ += "><title>" + escaped(words) + "</title></circle>";
  }

  /// @param anchor  the part of the text at x: start, middle or end
  void text(std::string_view style, double x, double y, std::string_view anchor,
            std::string_view words) {
    open("text", style);
    attribute("x", x).attribute("y", y);
    ((out_ += " text-anchor=\"") += anchor) += "\">" + escaped(words) + "</text>";
  }

  void path(std::string_view style, std::string_view steps) {
    open("path", style);
    ((out_ += " d=\"") += steps) += "\"/>";
  }

  /// Lines through the points. They are as small in the file as can be.
  void curve(std::string_view style, const std::vector<std::pair<double, double>>& points) {
    std::string steps;
    for (const auto& [x, y] : points) {
      steps += (steps.empty() ? "M" : "L") + coordinate(x) + " " + coordinate(y);
    }
    path(style, steps);
  }

  /// Starts a link; end_link() ends it.
  void link(std::string_view target) { out_ += "<a href=\"" + escaped(target) + "\">"; }
  void end_link() { out_ += "</a>"; }

  [[nodiscard]] std::string take() {
    out_ += "</svg>";
    return std::move(out_);
  }

 private:
  void open(std::string_view element, std::string_view style) {
    ((out_ += '<') += element);
    if (!style.empty()) ((out_ += " class=\"") += style) += '"';
  }

  drawing& attribute(std::string_view name, double value) {
    (((out_ += ' ') += name) += "=\"") += coordinate(value) + '"';
    return *this;
  }

  std::string out_;
};

/// Round numbers that cover an axis.
struct axis_ticks {
  double first = 0;
  double step = 1;
  int count = 0;
  int decimals = 0;

  [[nodiscard]] double at(int i) const noexcept { return first + step * i; }
};

/// At most `most` ticks within [lo, hi], 1, 2 or 5 times a power of ten apart.
[[nodiscard]] inline axis_ticks ticks_between(double lo, double hi, int most) {
  const double least = (hi - lo) / most;
  const double power = std::pow(10.0, std::floor(std::log10(least)));
  const double leading = least / power;
  const double step = power * (leading <= 1 ? 1 : leading <= 2 ? 2 : leading <= 5 ? 5 : 10);
  axis_ticks ticks;
  ticks.step = step;
  ticks.first = std::ceil(lo / step - 1e-9) * step;
  ticks.count = static_cast<int>(std::floor((hi - ticks.first) / step + 1e-9)) + 1;
  ticks.decimals = std::max(0, -static_cast<int>(std::floor(std::log10(step) + 1e-9)));
  return ticks;
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
