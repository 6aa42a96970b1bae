#pragma once
/// The loop: one tile of C, all of k, sums kept in registers.
///
/// One loop serves every instruction set and every tile; what differs is the dot unit. For each
/// step of k it loads one row of weight registers, then for each row of the tile one activation
/// register, and issues row_registers * col_registers dots that do not depend on each other. Read
/// next: gemm/multiply.hpp, which walks the tiles.

#include <cstdint>

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

  /// Calls f(row, column, vector of neighbouring columns) for all sums.
  template <class F>
  FEWBIT_ALWAYS_INLINE void for_each_vector(F&& f) const noexcept {
    if constexpr (unit::rows == 1) {
#pragma GCC unroll 32
      for (int r = 0; r < R; ++r) {
#pragma GCC unroll 32
        for (int j = 0; j < C; ++j) f(r, j * unit::cols, sum_[r][j]);
      }
    } else {
      std::int32_t rows[R * unit::rows][C * unit::cols];
      spread(rows);
      for (int r = 0; r < R * unit::rows; ++r) {
        for (int c = 0; c < C * unit::cols; c += lanes)
          f(r, c, arch::vec<std::int32_t, lanes>::load(rows[r] + c));
      }
    }
  }

  /// Lanes of the vectors of for_each_vector.
  static constexpr int lanes = unit::rows == 1           ? unit::cols
                               : C * unit::cols % 4 == 0 ? 4
                                                         : unit::cols;

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

  void spread(std::int32_t (&rows)[R * unit::rows][C * unit::cols]) const noexcept {
    for (int r = 0; r < R; ++r) {
      for (int j = 0; j < C; ++j) {
        for (int i = 0; i < unit::rows * unit::cols; ++i) {
          rows[r * unit::rows + i / unit::cols][j * unit::cols + i % unit::cols] = sum_[r][j][i];
        }
      }
    }
  }

  accumulator sum_[R][C];
};

/// Where a tile of C goes.
template <class Out>
struct out_view {
  Out* data;
  index stride;
  index row;  // of the tile's first element
  index col;
  index rows;  // of C
  index cols;
};

template <class V, class Out>
FEWBIT_ALWAYS_INLINE void store_valid(const V& v, int valid, Out* p) noexcept {
  if (valid >= V::lanes) {
    v.store(p);
  } else {
    for (int i = 0; i < valid; ++i) p[i] = v[i];
  }
}

/// One tile of C: R x C registers, every block of k, then the epilogue.
template <class Kernel, int R, int C, class Lhs, class Out, class Blocks, class Epilogue>
void compute_tile(const lhs_view<typename Kernel::unit::lhs_code>& a,
                  const packed_weights<Lhs, Kernel>& w, const out_view<Out>& c,
                  const Blocks& blocks, const Epilogue& epilogue) noexcept {
  using unit = typename Kernel::unit;
  using tile = register_tile<Kernel, R, C>;
  using vector = arch::vec<std::int32_t, tile::lanes>;
  using total = arch::rebind<vector, typename Blocks::total>;
  constexpr int vectors = C * unit::cols / tile::lanes;

  const auto& layout = w.layout();
  const typename unit::rhs_code* codes = w.panel(c.col);
  total totals[R * unit::rows][vectors];
  for (auto& row : totals) {
    for (auto& value : row) value = total(typename Blocks::total{});
  }
  const auto where = [&](int row, int col) {
    return at{c.row + row, c.col + col,
              static_cast<int>(std::min(index{tile::lanes}, c.cols - (c.col + col)))};
  };
  for (index block = 0; block < layout.blocks(); ++block) {
    tile sums;
    sums.start(a.start + block, layout.blocks(), w.block_sums(block, c.col));
    sums.accumulate(a.codes + block * a.block_stride, a.stride,
                    codes + layout.padded_begin(block) * C * unit::cols, layout.depth_of(block));
    sums.for_each_vector([&](int row, int col, const vector& sum) {
      total& t = totals[row][col / tile::lanes];
      t = blocks(t, sum, block, where(row, col));
    });
  }
#pragma GCC unroll 32
  for (int row = 0; row < R * unit::rows; ++row) {
    if (c.row + row >= c.rows) return;
#pragma GCC unroll 32
    for (int v = 0; v < vectors; ++v) {
      const at position = where(row, v * tile::lanes);
      if (position.valid <= 0) break;
      store_valid(epilogue(totals[row][v], position), position.valid,
                  c.data + position.row * c.stride + position.col);
    }
  }
}

}  // namespace fewbit::inline FEWBIT_ARCH_NAMESPACE::gemm::detail
