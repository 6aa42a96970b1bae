#pragma once
/// What the numbers of the parts of a layer must be when they are read (ops/parts.hpp), and parts
/// that several layers have.

#include "fewbit/begin.hpp"

#include <cstdint>
#include <string>

#include "fewbit/core/error.hpp"
#include "fewbit/core/index.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

struct any_number {};
struct finite_number {
  bool operator()(float x) const noexcept { return is_finite(x); }
  static const char* want() noexcept { return "a finite number"; }
};
/// A scale of weights; 0 if all weights are 0.
struct scale_number {
  bool operator()(float x) const noexcept { return is_finite(x) && x >= 0.0F; }
  static const char* want() noexcept { return "a finite number of at least 0"; }
};
struct number_between {
  std::int64_t least;
  std::int64_t most;

  template <class T>
  bool operator()(const T& x) const noexcept {
    return x >= least && x <= most;
  }
  [[nodiscard]] std::string want() const {
    return std::to_string(least) + " to " + std::to_string(most);
  }
};

/// Scale and zero point.
template <class Params, class Parts>
void visit_params(Params& params, Parts& parts) {
  parts.number("scale", params.scale);
  parts.number("zero_point", params.zero_point);
}

template <class Extents, class Parts>
void visit_image(Extents& image, Parts& parts) {
  parts.number("image.height", image.height);
  parts.number("image.width", image.width);
  parts.number("image.channels", image.channels);
}

template <class Window, class Parts>
void visit_window(Window& window, Parts& parts) {
  parts.number("kernel.height", window.kernel.height);
  parts.number("kernel.width", window.kernel.width);
  parts.number("stride.height", window.stride.height);
  parts.number("stride.width", window.stride.width);
  parts.number("dilation.height", window.dilation.height);
  parts.number("dilation.width", window.dilation.width);
  parts.number("padding.top", window.padding.top);
  parts.number("padding.bottom", window.padding.bottom);
  parts.number("padding.left", window.padding.left);
  parts.number("padding.right", window.padding.right);
}

/// What a layer does to its outputs.
template <class Options, class Parts>
void visit_options(Options& options, Parts& parts) {
  parts.number("relu", options.relu);
  visit_params(options.output_params, parts);
}

/// Fails unless the product of extents of at least 0 is at most 2^60.
template <class... Extents>
void expect_countable(const char* place, const char* what, Extents... extents) {
  constexpr index most = index{1} << 60;
  index product = 1;
  for (const index extent : {index{extents}...}) {
    if (extent != 0 && product > most / extent) fail(place, what, "more than 2^60", "at most 2^60");
    product *= extent;
  }
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
