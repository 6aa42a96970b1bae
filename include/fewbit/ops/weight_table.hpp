#pragma once
/// A quantized matrix as the operators use it: signed 8-bit codes, and scales and zero points as
/// tables of [block of k][output channel].

#include "fewbit/begin.hpp"

#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "fewbit/arch/vec.hpp"
#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/quant/quantized_matrix.hpp"

namespace fewbit::inline FEWBIT_ARCH_NAMESPACE::detail {

/// Codes of k that share a scale: 0 for all of a row, -1 if scales cannot leave the sum over k.
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

/// The schemes whose weights an operator multiplies.
template <Scheme S>
constexpr void expect_multipliable() {
  static_assert(S::storage::bits <= 8, "fewbit: operators take weights of up to 8 bits");
  static_assert(scale_depth<typename S::granularity> >= 0,
                "fewbit: a scale per column varies along the sum over inputs and cannot leave it; "
                "use per_row or grouped<G>");
}

/// Codes of an unsigned 8-bit storage are moved by this much to fit std::int8_t; their zero points
/// move along.
template <Scheme S>
inline constexpr int code_shift = S::storage::max > 127 ? 128 : 0;

/// A level of a codebook as an integer kernel takes it.
[[nodiscard]] inline std::int8_t level_code(float level) noexcept {
  return static_cast<std::int8_t>(arch::round_to_int(level * 127.0F));
}

/// n x k codes as std::int8_t; of a codebook the levels themselves, rne(127 * level).
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

/// What one of signed_codes counts, at (r, c).
template <Scheme S>
[[nodiscard]] float signed_code_scale(const quantized_matrix<S>& q, index r, index c) noexcept {
  return CodebookScheme<S> ? q.scale(r, c) / 127.0F : q.scale(r, c);
}

/// The largest magnitude of one of signed_codes less its zero point.
template <Scheme S>
inline constexpr int largest_signed_code = CodebookScheme<S> ? 127
                                           : S::is_affine    ? S::storage::max - S::storage::min
                                                             : -S::storage::min;

/// Number of blocks of k with a scale of their own.
template <Scheme S>
[[nodiscard]] index scale_blocks(index k) noexcept {
  constexpr index depth = scale_depth<typename S::granularity>;
  return depth == 0 ? 1 : (k + depth - 1) / depth;
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

/// Fails unless bias is empty or has one finite number per channel.
template <class Vector>
void expect_valid_bias(const Vector& bias, index channels) {
  if (bias.size() == 0) return;
  expect_equal("linear", "length of bias", bias.size(), channels);
  for (index i = 0; i < bias.size(); ++i) {
    if (!is_finite(bias[i])) {
      fail("linear", "bias[" + std::to_string(i) + "]", bias[i], "a finite number");
    }
  }
}

template <class Vector>
[[nodiscard]] aligned_buffer<float> bias_or_zeros(const Vector& bias, index channels) {
  aligned_buffer<float> values(channels);
  for (index i = 0; i < bias.size(); ++i) values.data()[i] = bias[i];
  return values;
}

}  // namespace fewbit::inline FEWBIT_ARCH_NAMESPACE::detail

#include "fewbit/end.hpp"
