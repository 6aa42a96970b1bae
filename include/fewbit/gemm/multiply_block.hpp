#pragma once
/// The product of one block of rows in one thread, in raw scratch memory: what operators call that
/// make their rows of activations a block at a time (ops/conv2d/product.hpp). Read first:
/// gemm/multiply.hpp, whose calls check their operands. These do not.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "fewbit/core/types.hpp"
#include "fewbit/gemm/epilogue_rows.hpp"
#include "fewbit/gemm/few_bits/multiply.hpp"
#include "fewbit/gemm/few_bits/partial_sums.hpp"
#include "fewbit/gemm/int8/multiply.hpp"
#include "fewbit/gemm/int8/partial_sums.hpp"
#include "fewbit/gemm/sum_of_codes.hpp"

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

/// Bytes of memory of multiply_row_in_chunks, whatever the extents: sums of some columns, a chunk
/// of codes, and a copy of the chunk.
inline constexpr index row_chunk_codes = 2048;
inline constexpr index row_chunk_sums = 1024;
inline constexpr index row_chunk_bytes =
    row_chunk_sums * index{sizeof(std::int32_t)} + 3 * row_chunk_codes;

/// y(j) = epilogue(sum over k of a(k) * W(j, k)) of one row a, in row_chunk_bytes of memory: k in
/// chunks, some columns at a time.
///
/// @param codes    codes(k, count, memory) returns a pointer to codes k .. k + count - 1 of the
///                 row; it may write them to memory
/// @param row_sum  if given, gets the sum of the codes before the epilogue reads it
template <class Code, class Weights, class Codes, class Out, class E>
void multiply_row_in_chunks(const Weights& w, const Codes& codes, Out* y, const E& epilogue,
                            std::byte* memory, std::int32_t* row_sum = nullptr) noexcept {
  constexpr index columns = product_columns<Weights>;
  constexpr index most = row_chunk_sums / columns * columns;  // whole panels
  auto* sums = reinterpret_cast<std::int32_t*>(memory);
  auto* room = reinterpret_cast<Code*>(memory + row_chunk_sums * index{sizeof(std::int32_t)});
  auto* copied = reinterpret_cast<std::byte*>(room + row_chunk_codes);
  for (index col = 0; col < w.n(); col += most) {
    const index col_end = std::min(w.n(), col + most);
    std::fill_n(sums, most, 0);
    std::int32_t sum_of_row = 0;
    for (index k = 0; k < w.k(); k += row_chunk_codes) {
      const index count = std::min(row_chunk_codes, w.k() - k);
      const Code* part = codes(k, count, room);
      if (row_sum != nullptr) sum_of_row += sum_of_codes(part, count);
      add_products(part, k, count, w, col, col_end, sums, copied);
    }
    if (row_sum != nullptr) *row_sum = sum_of_row;
    apply_epilogue_to_rows<product_lanes<Weights>>(
        sums, most, output_rectangle<Out>{y, 0, 0, col, 1, col_end - col}, epilogue);
  }
}

}}}  // namespace fewbit::gemm

#include "fewbit/end.hpp"
