#pragma once
/// Quantizes to blocks q4_0 with scales fitted to the inputs of the layer, as ggml does with an
/// importance matrix. Use it if a sample of the inputs is available.
///
///     block_matrix<q4_0> b = weighted_quantize_blocks(w, second_moments);
///
/// Each block is quantized as follows. v_j = importance_j sqrt(mean(x^2 of the row) + x_j^2), and
/// x* is the first x with the largest magnitude.
///
/// 1. The scales x* / -(8 + i / 10) are tried in the order i = 0, -9, -8 .. -1, 1 .. 9.
/// 2. Each scale gives the codes l = clamp(rne(x / scale), -8, 7).
/// 3. The codes with the largest (sum v x l)^2 / sum v l^2 are kept; the first ones in a tie.
/// 4. The stored scale is d = (sum v x l) / (sum v l^2).
///
/// All arithmetic is in float, in the order of the elements, without fused multiply-add. Rows,
/// blocks, importance and v are first multiplied by powers of two, so that their largest magnitude
/// is in [1, 2). Then no square overflows or underflows. The result is bit for bit that of ggml
/// wherever ggml itself has no overflow or underflow.
///
/// Read next: quant/weighted_quantize.hpp, which searches all scales and is not limited to ggml.

#include "fewbit/begin.hpp"

#include <array>
#include <cmath>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "fewbit/arch/vec.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/finite.hpp"
#include "fewbit/core/half.hpp"
#include "fewbit/core/rows.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/formats/ggml_blocks.hpp"
#include "fewbit/formats/ggml_quantize.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// The codes of a block for one scale, and their sums.
struct scaled_codes {
  block_codes codes;
  float products = 0.0F;  // sum v x l
  float squares = 0.0F;   // sum v l^2

  scaled_codes(const float* x, const float* v, float reciprocal) noexcept {
    for (std::size_t j = 0; j < codes.size(); ++j) {
      const float scaled = arch::clamp(reciprocal * x[j], -8.0F, 7.0F);
      const auto l = static_cast<float>(arch::round_to_int(scaled));
      codes[j] = static_cast<std::int8_t>(l + 8.0F);
      products += arch::rounded(v[j] * x[j] * l);
      squares += arch::rounded(v[j] * l * l);
    }
  }

  [[nodiscard]] float scale() const noexcept { return squares == 0.0F ? 0.0F : products / squares; }
};

/// Multiplies n numbers by the power of two that brings their largest magnitude into [1, 2).
/// Returns the exponent of the largest magnitude before the multiplication.
inline int normalise(const float* x, index n, float* out) noexcept {
  float largest = 0.0F;
  for (index i = 0; i < n; ++i) largest = std::fmax(largest, std::fabs(x[i]));
  const int exponent = largest == 0.0F ? 0 : std::ilogb(largest);
  const double factor = std::ldexp(1.0, -exponent);
  for (index i = 0; i < n; ++i) out[i] = static_cast<float>(double{x[i]} * factor);
  return exponent;
}

using block_reals = std::array<float, ggml_block_size>;

/// Quantizes one block.
/// @param weights  the 32 weights of the block
/// @param counts   v_j, the importance of each weight
inline q4_0 weighted_block(const float* weights, const block_reals& counts) noexcept {
  if (std::fabs(first_largest(weights)) < 1e-15F) return block_of_zeros<q4_0>();
  block_reals x_values, v_values;
  const int exponent = normalise(weights, ggml_block_size, x_values.data());
  normalise(counts.data(), ggml_block_size, v_values.data());
  const float* x = x_values.data();
  const float* v = v_values.data();
  const float largest = first_largest(x);
  scaled_codes best(x, v, -8.0F / largest);
  float best_gain = best.scale() * best.products;
  for (int i = -9; i <= 9; ++i) {
    if (i == 0) continue;
    const float last = 8.0F + arch::rounded(0.1F * static_cast<float>(i));
    const scaled_codes next(x, v, -last / largest);
    if (next.squares > 0.0F && next.products * next.products > best_gain * next.squares) {
      best = next;
      best_gain = best.scale() * best.products;
    }
  }
  q4_0 block;
  write_half(to_half(std::ldexp(best.scale(), exponent)), block.d);
  pack_block(best.codes, block);
  return block;
}

/// Mean of x^2, summed in order of the elements.
inline float mean_square(const float* x, index n) noexcept {
  float sum = 0.0F;
  for (index c = 0; c < n; ++c) sum += arch::rounded(x[c] * x[c]);
  return sum / static_cast<float>(n);
}

}  // namespace detail

/// Quantizes a matrix. The number of columns must be a multiple of 32.
///
/// @param importance  the mean of the squared input, for each column of `w`
/// @throws fewbit::error if `w` is empty or not finite, if the number of columns is not a multiple
///         of 32, if `importance` has another length, is negative or not finite, or if a d is above
///         the range of halves
///
/// A common factor of `importance` has no effect except for rounding. A block whose magnitudes are
/// all below 1e-15 becomes the block of zeros. A block whose importance is 0 gets d = 0.
template <Executor E = inline_executor>
[[nodiscard]] block_matrix<q4_0> weighted_quantize_blocks(
    const Eigen::Ref<const row_matrix<float>>& w, std::span<const float> importance,
    const E& executor = {}) {
  constexpr const char* function = "weighted_quantize_blocks";
  detail::expect_finite(function, "w", w);
  detail::expect_whole_blocks(function, w.cols());
  detail::expect_valid_importance(function, importance, w.cols());
  const index per_row = w.cols() / ggml_block_size;
  std::vector<float> counts(importance.size());
  detail::normalise(importance.data(), w.cols(), counts.data());
  std::vector<q4_0> blocks(static_cast<std::size_t>(w.rows() * per_row));
  executor.for_each(w.rows(), [&](index r) {
    std::vector<float> row(static_cast<std::size_t>(w.cols()));
    detail::normalise(detail::row_of(w, r), w.cols(), row.data());
    const float mean = detail::mean_square(row.data(), w.cols());
    for (index b = 0; b < per_row; ++b) {
      const index first = b * ggml_block_size;
      detail::block_reals v;
      for (std::size_t j = 0; j < v.size(); ++j) {
        const std::size_t c = static_cast<std::size_t>(first) + j;
        v[j] = counts[c] * std::sqrt(mean + arch::rounded(row[c] * row[c]));
      }
      blocks[static_cast<std::size_t>(r * per_row + b)] =
          detail::weighted_block(detail::row_of(w, r) + first, v);
    }
  });
  detail::expect_finite_blocks<q4_0>(function, w, blocks);
  return block_matrix<q4_0>(w.rows(), w.cols(), std::move(blocks));
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
