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

  /// Calls f(row, column, vector of sums) for all registers; units of one row only.
  template <class F>
  FEWBIT_ALWAYS_INLINE void for_each_register(const F& f) const noexcept {
    static_assert(unit::rows == 1);
#pragma GCC unroll 32
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 32
      for (int j = 0; j < C; ++j) f(r, j * unit::cols, sum_[r][j]);
    }
  }

  /// Writes the sums as R * unit::rows rows of C * unit::cols numbers, `stride` numbers apart.
  FEWBIT_ALWAYS_INLINE void store(std::int32_t* rows, index stride) const noexcept {
#pragma GCC unroll 32
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 32
      for (int j = 0; j < C; ++j) {
        if constexpr (unit::rows == 1) {
          sum_[r][j].store(rows + r * stride + j * unit::cols);
        } else {
          for (int i = 0; i < unit::rows; ++i) {
            for (int c = 0; c < unit::cols; ++c) {
              rows[(r * unit::rows + i) * stride + j * unit::cols + c] =
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

/// What a tile sums: operands and where the sums begin.
template <class Kernel>
struct tile_operands {
  const typename Kernel::unit::lhs_code* a;
  index a_stride;
  const typename Kernel::unit::rhs_code* w;
  index depth;
  const std::int32_t* row_start;
  index row_start_stride;
  const std::int32_t* column_sums;
};

/// The sums of one block of k for a tile of R x C registers.
template <class Kernel, int R, int C>
FEWBIT_ALWAYS_INLINE register_tile<Kernel, R, C> summed_tile(
    const tile_operands<Kernel>& o) noexcept {
  register_tile<Kernel, R, C> tile;
  tile.start(o.row_start, o.row_start_stride, o.column_sums);
  tile.accumulate(o.a, o.a_stride, o.w, o.depth);
  return tile;
}

/// The same, written to `sums`. It knows no epilogue, so that a program with many epilogues holds
/// it once.
template <class Kernel, int R, int C>
void sum_tile(const tile_operands<Kernel>& operands, std::int32_t* sums, index stride) noexcept {
  summed_tile<Kernel, R, C>(operands).store(sums, stride);
}

/// Calls sum_tile for `rows` rows of registers, 1 <= rows <= R, with the number as a constant.
template <class Kernel, int R, int C>
void sum_rows(index rows, const tile_operands<Kernel>& operands, std::int32_t* sums,
              index stride) noexcept {
  if constexpr (R == 1) {
    sum_tile<Kernel, 1, C>(operands, sums, stride);
  } else if (rows >= R) {
    sum_tile<Kernel, R, C>(operands, sums, stride);
  } else {
    sum_rows<Kernel, R - 1, C>(rows, operands, sums, stride);
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

/// Operands of the tile whose first column is `col`, for one block of k.
template <class Kernel, class Lhs>
FEWBIT_ALWAYS_INLINE tile_operands<Kernel> operands_of(
    const lhs_view<typename Kernel::unit::lhs_code>& a, const packed_weights<Lhs, Kernel>& w,
    index col, index block) noexcept {
  const auto& layout = w.layout();
  const std::int32_t* start = nullptr;
  if constexpr (Kernel::unit::rhs_offset != 0) start = a.start + block;
  return {a.codes + block * a.block_stride,
          a.stride,
          w.panel(col) + layout.padded_begin(block) * w.panel_cols(col),
          layout.depth_of(block),
          start,
          layout.blocks(),
          w.block_sums(block, col)};
}

/// The sums of one block of k for a tile of any width.
template <class Kernel>
void sum_block(const tile_operands<Kernel>& operands, index rows, index width, std::int32_t* sums,
               index stride) noexcept {
  const index registers = (rows + Kernel::unit::rows - 1) / Kernel::unit::rows;
  constexpr int most = Kernel::row_registers;
  if (width == Kernel::tile::cols) {
    sum_rows<Kernel, most, Kernel::col_registers>(registers, operands, sums, stride);
  } else {
    sum_rows<Kernel, most, Kernel::narrow_registers>(registers, operands, sums, stride);
  }
}

/// A full tile whose epilogue meets the sums in their registers: no trip through memory, which at
/// small k costs as much as the sums.
template <class Kernel, class Out, class Epilogue>
void compute_full_tile(const tile_operands<Kernel>& operands, const out_view<Out>& c,
                       const Epilogue& epilogue) noexcept {
  constexpr int lanes = Kernel::unit::cols;
  summed_tile<Kernel, Kernel::row_registers, Kernel::col_registers>(operands).for_each_register(
      [&](int row, int col, const arch::vec<std::int32_t, lanes>& sum) {
        const at where{c.row + row, c.col + col, lanes};
        where.store_columns(epilogue(sum, where), c.data + where.row * c.stride);
      });
}

/// A tile of weights in one block. Raw sums go straight to C, epilogues run on registers where the
/// tile is full, and at the edges of C a buffer that stays in L1 lies between the two.
template <class Kernel, class Lhs, class Out, class Epilogue>
void compute_single_block(const lhs_view<typename Kernel::unit::lhs_code>& a,
                          const packed_weights<Lhs, Kernel>& w, const out_view<Out>& c,
                          const Epilogue& epilogue) noexcept {
  using tile = typename Kernel::tile;
  constexpr int lanes = epilogue_lanes<Kernel>;
  const tile_operands<Kernel> operands = operands_of(a, w, c.col, 0);
  const index width = w.panel_cols(c.col);
  const bool all_rows = c.rows % Kernel::unit::rows == 0;
  if constexpr (std::is_same_v<Epilogue, raw>) {
    if (c.cols == width && all_rows) {
      return sum_block(operands, c.rows, width, c.data + c.row * c.stride + c.col, c.stride);
    }
  } else if constexpr (Kernel::unit::rows == 1) {
    if (c.rows == tile::rows && c.cols == tile::cols) {
      return compute_full_tile(operands, c, epilogue);
    }
  }
  alignas(64) std::int32_t sums[tile::rows * tile::cols];
  sum_block(operands, c.rows, width, &sums[0], width);
  for_each_vector<lanes>(c, width, [&](index i, const at& where) {
    using vector = arch::vec<std::int32_t, lanes>;
    where.store_columns(epilogue(vector::load(sums + i), where), c.data + where.row * c.stride);
  });
}

/// A tile of weights in blocks: sums and totals in buffers that stay in L1, then the epilogue.
template <class Kernel, class Lhs, class Out, class Blocks, class Epilogue>
void compute_blocks(const lhs_view<typename Kernel::unit::lhs_code>& a,
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
  for (index block = 0; block < w.layout().blocks(); ++block) {
    sum_block(operands_of(a, w, c.col, block), c.rows, width, &sums[0], width);
    for_each_vector<lanes>(c, width, [&](index i, const at& where) {
      const totals_vector so_far =
          block == 0 ? totals_vector(total{}) : totals_vector::load(totals + i);
      blocks(so_far, sums_vector::load(sums + i), block, where).store(totals + i);
    });
  }
  for_each_vector<lanes>(c, width, [&](index i, const at& where) {
    where.store_columns(epilogue(totals_vector::load(totals + i), where),
                        c.data + where.row * c.stride);
  });
}

/// One tile of C.
template <class Kernel, class Lhs, class Out, class Blocks, class Epilogue>
void compute_tile(const lhs_view<typename Kernel::unit::lhs_code>& a,
                  const packed_weights<Lhs, Kernel>& w, const out_view<Out>& c,
                  const Blocks& blocks, const Epilogue& epilogue) noexcept {
  if constexpr (std::is_same_v<Blocks, whole_depth>) {
    if (w.layout().blocks() == 1) return compute_single_block(a, w, c, epilogue);
  }
  compute_blocks(a, w, c, blocks, epilogue);
}

}  // namespace fewbit::inline FEWBIT_ARCH_NAMESPACE::gemm::detail
