#pragma once
/// The outputs of operators that compute without floats: int32 sums become codes.
///
///     code = clamp(round(sum * factor) + zero_point, lowest, highest)
///
/// factor = S_in * S_w / S_out is a number for each output channel. It becomes a fixed-point
/// multiplier when the operator is made. `Mode` is a rounding mode of core/fixed_point.hpp, so that
/// programs that must reproduce TFLite, CMSIS-NN or XNNPACK get their bits. A fused activation is a
/// pair of bounds: ReLU is lowest = zero_point, ReLU6 also highest = zero_point + 6 / S_out.
///
/// Read before: core/fixed_point.hpp. Read next: ops/linear/integer.hpp, ops/conv2d.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/fixed_point.hpp"
#include "fewbit/core/stored_array.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/gemm/stages.hpp"
#include "fewbit/ops/integer_only.hpp"
#include "fewbit/ops/parts/checks.hpp"
#include "fewbit/quant/params.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// The codes that outputs are clamped to. The whole range of the output type if not given.
struct code_bounds {
  std::int32_t lowest = std::numeric_limits<std::int32_t>::min();
  std::int32_t highest = std::numeric_limits<std::int32_t>::max();

  friend constexpr bool operator==(const code_bounds&, const code_bounds&) = default;
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// Bounds within the range of Out.
/// @throws fewbit::error if lowest > highest, or no code of Out lies between them
template <class Out>
[[nodiscard]] code_bounds bounds_of(const char* function, const code_bounds& bounds) {
  constexpr std::int32_t least = std::numeric_limits<Out>::min(),
                         most = std::numeric_limits<Out>::max();
  const code_bounds kept{std::max(bounds.lowest, least), std::min(bounds.highest, most)};
  if (kept.lowest > kept.highest) {
    fail(function, "bounds.lowest", bounds.lowest,
         "at most bounds.highest, " + std::to_string(bounds.highest) + ", and both around codes " +
             interval(least, most));
  }
  return kept;
}

/// Fails unless the mantissa is not negative and the exponent is -31 to `most`.
inline void expect_channel_multiplier(const char* function, index channel,
                                      const fixed_multiplier& m, int most) {
  if (m.mantissa < 0) {
    fail(function, item("mantissa of channel", channel), m.mantissa, "0 or more");
  }
  if (m.exponent < -31 || m.exponent > most) {
    fail(function, item("exponent of channel", channel), m.exponent, interval(-31, most));
  }
}

/// Fails unless the largest sum of a channel fits int32.
inline void expect_sum(const char* function, index channel, std::int64_t farthest) {
  if (farthest > std::numeric_limits<std::int32_t>::max()) {
    fail(function, item("largest sum of channel", channel), farthest,
         "at most 2147483647, the largest int32");
  }
}

/// The largest |x - zero| of codes x of type In.
template <class In>
[[nodiscard]] constexpr std::int32_t farthest_input(std::int32_t zero) noexcept {
  return std::max(std::numeric_limits<In>::max() - zero, zero - std::numeric_limits<In>::min());
}

/// The least factor that no rounding mode turns into 0.
inline constexpr double least_factor = 0x1p-32;

/// A rounding mode holds factors below this power of two.
template <class Mode>
inline constexpr int factor_bits =
    std::is_same_v<Mode, tflite_int64>                                  ? 7
    : std::is_same_v<Mode, xnn_rndnu> || std::is_same_v<Mode, xnn_fp32> ? 8
                                                                        : 30;

/// Fails unless Mode holds S_in * S_w / S_out of a channel, and not as 0. 0 itself is allowed
/// except by XNNPACK's modes: a scale of weights may be 0.
template <class Mode>
void expect_factor(const char* function, index channel, double factor) {
  constexpr bool takes_zero = !std::is_same_v<Mode, xnn_rndnu> && !std::is_same_v<Mode, xnn_fp32>;
  if (takes_zero && factor == 0.0) return;
  if (factor >= least_factor && factor < std::ldexp(1.0, factor_bits<Mode>)) return;
  fail(function, item("factor of channel", channel), factor,
       std::string(takes_zero ? "0, or " : "") + "at least 2^-32 and less than 2^" +
           std::to_string(factor_bits<Mode>) +
           ": scale of inputs * scale of weights / scale of outputs");
}

/// Factors of the output channels as a rounding mode needs them.
template <class Mode>
class channel_factors {
 public:
  channel_factors() = default;

  /// @throws fewbit::error if Mode cannot hold a factor or would make it 0; the sentence names the
  ///         channel
  channel_factors(const char* function, std::span<const double> factors)
      : channel_factors(static_cast<index>(factors.size())) {
    for (std::size_t c = 0; c < factors.size(); ++c) {
      expect_factor<Mode>(function, static_cast<index>(c), factors[c]);
      set(static_cast<index>(c), Mode::multiplier(factors[c]));
    }
  }

  /// Multipliers that were computed elsewhere.
  /// @throws fewbit::error unless mantissas are not negative and exponents are -31 to 30
  channel_factors(const char* function, std::span<const fixed_multiplier> factors)
      : channel_factors(static_cast<index>(factors.size())) {
    for (std::size_t c = 0; c < factors.size(); ++c) {
      expect_channel_multiplier(function, static_cast<index>(c), factors[c], 30);
      set(static_cast<index>(c), factors[c]);
    }
  }

  [[nodiscard]] index channels() const noexcept { return mantissas_.size(); }
  [[nodiscard]] index bytes() const noexcept { return mantissas_.bytes() + exponents_.bytes(); }
  /// The factors of `count` channels: number i is that of channel from(i).
  template <class F>
  [[nodiscard]] channel_factors picked(index count, const F& from) const {
    channel_factors some(count);
    for (index i = 0; i < count; ++i)
      some.set(i, {mantissas_.data()[from(i)], exponents_.data()[from(i)]});
    return some;
  }

  template <class Self, class Parts>
  static void visit_parts(Self& self, Parts& parts, index channels) {
    constexpr index most = std::numeric_limits<std::int32_t>::max();
    parts.array("mantissas", self.mantissas_, channels, number_between{0, most});
    parts.array("exponents", self.exponents_, channels, number_between{-31, 30});
    if constexpr (Parts::loads) {
      const std::int32_t* first = self.exponents_.data();
      self.below_one_ = std::all_of(first, first + channels, [](int e) { return e <= 0; });
    }
  }
  /// The stage of the channels from `first` on.
  // NOLINTNEXTLINE(bugprone-exception-escape): the pointers are not null
  [[nodiscard]] auto stage(index first) const noexcept {
    // No mantissa is negative, so that nothing saturates.
    using applied = std::conditional_t<std::is_same_v<Mode, tflite_double>, cmsis_default, Mode>;
    return gemm::requantize<applied>(mantissas_.data() + first, exponents_.data() + first,
                                     below_one_);
  }

 private:
  explicit channel_factors(index channels)
      : mantissas_(aligned_buffer<std::int32_t>(channels)),
        exponents_(aligned_buffer<std::int32_t>(channels)) {}

  void set(index channel, const fixed_multiplier& factor) noexcept {
    mantissas_.writable()[channel] = factor.mantissa;
    exponents_.writable()[channel] = factor.exponent;
    below_one_ &= factor.exponent <= 0;
  }

  stored_array<std::int32_t> mantissas_;
  stored_array<std::int32_t> exponents_;
  bool below_one_ = true;
};

template <>
class channel_factors<xnn_fp32> {
 public:
  channel_factors() = default;
  channel_factors(const char* function, std::span<const double> factors)
      : channel_factors(static_cast<index>(factors.size())) {
    for (std::size_t c = 0; c < factors.size(); ++c) {
      expect_factor<xnn_fp32>(function, static_cast<index>(c), factors[c]);
      set(static_cast<index>(c), static_cast<float>(factors[c]));
    }
  }

  [[nodiscard]] index channels() const noexcept { return factors_.size(); }
  [[nodiscard]] index bytes() const noexcept { return factors_.bytes(); }
  template <class F>
  [[nodiscard]] channel_factors picked(index count, const F& from) const {
    channel_factors some(count);
    for (index i = 0; i < count; ++i) some.set(i, factors_.data()[from(i)]);
    return some;
  }

  template <class Self, class Parts>
  static void visit_parts(Self& self, Parts& parts, index channels) {
    parts.array("factors", self.factors_, channels, factor_number{});
    if constexpr (Parts::loads) {
      const float* first = self.factors_.data();
      self.below_one_ = std::all_of(first, first + channels, [](float f) { return f < 1.0F; });
    }
  }
  [[nodiscard]] gemm::requantize<xnn_fp32> stage(index first) const noexcept {
    return {factors_.data() + first, below_one_};
  }

 private:
  struct factor_number {
    bool operator()(float x) const noexcept { return x >= least_factor && x < 256.0F; }
    static const char* want() noexcept { return "at least 2^-32 and less than 2^8"; }
  };

  explicit channel_factors(index channels) : factors_(aligned_buffer<float>(channels)) {}

  void set(index channel, float factor) noexcept {
    factors_.writable()[channel] = factor;
    below_one_ &= factor < 1.0F;
  }

  stored_array<float> factors_;
  bool below_one_ = true;
};

/// One factor 2^-shift for all channels.
template <>
class channel_factors<q7_pot> {
 public:
  channel_factors() = default;
  channel_factors(const char* function, std::span<const double> factors)
      : channels_(static_cast<index>(factors.size())) {
    for (std::size_t c = 0; c < factors.size(); ++c) {
      int exponent = 0;
      const double fraction = std::frexp(factors[c], &exponent);
      if (fraction != 0.5 || exponent < -30 || exponent > 1 || factors[c] != factors[0]) {
        fail(function, item("factor of channel", static_cast<index>(c)), factors[c],
             "one power of two for all channels, 2^-31 to 1");
      }
      shift_ = 1 - exponent;
    }
  }

  [[nodiscard]] index channels() const noexcept { return channels_; }
  [[nodiscard]] static index bytes() noexcept { return 0; }
  template <class F>
  [[nodiscard]] channel_factors picked(index count, const F& /*from*/) const noexcept {
    channel_factors some = *this;
    some.channels_ = count;
    return some;
  }

  template <class Self, class Parts>
  static void visit_parts(Self& self, Parts& parts, index channels) {
    parts.number("shift", self.shift_, 0, 31);
    if constexpr (Parts::loads) self.channels_ = channels;
  }
  // NOLINTNEXTLINE(bugprone-exception-escape): the shift was checked
  [[nodiscard]] gemm::requantize<q7_pot> stage(index /*first*/) const noexcept {
    return gemm::requantize<q7_pot>(shift_);
  }

 private:
  index channels_ = 0;
  std::int32_t shift_ = 0;
};

/// Bias in steps of the sums: rne(bias / step), one step for each channel.
/// @throws fewbit::error if one is not finite or leaves int32
inline std::vector<std::int32_t> integer_bias(const char* function,
                                              const Eigen::Ref<const Eigen::VectorXf>& bias,
                                              std::span<const double> steps) {
  std::vector<std::int32_t> codes(steps.size(), 0);
  for (index c = 0; c < bias.size(); ++c) {
    const double code = std::nearbyint(double{bias[c]} / steps[static_cast<std::size_t>(c)]);
    if (!(std::abs(code) < 0x1p31)) {
      fail(function, item("bias", c), bias[c],
           "a number of less than 2^31 steps of the sums, " +
               text(steps[static_cast<std::size_t>(c)]));
    }
    codes[static_cast<std::size_t>(c)] = static_cast<std::int32_t>(code);
  }
  return codes;
}

/// What a channel adds to its sums of x * w, and how far these can go.
struct channel_sums {
  std::int64_t weights = 0;     ///< sum of (w - zero point of w)
  std::int64_t magnitudes = 0;  ///< sum of |w - zero point of w|

  channel_sums() = default;
  /// @param codes  the weights of the channel, a row or a column of a matrix
  /// @param zero   their zero point
  template <class Codes>
  explicit channel_sums(const Codes& codes, std::int64_t zero = 0) noexcept {
    for (index k = 0; k < codes.size(); ++k) {
      const std::int64_t w = codes[k] - zero;
      weights += w;
      magnitudes += w < 0 ? -w : w;
    }
  }
};

/// Turns sums of x * w of each channel into codes.
template <class Out, class Mode>
class integer_output {
 public:
  integer_output() = default;

  /// @param factors     one for each channel
  /// @param zero_point  of the outputs
  /// @param outside     how far zero_point may be from the codes of 8 bits. Other libraries made
  ///                    some networks with such zero points
  integer_output(const char* function, channel_factors<Mode> factors, std::int32_t zero_point,
                 const code_bounds& bounds, std::int32_t outside = 0)
      : factors_(std::move(factors)),
        bias_(aligned_buffer<std::int32_t>(factors_.channels())),
        zero_point_(zero_point),
        bounds_(bounds_of<Out>(function, bounds)) {
    const std::int32_t least = std::max(std::numeric_limits<Out>::min() - outside, -255),
                       most = std::min(std::numeric_limits<Out>::max() + outside, 255);
    if (zero_point < least || zero_point > most)
      fail(function, "output_params.zero_point", zero_point, interval(least, most));
  }

  /// Sets what is added to the sum of x * w of a channel: bias - input_zero * sums.weights.
  ///
  /// @param reach  the largest |x - input_zero|
  /// @throws fewbit::error if a sum could leave int32
  void set_bias(const char* function, index channel, std::int32_t bias, std::int32_t input_zero,
                const channel_sums& sums, std::int32_t reach) {
    const std::int64_t magnitude = bias < 0 ? -std::int64_t{bias} : std::int64_t{bias};
    expect_sum(function, channel, sums.magnitudes * reach + magnitude);
    bias_.writable()[channel] = less(bias, input_zero, sums.weights);
  }

  /// Subtracts `added` * sums(c) from the bias of each channel: the inputs are `added` larger.
  template <class F>
  void move_inputs(std::int32_t added, const F& sums) {
    bias_ = moved(bias_, added, sums);
  }
  /// values[c] - added * sums(c), modulo 2^32.
  template <class F>
  [[nodiscard]] static stored_array<std::int32_t> moved(const stored_array<std::int32_t>& values,
                                                        std::int32_t added, const F& sums) {
    aligned_buffer<std::int32_t> result(values.size());
    for (index c = 0; c < values.size(); ++c) result[c] = less(values.data()[c], added, sums(c));
    return result;
  }

  /// The outputs of `count` channels: number i is that of channel from(i).
  template <class F>
  [[nodiscard]] integer_output picked(index count, const F& from) const {
    integer_output some;
    some.factors_ = factors_.picked(count, from);
    aligned_buffer<std::int32_t> bias(count);
    for (index i = 0; i < count; ++i) bias[i] = bias_.data()[from(i)];
    some.bias_ = std::move(bias);
    some.zero_point_ = zero_point_;
    some.bounds_ = bounds_;
    return some;
  }

  template <class Self, class Parts>
  static void visit_parts(Self& self, Parts& parts, index channels) {
    channel_factors<Mode>::visit_parts(self.factors_, parts, channels);
    parts.array("bias", self.bias_, channels);
    parts.number("output_params.zero_point", self.zero_point_, -255, 255);
    parts.number("bounds.lowest", self.bounds_.lowest);
    parts.number("bounds.highest", self.bounds_.highest);
    if constexpr (Parts::loads) self.bounds_ = bounds_of<Out>(parts.place(), self.bounds_);
  }

  [[nodiscard]] index channels() const noexcept { return bias_.size(); }
  [[nodiscard]] index bytes() const noexcept { return factors_.bytes() + bias_.bytes(); }
  [[nodiscard]] std::int32_t zero_point() const noexcept { return zero_point_; }
  [[nodiscard]] const code_bounds& bounds() const noexcept { return bounds_; }

  /// Stages for the channels from `first` on; column 0 of the stages is channel `first`.
  // NOLINTNEXTLINE(bugprone-exception-escape): the arguments were checked
  [[nodiscard]] auto stages(index first = 0) const noexcept {
    return gemm::add_bias(bias_.data() + first) | factors_.stage(first) |
           gemm::saturate<Out>(zero_point_) | bounds_stage();
  }
  /// The same without the bias, for sums that hold it.
  // NOLINTNEXTLINE(bugprone-exception-escape): the arguments were checked
  [[nodiscard]] auto codes(index first = 0) const noexcept {
    return factors_.stage(first) | gemm::saturate<Out>(zero_point_) | bounds_stage();
  }

 private:
  /// value - factor * sum, modulo 2^32.
  static std::int32_t less(std::int32_t value, std::int32_t factor, std::int64_t sum) noexcept {
    return static_cast<std::int32_t>(static_cast<std::uint32_t>(value) -
                                     static_cast<std::uint32_t>(factor) *
                                         static_cast<std::uint32_t>(sum));
  }

  // NOLINTNEXTLINE(bugprone-exception-escape): the bounds were checked
  [[nodiscard]] gemm::clamp_to<Out> bounds_stage() const noexcept {
    return {static_cast<Out>(bounds_.lowest), static_cast<Out>(bounds_.highest)};
  }

  channel_factors<Mode> factors_;
  stored_array<std::int32_t> bias_;
  std::int32_t zero_point_ = 0;
  code_bounds bounds_;
};

}  // namespace detail

}}  // namespace fewbit

#include "fewbit/end.hpp"
