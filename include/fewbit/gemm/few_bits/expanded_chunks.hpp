#pragma once
/// Many rows and weights of few bits, one chunk of k of one panel at a time. A chunk is expanded
/// into L1, multiplied by all rows of a block and then overwritten.
///
///     for each block of rows:  activations are prepared
///       for each panel:        for each chunk of k:  expand it, sums of all rows += its products
///                              sums go to the epilogue
///
/// Expanded weights never leave L1, and activations are copied once. Windows
/// (gemm/few_bits/expanded_weights.hpp) write to L2 instead and copy activations for each window.
/// The dots limit the speed, as with weights of 8 bits. A register of expanded codes costs about
/// three operations on the ports of the dots and a store: a twelfth of the time at 49 rows (2 bits,
/// AVX512-VNNI). Sums stay in L1 or L2 until the next chunk. Read before:
/// gemm/int8/panel_chunks.hpp. The calls are in gemm/few_bits/multiply.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "fewbit/core/types.hpp"
#include "fewbit/gemm/epilogue_rows.hpp"
#include "fewbit/gemm/few_bits/expanded_weights.hpp"
#include "fewbit/gemm/few_bits/weights.hpp"
#include "fewbit/gemm/int8/epilogue_registers.hpp"
#include "fewbit/gemm/int8/kernel.hpp"
#include "fewbit/gemm/int8/lhs.hpp"
#include "fewbit/gemm/int8/panel_chunks.hpp"
#include "fewbit/gemm/int8/panel_layout.hpp"
#include "fewbit/gemm/tuning.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm::detail {

template <class Lhs, class Arch>
struct chunk_shape {
  using kernel_type = default_kernel<Lhs, Arch>;
  using unit = typename kernel_type::unit;
  using tile = typename kernel_type::tile;
  using prepared = int8_lhs<kernel_type, row_tiles_per_chunk>;

  /// Whether the unit has the order of stored weights: four codes of a column side by side.
  static constexpr bool fits = unit::rows == 1 && unit::depth == 4 && !Proving<unit>;

  /// Number of codes of k: whole stored chunks of any width.
  static constexpr index depth = expanded_chunk_bytes / tile::cols / 32 * 32;
  static constexpr index chunk_bytes = depth * tile::cols;
  static constexpr index sums_bytes = prepared::max_rows * tile::cols * index{sizeof(std::int32_t)};

  [[nodiscard]] static index scratch_bytes(const depth_layout<unit::depth>& layout,
                                           index rows = prepared::max_rows) noexcept {
    return chunk_bytes + sums_bytes + prepared::bytes(layout, rows);
  }
};

template <class Lhs, int Bits, class Arch, class Out, class E>
class product_by_chunks {
  using shape = chunk_shape<Lhs, Arch>;
  using kernel_type = typename shape::kernel_type;
  using rhs_code = typename shape::unit::rhs_code;
  using tile = typename shape::tile;
  using prepared = typename shape::prepared;

 public:
  product_by_chunks(const Lhs* a, index a_stride, const few_bit_weights<Bits, Arch>& w,
                    const output_rectangle<Out>& c, const E& epilogue, std::byte* scratch) noexcept
      : a_(a),
        a_stride_(a_stride),
        w_(w),
        window_(w, nullptr),
        c_(c),
        epilogue_(epilogue),
        chunk_(reinterpret_cast<rhs_code*>(scratch)),
        sums_(reinterpret_cast<std::int32_t*>(scratch + shape::chunk_bytes)),
        copies_(scratch + shape::chunk_bytes + shape::sums_bytes) {}

  /// Multiplies the rows row_begin .. row_end - 1, which are more than one tile, by the full panels
  /// from `col_begin` to `col_end`. Returns the column after them.
  index rows(index row_begin, index row_end, index col_begin, index col_end) const noexcept {
    const index end = std::max(std::min(col_end, window_.wide_cols()), col_begin);
    const index blocks = (row_end - row_begin + prepared::max_rows - 1) / prepared::max_rows;
    const index tiles = (row_end - row_begin + tile::rows - 1) / tile::rows;
    const index most = (tiles + blocks - 1) / blocks * tile::rows;
    for (index row = row_begin; row < row_end; row += most) {
      const index count = std::min(most, row_end - row);
      const prepared lhs(a_ + row * a_stride_, a_stride_, count, window_.layout(), copies_);
      for (index col = col_begin; col < end; col += tile::cols) one_panel(lhs, row, count, col);
    }
    return end;
  }

 private:
  void one_panel(const prepared& lhs, index row, index count, index col) const noexcept {
    const auto chunk = [&](index k, index depth) {
      window_.expand_chunk(w_, col, k, depth, chunk_);
      return panel_chunk<kernel_type>{chunk_};
    };
    const auto when_complete = [&](index first, index height) {
      apply_epilogue_to_rows<epilogue_lanes<kernel_type>>(
          sums_ + first * tile::cols, index{tile::cols},
          output_rectangle<Out>{c_.data, c_.stride, row + first, col, height,
                                std::min(index{tile::cols}, c_.cols - col)},
          epilogue_);
    };
    sum_by_chunks<kernel_type>(lhs, count, prepared::depth(window_.layout(), 0), shape::depth,
                               window_.block_sums(0, col), sums_, chunk, when_complete);
  }

  const Lhs* a_;
  index a_stride_;
  const few_bit_weights<Bits, Arch>& w_;
  expanded_weights<Lhs, Arch> window_;
  output_rectangle<Out> c_;
  const E& epilogue_;
  rhs_code* chunk_;
  std::int32_t* sums_;
  std::byte* copies_;
};

}}}  // namespace fewbit::gemm::detail

#include "fewbit/end.hpp"
