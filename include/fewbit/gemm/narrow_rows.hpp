#pragma once
/// A few rows by narrow weights, which are expanded in registers: what counts is how fast they come
/// from memory.
///
///     sum over k of a * w  =  sum of s * value  -  zero point * (sum of s)  +  offset * (sum of w)
///
/// with s = a - offset, which is signed: offset is 128 where activations are unsigned, else 0. Units
/// of up to four bits are exact for s = -128, too: 2 * 8 * 7 * 128 fits int16. Activations are
/// copied as [step][row][4], once.

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "fewbit/arch/memory.hpp"
#include "fewbit/arch/stored_unit.hpp"
#include "fewbit/arch/vec.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/gemm/finish_rows.hpp"
#include "fewbit/gemm/narrow_weights.hpp"
#include "fewbit/gemm/sum_of_codes.hpp"

namespace fewbit::inline FEWBIT_ARCH_NAMESPACE::gemm {

/// Activations of 8 bits of either signedness.
template <class A>
concept NarrowLhs = RowMajorDense<A, std::uint8_t> || RowMajorDense<A, std::int8_t>;

namespace detail {

/// Rows up to which weights are expanded in registers. Time of that as a share of the time with
/// expanded panels, 2 bits with AVX512-VNNI on a Sapphire Rapids: (m,4096,4096) 0.33 for one row,
/// 0.43 for two, 0.74 for four, 0.96 for five, 1.07 for eight; (m,1024,1024) 0.86 for four, 1.04
/// for five.
template <class Arch>
inline constexpr index narrow_rows = 4;

/// How far ahead of its use a line of weights is asked for.
inline constexpr index narrow_ahead = 4608;

/// The most rows that are taken together.
inline constexpr index narrow_tile_rows = 4;

/// Panels that are read side by side, each from another part of W: memory answers several streams
/// faster than one, and sums of one row wait for one another.
template <int R>
inline constexpr int narrow_streams = R == 1   ? 4
                                      : R == 2 ? 2
                                               : 1;

/// Scratch bytes for the activations of a tile of rows.
template <int Bits, class Arch>
[[nodiscard]] index narrow_rows_bytes(const narrow_weights<Bits, Arch>& w) noexcept {
  return narrow_tile_rows * w.chunks() * narrow_weights<Bits, Arch>::chunk_codes;
}

/// R rows by some panels.
template <int R, class Lhs, int Bits, class Arch, class Out, class E>
class narrow_row_tile {
  using weights = narrow_weights<Bits, Arch>;
  using unit = typename weights::unit;
  using ints = typename unit::accumulator;
  static constexpr bool is_unsigned = std::is_unsigned_v<Lhs>;
  static constexpr int cols = unit::cols;

 public:
  /// Copies the rows c.row .. c.row + c.rows - 1 of A, at most R.
  narrow_row_tile(const Lhs* a, index a_stride, const weights& w, const out_view<Out>& c,
                  const E& epilogue, std::byte* scratch) noexcept
      : w_(w), c_(c), epilogue_(epilogue), codes_(reinterpret_cast<std::int8_t*>(scratch)) {
    for (index r = 0; r < R; ++r) {
      const index count = r < c.rows ? w.k() : 0;
      const Lhs* from = a + (c.row + r) * a_stride;
      copy_row(from, count, codes_ + r * 4);
      const std::int32_t sum = sum_of_codes(from, count);
      const auto moved = static_cast<std::int32_t>(is_unsigned ? 128 * count : 0);
      starts_[r] = -w.zero_point() * (sum - moved);
    }
  }

  /// Panels begin .. end - 1, in equal parts for the streams.
  void panels(index begin, index end) const noexcept {
    constexpr int most = narrow_streams<R>;
    const index length = (end - begin) / most;
    for (index i = 0; i < length; ++i) side_by_side<most>(begin + i, length);
    for (index p = begin + most * length; p < end; ++p) side_by_side<1>(p, 0);
  }

 private:
  void copy_row(const Lhs* from, index count, std::int8_t* to) const noexcept {
    const index padded = w_.chunks() * weights::chunk_codes;
    const std::uint32_t moved = is_unsigned ? 0x80808080U : 0U;
    index k = 0;
    for (; k + 4 <= count; k += 4, to += 4 * R) {
      std::uint32_t quad;
      std::memcpy(&quad, from + k, 4);
      quad ^= moved;
      std::memcpy(to, &quad, 4);
    }
    for (; k < padded; k += 4, to += 4 * R) {
      for (index d = 0; d < 4; ++d) {
        const int code = k + d < count ? from[k + d] - (is_unsigned ? 128 : 0) : 0;
        to[d] = static_cast<std::int8_t>(code);
      }
    }
  }

  /// P panels, the first of which is `panel`, `stride` panels apart.
  template <int P>
  void side_by_side(index panel, index stride) const noexcept {
    const std::uint8_t* from[P];
    ints sums[P][R];
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      from[p] = w_.panel(panel + p * stride);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) sums[p][r] = ints(0);
    }
    const std::int8_t* a = codes_;
    for (index i = 0; i < w_.chunks(); ++i) {
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) {
#pragma GCC unroll 4
        for (index line = 0; line < weights::chunk_bytes; line += arch::cache_line)
          arch::prefetch_to_l1(from[p] + narrow_ahead + line);
        unit::add_chunk(sums[p], a, from[p]);
        from[p] += weights::chunk_bytes;
      }
      a += weights::chunk_codes * R;
    }
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) finish(panel + p * stride, sums[p]);
  }

  void finish(index panel, const ints (&sums)[R]) const noexcept {
    alignas(64) std::int32_t rows[R * cols];
    const index col = panel * cols;
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      ints total = arch::add_wrapping(sums[r], ints(starts_[r]));
      if constexpr (is_unsigned) {
        const ints of_weights = ints::load(w_.column_sums() + col);
        total = arch::add_wrapping(total, arch::multiply_wrapping(of_weights, ints(128)));
      }
      total.store(rows + r * cols);
    }
    finish_rows<lanes>(&rows[0], cols,
                       out_view<Out>{c_.data, c_.stride, c_.row, col, c_.rows,
                                     std::min(index{cols}, c_.cols - col)},
                       epilogue_);
  }

  static constexpr int lanes = epilogue_lanes<default_kernel<Lhs, Arch>>;

  const weights& w_;
  out_view<Out> c_;
  const E& epilogue_;
  std::int8_t* codes_;
  std::int32_t starts_[R];
};

/// Part `part` of `parts` parts of C, of columns.
template <class Lhs, int Bits, class Arch, class Out, class E>
void multiply_few_rows(const Lhs* a, index a_stride, const narrow_weights<Bits, Arch>& w,
                       const out_view<Out>& c, const E& epilogue, index part, index parts,
                       std::byte* scratch) noexcept {
  constexpr index cols = narrow_weights<Bits, Arch>::unit::cols;
  const index panels = (c.cols + cols - 1) / cols;
  const index begin = panels * part / parts, end = panels * (part + 1) / parts;
  const auto tile = [&]<int R>(std::integral_constant<int, R>, const out_view<Out>& rows) {
    narrow_row_tile<R, Lhs, Bits, Arch, Out, E>(a, a_stride, w, rows, epilogue, scratch)
        .panels(begin, end);
  };
  for (index row = 0; row < c.rows; row += narrow_tile_rows) {
    const index count = std::min(narrow_tile_rows, c.rows - row);
    const out_view<Out> rows{c.data, c.stride, row, 0, count, c.cols};
    if (count == 1) {
      tile(std::integral_constant<int, 1>{}, rows);
    } else if (count == 2) {
      tile(std::integral_constant<int, 2>{}, rows);
    } else {
      tile(std::integral_constant<int, 4>{}, rows);
    }
  }
}

}  // namespace detail
}  // namespace fewbit::inline FEWBIT_ARCH_NAMESPACE::gemm
