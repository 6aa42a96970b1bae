#pragma once
/// Chooses how the rows of a block and the panels of weights are multiplied in products by proof:
/// prepares the activations, and groups neighbouring panels that have the same dots.
///
/// Panels with a proof for all activations are multiplied by u8 activations. Other panels are
/// multiplied by a few rows cut in halves; for more rows the dots depend on the activations
/// (gemm/int8/dots_by_block.hpp). Blocks of k that some rows need in int16 are widened once for all
/// rows of a block. Read next: gemm/int8/sums_by_proof.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "fewbit/gemm/int8/lhs_by_proof.hpp"
#include "fewbit/gemm/int8/row_tiles.hpp"
#include "fewbit/gemm/int8/saturation_proof.hpp"
#include "fewbit/gemm/tuning.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm::detail {

/// A block of rows of C.
struct block_of_rows {
  index row;
  index rows;
  bool in_words;       // all rows are in int16 alone
  bool some_in_words;  // at least the last rows are
};

/// Neighbouring panels of the same width and dots.
struct panel_group {
  index col;
  index width;
  index along;
  saturation_proof proven;
  bool is_halved;   // few rows without a proof
  bool is_widened;  // some block of k of some rows has no proof

  [[nodiscard]] index cols() const noexcept { return along * width; }
};

/// Row tiles begin .. end - 1 of a block, whose sums go to the epilogue together.
struct row_slice {
  index begin;
  index end;
  index first;  // their rows
  index rows;
  std::int32_t* sums;
  index stride;
};

/// Decides whether row tiles have proofs for so many of their products with some columns that they
/// save more time than the search takes.
template <class Weights>
struct useful_tiles {
  const Weights& w;
  index col_begin;
  index col_end;

  /// `largest` are the largest codes of the blocks of k of the tile.
  template <class Lhs>
  [[nodiscard]] bool operator()(const Lhs& lhs, const std::uint8_t* largest) const noexcept {
    const index all = lhs.all_blocks();
    // The smallest and the largest limits of all panels decide about most tiles.
    const auto [least, most] = w.limits(w.padded_n());
    if (useful_part * lhs.blocks_within(largest, least) >= all) return true;
    if (useful_part * lhs.blocks_within(largest, most) < all) return false;
    index within = 0;
    for (index col = col_begin, width = 0; col < col_end; col += width) {
      width = w.panel_cols(col);
      within += width * lhs.blocks_within(largest, w.limits(col).pairs);
    }
    return useful_part * within >= (col_end - col_begin) * all;
  }
};

/// The weights and the prepared activations of a worker.
template <class Weights>
class panels_by_proof {
  using kernel_type = typename Weights::kernel_type;
  using lhs_type = typename kernel_type::lhs;
  using tile = typename kernel_type::tile;
  using lhs = lhs_by_proof<kernel_type>;

 public:
  panels_by_proof(const Weights& w, index rows, std::byte* scratch) noexcept
      : w_(w), activations_(w.layout(), rows, scratch) {}

  /// Prepares rows a[0] .. a[rows - 1], which are rows row .. row + rows - 1 of C, for columns
  /// col_begin .. col_end - 1. `useless` as in lhs_by_proof::make_proven.
  [[gnu::noinline]] block_of_rows prepare(const lhs_type* a, index stride, index row, index rows,
                                          index col_begin, index col_end,
                                          index& useless) const noexcept {
    const auto has = [&](saturation_proof p) {
      for (index col = col_begin; col < col_end; col += w_.panel_cols(col)) {
        if (w_.proven(col) == p) return true;
      }
      return false;
    };
    const bool any_none = has(saturation_proof::none), any_pairs = has(saturation_proof::pairs);
    const index tiles = row_tiles<kernel_type>(rows);
    index coded = tiles;
    if (rows <= few_rows || !(any_none || any_pairs)) {
      if (any_none || can_stream(rows, col_begin, col_end))
        activations_.make_halves(a, stride, rows, shift());
      if (any_pairs || has(saturation_proof::fours))
        activations_.make_unsigned(a, stride, rows, shift());
    } else if (w_.layout().k() < searched_depth) {
      activations_.make_words(a, stride, rows);
      coded = 0;
    } else {
      coded = activations_.make_proven(a, stride, rows, w_.limits(w_.padded_n()).pairs,
                                       useful_tiles<Weights>{w_, col_begin, col_end}, useless);
    }
    return {row, rows, coded == 0, coded < tiles};
  }

  /// Whether one row should read the panels from `col` on side by side. Proofs do not matter: cut
  /// in halves, activations are exact for all weights, and reading weights takes longer.
  [[nodiscard]] bool can_stream(index rows, index col, index col_end) const noexcept {
    return rows == 1 && w_.bytes() >= proof_far_bytes &&
           std::min(col_end, w_.wide_cols()) - col >= tile::cols;
  }

  /// The panels from `col` on that are multiplied together.
  panel_group panels_at(const block_of_rows& b, index col, index col_end) const noexcept {
    panel_group p{
        col, w_.panel_cols(col), 1, w_.proven(col), is_halved(b, col), is_widened(b, col)};
    const index depth = chunk_depth(p);
    const index padded = std::max(w_.layout().padded(), index{1});
    index most = std::min(depth * tile::cols / (padded * p.width),
                          proof_buffered_sums / (tile::rows * p.width));
    if (padded > depth) most = b.rows <= few_rows ? 1 : tile::cols / p.width;
    for (index next = col + p.width; next < col_end && p.along < most; next += p.width) {
      if (w_.panel_cols(next) != p.width || w_.proven(next) != p.proven ||
          is_widened(b, next) != p.is_widened) {
        break;
      }
      ++p.along;
    }
    return p;
  }

  /// Number of codes of k in a chunk, if the codes of a chunk have two bytes, or one.
  static index chunk_depth(bool in_two_bytes) noexcept {
    constexpr index depth = proof_chunk_bytes / tile::cols / 2;
    static_assert(depth % proof_depth == 0);
    return in_two_bytes ? depth : 2 * depth;
  }
  static index chunk_depth(const panel_group& p) noexcept {
    return chunk_depth(p.is_halved || p.is_widened);
  }

  [[nodiscard]] int shift() const noexcept {
    return static_cast<int>(unsigned_shift<lhs_type>(w_.largest_activation()));
  }

  [[nodiscard]] const lhs& activations() const noexcept { return activations_; }

 private:
  /// Whether the panel is multiplied by rows cut in halves.
  bool is_halved(const block_of_rows& b, index col) const noexcept {
    return b.rows <= few_rows && w_.proven(col) == saturation_proof::none;
  }

  /// Whether a block of k of the panel needs int16 for some of the rows.
  bool is_widened(const block_of_rows& b, index col) const noexcept {
    if (b.some_in_words) return true;
    if (b.rows <= few_rows || w_.proven(col) != saturation_proof::none) return false;
    const std::uint8_t* limits = w_.limits(col).pairs;
    for (index k = 0, i = 0; k < w_.layout().padded(); k += proof_depth, ++i) {
      if (activations_.largest_of_all()[i] > limits[i]) return true;
    }
    return false;
  }

  const Weights& w_;
  lhs activations_;
};

}}}  // namespace fewbit::gemm::detail

#include "fewbit/end.hpp"
