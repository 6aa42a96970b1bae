#pragma once
/// The loops of operators that compute a pixel of an output from a window of pixels: over windows,
/// over the pixels of a window, over channels. Used by ops/pool2d.hpp, ops/mean2d.hpp and
/// ops/resize.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <type_traits>

#include "fewbit/arch/vec.hpp"
#include "fewbit/ops/code_blocks.hpp"
#include "fewbit/ops/window2d.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

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

/// Windows of one row of outputs that are neighbours and have equal extents.
template <class T>
struct window_run {
  window_pixels<T> first;
  index count;
  index step;  // codes from a window to the next
};

/// Calls f(window, output pixel) for the windows of a run.
///
/// @param channels  codes of an output pixel
template <class T, class Out, class F>
FEWBIT_ALWAYS_INLINE void for_each_in_run(const window_run<T>& run, index channels, Out* y,
                                          const F& f) noexcept {
  window_pixels<T> w = run.first;
  for (index i = 0; i < run.count; ++i, w.first += run.step, y += channels) f(w, y);
}

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

/// Calls f(run, y) for runs that cover the windows of a row of outputs, in order. Windows inside
/// the image columns are one run.
///
/// @param from  the first pixel of the first image row of the windows
/// @param rows  of the windows, inside the image
template <class T, class Out, class F>
FEWBIT_ALWAYS_INLINE void for_each_run(const placed_window& windows, const T* from, index rows,
                                       Out* y, const F& f) noexcept {
  const image_extents& image = windows.image();
  const window2d& window = windows.window();
  const index channels = image.channels, stride = window.stride.width;
  const index last_left = image.width - reach_of(window.kernel.width, window.dilation.width);
  const index row_step = window.dilation.height * image.width * channels;
  const index col_step = window.dilation.width * channels, count = windows.output().width;
  for (index c = 0; c < count;) {
    const index left = c * stride - window.padding.left;
    const bool inside = left >= 0 && left <= last_left;
    const tap_range h = inside ? tap_range{0, window.kernel.width, left} : windows.cols_of(c);
    const index in_run = inside ? std::min(count - c, (last_left - left) / stride + 1) : 1;
    f(window_run<T>{{from + h.pixel * channels, rows, h.count(), row_step, col_step},
                    in_run,
                    stride * channels},
      y + c * channels);
    c += in_run;
  }
}

/// Calls f(run, y) for runs that cover all windows of all images; y is the first output pixel of
/// the run. Tasks are some rows of an output image.
template <class T, class Out, class X, class Y, class E, class F>
void for_each_window_run(const placed_window& windows, const X& x, Y& y, const E& executor,
                         const F& f) noexcept {
  const image_extents& image = windows.image();
  const index rows = windows.output().height;
  const index per_row = std::max(windows.output().width * image.channels, index{1});
  const index group = std::min(rows, (codes_per_task + per_row - 1) / per_row);
  const index tasks = (rows + group - 1) / group;
  const T* images = x.data();
  Out* outputs = y.data();
  const index x_stride = x.outerStride(), y_stride = y.outerStride();
  executor.for_each(x.rows() * tasks, [&](index task) {
    // A copy: the compiler must assume that a store of a byte changes what a reference refers to.
    const F run = f;
    const index n = task / tasks, end = std::min(rows, (task % tasks + 1) * group);
    for (index r = task % tasks * group; r < end; ++r) {
      const tap_range v = windows.rows_of(r);
      for_each_run(windows, images + n * x_stride + v.pixel * image.width * image.channels,
                   v.count(), outputs + n * y_stride + r * per_row, run);
    }
  });
}

/// Calls f<lanes>(first channel) for blocks that cover all channels. The last block overlaps the
/// one before. With few channels, blocks are smaller.
template <int Lanes, class F>
FEWBIT_ALWAYS_INLINE void for_each_channel_block(index channels, const F& f) noexcept {
  const auto run = [&]<int N>() FEWBIT_INLINE_LAMBDA {
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

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
