#pragma once
/// Multiplies a full panel by the row tiles of a block, one chunk of k at a time. A chunk may be
/// costly to obtain: it comes from memory or is expanded. That cost is paid once, because the chunk
/// stays in L1 until the last row tile has used it. A buffer holds the sums between chunks.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstdint>

#include "fewbit/core/types.hpp"
#include "fewbit/gemm/int8/kernel.hpp"
#include "fewbit/gemm/int8/micro_kernel.hpp"
#include "fewbit/gemm/int8/row_tiles.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm::detail {

/// A chunk of k of a panel, and what to prefetch while it is multiplied.
template <class Kernel>
struct panel_chunk {
  const typename Kernel::unit::rhs_code* codes;
  prefetcher ahead = {};
};

/// Computes the sums of `rows` rows, which are more than one tile. `chunk(k, count)` returns the
/// panel_chunk of `count` codes from code k on. `when_complete(first, height)` is called for each
/// tile when its sums are complete.
///
/// @param lhs          prepared activations
/// @param depth        number of codes of k of `lhs`. A chunk has chunk_depth codes, which are
///          whole steps
/// @param column_sums  as in tile_run
/// @param sums         room for rows x tile::cols; row r begins at r * tile::cols
template <class Kernel, class Lhs, class Chunk, class WhenComplete>
void sum_by_chunks(const Lhs& lhs, index rows, index depth, index chunk_depth,
                   const std::int32_t* column_sums, std::int32_t* sums, const Chunk& chunk,
                   const WhenComplete& when_complete) noexcept {
  using dots = typename Kernel::unit::dots;
  constexpr int most = Kernel::row_registers, least = (most + 1) / 2;
  constexpr index cols = Kernel::tile::cols;
  static_assert(Kernel::unit::rows == 1);
  for (index k = 0; k == 0 || k < depth; k += chunk_depth) {
    const index count = std::min(chunk_depth, depth - k);
    const bool is_last = k + count == depth;
    panel_chunk<Kernel> weights = chunk(k, count);
    const auto add = [&](index first, index height, index down) {
      const auto a = lhs.from(first);
      const tile_run<dots> run{a.codes + k, a.stride, weights.codes,
                               0,           count,    k > 0 ? nullptr : column_sums,
                               nullptr,     down,     1};
      std::int32_t* to = sums + first * cols;
      const collect_sums<dots> sink{{to, cols}, k > 0 ? to : nullptr, cols};
      sum_rows<dots, most, Kernel::col_registers, least>(height, run, Kernel::unit::lhs_offset,
                                                         weights.ahead, sink);
    };
    for_each_height<Kernel>(rows, [&](index first, index height, index down) {
      if (!is_last) return add(first, height, down);
      for (index i = 0; i < down; ++i, first += height) {
        add(first, height, 1);
        when_complete(first, height);
      }
    });
  }
}

}}}  // namespace fewbit::gemm::detail

#include "fewbit/end.hpp"
