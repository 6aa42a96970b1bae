#pragma once
/// The walk over C, for weights in any memory.
///
/// C is cut into blocks of rows and panels of columns, and these into rectangles of tiles.
/// gemm/int8/micro_kernel.hpp sums a rectangle, gemm/epilogue_rows.hpp applies the epilogue to the
/// sums. Weights are int8_weights or have the same interface: panels of expanded weights
/// (gemm/few_bits/expanded_weights.hpp). The calls are in gemm/int8/multiply.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "fewbit/core/types.hpp"
#include "fewbit/gemm/block_stage.hpp"
#include "fewbit/gemm/epilogue_rows.hpp"
#include "fewbit/gemm/int8/epilogue_registers.hpp"
#include "fewbit/gemm/int8/lhs.hpp"
#include "fewbit/gemm/int8/micro_kernel.hpp"
#include "fewbit/gemm/int8/panel_chunks.hpp"
#include "fewbit/gemm/int8/panel_layout.hpp"
#include "fewbit/gemm/int8/row_tiles.hpp"
#include "fewbit/gemm/int8/walk_by_proof.hpp"
#include "fewbit/gemm/parts.hpp"
#include "fewbit/gemm/tuning.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm::detail {

/// Bytes of a panel in int16. Blocks of k are multiplied by such a panel if there are more than a
/// few rows.
template <class Kernel, class Layout>
[[nodiscard]] index wide_panel_bytes(const Layout& layout, index rows) noexcept {
  return rows <= few_rows ? 0 : Kernel::tile::cols * layout.padded() * index{sizeof(std::int16_t)};
}

/// A product: everything except the scratch memory.
template <class Weights, class Out, class Blocks, class Epilogue>
struct product {
  using kernel_type = typename Weights::kernel_type;
  using lhs_type = typename kernel_type::lhs;
  using unit = typename kernel_type::unit;
  using dots = typename unit::dots;
  using lhs_code = typename unit::lhs_code;
  using rhs_code = typename unit::rhs_code;
  using tile = typename kernel_type::tile;

  const lhs_type* a;
  index a_stride;
  const Weights& w;
  output_rectangle<Out> c;
  const Blocks& blocks;
  const Epilogue& epilogue;

  /// Part `part` of `parts` equal parts of C, which are of rows, or of columns if there are few
  /// rows.
  void run(index part, index parts, std::byte* scratch) const noexcept {
    const auto [row, row_end, col, col_end] =
        part_by_rows({c.rows, tile::rows}, {c.cols, tile::cols}, part, parts);
    rows(row, row_end, col, col_end, scratch);
  }

  /// Multiplies rows row_begin .. row_end - 1 by columns col_begin .. col_end - 1.
  void rows(index row_begin, index row_end, index col_begin, index col_end,
            std::byte* scratch) const noexcept {
    if constexpr (Proving<unit> && std::is_same_v<Blocks, whole_depth>) {
      if (w.layout().blocks() == 1) {
        const walk_by_proof<Weights, Out, Epilogue> p(a, a_stride, w, c, epilogue, scratch);
        return p.rows(row_begin, row_end, col_begin, col_end);
      }
    }
    using prepared = int8_lhs<kernel_type>;
    const index most = prepared::rows_per_block(w.layout(), w.bytes());
    const bool copies_ahead = prepared::copies_ahead(a_stride, w.layout(), most);
    std::byte* other = scratch + (copies_ahead ? prepared::block_bytes(w.layout(), most) : 0);
    copier copying;
    for (index row = row_begin; row < row_end; row += most) {
      const index count = std::min(most, row_end - row), next = row + count;
      const lhs_type* from = a + row * a_stride;
      const index copied =
          copying.to == nullptr ? 0 : copying.next - reinterpret_cast<const std::byte*>(from);
      const prepared lhs(from, a_stride, count, w.layout(), scratch, unit::lhs_offset, copied);
      const block b{lhs, row, count, col_begin, col_end};
      copying = {};
      if (copies_ahead && next < row_end)
        copying = copy_of_rows(next, std::min(most, row_end - next), other, b);
      one_block(b, copying, scratch);
      std::swap(scratch, other);
    }
  }

 private:
  /// `down` row tiles of `height` registers and `along` panels of `width` columns. The first tile
  /// starts at row register `first` of the block and at column `col`.
  struct rectangle {
    index first;
    index height;
    index down;
    index col;
    index width;
    index along;

    [[nodiscard]] index rows() const noexcept { return down * height * unit::rows; }
    [[nodiscard]] index cols() const noexcept { return along * width; }
  };

  /// One block of rows of C.
  struct block {
    const int8_lhs<kernel_type>& lhs;
    index row;
    index rows;
    index col_begin;
    index col_end;
  };

  void one_block(const block& b, [[maybe_unused]] copier& copying,
                 std::byte* scratch) const noexcept {
    if constexpr (!Proving<unit> && std::is_same_v<Blocks, whole_depth>) {
      if (w.layout().blocks() == 1) {
        if (weight_bytes() <= resident_bytes) {
          row_by_row(b, copying);
        } else {
          panel_by_panel(b, copying);
        }
        return;
      }
    }
    in_blocks_of_depth(b, scratch + int8_lhs<kernel_type>::bytes(w.layout(), c.rows));
  }

  /// Row tiles one after the other, each multiplied by all panels.
  void row_by_row(const block& b, copier& copying) const noexcept {
    for_each_height<kernel_type>(b.rows, [&](index first, index height, index count) {
      for (index col = b.col_begin; col < b.col_end;) {
        const index width = w.panel_cols(col);
        const index end = width == tile::cols ? std::min(b.col_end, w.wide_cols()) : b.col_end;
        const index panels = (end - col + width - 1) / width;
        const rectangle r{first, height, count, col, width, panels};
        prefetcher nothing;
        if (copying.to == nullptr || !compute_while_copying(b, r, copying)) compute(b, r, nothing);
        col += panels * width;
      }
    });
  }

  /// Panels one after the other, each multiplied by all row tiles.
  void panel_by_panel(const block& b, copier& copying) const noexcept {
    const index tiles = row_tiles(b.rows);
    const bool streams = weight_bytes() >= streamed_bytes && tiles > 1 && tiles <= streamed_tiles;
    const index first_col = streams ? chunk_by_chunk(b) : b.col_begin;
    for (index col = first_col; col < b.col_end; col += w.panel_cols(col)) {
      const bool copies = col == b.col_begin && copying.to != nullptr;
      prefetcher ahead = weight_bytes() >= prefetched_bytes ? next_panel(col, tiles)
                         : col == b.col_begin               ? next_rows(b, tiles)
                                                            : prefetcher{};
      for_each_height<kernel_type>(b.rows, [&](index first, index height, index count) {
        const rectangle r{first, height, count, col, w.panel_cols(col), 1};
        if (!copies || !compute_while_copying(b, r, copying)) compute(b, r, ahead);
      });
    }
  }

  /// Full panels and a few row tiles, one chunk of k at a time. Returns the column after them.
  index chunk_by_chunk(const block& b) const noexcept {
    index col = b.col_begin;
    if constexpr (unit::rows == 1) {
      alignas(64) std::int32_t sums[streamed_tiles * tile::rows * tile::cols];
      for (; col < std::min(b.col_end, w.wide_cols()); col += tile::cols) {
        const auto chunk = [&](index k, index count) {
          const rhs_code* from = w.panel(col) + k * tile::cols;
          return panel_chunk<kernel_type>{
              from, spread(reinterpret_cast<const std::byte*>(from) + streamed_ahead,
                           count * index{tile::cols * sizeof(rhs_code)}, row_tiles(b.rows), count)};
        };
        const auto when_complete = [&](index first, index height) {
          apply_epilogue_to_rows<epilogue_lanes<kernel_type>>(
              &sums[first * tile::cols], index{tile::cols},
              clipped(b, {first, height, 1, col, tile::cols, 1}), epilogue);
        };
        const index depth = int8_lhs<kernel_type>::depth(w.layout(), 0);
        sum_by_chunks<kernel_type>(b.lhs, b.rows, depth, chunk_depth, w.block_sums(0, col),
                                   &sums[0], chunk, when_complete);
      }
    }
    return col;
  }

  static constexpr index chunk_depth = streamed_depth / unit::depth * unit::depth;

  /// Spreads the prefetch of the next panel over the iterations of the tiles of this panel, so that
  /// the last-level cache is read all the time and not only by the first tile of each panel. A
  /// single tile prefetches its own panel instead.
  prefetcher next_panel(index col, index tiles) const noexcept {
    const index bytes = w.layout().padded() * w.panel_cols(col) * index{sizeof(rhs_code)};
    const auto* from =
        reinterpret_cast<const std::byte*>(w.panel(col)) + (tiles == 1 ? stream_distance : bytes);
    return spread(from, bytes, tiles, w.layout().padded());
  }

  /// Spreads the prefetch of activations of the next block of rows over the first panel of this
  /// block.
  prefetcher next_rows(const block& b, index tiles) const noexcept {
    if (b.row + b.rows >= c.rows) return {};
    const index bytes =
        std::min(b.rows, c.rows - b.row - b.rows) * a_stride * index{sizeof(lhs_type)};
    return spread(reinterpret_cast<const std::byte*>(a + (b.row + b.rows) * a_stride), bytes, tiles,
                  w.layout().padded());
  }

  /// Spreads the prefetch of some bytes over the iterations of `tiles` tiles of `depth` codes of k.
  static prefetcher spread(const std::byte* from, index bytes, index tiles, index depth) noexcept {
    const index iterations = std::max(depth / (unit::depth * steps_per_iteration), index{1});
    const index lines = (bytes + arch::cache_line - 1) / arch::cache_line;
    return {from, from + bytes,
            static_cast<int>((lines + tiles * iterations - 1) / (tiles * iterations))};
  }

  /// Copies the next block of rows while tiles of this block are summed: all its tiles, or those of
  /// the first panel.
  copier copy_of_rows(index row, index count, std::byte* to, const block& b) const noexcept {
    const index panels = weight_bytes() <= resident_bytes
                             ? (b.col_end - b.col_begin + tile::cols - 1) / tile::cols
                             : 1;
    const prefetcher read = spread(reinterpret_cast<const std::byte*>(a + row * a_stride),
                                   count * a_stride * index{sizeof(lhs_type)},
                                   row_tiles(b.rows) * panels, w.layout().padded());
    return {read.next, read.end, read.lines, to, static_cast<std::uint8_t>(unit::lhs_offset)};
  }

  static index row_tiles(index rows) noexcept { return (rows + tile::rows - 1) / tile::rows; }

  [[nodiscard]] index weight_bytes() const noexcept {
    return w.layout().padded() * w.n() * index{sizeof(rhs_code)};
  }

  void compute(const block& b, const rectangle& r, prefetcher& ahead) const noexcept {
    if constexpr (std::is_same_v<Epilogue, raw>) {
      if (is_inside(b, r)) return sum_into_place<1>(b, r, ahead);
    } else if constexpr (finishes_in_registers) {
      if (r.height >= least_finished && r.col + r.cols() <= c.cols) {
        return compute_in_registers(b, r, ahead);
      }
    }
    for (index down = 0, step = 0; down < r.down; down += step) {
      step = std::min(r.along < buffered_tiles ? buffered_tiles / r.along : 1, r.down - down);
      for (index along = 0; along < r.along; along += buffered_tiles) {
        compute_buffered(b,
                         {r.first + down * r.height, r.height, step, r.col + along * r.width,
                          r.width, std::min(buffered_tiles, r.along - along)},
                         ahead);
      }
    }
  }

  /// The same for full panels and the two heights that occur with many rows. Returns false, without
  /// any effect, in all other cases.
  bool compute_while_copying([[maybe_unused]] const block& b, const rectangle& r,
                             [[maybe_unused]] copier& copying) const noexcept {
    if constexpr (int8_lhs<kernel_type>::may_copy_ahead) {
      if (r.height < least_finished || r.width != tile::cols) return false;
      if constexpr (std::is_same_v<Epilogue, raw>) {
        if (is_inside(b, r)) return sum_into_place<least_finished>(b, r, copying), true;
      } else if constexpr (finishes_in_registers) {
        if (r.col + r.cols() <= c.cols) return compute_in_registers(b, r, copying), true;
      }
    }
    return false;
  }

  /// Whether a rectangle is inside the block and C.
  bool is_inside(const block& b, const rectangle& r) const noexcept {
    return r.first * unit::rows + r.rows() <= b.rows && r.col + r.cols() <= c.cols;
  }

  template <int Least, class Side>
  void sum_into_place(const block& b, const rectangle& r, Side& ahead) const noexcept {
    std::int32_t* to = c.data + (b.row + r.first * unit::rows) * c.stride + r.col;
    sum<Least>(b, r, 0, nullptr, to, c.stride, ahead);
  }

  /// Compiling an epilogue into the loop costs compile time for each height. Only the two heights
  /// that occur with many rows have it.
  static constexpr int least_finished = std::max(kernel_type::row_registers - 1, 1);
  static constexpr bool finishes_in_registers =
      split_at_saturate<Epilogue>::found && unit::rows == 1;

  template <class Side>
  void compute_in_registers(const block& b, const rectangle& r, Side& ahead) const noexcept {
    using start = leading_bias<Epilogue>;
    const std::int32_t* bias = start::bias(epilogue);
    using rest = std::remove_cvref_t<decltype(start::rest(epilogue))>;
    const apply_in_registers<dots, Out, rest> sink{clipped(b, r), start::rest(epilogue)};
    const tile_run<dots> run = run_of(b, r, 0, start::found ? bias + r.col : nullptr);
    constexpr int most = kernel_type::row_registers;
    if (r.width == tile::cols) {
      sum_rows<dots, most, kernel_type::col_registers, least_finished>(
          r.height, run, unit::lhs_offset, ahead, sink);
    } else if constexpr (std::is_same_v<Side, prefetcher>) {
      sum_rows<dots, most, kernel_type::edge_registers, least_finished>(
          r.height, run, unit::lhs_offset, ahead, sink);
    }
  }

  void compute_buffered(const block& b, const rectangle& r, prefetcher& ahead) const noexcept {
    constexpr index most_cols = buffered_tiles * tile::cols;
    alignas(64) std::int32_t sums[most_cols * tile::rows];
    alignas(64) std::int32_t last_bias[most_cols];
    using start = leading_bias<Epilogue>;
    const std::int32_t* bias = start::bias(epilogue);
    if (start::found) {
      bias += r.col;
      if (r.col + r.cols() > c.cols) {  // the bias ends with the columns of C
        std::copy_n(bias, c.cols - r.col, &last_bias[0]);
        bias = &last_bias[0];
      }
    }
    sum(b, r, 0, bias, &sums[0], r.cols(), ahead);
    apply_epilogue_to_rows<epilogue_lanes<kernel_type>>(&sums[0], r.cols(), clipped(b, r),
                                                        start::rest(epilogue));
  }

  /// The part of C that a rectangle covers.
  output_rectangle<Out> clipped(const block& b, const rectangle& r) const noexcept {
    const index row = r.first * unit::rows;
    return {c.data,
            c.stride,
            b.row + row,
            r.col,
            std::min(r.rows(), b.rows - row),
            std::min(r.cols(), c.cols - r.col)};
  }

  tile_run<dots> run_of(const block& b, const rectangle& r, index k_block,
                        const std::int32_t* bias) const noexcept {
    const auto& layout = w.layout();
    const lhs_view<lhs_code> lhs = b.lhs.from(r.first);
    return {lhs.codes + k_block * lhs.block_stride,
            lhs.stride,
            w.panel(r.col) + layout.padded_begin(k_block) * r.width,
            r.width * layout.padded(),
            int8_lhs<kernel_type>::depth(layout, k_block),
            w.block_sums(k_block, r.col),
            bias,
            r.down,
            r.along};
  }

  /// The sums of one block of k. The height is at least `Least`.
  template <int Least = 1, class Side>
  void sum(const block& b, const rectangle& r, index k_block, const std::int32_t* bias,
           std::int32_t* sums, index stride, Side& ahead) const noexcept {
    const tile_run<dots> run = run_of(b, r, k_block, bias);
    const store_sums<dots> sink{sums, stride};
    constexpr int most = kernel_type::row_registers;
    if (r.width == tile::cols) {
      sum_rows<dots, most, kernel_type::col_registers, Least>(r.height, run, unit::lhs_offset,
                                                              ahead, sink);
    } else if constexpr (std::is_same_v<Side, prefetcher>) {
      sum_rows<dots, most, kernel_type::edge_registers, Least>(r.height, run, unit::lhs_offset,
                                                               ahead, sink);
    }
  }

  /// Tile by tile: the sums of each block of k go to the block stage, the last total goes to the
  /// epilogue.
  void in_blocks_of_depth(const block& b, [[maybe_unused]] std::byte* scratch) const noexcept {
    for (index col = b.col_begin; col < b.col_end; col += w.panel_cols(col)) {
      const std::int16_t* wide = nullptr;
      if constexpr (Proving<unit>) {
        if (b.rows > few_rows) wide = widen_panel(col, scratch);
      }
      for_each_height<kernel_type>(b.rows, [&](index first, index height, index count) {
        for (index i = 0; i < count; ++i)
          compute_blocks(b, {first + i * height, height, 1, col, w.panel_cols(col), 1}, wide);
      });
    }
  }

  /// Widens a whole panel to int16.
  const std::int16_t* widen_panel(index col, std::byte* scratch) const noexcept {
    auto* wide = reinterpret_cast<std::int16_t*>(scratch);
    const index width = w.panel_cols(col);
    widen_panels<kernel_type>(w.panel(col), width * w.layout().padded(), width, wide);
    return wide;
  }

  /// The sums of one block of k of a tile, with weights in int16.
  void sum_wide(const block& b, const rectangle& r, index k_block, const std::int16_t* wide,
                std::int32_t* sums) const noexcept {
    using widened = typename unit::widened;
    const auto& layout = w.layout();
    const auto lhs = b.lhs.from(r.first);
    const tile_run<widened> run{lhs.codes + k_block * lhs.block_stride,
                                lhs.stride,
                                wide + layout.padded_begin(k_block) * r.width,
                                0,
                                int8_lhs<kernel_type>::depth(layout, k_block),
                                nullptr,
                                nullptr,
                                1,
                                1};
    const collect_sums<widened> sink{{sums, r.width}, nullptr, 0};
    prefetcher nothing;
    // Blocks of more than few_rows rows have no tile of one row.
    constexpr int most = kernel_type::row_registers, least = 2;
    if (r.width == tile::cols) {
      sum_rows<widened, most, kernel_type::col_registers, least>(r.height, run, 0, nothing, sink);
    } else {
      sum_rows<widened, most, kernel_type::edge_registers, least>(r.height, run, 0, nothing, sink);
    }
  }

  void compute_blocks(const block& b, const rectangle& r, const std::int16_t* wide) const noexcept {
    using total = typename Blocks::total;
    constexpr index size = tile::rows * tile::cols;
    alignas(64) std::int32_t sums[size];
    alignas(64) total totals[size];
    std::fill_n(&totals[0], size, total{});
    const output_rectangle<Out> to = clipped(b, r);
    for (index k_block = 0; k_block < w.layout().blocks(); ++k_block) {
      sum_block(b, r, k_block, wide, &sums[0]);
      add_block(to, k_block, r.width, &sums[0], &totals[0]);
    }
    apply_epilogue_to_rows<epilogue_lanes<kernel_type>>(&totals[0], r.width, to, epilogue);
  }

  void sum_block(const block& b, const rectangle& r, index k_block,
                 [[maybe_unused]] const std::int16_t* wide, std::int32_t* sums) const noexcept {
    if constexpr (Proving<unit>) {
      if (wide != nullptr) return sum_wide(b, r, k_block, wide, sums);
    }
    prefetcher nothing;
    sum(b, r, k_block, nullptr, sums, r.width, nothing);
  }

  void add_block(const output_rectangle<Out>& to, index k_block, index width,
                 const std::int32_t* sums, typename Blocks::total* totals) const noexcept {
    constexpr int lanes = epilogue_lanes<kernel_type>;
    using totals_vector = arch::vec<typename Blocks::total, lanes>;
    for (index row = 0; row < to.rows; ++row) {
      for (index col = 0; col < to.cols; col += lanes) {
        const index i = row * width + col;
        const at where{to.row + row, to.col + col,
                       static_cast<int>(std::min(index{lanes}, to.cols - col))};
        blocks(totals_vector::load(totals + i), arch::vec<std::int32_t, lanes>::load(sums + i),
               k_block, where)
            .store(totals + i);
      }
    }
  }
};

}}}  // namespace fewbit::gemm::detail

#include "fewbit/end.hpp"
