#pragma once
/// How the rows of a block are cut into tiles.

#include "fewbit/begin.hpp"

#include "fewbit/core/types.hpp"
#include "fewbit/gemm/int8/kernel.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm::detail {

/// Calls f(first row of registers, height, count) for the row tiles of a block. The tiles are as
/// few and as equal as possible, so they have one or two heights. A tile of one or two rows would
/// leave most of the processor idle.
template <class Kernel, class F>
void for_each_height(index block_rows, const F& f) noexcept {
  constexpr int unit_rows = Kernel::unit::rows;
  const index registers = (block_rows + unit_rows - 1) / unit_rows;
  const index tiles = (registers + Kernel::row_registers - 1) / Kernel::row_registers;
  const index low = registers / tiles, high_tiles = registers % tiles;
  if (high_tiles > 0) f(index{0}, low + 1, high_tiles);
  f(high_tiles * (low + 1), low, tiles - high_tiles);
}

}}}  // namespace fewbit::gemm::detail

#include "fewbit/end.hpp"
