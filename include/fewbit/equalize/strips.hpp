#pragma once
/// Symmetric and triangular matrices of doubles in strips of columns, and the product that all
/// functions of large matrices in equalize/ are made of.
///
///     strip 0      strip 1      strip 2          Width = 2, size = 6
///     a b . . .    . . . . .    . . . . .        A strip has Width columns and the rows from the
///     c d . . .    . . . . .    . . . . .        diagonal downwards. Its rows follow each other in
///     e f . . .    . . g h .    . . . . .        memory.
///     ...
///
/// Each element of a result is a sum in a fixed order. A product is rounded before it is added or
/// subtracted. So results do not depend on Width, on the instruction set, on the compiler's
/// contraction of multiply-add or on the executor. Read next: cholesky.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>

#include "fewbit/arch/vec.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// Columns of a strip. A tile of four rows fits the registers: of 32, four for each row; of 16,
/// three or, if they are short, two.
inline constexpr int strip_width = (FEWBIT_HAS_AVX512_VNNI || FEWBIT_HAS_NEON ? 4
                                    : FEWBIT_HAS_AVX2                         ? 3
                                                                              : 2) *
                                   arch::native_lanes<double>;

/// Rows that are computed together. They divide Width.
template <int Width>
inline constexpr int tile_rows = Width % 4 == 0 ? 4 : 1;

/// n rounded up to whole strips.
template <int Width>
[[nodiscard]] constexpr index whole_strips(index n) noexcept {
  return (n + Width - 1) / Width * Width;
}

/// The lower triangle of a square matrix. Blocks on the diagonal are stored in full. Zero at first.
template <int Width>
class triangle_strips {
 public:
  triangle_strips() = default;

  /// @param size  a multiple of Width
  explicit triangle_strips(index size) : size_(size), values_(elements(size)) {}

  [[nodiscard]] static constexpr index elements(index size) noexcept {
    return size * (size + Width) / 2;
  }
  [[nodiscard]] index size() const noexcept { return size_; }
  [[nodiscard]] index strips() const noexcept { return size_ / Width; }
  [[nodiscard]] index bytes() const noexcept { return values_.size() * index{sizeof(double)}; }

  /// Width numbers of a row of a strip; row >= strip * Width.
  [[nodiscard]] double* at(index strip, index row) noexcept {
    return values_.data() + offset(strip, row);
  }
  [[nodiscard]] const double* at(index strip, index row) const noexcept {
    return values_.data() + offset(strip, row);
  }
  /// Element (i, j) of the symmetric matrix.
  [[nodiscard]] double operator()(index i, index j) const noexcept {
    const index row = std::max(i, j), col = std::min(i, j);
    return at(col / Width, row)[col % Width];
  }

  [[nodiscard]] aligned_buffer<double>& values() noexcept { return values_; }
  [[nodiscard]] const aligned_buffer<double>& values() const noexcept { return values_; }

 private:
  [[nodiscard]] index offset(index strip, index row) const noexcept {
    const index first = strip * Width;
    return first * size_ - first * (first - Width) / 2 + (row - first) * Width;
  }

  index size_ = 0;
  aligned_buffer<double> values_;
};

/// Lanes of the registers for a row of Width numbers.
template <int Width>
inline constexpr int strip_lanes =
    Width % arch::native_lanes<double> == 0 ? arch::native_lanes<double> : 1;

/// to[j] -= factor * from[j] for a row of Width numbers.
template <int Width>
FEWBIT_ALWAYS_INLINE void subtract_row(double factor, const double* from, double* to) noexcept {
  using lanes = arch::vec<double, strip_lanes<Width>>;
  for (int j = 0; j < Width; j += lanes::lanes) {
    const lanes product = arch::rounded(lanes(lanes(factor) * lanes::load(from + j)));
    (lanes::load(to + j) - product).store(to + j);
  }
}

/// c(i, j) -= sum of a(i, k) * b(k, j) over `strips` strips of `length` k each, in this order, for
/// a tile of tile_rows<Width> x Width numbers.
///
/// @tparam Step  1: k ascends in memory; -1: it descends
/// @param a      a(q): the first k of strip q of row 0; rows follow in a distance of Width
/// @param b      b(q): row k of b, Width numbers, for the same k
template <int Width, int Step, class A, class B>
void subtract_products(index strips, index length, const A& a, const B& b, double* c) noexcept {
  using lanes = arch::vec<double, strip_lanes<Width>>;
  constexpr int registers = Width / lanes::lanes;
  constexpr int rows = tile_rows<Width>;
  lanes sums[rows][registers];
  for (int i = 0; i < rows; ++i) {
    for (int v = 0; v < registers; ++v) sums[i][v] = lanes::load(c + i * Width + v * lanes::lanes);
  }
  for (index q = 0; q < strips; ++q) {
    const double* from_a = a(q);
    const double* from_b = b(q);
    for (index k = 0; k < length; ++k, from_a += Step, from_b += Step * Width) {
      lanes row[registers];
#pragma GCC unroll 4
      for (int v = 0; v < registers; ++v) row[v] = lanes::load(from_b + v * lanes::lanes);
#pragma GCC unroll 4
      for (int i = 0; i < rows; ++i) {
        const lanes factor(from_a[i * Width]);
#pragma GCC unroll 4
        for (int v = 0; v < registers; ++v) {
          sums[i][v] = sums[i][v] - arch::rounded(lanes(factor * row[v]));
        }
      }
    }
  }
  for (int i = 0; i < rows; ++i) {
    for (int v = 0; v < registers; ++v) sums[i][v].store(c + i * Width + v * lanes::lanes);
  }
}

/// Strips whose rows of b stay in the first cache while they meet many tiles.
template <int Width>
inline constexpr index strips_at_a_time = std::max(1, 32 * 1024 / (Width * Width * 8));

/// subtract_products for `tiles` tiles of c, which are adjacent. a(q, tile) and b(q) are pointers
/// as above.
template <int Width, int Step, class A, class B>
void subtract_products_of_tiles(index tiles, index strips, const A& a, const B& b,
                                double* c) noexcept {
  for (index first = 0; first < strips; first += strips_at_a_time<Width>) {
    const index count = std::min(strips_at_a_time<Width>, strips - first);
    for (index tile = 0; tile < tiles; ++tile) {
      subtract_products<Width, Step>(
          count, Width, [&](index q) { return a(first + q, tile); },
          [&](index q) { return b(first + q); }, c + tile * tile_rows<Width> * Width);
    }
  }
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
