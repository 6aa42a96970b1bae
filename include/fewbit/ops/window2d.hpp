#pragma once
/// Windows that move over images: extents, stride, dilation and padding of convolutions and pools.
///
///     const image_extents image{224, 224, 3};
///     window2d window{.kernel = {3, 3}, .stride = {2, 2}};
///     window.padding = same_padding(image, window);
///     const placed_window placed("conv2d", image, window);  // checks; output() is 112 x 112
///
/// Images are NHWC: a pixel is `channels` neighbouring numbers, a row is `width` neighbouring
/// pixels. Operators take a batch of images as a matrix with one image in each row. Read next:
/// ops/conv2d.hpp, ops/pool2d.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>

#include "fewbit/config.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/ops/image_extents.hpp"
#include "fewbit/ops/parts/checks.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// The largest extent, stride, dilation and padding. Products of two of them fit an index.
inline constexpr index largest_extent = std::numeric_limits<std::int32_t>::max();
/// The most channels of an image of a layer that is read from a file.
inline constexpr index largest_channels = index{1} << 24;

inline void expect_extent_in(const char* function, const char* argument, index extent,
                             index least) {
  if (extent < least || extent > largest_extent) {
    fail(function, argument, extent,
         std::to_string(least) + " to " + std::to_string(largest_extent));
  }
}

/// Fails unless extents are 1 or more and their product fits an index.
inline void expect_valid_image(const char* function, const image_extents& image) {
  expect_extent_in(function, "image.height", image.height, 1);
  expect_extent_in(function, "image.width", image.width, 1);
  expect_extent_in(function, "image.channels", image.channels, 1);
  const index most = std::numeric_limits<index>::max() / 64 / image.pixels();
  expect(image.channels <= most, function, "image.channels", image.channels,
         "at most " + std::to_string(most) + " in an image of " + std::to_string(image.height) +
             " x " + std::to_string(image.width));
}

/// Fails unless kernel, stride and dilation are 1 or more and no padding is negative.
inline void expect_valid_window(const char* function, const window2d& window) {
  expect_extent_in(function, "kernel.height", window.kernel.height, 1);
  expect_extent_in(function, "kernel.width", window.kernel.width, 1);
  expect_extent_in(function, "stride.height", window.stride.height, 1);
  expect_extent_in(function, "stride.width", window.stride.width, 1);
  expect_extent_in(function, "dilation.height", window.dilation.height, 1);
  expect_extent_in(function, "dilation.width", window.dilation.width, 1);
  expect_extent_in(function, "padding.top", window.padding.top, 0);
  expect_extent_in(function, "padding.bottom", window.padding.bottom, 0);
  expect_extent_in(function, "padding.left", window.padding.left, 0);
  expect_extent_in(function, "padding.right", window.padding.right, 0);
}

/// The padding of one direction that makes ceil(extent / stride) windows; an odd pixel comes last.
struct padding_of_sides {
  index before;
  index after;

  padding_of_sides(index extent, index kernel, index stride, index dilation) noexcept {
    const index windows = (extent + stride - 1) / stride;
    const index all =
        std::max((windows - 1) * stride + reach_of(kernel, dilation) - extent, index{0});
    before = all / 2;
    after = all - before;
  }
};

}  // namespace detail

/// The padding for which the output has ceil(height / stride) x ceil(width / stride) pixels:
/// TFLite's SAME, ONNX's SAME_UPPER. An odd pixel is added at the bottom and at the right.
/// window.padding is not used.
/// @throws fewbit::error if an extent, a stride or a dilation is less than 1
[[nodiscard]] inline padding2d same_padding(const image_extents& image, const window2d& window) {
  window2d without = window;
  without.padding = {};
  detail::expect_valid_image("same_padding", image);
  detail::expect_valid_window("same_padding", without);
  const detail::padding_of_sides rows(image.height, window.kernel.height, window.stride.height,
                                      window.dilation.height);
  const detail::padding_of_sides cols(image.width, window.kernel.width, window.stride.width,
                                      window.dilation.width);
  return {rows.before, rows.after, cols.before, cols.after};
}

/// A window and the images that it moves over, checked.
class placed_window {
 public:
  /// A window of one pixel in an image of one pixel.
  placed_window() = default;

  /// @param function  the operator that errors name
  /// @throws fewbit::error if an extent, stride or dilation is less than 1, a padding is negative,
  ///         or the kernel is larger than the image with its padding
  placed_window(const char* function, const image_extents& image, const window2d& window)
      : image_(image), window_(window) {
    detail::expect_valid_image(function, image);
    detail::expect_valid_window(function, window);
    const padding2d& p = window.padding;
    out_.height = windows(function, "kernel.height", image.height + p.top + p.bottom,
                          window.kernel.height, window.dilation.height, window.stride.height);
    out_.width = windows(function, "kernel.width", image.width + p.left + p.right,
                         window.kernel.width, window.dilation.width, window.stride.width);
  }

  [[nodiscard]] const image_extents& image() const noexcept { return image_; }
  [[nodiscard]] const window2d& window() const noexcept { return window_; }
  /// Number of windows: the extents of the output image.
  [[nodiscard]] const extent2d& output() const noexcept { return out_; }
  [[nodiscard]] index output_pixels() const noexcept { return out_.height * out_.width; }

  /// Whether each window is one pixel and the windows are the pixels of the image in order.
  [[nodiscard]] bool is_pointwise() const noexcept {
    return window_.taps() == 1 && window_.stride == extent2d{} && window_.padding == valid_padding;
  }

  /// The kernel rows inside the image of the windows in output row `y`.
  [[nodiscard]] tap_range rows_of(index y) const noexcept {
    return detail::taps_inside(y * window_.stride.height - window_.padding.top,
                               window_.dilation.height, window_.kernel.height, image_.height);
  }
  /// The kernel columns inside the image of the windows in output column `x`.
  [[nodiscard]] tap_range cols_of(index x) const noexcept {
    return detail::taps_inside(x * window_.stride.width - window_.padding.left,
                               window_.dilation.width, window_.kernel.width, image_.width);
  }

 private:
  static index windows(const char* function, const char* argument, index padded, index kernel,
                       index dilation, index stride) {
    const index reach = detail::reach_of(kernel, dilation);
    if (reach > padded) {
      detail::fail(function, argument, kernel,
                   "at most " + std::to_string((padded - 1) / dilation + 1) +
                       ", because the image with its padding has " + std::to_string(padded) +
                       " pixels and the dilation is " + std::to_string(dilation));
    }
    return (padded - reach) / stride + 1;
  }

  image_extents image_;
  window2d window_;
  extent2d out_;
};

namespace detail {

template <class Placed, class Parts>
void visit_placed_window(Placed& placed, Parts& parts) {
  image_extents image = placed.image();
  window2d window = placed.window();
  visit_image(image, parts);
  visit_window(window, parts);
  if constexpr (Parts::loads) {
    placed = placed_window(parts.place(), image, window);
    expect_countable(parts.place(), "number of weights of a window", window.kernel.height,
                     window.kernel.width, image.channels);
    expect_countable(parts.place(), "number of codes of an image", placed.output().height,
                     placed.output().width, largest_channels);
  }
}

}  // namespace detail

}}  // namespace fewbit

#include "fewbit/end.hpp"
