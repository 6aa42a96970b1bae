#pragma once
/// The Cholesky factor of a matrix in strips: H = L L^T with L lower triangular, in place.
///
/// The bits of L do not depend on the width of strips, on the executor or on the processor.
/// Read before: strips.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "fewbit/arch/vec.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/equalize/strips.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// A pivot is lost if it is at most this share of its element of the diagonal: it then consists of
/// rounding errors.
inline constexpr double least_pivot = 0x1p-44;

/// Why a factorization ended.
struct factor_end {
  bool finished = true;  ///< false: the caller stopped it
  index lost = -1;       ///< the first lost pivot
};

/// The block of L on the diagonal of a strip, by columns.
template <int Width>
struct diagonal_block {
  double below[Width][Width] = {};  ///< below[j][i] = L(i, j) for i > j, else 0
  double pivots[Width] = {};

  /// Solves x L^T = c for one row c, in place.
  void solve(double* c) const noexcept {
    for (int j = 0; j < Width; ++j) {
      const double x = c[j] / pivots[j];
      subtract_row<Width>(x, below[j], c);
      c[j] = x;
    }
  }

  /// Makes row i of the block from c. Returns false if its pivot is not above `least`.
  bool add_row(int i, double* c, double least) noexcept {
    for (int j = 0; j < i; ++j) {
      const double x = c[j] / pivots[j];
      below[j][i] = x;
      subtract_row<Width>(x, below[j], c);
      c[j] = x;
    }
    if (!(c[i] > least)) return false;
    pivots[i] = std::sqrt(c[i]);
    c[i] = pivots[i];
    for (int j = i + 1; j < Width; ++j) c[j] = 0.0;
    return true;
  }
};

/// Factors the rows of the diagonal block of strip s, whose products of earlier columns are
/// subtracted. Returns the first lost pivot, or -1.
template <int Width>
index factor_diagonal(triangle_strips<Width>& m, index s, const std::vector<double>& diagonal,
                      diagonal_block<Width>& block) noexcept {
  for (int i = 0; i < Width; ++i) {
    const index row = s * Width + i;
    const double least = least_pivot * diagonal[static_cast<std::size_t>(row)];
    if (!block.add_row(i, m.at(s, row), least)) return row;
  }
  return -1;
}

/// Replaces m by its Cholesky factor. The part of a diagonal block above the diagonal becomes 0.
///
/// @param go_on  go_on(columns) is called after each strip; if it returns false, the work ends
template <int Width, Executor E, class GoOn>
[[nodiscard]] factor_end factor_in_place(triangle_strips<Width>& m, const E& executor,
                                         const GoOn& go_on) {
  constexpr index rows = tile_rows<Width>;
  constexpr index tiles_of_block = Width / rows, tiles_of_piece = 16;
  const index size = m.size();
  std::vector<double> diagonal;
  for (index i = 0; i < size; ++i) diagonal.push_back(m(i, i));
  aligned_buffer<double> transposed(size * Width);  // rows of strip s: [k][row]
  for (index s = 0; s < m.strips(); ++s) {
    executor.for_each(s, [&](index q) {
      for (index j = 0; j < Width; ++j) {
        const double* from = m.at(q, s * Width + j);
        for (index k = 0; k < Width; ++k) transposed[(q * Width + k) * Width + j] = from[k];
      }
    });
    const auto b = [&](index q) { return transposed.data() + q * Width * Width; };
    const index first_row = s * Width, tiles = (size - first_row) / rows;
    diagonal_block<Width> block;
    const auto reduce = [&](index first, index end) {
      subtract_products_of_tiles<Width, 1>(
          end - first, s,
          [&](index q, index tile) { return m.at(q, first_row + (first + tile) * rows); }, b,
          m.at(s, first_row + first * rows));
    };
    reduce(0, tiles_of_block);
    const index lost = factor_diagonal(m, s, diagonal, block);
    if (lost >= 0) return {true, lost};
    const index rest = tiles - tiles_of_block;
    executor.for_each((rest + tiles_of_piece - 1) / tiles_of_piece, [&](index piece) {
      const index first = tiles_of_block + piece * tiles_of_piece;
      const index end = std::min(first + tiles_of_piece, tiles);
      reduce(first, end);
      for (index row = first * rows; row < end * rows; ++row) {
        block.solve(m.at(s, first_row + row));
      }
    });
    if (!go_on(std::min((s + 1) * Width, size))) return {false, -1};
  }
  return {};
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
