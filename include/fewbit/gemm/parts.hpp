#pragma once
/// How C is cut into parts, one for each slot of scratch memory, and how the height of a tile
/// becomes a constant. All products use this header.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <type_traits>

#include "fewbit/core/operands.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/core/workspace.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm::detail {

/// Rows row .. row_end - 1 and columns col .. col_end - 1 of C.
struct part_of_c {
  index row, row_end;
  index col, col_end;
};

/// An extent of C and the extent of a tile along it. Parts start at tile boundaries.
struct tiled_extent {
  index size;
  index tile;

  [[nodiscard]] index tiles() const noexcept { return (size + tile - 1) / tile; }
  /// The start of part `part` of `parts` equal parts. The start of part `parts` is `size`.
  [[nodiscard]] index begin(index part, index parts) const noexcept {
    return std::min(size, tiles() * part / parts * tile);
  }
};

/// Part `part` of `parts`: some rows and all columns. If C has fewer row tiles than parts: all rows
/// and some columns.
[[nodiscard]] inline part_of_c part_by_rows(const tiled_extent& rows, const tiled_extent& cols,
                                            index part, index parts) noexcept {
  if (rows.tiles() >= parts)
    return {rows.begin(part, parts), rows.begin(part + 1, parts), 0, cols.size};
  return {0, rows.size, cols.begin(part, parts), cols.begin(part + 1, parts)};
}

/// Part `part` of `parts`: some columns and all rows. If C has fewer column tiles than parts: all
/// columns and some rows. For weights that each worker expands: no two workers expand the same
/// ones.
[[nodiscard]] inline part_of_c part_by_cols(const tiled_extent& rows, const tiled_extent& cols,
                                            index part, index parts) noexcept {
  if (cols.tiles() >= parts)
    return {0, rows.size, cols.begin(part, parts), cols.begin(part + 1, parts)};
  return {rows.begin(part, parts), rows.begin(part + 1, parts), 0, cols.size};
}

/// Calls product.run(part, parts, memory) for each part of C: one part per slot of scratch memory.
template <class Product, class Workers>
void run_in_parts(const Product& product, workspace& scratch, const Workers& executor) noexcept {
  const index parts = scratch.slots();
  executor.for_each(parts, [&](index part) { product.run(part, parts, scratch.slot(part)); });
}

/// Checks the operands of multiply(a, w, c, epilogue, scratch, executor), and calls f(a, c) with
/// both as rows. Terminates the program if shapes do not fit or scratch memory is too small.
///
/// @tparam Code  code of the activations that the weights are packed for
template <class Code, class A, class Weights, class C, class F>
FEWBIT_ALWAYS_INLINE void with_checked_operands(const A& a, const Weights& w, C& c,
                                                const workspace& scratch, const F& f) noexcept {
  if constexpr (fewbit::detail::reads_in_place<A, Code>() &&
                fewbit::detail::writes_in_place<C, scalar_of<C>>()) {
    const auto& from = fewbit::detail::rows_of(a);
    auto&& to = fewbit::detail::rows_of(c);
    fewbit::detail::expect_shapes({"multiply", "a", "c"}, a, c, w.k(), w.n());
    fewbit::detail::expect_room("multiply", "scratch", scratch, scratch_bytes(w, from.rows()));
    f(from, to);
  }
}

/// Calls f(std::integral_constant<int, height>) for a height of 1 .. Most.
template <int Most, class F>
FEWBIT_ALWAYS_INLINE void with_height(index height, const F& f) noexcept {
  if constexpr (Most > 1) {
    if (height < Most) return with_height<Most - 1>(height, f);
  }
  f(std::integral_constant<int, Most>{});
}

/// The same for a height that is Most or a power of two below Most.
template <int Most, class F>
FEWBIT_ALWAYS_INLINE void with_power_of_two_height(index height, const F& f) noexcept {
  static_assert(Most <= 16);
  if (height == Most) {
    f(std::integral_constant<int, Most>{});
  } else if (height == 1) {
    f(std::integral_constant<int, 1>{});
  } else if (height == 2) {
    f(std::integral_constant<int, 2>{});
  } else if (height == 4 || Most <= 8) {
    f(std::integral_constant<int, 4>{});
  } else {
    f(std::integral_constant<int, 8>{});
  }
}

}}}  // namespace fewbit::gemm::detail

#include "fewbit/end.hpp"
