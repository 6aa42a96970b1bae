#pragma once
/// The product of one row of activations and 8-bit weights, for calls that come one row at a time.
///
/// gemm::multiply chooses among walks and prepares blocks of rows, which takes longer than the sums
/// of some ten columns. Here the row is prepared once, and each panel goes through the micro-kernel
/// to the epilogue in registers. A caller that computes the activations can write them in the form
/// that the unit reads (row_form). Read before: gemm/int8/micro_kernel.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "fewbit/arch/partial.hpp"
#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/gemm/epilogue_rows.hpp"
#include "fewbit/gemm/int8/lhs.hpp"
#include "fewbit/gemm/int8/micro_kernel.hpp"
#include "fewbit/gemm/int8/saturation_proof.hpp"
#include "fewbit/gemm/int8/walk_by_proof.hpp"
#include "fewbit/gemm/int8/weights.hpp"
#include "fewbit/gemm/multiply_block.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm {

namespace detail {

/// Applies an epilogue to the sums of one row in registers, one panel after the other. If it ends
/// in 8-bit codes, four registers of sums become one of codes.
template <class Unit, class Out, class E>
struct finish_row {
  Out* c;
  index col;
  index n;
  E epilogue;

  template <int R, int C>
  FEWBIT_ALWAYS_INLINE void receive(const register_tile<Unit, R, C>& tile) noexcept {
    typename Unit::accumulator sums[C];
    tile.row(0, sums);
    if constexpr (split_at_saturate<E>::found) {
      store_codes(sums);
    } else {
      store_numbers(sums);
    }
    col += C * Unit::cols;
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
          four[i] = cut::before(epilogue)(sums[r], at{0, first, valid});
        } else {
          four[i] = four[C - 1 - j];
        }
      }
      const index begin = col + j * Unit::cols;
      const auto codes =
          cut::after(epilogue)(cut::cut(epilogue).narrow(four), at{0, begin, 4 * Unit::cols});
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
      if (first >= n) return;
      const at where{0, first, static_cast<int>(std::min<index>(n - first, Unit::cols))};
      where.store_columns(epilogue(sums[j], where), c);
    }
  }
};

/// Multiplies one row by `panels` panels of C registers.
template <class Dots, int C, class Sink>
FEWBIT_ALWAYS_INLINE void sum_panels_of(const tile_run<Dots>& given, int offset,
                                        Sink sink) noexcept {
  auto run = given;
  const auto* column_sums = run.column_sums;
  no_side nothing;
  for (; run.along > 0; --run.along) {
    arch::forget_origin(run.a);
    arch::forget_value(run.depth);
    register_tile<Dots, 1, C> tile;
    if (column_sums != nullptr) {
      tile.start(column_sums, static_cast<std::uint32_t>(offset), nullptr);
      column_sums += C * Dots::cols;
    }
    tile.accumulate(run.a, 0, run.w, run.depth, nothing);
    sink.receive(tile);
    run.w += run.panel_codes;
  }
}

/// Multiplies one row by all panels.
///
/// @param row      `depth` codes as Dots reads them, minus `offset`
/// @param weights  the codes of all panels as Dots reads them
template <class Dots, class Weights, class Out, class E>
FEWBIT_ALWAYS_INLINE void sum_panels(const typename Dots::lhs_code* row, index depth, int offset,
                                     const Weights& w, const typename Dots::rhs_code* weights,
                                     Out* c, const E& epilogue) noexcept {
  using kernel_type = typename Weights::kernel_type;
  using tile = typename kernel_type::tile;
  const index padded = w.layout().padded(), wide = w.wide_cols();
  const std::int32_t* sums = nullptr;
  if constexpr (kernel_type::unit::lhs_offset != 0) {
    sums = w.block_sums(0, 0);
  } else if (offset != 0) {
    sums = w.column_sums().data();
  }
  const auto run = [&](index col, index width, index panels) {
    return tile_run<Dots>{row,
                          0,
                          weights + col * padded,
                          width * padded,
                          depth,
                          sums == nullptr ? nullptr : sums + col,
                          nullptr,
                          1,
                          panels};
  };
  if (wide > 0) {
    sum_panels_of<Dots, kernel_type::col_registers>(
        run(0, tile::cols, wide / tile::cols), offset,
        finish_row<Dots, Out, E>{c, 0, w.n(), epilogue});
  }
  if (const index rest = w.padded_n() - wide; rest > 0) {
    sum_panels_of<Dots, kernel_type::edge_registers>(
        run(wide, kernel_type::edge_cols, rest / kernel_type::edge_cols), offset,
        finish_row<Dots, Out, E>{c, wide, w.n(), epilogue});
  }
}

}  // namespace detail

/// A copy of small weights in the form that multiply_row reads fastest: as int16 where the unit
/// otherwise widens them at each use. Empty for other units and for weights of more than 16 Ki
/// codes, 32 KiB as int16.
template <class Weights>
class row_weights {
 public:
  row_weights() = default;
  explicit row_weights(const Weights& w) {
    using kernel_type = typename Weights::kernel_type;
    if constexpr (detail::Proving<typename kernel_type::unit>) {
      const index padded = w.layout().padded();
      index codes = 0;
      for (index col = 0; col < w.n(); col += w.panel_cols(col))
        codes += w.panel_cols(col) * padded;
      if (codes > most_codes) return;
      wide_ = aligned_buffer<std::int16_t>(codes);
      for (index col = 0; col < w.n(); col += w.panel_cols(col)) {
        detail::widen_panels<kernel_type>(w.panel(col), w.panel_cols(col) * padded,
                                          w.panel_cols(col),
                                          wide_.data() + (w.panel(col) - w.panel(0)));
      }
    }
  }

  /// nullptr if there is no copy.
  [[nodiscard]] const std::int16_t* wide() const noexcept { return wide_.data(); }
  [[nodiscard]] index bytes() const noexcept { return wide_.size() * index{sizeof(std::int16_t)}; }

 private:
  static constexpr index most_codes = 16 * 1024;
  aligned_buffer<std::int16_t> wide_;
};

/// One row of activations for multiply_row, quantized to the form that the unit reads where a byte
/// of it is one activation.
///
///     codes[k] = activation - offset, for k < w.k()
///
/// multiply_row may read the codes up to the next multiple of 64 and ignores them.
template <class Weights>
struct row_form {
  using unit = typename Weights::kernel_type::unit;
  /// Whether the unit reads this form. Otherwise, multiply_row copies it to scratch memory.
  static constexpr bool is_read_in_place = unit::rows == 1 && sizeof(typename unit::lhs_code) == 1;
  using code = std::conditional_t<is_read_in_place, typename unit::lhs_code,
                                  typename Weights::kernel_type::lhs>;
  static constexpr int offset = is_read_in_place ? unit::lhs_offset : 0;

  const code* codes;

  /// A number of codes rounded up to the multiple that may be read.
  [[nodiscard]] static constexpr index padded(index count) noexcept {
    return (count + 63) & ~index{63};
  }
};

/// One row of activations for multiply_row, as codes that may be read up to the next multiple of
/// 64: it is copied to the form of the unit in whole registers.
template <class Lhs>
struct padded_row {
  const Lhs* codes;
};

/// Bytes of scratch memory of multiply_row.
template <class Lhs, class Kernel>
[[nodiscard]] index row_scratch_bytes(const int8_weights<Lhs, Kernel>& w) noexcept {
  using unit = typename Kernel::unit;
  const index copied = row_form<int8_weights<Lhs, Kernel>>::padded(w.layout().padded()) *
                       index{sizeof(typename unit::lhs_code)};
  if constexpr (unit::rows != 1) {
    return scratch_bytes(w, 1);
  } else if constexpr (detail::Proving<unit>) {
    return w.bytes() >= detail::proof_far_bytes ? scratch_bytes(w, 1) : copied;
  } else {
    return copied;
  }
}

/// multiply_row for a row in the form that the unit reads (gemm/int8/lhs.hpp), padded to whole
/// steps. Codes of the padding may be any, because their weights are 0.
template <class Lhs, class Kernel, class Out, class E>
FEWBIT_ALWAYS_INLINE void multiply_prepared_row(const typename Kernel::unit::lhs_code* a,
                                                const int8_weights<Lhs, Kernel>& w,
                                                const row_weights<int8_weights<Lhs, Kernel>>& rows,
                                                Out* c, const E& epilogue) noexcept {
  using unit = typename Kernel::unit;
  static_assert(unit::rows == 1, "fewbit: rows of this unit are interleaved");
  const index depth = unit::in_place ? w.k() : w.layout().padded();
  if constexpr (detail::Proving<unit>) {
    if (rows.wide() != nullptr)
      return detail::sum_panels<typename unit::widened>(a, depth, 0, w, rows.wide(), c, epilogue);
  }
  detail::sum_panels<typename unit::dots>(a, depth, unit::lhs_offset, w, w.panel(0), c, epilogue);
}

namespace detail {

/// Copies a row of w.k() codes. With IsPadded, codes up to the next multiple of 64 may be read, and
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

/// multiply_row for a row that is copied to scratch memory.
template <bool IsPadded, class Lhs, class Kernel, class Out, class E>
FEWBIT_ALWAYS_INLINE void multiply_copied_row(const Lhs* a, const int8_weights<Lhs, Kernel>& w,
                                              const row_weights<int8_weights<Lhs, Kernel>>& rows,
                                              Out* c, const E& epilogue,
                                              std::byte* scratch) noexcept {
  using unit = typename Kernel::unit;
  if constexpr (unit::rows != 1) {
    multiply_block(code_block<Lhs>{a, w.k(), 1}, w, c, w.n(), epilogue, scratch);
  } else if constexpr (unit::in_place) {
    multiply_prepared_row(a, w, rows, c, epilogue);
  } else {
    if constexpr (Proving<unit>) {
      using halves = typename unit::halves;
      if (rows.wide() == nullptr && w.k() >= halves_depth) {
        if (w.bytes() >= proof_far_bytes)
          return multiply_block(code_block<Lhs>{a, w.k(), 1}, w, c, w.n(), epilogue, scratch);
        auto* row = reinterpret_cast<typename halves::lhs_code*>(scratch);
        copy_whole_row<halves, IsPadded>(a, w.k(), row);
        return sum_panels<typename halves::dots>(row, w.layout().padded(), halves::lhs_offset, w,
                                                 w.panel(0), c, epilogue);
      }
    }
    auto* row = reinterpret_cast<typename unit::lhs_code*>(scratch);
    copy_whole_row<unit, IsPadded>(a, w.k(), row);
    multiply_prepared_row(row, w, rows, c, epilogue);
  }
}

}  // namespace detail

/// c(j) = epilogue(sum over k of a(k) * W(j, k)) for weights without blocks of k.
///
/// @param a        w.k() codes, a padded_row of them, or codes in the form of row_form
/// @param rows     row_weights(w), or empty
/// @param scratch  row_scratch_bytes(w) bytes
template <class Row, class Lhs, class Kernel, class Out, class E>
FEWBIT_ALWAYS_INLINE void multiply_row(const Row& a, const int8_weights<Lhs, Kernel>& w,
                                       const row_weights<int8_weights<Lhs, Kernel>>& rows, Out* c,
                                       const E& epilogue, std::byte* scratch) noexcept {
  using form = row_form<int8_weights<Lhs, Kernel>>;
  if constexpr (std::is_same_v<Row, form> && form::is_read_in_place) {
    multiply_prepared_row(a.codes, w, rows, c, epilogue);
  } else if constexpr (std::is_same_v<Row, form> || std::is_same_v<Row, padded_row<Lhs>>) {
    detail::multiply_copied_row<true>(a.codes, w, rows, c, epilogue, scratch);
  } else {
    detail::multiply_copied_row<false>(static_cast<const Lhs*>(a), w, rows, c, epilogue, scratch);
  }
}

}}}  // namespace fewbit::gemm

#include "fewbit/end.hpp"
