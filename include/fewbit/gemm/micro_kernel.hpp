#pragma once
/// The loop: one tile of C, all of k, sums kept in registers.
///
/// One loop serves every instruction set and every tile; what differs is the dot unit. For each
/// step of k it loads one row of weight registers, then for each row of the tile one activation
/// register, and issues row_registers * col_registers dots that do not depend on each other. Read
/// next: gemm/multiply.hpp, which walks the tiles.

#include <cstdint>
#include <numeric>

#include "fewbit/gemm/block_stage.hpp"
#include "fewbit/gemm/epilogue.hpp"
#include "fewbit/gemm/packed_weights.hpp"

namespace fewbit::inline FEWBIT_ARCH_NAMESPACE::gemm::detail {

/// Activations of one row tile as the unit reads them.
template <class LhsCode>
struct lhs_view {
  const LhsCode* codes;       // first code of the tile's first row
  index stride;               // codes from one row (of registers) to the next
  index block_stride;         // codes from one block of k to the next
  const std::int32_t* start;  // initial sums, [row][block], or nullptr for none
};

/// R x C accumulators and the work on them.
template <class Kernel, int R, int C>
class register_tile {
  using unit = typename Kernel::unit;
  using lhs_code = typename unit::lhs_code;
  using rhs_code = typename unit::rhs_code;
  using accumulator = typename unit::accumulator;

 public:
  /// Sums begin at what the unit's offsets call for: -rhs_offset * (row sum of A) + lhs_offset *
  /// (column sum of W).
  FEWBIT_ALWAYS_INLINE void start(const std::int32_t* row_start, index row_stride,
                                  const std::int32_t* column_sums) noexcept {
#pragma GCC unroll 32
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 32
      for (int j = 0; j < C; ++j) {
        sum_[r][j] = accumulator(0);
        if constexpr (unit::rhs_offset != 0) sum_[r][j] = accumulator(row_start[r * row_stride]);
        if constexpr (unit::lhs_offset != 0) {
          using words = arch::rebind<accumulator, std::uint32_t>;
          const auto w =
              arch::bits_as<std::uint32_t>(accumulator::load(column_sums + j * unit::cols));
          const auto s = arch::bits_as<std::uint32_t>(sum_[r][j]) + w * words(unit::lhs_offset);
          sum_[r][j] = arch::bits_as<std::int32_t>(s);
        }
      }
    }
  }

  /// Adds the products of `depth` codes; weights advance by whole steps.
  FEWBIT_ALWAYS_INLINE void accumulate(const lhs_code* a, index stride, const rhs_code* w,
                                       index depth) noexcept {
    const index steps =
        unit::in_place ? depth / unit::depth : (depth + unit::depth - 1) / unit::depth;
    for (index s = 0; s < steps; ++s) {
      step(w, [&](int r) { return unit::load_lhs(a + r * stride); });
      a += unit::rows * unit::depth;
      w += C * unit::cols * unit::depth;
    }
    if constexpr (unit::in_place) {
      const int rest = static_cast<int>(depth % unit::depth);
      if (rest != 0) step(w, [&](int r) { return unit::load_lhs_tail(a + r * stride, rest); });
    }
  }

  /// Writes the sums as R * unit::rows rows of C * unit::cols numbers.
  FEWBIT_ALWAYS_INLINE void store(std::int32_t* rows) const noexcept {
#pragma GCC unroll 32
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 32
      for (int j = 0; j < C; ++j) {
        if constexpr (unit::rows == 1) {
          sum_[r][j].store(rows + (r * C + j) * unit::cols);
        } else {
          for (int i = 0; i < unit::rows; ++i) {
            for (int c = 0; c < unit::cols; ++c) {
              rows[((r * unit::rows + i) * C + j) * unit::cols + c] =
                  sum_[r][j][i * unit::cols + c];
            }
          }
        }
      }
    }
  }

 private:
  template <class LoadLhs>
  FEWBIT_ALWAYS_INLINE void step(const rhs_code* w, LoadLhs&& load_lhs) noexcept {
    typename unit::rhs_vector weights[C];
#pragma GCC unroll 32
    for (int j = 0; j < C; ++j) weights[j] = unit::load_rhs(w + j * unit::cols * unit::depth);
#pragma GCC unroll 32
    for (int r = 0; r < R; ++r) {
      const auto activations = load_lhs(r);
#pragma GCC unroll 32
      for (int j = 0; j < C; ++j) sum_[r][j] = unit::dot(sum_[r][j], activations, weights[j]);
    }
  }

  accumulator sum_[R][C];
};

/// The sums of one block of k for a tile of R x C registers, written to `sums`. It knows no
/// epilogue, so that a program with many epilogues holds it once.
template <class Kernel, int R, int C>
void sum_tile(const typename Kernel::unit::lhs_code* a, index stride,
              const typename Kernel::unit::rhs_code* w, index depth, const std::int32_t* row_start,
              index row_stride, const std::int32_t* column_sums, std::int32_t* sums) noexcept {
  register_tile<Kernel, R, C> tile;
  tile.start(row_start, row_stride, column_sums);
  tile.accumulate(a, stride, w, depth);
  tile.store(sums);
}

/// Calls sum_tile for `rows` rows of registers, 1 <= rows <= R, with the number as a constant.
template <class Kernel, int R, int C, class... Arguments>
void sum_rows(index rows, const Arguments&... arguments) noexcept {
  if constexpr (R == 1) {
    sum_tile<Kernel, 1, C>(arguments...);
  } else if (rows >= R) {
    sum_tile<Kernel, R, C>(arguments...);
  } else {
    sum_rows<Kernel, R - 1, C>(rows, arguments...);
  }
}

/// Where a tile of C goes.
template <class Out>
struct out_view {
  Out* data;
  index stride;
  index row;  // of the tile's first element
  index col;
  index rows;  // of the tile, inside C
  index cols;
};

/// Lanes of the vectors that an epilogue gets: what a register of the native arch holds, or less
/// where panels are narrower.
template <class Kernel>
inline constexpr int epilogue_lanes = std::gcd(Kernel::narrow_cols,
                                               arch::native_lanes<std::int32_t>);

/// Calls f(offset in the tile's buffer, position) for each vector of a tile that is `width` numbers
/// wide.
template <int Lanes, class Out, class F>
FEWBIT_ALWAYS_INLINE void for_each_vector(const out_view<Out>& c, index width,
                                          const F& f) noexcept {
  for (index row = 0; row < c.rows; ++row) {
    index col = 0;
    for (; col + Lanes <= c.cols; col += Lanes)
      f(row * width + col, at{c.row + row, c.col + col, Lanes});
    if (col < c.cols)
      f(row * width + col, at{c.row + row, c.col + col, static_cast<int>(c.cols - col)});
  }
}

/// The sums of one block of k for the tile whose first column is `col`, whatever its width.
template <class Kernel, class Lhs>
void sum_block(const lhs_view<typename Kernel::unit::lhs_code>& a,
               const packed_weights<Lhs, Kernel>& w, index rows, index col, index block,
               std::int32_t* sums) noexcept {
  const auto& layout = w.layout();
  const index width = w.panel_cols(col);
  const auto* codes = w.panel(col) + layout.padded_begin(block) * width;
  const std::int32_t* start = nullptr;
  if constexpr (Kernel::unit::rhs_offset != 0) start = a.start + block;
  const auto sum = [&]<int C>() {
    sum_rows<Kernel, Kernel::row_registers, C>((rows + Kernel::unit::rows - 1) / Kernel::unit::rows,
                                               a.codes + block * a.block_stride, a.stride, codes,
                                               layout.depth_of(block), start, layout.blocks(),
                                               w.block_sums(block, col), sums);
  };
  if (width == Kernel::tile::cols) {
    sum.template operator()<Kernel::col_registers>();
  } else {
    sum.template operator()<Kernel::narrow_registers>();
  }
}

/// One tile of C: sums of every block of k, then the epilogue, all in a buffer that stays in L1.
template <class Kernel, class Lhs, class Out, class Blocks, class Epilogue>
void compute_tile(const lhs_view<typename Kernel::unit::lhs_code>& a,
                  const packed_weights<Lhs, Kernel>& w, const out_view<Out>& c,
                  const Blocks& blocks, const Epilogue& epilogue) noexcept {
  using total = typename Blocks::total;
  constexpr int lanes = epilogue_lanes<Kernel>;
  constexpr index size = Kernel::tile::rows * Kernel::tile::cols;
  using sums_vector = arch::vec<std::int32_t, lanes>;
  using totals_vector = arch::vec<total, lanes>;
  alignas(64) std::int32_t sums[size];
  alignas(64) total totals[size];

  const index width = w.panel_cols(c.col);
  const auto finish = [&](const total* values) {
    for_each_vector<lanes>(c, width, [&](index i, const at& where) {
      where.store_columns(epilogue(totals_vector::load(values + i), where),
                          c.data + where.row * c.stride);
    });
  };
  if constexpr (std::is_same_v<Blocks, whole_depth>) {
    if (w.layout().blocks() == 1) {
      sum_block(a, w, c.rows, c.col, 0, &sums[0]);
      return finish(sums);
    }
  }
  for (index block = 0; block < w.layout().blocks(); ++block) {
    sum_block(a, w, c.rows, c.col, block, &sums[0]);
    for_each_vector<lanes>(c, width, [&](index i, const at& where) {
      const totals_vector so_far =
          block == 0 ? totals_vector(total{}) : totals_vector::load(totals + i);
      blocks(so_far, sums_vector::load(sums + i), block, where).store(totals + i);
    });
  }
  finish(totals);
}

}  // namespace fewbit::inline FEWBIT_ARCH_NAMESPACE::gemm::detail
