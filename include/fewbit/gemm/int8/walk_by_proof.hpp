#pragma once
/// The walk over C in which each panel of weights uses the fastest dots that its proof allows.
///
/// Panels with a proof are multiplied by u8 activations, panels without by activations widened to
/// int16 or, for a few rows, cut in halves. A block of rows is prepared in the forms that its panels
/// need. k is cut into chunks whose weights stay in L1, and the sums of a chunk are added to those
/// of earlier chunks. A chunk of a panel without a proof is widened once for all rows of a block.
/// Small neighbouring panels are processed together, so that C is written row by row.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "fewbit/gemm/epilogue_rows.hpp"
#include "fewbit/gemm/int8/epilogue_registers.hpp"
#include "fewbit/gemm/int8/lhs.hpp"
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

template <class Weights, class Out, class Epilogue>
class walk_by_proof {
  using kernel_type = typename Weights::kernel_type;
  using lhs_type = typename kernel_type::lhs;
  using unit = typename kernel_type::unit;
  using widened = typename unit::widened;
  using halves = typename unit::halves::dots;
  using tile = typename kernel_type::tile;
  template <class Unit, int Rows = kernel_type::row_registers>
  using kernel_of =
      kernel<lhs_type, Unit, Rows, kernel_type::col_registers, kernel_type::edge_registers>;
  using exact_lhs = int8_lhs<kernel_type, row_tiles_by_proof>;
  using halved_lhs = int8_lhs<kernel_of<typename unit::halves>, row_tiles_by_proof>;
  using proven_lhs = int8_lhs<kernel_of<typename unit::bytes>, row_tiles_by_proof>;
  static_assert(exact_lhs::max_rows == proven_lhs::max_rows);

 public:
  /// Scratch bytes of one worker for a C of `rows` rows.
  static index scratch_bytes(const Weights& w, index rows = exact_lhs::max_rows) noexcept {
    return sums_bytes(w, rows) + so_far_bytes(w, rows) + wide_bytes(w, rows) +
           exact_lhs::bytes(w.layout(), rows) + proven_lhs::bytes(w.layout(), rows);
  }

  walk_by_proof(const lhs_type* a, index a_stride, const Weights& w, const output_rectangle<Out>& c,
                const Epilogue& epilogue, std::byte* scratch) noexcept
      : a_(a), a_stride_(a_stride), w_(w), c_(c), epilogue_(epilogue) {
    sums_ = reinterpret_cast<std::int32_t*>(scratch);
    scratch += sums_bytes(w, c.rows);
    so_far_ = reinterpret_cast<std::int32_t*>(scratch);
    scratch += so_far_bytes(w, c.rows);
    wide_ = reinterpret_cast<std::int16_t*>(scratch);
    exact_scratch_ = scratch + wide_bytes(w, c.rows);
    proven_scratch_ = exact_scratch_ + exact_lhs::bytes(w.layout(), c.rows);
  }

  /// Multiplies rows row_begin .. row_end - 1 by columns col_begin .. col_end - 1.
  void rows(index row_begin, index row_end, index col_begin, index col_end) const noexcept {
    const index count = row_end - row_begin;
    const index blocks = (count + exact_lhs::max_rows - 1) / exact_lhs::max_rows;
    const index most =
        blocks == 0 ? 1
                    : ((count + blocks - 1) / blocks + tile::rows - 1) / tile::rows * tile::rows;
    const bool any_exact =
        can_stream(count, col_begin, col_end) ||
        any(col_begin, col_end, [](saturation_proof p) { return p == saturation_proof::none; });
    const bool any_proven =
        any(col_begin, col_end, [](saturation_proof p) { return p != saturation_proof::none; });
    for (index row = row_begin; row < row_end; row += most) {
      const index block_rows = std::min(most, row_end - row);
      const lhs_type* a = a_ + row * a_stride_;
      const auto& layout = w_.layout();
      const bool halve = block_rows <= few_rows;  // both copies have the same number of bytes
      const exact_lhs exact(a, a_stride_, any_exact && !halve ? block_rows : 0, layout,
                            exact_scratch_);
      const halved_lhs halved(a, a_stride_, any_exact && halve ? block_rows : 0, layout,
                              exact_scratch_, -shift());
      const proven_lhs proven(a, a_stride_, any_proven ? block_rows : 0, layout, proven_scratch_,
                              -shift());
      const block b{exact.from(0), halved.from(0), proven.from(0), row, block_rows};
      for (index col = col_begin; col < col_end;) {
        col = multiply_strip(b, col, col_end);
      }
    }
  }

 private:
  /// A block of rows of C and their activations.
  struct block {
    lhs_view<std::int16_t> exact;
    lhs_view<std::uint16_t> halved;
    lhs_view<std::uint8_t> proven;
    index row;
    index rows;
  };

  /// Neighbouring panels of the same width and proof.
  struct panels {
    index col;
    index width;
    index along;
    saturation_proof proven;

    [[nodiscard]] index cols() const noexcept { return along * width; }
  };

  /// Rows of a block whose sums go to the epilogue together.
  struct slice {
    index first;
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
    return (std::min(rows, exact_lhs::max_rows) + 1) / 2 * 2;
  }

  static index sums_bytes(const Weights& w, index rows) noexcept {
    constexpr index most = proof_finished_panels * tile::cols;
    const index of_block = buffer_rows(rows) * std::min(w.padded_n(), most);
    const index of_slice = std::min(buffer_rows(rows) * w.padded_n(), proof_buffered_sums);
    return std::max(of_block, of_slice) * index{sizeof(std::int32_t)};
  }

  static index so_far_bytes(const Weights& w, index rows) noexcept {
    if (rows <= 1 || w.layout().padded() <= chunk_depth(saturation_proof::none)) return 0;
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

  /// Number of codes of k in a chunk.
  static index chunk_depth(saturation_proof p) noexcept {
    return proof_chunk_bytes / tile::cols / (p == saturation_proof::none ? 2 : 1);
  }

  panels panels_at(index col, index col_end) const noexcept {
    panels p{col, w_.panel_cols(col), 1, w_.proven(col)};
    const index depth = chunk_depth(p.proven), padded = std::max(w_.layout().padded(), index{1});
    if (padded > depth) return p;
    const index most = std::min(depth * tile::cols / (padded * p.width),
                                proof_buffered_sums / (tile::rows * p.width));
    for (index next = col + p.width; next < col_end && p.along < most; next += p.width) {
      if (w_.panel_cols(next) != p.width || w_.proven(next) != p.proven) break;
      ++p.along;
    }
    return p;
  }

  /// Multiplies some columns from `col` on. Returns the column after them.
  index multiply_strip(const block& b, index col, index col_end) const noexcept {
    if (can_stream(b.rows, col, col_end)) return stream_row(b, col, col_end);
    panels p = panels_at(col, col_end);
    if constexpr (std::is_same_v<Epilogue, raw>) {
      // The edge of C may cut the last panel, which is then multiplied alone.
      if (p.along > 1 && p.col + p.cols() > c_.cols) --p.along;
      if (p.col + p.cols() <= c_.cols) {
        sum(b, p, {0, b.rows, c_.data + b.row * c_.stride + p.col, c_.stride});
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

  /// Some rows at a time, so that their sums stay in L1.
  void row_by_row(const block& b, const panels& p) const noexcept {
    const index most = std::max(proof_buffered_sums / p.cols() / tile::rows, index{1}) * tile::rows;
    for (index first = 0; first < b.rows; first += most) {
      const slice s{first, std::min(most, b.rows - first), sums_, p.cols()};
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
      const panels p = panels_at(col + done, col + cols);
      sum(b, p, {0, b.rows, sums_ + done, cols});
      done += p.cols();
    }
    store_slice(b, {0, b.rows, sums_, cols}, col);
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
    const tile_run<halves> run{
        b.halved.codes, 0,
        w_.panel(col),  tile::cols * padded,
        padded,         shift() != 0 ? w_.column_sums().data() + col : nullptr,
        nullptr,        1,
        along};
    sum_row_streams<halves, kernel_type::col_registers>(run, -shift(), sums_);
    store_slice(b, {0, 1, sums_, cols}, col);
    return col + cols;
  }

  void sum(const block& b, const panels& p, const slice& s) const noexcept {
    switch (p.proven) {
      case saturation_proof::fours:
        return sum_chunks<typename unit::fours>(p, s, b.proven);
      case saturation_proof::pairs:
        return sum_chunks<typename unit::pairs>(p, s, b.proven);
      case saturation_proof::none:
        if (b.rows > few_rows) return sum_chunks<widened>(p, s, b.exact);
        return sum_chunks<halves>(p, s, b.halved);
    }
  }

  /// Multiplies all of k. With several chunks there is one panel, and the slice is the whole block.
  /// The sums then stay in their own buffer until the last chunk, because rows of C may be a power
  /// of two apart.
  template <class Dots>
  void sum_chunks(const panels& p, const slice& s,
                  const lhs_view<typename Dots::lhs_code>& lhs) const noexcept {
    const index padded = w_.layout().padded();
    const index most = s.rows <= 1 ? std::max(padded, index{1}) : chunk_depth(p.proven);
    const index chunks = std::max((padded + most - 1) / most, index{1});
    const index depth = ((padded + chunks - 1) / chunks + 31) / 32 * 32;
    const slice so_far{s.first, s.rows, so_far_, p.width};
    index k = 0;
    for (; k + depth < padded; k += depth)
      sum_chunk<Dots>(p, so_far, k > 0 ? so_far_ : nullptr, lhs, k, depth);
    sum_chunk<Dots>(p, s, k > 0 ? so_far_ : nullptr, lhs, k, padded - k);
  }

  template <class Dots>
  void sum_chunk(const panels& p, const slice& s, const std::int32_t* before,
                 const lhs_view<typename Dots::lhs_code>& lhs, index k,
                 index depth) const noexcept {
    constexpr bool in_bytes = std::is_same_v<typename Dots::lhs_code, std::uint8_t>;
    const std::int8_t* codes = w_.panel(p.col) + k * p.width;
    tile_run<Dots> run{nullptr, lhs.stride, nullptr, p.width * w_.layout().padded(), depth, nullptr,
                       nullptr, 0,          p.along};
    if constexpr (std::is_same_v<Dots, widened>) {
      if (s.first == 0) widen_panels<kernel_type>(codes, p.cols() * depth, p.width, wide_);
      run.w = wide_;
    } else {
      run.w = codes;
    }
    if constexpr (in_bytes) run.depth = std::min(depth, proven_lhs::depth(w_.layout(), 0) - k);
    if constexpr (!std::is_same_v<Dots, widened>) {
      if (shift() != 0 && k == 0) run.column_sums = w_.column_sums().data() + p.col;
    }
    // Halves are not expanded, so the rows of a tile would share nothing.
    constexpr int most = std::is_same_v<Dots, halves> ? 1 : kernel_type::row_registers;
    prefetcher ahead = ahead_of<Dots>(codes, p, depth, (s.rows + most - 1) / most);
    for_each_height<kernel_of<typename unit::bytes, most>>(
        s.rows, [&](index first, index height, index count) {
          run.a = lhs.codes + (s.first + first) * lhs.stride + k;
          run.down = count;
          const store_sums<Dots> to{s.sums + first * s.stride, s.stride};
          const collect_sums<Dots> sink{to, before == nullptr ? nullptr : before + first * p.width,
                                        p.width};
          if (p.width == tile::cols) {
            sum_rows<Dots, most, kernel_type::col_registers>(height, run, -shift(), ahead, sink);
          } else {
            sum_rows<Dots, most, kernel_type::edge_registers>(height, run, -shift(), ahead, sink);
          }
        });
  }

  /// Spreads the prefetch of the next chunk over the iterations of this chunk. With one row tile,
  /// prefetches weights a little ahead instead.
  template <class Dots>
  prefetcher ahead_of(const std::int8_t* codes, const panels& p, index depth,
                      index tiles) const noexcept {
    if (w_.bytes() < proof_far_bytes) return {};
    const index bytes = p.cols() * depth;
    const index iterations = std::max(depth / (Dots::depth * steps_per_iteration), index{1});
    const index spread = tiles * iterations * p.along;
    const index lines = (bytes + arch::cache_line - 1) / arch::cache_line;
    const auto* from = reinterpret_cast<const std::byte*>(codes) +
                       (std::is_same_v<Dots, widened> || tiles > 1 ? bytes : proof_ahead_bytes);
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
  std::byte* exact_scratch_;
  std::byte* proven_scratch_;
};

}}}  // namespace fewbit::gemm::detail

#include "fewbit/end.hpp"
