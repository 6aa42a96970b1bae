#pragma once
/// One row of activations times several panels side by side, for weights from the last-level cache
/// or from memory, which serve several streams faster than one.
///
/// The streams take turns of one chunk of k. Their sums wait in L1, which costs a load and a store
/// for each chunk. Read before: gemm/int8/micro_kernel.hpp.

#include "fewbit/begin.hpp"

#include <cstddef>
#include <cstdint>

#include "fewbit/arch/memory.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/gemm/int8/micro_kernel.hpp"
#include "fewbit/gemm/tuning.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm::detail {

/// The sums of one row by run.along panels of C registers, at most row_streams.
///
/// @param sums  run.along * C * Unit::cols numbers
template <class Unit, int C>
void sum_row_streams(const tile_run<Unit>& run, int lhs_offset, std::int32_t* sums) noexcept {
  constexpr index cols = C * Unit::cols, chunk = 32, chunk_codes = chunk * cols;
  static_assert(Unit::rows == 1 && chunk % (steps_together<Unit> * Unit::depth) == 0);
  register_tile<Unit, 1, C> tiles[row_streams];
  for (index i = 0; i < run.along && run.column_sums != nullptr; ++i)
    tiles[i].start(run.column_sums + i * cols, static_cast<std::uint32_t>(lhs_offset), nullptr);
  no_side nothing;
  const index rest = run.depth % chunk;
  const auto* a = run.a;
  const auto* w = run.w;
  for (const auto* end = a + run.depth - rest; a != end; a += chunk, w += chunk_codes) {
    const auto* of_panel = w;
#pragma GCC unroll 1
    for (index i = 0; i < run.along; ++i, of_panel += run.panel_codes) {
#pragma GCC unroll 16
      for (index line = 0; line < chunk_codes; line += arch::cache_line)
        arch::prefetch_to_l1(arch::beyond(of_panel, row_stream_ahead + line));
      // g++ 12 otherwise broadcasts the activations once for all streams and keeps them on the
      // stack. (1,2560,2560) from L3 on a Zen 5: 81 GB/s by loads of each stream, 72 by the stack.
      const auto* codes = a;
      arch::forget_origin(codes);
      tiles[i].accumulate(codes, 0, of_panel, chunk, nothing);
    }
  }
  for (index i = 0; i < run.along; ++i, w += run.panel_codes) {
    tiles[i].accumulate(a, 0, w, rest, nothing);
    tiles[i].store(sums + i * cols, 0);
  }
}

}}}  // namespace fewbit::gemm::detail

#include "fewbit/end.hpp"
