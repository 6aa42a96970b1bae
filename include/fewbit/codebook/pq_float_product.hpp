#pragma once
/// C = X W^T by tables of floats, where W is stored as codes of a product quantizer. Only the
/// weights are rounded to few bits.
///
///     multiply_pq_floats(x, w, c, raw{}, memory);   // w: pq_weights<Bits, arch::scalar>
///
/// If the codes are in cache, this is slower than sums of bytes (codebook/pq_product.hpp). It does
/// not have their rounding error. On every processor the codes are packed for arch::scalar: a cache
/// line holds 64 rows by two parts of 4-bit codes, or by one part of 8-bit codes.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "fewbit/arch/float_lookup.hpp"
#include "fewbit/arch/memory.hpp"
#include "fewbit/arch/vec.hpp"
#include "fewbit/codebook/pq_product.hpp"
#include "fewbit/codebook/pq_weights.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/operands.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/gemm/epilogue_rows.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// The weights that multiply_pq_floats accepts.
template <int Bits>
using pq_float_weights = pq_weights<Bits, arch::scalar>;

/// The bytes of memory that multiply_pq_floats needs: the entries of one input row, and a part of
/// zeros.
template <int Bits>
[[nodiscard]] index pq_float_bytes(const pq_float_weights<Bits>& w) noexcept {
  return (w.parts() + 1) * w.centroids * index{sizeof(float)};
}

namespace detail {

/// sums[i] = ((0 + entry of part 0) + entry of part 1) + ... for point i of a block.
template <int Bits>
void sum_float_block(const pq_float_weights<Bits>& w, const float* entries, index block,
                     float* sums) noexcept {
  using layout = typename pq_float_weights<Bits>::layout;
  using unit = typename pq_float_weights<Bits>::unit;
  constexpr int centroids = 1 << Bits;
  constexpr int registers = static_cast<int>(layout::points_per_block) / entry_lanes::lanes;
  static_assert(layout::points_per_block == layout::stride && unit::parts == 8 / Bits);
  const std::uint8_t* codes = w.block(block);
  entry_lanes sum[registers];
#pragma GCC unroll 4
  for (int i = 0; i < registers; ++i) sum[i] = entry_lanes(0.0F);
  for (index row = 0; row < layout::rows(w.parts()); ++row, codes += layout::stride) {
    arch::prefetch_to_l1(arch::beyond(codes, code_prefetch_distance));
#pragma GCC unroll 4
    for (int i = 0; i < registers; ++i) {
      using bytes = arch::vec<std::uint8_t, entry_lanes::lanes>;
      using ints = arch::vec<std::int32_t, entry_lanes::lanes>;
      const ints code = arch::convert<std::int32_t>(bytes::load(codes + i * entry_lanes::lanes));
      if constexpr (unit::parts == 2) {
        sum[i] += arch::lookup_floats<centroids>(entries, code & ints(15));
        sum[i] += arch::lookup_floats<centroids>(entries + centroids, code >> ints(4));
      } else {
        sum[i] += arch::lookup_floats<centroids>(entries, code);
      }
    }
    entries += unit::parts * centroids;
  }
  alignas(64) float by_byte[layout::points_per_block];
  for (int i = 0; i < registers; ++i) sum[i].store(by_byte + i * entry_lanes::lanes);
  for (int i = 0; i < static_cast<int>(layout::points_per_block); ++i) {
    sums[i] = by_byte[i / unit::points * unit::row_bytes + unit::byte_of(i % unit::points)];
  }
}

/// The same for some rows of codes alone, added to sums of earlier ones. Sums are in the order of
/// the bytes of codes: sum_of_point says where the sum of a point is.
template <int Bits>
void add_float_rows(const float* entries, const std::uint8_t* codes, index rows,
                    float* sums) noexcept {
  using layout = typename pq_float_weights<Bits>::layout;
  using unit = typename pq_float_weights<Bits>::unit;
  constexpr int centroids = 1 << Bits;
  using bytes = arch::vec<std::uint8_t, entry_lanes::lanes>;
  using ints = arch::vec<std::int32_t, entry_lanes::lanes>;
  for (index i = 0; i < layout::points_per_block; i += entry_lanes::lanes) {
    entry_lanes sum = entry_lanes::load(sums + i);
    const float* table = entries;
    for (index row = 0; row < rows; ++row, table += unit::parts * centroids) {
      const ints code = arch::convert<std::int32_t>(bytes::load(codes + row * layout::stride + i));
      if constexpr (unit::parts == 2) {
        sum += arch::lookup_floats<centroids>(table, code & ints(15));
        sum += arch::lookup_floats<centroids>(table + centroids, code >> ints(4));
      } else {
        sum += arch::lookup_floats<centroids>(table, code);
      }
    }
    sum.store(sums + i);
  }
}

/// Where add_float_rows has the sum of point i of a block.
template <int Bits>
[[nodiscard]] constexpr index sum_of_point(index i) noexcept {
  using unit = typename pq_float_weights<Bits>::unit;
  return i / unit::points * unit::row_bytes + unit::byte_of(static_cast<int>(i % unit::points));
}

}  // namespace detail

/// c(i, j) = epilogue(sum over parts p of entry(p, code(j, p))). Sums start at 0 and add the parts
/// in order. entry(p, q) is the product of the coordinates of part p of row i with centroid q:
/// fused multiply-adds, starting at 0, in the order of the columns. The bits are the same on every
/// processor. A NaN or an infinity in x follows the rules of float arithmetic.
///
/// @param x       m x w.k() floats
/// @param c       m x w.n(); if shapes do not fit, the program terminates (core/operands.hpp)
/// @param memory  pq_float_bytes(w) bytes, aligned to a cache line
template <int Bits, RowMajorDense<float> X, class C, class E, Executor Workers = inline_executor>
  requires gemm::ProductInto<C, E, float>
void multiply_pq_floats(const X& x, const pq_float_weights<Bits>& w, C&& c, const E& epilogue,
                        std::byte* memory, const Workers& executor = {}) noexcept {
  using out = scalar_of<C>;
  constexpr index piece = detail::pq_rows_per_piece, centroids = index{1} << Bits;
  constexpr index block = pq_float_weights<Bits>::layout::points_per_block;
  constexpr index parts_together = detail::entries_per_piece / centroids;
  detail::expect_shapes({"multiply_pq_floats", "x", "c"}, x, c, w.k(), w.n());
  auto* entries = reinterpret_cast<float*>(memory);
  std::fill_n(entries + w.parts() * centroids, centroids, 0.0F);
  for (index r = 0; r < x.rows(); ++r) {
    const float* row = x.data() + r * x.outerStride();
    executor.for_each((w.parts() + parts_together - 1) / parts_together, [&](index i) {
      const index end = std::min((i + 1) * parts_together, w.parts());
      for (index p = i * parts_together; p < end; ++p) {
        detail::fill_products(w, row, p, entries + p * centroids);
      }
    });
    executor.for_each((w.n() + piece - 1) / piece, [&](index i) {
      alignas(64) float sums[piece];
      const index first = i * piece, cols = std::min(piece, w.n() - first);
      for (index j = 0; j < cols; j += block) {
        detail::sum_float_block(w, entries, (first + j) / block, sums + j);
      }
      gemm::apply_epilogue_to_rows<arch::native_lanes<float>>(
          sums, piece, gemm::output_rectangle<out>{c.data(), c.outerStride(), r, first, 1, cols},
          epilogue);
    });
  }
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
