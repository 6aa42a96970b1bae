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

/// Adds the products of a chunk of k to a tile with one kind of dots.
template <class Dots, class Tile, class Place>
FEWBIT_ALWAYS_INLINE void accumulate_all(Tile& tile, const run_by_block& run,
                                         const unsigned_rows& rows, const std::int16_t* words,
                                         const panel_of_run<Place>& p) noexcept {
  no_side nothing;
  if constexpr (std::is_same_v<typename Dots::lhs_code, std::uint8_t>) {
    tile.template accumulate<Dots>(rows.codes + run.k, rows.stride, p.w, run.depth, nothing,
                                   p.place);
  } else {
    tile.template accumulate<Dots>(words, run.words_stride, p.wide, run.depth, nothing,
                                   p.wide_place);
  }
}

/// The same with pairs, and in int16 in the blocks that have a bit in `no_pairs`.
template <class Unit, class Tile, class Place>
FEWBIT_ALWAYS_INLINE void accumulate_by_block(Tile& tile, const run_by_block& run,
                                              const unsigned_rows& rows, const std::int16_t* words,
                                              const panel_of_run<Place>& p,
                                              std::uint32_t no_pairs) noexcept {
  constexpr index step = Place::template step<typename Unit::pairs> / Unit::depth;
  const std::uint8_t* codes = rows.codes + run.k;
  no_side nothing;
  for (index k = 0; k < run.depth;) {
    const index end = no_pairs == 0 ? run.depth : std::countr_zero(no_pairs) * proof_depth;
    tile.template accumulate<typename Unit::pairs>(codes + k, rows.stride, p.w + k * step, end - k,
                                                   nothing, p.place);
    k = end;
    if (no_pairs == 0) return;
    const std::uint32_t rest = no_pairs + (no_pairs & (0 - no_pairs));  // without its lowest ones
    const index next = std::min(run.depth, std::countr_zero(rest) * proof_depth);
    tile.template accumulate<typename Unit::widened>(words + k, run.words_stride, p.wide + k * step,
                                                     next - k, nothing, p.wide_place);
    k = next;
    no_pairs &= rest;
  }
}

/// For tiles of R rows with a block that has no proof.
template <class Unit, int R, class Tile, class Place>
FEWBIT_ALWAYS_INLINE void accumulate_without_proof(
    Tile& tile, const run_by_block& run, const unsigned_rows& rows, const std::int16_t* words,
    const panel_of_run<Place>& p, [[maybe_unused]] std::uint32_t no_pairs) noexcept {
  if constexpr (mixes_dots(R)) {
    if (no_pairs != run.blocks)
      return accumulate_by_block<Unit>(tile, run, rows, words, p, no_pairs);
  }
  accumulate_all<typename Unit::widened>(tile, run, rows, words, p);
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
        return any & run.blocks;
      };
      if (above(run.limits.fours) == 0) {
        accumulate_all<typename Unit::fours>(tile, run, rows, words, p);
      } else if (const std::uint32_t no_pairs = above(run.limits.pairs); no_pairs == 0) {
        accumulate_all<typename Unit::pairs>(tile, run, rows, words, p);
      } else {
        accumulate_without_proof<Unit, R>(tile, run, rows, words, p, no_pairs);
      }
      sink.receive(tile);
    }
    sink.end_row(R);
    words += R * run.words_stride;
    largest += run.largest_stride;
  }
  ahead = rest;
}

/// Calls sum_run_by_block with the number of rows, 2 to R, as a constant. More rows than a tile has
/// are cut into tiles of at least two rows, and few_rows take another way.
template <class Unit, int R, int C, class Place, class Sink>
void sum_rows_by_block(index rows, const run_by_block& run, prefetcher& ahead,
                       const Sink& sink) noexcept {
  static_assert(few_rows >= R);
  if constexpr (R > 2) {
    if (rows < R) return sum_rows_by_block<Unit, R - 1, C, Place>(rows, run, ahead, sink);
  }
  sum_run_by_block<Unit, R, C, Place>(run, ahead, sink);
}

}}}  // namespace fewbit::gemm::detail

#include "fewbit/end.hpp"
