#pragma once
/// The loop of a product of bit planes: a few rows and a few registers of columns.
///
/// A register of weights holds one word of k of `lanes` columns. The same word of a row is
/// broadcast to all lanes. Each pair of row and register has its own register of counts. So nothing
/// is summed across lanes, and every column ends in its own lane:
///
///                 columns  0 .. 7     8 .. 15    ...          one 64-bit word of k each
///                        +----------+----------+
///     row 0  word  --->  |  counts  |  counts  |
///     row 1  word  --->  |  counts  |  counts  |
///                        +----------+----------+
///
/// Read before: gemm/bit_planes/rules.hpp (what is counted). Read next:
/// gemm/bit_planes/multiply.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>

#include "fewbit/arch/bit_unit.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/gemm/bit_planes/parities.hpp"
#include "fewbit/gemm/bit_planes/rules.hpp"
#include "fewbit/gemm/parts.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm::detail {

/// The planes that a tile reads, each [word][row of the group] or [word][column of the panel].
struct bit_run {
  const std::uint64_t* a;  // first word of the tile's first row
  index a_plane;           // words from a plane to the next
  index a_word;            // and from a word of k to the next: rows of the group
  const std::uint64_t* w;
  index w_plane;
  index w_word;
  index w_panel;  // words from a panel to the next
  index words;
  std::span<const plane_pass> passes;
  bool ends_negated;
};

template <class Unit, class Rule, int Rows, int Registers, bool Parities>
struct bit_tile {
  using words = typename Unit::words;
  using counts = typename Unit::counts;
  static constexpr index rows = Rows;
  static constexpr index cols = index{Unit::lanes} * Registers;

  words sums[Rows][Registers][Rule::counts];

  FEWBIT_ALWAYS_INLINE explicit bit_tile(const bit_run& run) noexcept {
    for_each_sum([](words& sum) { sum = words(0); });
    for (const plane_pass& pass : run.passes) {
      if (pass.doubles) for_each_sum([](words& sum) { sum = sum + sum; });
      if (pass.negates) negate();
      count(run.a + pass.lhs_plane * run.a_plane, run.w + pass.rhs_plane * run.w_plane, run);
    }
    if (run.ends_negated) negate();
  }

  /// Writes the sums of all rows and columns. `starts` has one initial value for each row, or one
  /// for all rows.
  FEWBIT_ALWAYS_INLINE void store(const std::int32_t* starts, index start_step, std::int32_t* to,
                                  index stride) const noexcept {
    store_parts(starts, start_step, to, stride, std::make_integer_sequence<int, Rows * parts>());
  }

 private:
  /// Number of registers of counts that become one register of int32.
  static constexpr int regs_of_part =
      Registers % 2 == 0 && requires(words w) { Unit::low_halves(w, w); } ? 2 : 1;

  static constexpr int parts = Registers / regs_of_part;

  /// As a loop or as a lambda, g++ 12 keeps the sums in memory.
  template <int... i>
  FEWBIT_ALWAYS_INLINE void store_parts(const std::int32_t* starts, index start_step,
                                        std::int32_t* to, index stride,
                                        std::integer_sequence<int, i...>) const noexcept {
    (store_part<i / parts, i % parts * regs_of_part>(starts[i / parts * start_step],
                                                     to + i / parts * stride),
     ...);
  }

  template <int Row, int Register>
  FEWBIT_ALWAYS_INLINE void store_part(std::int32_t start, std::int32_t* to) const noexcept {
    const auto count = [&](int i) {
      if constexpr (regs_of_part == 2) {
        return Unit::low_halves(sums[Row][Register][i], sums[Row][Register + 1][i]);
      } else {
        return arch::convert<std::uint32_t>(sums[Row][Register][i]);
      }
    };
    arch::bits_as<std::int32_t>(Rule::template total<decltype(count(0))>(start, count))
        .store(to + Register * Unit::lanes);
  }

  template <class F>
  FEWBIT_ALWAYS_INLINE void for_each_sum(const F& f) noexcept {
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 8
      for (int j = 0; j < Registers; ++j) {
#pragma GCC unroll 2
        for (int i = 0; i < Rule::counts; ++i) f(sums[r][j][i]);
      }
    }
  }

  FEWBIT_ALWAYS_INLINE void negate() noexcept {
    for_each_sum([](words& sum) { sum = words(0) - sum; });
  }

  FEWBIT_ALWAYS_INLINE void count(const std::uint64_t* a, const std::uint64_t* w,
                                  const bit_run& run) noexcept {
    index first = 0;
    if constexpr (Parities) {
      first = words_in_parities<Unit, Rule>(run.words);
      count_parities(a, w, run, first);
    }
    if constexpr (Unit::steps_per_fold == 0) {
      count_words(a + first * run.a_word, w + first * run.w_word, run, run.words - first, sums);
    } else {
      constexpr index most = Unit::steps_per_fold;
      for (; first < run.words; first += most) {
        counts partial[Rows][Registers][Rule::counts] = {};
        count_words(a + first * run.a_word, w + first * run.w_word, run,
                    std::min(most, run.words - first), partial);
        fold(partial);
      }
    }
  }

  FEWBIT_ALWAYS_INLINE void count_parities(const std::uint64_t* a, const std::uint64_t* w,
                                           const bit_run& run, index steps) noexcept {
    parity_chains<Unit, Rows, Registers> chains(a, w, run.w_word, run.w_panel);
    chains.add_steps((steps - words_of_start) / words_of_step);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 8
      for (int j = 0; j < Registers; ++j) sums[r][j][0] += chains.ones(r, j);
    }
  }

  FEWBIT_ALWAYS_INLINE void fold(const counts (&partial)[Rows][Registers][Rule::counts]) noexcept {
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 8
      for (int j = 0; j < Registers; ++j) {
#pragma GCC unroll 2
        for (int i = 0; i < Rule::counts; ++i)
          sums[r][j][i] = Unit::fold(sums[r][j][i], partial[r][j][i]);
      }
    }
  }

  FEWBIT_ALWAYS_INLINE static void count_words(
      const std::uint64_t* a, const std::uint64_t* w, const bit_run& run, index steps,
      counts (&to)[Rows][Registers][Rule::counts]) noexcept {
    for (; steps > 0; --steps, a += run.a_word, w += run.w_word) {
      words columns[Registers][Rule::rhs_planes];
#pragma GCC unroll 8
      for (int j = 0; j < Registers; ++j) {
#pragma GCC unroll 2
        for (int p = 0; p < Rule::rhs_planes; ++p)
          columns[j][p] = words::load(w + p * run.w_plane + first_word_of<Unit>(j, run.w_panel));
      }
#pragma GCC unroll 8
      for (int r = 0; r < Rows; ++r) {
        words row[Rule::lhs_planes];
#pragma GCC unroll 2
        for (int p = 0; p < Rule::lhs_planes; ++p) row[p] = words(a[p * run.a_plane + r]);
#pragma GCC unroll 8
        for (int j = 0; j < Registers; ++j) Rule::template add<Unit>(row, columns[j], to[r][j]);
      }
    }
  }
};

/// The destination of the first element of a tile. Columns from `cols` on are not written.
struct bit_sums {
  std::int32_t* c;
  index stride;
  index cols;
  const std::int32_t* starts;  // of each row, or of all
  index start_step;
};

/// Sums `tiles` tiles side by side into C, `w_tile` words of W apart. It is a separate function so
/// that the loop has all registers.
template <class Tile>
void sum_tiles(const bit_run& all, const bit_sums& out, index tiles, index w_tile) noexcept {
  constexpr index rows = Tile::rows, cols = Tile::cols;
  bit_run run = all;
  std::int32_t* c = out.c;
  for (index left = out.cols; tiles > 0; --tiles, left -= cols) {
    const Tile tile(run);
    if (left >= cols) {
      tile.store(out.starts, out.start_step, c, out.stride);
    } else {
      std::int32_t sums[rows * cols];
      tile.store(out.starts, out.start_step, &sums[0], cols);
      for (index r = 0; r < rows; ++r) std::copy_n(&sums[r * cols], left, c + r * out.stride);
    }
    run.w += w_tile;
    c += cols;
  }
}

}}}  // namespace fewbit::gemm::detail

#include "fewbit/end.hpp"
