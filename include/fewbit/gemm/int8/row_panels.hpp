#pragma once
/// One row of activations by all panels of 8-bit weights: each panel goes through the micro-kernel
/// to the epilogue in registers. Products of one row (gemm/int8/one_row.hpp) and small products
/// (gemm/int8/multiply.hpp) are made of it. Read before: gemm/int8/micro_kernel.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "fewbit/arch/memory.hpp"
#include "fewbit/arch/partial.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/gemm/epilogue_rows.hpp"
#include "fewbit/gemm/int8/lhs.hpp"
#include "fewbit/gemm/int8/micro_kernel.hpp"
#include "fewbit/gemm/int8/saturation_proof.hpp"
#include "fewbit/gemm/int8/weights.hpp"
#include "fewbit/gemm/tuning.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm { namespace detail {

/// Applies an epilogue to the sums of one row in registers, one panel after the other. If it ends
/// in 8-bit codes, four registers of sums become one of codes.
template <class Unit, class Out, class E>
struct finish_row {
  Out* c;
  index row;  // for the epilogue
  index col;
  index n;
  E epilogue;

  template <int R, int C>
  FEWBIT_ALWAYS_INLINE void receive(const register_tile<Unit, R, C>& tile) noexcept {
    typename Unit::accumulator sums[C];
    tile.row(0, sums);
    take(sums);
    col += C * Unit::cols;
  }

  /// The sums of C registers from column `col` on.
  template <int C>
  FEWBIT_ALWAYS_INLINE void take(const typename Unit::accumulator (&sums)[C]) const noexcept {
    if constexpr (split_at_saturate<E>::found) {
      store_codes(sums);
    } else {
      store_numbers(sums);
    }
  }

 private:
  template <class V, int C>
  FEWBIT_ALWAYS_INLINE void store_codes(const V (&sums)[C]) const noexcept {
    using cut = split_at_saturate<E>;
#pragma GCC unroll 8
    for (int j = 0; j < C; j += 4) {
      arch::vec<std::int32_t, Unit::cols> four[4];  // missing registers repeat the last one
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        const int r = std::min(j + i, C - 1);
        const index first = col + r * Unit::cols;
        const auto valid = static_cast<int>(std::clamp<index>(n - first, 0, Unit::cols));
        if (j + i < C) {
          four[i] = cut::before(epilogue)(sums[r], at{row, first, valid});
        } else {
          four[i] = four[C - 1 - j];
        }
      }
      const index begin = col + j * Unit::cols;
      const auto codes =
          cut::after(epilogue)(cut::cut(epilogue).narrow(four), at{row, begin, 4 * Unit::cols});
      const index room = std::min<index>((C - j) * Unit::cols, n - begin);
      if (room >= 4 * Unit::cols) {
        codes.store(c + begin);
      } else if (room > 0) {
        arch::store_first(codes, c + begin, static_cast<int>(room));
      }
    }
  }

  template <class V, int C>
  FEWBIT_ALWAYS_INLINE void store_numbers(const V (&sums)[C]) const noexcept {
#pragma GCC unroll 8
    for (int j = 0; j < C; ++j) {
      const index first = col + j * Unit::cols;
      if (j > 0 && first >= n) return;
      const at where{row, first, static_cast<int>(std::min<index>(n - first, Unit::cols))};
      where.store_columns(epilogue(sums[j], where), c);
    }
  }
};

/// Multiplies one row by the panels of C registers from column sink.col to column `end`. With
/// WholeSteps, run.depth is a multiple of Dots::depth. If panels are narrow, each turn of the loop
/// computes its addresses from the column, so that all pointers stay in registers.
template <bool WholeSteps, int Offset, int C, class Dots, class Sink>
FEWBIT_ALWAYS_INLINE void sum_panels_of(const tile_run<Dots>& run, index end, Sink sink) noexcept {
  constexpr std::size_t codes = WholeSteps ? Dots::depth : 1;
  const auto* a = run.a;
  const auto* w = run.w;
  [[maybe_unused]] const auto* column_sums = run.column_sums;
  const index panel_codes = run.panel_codes;
  auto steps = static_cast<std::size_t>(run.depth) / codes;
  no_side nothing;
  do {
    if constexpr (C <= hidden_bounds) {
      arch::forget_origin(a);
      arch::forget_value(steps);
      arch::forget_value(sink.col);
    }
    register_tile<Dots, 1, C> tile;
    if constexpr (Offset != 0)
      tile.start(column_sums + sink.col, static_cast<std::uint32_t>(Offset), nullptr);
    tile.accumulate(a, 0, w, static_cast<index>(steps * codes), nothing);
    sink.receive(tile);
    w += panel_codes;
  } while (sink.col < end);
}

/// Multiplies one row by all panels.
///
/// @tparam WholeSteps  whether `depth` is a multiple of Dots::depth
/// @tparam Offset  what was subtracted from the codes
/// @param row      `depth` codes as Dots reads them, minus Offset
/// @param weights  the codes of all panels as Dots reads them
/// @param c_row    the row of C, for the epilogue
template <bool WholeSteps, int Offset, class Dots, class Weights, class Out, class E>
FEWBIT_ALWAYS_INLINE void sum_panels(const typename Dots::lhs_code* row, index depth,
                                     const Weights& w, const typename Dots::rhs_code* weights,
                                     Out* c, const E& epilogue, index c_row = 0) noexcept {
  using kernel_type = typename Weights::kernel_type;
  using tile = typename kernel_type::tile;
  const index padded = w.layout().padded(), wide = w.wide_cols(), n = w.n();
  const std::int32_t* sums = nullptr;
  if constexpr (kernel_type::unit::lhs_offset != 0) {
    sums = w.block_sums(0, 0);
  } else if constexpr (Offset != 0) {
    sums = w.column_sums().data();
  }
  const auto run = [&](index col, index width) {
    return tile_run<Dots>{row, 0, weights + col * padded, width * padded, depth, sums, nullptr,
                          1,   1};
  };
  if (wide > 0) {
    sum_panels_of<WholeSteps, Offset, kernel_type::col_registers>(
        run(0, tile::cols), wide, finish_row<Dots, Out, E>{c, c_row, 0, n, epilogue});
  }
  if (wide < n) {
    sum_panels_of<WholeSteps, Offset, kernel_type::edge_registers>(
        run(wide, kernel_type::edge_cols), n,
        finish_row<Dots, Out, E>{c, c_row, wide, n, epilogue});
  }
}

/// Copies a row of k codes. With IsPadded, codes up to the next multiple of 64 may be read, and
/// the copy has room for them.
template <class Unit, bool IsPadded, class Lhs>
FEWBIT_ALWAYS_INLINE void copy_whole_row(const Lhs* a, index k,
                                         typename Unit::lhs_code* to) noexcept {
  if constexpr (!IsPadded) {
    copy_row<Unit>(a, k, Unit::lhs_offset, to);
  } else if constexpr (requires { Unit::copy_whole(a, k, 0, to); }) {
    Unit::copy_whole(a, (k + 15) & ~index{15}, Unit::lhs_offset, to);
  } else {
    copy_codes(a, (k + 63) & ~index{63}, Unit::lhs_offset, to);
  }
}

}  // namespace detail

}}}  // namespace fewbit::gemm

#include "fewbit/end.hpp"
