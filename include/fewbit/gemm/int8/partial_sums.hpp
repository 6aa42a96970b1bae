#pragma once
/// Sums of a few rows by packed weights over a part of k, for products whose activations do not
/// all fit the memory there is.
///
/// A product that has only some KiB of scratch memory takes k in chunks: it prepares one chunk of
/// codes, adds the products of the chunk to the sums of some columns, and continues with the next
/// chunk. Sums are int32 and exact, so chunks do not change results. The loop is that of
/// gemm/int8/micro_kernel.hpp. Read next: ops/linear/int8.hpp, which calls it.

#include "fewbit/begin.hpp"

#include <cstddef>
#include <cstdint>

#include "fewbit/arch/vec.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/gemm/int8/kernel.hpp"
#include "fewbit/gemm/int8/lhs.hpp"
#include "fewbit/gemm/int8/micro_kernel.hpp"
#include "fewbit/gemm/int8/panel_layout.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm::detail {

/// Codes k .. k + count - 1 of a block of k. `k` is a multiple of the depth of a step.
struct part_of_k {
  index block;
  index k;
  index count;
};

/// @tparam Weights  int8_weights
template <class Weights>
class partial_sums {
  using kernel_type = typename Weights::kernel_type;
  using unit = typename kernel_type::unit;
  using dots = typename unit::dots;
  using lhs_code = typename kernel_type::lhs;
  using tile = typename kernel_type::tile;
  using prepared = int8_lhs<kernel_type>;
  using layout_type = depth_layout<unit::depth>;

 public:
  /// Rows of one call at most.
  static constexpr index most_rows = tile::rows;
  /// Columns of a call begin at a multiple of this.
  static constexpr index cols = tile::cols;
  /// A chunk of k begins at a multiple of this in its block.
  static constexpr index depth = unit::depth;

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
  static void add(const lhs_code* a, index stride, index rows, const Weights& w,
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
      const tile_run<dots> run{view.codes,
                               view.stride,
                               w.panel(col) + first * width,
                               0,
                               prepared::depth(chunk, 0),
                               part.k == 0 ? w.block_sums(part.block, col) : nullptr,
                               nullptr,
                               1,
                               1};
      const store_sums<dots> sink{&of_tile[0], width};
      prefetcher nothing;
      constexpr int most = kernel_type::row_registers;
      if (width == tile::cols) {
        sum_rows<dots, most, kernel_type::col_registers>(registers, run, unit::lhs_offset, nothing,
                                                         sink);
      } else {
        sum_rows<dots, most, kernel_type::edge_registers>(registers, run, unit::lhs_offset, nothing,
                                                          sink);
      }
      for (index r = 0; r < rows; ++r) {
        std::int32_t* to = sums + r * sums_stride + (col - begin);
        for (index j = 0; j < width; ++j) to[j] = arch::add_wrapping(to[j], of_tile[r * width + j]);
      }
    }
  }
};

}}}  // namespace fewbit::gemm::detail

#include "fewbit/end.hpp"
