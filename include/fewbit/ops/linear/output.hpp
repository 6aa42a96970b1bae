#pragma once
/// What the calls of all layers check, and the way of totals to outputs: bias, bound, codes.
///
/// Read before: ops/linear/choices.hpp. Read next: gemm/stages.hpp.

#include "fewbit/begin.hpp"

#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>

#include "fewbit/core/error.hpp"
#include "fewbit/core/operands.hpp"
#include "fewbit/gemm/stages.hpp"
#include "fewbit/ops/linear/choices.hpp"
#include "fewbit/quant/quantized_matrix.hpp"
#include "fewbit/quant/range.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// Fails unless the scale is a normal number and the zero point from lowest to highest.
inline void expect_valid_params(const char* layer, const char* argument, const quant_params& p,
                                int lowest, int highest) {
  if (!is_finite(p.scale) || !(p.scale >= std::numeric_limits<float>::min())) {
    fail(layer, std::string(argument) + ".scale", p.scale, "a finite number of at least 2^-126");
  }
  if (p.zero_point < lowest || p.zero_point > highest) {
    fail(layer, std::string(argument) + ".zero_point", p.zero_point, interval(lowest, highest));
  }
}

inline void expect_valid_options(const char* layer, const linear_options& options) {
  if (options.output_params == no_params) return;
  expect_valid_params(layer, "output_params", options.output_params, -128, 255);
}

/// Fails unless the product of a layer has room for so many workers, each with so much memory.
inline void expect_workers(const char* layer, index workers, index bytes) {
  expect(workers >= 1, layer, "workers", workers, "at least 1");
  const index most = workspace::most_slots(bytes);
  expect(workers <= most, layer, "workers", workers, "at most " + std::to_string(most));
}

/// Whether a layer can read X and write Y where they lie, else one sentence of the compiler.
/// `Code` is that of static inputs, or float.
template <class X, class Y, class Code = float>
[[nodiscard]] consteval bool takes_operands() {
  constexpr bool reads = DenseRows<X, float> || DenseRows<X, Code>;
  static_assert(reads,
                "fewbit: a layer reads inputs where they lie: as a row_matrix of float (of codes, "
                "too, where inputs are static), a row-major Map or block of one, or a vector, "
                "which is one row; copy others to a row_matrix first");
  static_assert(LinearOutput<Y>,
                "fewbit: a layer writes outputs where they stay: to a row_matrix of float, "
                "std::int8_t or std::uint8_t, a row-major Map or block of one, or a vector, which "
                "is one row; they must not be const");
  return reads && LinearOutput<Y>;
}

[[noreturn, gnu::cold, gnu::noinline]] inline void stop_without_params(const char* layer) noexcept {
  stop("fewbit: %s: output_params is not given, expected the scale and zero point of y, of codes",
       layer);
}

/// Ends the program unless x is m x k, y m x n and, where y holds codes, output_params say what
/// they mean.
template <class X, class Y>
FEWBIT_ALWAYS_INLINE void expect_call(const char* layer, const X& x, const Y& y, index k, index n,
                                      const linear_options& options) noexcept {
  using out = typename std::remove_cvref_t<Y>::Scalar;
  expect_shapes({layer, "x", "y"}, x, y, k, n);
  if constexpr (!std::is_same_v<out, float>) {
    using limits = std::numeric_limits<out>;
    const int zero = options.output_params.zero_point;
    if (options.output_params == no_params) [[unlikely]]
      stop_without_params(layer);
    if (zero < limits::min() || zero > limits::max()) [[unlikely]] {
      stop("fewbit: %s: output_params.zero_point is %d, expected %d to %d", layer, zero,
           int{limits::min()}, int{limits::max()});
    }
  }
}

/// Calls finish(stages), where the stages make outputs of type Out of scaled totals: + bias[col],
/// max(0, .) if asked for, and 8-bit codes unless Out is float.
template <class Out, class F>
// NOLINTNEXTLINE(bugprone-exception-escape): what stages check held when the layer was built
FEWBIT_ALWAYS_INLINE void with_output_stages(const float* bias, const linear_options& options,
                                             const F& finish) noexcept {
  const gemm::at_least bound(options.relu ? 0.0F : -std::numeric_limits<float>::infinity());
  const auto values = gemm::add_columns(bias) | bound;
  if constexpr (std::is_same_v<Out, float>) {
    finish(values);
  } else {
    const quant_params& p = options.output_params;
    finish(values | gemm::to_codes<Out>(1.0F / p.scale, p.zero_point));
  }
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
