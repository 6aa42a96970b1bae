#pragma once
/// Adds pixels and channels of the real number 0 around images of codes.
///
///     const pad2d<std::int8_t> pad({56, 56, 64}, {.top = 1, .left = 1}, zero_point);
///     pad(x, y);              // x: one image in each row; y: one padded image in each row
///
/// Convolutions and pools have padding of their own, which needs no copy (ops/window2d.hpp).

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>

#include "fewbit/core/executor.hpp"
#include "fewbit/ops/code_blocks.hpp"
#include "fewbit/ops/window2d.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// Channels of value 0 before and after those of an image.
struct padding_of_channels {
  index before = 0;
  index after = 0;

  friend constexpr bool operator==(const padding_of_channels&,
                                   const padding_of_channels&) = default;
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// y = x inside, the zero point around it. Source: TFLite's kernels Pad and PadV2.
///
/// @tparam T  std::int8_t, std::uint8_t or std::int16_t
template <Code T>
class pad2d {
  static constexpr const char* name = "pad2d";

 public:
  /// @param value  of the added codes: the zero point, or the code of another constant
  /// @throws fewbit::error if an extent is less than 1, a padding is negative, or value is no code
  pad2d(const image_extents& image, const padding2d& padding, std::int32_t value = 0,
        const padding_of_channels& channels = {})
      : image_(image), padding_(padding), channels_(channels), value_(static_cast<T>(value)) {
    detail::expect_valid_image(name, image);
    detail::expect_extent_in(name, "padding.top", padding.top, 0);
    detail::expect_extent_in(name, "padding.bottom", padding.bottom, 0);
    detail::expect_extent_in(name, "padding.left", padding.left, 0);
    detail::expect_extent_in(name, "padding.right", padding.right, 0);
    detail::expect_extent_in(name, "channels.before", channels.before, 0);
    detail::expect_extent_in(name, "channels.after", channels.after, 0);
    using limits = std::numeric_limits<T>;
    detail::expect_zero_point(name, "value", value, limits::min(), limits::max());
    output_ = {image.height + padding.top + padding.bottom,
               image.width + padding.left + padding.right,
               image.channels + channels.before + channels.after};
    detail::expect_valid_image(name, output_);
  }

  [[nodiscard]] const image_extents& image() const noexcept { return image_; }
  /// The extents of padded images.
  [[nodiscard]] const image_extents& output() const noexcept { return output_; }

  /// @param x  images of image().size() codes in rows
  /// @param y  as many rows of output().size() codes; no part of x
  /// @param executor  runs some rows of outputs at a time; results do not depend on it
  /// If shapes do not fit, the error handler is called and the program terminates.
  template <class X, class Y, Executor E = inline_executor>
  void operator()(const X& x, Y&& y, const E& executor = {}) const noexcept {
    if constexpr (detail::takes_codes<T, T, Y, X>()) {
      detail::expect_shapes({name, "x", "y"}, x, y, image_.size(), output_.size());
      const auto& from = detail::rows_of(x);
      auto&& to = detail::rows_of(y);
      const index row = output_.width * output_.channels;
      const index group = std::min(output_.height, (detail::codes_per_task + row - 1) / row);
      const index tasks = (output_.height + group - 1) / group;
      executor.for_each(to.rows() * tasks, [&](index task) {
        const T* image = from.data() + task / tasks * from.outerStride();
        T* out = to.data() + task / tasks * to.outerStride();
        const index end = std::min(output_.height, (task % tasks + 1) * group);
        for (index r = task % tasks * group; r < end; ++r) write_row(image, r, out + r * row);
      });
    }
  }

 private:
  void write_row(const T* image, index r, T* y) const noexcept {
    const index source = r - padding_.top;
    if (source < 0 || source >= image_.height) {
      std::fill_n(y, output_.width * output_.channels, value_);
      return;
    }
    const T* x = image + source * image_.width * image_.channels;
    y = std::fill_n(y, padding_.left * output_.channels, value_);
    if (output_.channels == image_.channels) {
      y = std::copy_n(x, image_.width * image_.channels, y);
    } else {
      for (index c = 0; c < image_.width; ++c, x += image_.channels) {
        y = std::fill_n(y, channels_.before, value_);
        y = std::copy_n(x, image_.channels, y);
        y = std::fill_n(y, channels_.after, value_);
      }
    }
    std::fill_n(y, padding_.right * output_.channels, value_);
  }

  image_extents image_;
  image_extents output_;
  padding2d padding_;
  padding_of_channels channels_;
  T value_;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
