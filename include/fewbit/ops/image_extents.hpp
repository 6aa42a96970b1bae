#pragma once
/// Extents of images and of windows that move over them, as plain data without Eigen.
///
/// Images are NHWC: a pixel is `channels` neighbouring numbers, a row is `width` neighbouring
/// pixels. Read next: ops/window2d.hpp, which checks and places windows.

#include "fewbit/begin.hpp"

#include "fewbit/config.hpp"
#include "fewbit/core/index.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// Height, width and number of channels of an image.
struct image_extents {
  index height = 1;
  index width = 1;
  index channels = 1;

  [[nodiscard]] constexpr index pixels() const noexcept { return height * width; }
  /// Number of codes or floats of the image.
  [[nodiscard]] constexpr index size() const noexcept { return pixels() * channels; }
  friend constexpr bool operator==(const image_extents&, const image_extents&) = default;
};

struct extent2d {
  index height = 1;
  index width = 1;

  friend constexpr bool operator==(const extent2d&, const extent2d&) = default;
};

/// Pixels of value 0 around an image.
struct padding2d {
  index top = 0;
  index bottom = 0;
  index left = 0;
  index right = 0;

  friend constexpr bool operator==(const padding2d&, const padding2d&) = default;
};

/// No padding: every window lies inside the image. `same_padding` is the other usual choice.
inline constexpr padding2d valid_padding{};

/// A window, and where its copies are placed. The pixels of a window are `dilation` pixels apart.
struct window2d {
  extent2d kernel{};
  extent2d stride{};
  extent2d dilation{};
  padding2d padding{};

  /// Number of pixels of a window.
  [[nodiscard]] constexpr index taps() const noexcept { return kernel.height * kernel.width; }
};

/// The kernel positions of a window whose pixels lie inside the image in one direction:
/// first .. end - 1. Position `first` is at pixel `pixel` of the image; the next position is
/// `dilation` pixels further.
struct tap_range {
  index first;
  index end;
  index pixel;

  [[nodiscard]] constexpr index count() const noexcept { return end - first; }
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// Pixels from the first to the last of a kernel with dilation.
[[nodiscard]] constexpr index reach_of(index kernel, index dilation) noexcept {
  return (kernel - 1) * dilation + 1;
}

/// The positions inside the image of a kernel whose first position is at pixel `begin`, which may
/// be negative.
[[nodiscard]] constexpr tap_range taps_inside(index begin, index dilation, index kernel,
                                              index extent) noexcept {
  index first = begin >= 0 ? 0 : (-begin + dilation - 1) / dilation;
  const index rest = extent - begin;  // pixels from `begin` to the end of the image
  index end = rest <= 0 ? 0 : (rest + dilation - 1) / dilation;
  end = end < kernel ? end : kernel;
  first = first < end ? first : end;
  return {first, end, begin + first * dilation};
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
