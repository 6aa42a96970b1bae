#pragma once
/// How the rows of a block are cut into tiles.

#include "fewbit/begin.hpp"

#include <algorithm>

#include "fewbit/core/types.hpp"
#include "fewbit/gemm/int8/kernel.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm::detail {

/// Number of row tiles of a block. They are as few and as equal as possible, so they have one or
/// two heights. A tile of one or two rows would leave most of the processor idle.
template <class Kernel>
[[nodiscard]] index row_tiles(index block_rows) noexcept {
  constexpr int unit_rows = Kernel::unit::rows;
  const index registers = (block_rows + unit_rows - 1) / unit_rows;
  return (registers + Kernel::row_registers - 1) / Kernel::row_registers;
}

/// Calls f(first row of registers, height, count) for the row tiles of a block.
template <class Kernel, class F>
void for_each_height(index block_rows, const F& f) noexcept {
  constexpr int unit_rows = Kernel::unit::rows;
  const index registers = (block_rows + unit_rows - 1) / unit_rows;
  const index tiles = row_tiles<Kernel>(block_rows);
  const index low = registers / tiles, high_tiles = registers % tiles;
  if (high_tiles > 0) f(index{0}, low + 1, high_tiles);
  f(high_tiles * (low + 1), low, tiles - high_tiles);
}

/// The first row of registers of a tile, or the end of the last tile.
template <class Kernel>
[[nodiscard]] index row_of_tile(index block_rows, index tile) noexcept {
  index row = 0;
  for_each_height<Kernel>(block_rows, [&](index, index height, index count) {
    row += std::min(tile, count) * height;
    tile -= std::min(tile, count);
  });
  return row;
}

/// Calls f(first tile, height, count) for the row tiles begin .. end - 1 of a block.
template <class Kernel, class F>
void for_each_height(index block_rows, index begin, index end, const F& f) noexcept {
  index tile = 0;
  for_each_height<Kernel>(block_rows, [&](index, index height, index count) {
    const index first = std::max(begin, tile), last = std::min(end, tile + count);
    if (first < last) f(first, height, last - first);
    tile += count;
  });
}

}}}  // namespace fewbit::gemm::detail

#include "fewbit/end.hpp"
