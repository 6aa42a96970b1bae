#pragma once
/// The product of codes in bit planes: C = epilogue(A W^T), exact in int32 for every k.
///
/// Use it if codes have one or two bits on both sides. Each pair of planes costs as much as a
/// product of binary codes. With VPOPCNTDQ this is a third of a product of bytes, so two bits by
/// one bit are still faster. Activations are planes (for example from the previous operator), or
/// codes that are packed into planes a block of rows at a time.
///
///     const auto w = gemm::pack_planes<gemm::binary_bits, gemm::binary_bits>(signs);   // once
///     gemm::multiply(gemm::to_planes<gemm::binary_bits>(a), w, c);                     // often
///
/// Read before: gemm/bit_planes/formats.hpp (which codes), gemm/bit_planes/rules.hpp (which
/// products).

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "fewbit/core/executor.hpp"
#include "fewbit/core/operands.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/core/workspace.hpp"
#include "fewbit/gemm/bit_planes/lhs.hpp"
#include "fewbit/gemm/bit_planes/rules.hpp"
#include "fewbit/gemm/bit_planes/tile.hpp"
#include "fewbit/gemm/bit_planes/weights.hpp"
#include "fewbit/gemm/epilogue.hpp"
#include "fewbit/gemm/epilogue_rows.hpp"
#include "fewbit/gemm/parts.hpp"
#include "fewbit/gemm/tuning.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm {

namespace detail {

/// Number of rows of planes that fit bit_block_bytes, in whole groups of the unit.
template <class Unit>
[[nodiscard]] index rows_per_bit_block(index planes, index words) noexcept {
  static_assert(most_rows_per_bit_block % Unit::rows == 0);
  const index row_bytes = std::max(planes * words, index{1}) * index{sizeof(std::uint64_t)};
  const index rows = bit_block_bytes / row_bytes / Unit::rows * Unit::rows;
  return std::clamp(rows, index{Unit::rows}, most_rows_per_bit_block);
}

/// Rows of A in planes, in any memory.
struct bit_rows {
  const std::uint64_t* groups;
  const std::int32_t* nonzeros;
  index count;

  /// At most `most` rows from row `row` on, which is the first of a group. A row has `row_words`
  /// words.
  [[nodiscard]] bit_rows from(index row, index row_words, index most) const noexcept {
    return {groups + row * row_words, nonzeros == nullptr ? nullptr : nonzeros + row,
            std::min(most, count - row)};
  }
};

/// How C is cut into pieces: blocks of rows by runs of whole panels. The pieces depend only on the
/// extents.
struct bit_pieces {
  index rows;
  index cols;
  index down;
  index along;

  bit_pieces(index m, index most_rows, const bit_operands& w, index tile_cols) noexcept
      : rows(std::clamp(m, index{1}, most_rows)) {
    const index words = std::max(w.lhs_planes * w.rhs_planes * w.words_per_plane, index{1});
    const index panels = least_piece / (words * rows * tile_cols) + 1;
    cols = panels * tile_cols;
    down = (m + rows - 1) / rows;
    along = (w.n + cols - 1) / cols;
  }
};

template <class Unit, class Rule, class Out, class E>
struct bit_product {
  using panels = bit_panels<Unit>;

  /// Whether sums are written to C directly, without an epilogue.
  static constexpr bool is_raw = std::is_same_v<E, raw> && std::is_same_v<Out, std::int32_t>;

  /// Rows of a tile. Rules with several counts per pair have tiles of fewer rows.
  static constexpr int tile_rows = Unit::rows / Rule::counts > 0 ? Unit::rows / Rule::counts : 1;
  /// Number of panels that one row reads side by side.
  static constexpr int streams = Rule::counts == 1 ? Unit::streams : 1;

  bit_operands w;
  Out* c;
  index stride;
  const E& epilogue;

  /// Multiplies all of A, in pieces.
  template <class Workers>
  void run_in_pieces(const bit_rows& a, const Workers& executor) const noexcept {
    const index most = rows_per_bit_block<Unit>(w.lhs_planes, w.words_per_plane);
    const bit_pieces pieces(a.count, most, w, panels::tile_cols);
    executor.for_each(pieces.down * pieces.along, [&](index piece) {
      const index row = piece / pieces.along * pieces.rows;
      const index col = piece % pieces.along * pieces.cols;
      run(a.from(row, w.lhs_planes * w.words_per_plane, pieces.rows), row, col,
          std::min(col + pieces.cols, panels{w.n}.padded()));
    });
  }

  /// Multiplies some rows of A by the columns of whole panels from `begin` to `end`. The first of
  /// these rows is row `row` of C.
  void run(const bit_rows& a, index row, index begin, index end) const noexcept {
    index col = begin;
    if (a.count == 1) {
      constexpr index side_by_side = streams * panels::tile_cols;
      const index times = (end - begin) / side_by_side;
      tile<streams>(a, {0, 1, 0, row, col}, times);
      col += times * side_by_side;
    }
    while (col < end) {
      const index next = next_strip(col, end);
      for (index first = 0; first < a.count; first += Unit::rows) {
        const index height = std::min(index{Unit::rows}, a.count - first);
        for (index r = 0; r < height; r += tile_rows)
          strip(a, {first, height, r, row + first + r, col}, next);
      }
      col = next;
    }
  }

 private:
  /// Rows from r on in the group of `height` rows that starts at row `first` of A, and their row
  /// and column in C.
  struct place {
    index first;
    index height;
    index r;
    index row;
    index col;
  };

  /// The column after the panels that a tile is multiplied by before the epilogue reads the sums.
  /// These are the first panel, and as many full panels after it as stay in L1.
  [[nodiscard]] index next_strip(index col, index end) const noexcept {
    const index full = (end - col) / panels::tile_cols;
    if (is_raw || full <= 1) return col + panels{w.n}.cols(col);
    const index panel_bytes =
        w.rhs_planes * w.words_per_plane * panels::tile_cols * index{sizeof(std::uint64_t)};
    const index fit = bit_strip_bytes / std::max(panel_bytes, index{1});
    return col + std::min(full, std::clamp(fit, index{1}, panels_of_strip)) * panels::tile_cols;
  }

  /// Some rows of A by the panels up to column `end`.
  void strip(const bit_rows& a, const place& at, index end) const noexcept {
    if constexpr (is_raw) {
      sum_into<1>(a, at, 1, {c + at.row * stride + at.col, stride, w.n - at.col});
    } else {
      alignas(64) std::int32_t sums[tile_rows * strip_cols + lanes];
      place part = at;
      for (; part.col < end; part.col += panels{w.n}.cols(part.col)) {
        sum_into<1>(a, part, 1,
                    {&sums[part.col - at.col], strip_cols,
                     std::min(panels{w.n}.cols(part.col), w.n - part.col)});
      }
      write(&sums[0], strip_cols, at, std::min(index{tile_rows}, at.height - at.r), end - at.col);
    }
  }

  /// One row of A by `times` tiles of Streams full panels each, one after the other.
  template <int Streams>
  void tile(const bit_rows& a, const place& at, index times) const noexcept {
    if constexpr (is_raw) {
      sum_into<Streams>(a, at, times, {c + at.row * stride + at.col, stride, w.n - at.col});
    } else {
      constexpr index width = Streams * panels::tile_cols;
      constexpr index together = std::max(bit_buffered_cols / width, index{1});
      alignas(64) std::int32_t sums[together * width + lanes];
      for (index done = 0; done < times; done += together) {
        const index cols = std::min(together, times - done) * width;
        place part = at;
        part.col += done * width;
        sum_into<Streams>(a, part, cols / width, {&sums[0], cols, std::min(cols, w.n - part.col)});
        write(&sums[0], cols, part, 1, cols);
      }
    }
  }

  /// Writes the epilogue of some rows and up to `cols` columns of sums to C.
  void write(const std::int32_t* sums, index sums_stride, const place& at, index rows,
             index cols) const noexcept {
    apply_epilogue_to_rows<lanes>(
        sums, sums_stride,
        output_rectangle<Out>{c, stride, at.row, at.col, rows, std::min(cols, w.n - at.col)},
        epilogue);
  }

  static constexpr int lanes = arch::native_lanes<std::int32_t>;
  static constexpr index panels_of_strip = 4;
  static constexpr index strip_cols = panels_of_strip * panels::tile_cols;

  /// The destination of sums. Columns from `cols` on are not written.
  struct target {
    std::int32_t* sums;
    index stride;
    index cols;
  };

  /// Sums one tile, or `times` tiles of one row in a single call. Separate calls cost a share of
  /// the time of one row by 2048 columns:
  ///
  /// | k    | share |
  /// |------|-------|
  /// | 1024 | 5 %   |
  /// | 4096 | 3 %   |
  template <int Streams>
  void sum_into(const bit_rows& a, const place& at, index times, const target& to) const noexcept {
    const index words = w.words_per_plane, width = panels{w.n}.cols(at.col);
    const index begin = words == 0 ? 0 : at.first * w.lhs_planes * words + at.r;
    const bit_run run{a.groups + begin,
                      words * at.height,
                      at.height,
                      w.words + at.col * w.rhs_planes * words,
                      words * width,
                      width,
                      words * w.rhs_planes * panels::tile_cols,
                      words,
                      w.passes,
                      w.ends_negated};
    constexpr bool by_row = Rule::starts_from == sum_start::nonzeros;
    const bit_sums out{to.sums, to.stride, to.cols,
                       by_row ? a.nonzeros + at.first + at.r : &w.start, by_row ? 1 : 0};
    if constexpr (Streams > 1) {
      sum<1, Streams>(run, out, times);
    } else {
      const index rows = std::min(index{tile_rows}, at.height - at.r);
      with_height<tile_rows>(
          rows, [&](auto height) { sum<decltype(height)::value, 1>(run, out, times); });
    }
  }

  template <int Rows, int Streams>
  static void sum(const bit_run& run, const bit_sums& out, index times) noexcept {
    constexpr int all = Streams * Unit::registers;
    if constexpr (uses_parities<Unit, Rule>) {
      // A chain takes three registers. Many rows have one register of columns at a time. One row
      // has a whole panel, so weights are read in order.
      constexpr int wide = Rows > 1 ? 1 : all;
      if (words_in_parities<Unit, Rule>(run.words) > 0)
        return sum_panel<Rows, wide, true>(run, out, times);
    }
    sum_panel<Rows, all, false>(run, out, times);
  }

  template <int Rows, int Registers, bool Parities>
  static void sum_panel(const bit_run& run, const bit_sums& out, index times) noexcept {
    using wide = bit_tile<Unit, Rule, Rows, Registers, Parities>;
    if (run.w_word != panels::tile_cols) {
      sum_tiles<bit_tile<Unit, Rule, Rows, 1, Parities>>(run, out, times, 0);
    } else if constexpr (Registers < Unit::registers) {
      sum_tiles<wide>(run, out, Unit::registers / Registers, wide::cols);
    } else {
      sum_tiles<wide>(run, out, times, Registers / Unit::registers * run.w_panel);
    }
  }
};

/// Activations as codes, packed into planes a block of rows at a time.
template <class A, class W, class Unit, class Out, class E>
struct product_of_codes {
  using weights = plane_weights<A, W, Unit>;
  using rule = typename weights::rule;
  using product = bit_product<Unit, rule, Out, E>;
  using panels = typename product::panels;

  const typename A::code* a;
  index a_stride;
  index m;
  index k;
  product p;

  /// Part `part` of `parts` equal parts of C, which are groups of rows. If there are few rows, the
  /// parts are panels, and each part packs the activations.
  void run(index part, index parts, std::byte* scratch) const noexcept {
    const auto [row, row_end, col, col_end] =
        part_by_rows({m, Unit::rows}, {panels{p.w.n}.padded(), panels::tile_cols}, part, parts);
    rows(row, row_end, col, col_end, scratch);
  }

 private:
  void rows(index begin, index end, index col_begin, index col_end,
            std::byte* scratch) const noexcept {
    const index most = rows_per_bit_block<Unit>(A::planes, p.w.words_per_plane);
    auto* groups = reinterpret_cast<std::uint64_t*>(scratch);
    auto* nonzeros = reinterpret_cast<std::int32_t*>(groups + std::min(most, m) * A::planes *
                                                                  p.w.words_per_plane);
    for (index row = begin; row < end; row += most) {
      const index count = std::min(most, end - row);
      const auto* codes = a + row * a_stride;
      pack_groups<A, Unit>(codes, a_stride, count, k, groups);
      if constexpr (rule::starts_from == sum_start::nonzeros)
        count_nonzeros(codes, a_stride, count, k, nonzeros);
      p.run({groups, nonzeros, count}, row, col_begin, col_end);
    }
  }
};

}  // namespace detail

/// C(i, j) = epilogue(sum over k of A(i, k) * W(j, k)), exact in int32. Does not allocate and does
/// not throw. If the executor throws, std::terminate is called.
///
/// @param a         m x k codes as planes (to_planes)
/// @param w         n x k weights, packed for the format of a and the same unit
/// @param c         m x n, row-major, of what the epilogue returns
/// @param epilogue  applied to each element (gemm/epilogue.hpp)
/// @param executor  runs pieces of C; results do not depend on it
/// If shapes do not fit, the error handler is called and the program terminates
/// (core/operands.hpp).
template <class A, class W, class Unit, class C, class E = raw, Executor Workers = inline_executor>
  requires ProductEpilogue<C, E, std::int32_t>
void multiply(const plane_lhs<A, Unit>& a, const plane_weights<A, W, Unit>& w, C&& c,
              const E& epilogue = {}, const Workers& executor = {}) noexcept {
  using out = scalar_of<C>;
  if constexpr (fewbit::detail::writes_in_place<C, out>()) {
    auto&& to = fewbit::detail::rows_of(c);
    fewbit::detail::expect_extent("multiply", "", "a", ".k()", a.k(), w.k());
    fewbit::detail::expect_rows("multiply", "c", c, a.m());
    fewbit::detail::expect_cols("multiply", "c", c, w.n());
    using rule = typename plane_weights<A, W, Unit>::rule;
    const detail::bit_product<Unit, rule, out, E> p{w.operands(), to.data(), to.outerStride(),
                                                    epilogue};
    p.run_in_pieces({a.group(0), a.nonzeros(0), a.m()}, executor);
  }
}

/// Scratch bytes that one worker needs to multiply up to `rows` rows of codes.
template <class A, class W, class Unit>
[[nodiscard]] index scratch_bytes(const plane_weights<A, W, Unit>& w, index rows) noexcept {
  const index words = detail::words_of(w.k());
  return std::min(rows, detail::rows_per_bit_block<Unit>(A::planes, words)) *
         (A::planes * words * index{sizeof(std::uint64_t)} + index{sizeof(std::int32_t)});
}

/// Scratch bytes that one worker needs to multiply any number of rows of codes.
template <class A, class W, class Unit>
[[nodiscard]] index scratch_bytes(const plane_weights<A, W, Unit>& w) noexcept {
  return scratch_bytes(w, detail::most_rows_per_bit_block);
}

/// The same for activations as codes, which are packed into planes a block of rows at a time.
///
/// @param a        m x k codes, row-major, of the format that w was packed for; asserted, because
///                 sums of other codes are wrong
/// @param scratch  at least scratch_bytes(w) per slot; C is cut into one part per slot
template <class A, class W, class Unit, class Codes, class C, class E,
          Executor Workers = inline_executor>
  requires ProductEpilogue<C, E, std::int32_t>
void multiply(const Codes& a, const plane_weights<A, W, Unit>& w, C&& c, const E& epilogue,
              workspace& scratch, const Workers& executor = {}) noexcept {
  const auto run = [&](const auto& from, auto& to) {
    assert(detail::first_foreign_code<A>(from).row < 0);
    const detail::product_of_codes<A, W, Unit, scalar_of<C>, E> p{
        from.data(),
        from.outerStride(),
        from.rows(),
        w.k(),
        {w.operands(), to.data(), to.outerStride(), epilogue}};
    detail::run_in_parts(p, scratch, executor);
  };
  detail::with_checked_operands<typename A::code>(a, w, c, scratch, run);
}

/// The same for one call in one thread: scratch memory is allocated.
template <class A, class W, class Unit, class Codes, class C, class E = raw>
  requires ProductEpilogue<C, E, std::int32_t>
void multiply(const Codes& a, const plane_weights<A, W, Unit>& w, C&& c, const E& epilogue = {}) {
  workspace scratch(scratch_bytes(w));
  multiply(a, w, c, epilogue, scratch);
}

}}}  // namespace fewbit::gemm

#include "fewbit/end.hpp"
