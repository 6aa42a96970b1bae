#pragma once
/// Resizes images of codes: nearest pixel, or bilinear interpolation in integers.
///
///     const resize_bilinear<std::int8_t> up({28, 28, 64}, {56, 56}, {.half_pixel_centers = true});
///     up(x, y);
///
/// Inputs and outputs have one scale and one zero point. Positions are computed once, when the
/// operator is made. Source: TFLite's kernels ResizeNearestNeighbor and ResizeBilinear (integers).

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/ops/code_blocks.hpp"
#include "fewbit/ops/window2d.hpp"
#include "fewbit/ops/window_loops.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// Where the pixels of an output lie in the input.
struct resize_options {
  /// Corner pixels of inputs and outputs have the same centers.
  bool align_corners = false;
  /// The centers of pixels are at .5; otherwise at whole numbers.
  bool half_pixel_centers = false;

  friend constexpr bool operator==(const resize_options&, const resize_options&) = default;
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// The input pixels of an output row or column: (first * (1024 - part) + second * part) / 1024.
struct resize_tap {
  index first;
  index second;
  std::int32_t part;
};

/// Source: TFLite, GetNearestNeighbor.
[[nodiscard]] inline resize_tap nearest_tap(index at, index in, index out,
                                            const resize_options& options) noexcept {
  const bool aligned = options.align_corners && out > 1;
  const float scale = aligned ? static_cast<float>(in - 1) / static_cast<float>(out - 1)
                              : static_cast<float>(in) / static_cast<float>(out);
  const float offset = options.half_pixel_centers ? 0.5F : 0.0F;
  const float position = arch::rounded((static_cast<float>(at) + offset) * scale);
  const double whole =
      options.align_corners ? round_half_away(double{position}) : std::floor(double{position});
  const index pixel = std::clamp(static_cast<index>(whole), index{0}, in - 1);
  return {pixel, pixel, 0};
}

/// Source: TFLite, ComputeInterpolationValuesInteger. Positions have 10 fractional bits.
[[nodiscard]] inline resize_tap bilinear_tap(index at, index in, index out,
                                             const resize_options& options) noexcept {
  const bool aligned = options.align_corners && out > 1;
  const index from = aligned ? in - 1 : in, to = aligned ? out - 1 : out;
  const index scale = (1024 * from + to / 2) / to;
  const index position = at * scale + (options.half_pixel_centers ? scale / 2 - 512 : 0);
  const index first = std::clamp(position / 1024, index{0}, in - 1);
  const index second = std::min((position + 1023) / 1024, in - 1);
  // One pixel on both sides has all the weight.
  if (second <= first) return {first, first, 0};
  return {first, second, static_cast<std::int32_t>(position - 1024 * first)};
}

/// Loops and checks of both operators.
template <Code T>
class resized_images {
 public:
  template <class F>
  resized_images(const char* name, const image_extents& image, const extent2d& out,
                 const resize_options& options, const F& tap)
      : image_(image), out_(out) {
    expect_valid_image(name, image);
    expect_extent_in(name, "output.height", out.height, 1);
    expect_extent_in(name, "output.width", out.width, 1);
    expect_valid_image(name, {out.height, out.width, image.channels});
    expect_extent_below(name, "image.height", image.height);
    expect_extent_below(name, "image.width", image.width);
    if (options.align_corners && options.half_pixel_centers) {
      fail(name, "options", "align_corners and half_pixel_centers", "at most one of them");
    }
    taps_ = aligned_buffer<resize_tap>(out.height + out.width);
    for (index r = 0; r < out.height; ++r)
      taps_.data()[r] = tap(r, image.height, out.height, options);
    for (index c = 0; c < out.width; ++c)
      taps_.data()[out.height + c] = tap(c, image.width, out.width, options);
  }

  [[nodiscard]] const image_extents& image() const noexcept { return image_; }
  [[nodiscard]] image_extents output() const noexcept {
    return {out_.height, out_.width, image_.channels};
  }

  /// Calls pixel(row tap, column tap, image, y) for each output pixel.
  template <class X, class Y, class E, class F>
  void run(const char* name, const X& x, Y&& y, const E& executor, const F& pixel) const noexcept {
    expect_shapes({name, "x", "y"}, x, y, image_.size(), output().size());
    const auto& from = rows_of(x);
    auto&& to = rows_of(y);
    const index row = out_.width * image_.channels;
    const index group = std::min(out_.height, (codes_per_task + row - 1) / row);
    const index tasks = (out_.height + group - 1) / group;
    executor.for_each(to.rows() * tasks, [&](index task) {
      const T* image = from.data() + task / tasks * from.outerStride();
      const index end = std::min(out_.height, (task % tasks + 1) * group);
      for (index r = task % tasks * group; r < end; ++r) {
        T* out = to.data() + task / tasks * to.outerStride() + r * row;
        for (index c = 0; c < out_.width; ++c, out += image_.channels)
          pixel(taps_.data()[r], taps_.data()[out_.height + c], image, out);
      }
    });
  }

 private:
  static void expect_extent_below(const char* name, const char* argument, index extent) {
    constexpr index most = (1 << 21) - 1;  // positions have 10 fractional bits of 32
    expect(extent <= most, name, argument, extent, "at most " + std::to_string(most));
  }

  image_extents image_;
  extent2d out_;
  aligned_buffer<resize_tap> taps_;
};

}  // namespace detail

/// y = the pixel of x that is nearest to the position of a pixel of y.
///
/// @tparam T  std::int8_t, std::uint8_t or std::int16_t
template <Code T>
class resize_nearest {
  static constexpr const char* name = "resize_nearest";

 public:
  /// @param output  height and width of outputs
  /// @throws fewbit::error if an extent is less than 1 or 2^21 or more, or both options are set
  resize_nearest(const image_extents& image, const extent2d& output,
                 const resize_options& options = {})
      : images_(name, image, output, options, detail::nearest_tap) {}

  [[nodiscard]] const image_extents& image() const noexcept { return images_.image(); }
  [[nodiscard]] image_extents output() const noexcept { return images_.output(); }

  /// @param x  images of image().size() codes in rows
  /// @param y  as many rows of output().size() codes; no part of x
  /// @param executor  runs some rows of outputs at a time; results do not depend on it
  /// If shapes do not fit, the error handler is called and the program terminates.
  template <class X, class Y, Executor E = inline_executor>
  void operator()(const X& x, Y&& y, const E& executor = {}) const noexcept {
    if constexpr (detail::takes_codes<T, T, Y, X>()) {
      const index channels = image().channels, width = image().width;
      images_.run(name, x, y, executor, [&](const auto& row, const auto& col, const T* in, T* out) {
        std::copy_n(in + (row.first * width + col.first) * channels, channels, out);
      });
    }
  }

 private:
  detail::resized_images<T> images_;
};

/// y = the four pixels around the position of a pixel of y, weighted with 10 bits in each
/// direction; the sum of the weights is 2^20. Rounded half away from zero.
///
/// @tparam T  std::int8_t, std::uint8_t or std::int16_t
template <Code T>
class resize_bilinear {
  static constexpr const char* name = "resize_bilinear";
  using sum = std::conditional_t<sizeof(T) == 1, std::int32_t, std::int64_t>;

 public:
  /// @param output  height and width of outputs
  /// @throws fewbit::error if an extent is less than 1 or 2^21 or more, or both options are set
  resize_bilinear(const image_extents& image, const extent2d& output,
                  const resize_options& options = {})
      : images_(name, image, output, options, detail::bilinear_tap) {}

  [[nodiscard]] const image_extents& image() const noexcept { return images_.image(); }
  [[nodiscard]] image_extents output() const noexcept { return images_.output(); }

  /// As resize_nearest.
  template <class X, class Y, Executor E = inline_executor>
  void operator()(const X& x, Y&& y, const E& executor = {}) const noexcept {
    if constexpr (detail::takes_codes<T, T, Y, X>()) {
      const index channels = image().channels, width = image().width;
      images_.run(name, x, y, executor, [&](const auto& row, const auto& col, const T* in, T* out) {
        const T* at[4] = {in + (row.first * width + col.first) * channels,
                          in + (row.first * width + col.second) * channels,
                          in + (row.second * width + col.first) * channels,
                          in + (row.second * width + col.second) * channels};
        const sum top = 1024 - row.part, left = 1024 - col.part;
        const sum weights[4] = {top * left, top * col.part, row.part * left,
                                sum{row.part} * col.part};
        detail::for_each_channel_block<detail::code_ints::lanes>(
            channels, [&]<int N>(index c) FEWBIT_INLINE_LAMBDA {
              using codes = detail::lanes_of<T, N>;
              using sums = detail::lanes_of<sum, N>;
              sums total(sum{0});
#pragma GCC unroll 4
              for (int i = 0; i < 4; ++i)
                total = total + arch::convert<sum>(arch::load<codes>(at[i] + c)) * sums(weights[i]);
              // Half away from zero: a negative sum is rounded up after it was moved by a half.
              const sums negative = total >> sums(8 * sizeof(sum) - 1);
              const sums moved = total + sums(sum{1} << 19) + negative;
              arch::store<codes>(out + c, arch::convert<T>(sums(moved >> sums(20))));
            });
      });
    }
  }

 private:
  detail::resized_images<T> images_;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
