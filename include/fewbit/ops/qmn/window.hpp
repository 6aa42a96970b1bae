#pragma once
/// Windows of images without strings and Eigen: what placed_window of ops/window2d.hpp is for other
/// operators. Read next: ops/qmn/conv2d.hpp, ops/qmn/pool2d.hpp.

#include "fewbit/begin.hpp"

#include "fewbit/config.hpp"
#include "fewbit/core/range_checks.hpp"
#include "fewbit/ops/image_extents.hpp"
#include "fewbit/ops/qmn/layer.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// A window and the image that it moves over, checked.
class q7_window {
 public:
  constexpr q7_window(const char* function, const image_extents& image, const window2d& window)
      : image_(image), window_(window) {
    constexpr index most = q7_largest_extent;
    expect_range(function, "image.height", image.height, 1, most);
    expect_range(function, "image.width", image.width, 1, most);
    expect_range(function, "image.channels", image.channels, 1, most_codes / image.pixels());
    const padding2d& p = window.padding;
    expect_range(function, "padding.top", p.top, 0, most);
    expect_range(function, "padding.bottom", p.bottom, 0, most);
    expect_range(function, "padding.left", p.left, 0, most);
    expect_range(function, "padding.right", p.right, 0, most);
    out_.height = windows(function, {"kernel.height", "stride.height", "dilation.height"},
                          image.height + p.top + p.bottom, window.kernel.height,
                          window.dilation.height, window.stride.height);
    out_.width = windows(function, {"kernel.width", "stride.width", "dilation.width"},
                         image.width + p.left + p.right, window.kernel.width, window.dilation.width,
                         window.stride.width);
  }

  [[nodiscard]] constexpr const image_extents& image() const noexcept { return image_; }
  [[nodiscard]] constexpr const window2d& window() const noexcept { return window_; }
  [[nodiscard]] constexpr const extent2d& output() const noexcept { return out_; }

  /// The extents of the output image, checked.
  [[nodiscard]] constexpr image_extents output_image(const char* function, index channels) const {
    const index most = most_codes / (out_.height * out_.width);
    expect_range(function, "number of output channels", channels, 1, most);
    return {out_.height, out_.width, channels};
  }

  /// Fails if a window could lie in the padding alone.
  constexpr void expect_padding_in_kernel(const char* function) const {
    const auto& [kernel, stride, dilation, p] = window_;
    const index rows = p.top + p.bottom == 0 ? 0 : kernel.height - 1;
    const index cols = p.left + p.right == 0 ? 0 : kernel.width - 1;
    expect_range(function, "padding.top", p.top, 0, rows);
    expect_range(function, "padding.bottom", p.bottom, 0, rows);
    expect_range(function, "padding.left", p.left, 0, cols);
    expect_range(function, "padding.right", p.right, 0, cols);
    if (p != valid_padding) {
      expect_range(function, "dilation.height with padding", dilation.height, 1, 1);
      expect_range(function, "dilation.width with padding", dilation.width, 1, 1);
    }
  }

  /// The kernel rows inside the image of the windows in output row `y`.
  [[nodiscard]] constexpr tap_range rows_of(index y) const noexcept {
    return taps_inside(y * window_.stride.height - window_.padding.top, window_.dilation.height,
                       window_.kernel.height, image_.height);
  }
  /// The kernel columns inside the image of the windows in output column `x`.
  [[nodiscard]] constexpr tap_range cols_of(index x) const noexcept {
    return taps_inside(x * window_.stride.width - window_.padding.left, window_.dilation.width,
                       window_.kernel.width, image_.width);
  }

 private:
  /// The most codes of an image; positions in it fit 32 bits.
  static constexpr index most_codes = 0x7FFFFFFF;

  struct names {
    const char* kernel;
    const char* stride;
    const char* dilation;
  };

  static constexpr index windows(const char* function, const names& argument, index padded,
                                 index kernel, index dilation, index stride) {
    expect_range(function, argument.stride, stride, 1, q7_largest_extent);
    expect_range(function, argument.dilation, dilation, 1, q7_largest_extent);
    expect_range(function, argument.kernel, kernel, 1, (padded - 1) / dilation + 1);
    return (padded - reach_of(kernel, dilation)) / stride + 1;
  }

  image_extents image_;
  window2d window_;
  extent2d out_;
};

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
