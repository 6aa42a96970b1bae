#pragma once
/// Average and maximum of windows of images of codes.
///
///     const placed_window windows("average_pool2d", {56, 56, 128}, {.kernel = {2, 2}, .stride = {2, 2}});
///     const average_pool2d<std::int8_t> pool(windows);
///     pool(x, y);             // x: one image in each row; y: one output image in each row
///
/// Inputs and outputs have one scale and one zero point. Channels are the lanes of registers, so
/// images with 16 channels or more are fast. Read before: ops/window2d.hpp. Read next:
/// ops/mean2d.hpp (means with other scales of outputs).

#include "fewbit/begin.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <string>

#include "fewbit/arch/products.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/ops/code_blocks.hpp"
#include "fewbit/ops/window2d.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// Fails if a window could lie in the padding alone.
inline void expect_padding_in_kernel(const char* function, const window2d& w) {
  const auto expect_side = [&](const char* argument, index padding, index kernel, index dilation) {
    const index most = reach_of(kernel, dilation) - 1;
    expect(padding <= most, function, argument, padding,
           "at most " + std::to_string(most) + ", so that each window has pixels of the image");
  };
  expect_side("padding.top", w.padding.top, w.kernel.height, w.dilation.height);
  expect_side("padding.bottom", w.padding.bottom, w.kernel.height, w.dilation.height);
  expect_side("padding.left", w.padding.left, w.kernel.width, w.dilation.width);
  expect_side("padding.right", w.padding.right, w.kernel.width, w.dilation.width);
  expect(w.dilation == extent2d{} || w.padding == valid_padding, function, "padding",
         "not 0 with dilation", "0 with dilation");
}

/// The pixels of one window inside the image: rows x cols pixels at fixed distances.
template <class T>
struct window_pixels {
  const T* first;
  index rows;
  index cols;
  index row_step;  // codes from a row of the window to the next
  index col_step;

  [[nodiscard]] index count() const noexcept { return rows * cols; }
  [[nodiscard]] window_pixels from_channel(index c) const noexcept {
    window_pixels w = *this;
    w.first += c;
    return w;
  }
};

/// The extents of a window, known to the compiler, or those of the window where they are 0.
template <int Rows, int Cols>
struct window_shape {};

/// Calls f(pixel) for the pixels of a window.
template <int Rows, int Cols, class T, class F>
FEWBIT_ALWAYS_INLINE void for_each_pixel(window_shape<Rows, Cols>, const window_pixels<T>& w,
                                         const F& f) noexcept {
  const index rows = Rows != 0 ? Rows : w.rows, cols = Cols != 0 ? Cols : w.cols;
  const T* row = w.first;
#pragma GCC unroll 3
  for (index r = 0; r < rows; ++r, row += w.row_step) {
    const T* pixel = row;
#pragma GCC unroll 3
    for (index c = 0; c < cols; ++c, pixel += w.col_step) f(pixel);
  }
}

/// Calls f(shape). Small windows have loops of their own, which the compiler unrolls.
template <class T, class F>
FEWBIT_ALWAYS_INLINE void with_shape(const window_pixels<T>& w, const F& f) noexcept {
  if (w.rows == 2 && w.cols == 2) {
    f(window_shape<2, 2>{});
  } else if (w.rows == 3 && w.cols == 3) {
    f(window_shape<3, 3>{});
  } else {
    f(window_shape<0, 0>{});
  }
}

/// The shape of a call of a pool: x holds images in rows, y holds output images.
template <class X, class Y>
FEWBIT_ALWAYS_INLINE void expect_images(const char* function, const placed_window& windows,
                                        const X& x, const Y& y) noexcept {
  expect_shapes({function, "x", "y"}, x, y, windows.image().size(),
                windows.output_pixels() * windows.image().channels);
}

/// Calls pixel(window, y) for each window of each image; y is the output pixel. Tasks are some rows
/// of an output image.
template <class T, class Out, class X, class Y, class E, class F>
void for_each_window(const placed_window& windows, const X& x, Y& y, const E& executor,
                     const F& pixel) noexcept {
  const image_extents& image = windows.image();
  const window2d& window = windows.window();
  const index rows = windows.output().height, cols = windows.output().width;
  const index reach = reach_of(window.kernel.width, window.dilation.width);
  const index channels = image.channels, per_row = std::max(cols * channels, index{1});
  const index group = std::min(rows, (codes_per_task + per_row - 1) / per_row);
  const index tasks = (rows + group - 1) / group;
  const T* images = x.data();
  Out* outputs = y.data();
  const index x_stride = x.outerStride(), y_stride = y.outerStride();
  executor.for_each(x.rows() * tasks, [&](index task) {
    const index n = task / tasks, end = std::min(rows, (task % tasks + 1) * group);
    const T* from = images + n * x_stride;
    for (index r = task % tasks * group; r < end; ++r) {
      Out* to = outputs + n * y_stride + r * per_row;
      const tap_range v = windows.rows_of(r);
      index left = -window.padding.left;
      for (index c = 0; c < cols; ++c, to += channels, left += window.stride.width) {
        // The division of cols_of is only needed at the edges.
        const bool is_inside = left >= 0 && left + reach <= image.width;
        const tap_range h =
            is_inside ? tap_range{0, window.kernel.width, left} : windows.cols_of(c);
        pixel(window_pixels<T>{from + (v.pixel * image.width + h.pixel) * channels, v.count(),
                               h.count(), window.dilation.height * image.width * channels,
                               window.dilation.width * channels},
              to);
      }
    }
  });
}

/// Calls f<lanes>(first channel) for blocks that cover all channels. The last block overlaps the
/// one before. With few channels, blocks are smaller.
template <int Lanes, class F>
FEWBIT_ALWAYS_INLINE void for_each_channel_block(index channels, const F& f) noexcept {
  const auto run = [&]<int N>() {
    for (index c = 0; c < channels; c += N) f.template operator()<N>(std::min(c, channels - N));
  };
  if (channels >= Lanes) return run.template operator()<Lanes>();
  if constexpr (Lanes > 16) {
    if (channels >= 16) return run.template operator()<16>();
  }
  run.template operator()<1>();
}

/// Lanes of T, or one number.
template <class T, int Lanes>
using lanes_of = std::conditional_t<Lanes == 1, T, arch::vec<T, Lanes>>;

/// Means of up to 128 codes of type T from sums of code + 128, or of uint8 codes.
///
/// The quotient is a product and a shift. Ties go away from zero: the sum of an even number of int8
/// codes is reduced by 1 where it is negative, which changes ties alone.
/// Source: Granlund and Montgomery 1994, "Division by invariant integers using multiplication".
template <ByteCode T>
class rounded_mean {
 public:
  /// What is added to a code so that it is positive.
  static constexpr int offset = std::is_signed_v<T> ? 128 : 0;

  /// @param count  1 to 128
  explicit rounded_mean(index count) noexcept
      : half_(static_cast<std::uint16_t>(count / 2)),
        zero_(static_cast<std::uint16_t>(count / 2 + offset * count)),
        places_(std::bit_width(static_cast<std::uint32_t>(count - 1))),
        has_ties_(count % 2 == 0 && offset != 0) {
    const auto d = static_cast<std::uint32_t>(count);
    // 2^(15 + places) / count, rounded up, is at least 2^15 and less than 2^16.
    multiplier_ = static_cast<std::uint16_t>(((std::uint32_t{1} << (15 + places_)) + d - 1) / d);
  }

  /// A sum plus this is what operator() takes.
  [[nodiscard]] std::uint16_t half() const noexcept { return half_; }

  /// The mean plus offset, 0 to 255.
  template <class V>
  [[nodiscard]] FEWBIT_ALWAYS_INLINE V operator()(V sum) const noexcept {
    static_assert(std::is_same_v<arch::lane<V>, std::uint16_t>);
    if (places_ == 0) return sum;
    if (has_ties_) {
      // Sums are below 2^15, so signed comparisons do.
      const auto order = arch::bits_as<std::int16_t>(sum);
      using ints = std::remove_const_t<decltype(order)>;
      sum = static_cast<V>(sum + arch::select(order < ints(static_cast<std::int16_t>(zero_)),
                                              V(static_cast<std::uint16_t>(-1)),
                                              V(std::uint16_t{0})));
    }
    return static_cast<V>(arch::high_half_product(sum, V(multiplier_)) >>
                          V(static_cast<std::uint16_t>(places_ - 1)));
  }

 private:
  std::uint16_t half_;
  std::uint16_t zero_;  // the sum of zeros, plus half_
  std::uint16_t multiplier_ = 0;
  int places_;
  bool has_ties_;
};

/// The most pixels of 8-bit codes whose sum fits 15 bits.
inline constexpr index most_int16_taps = 128;

}  // namespace detail

/// Choices of average_pool2d.
struct average_options {
  /// Pixels of padding count, as real zeros; otherwise windows at the edges have fewer pixels.
  bool counts_padding = false;
  /// The code of a real zero: the zero point of inputs and outputs. Used if padding counts.
  std::int32_t zero_point = 0;
  /// Codes that outputs are clamped to.
  code_bounds bounds = {};
};

/// y = clamp(round(sum of the codes of a window / number of its pixels)), ties away from zero.
/// Source: TFLite's kernel AveragePool; CMSIS-NN arm_avgpool_s8 and arm_avgpool_s16.
///
/// @tparam T  std::int8_t, std::uint8_t or std::int16_t
template <Code T>
class average_pool2d {
  static constexpr const char* name = "average_pool2d";

 public:
  /// @throws fewbit::error if a window could lie in the padding alone, there is padding and
  ///         dilation, a window has more pixels than int32 sums allow, the zero point is no code,
  ///         or bounds hold no code
  explicit average_pool2d(const placed_window& windows, const average_options& options = {})
      : windows_(windows), options_(options) {
    detail::expect_padding_in_kernel(name, windows.window());
    constexpr index most = sizeof(T) == 1 ? (1 << 23) - 1 : (1 << 16) - 2;
    const index taps = windows.window().taps();
    detail::expect(taps <= most, name, "kernel.height * kernel.width", taps,
                   "at most " + std::to_string(most));
    detail::expect_code_zero<T>(name, "options.zero_point", options.zero_point);
    options_.bounds = detail::bounds_of<T>(name, options.bounds);
  }

  [[nodiscard]] const placed_window& windows() const noexcept { return windows_; }
  [[nodiscard]] const average_options& options() const noexcept { return options_; }

  /// @param x  images of windows().image().size() codes in rows
  /// @param y  as many rows of windows().output_pixels() * channels codes; no part of x
  /// @param executor  runs some rows of outputs at a time; results do not depend on it
  /// If shapes do not fit, the error handler is called and the program terminates.
  template <class X, class Y, Executor E = inline_executor>
  void operator()(const X& x, Y&& y, const E& executor = {}) const noexcept {
    if constexpr (detail::takes_codes<T, T, Y, X>()) {
      detail::expect_images(name, windows_, x, y);
      const auto& from = detail::rows_of(x);
      auto&& to = detail::rows_of(y);
      const index taps = windows_.window().taps();
      if (uses_int16(taps)) {
        const rounded_mean whole(taps);
        detail::for_each_window<T, T>(windows_, from, to, executor, [&](const auto& w, T* out) {
          const index count = divisor(w);
          if constexpr (ByteCode<T>) average16(w, count == taps ? whole : rounded_mean(count), out);
        });
      } else {
        detail::for_each_window<T, T>(windows_, from, to, executor, [&](const auto& w, T* out) {
          average32(w, divisor(w), out);
        });
      }
    }
  }

 private:
  using pixels = detail::window_pixels<T>;
  /// Of 8-bit codes; not used for others.
  using rounded_mean = detail::rounded_mean<std::conditional_t<ByteCode<T>, T, std::int8_t>>;

  [[nodiscard]] static bool uses_int16(index taps) noexcept {
    return ByteCode<T> && taps <= detail::most_int16_taps;
  }
  [[nodiscard]] index divisor(const pixels& w) const noexcept {
    return options_.counts_padding ? windows_.window().taps() : w.count();
  }
  /// The sum of the pixels of padding.
  [[nodiscard]] std::int32_t padding_sum(const pixels& w) const noexcept {
    if (!options_.counts_padding) return 0;
    return options_.zero_point * static_cast<std::int32_t>(windows_.window().taps() - w.count());
  }

  /// Sums in 16 bits. A pair of bytes is a 16-bit number: `all` sums these numbers modulo 2^16, and
  /// `high` sums their higher bytes, so that all - 256 * high sums the lower bytes.
  FEWBIT_ALWAYS_INLINE void average16(const pixels& w, const rounded_mean& mean,
                                      T* y) const noexcept {
    constexpr int offset = rounded_mean::offset;
    const index missing = options_.counts_padding ? windows_.window().taps() - w.count() : 0;
    const auto start = static_cast<std::uint16_t>(mean.half() + (options_.zero_point + offset) *
                                                                    static_cast<int>(missing));
    const auto lowest = static_cast<T>(options_.bounds.lowest);
    const auto highest = static_cast<T>(options_.bounds.highest);
    detail::with_shape(w, [&](auto shape) FEWBIT_INLINE_LAMBDA {
      detail::for_each_channel_block<arch::native_lanes<T>>(
          windows_.image().channels, [&]<int N>(index c) FEWBIT_INLINE_LAMBDA {
            const pixels from = w.from_channel(c);
            if constexpr (N == 1) {
              std::uint16_t sum = start;
              detail::for_each_pixel(shape, from, [&](const T* p) {
                sum = static_cast<std::uint16_t>(sum + *p + offset);
              });
              y[c] = std::clamp(static_cast<T>(mean(sum) - offset), lowest, highest);
            } else {
              using words = arch::vec<std::uint16_t, N / 2>;
              using codes = arch::vec<T, N>;
              const words flip(static_cast<std::uint16_t>(offset * 257)), eight(std::uint16_t{8});
              words all(std::uint16_t{0}), high(std::uint16_t{0});
              detail::for_each_pixel(shape, from, [&](const T* p) {
                words word;
                std::memcpy(&word.data, p, sizeof(word.data));
                word = word ^ flip;
                all = all + word;
                high = high + (word >> eight);
              });
              const words low = all - (high << eight) + words(start);
              const words code = (mean(low) | (mean(words(high + words(start))) << eight)) ^ flip;
              codes mean_codes;
              std::memcpy(&mean_codes.data, &code.data, sizeof(code.data));
              arch::clamp(mean_codes, codes(lowest), codes(highest)).store(y + c);
            }
          });
    });
  }

  /// Sums in 32 bits, divided in double: the quotient of two integers of 32 bits is never rounded
  /// up to the next integer.
  void average32(const pixels& w, index count, T* y) const noexcept {
    const std::int32_t start = padding_sum(w), half = static_cast<std::int32_t>(count / 2);
    detail::for_each_channel_block<detail::code_ints::lanes>(
        windows_.image().channels, [&]<int N>(index c) FEWBIT_INLINE_LAMBDA {
          using sums = detail::lanes_of<std::int32_t, N>;
          using codes = detail::lanes_of<T, N>;
          using reals = arch::rebind<sums, double>;
          sums sum(start);
          detail::for_each_pixel(detail::window_shape<0, 0>{}, w.from_channel(c), [&](const T* p) {
            sum = sum + arch::convert<std::int32_t>(arch::load<codes>(p));
          });
          sum = sum + arch::select(sum < sums(0), sums(-half), sums(half));
          const reals quotient = arch::convert<double>(sum) / reals(static_cast<double>(count));
          const sums mean =
              arch::clamp(arch::convert<std::int32_t>(quotient), sums(options_.bounds.lowest),
                          sums(options_.bounds.highest));
          arch::store<codes>(y + c, arch::convert<T>(mean));
        });
  }

  placed_window windows_;
  average_options options_;
};

/// y = clamp(the largest code of a window). Padding never counts.
/// Source: TFLite's kernel MaxPool; CMSIS-NN arm_max_pool_s8 and arm_max_pool_s16.
///
/// @tparam T  std::int8_t, std::uint8_t or std::int16_t
template <Code T>
class max_pool2d {
  static constexpr const char* name = "max_pool2d";

 public:
  /// @throws fewbit::error if a window could lie in the padding alone, there is padding and
  ///         dilation, or bounds hold no code
  explicit max_pool2d(const placed_window& windows, const code_bounds& bounds = {})
      : windows_(windows) {
    detail::expect_padding_in_kernel(name, windows.window());
    bounds_ = detail::bounds_of<T>(name, bounds);
  }

  [[nodiscard]] const placed_window& windows() const noexcept { return windows_; }
  [[nodiscard]] const code_bounds& bounds() const noexcept { return bounds_; }

  /// As average_pool2d.
  template <class X, class Y, Executor E = inline_executor>
  void operator()(const X& x, Y&& y, const E& executor = {}) const noexcept {
    if constexpr (detail::takes_codes<T, T, Y, X>()) {
      detail::expect_images(name, windows_, x, y);
      const auto& from = detail::rows_of(x);
      auto&& to = detail::rows_of(y);
      const auto lowest = static_cast<T>(bounds_.lowest), highest = static_cast<T>(bounds_.highest);
      detail::for_each_window<T, T>(windows_, from, to, executor, [&](const auto& w, T* out) {
        detail::with_shape(w, [&](auto shape) FEWBIT_INLINE_LAMBDA {
          detail::for_each_channel_block<arch::native_lanes<T>>(
              windows_.image().channels, [&]<int N>(index c) FEWBIT_INLINE_LAMBDA {
                using codes = detail::lanes_of<T, N>;
                codes largest(lowest);
                detail::for_each_pixel(shape, w.from_channel(c), [&](const T* p) {
                  largest = arch::max(largest, arch::load<codes>(p));
                });
                arch::store<codes>(out + c, arch::min(largest, codes(highest)));
              });
        });
      });
    }
  }

 private:
  placed_window windows_;
  code_bounds bounds_;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
