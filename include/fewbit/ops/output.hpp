#pragma once
/// The last step of layers: how sums become outputs. Also the options of this step, and the checks
/// of each call.
///
/// A layer scales its sums, adds the bias, applies max(0, .) if options.relu is set, and writes
/// floats or 8-bit codes. Read next: ops/layer.hpp, gemm/stages.hpp.

#include "fewbit/begin.hpp"

#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>

#include "fewbit/core/error.hpp"
#include "fewbit/core/operands.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/core/workspace.hpp"
#include "fewbit/gemm/stages.hpp"
#include "fewbit/quant/params.hpp"
#include "fewbit/quant/quantized_matrix.hpp"
#include "fewbit/quant/range.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// The value of output_params that are not given. Its scale is negative, so it is not a valid
/// scale.
inline constexpr quant_params no_params{std::numeric_limits<float>::lowest(), 0};

/// What a layer does to its outputs before it writes them.
struct layer_options {
  bool relu = false;  ///< max(y, 0)
  /// Scale and zero point of outputs that are 8-bit codes. Without them a layer writes only floats.
  quant_params output_params = no_params;
};

/// What a layer writes to: rows of floats or of 8-bit codes (core/operands.hpp).
template <class Y>
concept LayerOutput = MutableDenseRows<Y, float> || MutableDenseRows<Y, std::int8_t> ||
                      MutableDenseRows<Y, std::uint8_t>;

namespace detail {

/// Rows of Y that a product writes.
template <class Out>
struct output_rows {
  Out* data;
  index stride;
  index rows;
  index cols;

  using map = Eigen::Map<row_matrix<Out>, 0, Eigen::OuterStride<>>;
  [[nodiscard]] map matrix() const noexcept {
    return map(data, rows, cols, Eigen::OuterStride<>(stride));
  }
  [[nodiscard]] output_rows part(index first, index count) const noexcept {
    return {data + first * stride, stride, count, cols};
  }
};

/// Fails unless the scale is a normal number and the zero point is in lowest .. highest.
inline void expect_valid_params(const char* layer, const char* argument, const quant_params& p,
                                int lowest, int highest) {
  if (!is_finite(p.scale) || !(p.scale >= std::numeric_limits<float>::min())) {
    fail(layer, std::string(argument) + ".scale", p.scale, "a finite number of at least 2^-126");
  }
  if (p.zero_point < lowest || p.zero_point > highest) {
    fail(layer, std::string(argument) + ".zero_point", p.zero_point, interval(lowest, highest));
  }
}

inline void expect_valid_options(const char* layer, const layer_options& options) {
  if (options.output_params == no_params) return;
  expect_valid_params(layer, "output_params", options.output_params, -128, 255);
}

/// Fails unless workers is at least 1 and memory can hold `bytes` bytes for each of them.
inline void expect_workers(const char* layer, index workers, index bytes) {
  expect(workers >= 1, layer, "workers", workers, "at least 1");
  const index most = workspace::most_slots(bytes);
  expect(workers <= most, layer, "workers", workers, "at most " + std::to_string(most));
}

/// True if a layer can read X and write Y in place. Otherwise the compiler reports one sentence.
/// `Code` is the code of static inputs, or float.
template <class X, class Y, class Code = float>
[[nodiscard]] consteval bool takes_operands() {
  constexpr bool reads = DenseRows<X, float> || DenseRows<X, Code>;
  static_assert(reads,
                "fewbit: a layer reads inputs in place: as a row_matrix of float (or of codes, "
                "if inputs are static), a row-major Map or block of one, or a vector, which is "
                "one row; copy other operands to a row_matrix first");
  static_assert(LayerOutput<Y>,
                "fewbit: a layer writes outputs in place: to a row_matrix of float, "
                "std::int8_t or std::uint8_t, a row-major Map or block of one, or a vector, which "
                "is one row; they must not be const");
  return reads && LayerOutput<Y>;
}

[[noreturn, gnu::cold, gnu::noinline]] inline void stop_without_params(const char* layer) noexcept {
  stop("fewbit: %s: output_params is not given, expected the scale and zero point of y", layer);
}

/// Terminates the program unless x is m x k, y is m x n and, if y holds codes, output_params are
/// given and fit these codes.
template <class X, class Y>
FEWBIT_ALWAYS_INLINE void expect_call(const char* layer, const X& x, const Y& y, index k, index n,
                                      const layer_options& options) noexcept {
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

/// The stages that convert scaled totals to outputs of type Out. They add bias[col], apply
/// max(0, .) if options.relu is set, and convert to 8-bit codes unless Out is float.
template <class Out>
// NOLINTNEXTLINE(bugprone-exception-escape): stages were checked when the layer was made
[[nodiscard]] FEWBIT_ALWAYS_INLINE auto output_stages(const float* bias,
                                                      const layer_options& options) noexcept {
  const gemm::at_least bound(options.relu ? 0.0F : -std::numeric_limits<float>::infinity());
  const auto values = gemm::add_columns(bias) | bound;
  if constexpr (std::is_same_v<Out, float>) {
    return values;
  } else {
    const quant_params& p = options.output_params;
    return values | gemm::to_codes<Out>(1.0F / p.scale, p.zero_point);
  }
}

}  // namespace detail

}}  // namespace fewbit

#include "fewbit/end.hpp"
