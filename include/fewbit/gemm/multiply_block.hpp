#pragma once
/// The product of one block of rows in one thread, in raw scratch memory: what operators call that
/// make their rows of activations a block at a time (ops/conv2d/product.hpp). Read first:
/// gemm/multiply.hpp, whose calls check their operands. These do not.

#include "fewbit/begin.hpp"

#include <cstddef>
#include <cstdint>

#include "fewbit/core/types.hpp"
#include "fewbit/gemm/few_bits/multiply.hpp"
#include "fewbit/gemm/few_bits/partial_sums.hpp"
#include "fewbit/gemm/int8/multiply.hpp"
#include "fewbit/gemm/int8/partial_sums.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm {

/// Codes, `stride` codes from one row to the next.
template <class Code>
struct code_block {
  const Code* data;
  index stride;
  index rows;
};

/// c(i, j) = epilogue(sum over k of a(i, k) * W(j, k)), row-major, `c_stride` numbers from one row
/// to the next.
///
/// @param scratch  scratch_bytes(w, a.rows) bytes
template <class Lhs, class Kernel, class Out, class E>
void multiply_block(const code_block<Lhs>& a, const int8_weights<Lhs, Kernel>& w, Out* c,
                    index c_stride, const E& epilogue, std::byte* scratch) noexcept {
  const whole_depth blocks;
  const detail::product<int8_weights<Lhs, Kernel>, Out, whole_depth, E> p{
      a.data, a.stride, w, {c, c_stride, 0, 0, a.rows, w.n()}, blocks, epilogue};
  p.rows(0, a.rows, 0, w.n(), scratch);
}

template <class Lhs, int Bits, class Arch, class Out, class E>
void multiply_block(const code_block<Lhs>& a, const few_bit_weights<Bits, Arch>& w, Out* c,
                    index c_stride, const E& epilogue, std::byte* scratch) noexcept {
  const output_rectangle<Out> to{c, c_stride, 0, 0, a.rows, w.n()};
  if (a.rows <= detail::most_few_rows<Arch>) {
    detail::multiply_few_rows(a.data, a.stride, w, to, epilogue, 0, 1, scratch);
  } else {
    detail::multiply_expanded(a.data, a.stride, w, to, epilogue, 0, 1, scratch);
  }
}

/// Columns of one call of add_products start at a multiple of this.
template <class Weights>
inline constexpr index product_columns = Weights::unit::cols;
template <class Lhs, class Kernel>
inline constexpr index product_columns<int8_weights<Lhs, Kernel>> = Kernel::tile::cols;

/// Numbers that the epilogue of such sums gets at a time (apply_epilogue_to_rows).
template <class Weights>
inline constexpr int product_lanes = 0;
template <int Bits, class Arch>
inline constexpr int product_lanes<few_bit_weights<Bits, Arch>> =
    detail::epilogue_lanes<default_kernel<std::uint8_t, Arch>>;
template <class Lhs, class Kernel>
inline constexpr int product_lanes<int8_weights<Lhs, Kernel>> =
    partial_sums<int8_weights<Lhs, Kernel>>::lanes;

/// sums[j - col] += sum over `count` codes of k of a(k) * W(j, k), for the columns j from col to
/// col_end - 1 of one row. For products that have little scratch memory.
///
/// @param a        codes k .. k + count - 1 of the row; k is a multiple of 512
/// @param col      a multiple of product_columns
/// @param sums     room for whole panels
/// @param scratch  2 * count bytes, rounded up to whole steps of 64 codes
template <class Lhs, class Kernel>
void add_products(const Lhs* a, index k, index count, const int8_weights<Lhs, Kernel>& w, index col,
                  index col_end, std::int32_t* sums, std::byte* scratch) noexcept {
  partial_sums<int8_weights<Lhs, Kernel>>::add(a, count, 1, w, {0, k, count}, col, col_end, scratch,
                                               sums, 0);
}

template <class Lhs, int Bits, class Arch>
void add_products(const Lhs* a, index k, index count, const few_bit_weights<Bits, Arch>& w,
                  index col, index col_end, std::int32_t* sums, std::byte* scratch) noexcept {
  partial_sums<few_bit_weights<Bits, Arch>, Lhs>::add(
      a, w, k, count, col, col_end, reinterpret_cast<std::int8_t*>(scratch), sums);
}

}}}  // namespace fewbit::gemm

#include "fewbit/end.hpp"
