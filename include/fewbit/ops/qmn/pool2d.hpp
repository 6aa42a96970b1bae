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

#include "fewbit/ops/qmn/window.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// The window, the checks and the loops of a pool. Pool::code(pixels of a window, ...) answers the
/// code of one channel.
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
        const std::int8_t* first = x.data() + (v.pixel * input().width + h.pixel) * channels;
        for (index c = 0; c < channels; ++c) {
          Pool pool(v.count() * h.count());
          const std::int8_t* line = first + c;
          for (index r = 0; r < v.count(); ++r, line += row_step) {
            const std::int8_t* pixel = line;
            for (index i = 0; i < h.count(); ++i, pixel += col_step) pool.add(*pixel);
          }
          *out++ = pool.code();
        }
      }
    }
  }

 private:
  q7_window window_;
  image_extents output_;
};

class q7_largest {
 public:
  static constexpr const char* name = "q7_max_pool2d";
  static constexpr index most_taps = 0x7FFFFFFF;

  explicit q7_largest(index /*pixels*/) noexcept {}
  void add(std::int8_t code) noexcept { largest_ = code > largest_ ? code : largest_; }
  [[nodiscard]] std::int8_t code() const noexcept { return static_cast<std::int8_t>(largest_); }

 private:
  std::int32_t largest_ = -128;
};

class q7_mean {
 public:
  static constexpr const char* name = "q7_average_pool2d";
  static constexpr index most_taps = (1 << 23) - 1;

  explicit q7_mean(index pixels) noexcept : count_(static_cast<std::int32_t>(pixels)) {}
  void add(std::int8_t code) noexcept { sum_ += code; }
  [[nodiscard]] std::int8_t code() const noexcept {
    const std::int32_t half = count_ / 2;
    return static_cast<std::int8_t>((sum_ + (sum_ < 0 ? -half : half)) / count_);
  }

 private:
  std::int32_t count_;
  std::int32_t sum_ = 0;
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
