#pragma once
/// Average and maximum of windows of images of Qm.n numbers: q7_average_pool2d, q7_max_pool2d.
///
///     constexpr q7_max_pool2d pool({8, 8, 16}, {.kernel = {2, 2}, .stride = {2, 2}});
///     pool(x, y);   // outputs have as many fractional bits as inputs
///
/// Read before: ops/qmn.hpp.

#include "fewbit/begin.hpp"

#include <cstdint>
#include <span>

#include "fewbit/ops/qmn/layer.hpp"
#include "fewbit/ops/qmn/window.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// The window, the checks and the loops of a pool. Pool::add combines the codes of a channel, and
/// Pool::code makes an output of them and of their number.
template <class Pool>
class q7_pool2d {
 public:
  /// @throws fewbit::error (without exceptions: calls the error handler) if the window does not fit
  ///         the image, could lie in the padding alone, or there is padding and dilation
  constexpr q7_pool2d(const image_extents& image, const window2d& window)
      : window_(Pool::name, image, window),
        output_(window_.output_image(Pool::name, image.channels)) {
    window_.expect_padding_in_kernel(Pool::name);
    expect_range(Pool::name, "kernel.height", window.kernel.height, 1,
                 Pool::most_taps / window.kernel.width);
  }

  [[nodiscard]] constexpr const image_extents& input() const noexcept { return window_.image(); }
  [[nodiscard]] constexpr const image_extents& output() const noexcept { return output_; }

  /// @param x  input().size() codes, NHWC
  /// @param y  output().size() codes, no part of x
  /// If lengths do not fit, the error handler is called and the program terminates.
  [[gnu::noinline]] void operator()(std::span<const std::int8_t> x,
                                    std::span<std::int8_t> y) const noexcept {
    stop_unless_equal(Pool::name, "length of x", static_cast<index>(x.size()), input().size());
    stop_unless_equal(Pool::name, "length of y", static_cast<index>(y.size()), output().size());
    const window2d& window = window_.window();
    const index channels = input().channels;
    const index col_step = window.dilation.width * channels;
    const index row_step = window.dilation.height * input().width * channels;
    std::int8_t* out = y.data();
    for (index row = 0; row < output_.height; ++row) {
      const tap_range v = window_.rows_of(row);
      for (index col = 0; col < output_.width; ++col) {
        const tap_range h = window_.cols_of(col);
        pixels inside{x.data() + (v.pixel * input().width + h.pixel) * channels, v.count(),
                      h.count(), row_step, col_step};
        index c = 0;
        for (; c + q7_rows <= channels; c += q7_rows, inside.first += q7_rows, out += q7_rows)
          reduce<q7_rows>(inside, out);
        for (; c < channels; ++c, ++inside.first, ++out) reduce<1>(inside, out);
      }
    }
  }

 private:
  /// The pixels of a window inside the image, from one channel on.
  struct pixels {
    const std::int8_t* first;
    index rows;
    index cols;
    index row_step;
    index col_step;
  };

  /// Computes N channels of an output pixel.
  template <int N>
  FEWBIT_ALWAYS_INLINE static void reduce(const pixels& inside, std::int8_t* out) noexcept {
    std::int32_t values[N];
#pragma GCC unroll 4
    for (int i = 0; i < N; ++i) values[i] = Pool::first;
    const std::int8_t* row = inside.first;
    for (index r = 0; r < inside.rows; ++r, row += inside.row_step) {
      const std::int8_t* pixel = row;
      for (index c = 0; c < inside.cols; ++c, pixel += inside.col_step) {
#pragma GCC unroll 4
        for (int i = 0; i < N; ++i) values[i] = Pool::add(values[i], pixel[i]);
      }
    }
    const auto count = static_cast<std::int32_t>(inside.rows * inside.cols);
#pragma GCC unroll 4
    for (int i = 0; i < N; ++i) out[i] = static_cast<std::int8_t>(Pool::code(values[i], count));
  }

  q7_window window_;
  image_extents output_;
};

struct q7_largest {
  static constexpr const char* name = "q7_max_pool2d";
  static constexpr index most_taps = 0x7FFFFFFF;
  static constexpr std::int32_t first = -128;

  static std::int32_t add(std::int32_t value, std::int32_t code) noexcept {
    return code > value ? code : value;
  }
  static std::int32_t code(std::int32_t value, std::int32_t /*count*/) noexcept { return value; }
};

struct q7_mean {
  static constexpr const char* name = "q7_average_pool2d";
  static constexpr index most_taps = (1 << 23) - 1;
  static constexpr std::int32_t first = 0;

  static std::int32_t add(std::int32_t value, std::int32_t code) noexcept { return value + code; }
  static std::int32_t code(std::int32_t value, std::int32_t count) noexcept {
    const std::int32_t half = count / 2;
    // NOLINTNEXTLINE(clang-analyzer-core.DivideZero): each window has pixels of the image
    return (value + (value < 0 ? -half : half)) / count;
  }
};

}  // namespace detail

/// y = the largest code of a window. Padding does not count.
/// Source: CMSIS-NN before 2020, arm_maxpool_q7_HWC.
using q7_max_pool2d = detail::q7_pool2d<detail::q7_largest>;

/// y = sum of the codes of a window / number of its pixels in the image, rounded to nearest, ties
/// away from zero, as average_pool2d. arm_avepool_q7_HWC of CMSIS-NN rounds toward zero.
using q7_average_pool2d = detail::q7_pool2d<detail::q7_mean>;

}}  // namespace fewbit

#include "fewbit/end.hpp"
