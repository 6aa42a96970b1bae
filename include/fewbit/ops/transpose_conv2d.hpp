#pragma once
/// Transposed convolutions of NHWC images, in integers alone: each pixel adds a window of weights
/// to the output.
///
///     const window2d window{.kernel = {4, 4}, .stride = {2, 2}, .padding = {1, 1, 1, 1}};
///     transpose_conv2d<int8_per_row, integer_only<std::int8_t>> layer(
///         weights, image, window, transposed_extents(image, window), bias, input, {output});
///     auto scratch = layer.make_scratch(threads);
///     layer(x, y, scratch, executor);               // one image in each row
///
/// y(p, c) = output(bias(c) + sum over pixels q, taps k with q * stride + k - padding = p, channels
/// i
///     of (x(q, i) - input zero) * w(c, k, i))
///
/// Rows and columns of the output are taken apart by their remainder modulo the stride: each of the
/// stride.height * stride.width parts is a convolution of stride 1 with the taps of one remainder,
/// and a product of gathered windows and weights. No multiplication is by an inserted zero, and no
/// sums are in memory. Outputs without a tap are the bias. The output is that of
/// ops/integer_output.hpp. Read next: ops/conv2d.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "fewbit/core/error.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/operands.hpp"
#include "fewbit/core/workspace.hpp"
#include "fewbit/gemm/int8/lhs.hpp"
#include "fewbit/gemm/multiply_block.hpp"
#include "fewbit/gemm/stages.hpp"
#include "fewbit/ops/integer_only.hpp"
#include "fewbit/ops/integer_weights.hpp"
#include "fewbit/ops/layer.hpp"
#include "fewbit/ops/linear/int8.hpp"
#include "fewbit/ops/window2d.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// The extents that a transposed convolution covers: (height - 1) * stride + kernel - top - bottom,
/// and the same of the width.
/// @throws fewbit::error if an extent is less than 1
[[nodiscard]] inline extent2d transposed_extents(const image_extents& image,
                                                 const window2d& window) {
  detail::expect_valid_image("transposed_extents", image);
  detail::expect_valid_window("transposed_extents", window);
  const padding2d& p = window.padding;
  const extent2d covered{
      (image.height - 1) * window.stride.height + window.kernel.height - p.top - p.bottom,
      (image.width - 1) * window.stride.width + window.kernel.width - p.left - p.right};
  detail::expect(covered.height >= 1, "transposed_extents", "height of the output", covered.height,
                 "at least 1");
  detail::expect(covered.width >= 1, "transposed_extents", "width of the output", covered.width,
                 "at least 1");
  return covered;
}

namespace detail {

/// The taps and outputs of one remainder in one direction: output first + j * stride has taps
/// tap + t * stride for t = 0 .. taps - 1; tap t is at pixel base + j - t.
struct transposed_phase {
  index first;
  index outputs;
  index tap;
  index taps;
  index base;

  transposed_phase(index remainder, index extent, index kernel, index stride, index padding)
      : first(remainder),
        outputs(remainder < extent ? (extent - remainder + stride - 1) / stride : 0),
        tap((remainder + padding) % stride),
        taps(tap < kernel ? (kernel - tap + stride - 1) / stride : 0),
        base((remainder + padding) / stride) {}
};

}  // namespace detail

/// @tparam S       symmetric integers of up to 8 bits, a scale for each row or matrix
/// @tparam Inputs  integer_only<In, Out, Mode> of 8-bit codes
/// @tparam Arch    instruction set, for comparing; programs leave it alone
template <Scheme S, class Inputs, class Arch = arch::native>
class transpose_conv2d : public detail::saved_layer<transpose_conv2d<S, Inputs, Arch>> {
  static_assert(detail::are_integer_only<Inputs> && sizeof(typename Inputs::code) == 1,
                "fewbit: transpose_conv2d takes integer_only<In, Out, Mode> of 8-bit codes");
  static_assert(!S::has_minimum && !S::is_affine && !CodebookScheme<S>,
                "fewbit: transpose_conv2d takes symmetric integer weights");
  static_assert(detail::scale_depth<typename S::granularity> == 0,
                "fewbit: transpose_conv2d takes one scale for each output channel or more");
  static constexpr const char* name = "transpose_conv2d";
  using parts = detail::integer_parts<S, Inputs>;

  template <class Code>
  using unit_of = typename gemm::default_kernel<Code, Arch>::unit;

 public:
  using inputs_type = Inputs;
  using code = typename Inputs::code;
  using out = typename Inputs::out;

  /// No images.
  transpose_conv2d() = default;

  /// The factors are S_in * S_w / S_out, in double.
  ///
  /// @param weights  [output channel][kernel row][kernel column][channel], TFLite's order
  /// @param window   dilation must be 1; padding.top and padding.left are rows and columns that are
  ///                 cut off; padding.bottom and padding.right are not used
  /// @param output   extents of the output, usually transposed_extents(image, window)
  /// @param bias     multiples of S_in * S_w, one for each output channel, or none
  /// @throws fewbit::error if extents, strides or dilations are not as above, if weights have
  ///         another shape, if bias has another length, if a parameter is no scale or zero point,
  ///         if Mode cannot hold a factor, or if a sum could leave int32
  transpose_conv2d(const quantized_matrix<S>& weights, const image_extents& image,
                   const window2d& window, const extent2d& output,
                   std::span<const std::int32_t> bias, const quant_params& input_params,
                   const integer_options& options)
      : transpose_conv2d(weights, image, window, output, bias, input_params.zero_point,
                         [&] { return parts::output(name, weights, input_params, options); }) {}

  /// With multipliers that were computed elsewhere, one for each output channel. Scales of weights
  /// and outputs are not used.
  transpose_conv2d(const quantized_matrix<S>& weights, const image_extents& image,
                   const window2d& window, const extent2d& output,
                   std::span<const std::int32_t> bias,
                   std::span<const fixed_multiplier> multipliers, std::int32_t input_zero_point,
                   const integer_options& options)
      : transpose_conv2d(weights, image, window, output, bias, input_zero_point,
                         [&] { return parts::output(name, multipliers, options); }) {}

  /// Codes of an image: height * width * channels.
  [[nodiscard]] index inputs() const noexcept { return channels_ == 0 ? 0 : image_.size(); }
  /// Codes of an output image.
  [[nodiscard]] index outputs() const noexcept {
    return extents_.height * extents_.width * channels_;
  }
  /// Height and width of the output.
  [[nodiscard]] const extent2d& output() const noexcept { return extents_; }
  /// Number of output channels.
  [[nodiscard]] index channels() const noexcept { return channels_; }
  [[nodiscard]] index bytes() const noexcept {
    index all = 0;
    for (const phase& p : phases_)
      all += p.weights.bytes() + p.weights.proof_bytes() + p.output.bytes() + index{sizeof(phase)};
    return all;
  }

  /// A window at a time, in at most 16 KiB of stack.
  ///
  /// @param x  m x inputs() codes, one image in each row
  /// @param y  m x outputs() codes, no part of x
  /// Both are row-major, or compile-time vectors, each one row. If shapes do not fit, the error
  /// handler is called and the program terminates (core/operands.hpp).
  template <class X, class Y>
  void operator()(const X& x, Y&& y) const noexcept {
    if constexpr (takes<X, Y>()) {
      detail::expect_shapes({name, "x", "y"}, x, y, inputs(), outputs());
      if (outputs() == 0) return;
      const auto& from = detail::rows_of(x);
      auto&& to = detail::rows_of(y);
      alignas(64) std::byte memory[gemm::row_chunk_bytes];
      for (index r = 0; r < to.rows() * extents_.height; ++r) {
        const index image = r / extents_.height, row = r % extents_.height;
        output_row(from.data() + image * from.outerStride(), row,
                   to.data() + image * to.outerStride(), &memory[0], true);
      }
    }
  }

  /// The same in the caller's scratch memory, some windows at a time, faster. Parts are bands of
  /// output rows; results depend neither on the executor nor on the number of workers.
  template <class X, class Y, Executor E = inline_executor>
  void operator()(const X& x, Y&& y, layer_scratch& scratch,
                  const E& executor = {}) const noexcept {
    if constexpr (takes<X, Y>()) {
      detail::expect_shapes({name, "x", "y"}, x, y, inputs(), outputs());
      if (outputs() == 0) return;
      detail::expect_room(name, "scratch.workers", scratch.workers, scratch_bytes());
      const auto& from = detail::rows_of(x);
      auto&& to = detail::rows_of(y);
      const index bands = scratch.workers.slots(), rows = to.rows() * extents_.height;
      executor.for_each(bands, [&](index band) {
        for (index r = rows * band / bands; r < rows * (band + 1) / bands; ++r) {
          const index image = r / extents_.height, row = r % extents_.height;
          output_row(from.data() + image * from.outerStride(), row,
                     to.data() + image * to.outerStride(), scratch.workers.slot(band), false);
        }
      });
    }
  }

  /// Grows scratch memory to what `workers` threads need.
  /// @throws fewbit::error unless workers >= 1
  void reserve(layer_scratch& scratch, index workers = 1) const {
    detail::expect_workers(name, workers, scratch_bytes());
    scratch.workers.reserve(scratch_bytes(), workers);
  }
  /// Scratch memory of its own, as reserve() makes it.
  [[nodiscard]] layer_scratch make_scratch(index workers = 1) const {
    layer_scratch scratch;
    reserve(scratch, workers);
    return scratch;
  }

 private:
  friend struct detail::parts_access;
  /// Where u8 activations are read in place and s8 are not, windows are written as s8 + 128.
  static constexpr bool moves_codes = std::is_same_v<code, std::int8_t> &&
                                      unit_of<std::uint8_t>::in_place &&
                                      !unit_of<std::int8_t>::in_place;
  static constexpr int moved = moves_codes ? 128 : 0;
  using patch_code = std::conditional_t<moves_codes, std::uint8_t, code>;
  using kernel_type = gemm::default_kernel<patch_code, Arch>;
  using weights_type = gemm::int8_weights<patch_code, kernel_type>;
  using output_type = typename parts::output_type;
  static constexpr index patch_bytes = 48 * 1024;

  /// The outputs of one remainder of rows and of columns.
  struct phase {
    detail::transposed_phase rows;
    detail::transposed_phase cols;
    index depth;  // of a window, in whole steps of the kernel
    weights_type weights;
    output_type output;

    [[nodiscard]] index taps() const noexcept { return rows.taps * cols.taps; }

    /// @param added  how much larger inputs are than those of the file
    template <class Self, class Parts>
    static void visit_parts(const transpose_conv2d& layer, Self& self, Parts& of_layer,
                            std::size_t number, std::int32_t added) {
      of_layer.within(std::to_string(number) + "/");
      // A window without taps has one step of weights 0.
      const index real = std::max(self.taps() * layer.image_.channels, index{1});
      of_layer.weights("weights", self.weights, {real, self.depth});
      if constexpr (Parts::loads) {
        detail::expect_packed<S>(of_layer.place(), self.weights, layer.channels_, self.depth,
                                 self.depth);
      }
      output_type::visit_parts(self.output, of_layer, layer.channels_);
      if constexpr (Parts::loads) {
        if (added != 0) {
          self.output.move_inputs(added, [&](index c) { return self.weights.column_sums()[c]; });
        }
      }
    }
  };

  template <class MakeOutput>
  transpose_conv2d(const quantized_matrix<S>& weights, const image_extents& image,
                   const window2d& window, const extent2d& output,
                   std::span<const std::int32_t> bias, std::int32_t input_zero,
                   const MakeOutput& make_output)
      : image_(image), window_(window), extents_(output), zero_point_(input_zero) {
    expect_extents(name);
    const index cols = window.taps() * image.channels;
    if (weights.cols() != cols) {
      detail::fail(name, "number of columns of weights", weights.cols(),
                   std::to_string(cols) + ": kernel height * kernel width * channels");
    }
    if (!bias.empty()) {
      detail::expect_equal(name, "length of bias", static_cast<index>(bias.size()), weights.rows());
    }
    const row_matrix<std::int8_t> codes = detail::signed_codes(weights);
    for_each_phase([&](const auto& of_rows, const auto& of_cols) {
      phases_.push_back(make_phase(codes, of_rows, of_cols, bias, make_output()));
    });
    channels_ = weights.rows();
  }

  template <class Self, class Parts>
  static void visit_parts(Self& self, Parts& of_layer) {
    std::int32_t added = moved;
    detail::visit_image(self.image_, of_layer);
    detail::visit_window(self.window_, of_layer);
    of_layer.number("output.height", self.extents_.height);
    of_layer.number("output.width", self.extents_.width);
    of_layer.number("channels", self.channels_, 1, detail::largest_channels);
    of_layer.number("input_params.zero_point", self.zero_point_);
    of_layer.number("number added to codes", added, 0, 128);
    if constexpr (Parts::loads) {
      self.expect_extents(of_layer.place());
      self.for_each_phase([&](const auto& rows, const auto& cols) {
        const index depth = self.depth_of(of_layer.place(), rows.taps * cols.taps);
        self.phases_.push_back({rows, cols, depth, {}, {}});
        phase::visit_parts(self, self.phases_.back(), of_layer, self.phases_.size() - 1,
                           moved - added);
      });
    } else {
      for (std::size_t i = 0; i < self.phases_.size(); ++i)
        phase::visit_parts(self, self.phases_[i], of_layer, i, 0);
    }
  }

  /// Fails unless all extents and the zero point are valid.
  void expect_extents(const char* function) const {
    using limits = std::numeric_limits<code>;
    detail::expect_valid_image(function, image_);
    detail::expect_valid_window(function, window_);
    detail::expect_equal(function, "dilation.height", window_.dilation.height, 1);
    detail::expect_equal(function, "dilation.width", window_.dilation.width, 1);
    detail::expect_extent_in(function, "output.height", extents_.height, 1);
    detail::expect_extent_in(function, "output.width", extents_.width, 1);
    detail::expect_countable(function, "number of weights of a window", window_.kernel.height,
                             window_.kernel.width, image_.channels);
    detail::expect_countable(function, "number of codes of an output", extents_.height,
                             extents_.width, std::max(channels_, index{1}));
    detail::expect_zero_point(function, "input_params.zero_point", zero_point_, limits::min(),
                              limits::max());
  }

  /// Calls f(rows, columns) for each remainder of rows and of columns.
  template <class F>
  void for_each_phase(const F& f) const {
    const window2d& w = window_;
    for (index py = 0; py < std::min(w.stride.height, extents_.height); ++py) {
      for (index px = 0; px < std::min(w.stride.width, extents_.width); ++px) {
        f(detail::transposed_phase(py, extents_.height, w.kernel.height, w.stride.height,
                                   w.padding.top),
          detail::transposed_phase(px, extents_.width, w.kernel.width, w.stride.width,
                                   w.padding.left));
      }
    }
  }

  /// Codes of a window of `taps` pixels, in whole steps of the kernel.
  [[nodiscard]] index depth_of(const char* function, index taps) const {
    constexpr index step = kernel_type::unit::depth;
    const index depth = std::max((taps * image_.channels + step - 1) / step * step, step);
    detail::expect(depth <= weights_type::max_depth, function, "number of weights of an output",
                   depth, "at most " + std::to_string(weights_type::max_depth));
    return depth;
  }

  phase make_phase(const row_matrix<std::int8_t>& codes, const detail::transposed_phase& rows,
                   const detail::transposed_phase& cols, std::span<const std::int32_t> bias,
                   output_type output) const {
    const index in = image_.channels, n = codes.rows();
    const index depth = depth_of(name, rows.taps * cols.taps);
    detail::expect_equal(name, "number of factors", output.channels(), n);
    row_matrix<std::int8_t> some = row_matrix<std::int8_t>::Zero(n, depth);
    for (index u = 0; u < rows.taps; ++u) {  // pixels of a window from the first on
      const index ky = rows.tap + (rows.taps - 1 - u) * window_.stride.height;
      for (index v = 0; v < cols.taps; ++v) {
        const index kx = cols.tap + (cols.taps - 1 - v) * window_.stride.width;
        some.middleCols((u * cols.taps + v) * in, in) =
            codes.middleCols((ky * window_.kernel.width + kx) * in, in);
      }
    }
    detail::set_biases(
        name, output, bias, [&](index c) { return detail::channel_sums(some.row(c)); },
        zero_point_ + moved, detail::farthest_input<code>(zero_point_));
    return {rows, cols, depth, weights_type(some), std::move(output)};
  }

  template <class X, class Y>
  [[nodiscard]] static consteval bool takes() {
    return detail::reads_in_place<X, code>() && detail::writes_in_place<Y, out>();
  }

  /// Windows of a phase that are multiplied together, in whole tiles.
  [[nodiscard]] static index windows(const phase& p) noexcept {
    constexpr index tile = kernel_type::tile::rows;
    const index all = (p.cols.outputs + tile - 1) / tile;
    return std::clamp(patch_bytes / (p.depth * tile), index{1}, std::max(all, index{1})) * tile;
  }
  [[nodiscard]] static index product_begin(const phase& p) noexcept {
    return (windows(p) * p.depth + 63) / 64 * 64;
  }
  [[nodiscard]] index scratch_bytes() const noexcept {
    index most = 1;
    for (const phase& p : phases_)
      most = std::max(most, product_begin(p) + gemm::scratch_bytes(p.weights, windows(p)));
    return most;
  }

  /// Row `row` of an output image.
  void output_row(const code* image, index row, out* y, std::byte* memory,
                  bool on_stack) const noexcept {
    const index per_row = std::min(window_.stride.width, extents_.width);
    const index j = row / window_.stride.height;
    for (index px = 0; px < per_row; ++px) {
      const phase& p =
          phases_[static_cast<std::size_t>(row % window_.stride.height * per_row + px)];
      out* const first = y + (row * extents_.width + px) * channels_;
      const index step = window_.stride.width * channels_;
      if (p.taps() == 0) {
        for (index i = 0; i < p.cols.outputs; ++i) without_taps(p, first + i * step);
      } else if (on_stack) {
        for (index i = 0; i < p.cols.outputs; ++i)
          window_on_stack(p, image, j, i, first + i * step, memory);
      } else {
        auto* patches = reinterpret_cast<patch_code*>(memory);
        for (index i = 0; i < p.cols.outputs; i += windows(p)) {
          const index count = std::min(windows(p), p.cols.outputs - i);
          for (index k = 0; k < count; ++k)
            gather(p, image, j, i + k, 0, p.depth, patches + k * p.depth);
          gemm::multiply_block(gemm::code_block<patch_code>{patches, p.depth, count}, p.weights,
                               first + i * step, step, p.output.stages(),
                               memory + product_begin(p));
        }
      }
    }
  }

  void without_taps(const phase& p, out* y) const noexcept {
    const auto stages = p.output.stages();
    for (index c = 0; c < channels_; ++c) y[c] = stages(std::int32_t{0}, gemm::at{0, c, 1});
  }

  /// Codes k .. k + count - 1 of window (j, i) of a phase.
  void gather(const phase& p, const code* image, index j, index i, index k, index count,
              patch_code* to) const noexcept {
    const index in = image_.channels, real = p.taps() * in;
    const index y = p.rows.base + j - (p.rows.taps - 1), x = p.cols.base + i - (p.cols.taps - 1);
    for (index done = 0; done < count;) {
      const index at = k + done, tap = at / in, channel = at % in;
      const index iy = y + tap / p.cols.taps, ix = x + tap % p.cols.taps;
      index some = std::min(in - channel, count - done);
      if (at >= real) {
        some = count - done;
        std::fill_n(to + done, some, patch_code{0});
      } else if (iy >= 0 && iy < image_.height && ix >= 0 && ix < image_.width) {
        gemm::copy_codes(image + (iy * image_.width + ix) * in + channel, some, -moved, to + done);
      } else {
        std::fill_n(to + done, some, static_cast<patch_code>(zero_point_ + moved));
      }
      done += some;
    }
  }

  /// One window, k in chunks.
  void window_on_stack(const phase& p, const code* image, index j, index i, out* y,
                       std::byte* memory) const noexcept {
    const auto part = [&](index k, index count, patch_code* to) {
      gather(p, image, j, i, k, count, to);
      return to;
    };
    gemm::multiply_row_in_chunks<patch_code>(p.weights, part, y, p.output.stages(), memory);
  }

  image_extents image_;
  window2d window_;
  extent2d extents_;
  index channels_ = 0;
  std::int32_t zero_point_ = 0;
  std::vector<phase> phases_;  // [remainder of rows][remainder of columns]
};

template <class S, class Inputs, class Arch>
inline constexpr const char* detail::layer_word<transpose_conv2d<S, Inputs, Arch>> =
    "transpose_conv2d";

}}  // namespace fewbit

#include "fewbit/end.hpp"
