#pragma once
/// The loop over tiles whose dots are chosen for each block of k: those that are proven exact for
/// the largest activation of the block.
///
/// The sums of a tile stay in registers from block to block. Read before:
/// gemm/int8/micro_kernel.hpp, gemm/int8/saturation_proof.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <type_traits>

#include "fewbit/gemm/int8/lhs_by_proof.hpp"
#include "fewbit/gemm/int8/micro_kernel.hpp"
#include "fewbit/gemm/int8/saturation_proof.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm::detail {

/// The tiles that one call sums: `down` row tiles, each multiplied by `along` panels, over a chunk
/// of k. Pointers belong to the first tile and to the first code of the chunk, those of row tiles
/// to code 0 of k.
struct run_by_block {
  const unsigned_rows* tiles;
  const std::int16_t* words;  // the first row in int16, where a block needs it
  index words_stride;
  const std::uint8_t* largest;  // of each block of k
  index largest_stride;         // from one row tile to the next; 0: the same for all
  const std::int8_t* w;
  index panel_codes;         // from one panel to the next
  const std::int16_t* wide;  // w in int16, where a block needs it
  index wide_panel_codes;
  panel_limits limits;
  index limits_stride;              // from one panel to the next; 0: the same for all
  std::uint32_t blocks;             // a bit for each block of k
  index k;                          // the first code of the chunk
  index depth;                      // codes of the chunk
  const std::int32_t* column_sums;  // nullptr: the offsets of the rows are not added
  index down;
  index along;
};

/// A panel, or as many narrow panels as a tile has registers.
template <class Place>
struct panel_of_run {
  const std::int8_t* w;
  const std::int16_t* wide;
  Place place;
  Place wide_place;
};

/// Adds the products of a chunk of k to a tile with one kind of dots for unsigned activations.
template <class Dots, class Tile, class Place>
FEWBIT_ALWAYS_INLINE void accumulate_all(Tile& tile, const run_by_block& run,
                                         const unsigned_rows& rows,
                                         const panel_of_run<Place>& p) noexcept {
  no_side nothing;
  tile.template accumulate<Dots>(rows.codes + run.k, rows.stride, p.w, run.depth, nothing, p.place);
}

/// The same with pairs, and in int16 in the blocks that have a bit in `no_pairs`: at least one,
/// perhaps all.
template <class Unit, class Tile, class Place>
FEWBIT_ALWAYS_INLINE void accumulate_by_block(Tile& tile, const run_by_block& run,
                                              const unsigned_rows& rows, const std::int16_t* words,
                                              const panel_of_run<Place>& p,
                                              std::uint32_t no_pairs) noexcept {
  constexpr index step = Place::template step<typename Unit::pairs> / Unit::depth;
  no_side nothing;
  for (index k = 0; k < run.depth;) {
    const index end = no_pairs == 0 ? run.depth : std::countr_zero(no_pairs) * proof_depth;
    if (k < end) {  // rows that are in int16 alone have no codes
      tile.template accumulate<typename Unit::pairs>(rows.codes + run.k + k, rows.stride,
                                                     p.w + k * step, end - k, nothing, p.place);
    }
    if (no_pairs == 0) return;
    const std::uint32_t rest = no_pairs + (no_pairs & (0 - no_pairs));  // without its lowest ones
    k = std::min(run.depth, std::countr_zero(rest) * proof_depth);
    tile.template accumulate<typename Unit::widened>(
        words + end, run.words_stride, p.wide + end * step, k - end, nothing, p.wide_place);
    no_pairs &= rest;
  }
}

/// A bit for each block of k if the rows are in int16 alone: they are above all limits.
FEWBIT_ALWAYS_INLINE std::uint32_t blocks_without_codes(const run_by_block& run,
                                                        const unsigned_rows& rows) noexcept {
  return rows.codes == nullptr ? run.blocks : 0;
}

/// Sums tiles of R x C registers and passes each to the sink, as sum_run does. With
/// in_narrow_panels there is one tile along, and each of its registers is a panel.
template <class Unit, int R, int C, class Place, class Sink>
void sum_run_by_block(const run_by_block& given, prefetcher& ahead,
                      const Sink& given_sink) noexcept {
  constexpr int panels = std::is_same_v<Place, in_narrow_panels> ? C : 1;
  const run_by_block run = given;
  Sink sink = given_sink;
  prefetcher rest = ahead;
  const std::int16_t* words = run.words + run.k;
  const std::uint8_t* largest = run.largest;
  for (index i = 0; i < run.down; ++i) {
    const unsigned_rows rows = run.tiles[i];
    const std::uint32_t without_codes = blocks_without_codes(run, rows);
    sink.begin_row();
    for (index j = 0; j < run.along; j += panels) {
      register_tile<typename Unit::pairs, R, C> tile;
      if (run.column_sums != nullptr && rows.offset != 0) {
        tile.start(run.column_sums + j * C / panels * Unit::cols,
                   static_cast<std::uint32_t>(rows.offset), nullptr);
      }
      sink.template expect<R, C>(run.depth);
      rest.advance();
      panel_of_run<Place> p{
          run.w + j * run.panel_codes, run.wide + j * run.wide_panel_codes, {}, {}};
      if constexpr (panels > 1) {
        p.place = {run.panel_codes};
        p.wide_place = {run.wide_panel_codes};
      }
      const auto above = [&](const std::uint8_t* limits) {
        std::uint32_t any = 0;
#pragma GCC unroll 4
        for (int n = 0; n < panels; ++n)
          any |= Unit::above(largest, limits + (j + n) * run.limits_stride);
        return (any & run.blocks) | without_codes;
      };
      if (above(run.limits.fours) == 0) {
        accumulate_all<typename Unit::fours>(tile, run, rows, p);
      } else if (const std::uint32_t no_pairs = above(run.limits.pairs); no_pairs == 0) {
        accumulate_all<typename Unit::pairs>(tile, run, rows, p);
      } else {
        accumulate_by_block<Unit>(tile, run, rows, words, p, no_pairs);
      }
      sink.receive(tile);
    }
    sink.end_row(R);
    words += R * run.words_stride;
    largest += run.largest_stride;
  }
  ahead = rest;
}

/// Tiles of two rows, which are rare: one panel after the other, each with one kind of dots for the
/// whole chunk, in the functions that multiply a few rows.
template <class Unit, int C>
void sum_low_tiles(const run_by_block& run, const collect_sums<typename Unit::pairs>& to) noexcept {
  constexpr int height = 2;
  const std::uint8_t* largest = run.largest;
  for (index i = 0; i < run.down; ++i, largest += run.largest_stride) {
    const unsigned_rows rows = run.tiles[i];
    const std::int16_t* words = run.words + i * height * run.words_stride + run.k;
    const std::uint32_t without_codes = blocks_without_codes(run, rows);
    for (index j = 0; j < run.along; ++j) {
      const auto sum = [&]<class Dots>(Dots, const typename Dots::lhs_code* a, index stride,
                                       const typename Dots::rhs_code* w) {
        const index col = j * C * Unit::cols;
        const bool are_offset = run.column_sums != nullptr && rows.offset != 0;
        const tile_run<Dots> one{a,       stride,    w,
                                 0,       run.depth, are_offset ? run.column_sums + col : nullptr,
                                 nullptr, 1,         1};
        const collect_sums<Dots> sink{
            {to.sums + i * height * to.stride + col, to.stride},
            to.before == nullptr ? nullptr : to.before + i * height * to.before_stride + col,
            to.before_stride};
        prefetcher nothing;
        sum_run<Dots, height, C>(one, rows.offset, nothing, sink);
      };
      const auto above = [&](const std::uint8_t* limits) {
        return (Unit::above(largest, limits + j * run.limits_stride) & run.blocks) | without_codes;
      };
      const std::int8_t* w = run.w + j * run.panel_codes;
      if (above(run.limits.fours) == 0) {
        sum(typename Unit::fours{}, rows.codes + run.k, rows.stride, w);
      } else if (above(run.limits.pairs) == 0) {
        sum(typename Unit::pairs{}, rows.codes + run.k, rows.stride, w);
      } else {
        sum(typename Unit::widened{}, words, run.words_stride, run.wide + j * run.wide_panel_codes);
      }
    }
  }
}

}}}  // namespace fewbit::gemm::detail

#include "fewbit/end.hpp"
