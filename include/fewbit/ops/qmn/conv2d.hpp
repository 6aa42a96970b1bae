#pragma once
/// Convolutions of images of Qm.n numbers: q7_conv2d.
///
///     constexpr q7_conv2d layer({8, 8, 1}, window, {weights, bias, shifts, true});
///     layer(x, y);   // 8 x 8 x 1 codes in, output().size() codes out
///
/// Rows of windows are read in place, so no memory is needed beside the images. Read before:
/// ops/qmn.hpp.

#include "fewbit/begin.hpp"

#include <cstdint>
#include <span>

#include "fewbit/ops/qmn/layer.hpp"
#include "fewbit/ops/qmn/window.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

template <class Word>
class q7_convolution : public saved_layer<q7_convolution<Word>> {
  static constexpr const char* name = "q7_conv2d";

 public:
  /// @param image    extents of the input
  /// @param weights  [outputs, kernel height, kernel width, channels], and a bias for each output
  /// @throws fewbit::error (without exceptions: calls the error handler) if the window does not fit
  ///         the image, lengths do not fit, a shift is out of range, or a sum could leave int32
  constexpr q7_convolution(const image_extents& image, const window2d& window,
                           const q7_weights& weights)
      : q7_convolution(name, {name, image, window}, weights) {}

  [[nodiscard]] constexpr const image_extents& input() const noexcept { return window_.image(); }
  [[nodiscard]] constexpr const image_extents& output() const noexcept { return output_; }

  /// @param x  input().size() codes, NHWC
  /// @param y  output().size() codes, no part of x
  /// If lengths do not fit, the error handler is called and the program terminates.
  [[gnu::noinline]] void operator()(std::span<const std::int8_t> x,
                                    std::span<std::int8_t> y) const noexcept {
    stop_unless_equal(name, "length of x", static_cast<index>(x.size()), input().size());
    stop_unless_equal(name, "length of y", static_cast<index>(y.size()), output().size());
    const q7_channels channels = channels_;  // a copy, which stores of codes cannot change
    const window2d& window = window_.window();
    const index pixel = input().channels;
    const bool is_dense = window.dilation.width == 1;
    const steps step{window.dilation.height * input().width * pixel, window.kernel.width * pixel,
                     window.dilation.width * pixel, pixel};
    std::int8_t* out = y.data();
    for (index row = 0; row < output_.height; ++row) {
      const tap_range v = window_.rows_of(row);
      for (index col = 0; col < output_.width; ++col) {
        const tap_range h = window_.cols_of(col);
        const taps inside{x.data() + (v.pixel * input().width + h.pixel) * pixel,
                          v.first * step.weight_row + h.first * pixel, v.count(),
                          is_dense ? 1 : h.count(), is_dense ? h.count() * pixel : pixel};
        index c = 0;
        for (; c + q7_rows <= channels.count(); c += q7_rows, out += q7_rows)
          add_taps<q7_rows>(inside, step, channels, c, out);
        for (; c < channels.count(); ++c, ++out) add_taps<1>(inside, step, channels, c, out);
      }
    }
  }

 private:
  friend struct parts_access;

  constexpr q7_convolution(const char* function, const q7_window& window, const q7_weights& weights)
      : window_(window),
        channels_(function, weights, depth_of(function, window.image(), window.window())),
        output_(window_.output_image(function, channels_.count())) {}

  template <class Parts>
  static void visit_parts(const q7_convolution& self, Parts& parts) {
    image_extents image = self.window_.image();
    window2d window = self.window_.window();
    q7_weights weights = self.channels_.parameters();
    visit_image(image, parts);
    visit_window(window, parts);
    visit_q7_weights(weights, self.channels_.depth(), parts);
  }
  template <class Parts>
  static q7_convolution from_parts(Parts& parts) {
    image_extents image;
    window2d window;
    q7_weights weights;
    visit_image(image, parts);
    visit_window(window, parts);
    const q7_window placed(parts.place(), image, window);
    visit_q7_weights(weights, depth_of(parts.place(), image, window), parts);
    return q7_convolution(parts.place(), placed, weights);
  }

  /// Products in the sum of an output. Image and window were checked.
  static constexpr index depth_of(const char* function, const image_extents& image,
                                  const window2d& window) {
    const index most = 0x7FFFFFFF / image.channels;
    expect_range(function, "kernel.height * kernel.width", window.kernel.height, 1,
                 most / window.kernel.width);
    return window.taps() * image.channels;
  }

  /// Codes from a row of a window to the next, in the image and in the weights, and from a run of
  /// neighbouring codes to the next.
  struct steps {
    index row;
    index weight_row;
    index run;
    index weight_run;
  };

  /// The taps of a window inside the image: rows of runs of `length` neighbouring codes.
  struct taps {
    const std::int8_t* first;
    index first_weight;
    index rows;
    index runs;
    index length;
  };

  /// Computes N channels of an output pixel.
  template <int N>
  FEWBIT_ALWAYS_INLINE static void add_taps(const taps& inside, const steps& step,
                                            const q7_channels& channels, index c,
                                            std::int8_t* out) noexcept {
    std::int32_t sums[N];
#pragma GCC unroll 4
    for (int i = 0; i < N; ++i) sums[i] = channels.first_sum(c + i);
    const std::int8_t* x = inside.first;
    const std::int8_t* w = channels.weights(c) + inside.first_weight;
    for (index r = 0; r < inside.rows; ++r, x += step.row, w += step.weight_row) {
      for (index i = 0; i < inside.runs; ++i) {
        add_q7_products<Word, N>(x + i * step.run, w + i * step.weight_run, channels.depth(),
                                 inside.length, sums);
      }
    }
#pragma GCC unroll 4
    for (int i = 0; i < N; ++i) out[i] = channels.code(sums[i]);
  }

  q7_window window_;
  q7_channels channels_;
  image_extents output_;
};

}  // namespace detail

/// The formula of q7_linear, with the sum over the codes of a window. Padding is 0.
/// Source: CMSIS-NN before 2020 without ARM_NN_TRUNCATE, arm_convolve_HWC_q7_basic_nonsquare.
using q7_conv2d = detail::q7_convolution<arch::dual_word>;

template <class Word>
inline constexpr const char* detail::layer_word<detail::q7_convolution<Word>> = "q7_conv2d";

}}  // namespace fewbit

#include "fewbit/end.hpp"
