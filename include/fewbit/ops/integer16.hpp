#pragma once
/// Layers of 16-bit activations and weights of up to 8 bits: sums in int64, outputs in int16.
///
/// An activation is 256 * high + low, with high + 128 and low unsigned bytes. So a sum is made of
/// two exact 8-bit products with the same packed weights:
///
///     sum = 256 * (sum of (high + 128) * w - 128 * sum of w) + sum of low * w
///
/// conv2d<S, integer_only<std::int16_t>> and linear<S, integer_only<std::int16_t>> have the same
/// calls as those of 8 bits. Zero points of inputs and outputs are 0, as in TFLite and CMSIS-NN.
/// Include this header beside theirs.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/core/fixed_point.hpp"
#include "fewbit/gemm/multiply_block.hpp"
#include "fewbit/ops/conv2d.hpp"
#include "fewbit/ops/conv2d/patches.hpp"
#include "fewbit/ops/linear/integer.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// The outputs of 16-bit layers: factors and bias of each channel, bounds.
template <class Mode>
struct output16 {
  std::vector<fixed_multiplier> factors;
  std::vector<std::int64_t> bias;
  code_bounds bounds;

  template <class Self, class Parts>
  static void visit_parts(Self& self, Parts& parts, index channels) {
    constexpr std::int64_t most = std::int64_t{1} << 46;
    parts.array("factors", self.factors, channels);
    parts.array("bias", self.bias, channels, number_between{-most, most});
    parts.number("bounds.lowest", self.bounds.lowest);
    parts.number("bounds.highest", self.bounds.highest);
    if constexpr (Parts::loads) {
      for (index c = 0; c < channels; ++c) {
        expect_channel_multiplier(parts.place(), c, self.factors[static_cast<std::size_t>(c)],
                                  largest_exponent);
      }
      self.bounds = bounds_of<std::int16_t>(parts.place(), self.bounds);
    }
  }

  static constexpr int largest_exponent = std::is_same_v<Mode, tflite_int64> ? 7 : 30;

  [[nodiscard]] index bytes() const noexcept {
    return static_cast<index>(factors.capacity() * sizeof(fixed_multiplier) +
                              bias.capacity() * sizeof(std::int64_t));
  }

  /// Modes for int32 get the sum saturated to int32.
  [[nodiscard]] std::int16_t operator()(std::int64_t sum, std::size_t channel) const noexcept {
    const fixed_multiplier& f = factors[channel];
    const std::int64_t total = sum + bias[channel];
    std::int32_t code = 0;
    if constexpr (std::is_same_v<Mode, tflite_int64>) {
      code = requantize_int64(total, f);
    } else {
      using limits = std::numeric_limits<std::int32_t>;
      code = Mode::apply(static_cast<std::int32_t>(std::clamp(total, std::int64_t{limits::min()},
                                                              std::int64_t{limits::max()})),
                         f.mantissa, f.exponent);
    }
    return static_cast<std::int16_t>(std::clamp(code, bounds.lowest, bounds.highest));
  }
};

/// @throws fewbit::error if Mode cannot hold a factor, if a length differs from the number of
///         channels, or if a zero point is not 0
template <class Mode>
output16<Mode> make_output16(const char* name, index channels,
                             const std::vector<fixed_multiplier>& factors,
                             std::span<const std::int64_t> bias, std::int32_t input_zero_point,
                             const integer_options& options) {
  expect_equal(name, "input_params.zero_point", input_zero_point, 0);
  expect_equal(name, "output_params.zero_point", options.output_params.zero_point, 0);
  expect_equal(name, "number of factors", static_cast<index>(factors.size()), channels);
  for (std::size_t c = 0; c < factors.size(); ++c) {
    expect_channel_multiplier(name, static_cast<index>(c), factors[c],
                              output16<Mode>::largest_exponent);
  }
  output16<Mode> out{factors, std::vector<std::int64_t>(factors.size(), 0),
                     bounds_of<std::int16_t>(name, options.bounds)};
  if (!bias.empty()) {
    expect_equal(name, "length of bias", static_cast<index>(bias.size()), channels);
    constexpr std::int64_t most = std::int64_t{1} << 46;
    for (std::size_t c = 0; c < bias.size(); ++c) {
      if (bias[c] < -most || bias[c] > most)
        fail(name, item("bias", static_cast<index>(c)), bias[c], "-2^46 to 2^46");
    }
    out.bias.assign(bias.begin(), bias.end());
  }
  return out;
}

/// S_in * S_w / S_out of each row of weights as multipliers.
template <class Mode, Scheme S>
[[nodiscard]] std::vector<fixed_multiplier> multipliers16(const char* name,
                                                          const quantized_matrix<S>& weights,
                                                          const quant_params& in,
                                                          const integer_options& options) {
  expect_positive_scale(name, "input_params.scale", in.scale);
  expect_positive_scale(name, "output_params.scale", options.output_params.scale);
  std::vector<fixed_multiplier> multipliers;
  for (const double factor : output_factors(weights, in, options.output_params)) {
    expect_factor<Mode>(name, static_cast<index>(multipliers.size()), factor);
    multipliers.push_back(Mode::multiplier(factor));
  }
  return multipliers;
}

/// Packed weights, and their product with rows of 16-bit codes.
template <Scheme S, class Mode, class Arch>
class rows16 {
  static_assert(!S::has_minimum && !CodebookScheme<S> && !S::is_affine,
                "fewbit: layers of 16-bit activations take symmetric integer weights");
  static_assert(scale_depth<typename S::granularity> == 0,
                "fewbit: integer layers take one scale for each output or more");
  using kernel_type = gemm::default_kernel<std::uint8_t, Arch>;

 public:
  using weights_type =
      std::conditional_t<stays_packed<S>, gemm::few_bit_weights<S::storage::bits, Arch>,
                         gemm::int8_weights<std::uint8_t, kernel_type>>;

  rows16() = default;

  /// @param rows  rows first .. first + rows - 1 of signed_codes of a matrix of S
  rows16(const char* name, const row_matrix<std::int8_t>& codes, index first, index rows) {
    expect(codes.cols() <= weights_type::max_depth, name, "number of weights of an output",
           codes.cols(), "at most " + std::to_string(weights_type::max_depth));
    const row_matrix<std::int8_t> some = codes.middleRows(first, rows);
    if constexpr (stays_packed<S>) {
      weights_ = weights_type(some, -S::storage::min);
    } else {
      weights_ = weights_type(some);
    }
    keep_sums();
  }

  /// Lists n x k weights (ops/parts.hpp).
  template <class Self, class Parts>
  static void visit_parts(Self& self, Parts& parts, const std::string& name, index n, index k) {
    parts.weights(name, self.weights_);
    if constexpr (Parts::loads) {
      expect_packed<S>(parts.place(), self.weights_, n, k, k);
      self.keep_sums();
    }
  }

  [[nodiscard]] index n() const noexcept { return weights_.n(); }
  [[nodiscard]] index k() const noexcept { return weights_.k(); }
  [[nodiscard]] index bytes() const noexcept {
    return weights_.bytes() +
           static_cast<index>(moved_.capacity() * sizeof(std::int64_t) + sizeof(*this));
  }

  /// Scratch bytes for up to `rows` rows.
  [[nodiscard]] index scratch_bytes(index rows) const noexcept {
    return 2 * code_bytes(rows) + 2 * sum_bytes(rows) + gemm::scratch_bytes(weights_, rows);
  }

  /// y(i, j) = output(sum over k of a(i, k) * W(j, k), first + j) of a few rows.
  void multiply(const std::int16_t* a, index stride, index rows, const output16<Mode>& output,
                index first, std::int16_t* y, index y_stride, std::byte* scratch) const noexcept {
    auto* high = reinterpret_cast<std::uint8_t*>(scratch);
    auto* low = high + code_bytes(rows);
    auto* high_sums = reinterpret_cast<std::int32_t*>(low + code_bytes(rows));
    auto* low_sums = high_sums + sum_bytes(rows) / index{sizeof(std::int32_t)};
    std::byte* rest = scratch + 2 * code_bytes(rows) + 2 * sum_bytes(rows);
    for (index r = 0; r < rows; ++r) split(a + r * stride, k(), high + r * k(), low + r * k());
    const gemm::raw sums;
    gemm::multiply_block(gemm::code_block<std::uint8_t>{high, k(), rows}, weights_, high_sums, n(),
                         sums, rest);
    gemm::multiply_block(gemm::code_block<std::uint8_t>{low, k(), rows}, weights_, low_sums, n(),
                         sums, rest);
    for (index r = 0; r < rows; ++r)
      finish(high_sums + r * n(), low_sums + r * n(), 0, n(), output, first, y + r * y_stride);
  }

  /// Columns whose sums are computed together on the stack: whole panels.
  static constexpr index most_sums =
      512 / gemm::product_columns<weights_type> * gemm::product_columns<weights_type>;

  /// Adds the products of `count` codes of k of one row to the sums of columns col .. col_end - 1:
  /// those of high bytes at sums, those of low bytes at sums + most_sums.
  ///
  /// @param scratch  4 * count bytes
  void add(const std::int16_t* a, index k, index count, index col, index col_end,
           std::int32_t* sums, std::byte* scratch) const noexcept {
    const index padded = (count + 63) / 64 * 64;
    auto* high = reinterpret_cast<std::uint8_t*>(scratch);
    split(a, count, high, high + padded);
    std::byte* rest = scratch + 2 * padded;
    gemm::add_products(high, k, count, weights_, col, col_end, sums, rest);
    gemm::add_products(high + padded, k, count, weights_, col, col_end, sums + most_sums, rest);
  }

  /// y(j) = output(sum of column j, first + j) for columns col .. col_end - 1.
  void finish(const std::int32_t* high, const std::int32_t* low, index col, index col_end,
              const output16<Mode>& output, index first, std::int16_t* y) const noexcept {
    for (index j = col; j < col_end; ++j) {
      const std::int64_t above = high[j - col] + moved_[static_cast<std::size_t>(j)];
      y[j - col] = output(256 * above + low[j - col], static_cast<std::size_t>(first + j));
    }
  }

 private:
  void keep_sums() {
    moved_.resize(static_cast<std::size_t>(n()));
    for (index c = 0; c < n(); ++c)
      moved_[static_cast<std::size_t>(c)] = std::int64_t{-128} * weights_.column_sums()[c];
  }

  [[nodiscard]] index code_bytes(index rows) const noexcept { return (rows * k() + 63) / 64 * 64; }
  [[nodiscard]] index sum_bytes(index rows) const noexcept {
    return (rows * n() * index{sizeof(std::int32_t)} + 63) / 64 * 64;
  }

  static void split(const std::int16_t* from, index count, std::uint8_t* high,
                    std::uint8_t* low) noexcept {
    for (index i = 0; i < count; ++i) {
      const auto moved = static_cast<std::uint16_t>(from[i] + 0x8000);
      high[i] = static_cast<std::uint8_t>(moved >> 8);
      low[i] = static_cast<std::uint8_t>(moved & 0xFF);
    }
  }

  weights_type weights_;
  std::vector<std::int64_t> moved_;  // -128 * sum of the weights of a row
};

/// Convolutions of 16-bit images; a linear layer is one of 1 x 1 pixels whose rows are windows.
template <Scheme S, class Inputs, class Arch>
class product16 {
  using mode = typename Inputs::mode;

 public:
  static constexpr const char* name = "integer layer of 16 bits";
  static constexpr index most_rows = rows_at_a_time;
  static constexpr index stack_bytes = usual_stack_bytes;
  static constexpr bool owns_outputs = true;
  using inputs_type = Inputs;
  using weights_type = rows16<S, mode, Arch>;

  product16() = default;

  product16(const char* layer, const quantized_matrix<S>& weights, const placed_window& window,
            index groups, const quant_params& input_params, output16<mode> output)
      : shape_{window, groups, weights.rows()},
        input_params_(input_params),
        output_(std::move(output)) {
    expect_multipliable<S>();
    expect_not_empty(layer, "weights", weights.rows(), weights.cols());
    expect_conv_weights(layer, shape_, weights.cols());
    const row_matrix<std::int8_t> codes = signed_codes(weights);
    for (index g = 0; g < groups; ++g)
      weights_.emplace_back(layer, codes, g * shape_.group_channels(), shape_.group_channels());
    gather_ = patch_gatherer<std::int16_t, std::int16_t>(window, groups, shape_.depth(), 0);
  }

  [[nodiscard]] index inputs() const noexcept { return shape_.channels == 0 ? 0 : shape_.inputs(); }
  [[nodiscard]] index outputs() const noexcept {
    return shape_.channels == 0 ? 0 : shape_.outputs();
  }
  [[nodiscard]] const conv_shape& shape() const noexcept { return shape_; }
  [[nodiscard]] const quant_params& input_params() const noexcept { return input_params_; }
  [[nodiscard]] const std::vector<weights_type>& weights() const noexcept { return weights_; }
  [[nodiscard]] index bytes() const noexcept {
    index all = output_.bytes();
    for (const weights_type& w : weights_) all += w.bytes();
    return all;
  }

  template <class Self, class Parts>
  static void visit_parts(Self& self, Parts& parts) {
    visit_conv_shape(self.shape_, parts);
    visit_params(self.input_params_, parts);
    const index depth = self.shape_.depth();
    if constexpr (Parts::loads) {
      expect_valid_params(parts.place(), "input_params", self.input_params_, 0, 0);
      expect(depth <= rows_type::max_depth, parts.place(), "number of weights of an output", depth,
             "at most " + std::to_string(rows_type::max_depth));
    }
    for (index g = 0; g < self.shape_.groups; ++g) {
      if constexpr (Parts::loads) self.weights_.emplace_back();
      weights_type::visit_parts(self.weights_[static_cast<std::size_t>(g)], parts,
                                "weights" + std::to_string(g), self.shape_.group_channels(), depth);
    }
    output16<mode>::visit_parts(self.output_, parts, self.shape_.channels);
    if constexpr (Parts::loads) {
      self.gather_ = patch_gatherer<std::int16_t, std::int16_t>(self.shape_.window,
                                                                self.shape_.groups, depth, 0);
    }
  }

  [[nodiscard]] static index memory_bytes(index /*rows*/) noexcept { return 1; }
  [[nodiscard]] index worker_bytes(index /*rows*/) const noexcept {
    const index windows = windows_per_block();
    return patch_bytes(windows) + weights_[0].scratch_bytes(windows);
  }

  template <class E>
  void run(const code_rows<std::int16_t>& x, const output_rows<std::int16_t>& y,
           std::byte* /*memory*/, workspace& workers, const E& executor) const noexcept {
    const index windows = shape_.window.output_pixels(), block = windows_per_block();
    const index blocks = (windows + block - 1) / block, parts = workers.slots();
    executor.for_each(parts, [&](index part) {
      for (index b = blocks * y.rows * part / parts; b < blocks * y.rows * (part + 1) / parts;
           ++b) {
        const index r = b / blocks, first = b % blocks * block;
        multiply_windows(x.row(r), first, std::min(block, windows - first), y.data + r * y.stride,
                         workers.slot(part));
      }
    });
  }

  /// A window at a time, k in chunks.
  void run_on_stack(const code_rows<std::int16_t>& x, const output_rows<std::int16_t>& y,
                    std::byte* memory) const noexcept {
    for (index r = 0; r < y.rows; ++r) {
      const std::int16_t* image = x.row(r);
      const auto codes = [image](index first, index, std::int16_t*) { return image + first; };
      for (index p = 0; p < shape_.window.output_pixels(); ++p) {
        for (index g = 0; g < shape_.groups; ++g)
          window_on_stack(codes, p, g, y.data + r * y.stride + p * shape_.channels, memory);
      }
    }
  }

 private:
  using rows_type = typename weights_type::weights_type;
  static constexpr index most_patch_bytes = 64 * 1024;

  [[nodiscard]] index windows_per_block() const noexcept {
    const index most = most_patch_bytes / (4 * shape_.depth() + 8 * shape_.group_channels());
    return std::clamp(most, index{1}, shape_.window.output_pixels());
  }
  [[nodiscard]] index patch_bytes(index windows) const noexcept {
    const index codes = windows * shape_.depth();
    return (codes * index{sizeof(std::int16_t)} + 63) / 64 * 64;
  }

  void multiply_windows(const std::int16_t* image, index first, index count, std::int16_t* y,
                        std::byte* memory) const noexcept {
    auto* patches = reinterpret_cast<std::int16_t*>(memory);
    std::byte* scratch = memory + patch_bytes(windows_per_block());
    const index in = shape_.window.image().channels / shape_.groups;
    for (index g = 0; g < shape_.groups; ++g) {
      const index out = g * shape_.group_channels();
      gather_.rows(image, g * in, first, count, patches);
      weights_[static_cast<std::size_t>(g)].multiply(patches, shape_.depth(), count, output_, out,
                                                     y + first * shape_.channels + out,
                                                     shape_.channels, scratch);
    }
  }

  /// Memory: a chunk of the window, its bytes, a copy of these, sums.
  template <class Codes>
  void window_on_stack(const Codes& codes, index window, index g, std::int16_t* y,
                       std::byte* memory) const noexcept {
    constexpr index chunk = 1024, most = weights_type::most_sums;
    auto* patch = reinterpret_cast<std::int16_t*>(memory);
    auto* sums = reinterpret_cast<std::int32_t*>(memory + chunk * sizeof(std::int16_t));
    std::byte* scratch = memory + chunk * sizeof(std::int16_t) + 2 * most * sizeof(std::int32_t);
    static_assert(chunk * 6 + 2 * most * 4 <= stack_bytes);
    const weights_type& w = weights_[static_cast<std::size_t>(g)];
    const index in = shape_.window.image().channels / shape_.groups;
    for (index col = 0; col < w.n(); col += most) {
      const index col_end = std::min(w.n(), col + most);
      std::fill_n(sums, 2 * most, 0);
      for (index k = 0; k < shape_.depth(); k += chunk) {
        const index count = std::min(chunk, shape_.depth() - k);
        gather_.part(codes, g * in, window, k, count, patch);
        w.add(patch, k, count, col, col_end, sums, scratch);
      }
      w.finish(sums, sums + most, col, col_end, output_, g * w.n(), y + g * w.n() + col);
    }
  }

  conv_shape shape_;
  std::vector<weights_type> weights_;
  patch_gatherer<std::int16_t, std::int16_t> gather_;
  quant_params input_params_;
  output16<mode> output_;
};

}  // namespace detail

/// conv2d of 16-bit codes. Sums are int64; bias is a multiple of S_in * S_w.
template <Scheme S, class Mode, class Arch>
class conv2d<S, integer_only<std::int16_t, std::int16_t, Mode>, Arch>
    : public layer<detail::product16<S, integer_only<std::int16_t, std::int16_t, Mode>, Arch>>,
      public detail::saved_layer<conv2d<S, integer_only<std::int16_t, std::int16_t, Mode>, Arch>> {
  using product = detail::product16<S, integer_only<std::int16_t, std::int16_t, Mode>, Arch>;
  using base = layer<product>;
  static constexpr const char* name = "conv2d";

 public:
  conv2d() = default;

  /// @param bias  one for each output channel, or none; |bias| <= 2^46
  /// @throws fewbit::error as conv2d of 8-bit codes, or if a zero point is not 0
  conv2d(const quantized_matrix<S>& weights, const image_extents& image, const window2d& window,
         std::span<const std::int64_t> bias, const quant_params& input_params,
         const integer_options& options, index groups = 1)
      : conv2d(weights, image, window, bias, input_params,
               detail::multipliers16<Mode>(name, weights, input_params, options), options, groups) {
  }
  /// With multipliers that were computed elsewhere.
  conv2d(const quantized_matrix<S>& weights, const image_extents& image, const window2d& window,
         std::span<const std::int64_t> bias, const std::vector<fixed_multiplier>& multipliers,
         std::int32_t input_zero_point, const integer_options& options, index groups = 1)
      : conv2d(weights, image, window, bias, quant_params{1.0F, input_zero_point}, multipliers,
               options, groups) {}

 private:
  conv2d(const quantized_matrix<S>& weights, const image_extents& image, const window2d& window,
         std::span<const std::int64_t> bias, const quant_params& input_params,
         const std::vector<fixed_multiplier>& multipliers, const integer_options& options,
         index groups)
      : base(product(name, weights, placed_window(name, image, window), groups, input_params,
                     detail::make_output16<Mode>(name, weights.rows(), multipliers, bias,
                                                 input_params.zero_point, options))) {}
};

/// The linear layer of 16-bit codes.
template <Scheme S, class Mode, class Arch>
class linear<S, integer_only<std::int16_t, std::int16_t, Mode>, Arch>
    : public layer<detail::product16<S, integer_only<std::int16_t, std::int16_t, Mode>, Arch>>,
      public detail::saved_layer<linear<S, integer_only<std::int16_t, std::int16_t, Mode>, Arch>> {
  using product = detail::product16<S, integer_only<std::int16_t, std::int16_t, Mode>, Arch>;
  using base = layer<product>;
  static constexpr const char* name = "linear";

 public:
  linear() = default;

  /// @param bias  one for each output, or none; |bias| <= 2^46
  /// @throws fewbit::error as linear of 8-bit codes, or if a zero point is not 0
  linear(const quantized_matrix<S>& weights, std::span<const std::int64_t> bias,
         const quant_params& input_params, const integer_options& options)
      : linear(weights, bias, input_params,
               detail::multipliers16<Mode>(name, weights, input_params, options), options) {}
  linear(const quantized_matrix<S>& weights, std::span<const std::int64_t> bias,
         const std::vector<fixed_multiplier>& multipliers, std::int32_t input_zero_point,
         const integer_options& options)
      : linear(weights, bias, quant_params{1.0F, input_zero_point}, multipliers, options) {}

 private:
  linear(const quantized_matrix<S>& weights, std::span<const std::int64_t> bias,
         const quant_params& input_params, const std::vector<fixed_multiplier>& multipliers,
         const integer_options& options)
      : base(product(name, weights,
                     placed_window(name, {1, 1, std::max(weights.cols(), index{1})}, {}), 1,
                     input_params,
                     detail::make_output16<Mode>(name, weights.rows(), multipliers, bias,
                                                 input_params.zero_point, options))) {}
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
