#pragma once
/// The product of 8-bit activations with grouped_weights whose one group is all of a row.
///
///     total(i, j) = rne(float(T(i, j)) * scale(j))
///     T(i, j)     = sum over k of A(i, k) * (W(j, k) - zero point(j))       exact in int32
///
/// gemm/multiply_grouped.hpp gives the same; here integers alone stay in registers, so that a tile
/// has two to four panels. For many rows, two panels at a time are expanded to bytes in memory of
/// the caller's, if the 8-bit unit takes such bytes as they are: the loop is left with loads and
/// dot products.

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "fewbit/arch/memory.hpp"
#include "fewbit/arch/stored_unit.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/workspace.hpp"
#include "fewbit/gemm/multiply_grouped.hpp"

namespace fewbit::inline FEWBIT_ARCH_NAMESPACE::gemm {

namespace detail {

/// Panels side by side in a tile of R rows: a sum waits several cycles for the one before it.
template <int R>
inline constexpr int panels_of_tile = R <= 2 ? 4 : 2;

inline constexpr int most_panels = 4;

/// Panels that are expanded together.
inline constexpr int expanded_panels = 2;

/// Full tiles from which on expanding pays.
inline constexpr index least_expanded_tiles = 5;

/// Codes of panels side by side, for a unit of so many bits.
template <class Arch, int Bits>
struct panel_codes {
  using unit = arch::stored_unit<Arch, Bits>;
  using layout = arch::stored_layout<Bits>;

  const std::uint8_t* codes;
  index stride;  // bytes from a panel to the next
  index chunks;

  /// Adds to the sums of R rows and P panels.
  template <int R, int P>
  FEWBIT_ALWAYS_INLINE void add_to(typename unit::accumulator (&sums)[P][R],
                                   const std::int8_t* a) const noexcept {
    const std::uint8_t* chunk = codes;
    for (index i = 0; i < chunks; ++i) {
      add_chunk(sums[0], chunk, a);
      if constexpr (P >= 2) add_chunk(sums[1], chunk + stride, a);
      if constexpr (P == 4) {
        add_chunk(sums[2], chunk + 2 * stride, a);
        add_chunk(sums[3], chunk + 3 * stride, a);
      }
      chunk += chunk_bytes;
      a += index{4} * layout::steps * R;
    }
  }

 private:
  static constexpr index chunk_bytes = index{4} * unit::cols * layout::registers;

  template <int R>
  FEWBIT_ALWAYS_INLINE static void add_chunk(typename unit::accumulator (&sums)[R],
                                             const std::uint8_t* chunk,
                                             const std::int8_t* a) noexcept {
    if constexpr (R == 1) {
#pragma GCC unroll 4
      for (index line = 0; line < chunk_bytes; line += arch::cache_line)
        arch::prefetch_to_l1(chunk + grouped_ahead + line);
    }
    unit::add_chunk(sums, a, chunk);
  }
};

/// What is the same for all tiles of a product.
template <class Weights, class Out, class E>
class whole_rows_product {
  static constexpr int bits = Weights::bits;
  using arch_type = typename Weights::arch_type;
  using unit = typename Weights::unit;
  using packed_codes = panel_codes<arch_type, bits>;
  using byte_codes = panel_codes<arch_type, 8>;
  using word = arch::vec<std::uint32_t, unit::cols>;

 public:
  /// Whether the bytes of a step mean the same to the 8-bit unit and cost no more there.
  static constexpr bool can_expand = bits < 8 && byte_codes::unit::offset == 0;

  whole_rows_product(const grouped_lhs<Weights>& a, const Weights& w,
                     const grouped_out<Out, E>& out) noexcept
      : a_(a), w_(w), out_(out) {}

  /// Bytes of two panels of bytes.
  [[nodiscard]] static index scratch_bytes(const Weights& w) noexcept {
    return can_expand ? expanded_panels * panel_of_bytes(w) : 0;
  }

  /// Panels first .. end - 1.
  void run(index first, index end, std::byte* scratch) const noexcept {
    const index full_tiles = a_.rows() / unit::rows;
    index expanded_end = first;
    if (can_expand && full_tiles >= least_expanded_tiles)
      expanded_end = end - (end - first) % expanded_panels;
    if constexpr (can_expand) {
      for (index panel = first; panel < expanded_end; panel += expanded_panels) {
        const byte_codes codes = expand(panel, reinterpret_cast<std::uint8_t*>(scratch));
        for (index t = 0; t < full_tiles; ++t) tile<unit::rows, expanded_panels>(codes, panel, t);
      }
    }
    run_packed(first, expanded_end, full_tiles);
    run_packed(expanded_end, end, 0);
  }

 private:
  static index panel_of_bytes(const Weights& w) noexcept {
    return w.chunks() * Weights::chunk_codes * unit::cols;
  }

  byte_codes expand(index panel, std::uint8_t* to) const noexcept {
    const byte_codes codes{to, panel_of_bytes(w_), w_.chunks() * arch::stored_layout<bits>::steps};
    const index chunks = w_.chunks();
    for (int p = 0; p < expanded_panels; ++p) {
      const std::uint8_t* from = w_.panel(panel + p);
      for (index i = 0; i < chunks; ++i, from += Weights::chunk_bytes) {
#pragma GCC unroll 4
        for (index line = 0; line < Weights::chunk_bytes; line += arch::cache_line)
          arch::prefetch_to_l1(from + grouped_ahead + line);
        const arch::stored_chunk<bits, unit::cols> chunk(from);
#pragma GCC unroll 8
        for (int step = 0; step < arch::stored_layout<bits>::steps; ++step) {
          const word bytes = chunk.step(step);
          std::memcpy(to, &bytes.data, sizeof(bytes.data));
          to += sizeof(bytes.data);
        }
      }
    }
    return codes;
  }

  /// Panels first .. end - 1 and the tiles from first_tile on, from weights as they are stored.
  void run_packed(index first, index end, index first_tile) const noexcept {
    for (; first + most_panels <= end; first += most_panels) {
      for (index t = first_tile; t < a_.tiles(); ++t) packed_tiles<most_panels>(first, t);
    }
    for (; first < end; ++first) {
      for (index t = first_tile; t < a_.tiles(); ++t) packed_tiles<1>(first, t);
    }
  }

  /// Tile t by Count panels.
  template <int Count>
  void packed_tiles(index first, index t) const noexcept {
    with_height(a_.height(t), [&](auto height) {
      constexpr int rows = decltype(height)::value;
      constexpr int step = std::min(Count, panels_of_tile<rows>);
      for (index panel = first; panel < first + Count; panel += step) {
        const packed_codes codes{w_.panel(panel), w_.panel_bytes(), w_.chunks()};
        tile<rows, step>(codes, panel, t);
      }
    });
  }

  /// f(h) for a height that is 1, 2, 4, 8 or unit::rows.
  template <class F>
  static void with_height(index h, const F& f) noexcept {
    if (h == unit::rows) {
      f(std::integral_constant<int, unit::rows>{});
    } else if (h == 1) {
      f(std::integral_constant<int, 1>{});
    } else if (h == 2) {
      f(std::integral_constant<int, 2>{});
    } else if (h == 4 || unit::rows == 8) {
      f(std::integral_constant<int, 4>{});
    } else {
      f(std::integral_constant<int, 8>{});
    }
  }

  template <int R, int P, class Codes>
  void tile(const Codes& codes, index panel, index t) const noexcept {
    using ends = grouped_ends<Weights, R>;
    typename ends::ints sums[P][R];
    const auto tail_of = [&](int p) {
      return w_.panel(panel + p) + w_.chunks() * Weights::chunk_bytes;
    };
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      if (w_.is_affine()) {
        ends::template start<true>(w_, tail_of(p), a_.starts(t), sums[p]);
      } else {
        ends::template start<false>(w_, tail_of(p), a_.starts(t), sums[p]);
      }
    }
    codes.add_to(sums, a_.codes(t));
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      typename ends::reals totals[R];
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) totals[r] = typename ends::reals(0.0F);
      ends::add_scaled(w_, tail_of(p), sums[p], totals);
      store_totals(totals, t * unit::rows, (panel + p) * unit::cols, out_);
    }
  }

  const grouped_lhs<Weights>& a_;
  const Weights& w_;
  grouped_out<Out, E> out_;
};

}  // namespace detail

/// Scratch bytes that one worker needs, for `workspace::reserve`.
template <int Bits, class Arch>
[[nodiscard]] index whole_rows_scratch_bytes(const grouped_weights<Bits, Arch>& w) noexcept {
  return detail::whole_rows_product<grouped_weights<Bits, Arch>, float, raw>::scratch_bytes(w);
}

/// C(i, j) = epilogue(total(i, j)), a float. Nothing is allocated and nothing throws: an executor
/// that does ends the program.
///
/// @param a         rows of k codes, filled (padded_rows() of them)
/// @param w         n x k, groups() == 1
/// @param c         a.rows() x n, row-major, of what the epilogue returns
/// @param epilogue  applied to each total (gemm/epilogue.hpp)
/// @param scratch   at least whole_rows_scratch_bytes(w) per slot; the work is cut into one part
///                  per slot
/// @param executor  runs the parts; results do not depend on it
template <int Bits, class Arch, class C, class E = raw, Executor Workers = inline_executor>
requires ProductInto<C, E, float>
void multiply_whole_rows(const grouped_lhs<grouped_weights<Bits, Arch>>& a,
                         const grouped_weights<Bits, Arch>& w, C&& c, const E& epilogue,
                         workspace& scratch, const Workers& executor = {}) noexcept {
  using out = detail::scalar_of<C>;
  using weights = grouped_weights<Bits, Arch>;
  assert(c.rows() == a.rows() && c.cols() == w.n() && w.groups() == 1);
  assert(scratch.slots() > 0 && scratch.bytes_per_slot() >= whole_rows_scratch_bytes(w));
  const detail::whole_rows_product<weights, out, E> product(
      a, w, {c.data(), c.outerStride(), c.rows(), c.cols(), epilogue});
  const index parts = scratch.slots();
  executor.for_each(parts, [&](index part) {
    const auto begin_of = [&](index i) { return w.panels() * i / parts; };
    product.run(begin_of(part), begin_of(part + 1), scratch.slot(part));
  });
}

}  // namespace fewbit::inline FEWBIT_ARCH_NAMESPACE::gemm
