#pragma once
/// Means over the height, the width or both of images of codes, with a scale for the outputs of
/// their own: the global average pool before a classifier.
///
///     const mean2d<std::int8_t> mean({7, 7, 1280}, x_params, y_params);
///     mean(x, y);                  // x: one image in each row; y: 1280 codes in each row
///
/// Read before: ops/pool2d.hpp (averages of windows, without another scale).

#include "fewbit/begin.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <string>

#include "fewbit/core/executor.hpp"
#include "fewbit/core/fixed_point.hpp"
#include "fewbit/ops/code_blocks.hpp"
#include "fewbit/ops/pool2d.hpp"
#include "fewbit/ops/window2d.hpp"
#include "fewbit/ops/window_loops.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// The axes over which means are taken.
struct mean_axes {
  bool height = true;
  bool width = true;

  friend constexpr bool operator==(const mean_axes&, const mean_axes&) = default;
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// y = clamp(Mode((sum of x - n * x_zero) * factor / n) + y_zero, lowest, highest)
///
/// n is the number of pixels of a mean. factor / n is computed as TFLite does: the mantissa of the
/// factor is shifted left by floor(log2(n)) and divided by n, rounded down.
/// Source: TFLite's kernel QuantizedMeanOrSum, as tflite-micro's Mean uses it.
///
/// @tparam T     std::int8_t, std::uint8_t or std::int16_t (zero point 0)
/// @tparam Mode  a mode of core/fixed_point.hpp
template <Code T, FixedPointMode Mode = tflite_double>
class mean2d {
  static constexpr const char* name = "mean2d";

 public:
  /// @throws fewbit::error if an extent is less than 1, sums could leave int32, a scale is not
  ///         positive, S_x / S_y is 1024 or more, a zero point is no code, or bounds hold no code
  mean2d(const image_extents& image, const quant_params& x, const quant_params& y,
         const mean_axes& axes = {}, const code_bounds& bounds = {}) {
    detail::expect_code_params<T>(name, "x_params", x);
    detail::expect_code_params<T>(name, "y_params", y);
    const double factor = double{x.scale} / double{y.scale};
    detail::expect(factor < 1024.0, name, "x_params.scale / y_params.scale", factor,
                   "less than 1024");
    set(image, Mode::multiplier(factor), x.zero_point, {name, y.zero_point, bounds}, axes);
  }

  /// A multiplier S_x / S_y that was computed elsewhere.
  /// @throws fewbit::error if its mantissa is negative, its exponent is not -31 to 10, and as above
  mean2d(const image_extents& image, const fixed_multiplier& factor, std::int32_t x_zero,
         std::int32_t y_zero, const mean_axes& axes = {}, const code_bounds& bounds = {}) {
    detail::expect_multiplier(name, "factor", factor, -31, 10);
    detail::expect_code_zero<T>(name, "x_zero", x_zero);
    detail::expect_code_zero<T>(name, "y_zero", y_zero);
    set(image, factor, x_zero, {name, y_zero, bounds}, axes);
  }

  /// The images, and the windows over whole rows, columns or images.
  [[nodiscard]] const placed_window& windows() const noexcept { return windows_; }
  /// Codes of an output: channels, times the extent of an axis that is kept.
  [[nodiscard]] index outputs() const noexcept {
    return windows_.output_pixels() * windows_.image().channels;
  }

  /// @param x  images of windows().image().size() codes in rows
  /// @param y  as many rows of outputs() codes; no part of x
  /// @param executor  runs some outputs at a time; results do not depend on it
  /// If shapes do not fit, the error handler is called and the program terminates.
  template <class X, class Y, Executor E = inline_executor>
  void operator()(const X& x, Y&& y, const E& executor = {}) const noexcept {
    if constexpr (detail::takes_codes<T, T, Y, X>()) {
      detail::expect_images(name, windows_, x, y);
      const auto& from = detail::rows_of(x);
      auto&& to = detail::rows_of(y);
      detail::for_each_window_run<T, T>(
          windows_, from, to, executor, [this](const auto& run, T* out) {
            detail::for_each_in_run(run, windows_.image().channels, out,
                                    [this](const auto& w, T* pixel) { mean(w, pixel); });
          });
    }
  }

 private:
  void set(const image_extents& image, const fixed_multiplier& factor, std::int32_t x_zero,
           const detail::code_output<T>& output, const mean_axes& axes) {
    detail::expect_valid_image(name, image);
    window2d window;
    if (axes.height) window.kernel.height = image.height;
    if (axes.width) window.kernel.width = image.width;
    windows_ = placed_window(name, image, window);
    // |x - x_zero| < 2^8 or <= 2^15, times 2^exponent after the shift for n.
    const index n = window.taps(), most = index{1} << (sizeof(T) == 1 ? 23 : 15);
    detail::expect(n <= most, name, "number of pixels of a mean", n,
                   "at most " + std::to_string(most));
    int shift = std::bit_width(static_cast<std::uint32_t>(n)) - 1;
    shift = std::min(shift, 31 + factor.exponent);
    factor_ = {static_cast<std::int32_t>((std::int64_t{factor.mantissa} << shift) / n),
               factor.exponent - shift};
    start_ = static_cast<std::int32_t>(-x_zero * n);
    output_ = output;
  }

  void mean(const detail::window_pixels<T>& w, T* y) const noexcept {
    const bool is_narrow = sizeof(T) == 1 && w.count() <= detail::most_int16_taps;
    detail::for_each_channel_block<detail::code_ints::lanes>(
        windows_.image().channels, [&]<int N>(index c) FEWBIT_INLINE_LAMBDA {
          using sums = detail::lanes_of<std::int32_t, N>;
          using codes = detail::lanes_of<T, N>;
          sums sum(start_);
          const auto pixels = w.from_channel(c);
          if (is_narrow) {
            using halves = detail::lanes_of<std::int16_t, N>;
            halves narrow(std::int16_t{0});
            detail::for_each_pixel(detail::window_shape<0, 0>{}, pixels, [&](const T* p) {
              narrow =
                  static_cast<halves>(narrow + arch::convert<std::int16_t>(arch::load<codes>(p)));
            });
            sum = sum + arch::convert<std::int32_t>(narrow);
          } else {
            detail::for_each_pixel(detail::window_shape<0, 0>{}, pixels, [&](const T* p) {
              sum = sum + arch::convert<std::int32_t>(arch::load<codes>(p));
            });
          }
          const sums scaled = Mode::apply(sum, sums(factor_.mantissa), sums(factor_.exponent));
          const sums lowest(output_.bounds().lowest - output_.zero_point());
          const sums highest(output_.bounds().highest - output_.zero_point());
          const sums code = arch::clamp(scaled, lowest, highest) + sums(output_.zero_point());
          arch::store<codes>(y + c, arch::convert<T>(code));
        });
  }

  placed_window windows_;
  fixed_multiplier factor_;
  std::int32_t start_ = 0;
  detail::code_output<T> output_;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
