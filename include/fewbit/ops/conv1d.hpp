#pragma once
/// Convolutions over time, in integers alone: conv1d<S, integer_only<In, Out, Mode>>.
///
///     const window1d window{.kernel = 3, .dilation = 2, .before = causal_frames(3, 2)};
///     conv1d<int8_per_row, integer_only<std::int8_t>> layer(weights, window, bias, input,
///                                                           {output});
///     auto scratch = layer.make_scratch(threads);
///     layer(x, y, scratch, executor);            // frames x channels -> frames x outputs
///
///     auto state = layer.make_state();           // a stream: some frames at a time
///     layer.stream(x, y, state);
///
/// y(t, c) = output(bias(c) + sum over taps j and channels i of
///     (x(t * stride - before + j * dilation, i) - input zero) * (w(c, j, i) - zero of w))
///
/// Frames outside the sequence are the real number 0. A stream is the convolution with causal
/// padding, before = (kernel - 1) * dilation, after = 0: its state holds the last `before` frames.
/// The output is that of ops/integer_output.hpp. Depthwise convolutions over time are
/// depthwise_conv2d with images of one row. Read next: ops/conv2d.hpp.

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

#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/operands.hpp"
#include "fewbit/core/stored_array.hpp"
#include "fewbit/core/workspace.hpp"
#include "fewbit/gemm/int8/lhs.hpp"
#include "fewbit/gemm/int8/one_row.hpp"
#include "fewbit/gemm/multiply_block.hpp"
#include "fewbit/gemm/stages.hpp"
#include "fewbit/gemm/sum_of_codes.hpp"
#include "fewbit/ops/integer_only.hpp"
#include "fewbit/ops/integer_weights.hpp"
#include "fewbit/ops/layer.hpp"
#include "fewbit/ops/linear/int8.hpp"
#include "fewbit/ops/window2d.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// A window over frames, and frames of value 0 before and after the sequence. The frames of a
/// window are `dilation` frames apart.
struct window1d {
  index kernel = 1;
  index stride = 1;
  index dilation = 1;
  index before = 0;
  index after = 0;

  /// Frames from the first to the last of a window.
  [[nodiscard]] constexpr index reach() const noexcept { return (kernel - 1) * dilation + 1; }
  friend constexpr bool operator==(const window1d&, const window1d&) = default;
};

/// Frames before the sequence for which no output depends on a later frame.
[[nodiscard]] constexpr index causal_frames(index kernel, index dilation = 1) noexcept {
  return (kernel - 1) * dilation;
}

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// What a stream remembers: the last windows of codes, in the form that the product reads. Made by
/// conv1d::make_state; one thread at a time may use it.
///
/// Frames whose distance is a multiple of the dilation lie in one line. A line is a ring of
/// `kernel` frames. Each frame is written twice, `kernel` frames apart, so that the last window is
/// one piece of memory without a copy.
template <class Code>
class conv1d_state {
 public:
  conv1d_state() = default;

  /// @param code_bytes  1, or 2 if codes are kept as int16
  /// @param zero        the code of the real number 0, as it is kept
  conv1d_state(const window1d& window, index channels, index code_bytes, int zero,
               index scratch_bytes)
      : kernel_(window.kernel),
        dilation_(window.dilation),
        channels_(channels),
        code_bytes_(code_bytes),
        line_bytes_((2 * kernel_ * channels * code_bytes + 63) / 64 * 64),
        zero_(zero),
        lines_(dilation_ * line_bytes_),
        scratch_(scratch_bytes) {
    reset();
  }

  /// Forgets all frames: the next frame is the first of a sequence.
  void reset() noexcept {
    if (code_bytes_ == 1) {
      std::fill_n(lines_.data(), lines_.size(), static_cast<std::byte>(zero_));
    } else {
      std::fill_n(reinterpret_cast<std::int16_t*>(lines_.data()), lines_.size() / 2,
                  static_cast<std::int16_t>(zero_));
    }
    line_ = 0;
    slot_ = 0;
    phase_ = 0;
  }

  /// Frames that are remembered.
  [[nodiscard]] index frames() const noexcept { return (kernel_ - 1) * dilation_; }
  [[nodiscard]] index dilation() const noexcept { return dilation_; }
  [[nodiscard]] index channels() const noexcept { return channels_; }
  /// Bytes of a code.
  [[nodiscard]] index code_bytes() const noexcept { return code_bytes_; }
  /// Frames since the last one that had an output, with strides above 1.
  [[nodiscard]] index phase() const noexcept { return phase_; }
  [[nodiscard]] index bytes() const noexcept { return lines_.size() + scratch_.size(); }

  // For conv1d:

  /// Remembers a frame in place of the oldest one of its line. write(to) writes it.
  /// @return the window that ends with it
  template <class Kept, class F>
  FEWBIT_ALWAYS_INLINE const Kept* push(const F& write) noexcept {
    auto* line = reinterpret_cast<Kept*>(lines_.data() + line_ * line_bytes_);
    Kept* const frame = line + slot_ * channels_;
    write(frame);
    write(frame + kernel_ * channels_);
    if (++line_ == dilation_) {
      line_ = 0;
      if (++slot_ == kernel_) slot_ = 0;
    }
    return frame + channels_;
  }
  void set_phase(index phase) noexcept { phase_ = phase; }
  [[nodiscard]] std::byte* scratch() noexcept { return scratch_.data(); }
  [[nodiscard]] index scratch_bytes() const noexcept { return scratch_.size(); }

 private:
  index kernel_ = 1;
  index dilation_ = 1;
  index channels_ = 0;
  index code_bytes_ = 1;
  index line_bytes_ = 0;
  int zero_ = 0;
  index line_ = 0;  // of the next frame
  index slot_ = 0;  // of the next frame in its line
  index phase_ = 0;
  aligned_buffer<std::byte> lines_;
  aligned_buffer<std::byte> scratch_;
};

namespace detail {

/// Weights that stay packed have no other copy.
struct no_row_weights {
  [[nodiscard]] static index bytes() noexcept { return 0; }
};

}  // namespace detail

/// @tparam S       integers of up to 8 bits, a scale for each row or matrix; weights of 1 to 4 bits
///                 stay packed
/// @tparam Inputs  integer_only<In, Out, Mode> of 8-bit codes
/// @tparam Arch    instruction set, for comparing; programs leave it alone
template <Scheme S, class Inputs, class Arch = arch::native>
class conv1d : public detail::saved_layer<conv1d<S, Inputs, Arch>> {
  static_assert(detail::are_integer_only<Inputs> && sizeof(typename Inputs::code) == 1,
                "fewbit: conv1d takes integer_only<In, Out, Mode> of 8-bit codes");
  static_assert(!S::has_minimum && !CodebookScheme<S>,
                "fewbit: conv1d takes integer weights with a scale for each row or matrix");
  static_assert(detail::scale_depth<typename S::granularity> == 0,
                "fewbit: conv1d takes one scale for each output or more");
  static constexpr const char* name = "conv1d";
  using parts = detail::integer_parts<S, Inputs>;

  template <class Code>
  using unit_of = typename gemm::default_kernel<Code, Arch>::unit;

 public:
  using inputs_type = Inputs;
  using code = typename Inputs::code;
  using out = typename Inputs::out;
  using state_type = conv1d_state<code>;

  /// No channels.
  conv1d() = default;

  /// The factors are S_in * S_w / S_out, in double.
  ///
  /// @param weights  outputs x (kernel * channels), [output][tap][channel]
  /// @param bias     multiples of S_in * S_w, one for each output, or none
  /// @throws fewbit::error if kernel, stride or dilation is less than 1 or a padding negative, if
  ///         the columns of weights are no multiple of the kernel, if bias has another length, if a
  ///         parameter is no scale or zero point, if Mode cannot hold a factor, or if a sum could
  ///         leave int32
  conv1d(const quantized_matrix<S>& weights, const window1d& window,
         std::span<const std::int32_t> bias, const quant_params& input_params,
         const integer_options& options)
      : conv1d(weights, window, bias, input_params.zero_point,
               parts::output(name, weights, input_params, options)) {}

  /// With multipliers that were computed elsewhere, one for each output. Scales of weights and
  /// outputs are not used.
  conv1d(const quantized_matrix<S>& weights, const window1d& window,
         std::span<const std::int32_t> bias, std::span<const fixed_multiplier> multipliers,
         std::int32_t input_zero_point, const integer_options& options)
      : conv1d(weights, window, bias, input_zero_point, parts::output(name, multipliers, options)) {
  }

  /// Channels of a frame.
  [[nodiscard]] index channels() const noexcept { return channels_; }
  /// Channels of an output frame.
  [[nodiscard]] index outputs() const noexcept { return weights_.n(); }
  [[nodiscard]] const window1d& window() const noexcept { return window_; }
  /// Output frames of a sequence of `frames` frames.
  [[nodiscard]] index output_frames(index frames) const noexcept {
    const index rest = frames + window_.before + window_.after - window_.reach();
    return frames == 0 || rest < 0 ? 0 : rest / window_.stride + 1;
  }
  /// Output frames of the next `frames` frames of a stream.
  [[nodiscard]] index output_frames(const state_type& state, index frames) const noexcept {
    if (window_.stride == 1) return frames;
    const index first = (window_.stride - state.phase()) % window_.stride;
    return (frames - first + window_.stride - 1) / window_.stride;
  }
  [[nodiscard]] index bytes() const noexcept {
    index proofs = 0;
    if constexpr (!detail::stays_packed<S>) proofs = weights_.proof_bytes();
    return weights_.bytes() + proofs + output_.bytes() + zeros_.bytes() + rows_.bytes();
  }

  /// A whole sequence, a window at a time, in at most 16 KiB of stack.
  ///
  /// @param x  frames x channels() codes
  /// @param y  output_frames(frames) x outputs() codes, no part of x
  /// Both are row-major, or compile-time vectors, each one row. If shapes do not fit, the error
  /// handler is called and the program terminates (core/operands.hpp).
  template <class X, class Y>
  void operator()(const X& x, Y&& y) const noexcept {
    if constexpr (takes<X, Y>()) {
      const auto& from = detail::rows_of(x);
      auto&& to = detail::rows_of(y);
      expect_call(x, y, output_frames(from.rows()));
      if (outputs() == 0) return;
      alignas(64) std::byte memory[gemm::row_chunk_bytes];
      const frames_of sequence{from.data(), from.outerStride(), from.rows()};
      for (index t = 0; t < to.rows(); ++t)
        window_on_stack(sequence, t, to.data() + t * to.outerStride(), &memory[0]);
    }
  }

  /// The same in the caller's scratch memory, some windows at a time, faster. Results depend
  /// neither on the executor nor on the number of workers.
  template <class X, class Y, Executor E = inline_executor>
  void operator()(const X& x, Y&& y, layer_scratch& scratch,
                  const E& executor = {}) const noexcept {
    if constexpr (takes<X, Y>()) {
      const auto& from = detail::rows_of(x);
      auto&& to = detail::rows_of(y);
      expect_call(x, y, output_frames(from.rows()));
      if (outputs() == 0) return;
      detail::expect_room(name, "scratch.workers", scratch.workers, scratch_bytes(windows()));
      const frames_of sequence{from.data(), from.outerStride(), from.rows()};
      const index parts_count = scratch.workers.slots(), frames = to.rows();
      executor.for_each(parts_count, [&](index part) {
        const index end = frames * (part + 1) / parts_count;
        for (index t = frames * part / parts_count; t < end; t += windows()) {
          some_windows(sequence, t, std::min(windows(), end - t), to.data() + t * to.outerStride(),
                       to.outerStride(), scratch.workers.slot(part));
        }
      });
    }
  }

  /// The next frames of a stream: the codes of the whole sequence with causal padding.
  ///
  /// @param x      frames x channels() codes
  /// @param y      output_frames(state, frames) x outputs() codes
  /// @param state  from make_state() of this layer
  template <class X, class Y>
  void stream(const X& x, Y&& y, state_type& state) const noexcept {
    if constexpr (takes<X, Y>()) {
      const auto& from = detail::rows_of(x);
      auto&& to = detail::rows_of(y);
      expect_call(x, y, output_frames(state, from.rows()));
      if (outputs() == 0) return;
      detail::expect_extent(name, "", "state", ".frames()", state.frames(), window_.reach() - 1);
      detail::expect_extent(name, "", "state", ".dilation()", state.dilation(), window_.dilation);
      detail::expect_extent(name, "", "state", ".channels()", state.channels(), channels());
      detail::expect_extent(name, "", "state", ".code_bytes()", state.code_bytes(), kept_bytes());
      detail::expect_extent(name, "", "state", ".scratch_bytes()", state.scratch_bytes(),
                            stream_scratch_bytes());
      out* next = to.data();
      for (index t = 0; t < from.rows(); ++t) {
        if (next_frame(state, from.data() + t * from.outerStride(), next)) next += to.outerStride();
      }
    }
  }

  /// The state of a stream before its first frame.
  [[nodiscard]] state_type make_state() const {
    return state_type(window_, channels(), kept_bytes(), zero_point_ + moved,
                      stream_scratch_bytes());
  }

  /// Grows scratch memory to what `workers` threads need.
  /// @throws fewbit::error unless workers >= 1
  void reserve(layer_scratch& scratch, index workers = 1) const {
    const index bytes = outputs() == 0 ? 0 : scratch_bytes(windows());
    detail::expect_workers(name, workers, bytes);
    scratch.workers.reserve(bytes, workers);
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
  using patch_code = std::conditional_t<moves_codes, std::uint8_t, code>;
  using kernel_type = gemm::default_kernel<patch_code, Arch>;
  using weights_type =
      std::conditional_t<detail::stays_packed<S>, gemm::few_bit_weights<S::storage::bits, Arch>,
                         gemm::int8_weights<patch_code, kernel_type>>;
  using row_weights_type =
      std::conditional_t<detail::stays_packed<S>, detail::no_row_weights,
                         gemm::row_weights<gemm::int8_weights<patch_code, kernel_type>>>;
  using output_type = typename parts::output_type;
  using unit = typename kernel_type::unit;
  using wide_code = typename unit::lhs_code;
  /// Whether a stream can keep the copies that the unit reads, not codes: whole steps of the unit.
  static constexpr bool may_keep_wide =
      !detail::stays_packed<S> && !S::is_affine && unit::rows == 1 && !unit::in_place &&
      requires(const patch_code* from, wide_code* to) { unit::copy_lhs(from, 1, to); };
  static constexpr index patch_bytes = 48 * 1024;

  /// Rows of codes; frames outside them are zero points.
  struct frames_of {
    const code* data;
    index stride;
    index count;
  };

  conv1d(const quantized_matrix<S>& weights, const window1d& window,
         std::span<const std::int32_t> bias, std::int32_t input_zero, output_type output)
      : window_(window), zero_point_(input_zero), output_(std::move(output)) {
    expect_window(name, input_zero);
    if (weights.cols() == 0 || weights.cols() % window.kernel != 0) {
      detail::fail(name, "number of columns of weights", weights.cols(),
                   "a multiple of the kernel, " + std::to_string(window.kernel));
    }
    channels_ = weights.cols() / window.kernel;
    detail::expect_channels(name, output_, bias, weights.rows());
    set_depth(name, weights.cols());
    const row_matrix<std::int8_t> codes = detail::signed_codes(weights);
    row_matrix<std::int8_t> padded = row_matrix<std::int8_t>::Zero(codes.rows(), depth_);
    padded.leftCols(codes.cols()) = codes;
    detail::set_biases(
        name, output_, bias, [&](index c) { return detail::sums_of_channel(weights, codes, c); },
        input_zero + moved, detail::farthest_input<code>(input_zero));
    zeros_ = detail::zeros_of_channels(weights);
    if constexpr (detail::stays_packed<S>) {
      weights_ = weights_type(padded, -S::storage::min);
    } else {
      weights_ = weights_type(padded);
      rows_ = row_weights_type(weights_);
    }
  }

  static constexpr int moved = moves_codes ? 128 : 0;

  template <class Self, class Parts>
  static void visit_parts(Self& self, Parts& parts) {
    index outputs = self.outputs();
    std::int32_t added = moved;
    visit_window(self.window_, parts);
    parts.number("channels", self.channels_, 1, detail::largest_channels);
    parts.number("outputs", outputs, 1, detail::largest_channels);
    parts.number("input_params.zero_point", self.zero_point_);
    parts.number("number added to codes", added, 0, 128);
    const index real = self.window_.kernel * self.channels_;
    if constexpr (Parts::loads) {
      self.expect_window(parts.place(), self.zero_point_);
      self.set_depth(parts.place(), real);
    }
    parts.weights("weights", self.weights_, {real, self.depth_});
    if constexpr (Parts::loads)
      detail::expect_packed<S>(parts.place(), self.weights_, outputs, self.depth_, self.depth_);
    detail::visit_zeros<S>(self.zeros_, parts, outputs);
    output_type::visit_parts(self.output_, parts, outputs);
    if constexpr (Parts::loads) {
      if constexpr (!detail::stays_packed<S>) self.rows_ = row_weights_type(self.weights_);
      if (added != moved) self.move_inputs(moved - added, real);
    }
  }

  template <class Window, class Parts>
  static void visit_window(Window& window, Parts& parts) {
    parts.number("window.kernel", window.kernel);
    parts.number("window.stride", window.stride);
    parts.number("window.dilation", window.dilation);
    parts.number("window.before", window.before);
    parts.number("window.after", window.after);
  }

  /// The bias for inputs that are `added` larger than those of the file.
  void move_inputs(std::int32_t added, index depth) {
    output_.move_inputs(added, [&](index c) {
      const std::int64_t zero = S::is_affine ? zeros_.data()[c] : 0;
      return weights_.column_sums()[c] - zero * depth;
    });
  }

  void expect_window(const char* function, std::int32_t input_zero) const {
    using limits = std::numeric_limits<code>;
    detail::expect_extent_in(function, "window.kernel", window_.kernel, 1);
    detail::expect_extent_in(function, "window.stride", window_.stride, 1);
    detail::expect_extent_in(function, "window.dilation", window_.dilation, 1);
    detail::expect_extent_in(function, "window.before", window_.before, 0);
    detail::expect_extent_in(function, "window.after", window_.after, 0);
    detail::expect_zero_point(function, "input_params.zero_point", input_zero, limits::min(),
                              limits::max());
  }

  /// Windows end at whole steps of the kernel. Weights of few bits have codes without a zero.
  void set_depth(const char* function, index weights) {
    constexpr index step = detail::stays_packed<S> ? 1 : index{kernel_type::unit::depth};
    const index depth = (weights + step - 1) / step * step;
    detail::expect(depth <= weights_type::max_depth, function, "number of weights of an output",
                   depth, "at most " + std::to_string(weights_type::max_depth));
    depth_ = depth;
  }

  template <class X, class Y>
  [[nodiscard]] static consteval bool takes() {
    return detail::reads_in_place<X, code>() && detail::writes_in_place<Y, out>();
  }
  template <class X, class Y>
  FEWBIT_ALWAYS_INLINE void expect_call(const X& x, const Y& y, index frames) const noexcept {
    detail::expect_cols(name, "x", x, channels());
    detail::expect_rows(name, "y", y, frames);
    detail::expect_cols(name, "y", y, outputs());
  }

  [[nodiscard]] bool keeps_wide() const noexcept {
    return may_keep_wide && channels_ % unit::depth == 0;
  }
  /// Bytes of a code of a stream.
  [[nodiscard]] index kept_bytes() const noexcept {
    return keeps_wide() ? index{sizeof(wide_code)} : index{1};
  }
  [[nodiscard]] index stream_scratch_bytes() const noexcept {
    return outputs() == 0 ? 0 : scratch_bytes(1);
  }

  /// Windows that are multiplied together, in whole tiles.
  [[nodiscard]] index windows() const noexcept {
    constexpr index tile = kernel_type::tile::rows;
    return std::max(patch_bytes / (depth_ * tile), index{1}) * tile;
  }

  // Scratch memory: windows, their sums, scratch of the product.
  [[nodiscard]] index sums_begin(index count) const noexcept {
    return (count * depth_ + 63) / 64 * 64;
  }
  [[nodiscard]] static index sums_bytes(index count) noexcept {
    return S::is_affine ? (count * index{sizeof(std::int32_t)} + 63) / 64 * 64 : 0;
  }
  [[nodiscard]] index scratch_bytes(index count) const noexcept {
    return sums_begin(count) + sums_bytes(count) + gemm::scratch_bytes(weights_, count);
  }

  static void copy_frame(const code* from, index count, patch_code* to) noexcept {
    gemm::copy_codes(from, count, -moved, to);
  }

  /// The codes of one window.
  void gather(const frames_of& x, index t, patch_code* to) const noexcept {
    index frame = t * window_.stride - window_.before;
    patch_code* const end = to + depth_;
    for (index j = 0; j < window_.kernel; ++j, frame += window_.dilation, to += channels_) {
      if (frame >= 0 && frame < x.count) {
        copy_frame(x.data + frame * x.stride, channels_, to);
      } else {
        std::fill_n(to, channels_, static_cast<patch_code>(zero_point_ + moved));
      }
    }
    std::fill(to, end, patch_code{0});
  }

  void some_windows(const frames_of& x, index t, index count, out* y, index y_stride,
                    std::byte* memory) const noexcept {
    auto* patches = reinterpret_cast<patch_code*>(memory);
    for (index i = 0; i < count; ++i) gather(x, t + i, patches + i * depth_);
    multiply(patches, count, y, y_stride, memory);
  }

  /// Remembers a frame and multiplies the window that ends with it, if it has an output.
  FEWBIT_ALWAYS_INLINE bool next_frame(state_type& state, const code* frame,
                                       out* y) const noexcept {
    const bool has_output = state.phase() == 0;
    state.set_phase(state.phase() + 1 == window_.stride ? 0 : state.phase() + 1);
    if constexpr (may_keep_wide) {
      if (keeps_wide()) {
        const auto* window = state.template push<wide_code>(
            [&](wide_code* to) { unit::copy_lhs(frame, channels_, to); });
        if (has_output) multiply_kept(window, state, y);
        return has_output;
      }
    }
    const auto* window =
        state.template push<patch_code>([&](patch_code* to) { copy_frame(frame, channels_, to); });
    if (has_output) multiply_kept(window, state, y);
    return has_output;
  }

  /// A window of a stream. Bytes after it have weights of 0.
  template <class Kept>
  void multiply_kept(const Kept* window, state_type& state, out* y) const noexcept {
    std::byte* memory = state.scratch();
    if constexpr (detail::stays_packed<S>) {
      multiply(window, 1, y, outputs(), memory);
    } else {
      auto* sums = reinterpret_cast<std::int32_t*>(memory + sums_begin(1));
      if constexpr (S::is_affine) *sums = gemm::sum_of_codes(window, window_.kernel * channels_);
      with_stages(sums, [&](const auto& stages) {
        if constexpr (unit::rows == 1 && (unit::in_place || sizeof(Kept) != 1)) {
          gemm::multiply_prepared_row(window, weights_, rows_, y, stages);
        } else {
          gemm::multiply_row(window, weights_, rows_, y, stages,
                             memory + sums_begin(1) + sums_bytes(1));
        }
      });
    }
  }

  void multiply(const patch_code* patches, index count, out* y, index y_stride,
                std::byte* memory) const noexcept {
    auto* sums = reinterpret_cast<std::int32_t*>(memory + sums_begin(count));
    if constexpr (S::is_affine) {
      for (index i = 0; i < count; ++i)
        sums[i] = gemm::sum_of_codes(patches + i * depth_, window_.kernel * channels_);
    }
    with_stages(sums, [&](const auto& stages) {
      gemm::multiply_block(gemm::code_block<patch_code>{patches, depth_, count}, weights_, y,
                           y_stride, stages, memory + sums_begin(count) + sums_bytes(count));
    });
  }

  /// One window, k in chunks.
  void window_on_stack(const frames_of& x, index t, out* y, std::byte* memory) const noexcept {
    const auto part = [&](index k, index count, patch_code* to) {
      gather_part(x, t, k, count, to);
      return to;
    };
    std::int32_t row_sum = 0;
    with_stages(&row_sum, [&](const auto& stages) {
      gemm::multiply_row_in_chunks<patch_code>(weights_, part, y, stages, memory,
                                               S::is_affine ? &row_sum : nullptr);
    });
  }

  /// Codes k .. k + count - 1 of a window.
  void gather_part(const frames_of& x, index t, index k, index count,
                   patch_code* to) const noexcept {
    for (index i = 0; i < count;) {
      const index tap = (k + i) / channels_, channel = (k + i) % channels_;
      const index some = std::min(channels_ - channel, count - i);
      const index frame = t * window_.stride - window_.before + tap * window_.dilation;
      if (tap >= window_.kernel) {
        std::fill_n(to + i, some, patch_code{0});
      } else if (frame >= 0 && frame < x.count) {
        copy_frame(x.data + frame * x.stride + channel, some, to + i);
      } else {
        std::fill_n(to + i, some, static_cast<patch_code>(zero_point_ + moved));
      }
      i += some;
    }
  }

  template <class F>
  // NOLINTNEXTLINE(bugprone-exception-escape): stages were checked when the layer was made
  FEWBIT_ALWAYS_INLINE void with_stages([[maybe_unused]] const std::int32_t* row_sums,
                                        const F& f) const noexcept {
    if constexpr (S::is_affine) {
      f(gemm::subtract_outer(row_sums, zeros_.data()) | output_.stages());
    } else {
      f(output_.stages());
    }
  }

  window1d window_;
  index channels_ = 0;
  index depth_ = 0;  // weights of an output, in whole steps of the kernel
  std::int32_t zero_point_ = 0;
  weights_type weights_;
  row_weights_type rows_;
  stored_array<std::int32_t> zeros_;
  output_type output_;
};

template <class S, class Inputs, class Arch>
inline constexpr const char* detail::layer_word<conv1d<S, Inputs, Arch>> = "conv1d";

}}  // namespace fewbit

#include "fewbit/end.hpp"
