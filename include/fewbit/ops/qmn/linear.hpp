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
class q7_linear_layer {
  static constexpr const char* name = "q7_linear";

 public:
  /// @param weights  [outputs, inputs], and a bias for each output
  /// @throws fewbit::error (without exceptions: calls the error handler) if lengths do not fit,
  ///         a shift is out of range, or a sum could leave int32
  constexpr q7_linear_layer(index inputs, const q7_weights& weights)
      : channels_(name, weights, inputs) {}

  [[nodiscard]] constexpr index inputs() const noexcept { return channels_.depth(); }
  [[nodiscard]] constexpr index outputs() const noexcept { return channels_.count(); }

  /// @param x  inputs() codes
  /// @param y  outputs() codes, no part of x
  /// If lengths do not fit, the error handler is called and the program terminates.
  [[gnu::noinline]] void operator()(std::span<const std::int8_t> x,
                                    std::span<std::int8_t> y) const noexcept {
    stop_unless_equal(name, "length of x", static_cast<index>(x.size()), inputs());
    stop_unless_equal(name, "length of y", static_cast<index>(y.size()), outputs());
    const std::int8_t* codes = x.data();
    std::int8_t* out = y.data();
    for_each_channel_pair(outputs(), [&]<int N>(index c) {
      std::int32_t sums[N];
      for (int i = 0; i < N; ++i) sums[i] = channels_.first_sum(c + i);
      add_q7_products<Word, N>(codes, channels_.weights(c), inputs(), inputs(), sums);
      for (int i = 0; i < N; ++i) out[c + i] = channels_.code(sums[i]);
    });
  }

 private:
  q7_channels channels_;
};

}  // namespace detail

/// y = saturate((bias << shifts.bias) + 2^(shifts.output - 1) + sum of x * w) >> shifts.output),
/// rounded half up; without the term 2^(shifts.output - 1) if shifts.output is 0.
/// Source: CMSIS-NN before 2020, arm_fully_connected_q7 with ARM_NN_ROUND.
using q7_linear = detail::q7_linear_layer<arch::dual_word>;

}}  // namespace fewbit

#include "fewbit/end.hpp"
