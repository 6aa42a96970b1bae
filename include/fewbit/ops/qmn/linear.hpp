#pragma once
/// The fully connected layer of Qm.n numbers: q7_linear.
///
///     constexpr q7_linear layer(64, {weights, bias, {.bias = 5, .output = 7}});
///     layer(x, y);   // 64 codes in, one code for each bias out
///
/// Read before: ops/qmn.hpp.

#include "fewbit/begin.hpp"

#include <cstdint>
#include <span>

#include "fewbit/ops/qmn/layer.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

template <class Word>
class q7_linear_layer : public saved_layer<q7_linear_layer<Word>> {
  static constexpr const char* name = "q7_linear";

 public:
  /// @param weights  [outputs, inputs], and a bias for each output
  /// @throws fewbit::error (without exceptions: calls the error handler) if lengths do not fit,
  ///         a shift is out of range, or a sum could leave int32
  constexpr q7_linear_layer(index inputs, const q7_weights& weights)
      : q7_linear_layer(name, inputs, weights) {}

  [[nodiscard]] constexpr index inputs() const noexcept { return channels_.depth(); }
  [[nodiscard]] constexpr index outputs() const noexcept { return channels_.count(); }

  /// @param x  inputs() codes
  /// @param y  outputs() codes, no part of x
  /// If lengths do not fit, the error handler is called and the program terminates.
  [[gnu::noinline]] void operator()(std::span<const std::int8_t> x,
                                    std::span<std::int8_t> y) const noexcept {
    stop_unless_equal(name, "length of x", static_cast<index>(x.size()), inputs());
    stop_unless_equal(name, "length of y", static_cast<index>(y.size()), outputs());
    const q7_channels channels = channels_;  // a copy, which stores of codes cannot change
    std::int8_t* out = y.data();
    index c = 0;
    for (; c + q7_rows <= channels.count(); c += q7_rows)
      add_inputs<q7_rows>(x.data(), channels, c, out + c);
    for (; c < channels.count(); ++c) add_inputs<1>(x.data(), channels, c, out + c);
  }

 private:
  friend struct parts_access;

  constexpr q7_linear_layer(const char* function, index inputs, const q7_weights& weights)
      : channels_(function, weights, inputs) {}

  template <class Parts>
  static void visit_parts(const q7_linear_layer& self, Parts& parts) {
    index inputs = self.inputs();
    q7_weights weights = self.channels_.parameters();
    list_parts(inputs, weights, parts);
  }
  template <class Parts>
  static q7_linear_layer from_parts(Parts& parts) {
    index inputs = 0;
    q7_weights weights;
    list_parts(inputs, weights, parts);
    return q7_linear_layer(parts.place(), inputs, weights);
  }
  template <class Parts>
  static void list_parts(index& inputs, q7_weights& weights, Parts& parts) {
    parts.number("inputs", inputs, 1, 0x7FFFFFFF);
    visit_q7_weights(weights, inputs, parts);
  }

  /// Computes N outputs.
  template <int N>
  FEWBIT_ALWAYS_INLINE static void add_inputs(const std::int8_t* x, const q7_channels& channels,
                                              index c, std::int8_t* out) noexcept {
    std::int32_t sums[N];
#pragma GCC unroll 4
    for (int i = 0; i < N; ++i) sums[i] = channels.first_sum(c + i);
    add_q7_products<Word, N>(x, channels.weights(c), channels.depth(), channels.depth(), sums);
#pragma GCC unroll 4
    for (int i = 0; i < N; ++i) out[i] = channels.code(sums[i]);
  }

  q7_channels channels_;
};

}  // namespace detail

/// y = saturate(((bias << shifts.bias) + half + sum of x * w) >> shifts.output): rounded half up,
/// where half is 2^(shifts.output - 1), or 0 if shifts.output is 0. With relu, codes below 0 are 0.
/// Source: CMSIS-NN before 2020 without ARM_NN_TRUNCATE, arm_fully_connected_q7.
using q7_linear = detail::q7_linear_layer<arch::dual_word>;

template <class Word>
inline constexpr const char* detail::layer_word<detail::q7_linear_layer<Word>> = "q7_linear";

}}  // namespace fewbit

#include "fewbit/end.hpp"
