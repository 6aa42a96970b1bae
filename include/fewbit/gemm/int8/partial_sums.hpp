#pragma once
/// Sums of a few rows by int8_weights over a part of k. The loop is that of
/// gemm/int8/micro_kernel.hpp. Read before: gemm/partial_sums.hpp. Read next: ops/linear/int8.hpp,
/// which calls it.

#include "fewbit/begin.hpp"

#include <cstddef>
#include <cstdint>

#include "fewbit/arch/vec.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/gemm/int8/epilogue_registers.hpp"
#include "fewbit/gemm/int8/kernel.hpp"
#include "fewbit/gemm/int8/lhs.hpp"
#include "fewbit/gemm/int8/micro_kernel.hpp"
#include "fewbit/gemm/int8/panel_layout.hpp"
#include "fewbit/gemm/int8/weights.hpp"
#include "fewbit/gemm/partial_sums.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm {

template <class Lhs, class Kernel>
class partial_sums<int8_weights<Lhs, Kernel>> {
  using weights = int8_weights<Lhs, Kernel>;
  using kernel_type = typename weights::kernel_type;
  using unit = typename kernel_type::unit;
  using dots = typename unit::dots;
  using lhs_code = typename kernel_type::lhs;
  using tile = typename kernel_type::tile;
  using prepared = detail::int8_lhs<kernel_type>;
  using layout_type = depth_layout<unit::depth>;

 public:
  /// Codes k .. k + count - 1 of a block of k. `k` is a multiple of `depth`.
  struct part_of_k {
    index block;
    index k;
    index count;
  };

  /// The largest number of rows of one call.
  static constexpr index most_rows = tile::rows;
  /// A call starts at a multiple of this many columns.
  static constexpr index cols = tile::cols;
  /// A chunk of k starts at a multiple of this many codes in its block.
  static constexpr index depth = unit::depth;
  /// Numbers that an epilogue gets at a time (apply_epilogue_to_rows).
  static constexpr int lanes = detail::epilogue_lanes<kernel_type>;

  /// Scratch bytes for `count` codes of k of `rows` rows.
  [[nodiscard]] static index scratch_bytes(index rows, index count) noexcept {
    return prepared::bytes(layout_type(count, 0), rows);
  }

  /// sums(i, j) += sum over the codes of `part` of A(i, k) * W(j, k).
  ///
  /// @param a        the codes of the part, `rows` rows of them, `stride` codes apart
  /// @param col_end  columns begin .. col_end - 1, rounded up to a whole panel
  /// @param scratch  scratch_bytes(rows, part.count)
  /// @param sums     column `begin` of row 0; the next row is `sums_stride` numbers away
  static void add(const lhs_code* a, index stride, index rows, const weights& w,
                  const part_of_k& part, index begin, index col_end, std::byte* scratch,
                  std::int32_t* sums, index sums_stride) noexcept {
    const layout_type chunk(part.count, 0);
    const prepared lhs(a, stride, rows, chunk, scratch);
    const auto view = lhs.from(0);
    const index first = w.layout().padded_begin(part.block) + part.k;
    const index registers = (rows + unit::rows - 1) / unit::rows;
    alignas(64) std::int32_t of_tile[tile::rows * tile::cols];
    for (index col = begin, width = 0; col < col_end; col += width) {
      width = w.panel_cols(col);
      const detail::tile_run<dots> run{view.codes,
                                       view.stride,
                                       w.panel(col) + first * width,
                                       0,
                                       prepared::depth(chunk, 0),
                                       part.k == 0 ? w.block_sums(part.block, col) : nullptr,
                                       nullptr,
                                       1,
                                       1};
      const detail::store_sums<dots> sink{&of_tile[0], width};
      detail::prefetcher nothing;
      constexpr int most = kernel_type::row_registers;
      if (width == tile::cols) {
        detail::sum_rows<dots, most, kernel_type::col_registers>(registers, run, unit::lhs_offset,
                                                                 nothing, sink);
      } else {
        detail::sum_rows<dots, most, kernel_type::edge_registers>(registers, run, unit::lhs_offset,
                                                                  nothing, sink);
      }
      for (index r = 0; r < rows; ++r) {
        std::int32_t* to = sums + r * sums_stride + (col - begin);
        for (index j = 0; j < width; ++j) to[j] = arch::add_wrapping(to[j], of_tile[r * width + j]);
      }
    }
  }
};

}}}  // namespace fewbit::gemm

#include "fewbit/end.hpp"
