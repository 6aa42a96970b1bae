#pragma once
/// Activations of a block of rows in the form that the dot unit reads: in place, or copied to
/// scratch memory.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "fewbit/arch/memory.hpp"
#include "fewbit/arch/vec.hpp"
#include "fewbit/gemm/int8/panel_layout.hpp"
#include "fewbit/gemm/tuning.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm {

/// to[i] = from[i] - offset for `count` codes. If both types have 8 bits, an offset of +-128
/// changes the signedness, and arithmetic modulo 2^8 is exact.
template <int Lanes = 64, class To, class From>
FEWBIT_ALWAYS_INLINE void copy_codes(const From* from, index count, int offset, To* to) noexcept {
  static_assert(sizeof(From) == 1);
  index i = 0;
  for (; i + Lanes <= count; i += Lanes) {
    using codes = arch::vec<From, Lanes>;
    if constexpr (sizeof(To) == 1) {
      const auto bytes = arch::bits_as<std::uint8_t>(codes::load(from + i)) -
                         arch::vec<std::uint8_t, Lanes>(static_cast<std::uint8_t>(offset));
      arch::bits_as<To>(bytes).store(to + i);
    } else {
      const auto wide = arch::convert<To>(codes::load(from + i));
      (wide - arch::vec<To, Lanes>(static_cast<To>(offset))).store(to + i);
    }
  }
  if (i == count) return;
  if constexpr (Lanes > 4) {
    copy_codes<Lanes / 2>(from + i, count - i, offset, to + i);
  } else {
    for (; i < count; ++i) to[i] = static_cast<To>(from[i] - offset);
  }
}

namespace detail {

/// Copies the codes of one row, in the order of the unit if it has its own order.
template <class Unit, class Lhs>
FEWBIT_ALWAYS_INLINE void copy_row(const Lhs* from, index count, [[maybe_unused]] int offset,
                                   typename Unit::lhs_code* to) noexcept {
  if constexpr (requires { Unit::copy_lhs(from, count, offset, to); }) {
    Unit::copy_lhs(from, count, offset, to);
  } else if constexpr (requires { Unit::copy_lhs(from, count, to); }) {
    Unit::copy_lhs(from, count, to);
  } else {
    copy_codes(from, count, offset, to);
  }
}

/// One row of registers of a block of activations.
template <class LhsCode>
struct lhs_view {
  const LhsCode* codes;
  index stride;        // codes from one row of registers to the next
  index block_stride;  // codes from one block of k to the next
};

/// If activations are copied, `RowTiles` row tiles are copied together.
template <class Kernel, index RowTiles = row_tiles_per_block>
class int8_lhs {
  using unit = typename Kernel::unit;
  using lhs = typename Kernel::lhs;
  using lhs_code = typename unit::lhs_code;
  using layout_type = depth_layout<unit::depth>;

 public:
  static constexpr index max_rows = RowTiles * Kernel::tile::rows;

  /// Scratch bytes for a block of rows.
  static index bytes(const layout_type& layout) noexcept { return bytes(layout, max_rows); }
  /// Scratch bytes of a product of `rows` rows.
  static index bytes(const layout_type& layout, index rows) noexcept {
    const index registers = (std::min(rows, max_rows) + unit::rows - 1) / unit::rows;
    return unit::in_place ? 0 : block_bytes(layout, registers * unit::rows);
  }

  /// Number of rows that are prepared together, in whole tiles.
  static index rows_per_block(const layout_type& layout, index weight_bytes) noexcept {
    if (unit::in_place) return row_tiles_in_place * Kernel::tile::rows;
    if (weight_bytes > near_weights) return max_rows;
    const index row_bytes = std::max(copy_stride(layout), index{1}) * index{sizeof(lhs_code)};
    const index tiles = copied_bytes / (row_bytes * Kernel::tile::rows);
    const bool may_halve = may_copy_ahead && layout.k() >= copied_ahead_depth;
    const index most = may_halve ? RowTiles / 2 : RowTiles;
    return std::clamp(tiles, index{1}, most) * Kernel::tile::rows;
  }

  /// Whether codes are copied row by row and keep their size.
  static constexpr bool may_copy_ahead = !unit::in_place && unit::rows == 1 &&
                                         sizeof(lhs_code) == 1 &&
                                         Kernel::tile::cols >= copied_ahead_cols;

  /// Whether the copy of a block is one contiguous run of bytes and bytes(layout) has room for two
  /// blocks of `rows`. The next block can then be copied while this one is multiplied.
  static bool copies_ahead(index stride, const layout_type& layout, index rows) noexcept {
    return may_copy_ahead && layout.k() >= copied_ahead_depth && is_one_run(stride, layout) &&
           2 * rows <= max_rows;
  }

  /// Scratch bytes of `rows` rows.
  static index block_bytes(const layout_type& layout, index rows) noexcept {
    return rows * copy_stride(layout) * index{sizeof(lhs_code)};
  }

  /// Prepares rows a[0] .. a[rows - 1], `stride` codes apart. `scratch` has bytes(layout) bytes. If
  /// copies_ahead(), its first `copied` bytes are ready. `offset` is subtracted from all codes, as
  /// the unit requires.
  int8_lhs(const lhs* a, index stride, index rows, const layout_type& layout, std::byte* scratch,
           int offset = unit::lhs_offset, index copied = 0) noexcept {
    if constexpr (unit::in_place) {
      view_ = {a, stride, layout.block_depth()};
    } else {
      auto* copy = reinterpret_cast<lhs_code*>(scratch);
      view_ = {copy, unit::rows * copy_stride(layout), unit::rows * layout.padded_begin(1)};
      if (is_one_run(stride, layout)) {
        copy_row<unit>(a + copied, rows * stride - copied, offset, copy + copied);
        return;
      }
      for (index row = 0; row < rows; row += unit::rows) {
        copy_rows(a + row * stride, stride, std::min(index{unit::rows}, rows - row), layout, offset,
                  copy + row * copy_stride(layout));
      }
    }
  }

  /// The rows from the given row of registers on.
  [[nodiscard]] lhs_view<lhs_code> from(index row) const noexcept {
    return {view_.codes + row * view_.stride, view_.stride, view_.block_stride};
  }

  /// Number of codes of k that the unit reads in one block. Copies are padded to whole steps.
  static index depth(const layout_type& layout, index block) noexcept {
    return unit::in_place ? layout.depth_of(block) : layout.steps(block) * unit::depth;
  }

 private:
  static bool is_one_run(index stride, const layout_type& layout) noexcept {
    return !unit::in_place && unit::rows == 1 && stride == layout.k() &&
           stride == copy_stride(layout) && layout.blocks() == 1;
  }

  /// Number of codes from one copied row to the next. Rows at a distance of a large power of two
  /// would share a few sets of the L1 cache, and a set has only 8 to 12 lines.
  static index copy_stride(const layout_type& layout) noexcept {
    constexpr index line = arch::cache_line / index{sizeof(lhs_code)};
    return layout.padded() + (layout.padded() % (16 * line) == 0 ? line : 0);
  }

  /// Copies `count` rows as [block][step][row][depth]. Missing rows and the padding of each block
  /// are zero.
  static void copy_rows(const lhs* a, index stride, index count, const layout_type& layout,
                        int offset, lhs_code* to) noexcept {
    for (index block = 0; block < layout.blocks(); ++block) {
      const lhs* from = a + block * layout.block_depth();
      lhs_code* step = to + unit::rows * layout.padded_begin(block);
      const index codes = layout.depth_of(block);
      if constexpr (unit::rows == 1) {
        copy_row<unit>(from, codes, offset, step);
        if constexpr (!requires { &unit::copy_lhs; }) {
          std::fill(step + codes, step + layout.steps(block) * unit::depth, lhs_code{0});
        }
      } else {
        interleave(from, stride, count, codes, step);
      }
    }
  }

  static void interleave(const lhs* from, index stride, index count, index codes,
                         lhs_code* to) noexcept {
    constexpr index depth = unit::depth;
    for (index k = 0; k < codes; k += depth, to += unit::rows * depth) {
      const auto valid = static_cast<std::size_t>(std::min(depth, codes - k));
      for (index r = 0; r < unit::rows; ++r) {
        lhs_code* step = to + r * depth;
        if (valid < depth || r >= count) std::fill_n(step, depth, lhs_code{0});
        if (r < count) std::memcpy(step, from + r * stride + k, valid);
      }
    }
  }

  lhs_view<lhs_code> view_;
};

}  // namespace detail

}}}  // namespace fewbit::gemm

#include "fewbit/end.hpp"
