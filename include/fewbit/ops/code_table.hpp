#pragma once
/// Any function of one 8-bit code as a table of 256 codes: relu6, sigmoid, tanh, hard-swish, ELU.
///
///     const code_table<std::int8_t> sigmoid(x_params, y_params, functions::sigmoid);   // once
///     sigmoid(x, y);                                                                   // often
///     const code_table<std::uint8_t> square(x_params, y_params, [](float x) { return x * x; });
///
/// A lookup costs the same for all functions. ReLU and ReLU6 after another operator cost nothing:
/// they are bounds of its codes (code_bounds).

#include "fewbit/begin.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>

#include "fewbit/arch/byte_lookup.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/ops/code_blocks.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// Activation functions, computed in double and rounded to float.
namespace functions {

/// min(max(x, 0), 6)
[[nodiscard]] inline float relu6(float x) noexcept { return std::min(std::max(x, 0.0F), 6.0F); }
/// 1 / (1 + exp(-x))
[[nodiscard]] inline float sigmoid(float x) noexcept {
  return static_cast<float>(1.0 / (1.0 + std::exp(-double{x})));
}
[[nodiscard]] inline float tanh(float x) noexcept {
  return static_cast<float>(std::tanh(double{x}));
}
/// min(max(x / 6 + 1/2, 0), 1)
[[nodiscard]] inline float hard_sigmoid(float x) noexcept {
  return static_cast<float>(std::min(std::max(double{x} / 6.0 + 0.5, 0.0), 1.0));
}
/// x min(max(x + 3, 0), 6) / 6
[[nodiscard]] inline float hard_swish(float x) noexcept {
  return static_cast<float>(double{x} * std::min(std::max(double{x} + 3.0, 0.0), 6.0) / 6.0);
}
/// x, or exp(x) - 1 if x < 0
[[nodiscard]] inline float elu(float x) noexcept {
  return x < 0.0F ? static_cast<float>(std::expm1(double{x})) : x;
}
/// x / (1 + exp(-x))
[[nodiscard]] inline float silu(float x) noexcept {
  return static_cast<float>(double{x} / (1.0 + std::exp(-double{x})));
}
/// x (1 + erf(x / sqrt(2))) / 2
[[nodiscard]] inline float gelu(float x) noexcept {
  return static_cast<float>(0.5 * double{x} * (1.0 + std::erf(double{x} * 0.70710678118654752)));
}

}  // namespace functions

namespace detail {

/// The results of a lookup for `count` codes; y may be x. Tables are indexed by the bits of codes.
inline void look_up_bytes(const arch::byte_lookup& table, index count, const std::uint8_t* x,
                          std::uint8_t* y) noexcept {
  const arch::byte_lookup::step step(table);
  for_each_step<arch::byte_lookup::at_once>(
      count, [&](std::uint8_t* to, const std::uint8_t* from) { step(from, to); }, y, x);
}

}  // namespace detail

/// y = table[x].
///
/// @tparam In, Out  std::int8_t or std::uint8_t
template <ByteCode In, ByteCode Out = In>
class code_table {
  static constexpr const char* name = "code_table";
  static constexpr int lowest = std::numeric_limits<In>::min();

 public:
  /// All results are 0.
  code_table() = default;

  /// The table of a function of real numbers:
  ///
  ///     table[x] = clamp(rne(f(S_x * (x - x_zero)) / S_y) + y_zero)
  ///
  /// in float, as onnxruntime's QLinearSigmoid and QLinearLeakyRelu compute it.
  /// @param f  float to float; infinities become bounds of codes
  /// @throws fewbit::error if a scale is not positive, a zero point is no code, or f returns a NaN
  template <class F>
    requires std::is_invocable_r_v<float, const F&, float>
  code_table(const quant_params& x, const quant_params& y, const F& f) {
    detail::expect_code_params<In>(name, "x_params", x);
    detail::expect_code_params<Out>(name, "y_params", y);
    using limits = std::numeric_limits<Out>;
    std::uint8_t entries[256];
    for (int code = lowest; code < lowest + 256; ++code) {
      const float real = x.scale * static_cast<float>(code - x.zero_point);
      const float result = f(real);
      if (!(result == result))
        detail::fail(name, "f(" + detail::text(real) + ")", result, "a number");
      const float steps = result / y.scale;
      const float kept = std::min(std::max(steps, static_cast<float>(limits::min() - y.zero_point)),
                                  static_cast<float>(limits::max() - y.zero_point));
      set(entries, code, static_cast<Out>(static_cast<int>(std::nearbyint(kept)) + y.zero_point));
    }
    table_ = arch::byte_lookup(entries);
  }

  /// The table of a function of codes: table[x] = f(x).
  template <class F>
    requires std::is_invocable_r_v<Out, const F&, In>
  explicit code_table(const F& f) {
    std::uint8_t entries[256];
    for (int code = lowest; code < lowest + 256; ++code)
      set(entries, code, f(static_cast<In>(code)));
    table_ = arch::byte_lookup(entries);
  }

  /// The result for one code.
  [[nodiscard]] Out operator[](In x) const noexcept {
    return std::bit_cast<Out>(table_[std::bit_cast<std::uint8_t>(x)]);
  }

  /// @param x, y      matrices of one shape; y may be x if both have one type
  /// @param executor  runs blocks of codes; results do not depend on it
  /// If shapes differ, the error handler is called and the program terminates.
  template <class X, class Y, Executor E = inline_executor>
  void operator()(const X& x, Y&& y, const E& executor = {}) const noexcept {
    if constexpr (detail::takes_codes<In, Out, Y, X>()) {
      detail::for_codes_of(name, x, y, executor,
                           [&](index count, const In* from, Out* to) { run(count, from, to); });
    }
  }

  /// The same for `count` codes that follow one another.
  void run(index count, const In* x, Out* y) const noexcept {
    detail::look_up_bytes(table_, count, reinterpret_cast<const std::uint8_t*>(x),
                          reinterpret_cast<std::uint8_t*>(y));
  }

 private:
  static void set(std::uint8_t* entries, int code, Out value) noexcept {
    entries[code & 0xFF] = std::bit_cast<std::uint8_t>(value);
  }

  arch::byte_lookup table_;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
