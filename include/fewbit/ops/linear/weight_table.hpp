#pragma once
/// A quantized matrix in the form that layers use: signed 8-bit codes, and tables of scales and
/// zero points, [block of k][output channel]. Also the checks of weights that layers share.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "fewbit/arch/vec.hpp"
#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/quant/quantize.hpp"
#include "fewbit/quant/quantized_matrix.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// Number of codes along k that share a scale. 0: all codes of a row. -1: scales change along k, so
/// a sum over k has no common scale.
template <class Granularity>
inline constexpr index scale_depth = -1;
template <>
inline constexpr index scale_depth<per_tensor> = 0;
template <>
inline constexpr index scale_depth<per_row> = 0;
template <index G>
inline constexpr index scale_depth<sub_tensor<G>> = 0;
template <index G>
inline constexpr index scale_depth<grouped<G>> = G;

/// Compiles only for schemes whose weights a layer can multiply.
template <Scheme S>
constexpr void expect_multipliable() {
  static_assert(S::storage::bits <= 8, "fewbit: operators take weights of up to 8 bits");
  static_assert(
      scale_depth<typename S::granularity> >= 0,
      "fewbit: a scale per column changes along the sum over inputs and cannot be applied "
      "to the sum; use per_row or grouped<G>");
}

/// What is subtracted from codes of an unsigned 8-bit storage, so that they fit std::int8_t. The
/// same is subtracted from their zero points.
template <Scheme S>
inline constexpr int code_shift = S::storage::max > 127 ? 128 : 0;

/// A level of a codebook as an 8-bit code.
[[nodiscard]] inline std::int8_t level_code(float level) noexcept {
  return static_cast<std::int8_t>(arch::round_to_int(level * 127.0F));
}

/// n x k codes as std::int8_t. For a codebook they are the levels, rne(127 * level).
template <Scheme S>
[[nodiscard]] row_matrix<std::int8_t> signed_codes(const quantized_matrix<S>& q) {
  row_matrix<std::int8_t> codes(q.rows(), q.cols());
  std::vector<typename S::code> row(static_cast<std::size_t>(q.cols()));
  for (index r = 0; r < q.rows(); ++r) {
    q.unpack_row(r, row.data());
    for (index c = 0; c < q.cols(); ++c) {
      const auto code = row[static_cast<std::size_t>(c)];
      if constexpr (CodebookScheme<S>) {
        codes(r, c) = level_code(q.levels()[code]);
      } else {
        codes(r, c) = static_cast<std::int8_t>(code - code_shift<S>);
      }
    }
  }
  return codes;
}

/// The scale of the signed code at (r, c).
template <Scheme S>
[[nodiscard]] float signed_code_scale(const quantized_matrix<S>& q, index r, index c) noexcept {
  return CodebookScheme<S> ? q.scale(r, c) / 127.0F : q.scale(r, c);
}

/// The largest magnitude of a signed code minus its zero point.
template <Scheme S>
inline constexpr int largest_signed_code = CodebookScheme<S> ? 127
                                           : S::is_affine    ? S::storage::max - S::storage::min
                                                             : -S::storage::min;

/// Number of blocks of k with a scale of their own.
template <Scheme S>
[[nodiscard]] index scale_blocks(index k) noexcept {
  constexpr index depth = scale_depth<typename S::granularity>;
  if constexpr (depth == 0) {
    return 1;
  } else {
    return (k + depth - 1) / depth;
  }
}

/// table[block * n + channel] = value(channel, first column of the block).
template <class T, Scheme S, class F>
[[nodiscard]] aligned_buffer<T> block_table(const quantized_matrix<S>& q, const F& value) {
  const index blocks = scale_blocks<S>(q.cols());
  aligned_buffer<T> table(blocks * q.rows());
  for (index b = 0; b < blocks; ++b) {
    for (index j = 0; j < q.rows(); ++j) {
      table.data()[b * q.rows() + j] = value(j, b * scale_depth<typename S::granularity>);
    }
  }
  return table;
}

/// Fails unless an argument has rows and columns. `layer` is the function in the error sentence.
inline void expect_not_empty(const char* layer, const char* argument, index rows, index cols) {
  if (rows > 0 && cols > 0) return;
  fail(layer, argument, text(rows) + " x " + text(cols), "at least one row and one column");
}

/// quantize<S>(weights). Errors name the weights of a layer.
template <Scheme S>
[[nodiscard]] quantized_matrix<S> quantized_weights(
    const Eigen::Ref<const row_matrix<float>>& weights) {
  expect_finite("linear", "weights", weights);
  return quantize<S>(weights);
}

/// The value of the code at (r, c) before it is multiplied by its scale.
template <Scheme S>
[[nodiscard]] float counted(const quantized_matrix<S>& q, typename S::code code,
                            [[maybe_unused]] index r, [[maybe_unused]] index c) noexcept {
  if constexpr (CodebookScheme<S>) {
    return q.levels()[code];
  } else {
    return static_cast<float>(code - q.zero_point(r, c));
  }
}

/// The sum over a row of |value| * scale, in double. For a codebook the largest rounding error of a
/// level is added to its value.
template <Scheme S>
[[nodiscard]] double row_magnitude(const quantized_matrix<S>& q, index r,
                                   std::vector<typename S::code>& row) {
  q.unpack_row(r, row.data());
  double sum = 0.0;
  for (index c = 0; c < q.cols(); ++c) {
    const float value = counted(q, row[static_cast<std::size_t>(c)], r, c);
    const double rounded_by = CodebookScheme<S> ? 0.5 / 127.0 : 0.0;
    sum += (std::fabs(double{value}) + rounded_by) * double{q.scale(r, c)};
    if constexpr (S::has_minimum) sum += std::fabs(double{q.minimum(r, c)});
  }
  return sum;
}

/// Totals of a layer are floats before they are multiplied by the scale of the inputs. Fails if
/// input codes of up to `largest_input` could make a total infinite.
/// @param scales_grow_by  relative amount by which packing may round a scale up
template <Scheme S>
void expect_finite_totals(const quantized_matrix<S>& q, int largest_input,
                          double scales_grow_by = 0.0) {
  const double most = double{std::numeric_limits<float>::max()} * (1.0 - 0x1p-20 - scales_grow_by);
  const float largest = *std::max_element(q.scales().begin(), q.scales().end());
  const double code = CodebookScheme<S> ? 2.0 : double{largest_signed_code<S>};
  double minimum = 0.0;
  for (const float m : q.minima()) minimum = std::max(minimum, std::fabs(double{m}));
  const double weight = double{largest} * code + minimum;
  if (weight * static_cast<double>(q.cols()) * largest_input <= most) return;
  std::vector<typename S::code> row(static_cast<std::size_t>(q.cols()));
  for (index r = 0; r < q.rows(); ++r) {
    const double total = row_magnitude(q, r, row) * largest_input;
    if (total <= most) continue;
    fail("linear", "largest sum of row " + std::to_string(r) + " of weights by codes of inputs",
         total, "at most " + text(std::numeric_limits<float>::max()));
  }
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
