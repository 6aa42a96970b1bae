#pragma once
/// The product: C = epilogue(A W^T), integers in, whatever the epilogue makes of them out.
///
/// Walks C by blocks of rows, panels of columns and tiles; gemm/micro_kernel.hpp computes a tile.

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>

#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/core/workspace.hpp"
#include "fewbit/gemm/micro_kernel.hpp"
#include "fewbit/gemm/packed_weights.hpp"
#include "fewbit/gemm/sum_of_codes.hpp"

namespace fewbit::inline FEWBIT_ARCH_NAMESPACE::gemm {

namespace detail {

/// Row tiles that are prepared together and meet one panel after the other, so that the panel stays
/// in cache: 16 tiles of 4 to 6 rows, 64 to 96 rows.
inline constexpr index row_tiles_per_block = 16;

/// Activations of a block of rows as the unit reads them, in scratch memory where it does not read
/// them in place.
template <class Kernel>
class prepared_lhs {
  using unit = typename Kernel::unit;
  using lhs = typename Kernel::lhs;
  using lhs_code = typename unit::lhs_code;
  using layout_type = depth_layout<unit::depth>;
  static constexpr index max_rows = row_tiles_per_block * Kernel::tile::rows;
  static constexpr index copied_rows = unit::in_place ? 0 : max_rows;
  static constexpr index summed_rows = unit::rhs_offset != 0 ? max_rows : 0;

 public:
  static index bytes(const layout_type& layout) noexcept {
    return copy_bytes(layout) + summed_rows * layout.blocks() * index{sizeof(std::int32_t)};
  }

  /// Rows [first, first + rows) of a; `scratch` has bytes(layout) bytes.
  prepared_lhs(const lhs* a, index stride, index rows, const layout_type& layout,
               std::byte* scratch) noexcept
      : layout_(layout), a_(a), stride_(stride) {
    if constexpr (!unit::in_place) {
      copy_ = reinterpret_cast<lhs_code*>(scratch);
      for (index row = 0; row < rows; row += unit::rows)
        copy(row, std::min(index{unit::rows}, rows - row));
    }
    if constexpr (unit::rhs_offset != 0) {
      start_ = reinterpret_cast<std::int32_t*>(scratch + copy_bytes(layout));
      for (index row = 0; row < rows; ++row) sum(row);
    }
  }

  /// The tile whose first row is `row` of the block.
  [[nodiscard]] lhs_view<lhs_code> view(index row) const noexcept {
    if constexpr (unit::in_place) {
      const std::int32_t* start = nullptr;
      if constexpr (unit::rhs_offset != 0) start = start_ + row * layout_.blocks();
      return {a_ + row * stride_, stride_, layout_.block_depth(), start};
    } else {
      return {copy_ + row * layout_.padded(), unit::rows * layout_.padded(),
              unit::rows * layout_.padded_begin(1), nullptr};
    }
  }

 private:
  static index copy_bytes(const layout_type& layout) noexcept {
    const index bytes = copied_rows * layout.padded() * index{sizeof(lhs_code)};
    return (bytes + 63) / 64 * 64;
  }

  /// Rows row .. row + count - 1 as [block][step][row][depth], missing rows and the end of each
  /// block zero.
  void copy(index row, index count) noexcept {
    lhs_code* to = copy_ + row * layout_.padded();
    std::fill_n(to, unit::rows * layout_.padded(), lhs_code{0});
    for (index r = 0; r < count; ++r) {
      for (index block = 0; block < layout_.blocks(); ++block) {
        const lhs* from = a_ + (row + r) * stride_ + block * layout_.block_depth();
        lhs_code* step = to + unit::rows * layout_.padded_begin(block) + r * unit::depth;
        copy_block(from, layout_.depth_of(block), step);
      }
    }
  }

  static void copy_block(const lhs* from, index depth, lhs_code* step) noexcept {
    if constexpr (unit::rows == 1) {
      for (index k = 0; k < depth; ++k) step[k] = static_cast<lhs_code>(from[k] - unit::lhs_offset);
    } else {
      for (index k = 0; k < depth; k += unit::depth, step += unit::rows * unit::depth) {
        for (index d = 0; d < std::min(index{unit::depth}, depth - k); ++d) {
          step[d] = static_cast<lhs_code>(from[k + d]);
        }
      }
    }
  }

  /// Initial sums of one row: -rhs_offset times the sum of each block's codes, modulo 2^32.
  void sum(index row) noexcept {
    for (index block = 0; block < layout_.blocks(); ++block) {
      const lhs* codes = a_ + row * stride_ + block * layout_.block_depth();
      start_[row * layout_.blocks() + block] = static_cast<std::int32_t>(
          0U - static_cast<std::uint32_t>(unit::rhs_offset) *
                   static_cast<std::uint32_t>(code_sum(codes, layout_.depth_of(block))));
    }
  }

  static std::int32_t code_sum(const lhs* codes, index count) noexcept {
    if constexpr (requires { unit::sum_codes(codes, count); }) {
      return unit::sum_codes(codes, count);
    } else {
      return sum_of_codes(codes, count);
    }
  }

  layout_type layout_;
  const lhs* a_;
  index stride_;
  lhs_code* copy_ = nullptr;
  std::int32_t* start_ = nullptr;
};

/// Everything but the scratch memory.
template <class Lhs, class Kernel, class Out, class Blocks, class Epilogue>
struct product {
  using unit = typename Kernel::unit;
  static constexpr index block_rows = row_tiles_per_block * Kernel::tile::rows;

  const Lhs* a;
  index a_stride;
  const packed_weights<Lhs, Kernel>& w;
  out_view<Out> c;
  const Blocks& blocks;
  const Epilogue& epilogue;

  /// Part `part` of `parts` equal parts of C: rows are shared out, or columns where there are few
  /// rows.
  void run(index part, index parts, std::byte* scratch) const noexcept {
    const index row_tiles = (c.rows + Kernel::tile::rows - 1) / Kernel::tile::rows;
    if (row_tiles >= parts) {
      const index begin = row_tiles * part / parts * Kernel::tile::rows;
      const index end = std::min(c.rows, row_tiles * (part + 1) / parts * Kernel::tile::rows);
      rows(begin, end, 0, c.cols, scratch);
    } else {
      const index panels = (c.cols + Kernel::tile::cols - 1) / Kernel::tile::cols;
      const index begin = panels * part / parts * Kernel::tile::cols;
      const index end = std::min(c.cols, panels * (part + 1) / parts * Kernel::tile::cols);
      rows(0, c.rows, begin, end, scratch);
    }
  }

 private:
  void rows(index row_begin, index row_end, index col_begin, index col_end,
            std::byte* scratch) const noexcept {
    for (index row = row_begin; row < row_end; row += block_rows) {
      const index count = std::min(block_rows, row_end - row);
      const prepared_lhs<Kernel> lhs(a + row * a_stride, a_stride, count, w.layout(), scratch);
      for (index col = col_begin; col < col_end; col += w.panel_cols(col)) {
        for (index r = 0; r < count; r += Kernel::tile::rows) {
          tile(lhs.view(r), row + r, row + count, col);
        }
      }
    }
  }

  void tile(const lhs_view<typename unit::lhs_code>& view, index row, index row_end,
            index col) const noexcept {
    const out_view<Out> to{c.data,
                           c.stride,
                           row,
                           col,
                           std::min(index{Kernel::tile::rows}, row_end - row),
                           std::min(w.panel_cols(col), c.cols - col)};
    compute_tile(view, w, to, blocks, epilogue);
  }
};

template <class T>
using scalar_of = typename std::remove_cvref_t<T>::Scalar;

}  // namespace detail

/// Scratch bytes that one worker needs to multiply with W, for `workspace::reserve`.
template <class Lhs, class Kernel>
[[nodiscard]] index scratch_bytes(const packed_weights<Lhs, Kernel>& w) noexcept {
  return detail::prepared_lhs<Kernel>::bytes(w.layout());
}

/// C can take what the epilogue makes of totals.
template <class C, class E, class Total>
concept ProductInto =
    MutableRowMajorDense<C, detail::scalar_of<C>> && Epilogue<E, detail::scalar_of<C>, Total>;

/// C(i, j) = epilogue(blocks(sum over k of A(i, k) * W(j, k))), exact in int32. Nothing is
/// allocated, and nothing throws: an executor that does ends the program.
///
/// @param a         m x k codes of type Lhs, row-major; read in place where the unit allows
/// @param w         n x k weights, packed
/// @param c         m x n, row-major, of what the epilogue returns; must not overlap a
/// @param epilogue  applied to each element (gemm/epilogue.hpp)
/// @param scratch   at least scratch_bytes(w) per slot; the work is cut into one part per slot
/// @param executor  runs the parts; results depend neither on it nor on the number of slots
/// @param blocks    what to do with the sums of each block of k (gemm/block_stage.hpp)
/// Shapes are asserted.
template <class Lhs, class Kernel, RowMajorDense<Lhs> A, class C, class E = raw,
          Executor Workers = inline_executor, BlockStage Blocks = whole_depth>
requires ProductInto<C, E, typename Blocks::total>
void multiply(const A& a, const packed_weights<Lhs, Kernel>& w, C&& c, const E& epilogue,
              workspace& scratch, const Workers& executor = {},
              const Blocks& blocks = {}) noexcept {
  using out = detail::scalar_of<C>;
  assert(a.cols() == w.k() && c.rows() == a.rows() && c.cols() == w.n());
  assert(scratch.bytes_per_slot() >= scratch_bytes(w) && scratch.slots() > 0);
  assert((!std::is_same_v<Blocks, whole_depth> || w.k() <= Kernel::max_depth));
  const detail::product<Lhs, Kernel, out, Blocks, E> p{
      a.data(), a.outerStride(), w, {c.data(), c.outerStride(), 0, 0, c.rows(), c.cols()},
      blocks,   epilogue};
  const index parts = scratch.slots();
  executor.for_each(parts, [&](index part) { p.run(part, parts, scratch.slot(part)); });
}

/// The same for one call in one thread: scratch memory is taken from the stack, or allocated where
/// it is large.
template <class Lhs, class Kernel, RowMajorDense<Lhs> A, class C, class E = raw>
requires ProductInto<C, E, std::int32_t>
void multiply(const A& a, const packed_weights<Lhs, Kernel>& w, C&& c, const E& epilogue = {}) {
  using out = detail::scalar_of<C>;
  constexpr index on_stack = 16384;
  assert(a.cols() == w.k() && c.rows() == a.rows() && c.cols() == w.n());
  assert(w.k() <= Kernel::max_depth);
  const whole_depth blocks;
  const detail::product<Lhs, Kernel, out, whole_depth, E> p{
      a.data(), a.outerStride(), w, {c.data(), c.outerStride(), 0, 0, c.rows(), c.cols()},
      blocks,   epilogue};
  const index needed = scratch_bytes(w);
  if (needed <= on_stack) {
    alignas(64) std::byte scratch[on_stack];
    p.run(0, 1, scratch);
  } else {
    aligned_buffer<std::byte> scratch(needed);
    p.run(0, 1, scratch.data());
  }
}

}  // namespace fewbit::inline FEWBIT_ARCH_NAMESPACE::gemm
