#pragma once
/// Depthwise convolutions of NHWC images: each channel has a kernel of its own.
///
///     depthwise_conv2d<integer_only<std::int8_t>> layer(
///         {codes, scales}, image, window, bias, input_params, {.output_params = output_params});
///     layer(x, y);                                  // one image in each row
///
///     auto scratch = layer.make_scratch(threads);   // parts: bands of output rows
///     layer(x, y, scratch, executor);
///
/// y(row, col, c * M + m) = output(bias + sum over ky, kx of
///     (x(row * stride - top + ky * dilation, col * stride - left + kx * dilation, c) - input zero)
///     * (w(ky, kx, c * M + m) - zero of w))
///
/// for M = multiplier. Pixels outside the image are the real number 0. The output is that of
/// ops/integer_output.hpp: a fixed-point multiplier with the rounding of Mode, a zero point,
/// bounds.
///
/// | Inputs                        | sums  | bias  | outputs               |
/// |-------------------------------|-------|-------|-----------------------|
/// | integer_only<int8_t, Out>     | int32 | int32 | int8_t or uint8_t     |
/// | integer_only<uint8_t, Out>    | int32 | int32 | int8_t or uint8_t     |
/// | integer_only<int16_t>         | int64 | int64 | int16_t; the rounding |
/// |                               |       |       | is requantize_int64   |
///
/// Kernels of 3 or 5 columns without dilation and with strides 1 and 2 are fastest. A call works in
/// registers and at most 16 KiB of stack. Read next: ops/depthwise/tile.hpp.

#include "fewbit/begin.hpp"

#include <cstdint>
#include <span>
#include <string>

#include "fewbit/core/error.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/operands.hpp"
#include "fewbit/ops/depthwise/product.hpp"
#include "fewbit/ops/integer_output.hpp"
#include "fewbit/ops/layer.hpp"
#include "fewbit/ops/window2d.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// @tparam Inputs  integer_only<In, Out, Mode>
/// @tparam Arch    instruction set, for comparing; programs leave it alone
template <class Inputs, class Arch = arch::native>
class depthwise_conv2d : public detail::saved_layer<depthwise_conv2d<Inputs, Arch>> {
  static_assert(detail::are_integer_only<Inputs>,
                "fewbit: depthwise_conv2d takes integer_only<In, Out, Mode>");
  static constexpr const char* name = "depthwise_conv2d";
  using product = detail::depthwise_product<Inputs, Arch>;

 public:
  using inputs_type = Inputs;
  using code = typename Inputs::code;
  using out = typename Inputs::out;
  /// std::int32_t, or std::int64_t for inputs of 16 bits.
  using bias_type = typename product::bias_type;

  /// No images.
  depthwise_conv2d() = default;

  /// The factors are S_in * S_w / S_out, in double.
  ///
  /// @param weights  codes: taps x output channels
  /// @param image    extents of the inputs
  /// @param bias     multiples of S_in * S_w, one for each output channel, or none
  /// @param multiplier  output channels of each channel of the image, M
  /// @throws fewbit::error if the window does not fit the image, if weights, scales, zero points or
  ///         bias have other extents, if a scale is no positive number, if a zero point is no code,
  ///         if the rounding mode cannot hold a factor, or if a sum could leave int32 (int16
  ///         inputs: 2^47)
  depthwise_conv2d(const depthwise_weights& weights, const image_extents& image,
                   const window2d& window, std::span<const bias_type> bias,
                   const quant_params& input_params, const integer_options& options,
                   index multiplier = 1)
      : depthwise_conv2d{
            weights,
            checked(weights, image, window, multiplier, bias),
            bias,
            std::span<const double>(detail::depthwise_factors(
                name, weights, image.channels * multiplier, input_params, options.output_params)),
            input_params.zero_point,
            options} {}

  /// With multipliers that were computed elsewhere, one for each output channel. Scales of weights
  /// and outputs are not used.
  depthwise_conv2d(const depthwise_weights& weights, const image_extents& image,
                   const window2d& window, std::span<const bias_type> bias,
                   std::span<const fixed_multiplier> multipliers, std::int32_t input_zero_point,
                   const integer_options& options, index multiplier = 1)
      : depthwise_conv2d{weights,
                         checked(weights, image, window, multiplier, bias),
                         bias,
                         checked(multipliers, image.channels * multiplier),
                         input_zero_point,
                         options} {}

  /// Codes of an image: height * width * channels.
  [[nodiscard]] index inputs() const noexcept { return is_empty() ? 0 : shape().inputs(); }
  /// Codes of an output image.
  [[nodiscard]] index outputs() const noexcept { return is_empty() ? 0 : shape().outputs(); }
  /// The window, the image and the extents of the output.
  [[nodiscard]] const placed_window& window() const noexcept { return shape().window; }
  /// Number of output channels.
  [[nodiscard]] index channels() const noexcept { return is_empty() ? 0 : shape().channels(); }
  /// Bytes that the layer holds: packed weights, multipliers, bias and a pixel of padding.
  [[nodiscard]] index bytes() const noexcept { return product_.bytes(); }

  /// @param x  m x inputs() codes, one image in each row
  /// @param y  m x outputs() codes, no part of x
  /// Both are row-major, or compile-time vectors, each one row. If shapes do not fit, the error
  /// handler is called and the program terminates (core/operands.hpp).
  template <class X, class Y>
  void operator()(const X& x, Y&& y) const noexcept {
    run(x, y, 1, inline_executor{});
  }

  /// The same in parts, one for each slot of scratch.workers. Results depend neither on the
  /// executor nor on the number of parts.
  template <class X, class Y, Executor E = inline_executor>
  void operator()(const X& x, Y&& y, layer_scratch& scratch,
                  const E& executor = {}) const noexcept {
    detail::expect_room(name, "scratch.workers", scratch.workers, 0);
    run(x, y, scratch.workers.slots(), executor);
  }

  /// Makes room for the parts of `workers` threads.
  /// @throws fewbit::error unless workers >= 1
  void reserve(layer_scratch& scratch, index workers = 1) const {
    detail::expect_workers(name, workers, 0);
    scratch.workers.reserve(0, workers);
  }
  /// Scratch memory of its own, as reserve() makes it.
  [[nodiscard]] layer_scratch make_scratch(index workers = 1) const {
    layer_scratch scratch;
    reserve(scratch, workers);
    return scratch;
  }

 private:
  friend struct detail::parts_access;

  template <class Self, class Parts>
  static void visit_parts(Self& self, Parts& parts) {
    if constexpr (!Parts::loads)
      detail::expect(!self.is_empty_, "save", "number of channels", 0, "at least 1");
    product::visit_parts(self.product_, parts);
    if constexpr (Parts::loads) self.is_empty_ = false;
  }

  template <class Factor>
  depthwise_conv2d(const depthwise_weights& weights, const detail::depthwise_shape& shape,
                   std::span<const bias_type> bias, std::span<const Factor> factors,
                   std::int32_t input_zero, const integer_options& options)
      : product_(name, weights, shape, bias, factors, input_zero, options), is_empty_(false) {}

  static detail::depthwise_shape checked(const depthwise_weights& weights,
                                         const image_extents& image, const window2d& window,
                                         index multiplier, std::span<const bias_type> bias) {
    const detail::depthwise_shape shape{placed_window(name, image, window), multiplier};
    detail::expect_depthwise_weights(name, weights, shape);
    if (!bias.empty()) {
      detail::expect_equal(name, "length of bias", static_cast<index>(bias.size()),
                           shape.channels());
    }
    return shape;
  }

  static std::span<const fixed_multiplier> checked(std::span<const fixed_multiplier> multipliers,
                                                   index channels) {
    detail::expect_equal(name, "number of multipliers", static_cast<index>(multipliers.size()),
                         channels);
    return multipliers;
  }

  [[nodiscard]] const detail::depthwise_shape& shape() const noexcept { return product_.shape(); }
  [[nodiscard]] bool is_empty() const noexcept { return is_empty_; }

  template <class X, class Y, class E>
  void run(const X& x, Y& y, index parts, const E& executor) const noexcept {
    if constexpr (detail::reads_in_place<X, code>() && detail::writes_in_place<Y, out>()) {
      detail::expect_shapes({name, "x", "y"}, x, y, inputs(), outputs());
      if (is_empty()) return;
      const auto& from = detail::rows_of(x);
      auto&& to = detail::rows_of(y);
      const detail::code_rows<code> source{from.data(), from.outerStride()};
      const detail::output_rows<out> target{to.data(), to.outerStride(), to.rows(), to.cols()};
      const index rows = to.rows() * window().output().height;
      executor.for_each(parts, [&](index part) {
        product_.run(source, target, rows * part / parts, rows * (part + 1) / parts);
      });
    }
  }

  product product_;
  bool is_empty_ = true;
};

template <class Inputs, class Arch>
inline constexpr const char* detail::layer_word<depthwise_conv2d<Inputs, Arch>> =
    "depthwise_conv2d";

}}  // namespace fewbit

#include "fewbit/end.hpp"
