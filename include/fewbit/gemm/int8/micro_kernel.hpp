#pragma once
/// The loop: tiles of C, all of k, sums in registers.
///
/// One loop serves every instruction set and every tile; only the dot unit differs. For each step
/// of k the loop loads one row of weight registers. Then it loads one activation register for each
/// row of the tile and issues row_registers * col_registers independent dots. One iteration has
/// four steps: a processor that starts four instructions per cycle has few to spare beside two
/// dots, and with four steps the addresses cost nothing. Read next: gemm/int8/lhs.hpp (where
/// activations come from), gemm/int8/multiply.hpp (the product).

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "fewbit/arch/memory.hpp"
#include "fewbit/arch/vec.hpp"
#include "fewbit/gemm/int8/kernel.hpp"
#include "fewbit/gemm/tuning.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm::detail {

/// Steps of k in one iteration of the loop. Rate relative to oneDNN with AVX512-VNNI on a Cascade
/// Lake:
///
/// | steps | (3136,64,576) | 512^3 |
/// |-------|---------------|-------|
/// | 4     | 1.06          | 1.08  |
/// | 1     | 0.96          | 0.90  |
inline constexpr int steps_per_iteration = 4;

/// Steps that a unit adds together: those of one iteration, or of a turn of its own.
template <class Unit>
inline constexpr int steps_together = steps_per_iteration;
template <class Unit>
  requires requires { Unit::turn_steps; }
inline constexpr int steps_together<Unit> = Unit::turn_steps;

/// Number of dots that should be in flight: two per cycle, with a latency of four to five cycles. A
/// tile with fewer registers sums alternate steps in separate sets of accumulators.
template <class Unit>
inline constexpr int dots_in_flight = 8;
template <class Unit>
  requires requires { Unit::dots_in_flight; }
inline constexpr int dots_in_flight<Unit> = Unit::dots_in_flight;

/// Prefetches weights while other weights are multiplied: `lines` cache lines per iteration, up to
/// `end`.
struct prefetcher {
  const std::byte* next = nullptr;
  const std::byte* end = nullptr;
  int lines = 0;

  FEWBIT_ALWAYS_INLINE void advance() noexcept {
    if (next >= end) return;
    for (int i = 0; i < lines; ++i) arch::prefetch_to_l2(next + i * arch::cache_line);
    next += lines * arch::cache_line;
  }
};

/// A side of register_tile::accumulate that does nothing.
struct no_side {
  FEWBIT_ALWAYS_INLINE static void advance() noexcept {}
};

/// Copies activations minus an offset while other activations are multiplied, in whole cache lines.
struct copier {
  const std::byte* next = nullptr;
  const std::byte* end = nullptr;
  int lines = 0;
  std::byte* to = nullptr;
  std::uint8_t offset = 0;

  FEWBIT_ALWAYS_INLINE void advance() noexcept {
    using bytes = arch::vec<std::uint8_t, arch::cache_line>;
    for (int i = 0; i < lines && end - next >= arch::cache_line; ++i) {
      bytes line;
      std::memcpy(&line.data, next, sizeof(line));
      line = line - bytes(offset);
      std::memcpy(to, &line.data, sizeof(line));
      next += arch::cache_line;
      to += arch::cache_line;
    }
  }
};

/// The tiles that one call sums: `down` row tiles, one below the other, each multiplied by `along`
/// panels. The pointers belong to the first tile.
template <class Unit>
struct tile_run {
  const typename Unit::lhs_code* a;
  index a_stride;  // codes from one row of registers to the next
  const typename Unit::rhs_code* w;
  index panel_codes;                // from one panel to the next
  index depth;                      // codes of k
  const std::int32_t* column_sums;  // of the weights, or nullptr where lhs_offset is 0
  const std::int32_t* bias;         // of each column, or nullptr
  index down;
  index along;
};

/// Where the registers of weights lie: step after step, and in each step C registers.
template <int C>
struct in_one_panel {
  template <class Dots>
  static constexpr index step = index{C} * Dots::cols * Dots::depth;

  template <class Dots>
  FEWBIT_ALWAYS_INLINE static index at(int j) noexcept {
    return index{j} * Dots::cols * Dots::depth;
  }
};

/// Each register in a panel of its own.
struct in_narrow_panels {
  index panel_codes;  // from one panel to the next

  template <class Dots>
  static constexpr index step = index{Dots::cols} * Dots::depth;

  template <class Dots>
  FEWBIT_ALWAYS_INLINE index at(int j) const noexcept {
    return j * panel_codes;
  }
};

/// R x C accumulators and the operations on them.
template <class Unit, int R, int C>
class register_tile {
  using accumulator = typename Unit::accumulator;
  static constexpr int sets =
      std::min(steps_per_iteration, R* C >= dots_in_flight<Unit>        ? 1
                                    : 2 * R * C >= dots_in_flight<Unit> ? 2
                                                                        : 4);
  static_assert(steps_per_iteration % sets == 0);
  static constexpr bool loads_in_order = FEWBIT_HAS_NEON;

 public:
  FEWBIT_ALWAYS_INLINE register_tile() noexcept {
#pragma GCC unroll 4
    for (int set = 0; set < sets; ++set) {
#pragma GCC unroll 32
      for (int r = 0; r < R; ++r) {
#pragma GCC unroll 32
        for (int j = 0; j < C; ++j) sum_[set][r][j] = accumulator(0);
      }
    }
  }

  /// Initializes the sums with the bias plus offset * (column sums of W); the lhs_offset of the
  /// unit requires the second term. Either term may be missing.
  FEWBIT_ALWAYS_INLINE void start(const std::int32_t* column_sums, std::uint32_t offset,
                                  const std::int32_t* bias) noexcept {
    using words = arch::rebind<accumulator, std::uint32_t>;
    const auto columns = [](const std::int32_t* p, int j) {
      accumulator values;
      if constexpr (Unit::rows == 1) {
        values = accumulator::load(p + j * Unit::cols);
      } else {  // each row of a register has all columns
        for (int i = 0; i < Unit::rows * Unit::cols; ++i)
          values.set(i, p[j * Unit::cols + i % Unit::cols]);
      }
      return arch::bits_as<std::uint32_t>(values);
    };
#pragma GCC unroll 32
    for (int j = 0; j < C; ++j) {
      words first(0);
      if (column_sums != nullptr) first = columns(column_sums, j) * words(offset);
      if (bias != nullptr) first += columns(bias, j);
#pragma GCC unroll 32
      for (int r = 0; r < R; ++r) sum_[0][r][j] = arch::bits_as<std::int32_t>(first);
    }
  }

  /// Adds the products of `depth` codes. Weights advance by whole steps. Each steps_per_iteration
  /// steps also call `ahead` once. `Dots` has the accumulators of Unit.
  template <class Dots = Unit, class Place = in_one_panel<C>, class Side>
  FEWBIT_ALWAYS_INLINE void accumulate(const typename Dots::lhs_code* a, index stride,
                                       const typename Dots::rhs_code* w, index depth, Side& ahead,
                                       const Place& place = {}) noexcept {
    constexpr index step_codes = Place::template step<Dots>;
    constexpr int together = steps_together<Dots>;
    auto steps = static_cast<index>(static_cast<std::size_t>(depth) / Dots::depth);
    for (; steps >= together; steps -= together) {
#pragma GCC unroll 2
      for (int i = 0; i < together; i += steps_per_iteration) ahead.advance();
      iterate<Dots>(a, stride, w, place, std::make_integer_sequence<int, together>{});
      // g++ 12 at -O3 vectorizes the iterations of a loop over single sums, and drops the sums if
      // no iteration remains.
      if constexpr (!accumulator::is_native) arch::forget_origin(a);
      a += together * Dots::rows * Dots::depth;
      w += together * step_codes;
    }
    const auto load = [&](int r) { return Dots::load_lhs(a + r * stride); };
#pragma GCC unroll 1
    for (; steps > 0; --steps) {
      step<Dots>(sum_[0], w, place, load);
      a += Dots::rows * Dots::depth;
      w += step_codes;
    }
    if constexpr (requires { &Dots::load_lhs_tail; }) {
      const auto rest = static_cast<int>(static_cast<std::size_t>(depth) % Dots::depth);
      if (rest != 0) {
        step<Dots>(sum_[0], w, place,
                   [&](int r) { return Dots::load_lhs_tail(a + r * stride, rest); });
      }
    }
  }

  /// The sums of row r, one register after the other.
  FEWBIT_ALWAYS_INLINE void row(int r, accumulator (&sums)[C]) const noexcept {
#pragma GCC unroll 32
    for (int j = 0; j < C; ++j) {
      sums[j] = sum_[0][r][j];
#pragma GCC unroll 4
      for (int set = 1; set < sets; ++set) sums[j] = arch::add_wrapping(sums[j], sum_[set][r][j]);
    }
  }

  /// Prefetches the rows that store() will write.
  FEWBIT_ALWAYS_INLINE static void fetch(std::int32_t* row, index stride) noexcept {
    constexpr int line = arch::cache_line / int{sizeof(std::int32_t)};
#pragma GCC unroll 32
    for (int r = 0; r < R * Unit::rows; ++r) {
#pragma GCC unroll 32
      for (int j = 0; j < C * Unit::cols; j += line) arch::prefetch_to_write(row + j);
      row += stride;
      arch::forget_origin(row);
    }
  }

  /// Writes the sums as R * Unit::rows rows of C * Unit::cols numbers. Rows are `stride` numbers
  /// apart.
  FEWBIT_ALWAYS_INLINE void store(std::int32_t* row, index stride) const noexcept {
#pragma GCC unroll 32
    for (int r = 0; r < R; ++r) {
      accumulator sums[C];
      this->row(r, sums);
      store_row(sums, row, stride);
      row += Unit::rows * stride;
      arch::forget_origin(row);
    }
  }

  /// Writes `before` plus the sums, like store(), for units of one row.
  FEWBIT_ALWAYS_INLINE void store_added(const std::int32_t* before, index before_stride,
                                        std::int32_t* row, index stride) const noexcept {
    static_assert(Unit::rows == 1);
#pragma GCC unroll 32
    for (int r = 0; r < R; ++r) {
      accumulator sums[C];
      this->row(r, sums);
#pragma GCC unroll 32
      for (int j = 0; j < C; ++j) {
        const auto so_far = accumulator::load(before + j * Unit::cols);
        sums[j] = arch::add_wrapping(so_far, sums[j]);
      }
      store_row(sums, row, stride);
      before += before_stride;
      row += stride;
      arch::forget_origin(before);
      arch::forget_origin(row);
    }
  }

 private:
  /// One iteration. A unit may add a turn of steps by itself, or load the activations of a row for
  /// all steps at once.
  template <class Dots, class Place, int... S>
  FEWBIT_ALWAYS_INLINE void iterate(const typename Dots::lhs_code* a, index stride,
                                    const typename Dots::rhs_code* w, const Place& place,
                                    std::integer_sequence<int, S...>) noexcept {
    constexpr index step_codes = Place::template step<Dots>;
    if constexpr (requires { Dots::turn_steps; }) {
      static_assert(sets == 1 && R == 1 && std::is_same_v<Place, in_one_panel<C>>);
      Dots::add_turn(sum_[0][0], a, w);
    } else if constexpr (requires { Dots::load_lhs_turn(a); }) {
      decltype(Dots::load_lhs_turn(a)) rows[R];
#pragma GCC unroll 32
      for (int r = 0; r < R; ++r) rows[r] = Dots::load_lhs_turn(a + r * stride);
      (step_of_turn<Dots, S>(sum_[S % sets], rows, w + S * step_codes, place), ...);
    } else if constexpr (requires { &Dots::dot_two; }) {
      static_assert(steps_per_iteration % 2 == 0 && sets == 1);
      (step_twice<Dots, S>(a, stride, w + S * step_codes, place), ...);
    } else if constexpr (requires { Dots::points_to_rows; }) {
      const typename Dots::lhs_code* rows[R];
#pragma GCC unroll 32
      for (int r = 0; r < R; ++r) {
        rows[r] = a + r * stride;
        if (r > 0) arch::forget_origin(rows[r]);
      }
      (step<Dots>(sum_[S % sets], w + S * step_codes, place,
                  [&](int r) { return Dots::load_lhs(rows[r] + S * Dots::depth); }),
       ...);
    } else {
      (step<Dots>(
           sum_[S % sets], w + S * step_codes, place,
           [&](int r) { return Dots::load_lhs(a + r * stride + S * Dots::rows * Dots::depth); }),
       ...);
    }
  }

  template <class Dots, int S, class Turn, class Place>
  FEWBIT_ALWAYS_INLINE static void step_of_turn(accumulator (&sum)[R][C], const Turn (&rows)[R],
                                                const typename Dots::rhs_code* w,
                                                const Place& place) noexcept {
#pragma GCC unroll 32
    for (int j = 0; j < C; ++j) {
      if constexpr (loads_in_order) arch::keep_loads_in_order();
      const auto weights = Dots::load_rhs(w + place.template at<Dots>(j));
#pragma GCC unroll 32
      for (int r = 0; r < R; ++r)
        sum[r][j] = Dots::template dot_of_turn<S>(sum[r][j], rows[r], weights);
    }
  }

  /// Steps S and S + 1 for even S.
  template <class Dots, int S, class Place>
  FEWBIT_ALWAYS_INLINE void step_twice(const typename Dots::lhs_code* a, index stride,
                                       const typename Dots::rhs_code* w,
                                       const Place& place) noexcept {
    constexpr index step_codes = Place::template step<Dots>;
    if constexpr (S % 2 == 0) {
#pragma GCC unroll 32
      for (int r = 0; r < R; ++r) {
        const typename Dots::lhs_code* from = a + r * stride;
        if (r > 0) arch::forget_origin(from);
        from += S * Dots::depth;
        const typename Dots::lhs_vector both[] = {Dots::load_lhs(from),
                                                  Dots::load_lhs(from + Dots::depth)};
#pragma GCC unroll 32
        for (int j = 0; j < C; ++j) {
          const typename Dots::rhs_code* weights = w + place.template at<Dots>(j);
          sum_[0][r][j] = Dots::dot_two(sum_[0][r][j], both, weights, weights + step_codes);
        }
      }
    }
  }

  template <class Dots, class Place, class LoadLhs>
  FEWBIT_ALWAYS_INLINE static void step(accumulator (&sum)[R][C], const typename Dots::rhs_code* w,
                                        const Place& place, const LoadLhs& load_lhs) noexcept {
    if constexpr (loads_in_order) arch::keep_loads_in_order();
    typename Dots::rhs_vector weights[C];
#pragma GCC unroll 32
    for (int j = 0; j < C; ++j) weights[j] = Dots::load_rhs(w + place.template at<Dots>(j));
#pragma GCC unroll 32
    for (int r = 0; r < R; ++r) {
      const auto activations = load_lhs(r);
#pragma GCC unroll 32
      for (int j = 0; j < C; ++j) sum[r][j] = Dots::dot(sum[r][j], activations, weights[j]);
    }
  }

  FEWBIT_ALWAYS_INLINE static void store_row(const accumulator (&sums)[C], std::int32_t* row,
                                             index stride) noexcept {
#pragma GCC unroll 32
    for (int j = 0; j < C; ++j) {
      if constexpr (Unit::rows == 1) {
        sums[j].store(row + j * Unit::cols);
      } else {
        for (int i = 0; i < Unit::rows; ++i) {
          for (int c = 0; c < Unit::cols; ++c)
            row[i * stride + j * Unit::cols + c] = sums[j][i * Unit::cols + c];
        }
      }
    }
  }

  accumulator sum_[sets][R][C];
};

/// The destination of sums without an epilogue: rows `stride` numbers apart.
template <class Unit>
struct store_sums {
  std::int32_t* sums;
  index stride;
  std::int32_t* tile_sums = nullptr;

  FEWBIT_ALWAYS_INLINE void begin_row() noexcept { tile_sums = sums; }
  template <int R, int C>
  FEWBIT_ALWAYS_INLINE void expect(index depth) const noexcept {
    if (depth >= fetched_depth || depth <= shallow_depth)
      register_tile<Unit, R, C>::fetch(tile_sums, stride);
  }
  template <int R, int C>
  FEWBIT_ALWAYS_INLINE void receive(const register_tile<Unit, R, C>& tile) noexcept {
    tile.store(tile_sums, stride);
    tile_sums += C * Unit::cols;
  }
  FEWBIT_ALWAYS_INLINE void end_row(index rows) noexcept { sums += rows * stride; }
};

/// The destination of the sums of a chunk of k: like store_sums, but added to the sums of earlier
/// chunks, if there are any. Rows of earlier sums are `before_stride` numbers apart. Panels of a
/// row are next to each other in both.
template <class Unit>
struct collect_sums : store_sums<Unit> {
  const std::int32_t* before;
  index before_stride;
  const std::int32_t* tile_before = nullptr;

  FEWBIT_ALWAYS_INLINE void begin_row() noexcept {
    store_sums<Unit>::begin_row();
    tile_before = before;
  }
  template <int R, int C>
  FEWBIT_ALWAYS_INLINE void receive(const register_tile<Unit, R, C>& tile) noexcept {
    if (before == nullptr) {
      tile.store(this->tile_sums, this->stride);
    } else {
      tile.store_added(tile_before, before_stride, this->tile_sums, this->stride);
      tile_before += C * Unit::cols;
    }
    this->tile_sums += C * Unit::cols;
  }
  FEWBIT_ALWAYS_INLINE void end_row(index rows) noexcept {
    store_sums<Unit>::end_row(rows);
    if (before != nullptr) before += rows * before_stride;
  }
};

/// Sums a run of tiles of R x C registers and passes each tile to the sink. sink.expect() is called
/// before each tile. Arguments are copied: a sink may store 8-bit codes, and the compiler must
/// assume that such a store changes referenced memory.
template <class Unit, int R, int C, class Side, class Sink>
FEWBIT_ALWAYS_INLINE void sum_run_inline(const tile_run<Unit>& given, int lhs_offset, Side& ahead,
                                         const Sink& given_sink) noexcept {
  const tile_run<Unit> run = given;
  Sink sink = given_sink;
  const auto offset = static_cast<std::uint32_t>(lhs_offset);
  Side rest = ahead;
  const auto* a = run.a;
  for (index i = 0; i < run.down; ++i) {
    const auto* w = run.w;
    const std::int32_t* column_sums = run.column_sums;
    const std::int32_t* bias = run.bias;
    sink.begin_row();
    for (index j = 0; j < run.along; ++j) {
      register_tile<Unit, R, C> tile;
      if (column_sums != nullptr || bias != nullptr) {
        tile.start(column_sums, offset, bias);
        if (column_sums != nullptr) column_sums += C * Unit::cols;
        if (bias != nullptr) bias += C * Unit::cols;
      }
      sink.template expect<R, C>(run.depth);
      tile.accumulate(a, run.a_stride, w, run.depth, rest);
      sink.receive(tile);
      w += run.panel_codes;
    }
    sink.end_row(R * Unit::rows);
    a += R * run.a_stride;
  }
  ahead = rest;
}

/// The same as a function. With store_sums it depends on neither the epilogue nor the type of the
/// activations, so a program contains it once.
template <class Unit, int R, int C, class Side, class Sink>
void sum_run(const tile_run<Unit>& run, int lhs_offset, Side& ahead, const Sink& sink) noexcept {
  sum_run_inline<Unit, R, C>(run, lhs_offset, ahead, sink);
}

/// The same for C narrow panels, which make one tile, without offsets and biases. Loads limit tiles
/// of one register of columns: four for three dots. vpmaddwd per cycle of a Zen 5, which starts
/// two: 3 x 1 registers 1.3, 3 x 2 1.7, 3 x 3 1.75.
template <class Unit, int R, int C, class Side, class Sink>
void sum_narrow_run(const tile_run<Unit>& given, Side& ahead, const Sink& given_sink) noexcept {
  const tile_run<Unit> run = given;
  Sink sink = given_sink;
  Side rest = ahead;
  const auto* a = run.a;
  for (index i = 0; i < run.down; ++i) {
    sink.begin_row();
    register_tile<Unit, R, C> tile;
    sink.template expect<R, C>(run.depth);
    tile.accumulate(a, run.a_stride, run.w, run.depth, rest, in_narrow_panels{run.panel_codes});
    sink.receive(tile);
    sink.end_row(R * Unit::rows);
    a += R * run.a_stride;
  }
  ahead = rest;
}

/// Calls sum_run with the number of row registers, Least <= rows <= R, as a constant.
template <class Unit, int R, int C, int Least = 1, class Side, class Sink>
void sum_rows(index rows, const tile_run<Unit>& run, int lhs_offset, Side& ahead,
              const Sink& sink) noexcept {
  if constexpr (R > Least) {
    if (rows < R) return sum_rows<Unit, R - 1, C, Least>(rows, run, lhs_offset, ahead, sink);
  }
  sum_run<Unit, R, C>(run, lhs_offset, ahead, sink);
}

}}}  // namespace fewbit::gemm::detail

#include "fewbit/end.hpp"
