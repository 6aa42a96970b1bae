#pragma once
/// Sums of row tiles and panels by the fastest dots that are proven exact: the part of
/// gemm/int8/walk_by_proof.hpp that does not depend on the epilogue, so that a program contains it
/// once for each type of activations.
///
/// k is cut into chunks whose weights stay in L1, and the sums of a chunk are added to those of
/// earlier chunks. Read before: gemm/int8/panels_by_proof.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "fewbit/arch/memory.hpp"
#include "fewbit/gemm/int8/dots_by_block.hpp"
#include "fewbit/gemm/int8/lhs.hpp"
#include "fewbit/gemm/int8/lhs_by_proof.hpp"
#include "fewbit/gemm/int8/micro_kernel.hpp"
#include "fewbit/gemm/int8/panels_by_proof.hpp"
#include "fewbit/gemm/int8/row_streams.hpp"
#include "fewbit/gemm/int8/row_tiles.hpp"
#include "fewbit/gemm/int8/saturation_proof.hpp"
#include "fewbit/gemm/tuning.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm::detail {

/// Widens `count` packed codes of panels that are `width` columns wide.
template <class Kernel>
void widen_panels(const std::int8_t* codes, index count, index width, std::int16_t* to) noexcept {
  using widened = typename Kernel::unit::widened;
  const index steps = count / (width * Kernel::unit::depth);
  if (width == Kernel::tile::cols) {
    widened::template widen<Kernel::col_registers>(codes, steps, to);
  } else {
    widened::template widen<Kernel::edge_registers>(codes, steps, to);
  }
}

/// The sums of a worker: its activations and the memory between chunks of k.
template <class Weights>
class sums_by_proof {
  using kernel_type = typename Weights::kernel_type;
  using lhs_type = typename kernel_type::lhs;
  using unit = typename kernel_type::unit;
  using halves = typename unit::halves::dots;
  using tile = typename kernel_type::tile;
  using lhs = lhs_by_proof<kernel_type>;
  using chooser = panels_by_proof<Weights>;

 public:
  /// Scratch bytes of one worker for a C of `rows` rows.
  static index scratch_bytes(const Weights& w, index rows) noexcept {
    return so_far_bytes(w, rows) + wide_bytes(w, rows) + lhs::scratch_bytes(w.layout(), rows);
  }

  sums_by_proof(const Weights& w, index rows, std::byte* scratch) noexcept
      : w_(w),
        so_far_(reinterpret_cast<std::int32_t*>(scratch)),
        wide_(reinterpret_cast<std::int16_t*>(scratch + so_far_bytes(w, rows))),
        by_proof_(w, rows, scratch + so_far_bytes(w, rows) + wide_bytes(w, rows)) {}

  /// Rows of a buffer of sums. Two rows of any number of registers are whole cache lines.
  static index buffer_rows(index rows) noexcept {
    static_assert(2 * kernel_type::edge_cols * sizeof(std::int32_t) % arch::cache_line == 0);
    return (std::min(rows, lhs::max_rows) + 1) / 2 * 2;
  }

  /// All rows of a block, with sums in rows `stride` numbers apart.
  static row_slice all_rows(const block_of_rows& b, std::int32_t* sums, index stride) noexcept {
    return {0, row_tiles<kernel_type>(b.rows), 0, b.rows, sums, stride};
  }

  /// The sums of one row by up to row_streams panels side by side. Returns the column after them.
  index stream_row(index col, index col_end, std::int32_t* sums) const noexcept {
    const index along =
        std::min((std::min(col_end, w_.wide_cols()) - col) / tile::cols, row_streams);
    const index padded = w_.layout().padded();
    const tile_run<halves> run{activations().halves().codes,
                               0,
                               w_.panel(col),
                               tile::cols * padded,
                               padded,
                               by_proof_.shift() != 0 ? w_.column_sums().data() + col : nullptr,
                               nullptr,
                               1,
                               along};
    sum_row_streams<halves, kernel_type::col_registers>(run, -by_proof_.shift(), sums);
    return col + along * tile::cols;
  }

  /// Multiplies all of k. With several chunks, the panels are those of one tile, and the slice is
  /// the whole block. The sums then stay in their own buffer until the last chunk, because rows of
  /// C may be a power of two apart.
  [[gnu::noinline]] void sum(const block_of_rows& b, const panel_group& p,
                             const row_slice& s) const noexcept {
    const index padded = w_.layout().padded();
    const index most = s.rows <= 1 ? std::max(padded, index{1}) : chooser::chunk_depth(p);
    const index chunks = std::max((padded + most - 1) / most, index{1});
    const index depth =
        ((padded + chunks - 1) / chunks + proof_depth - 1) / proof_depth * proof_depth;
    const row_slice so_far = all_rows(b, so_far_, p.cols());
    index k = 0;
    for (; k + depth < padded; k += depth)
      sum_chunk(b, p, so_far, k > 0 ? so_far_ : nullptr, k, depth);
    sum_chunk(b, p, s, k > 0 ? so_far_ : nullptr, k, padded - k);
  }

  /// Chooses the panels, and prepares their activations.
  [[nodiscard]] const chooser& by_proof() const noexcept { return by_proof_; }

 private:
  [[nodiscard]] const lhs& activations() const noexcept { return by_proof_.activations(); }

  static index so_far_bytes(const Weights& w, index rows) noexcept {
    if (rows <= 1 || w.layout().padded() <= chooser::chunk_depth(true)) return 0;
    return buffer_rows(rows) * tile::cols * index{sizeof(std::int32_t)};
  }

  static index wide_bytes(const Weights& w, index rows) noexcept {
    if (rows <= few_rows) return 0;
    const index all = w.padded_n() * w.layout().padded() * index{sizeof(std::int16_t)};
    return std::min((all + 63) / 64 * 64, proof_chunk_bytes);
  }

  void sum_chunk(const block_of_rows& b, const panel_group& p, const row_slice& s,
                 const std::int32_t* before, index k, index depth) const noexcept {
    if (p.is_widened && s.first == 0) widen_blocks(b, p, k, depth);
    if (b.rows <= few_rows) return sum_few(p, s, before, k, depth);
    if (b.in_words) return sum_words(b, p, s, before, k, depth);
    run_by_block run = run_of(p, k, depth);
    prefetcher ahead = next_chunk(p, k, depth, s.rows);
    for_each_height<kernel_type>(
        b.rows, s.begin, s.end, [&](index number, index height, index count) {
          const index row = row_of_tile<kernel_type>(b.rows, number);
          run.tiles = activations().tiles() + number;
          run.words = activations().words() + row * activations().words_stride();
          if (run.largest_stride != 0) {
            run.largest =
                activations().largest() + number * activations().blocks() + k / proof_depth;
          }
          run.down = count;
          const index below = row - s.first;
          const collect_sums<typename unit::pairs> to{
              {s.sums + below * s.stride, s.stride},
              before == nullptr ? nullptr : before + below * p.cols(),
              p.cols()};
          sum_tiles(height, p, run, ahead, to);
        });
  }

  /// The same for a few rows.
  void sum_few(const panel_group& p, const row_slice& s, const std::int32_t* before, index k,
               index depth) const noexcept {
    const lhs& all = activations();
    switch (p.proven) {
      case saturation_proof::fours:
        return sum_few<typename unit::fours>(all.codes(), p, s, before, k, depth);
      case saturation_proof::pairs:
        return sum_few<typename unit::pairs>(all.codes(), p, s, before, k, depth);
      case saturation_proof::none:
        return sum_few<halves>(all.halves(), p, s, before, k, depth);
    }
  }

  /// The same in codes of Dots. Halves are not expanded, so the rows of a tile would share nothing.
  template <class Dots>
  void sum_few(const lhs_view<typename Dots::lhs_code>& from, const panel_group& p,
               const row_slice& s, const std::int32_t* before, index k,
               index depth) const noexcept {
    constexpr int most = std::is_same_v<Dots, halves> ? 1 : kernel_type::row_registers;
    const bool are_offset = by_proof_.shift() != 0 && k == 0;
    tile_run<Dots> run{nullptr,
                       from.stride,
                       w_.panel(p.col) + k * p.width,
                       p.width * w_.layout().padded(),
                       depth,
                       are_offset ? w_.column_sums().data() + p.col : nullptr,
                       nullptr,
                       0,
                       p.along};
    prefetcher ahead = ahead_of<Dots>(p, k, depth, (s.rows + most - 1) / most);
    for_each_height<kernel<lhs_type, typename unit::bytes, most, 1>>(
        s.rows, [&](index first, index height, index count) {
          run.a = from.codes + (s.first + first) * from.stride + k;
          run.down = count;
          const collect_sums<Dots> to{{s.sums + first * s.stride, s.stride},
                                      before == nullptr ? nullptr : before + first * p.cols(),
                                      p.cols()};
          if (p.width == tile::cols) {
            sum_rows<Dots, most, kernel_type::col_registers>(height, run, -by_proof_.shift(), ahead,
                                                             to);
          } else {
            sum_rows<Dots, most, kernel_type::edge_registers>(height, run, -by_proof_.shift(),
                                                              ahead, to);
          }
        });
  }

  /// The same for rows in int16 alone.
  void sum_words(const block_of_rows& b, const panel_group& p, const row_slice& s,
                 const std::int32_t* before, index k, index depth) const noexcept {
    using widened = typename unit::widened;
    const index stride = activations().words_stride();
    tile_run<widened> run{nullptr, stride,  wide_, p.width * depth, depth,
                          nullptr, nullptr, 0,     p.along};
    prefetcher ahead = next_chunk(p, k, depth, s.rows);
    ahead.lines = ahead.lines == 0 ? 0 : 1;
    for_each_height<kernel_type>(
        b.rows, s.begin, s.end, [&](index number, index height, index count) {
          const index row = row_of_tile<kernel_type>(b.rows, number), below = row - s.first;
          run.a = activations().words() + row * stride + k;
          run.down = count;
          const collect_sums<widened> to{{s.sums + below * s.stride, s.stride},
                                         before == nullptr ? nullptr : before + below * p.cols(),
                                         p.cols()};
          // Blocks of more than few_rows rows have no tile of one row.
          constexpr int most = kernel_type::row_registers, least = 2;
          if (p.width == tile::cols) {
            sum_rows<widened, most, kernel_type::col_registers, least>(height, run, 0, ahead, to);
          } else if (height == most && p.along == 2) {
            sum_narrow_run<widened, most, 2>(run, ahead, to);
          } else {
            sum_rows<widened, most, kernel_type::edge_registers, least>(height, run, 0, ahead, to);
          }
        });
  }

  /// Two narrow panels make one tile, if it is a full one.
  void sum_tiles(index height, const panel_group& p, const run_by_block& run, prefetcher& ahead,
                 const collect_sums<typename unit::pairs>& to) const noexcept {
    constexpr int rows = kernel_type::row_registers, cols = kernel_type::col_registers;
    constexpr int edge = kernel_type::edge_registers;
    static_assert(rows == 3 && cols == 3 && edge == 1 && few_rows >= rows);
    using by_proof = typename unit::by_proof;
    if (height < rows && p.width == tile::cols) {
      sum_low_tiles<by_proof, cols>(run, to);
    } else if (height < rows) {
      sum_low_tiles<by_proof, edge>(run, to);
    } else if (p.width == tile::cols) {
      sum_run_by_block<by_proof, rows, cols, in_one_panel<cols>>(run, ahead, to);
    } else if (p.along == 2) {
      sum_run_by_block<by_proof, rows, 2, in_narrow_panels>(run, ahead, to);
    } else {
      sum_narrow_panels(p, run, ahead, to);
    }
  }

  /// Full tiles of narrow panels, one panel after the other.
  void sum_narrow_panels(const panel_group& p, const run_by_block& run, prefetcher& ahead,
                         collect_sums<typename unit::pairs> to) const noexcept {
    constexpr int rows = kernel_type::row_registers, edge = kernel_type::edge_registers;
    run_by_block one = run;
    one.along = 1;
    for (index i = 0; i < p.along; ++i) {
      sum_run_by_block<typename unit::by_proof, rows, edge, in_one_panel<edge>>(one, ahead, to);
      one.w += run.panel_codes;
      one.wide += run.wide_panel_codes;
      one.limits.pairs += run.limits_stride;
      one.limits.fours += run.limits_stride;
      if (one.column_sums != nullptr) one.column_sums += p.width;
      to.sums += p.width;
      if (to.before != nullptr) to.before += p.width;
    }
  }

  run_by_block run_of(const panel_group& p, index k, index depth) const noexcept {
    static constexpr std::array<std::uint8_t, compared_blocks> none = {};
    run_by_block run{};
    run.words_stride = activations().words_stride();
    run.w = w_.panel(p.col) + k * p.width;
    run.panel_codes = p.width * w_.layout().padded();
    run.wide = wide_;
    run.wide_panel_codes = p.width * depth;
    run.k = k;
    run.depth = depth;
    run.along = p.along;
    run.blocks = (std::uint32_t{1} << ((depth + proof_depth - 1) / proof_depth)) - 1;
    if (k == 0) run.column_sums = w_.column_sums().data() + p.col;
    if (p.proven == saturation_proof::fours) {  // for all activations
      run.largest = none.data();
      run.limits = {none.data(), none.data()};
    } else {
      run.largest_stride = activations().blocks();
      run.limits = w_.limits(p.col);
      run.limits.pairs += k / proof_depth;
      run.limits.fours += k / proof_depth;
      run.limits_stride = w_.limits(p.col + p.width).pairs - w_.limits(p.col).pairs;
    }
    return run;
  }

  /// Widens the blocks of k that are multiplied in int16. Narrow panels of one tile share them.
  void widen_blocks(const block_of_rows& b, const panel_group& p, index k,
                    index depth) const noexcept {
    const bool all = b.some_in_words || b.rows % tile::rows != 0;
    const bool are_joined = p.width != tile::cols;
    for (index at = 0; at < depth; at += proof_depth) {
      const index number = (k + at) / proof_depth;
      const auto needs = [&](index i) {
        const std::uint8_t limit = w_.limits(p.col + i * p.width).pairs[number];
        return activations().largest_of_all()[number] > limit;
      };
      const bool any = all || (are_joined && (needs(0) || needs(p.along - 1)));
      for (index i = 0; i < p.along; ++i) {
        if (!any && !needs(i)) continue;
        widen_panels<kernel_type>(w_.panel(p.col + i * p.width) + (k + at) * p.width,
                                  std::min(proof_depth, depth - at) * p.width, p.width,
                                  wide_ + i * p.width * depth + at * p.width);
      }
    }
  }

  /// Spreads the prefetch of the next chunk over the tiles of this chunk.
  prefetcher next_chunk(const panel_group& p, index k, index depth, index rows) const noexcept {
    if (w_.bytes() < proof_far_bytes) return {};
    constexpr index most = 64;  // lines at a time
    const index bytes = p.cols() * depth, tiles = row_tiles<kernel_type>(rows) * p.along;
    const index lines = (bytes + arch::cache_line - 1) / arch::cache_line;
    const auto* from = reinterpret_cast<const std::byte*>(w_.panel(p.col) + k * p.width) + bytes;
    return {from, from + bytes, static_cast<int>(std::min((lines + tiles - 1) / tiles, most))};
  }

  /// Spreads the prefetch of the next chunk over the iterations of this chunk. With one row tile,
  /// prefetches weights a little ahead instead.
  template <class Dots>
  prefetcher ahead_of(const panel_group& p, index k, index depth, index tiles) const noexcept {
    if (w_.bytes() < proof_far_bytes) return {};
    const index bytes = p.cols() * depth;
    const index iterations = std::max(depth / (Dots::depth * steps_per_iteration), index{1});
    const index spread = tiles * iterations * p.along;
    const index lines = (bytes + arch::cache_line - 1) / arch::cache_line;
    const auto* from = reinterpret_cast<const std::byte*>(w_.panel(p.col) + k * p.width) +
                       (tiles > 1 ? bytes : proof_ahead_bytes);
    return {from, from + bytes, static_cast<int>((lines + spread - 1) / spread)};
  }

  const Weights& w_;
  std::int32_t* so_far_;
  std::int16_t* wide_;
  chooser by_proof_;
};

}}}  // namespace fewbit::gemm::detail

#include "fewbit/end.hpp"
