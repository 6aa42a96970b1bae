#pragma once
/// The walk over C in which each tile uses the fastest dots that are proven exact.
///
/// Panels with a proof for all activations are multiplied by u8 activations. Other panels are
/// multiplied by a few rows cut in halves; for more rows the dots depend on the activations
/// (gemm/int8/dots_by_block.hpp). k is cut into chunks whose weights stay in L1, and the sums of a
/// chunk are added to those of earlier chunks. Blocks of k that some rows need in int16 are widened
/// once for all rows of a block. Small neighbouring panels are processed together, so that C is
/// written row by row.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "fewbit/gemm/epilogue_rows.hpp"
#include "fewbit/gemm/int8/dots_by_block.hpp"
#include "fewbit/gemm/int8/epilogue_registers.hpp"
#include "fewbit/gemm/int8/lhs.hpp"
#include "fewbit/gemm/int8/lhs_by_proof.hpp"
#include "fewbit/gemm/int8/micro_kernel.hpp"
#include "fewbit/gemm/int8/panel_layout.hpp"
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

template <class Weights, class Out, class Epilogue>
class walk_by_proof {
  using kernel_type = typename Weights::kernel_type;
  using lhs_type = typename kernel_type::lhs;
  using unit = typename kernel_type::unit;
  using halves = typename unit::halves::dots;
  using tile = typename kernel_type::tile;
  using lhs = lhs_by_proof<kernel_type>;

 public:
  /// Scratch bytes of one worker for a C of `rows` rows.
  static index scratch_bytes(const Weights& w, index rows = lhs::max_rows) noexcept {
    return sums_bytes(w, rows) + so_far_bytes(w, rows) + wide_bytes(w, rows) +
           lhs::scratch_bytes(w.layout(), rows);
  }

  walk_by_proof(const lhs_type* a, index a_stride, const Weights& w, const output_rectangle<Out>& c,
                const Epilogue& epilogue, std::byte* scratch) noexcept
      : a_(a), a_stride_(a_stride), w_(w), c_(c), epilogue_(epilogue) {
    sums_ = reinterpret_cast<std::int32_t*>(scratch);
    scratch += sums_bytes(w, c.rows);
    so_far_ = reinterpret_cast<std::int32_t*>(scratch);
    scratch += so_far_bytes(w, c.rows);
    wide_ = reinterpret_cast<std::int16_t*>(scratch);
    lhs_scratch_ = scratch + wide_bytes(w, c.rows);
  }

  /// Multiplies rows row_begin .. row_end - 1 by columns col_begin .. col_end - 1.
  void rows(index row_begin, index row_end, index col_begin, index col_end) const noexcept {
    const index count = row_end - row_begin;
    const index blocks = (count + lhs::max_rows - 1) / lhs::max_rows;
    const index most =
        blocks == 0 ? 1
                    : ((count + blocks - 1) / blocks + tile::rows - 1) / tile::rows * tile::rows;
    const auto has = [&](saturation_proof p) {
      return any(col_begin, col_end, [=](saturation_proof q) { return p == q; });
    };
    const bool any_none = has(saturation_proof::none), any_pairs = has(saturation_proof::pairs);
    const bool any_fours = has(saturation_proof::fours);
    index useless = 0;
    for (index row = row_begin; row < row_end; row += most) {
      const index block_rows = std::min(most, row_end - row);
      const lhs_type* a = a_ + row * a_stride_;
      const lhs proven(w_.layout(), c_.rows, lhs_scratch_);
      index coded = row_tiles<kernel_type>(block_rows);
      if (block_rows <= few_rows || !(any_none || any_pairs)) {
        if (any_none || can_stream(block_rows, col_begin, col_end))
          proven.make_halves(a, a_stride_, block_rows, shift());
        if (any_pairs || any_fours) proven.make_unsigned(a, a_stride_, block_rows, shift());
      } else if (w_.layout().k() < searched_depth) {
        proven.make_words(a, a_stride_, block_rows);
        coded = 0;
      } else {
        coded = proven.make_proven(a, a_stride_, block_rows, w_.limits(w_.padded_n()).pairs,
                                   useful_tiles<Weights>{w_, col_begin, col_end}, useless);
      }
      const bool some_in_words = coded < row_tiles<kernel_type>(block_rows);
      const block b{proven, row, block_rows, coded == 0, some_in_words};
      for (index col = col_begin; col < col_end;) {
        col = multiply_strip(b, col, col_end);
      }
    }
  }

 private:
  /// A block of rows of C and their activations.
  struct block {
    const lhs& activations;
    index row;
    index rows;
    bool in_words;       // all rows are in int16 alone
    bool some_in_words;  // at least the last rows are
  };

  /// Neighbouring panels of the same width and dots.
  struct panels {
    index col;
    index width;
    index along;
    saturation_proof proven;
    bool is_halved;   // few rows without a proof
    bool is_widened;  // some block of k of some rows has no proof

    [[nodiscard]] index cols() const noexcept { return along * width; }
  };

  /// Row tiles begin .. end - 1 of a block, whose sums go to the epilogue together.
  struct slice {
    index begin;
    index end;
    index first;  // their rows
    index rows;
    std::int32_t* sums;
    index stride;
  };

  template <class F>
  [[nodiscard]] bool any(index col_begin, index col_end, const F& f) const noexcept {
    for (index col = col_begin; col < col_end; col += w_.panel_cols(col)) {
      if (f(w_.proven(col))) return true;
    }
    return false;
  }

  /// Rows of a buffer of sums. Two rows of any number of registers are whole cache lines.
  static index buffer_rows(index rows) noexcept {
    static_assert(2 * kernel_type::edge_cols * sizeof(std::int32_t) % arch::cache_line == 0);
    return (std::min(rows, lhs::max_rows) + 1) / 2 * 2;
  }

  static index sums_bytes(const Weights& w, index rows) noexcept {
    constexpr index most = proof_finished_panels * tile::cols;
    const index of_block = buffer_rows(rows) * std::min(w.padded_n(), most);
    const index of_slice = std::min(buffer_rows(rows) * w.padded_n(), proof_buffered_sums);
    return std::max(of_block, of_slice) * index{sizeof(std::int32_t)};
  }

  static index so_far_bytes(const Weights& w, index rows) noexcept {
    if (rows <= 1 || w.layout().padded() <= chunk_depth(true)) return 0;
    return buffer_rows(rows) * tile::cols * index{sizeof(std::int32_t)};
  }

  static index wide_bytes(const Weights& w, index rows) noexcept {
    if (rows <= few_rows) return 0;
    const index all = w.padded_n() * w.layout().padded() * index{sizeof(std::int16_t)};
    return std::min((all + 63) / 64 * 64, proof_chunk_bytes);
  }

  [[nodiscard]] int shift() const noexcept {
    return static_cast<int>(unsigned_shift<lhs_type>(w_.largest_activation()));
  }

  /// Number of codes of k in a chunk, if the codes of a chunk have two bytes, or one.
  static index chunk_depth(bool in_two_bytes) noexcept {
    constexpr index depth = proof_chunk_bytes / tile::cols / 2;
    static_assert(depth % proof_depth == 0);
    return in_two_bytes ? depth : 2 * depth;
  }
  static index chunk_depth(const panels& p) noexcept {
    return chunk_depth(p.is_halved || p.is_widened);
  }

  /// Whether the panel is multiplied by rows cut in halves.
  bool is_halved(const block& b, index col) const noexcept {
    return b.rows <= few_rows && w_.proven(col) == saturation_proof::none;
  }

  /// Whether a block of k of the panel needs int16 for some of the rows.
  bool is_widened(const block& b, index col) const noexcept {
    if (b.some_in_words) return true;
    if (b.rows <= few_rows || w_.proven(col) != saturation_proof::none) return false;
    const std::uint8_t* limits = w_.limits(col).pairs;
    for (index k = 0, i = 0; k < w_.layout().padded(); k += proof_depth, ++i) {
      if (b.activations.largest_of_all()[i] > limits[i]) return true;
    }
    return false;
  }

  panels panels_at(const block& b, index col, index col_end) const noexcept {
    panels p{col, w_.panel_cols(col), 1, w_.proven(col), is_halved(b, col), is_widened(b, col)};
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

  /// Multiplies some columns from `col` on. Returns the column after them.
  index multiply_strip(const block& b, index col, index col_end) const noexcept {
    if (can_stream(b.rows, col, col_end)) return stream_row(b, col, col_end);
    panels p = panels_at(b, col, col_end);
    if constexpr (std::is_same_v<Epilogue, raw>) {
      // The edge of C may cut the last panel, which is then multiplied alone.
      if (p.along > 1 && p.col + p.cols() > c_.cols) --p.along;
      if (p.col + p.cols() <= c_.cols) {
        sum(b, p, all_rows(b, c_.data + b.row * c_.stride + p.col, c_.stride));
        return p.col + p.cols();
      }
    }
    if (p.along >= proof_finished_panels) {
      p.along -= p.along % proof_finished_panels;
      row_by_row(b, p);
      return p.col + p.cols();
    }
    return panel_by_panel(b, col, col_end);
  }

  /// Whether one row should read the panels from `col` on side by side. Proofs do not matter: cut
  /// in halves, activations are exact for all weights, and reading weights takes longer.
  [[nodiscard]] bool can_stream(index rows, index col, index col_end) const noexcept {
    return rows == 1 && w_.bytes() >= proof_far_bytes &&
           std::min(col_end, w_.wide_cols()) - col >= tile::cols;
  }

  static slice all_rows(const block& b, std::int32_t* sums, index stride) noexcept {
    return {0, row_tiles<kernel_type>(b.rows), 0, b.rows, sums, stride};
  }

  /// Some rows at a time, so that their sums stay in L1.
  void row_by_row(const block& b, const panels& p) const noexcept {
    const index most = std::max(proof_buffered_sums / p.cols() / tile::rows, index{1});
    const index tiles = row_tiles<kernel_type>(b.rows);
    for (index begin = 0; begin < tiles; begin += most) {
      const index end = std::min(begin + most, tiles);
      const index first = row_of_tile<kernel_type>(b.rows, begin);
      const slice s{begin, end,     first, row_of_tile<kernel_type>(b.rows, end) - first,
                    sums_, p.cols()};
      sum(b, p, s);
      store_slice(b, s, p.col);
    }
  }

  /// Number of panels whose sums go to the epilogue together: as many as fill its registers.
  index panel_by_panel(const block& b, index col, index col_end) const noexcept {
    index cols = 0;
    for (int i = 0; i < proof_finished_panels && col + cols < col_end; ++i)
      cols += w_.panel_cols(col + cols);
    for (index done = 0; done < cols;) {
      const panels p = panels_at(b, col + done, col + cols);
      sum(b, p, all_rows(b, sums_ + done, cols));
      done += p.cols();
    }
    store_slice(b, all_rows(b, sums_, cols), col);
    return col + cols;
  }

  void store_slice(const block& b, const slice& s, index col) const noexcept {
    apply_epilogue_to_rows<epilogue_lanes<kernel_type>>(
        s.sums, s.stride,
        output_rectangle<Out>{c_.data, c_.stride, b.row + s.first, col, s.rows,
                              std::min(s.stride, c_.cols - col)},
        epilogue_);
  }

  /// One row by up to row_streams panels side by side. Returns the column after them.
  index stream_row(const block& b, index col, index col_end) const noexcept {
    const index along =
        std::min((std::min(col_end, w_.wide_cols()) - col) / tile::cols, row_streams);
    const index padded = w_.layout().padded(), cols = along * tile::cols;
    const tile_run<halves> run{b.activations.halves().codes,
                               0,
                               w_.panel(col),
                               tile::cols * padded,
                               padded,
                               shift() != 0 ? w_.column_sums().data() + col : nullptr,
                               nullptr,
                               1,
                               along};
    sum_row_streams<halves, kernel_type::col_registers>(run, -shift(), sums_);
    store_slice(b, all_rows(b, sums_, cols), col);
    return col + cols;
  }

  /// Multiplies all of k. With several chunks there is one panel, and the slice is the whole block.
  /// The sums then stay in their own buffer until the last chunk, because rows of C may be a power
  /// of two apart.
  void sum(const block& b, const panels& p, const slice& s) const noexcept {
    const index padded = w_.layout().padded();
    const index most = s.rows <= 1 ? std::max(padded, index{1}) : chunk_depth(p);
    const index chunks = std::max((padded + most - 1) / most, index{1});
    const index depth =
        ((padded + chunks - 1) / chunks + proof_depth - 1) / proof_depth * proof_depth;
    const slice so_far = all_rows(b, so_far_, p.cols());
    index k = 0;
    for (; k + depth < padded; k += depth)
      sum_chunk(b, p, so_far, k > 0 ? so_far_ : nullptr, k, depth);
    sum_chunk(b, p, s, k > 0 ? so_far_ : nullptr, k, padded - k);
  }

  void sum_chunk(const block& b, const panels& p, const slice& s, const std::int32_t* before,
                 index k, index depth) const noexcept {
    if (p.is_widened && s.first == 0) widen_blocks(b, p, k, depth);
    if (b.rows <= few_rows) return sum_few(b, p, s, before, k, depth);
    if (b.in_words) return sum_words(b, p, s, before, k, depth);
    run_by_block run = run_of(b, p, k, depth);
    prefetcher ahead = next_chunk(p, k, depth, s.rows);
    for_each_height<kernel_type>(
        b.rows, s.begin, s.end, [&](index number, index height, index count) {
          const index row = row_of_tile<kernel_type>(b.rows, number);
          run.tiles = b.activations.tiles() + number;
          run.words = b.activations.words() + row * b.activations.words_stride();
          if (run.largest_stride != 0) {
            run.largest =
                b.activations.largest() + number * b.activations.blocks() + k / proof_depth;
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
  void sum_few(const block& b, const panels& p, const slice& s, const std::int32_t* before, index k,
               index depth) const noexcept {
    const lhs& all = b.activations;
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
  void sum_few(const lhs_view<typename Dots::lhs_code>& from, const panels& p, const slice& s,
               const std::int32_t* before, index k, index depth) const noexcept {
    constexpr int most = std::is_same_v<Dots, halves> ? 1 : kernel_type::row_registers;
    const bool are_offset = shift() != 0 && k == 0;
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
            sum_rows<Dots, most, kernel_type::col_registers>(height, run, -shift(), ahead, to);
          } else {
            sum_rows<Dots, most, kernel_type::edge_registers>(height, run, -shift(), ahead, to);
          }
        });
  }

  /// The same for rows in int16 alone.
  void sum_words(const block& b, const panels& p, const slice& s, const std::int32_t* before,
                 index k, index depth) const noexcept {
    using widened = typename unit::widened;
    const index stride = b.activations.words_stride();
    tile_run<widened> run{nullptr, stride,  wide_, p.width * depth, depth,
                          nullptr, nullptr, 0,     p.along};
    prefetcher ahead = next_chunk(p, k, depth, s.rows);
    ahead.lines = ahead.lines == 0 ? 0 : 1;
    for_each_height<kernel_type>(
        b.rows, s.begin, s.end, [&](index number, index height, index count) {
          const index row = row_of_tile<kernel_type>(b.rows, number), below = row - s.first;
          run.a = b.activations.words() + row * stride + k;
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
  void sum_tiles(index height, const panels& p, const run_by_block& run, prefetcher& ahead,
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
  void sum_narrow_panels(const panels& p, const run_by_block& run, prefetcher& ahead,
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

  run_by_block run_of(const block& b, const panels& p, index k, index depth) const noexcept {
    static constexpr std::array<std::uint8_t, compared_blocks> none = {};
    run_by_block run{};
    run.words_stride = b.activations.words_stride();
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
      run.largest_stride = b.activations.blocks();
      run.limits = w_.limits(p.col);
      run.limits.pairs += k / proof_depth;
      run.limits.fours += k / proof_depth;
      run.limits_stride = w_.limits(p.col + p.width).pairs - w_.limits(p.col).pairs;
    }
    return run;
  }

  /// Widens the blocks of k that are multiplied in int16. Narrow panels of one tile share them.
  void widen_blocks(const block& b, const panels& p, index k, index depth) const noexcept {
    const bool all = b.some_in_words || b.rows % tile::rows != 0;
    const bool are_joined = p.width != tile::cols;
    for (index at = 0; at < depth; at += proof_depth) {
      const index number = (k + at) / proof_depth;
      const auto needs = [&](index i) {
        const std::uint8_t limit = w_.limits(p.col + i * p.width).pairs[number];
        return b.activations.largest_of_all()[number] > limit;
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
  prefetcher next_chunk(const panels& p, index k, index depth, index rows) const noexcept {
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
  prefetcher ahead_of(const panels& p, index k, index depth, index tiles) const noexcept {
    if (w_.bytes() < proof_far_bytes) return {};
    const index bytes = p.cols() * depth;
    const index iterations = std::max(depth / (Dots::depth * steps_per_iteration), index{1});
    const index spread = tiles * iterations * p.along;
    const index lines = (bytes + arch::cache_line - 1) / arch::cache_line;
    const auto* from = reinterpret_cast<const std::byte*>(w_.panel(p.col) + k * p.width) +
                       (tiles > 1 ? bytes : proof_ahead_bytes);
    return {from, from + bytes, static_cast<int>((lines + spread - 1) / spread)};
  }

  const lhs_type* a_;
  index a_stride_;
  const Weights& w_;
  const output_rectangle<Out>& c_;
  const Epilogue& epilogue_;
  std::int32_t* sums_;
  std::int32_t* so_far_;
  std::int16_t* wide_;
  std::byte* lhs_scratch_;
};

}}}  // namespace fewbit::gemm::detail

#include "fewbit/end.hpp"
