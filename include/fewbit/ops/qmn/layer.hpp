#pragma once
/// What the layers of Qm.n numbers share: weights, shifts, sums and their codes.
///
/// A Qm.n number is an int8 code with n fractional bits: code * 2^-n. Read next:
/// ops/qmn/conv2d.hpp, ops/qmn/linear.hpp.

#include "fewbit/begin.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#include "fewbit/arch/dual_products.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/range_checks.hpp"
#include "fewbit/ops/saved_layer.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// How far the bias is shifted to the left and the sums to the right.
struct q7_shifts {
  int bias = 0;    ///< 0 to 23
  int output = 0;  ///< 0 to 31

  friend constexpr bool operator==(const q7_shifts&, const q7_shifts&) = default;
};

/// Numbers of fractional bits of the operands of a layer.
struct q7_formats {
  int inputs = 0;
  int weights = 0;
  int bias = 0;
  int outputs = 0;

  [[nodiscard]] constexpr q7_shifts shifts() const noexcept {
    return {inputs + weights - bias, inputs + weights - outputs};
  }
};

/// The parameters of a layer, in constant memory of the caller. It must outlive the layer.
struct q7_weights {
  std::span<const std::int8_t> weights;  ///< of an output channel: kernel height, width, inputs
  std::span<const std::int8_t> bias;     ///< one code for each output channel
  q7_shifts shifts{};
  bool relu = false;  ///< outputs below 0 become 0
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// The largest extent of images, windows and layers.
inline constexpr index q7_largest_extent = 32767;

/// Checked weights of a layer, and the sums of its output channels.
class q7_channels {
 public:
  /// @param depth  products in the sum of an output channel, at least 1
  constexpr q7_channels(const char* function, const q7_weights& w, index depth)
      : weights_(w.weights.data()),
        bias_(w.bias.data()),
        count_(static_cast<index>(w.bias.size())),
        depth_(depth),
        bias_shift_(w.shifts.bias),
        output_shift_(w.shifts.output),
        lowest_(w.relu ? 0 : -128) {
    expect_range(function, "length of bias", count_, 1, q7_largest_extent);
    expect_range(function, "shifts.bias", bias_shift_, 0, 23);
    expect_range(function, "shifts.output", output_shift_, 0, 31);
    std::int32_t largest_bias = 0;
    for (const std::int8_t code : w.bias) {
      const std::int32_t magnitude = code < 0 ? -code : code;
      largest_bias = magnitude > largest_bias ? magnitude : largest_bias;
    }
    // A product is at most 2^14.
    constexpr std::int32_t most = std::numeric_limits<std::int32_t>::max();
    const index most_products = (most - half() - (largest_bias << bias_shift_)) >> 14;
    const index most_weights = most / count_;
    expect_range(function, "weights of an output channel", depth, 1,
                 most_products < most_weights ? most_products : most_weights);
    expect_range(function, "length of weights", static_cast<index>(w.weights.size()),
                 count_ * depth, count_ * depth);
  }

  /// What the layer was made of.
  [[nodiscard]] constexpr q7_weights parameters() const noexcept {
    return {{weights_, static_cast<std::size_t>(count_ * depth_)},
            {bias_, static_cast<std::size_t>(count_)},
            {bias_shift_, output_shift_},
            lowest_ == 0};
  }
  [[nodiscard]] constexpr index count() const noexcept { return count_; }
  [[nodiscard]] constexpr index depth() const noexcept { return depth_; }
  /// The weights of a channel; those of the next channel follow.
  [[nodiscard]] const std::int8_t* weights(index channel) const noexcept {
    return weights_ + channel * depth_;
  }
  /// The first term of the sum of a channel: bias and half an output step.
  [[nodiscard]] std::int32_t first_sum(index channel) const noexcept {
    return (std::int32_t{bias_[channel]} << bias_shift_) + half();
  }
  /// The code of a sum, saturated.
  [[nodiscard]] std::int8_t code(std::int32_t sum) const noexcept {
    std::int32_t code = sum >> output_shift_;
    code = code < lowest_ ? lowest_ : code;
    return static_cast<std::int8_t>(code > 127 ? 127 : code);
  }

 private:
  [[nodiscard]] constexpr std::int32_t half() const noexcept {
    return static_cast<std::int32_t>((std::uint32_t{1} << output_shift_) >> 1);
  }

  const std::int8_t* weights_;
  const std::int8_t* bias_;
  index count_;
  index depth_;
  std::int32_t bias_shift_;
  std::int32_t output_shift_;
  std::int32_t lowest_;
};

/// Lists weights with `depth` products in each sum (ops/parts.hpp).
template <class Parts>
void visit_q7_weights(q7_weights& w, index depth, Parts& parts) {
  auto outputs = static_cast<index>(w.bias.size());
  parts.number("outputs", outputs, 1, q7_largest_extent);
  parts.number("shifts.bias", w.shifts.bias);
  parts.number("shifts.output", w.shifts.output);
  parts.number("relu", w.relu);
  parts.array("weights", w.weights, outputs * depth);
  parts.array("bias", w.bias, outputs);
}

/// sums[r] += sum over k < count of x[k] * w[r * stride + k].
/// @tparam Word  arch::dual_word, or another word of arch/dual_products.hpp
template <class Word, int Rows>
FEWBIT_ALWAYS_INLINE void add_q7_products(const std::int8_t* x, const std::int8_t* w, index stride,
                                          index count, std::int32_t (&sums)[Rows]) noexcept {
  index k = 0;
  if constexpr (arch::has_dual_products<Word>) {
    for (; k + 4 <= count; k += 4) {
      const std::uint32_t codes = arch::load_four(x + k);
      const std::uint32_t even = Word::even(codes), odd = Word::odd(codes);
#pragma GCC unroll 4
      for (int r = 0; r < Rows; ++r) {
        const std::uint32_t weights = arch::load_four(w + r * stride + k);
        sums[r] = Word::add_products(even, Word::even(weights), sums[r]);
        sums[r] = Word::add_products(odd, Word::odd(weights), sums[r]);
      }
    }
  }
  for (; k < count; ++k) {
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r) sums[r] += std::int32_t{x[k]} * w[r * stride + k];
  }
}

/// Channels that are computed together, so that an input is loaded and split once for all of them.
/// Instructions of the network of examples/embedded_qmn.cpp on a Cortex-M4, gcc 12 -O2:
///
/// | channels together | 1      | 2      | 4     |
/// |-------------------|--------|--------|-------|
/// | instructions      | 171796 | 113998 | 85700 |
inline constexpr int q7_rows = 4;

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
