#pragma once
/// The product of one row of activations and 8-bit weights, for calls that come one row at a time.
///
/// gemm::multiply chooses among walks and prepares blocks of rows, which takes longer than the sums
/// of some ten columns. Here the row is prepared once, and each panel goes through the micro-kernel
/// to the epilogue in registers. Read before: gemm/int8/micro_kernel.hpp.

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

/// Applies an epilogue to the sums of one row in registers. If it ends in 8-bit codes, four
/// registers of sums become one of codes.
template <class Unit, class Out, class E>
struct finish_row {
  Out* c;
  index col;
  index n;
  E epilogue;

  FEWBIT_ALWAYS_INLINE void begin_row() const noexcept {}
  template <int R, int C>
  FEWBIT_ALWAYS_INLINE void expect(index) const noexcept {}
  template <int R, int C>
  FEWBIT_ALWAYS_INLINE void receive(const register_tile<Unit, R, C>& tile) const noexcept {
    typename Unit::accumulator sums[C];
    tile.row(0, sums);
    if constexpr (split_at_saturate<E>::found) {
      store_codes(sums);
    } else {
      store_numbers(sums);
    }
  }
  FEWBIT_ALWAYS_INLINE void end_row(index) const noexcept {}

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

/// c(j) = epilogue(sum over k of a(k) * W(j, k)) for weights without blocks of k.
///
/// @param a        w.k() codes
/// @param rows     row_weights(w), or empty
/// @param scratch  scratch_bytes(w, 1) bytes
template <class Lhs, class Kernel, class Out, class E>
void multiply_row(const Lhs* a, const int8_weights<Lhs, Kernel>& w,
                  const row_weights<int8_weights<Lhs, Kernel>>& rows, Out* c, const E& epilogue,
                  std::byte* scratch) noexcept {
  using unit = typename Kernel::unit;
  using prepared = detail::int8_lhs<Kernel>;
  if constexpr (unit::rows != 1) {
    multiply_block(code_block<Lhs>{a, w.k(), 1}, w, c, w.n(), epilogue, scratch);
  } else {
    const prepared lhs(a, w.k(), 1, w.layout(), scratch);
    const auto row = lhs.from(0);
    const index depth = prepared::depth(w.layout(), 0);
    const auto sum_panels = [&]<class Dots>(std::type_identity<Dots>,
                                            const typename Dots::rhs_code* weights) {
      detail::prefetcher nothing;
      for (index col = 0, width = 0; col < w.n(); col += width) {
        width = w.panel_cols(col);
        const detail::tile_run<Dots> run{
            row.codes, row.stride, weights + (w.panel(col) - w.panel(0)),
            0,         depth,      unit::lhs_offset == 0 ? nullptr : w.block_sums(0, col),
            nullptr,   1,          1};
        const detail::finish_row<Dots, Out, E> sink{c, col, w.n(), epilogue};
        if (width == Kernel::tile::cols) {
          detail::sum_rows<Dots, 1, Kernel::col_registers>(1, run, unit::lhs_offset, nothing, sink);
        } else {
          detail::sum_rows<Dots, 1, Kernel::edge_registers>(1, run, unit::lhs_offset, nothing,
                                                            sink);
        }
      }
    };
    if constexpr (detail::Proving<unit>) {
      if (rows.wide() != nullptr)
        return sum_panels(std::type_identity<typename unit::widened>{}, rows.wide());
    }
    sum_panels(std::type_identity<typename unit::dots>{}, w.panel(0));
  }
}

}}}  // namespace fewbit::gemm

#include "fewbit/end.hpp"
