#pragma once
/// The product of 8-bit activations and grouped_weights, with a float total for each element.
///
///     total(i, j) = sum over groups g, in order, of rne(float(T(i, j, g)) * scale(j, g))
///     T(i, j, g)  = sum over k in g of A(i, k) * (W(j, k) - zero point(j, g))     exact in int32
///
/// rne rounds to the nearest float, ties to even. If weights have minima, each group also adds,
/// after its product,
///
///     rne(float(sum over k in g of A(i, k)) * minimum(j, g))
///
/// If activations also have a scale for each group, each rounded product is multiplied by that
/// scale and rounded again. Products are rounded before they are added, so totals have the same
/// bits on every processor, with any number of rows or threads.
///
/// Zero points cost nothing in the loop. The sums start at -zero point * (sum of the activations of
/// the group), which is computed when activations are copied. unit::rows rows are processed
/// together, in the order [step][row][4], so the loop reads activations from front to back. Read
/// next: arch/stored_unit.hpp (one step), ops/linear/grouped.hpp (floats in, floats out).

#include "fewbit/begin.hpp"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "fewbit/arch/convert.hpp"
#include "fewbit/arch/memory.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/operands.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/core/workspace.hpp"
#include "fewbit/gemm/epilogue.hpp"
#include "fewbit/gemm/epilogue_rows.hpp"
#include "fewbit/gemm/few_bits/grouped_weights.hpp"
#include "fewbit/gemm/parts.hpp"
#include "fewbit/gemm/tuning.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm {

/// Activations in the order of the loop, in memory of the caller.
///
/// A tile has unit::rows rows. The height of the last tile is the remaining number of rows, rounded
/// up to a power of two. Missing rows are zero.
///
/// @tparam Scaled  whether activations have a scale for each group of W
template <class Weights, bool Scaled = false>
class grouped_lhs {
  using unit = typename Weights::unit;

 public:
  /// Bytes of memory that `rows` rows need. The memory is aligned to 4 bytes.
  [[nodiscard]] static index bytes(const Weights& w, index rows) noexcept {
    return padded(rows) * (w.chunks() * Weights::chunk_codes + w.groups() * bytes_of_group);
  }

  grouped_lhs(const Weights& w, index rows, std::byte* memory) noexcept
      : weights_(w),
        rows_(rows),
        starts_(reinterpret_cast<std::int32_t*>(memory)),
        codes_(reinterpret_cast<std::int8_t*>(memory) +
               padded(rows) * w.groups() * bytes_of_group) {}

  [[nodiscard]] index rows() const noexcept { return rows_; }
  [[nodiscard]] index tiles() const noexcept { return (rows_ + unit::rows - 1) / unit::rows; }
  /// Number of rows of tile t, including rows of zeros.
  [[nodiscard]] index height(index t) const noexcept {
    return height_for(std::min(index{unit::rows}, rows_ - t * unit::rows));
  }
  /// Number of rows to fill: rows(), and the rows of zeros.
  [[nodiscard]] index padded_rows() const noexcept { return padded(rows_); }

  [[nodiscard]] const std::int8_t* codes(index t) const noexcept {
    return codes_ + t * unit::rows * weights_.chunks() * Weights::chunk_codes;
  }
  /// [group][row]: the initial values of the sums. If the weights are affine: minus the sums of the
  /// activations.
  [[nodiscard]] const std::int32_t* starts(index t) const noexcept {
    return starts_ + t * unit::rows * weights_.groups();
  }

  /// [group][row]: the scales of the activations.
  [[nodiscard]] const float* scales(index t) const noexcept
    requires Scaled
  {
    return reinterpret_cast<const float*>(starts_ + padded(rows_) * weights_.groups()) +
           t * unit::rows * weights_.groups();
  }

  /// [group][row]: the sums of the codes of the activations, as floats.
  [[nodiscard]] const float* sums(index t) const noexcept
    requires Weights::has_minimum
  {
    constexpr index tables = Scaled ? 2 : 1;
    return reinterpret_cast<const float*>(starts_ + tables * padded(rows_) * weights_.groups()) +
           t * unit::rows * weights_.groups();
  }

  /// Fills row r < padded_rows() and sums its groups. `source.template operator()<V>(k)` returns
  /// the codes from k on as V, which is std::int8_t or a vector of it: -127 .. 127. It is not
  /// called if r >= rows(). If activations are scaled, `source.of_group(begin, end)` returns such a
  /// source for the codes of a group, with a member `scale`.
  template <class Source>
  void fill_row(index r, const Source& source) noexcept {
    const index t = r / unit::rows, h = height(t);
    std::int8_t* to = const_cast<std::int8_t*>(codes(t)) + r % unit::rows * 4;
    std::int32_t* starts = const_cast<std::int32_t*>(this->starts(t)) + r % unit::rows;
    for (index g = 0; g < weights_.groups(); ++g) {
      const index begin = g * weights_.group();
      const index end = r < rows_ ? begin + weights_.depth_of(g) : begin;
      const index depth = weights_.chunks_of(g) * Weights::chunk_codes;
      std::int32_t sum;
      if constexpr (Scaled) {
        const auto of_group = source.of_group(begin, end);
        const_cast<float*>(scales(t))[g * h + r % unit::rows] = of_group.scale;
        sum = fill_group(of_group, begin, end, depth, to, h * 4);
      } else {
        sum = fill_group(source, begin, end, depth, to, h * 4);
      }
      if constexpr (Weights::has_minimum) {
        const_cast<float*>(sums(t))[g * h + r % unit::rows] = static_cast<float>(sum);
      }
      starts[g * h] =
          weights_.is_affine()
              ? -sum
              : arch::add_wrapping(arch::multiply_wrapping(-sum, weights_.stored_zero()),
                                   weights_.sum_zero());
      to += depth * h;
    }
  }

 private:
  /// Bytes of a row and group, without its codes.
  static constexpr index bytes_of_group = index{sizeof(std::int32_t)} +
                                          (Scaled ? index{sizeof(float)} : 0) +
                                          (Weights::has_minimum ? index{sizeof(float)} : 0);

  static index height_for(index rows) noexcept {
    const auto ceiling = static_cast<index>(std::bit_ceil(static_cast<std::size_t>(rows)));
    return std::min(ceiling, index{unit::rows});
  }
  static index padded(index rows) noexcept {
    const index full = rows / unit::rows * unit::rows;
    return full + (rows == full ? 0 : height_for(rows - full));
  }

  /// Copies codes begin .. end - 1, then zeros up to `padded_depth` codes, four every `stride`
  /// bytes. Returns their sum.
  template <class Source>
  static std::int32_t fill_group(const Source& source, index begin, index end, index padded_depth,
                                 std::int8_t* to, index stride) noexcept {
    using bytes = arch::vec<std::int8_t, arch::native_lanes<std::int32_t>>;
    arch::rebind<bytes, std::int32_t> sums(0);
    index k = begin;
    for (; k + bytes::lanes <= end; k += bytes::lanes) {
      const bytes codes = source.template operator()<bytes>(k);
      sums += arch::widened(codes);
      std::int8_t lanes[bytes::lanes];
      codes.store(lanes);
      for (int i = 0; i < bytes::lanes; i += 4, to += stride) std::memcpy(to, lanes + i, 4);
    }
    std::int32_t sum = arch::sum_of_lanes(sums);
    for (; k < begin + padded_depth; k += 4, to += stride) {
      for (index d = 0; d < 4; ++d) {
        to[d] = k + d < end ? source.template operator()<std::int8_t>(k + d) : std::int8_t{0};
        sum += to[d];
      }
    }
    return sum;
  }

  const Weights& weights_;
  index rows_;
  std::int32_t* starts_;
  std::int8_t* codes_;
};

/// Prefetches weights that are read some chunks later than those at `codes`.
template <class Weights>
FEWBIT_ALWAYS_INLINE void prefetch_grouped_weights(const std::uint8_t* codes) noexcept {
#pragma GCC unroll 4
  for (index i = 0; i < Weights::chunk_bytes; i += arch::cache_line)
    arch::prefetch_to_l1(codes + detail::grouped_ahead + i);
}

namespace detail {

/// Initializes the sums of a group and adds them to the totals, for R rows and a panel. `tail`
/// points to the data after the codes of the group.
template <class Weights, int R>
struct grouped_ends {
  using unit = typename Weights::unit;
  using ints = typename unit::accumulator;
  using reals = arch::rebind<ints, float>;

  template <bool Affine>
  FEWBIT_ALWAYS_INLINE static void start(const Weights& w, const std::uint8_t* tail,
                                         const std::int32_t* starts, ints (&sums)[R]) noexcept {
    if constexpr (Affine) {
      arch::rebind<ints, std::uint8_t> kept;
      std::memcpy(&kept.data, tail + 2 * unit::cols, sizeof(kept.data));
      const ints zeros = arch::convert<std::int32_t>(kept) - ints(w.stored_zero());
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) {
        sums[r] =
            arch::add_wrapping(arch::multiply_wrapping(ints(starts[r]), zeros), ints(w.sum_zero()));
      }
    } else {
#pragma GCC unroll 16
      for (int r = 0; r < R; ++r) sums[r] = ints(starts[r]);
    }
  }

  /// `lhs_scale(r, product)` returns a product multiplied by the scale of its row.
  template <class F>
  FEWBIT_ALWAYS_INLINE static void add_scaled(const Weights& w, const std::uint8_t* tail,
                                              const ints (&sums)[R], const F& lhs_scale,
                                              reals (&totals)[R]) noexcept {
    if constexpr (requires(reals x) { unit::multiply_add(x, x, x); }) {
      if (w.sum_zero() != 0) {
        const reals scale = w.template short_scales_at<reals>(tail);
        const reals shift = scale * reals(-Weights::float_zero);
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) {
          totals[r] +=
              lhs_scale(r, unit::multiply_add(arch::bits_as<float>(sums[r]), scale, shift));
        }
        return;
      }
    }
    const reals scale = w.template scales_at<reals>(tail);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
      totals[r] += lhs_scale(r, arch::rounded(reals(arch::convert<float>(sums[r]) * scale)));
  }
};

/// Adds the minima of a group to the totals of R rows and a panel, after add_scaled.
///
/// @param lhs_sums  [row]: the sums of the activations of the group
template <class Weights, int R, class Reals, class F>
FEWBIT_ALWAYS_INLINE void add_minima(const Weights& w, const std::uint8_t* tail,
                                     const float* lhs_sums, const F& lhs_scale,
                                     Reals (&totals)[R]) noexcept {
  const auto minimum = w.template minima_at<Reals>(tail);
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
    totals[r] += lhs_scale(r, arch::rounded(Reals(Reals(lhs_sums[r]) * minimum)));
}

/// The sums of the activations of the next groups, for weights with minima. Otherwise empty.
template <bool HasMinimum>
struct sums_of_lhs {
  explicit sums_of_lhs(const float* /*sums*/) noexcept {}
};
template <>
struct sums_of_lhs<true> {
  const float* next_sums;
  explicit sums_of_lhs(const float* sums) noexcept : next_sums(sums) {}
};

/// The totals of R rows and the columns of P panels. One row reads several panels side by side,
/// because memory serves several streams faster than one.
///
/// With R rows and groups of 32, a group takes 8 R dots, 2 R floating-point operations and, for
/// weights of 4 bits, 12 operations to expand the weights. With 12 rows, dots can take at most 0.70
/// of the time.
template <class Weights, int R, int P, bool Affine, bool Scaled>
class grouped_tile : sums_of_lhs<Weights::has_minimum> {
  using unit = typename Weights::unit;
  using ends = grouped_ends<Weights, R>;
  using ints = typename ends::ints;
  using reals = typename ends::reals;

 public:
  /// @param lhs_scales  [group][row], or nullptr if rows are not scaled
  /// @param lhs_sums    [group][row], or nullptr if weights have no minima
  FEWBIT_ALWAYS_INLINE grouped_tile(const Weights& w, const std::uint8_t* panel,
                                    const std::int8_t* codes, const std::int32_t* starts,
                                    const float* lhs_scales, const float* lhs_sums) noexcept
      : sums_of_lhs<Weights::has_minimum>(lhs_sums),
        weights_(w),
        panel_bytes_(w.panel_bytes()),
        lhs_scales_(lhs_scales) {
    for (auto& of_panel : totals_) {
      for (reals& total : of_panel) total = reals(0.0F);
    }
    const index last = w.groups() - 1, chunks = w.chunks_of(0);
    const stride next{chunks * Weights::chunk_bytes + w.tail_bytes(),
                      chunks * Weights::chunk_codes * R};
    index g = 0;
    if constexpr (side_by_side > 1) {
      for (; g + side_by_side <= last; g += side_by_side) {
        add_groups<side_by_side>(chunks, next, panel, codes, starts);
        panel += side_by_side * next.weights;
        codes += side_by_side * next.codes;
        starts += side_by_side * R;
      }
    }
    for (; g <= last; ++g) {
      add_groups<1>(w.chunks_of(g), next, panel, codes, starts);
      panel += next.weights;
      codes += next.codes;
      starts += R;
    }
  }

  FEWBIT_ALWAYS_INLINE const reals (&totals(int p) const noexcept)[R] { return totals_[p]; }

 private:
  /// Number of groups that are summed side by side. With few rows, the sums of one group are too
  /// few independent chains to hide the latency of additions. One row is limited by memory instead.
  static constexpr int side_by_side = R == 1 ? 1 : std::clamp(unit::chains / R, 1, 4);

  /// Number of chunks that the unit adds before it widens their sums.
  static constexpr int chunks_together = [] {
    if constexpr (requires { unit::chunks_together; }) {
      return unit::chunks_together;
    } else {
      return 1;
    }
  }();

  /// Bytes from one group to the next.
  struct stride {
    index weights;
    index codes;
  };

  template <int G>
  FEWBIT_ALWAYS_INLINE void add_groups(index chunks, const stride& next, const std::uint8_t* codes,
                                       const std::int8_t* a, const std::int32_t* starts) noexcept {
    const std::uint8_t* w_of[P][G];
    const std::int8_t* a_of[G];
    ints sums[P][G][R];
#pragma GCC unroll 4
    for (int g = 0; g < G; ++g) {
      a_of[g] = a + g * next.codes;
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) {
        w_of[p][g] = codes + p * panel_bytes_ + g * next.weights;
        ends::template start<Affine>(weights_, w_of[p][g] + chunks * Weights::chunk_bytes,
                                     starts + g * R, sums[p][g]);
      }
    }
    index i = 0;
    if constexpr (chunks_together > 1) {
      for (; i + chunks_together <= chunks; i += chunks_together)
        add_chunks<chunks_together>(w_of, a_of, sums);
    }
    for (; i < chunks; ++i) add_chunks<1>(w_of, a_of, sums);
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
#pragma GCC unroll 4
      for (int g = 0; g < G; ++g) {
        const auto lhs_scale = [&](int r, const reals& product) {
          if constexpr (Scaled) {
            return arch::rounded(reals(product * reals(lhs_scales_[g * R + r])));
          } else {
            return product;
          }
        };
        ends::add_scaled(weights_, w_of[p][g], sums[p][g], lhs_scale, totals_[p]);
        if constexpr (Weights::has_minimum) {
          add_minima(weights_, w_of[p][g], this->next_sums + g * R, lhs_scale, totals_[p]);
        }
      }
    }
    if constexpr (Scaled) lhs_scales_ += G * R;
    if constexpr (Weights::has_minimum) this->next_sums += G * R;
  }

  /// The next N chunks of each group and panel. Advances the pointers.
  template <int N, int G>
  FEWBIT_ALWAYS_INLINE static void add_chunks(const std::uint8_t* (&w)[P][G],
                                              const std::int8_t* (&a)[G],
                                              ints (&sums)[P][G][R]) noexcept {
#pragma GCC unroll 4
    for (int g = 0; g < G; ++g) {
      arch::forget_origin(a[g]);
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) {
        add_chunks_of_panel<N>(w[p][g], a[g], sums[p][g]);
        w[p][g] += N * Weights::chunk_bytes;
      }
      a[g] += N * Weights::chunk_codes * R;
    }
  }

  template <int N>
  FEWBIT_ALWAYS_INLINE static void add_chunks_of_panel(const std::uint8_t* codes,
                                                       const std::int8_t* a,
                                                       ints (&sums)[R]) noexcept {
    constexpr index lhs_bytes = N * Weights::chunk_codes * R;
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) prefetch_grouped_weights<Weights>(codes + n * Weights::chunk_bytes);
    if constexpr (lhs_bytes >= arch::cache_line) {
#pragma GCC unroll 8
      for (index i = 0; i < lhs_bytes; i += arch::cache_line)
        arch::prefetch_to_l1(a + grouped_lhs_ahead + i);
    }
    if constexpr (N == 1) {
      unit::add_chunk(sums, a, codes);
    } else {
      unit::template add_chunks<N>(sums, a, codes);
    }
  }

  const Weights& weights_;
  index panel_bytes_;
  const float* lhs_scales_;
  reals totals_[P][R];
};

}  // namespace detail

/// Writes totals that are in registers: C = epilogue(totals).
template <class Out, class E>
struct totals_writer {
  Out* data;        ///< the first element of C
  index stride;     ///< numbers from one row of C to the next
  index first_row;  ///< rows first_row .. end_row - 1 of C are written
  index end_row;
  index cols;  ///< columns of C
  const E& epilogue;

  /// Writes the totals of R rows from `row` on and of a panel whose first column is `col`. Rows
  /// from end_row and columns from `cols` on are left out.
  template <int R, class V>
  FEWBIT_ALWAYS_INLINE void write(const V (&totals)[R], index row, index col) const noexcept {
    const int valid = static_cast<int>(std::min(index{V::lanes}, cols - col));
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      if (row + r >= end_row) break;
      const at where{row + r, col, valid};
      where.store_columns(epilogue(totals[r], where), data + (row + r) * stride);
    }
  }
};

namespace detail {

template <int R, int P, bool Affine, class Weights, bool Scaled, class Out, class E>
void multiply_grouped_tile(const Weights& w, const grouped_lhs<Weights, Scaled>& a, index panel,
                           index t, const totals_writer<Out, E>& out) noexcept {
  constexpr index cols = Weights::unit::cols, tile_rows = Weights::unit::rows;
  const float* lhs_scales = nullptr;
  if constexpr (Scaled) lhs_scales = a.scales(t);
  const float* lhs_sums = nullptr;
  if constexpr (Weights::has_minimum) lhs_sums = a.sums(t);
  const grouped_tile<Weights, R, P, Affine, Scaled> tile(w, w.panel(panel), a.codes(t), a.starts(t),
                                                         lhs_scales, lhs_sums);
#pragma GCC unroll 8
  for (int p = 0; p < P; ++p)
    out.write(tile.totals(p), out.first_row + t * tile_rows, (panel + p) * cols);
}

/// All tiles of panels first .. end - 1.
template <bool Affine, class Weights, bool Scaled, class Out, class E>
void multiply_grouped_tiles(const Weights& w, const grouped_lhs<Weights, Scaled>& a, index first,
                            index end, const totals_writer<Out, E>& out) noexcept {
  constexpr int most = Weights::unit::rows;
  if (a.rows() == 1) {
    for (; first + grouped_streams <= end; first += grouped_streams)
      multiply_grouped_tile<1, grouped_streams, Affine>(w, a, first, 0, out);
  }
  for (; first < end; ++first) {
    for (index t = 0; t < a.tiles(); ++t) {
      with_power_of_two_height<most>(a.height(t), [&](auto height) {
        multiply_grouped_tile<decltype(height)::value, 1, Affine>(w, a, first, t, out);
      });
    }
  }
}

template <class Weights, bool Scaled, class Out, class E>
void multiply_grouped_panels(const Weights& w, const grouped_lhs<Weights, Scaled>& a, index first,
                             index end, const totals_writer<Out, E>& out) noexcept {
  if (!Weights::has_minimum && w.is_affine()) {
    multiply_grouped_tiles<!Weights::has_minimum>(w, a, first, end, out);
  } else {
    multiply_grouped_tiles<false>(w, a, first, end, out);
  }
}

/// A row of codes as grouped_lhs reads it.
struct row_of_codes {
  const std::int8_t* codes;

  template <class V>
  FEWBIT_ALWAYS_INLINE V operator()(index k) const noexcept {
    return arch::load<V>(codes + k);
  }
};

/// Number of rows of codes that are copied together.
template <class Weights>
[[nodiscard]] index rows_per_grouped_block(const Weights& w) noexcept {
  constexpr index tile = Weights::unit::rows;
  return std::max(grouped_block_bytes / grouped_lhs<Weights>::bytes(w, tile), index{1}) * tile;
}

/// Part `part` of `parts` parts of C. The parts are of columns. If there are few columns, the parts
/// are of rows.
template <class Weights, class Out, class E>
void multiply_grouped_part(const std::int8_t* a, index a_stride, const Weights& w,
                           const output_rectangle<Out>& c, const E& epilogue, index part,
                           index parts, std::byte* scratch) noexcept {
  using unit = typename Weights::unit;
  const auto [row, row_end, col, col_end] =
      part_by_cols({c.rows, unit::rows}, {c.cols, unit::cols}, part, parts);
  if (col == col_end) return;
  const index most = rows_per_grouped_block(w);
  for (index first = row; first < row_end; first += most) {
    const index count = std::min(most, row_end - first);
    grouped_lhs<Weights> lhs(w, count, scratch);
    for (index r = 0; r < lhs.padded_rows(); ++r)
      lhs.fill_row(r, row_of_codes{r < count ? a + (first + r) * a_stride : nullptr});
    const totals_writer<Out, E> to{c.data, c.stride, first, first + count, c.cols, epilogue};
    multiply_grouped_panels(w, lhs, col / unit::cols, (col_end + unit::cols - 1) / unit::cols, to);
  }
}

/// Whether no code is -128.
template <class A>
[[nodiscard]] bool are_grouped_lhs_codes(const A& a) noexcept {
  return a.size() == 0 || a.minCoeff() >= -127;
}

}  // namespace detail

/// C(i, j) = epilogue(total(i, j)), a float, for activations that the caller copied into
/// grouped_lhs. Does not allocate and does not throw. If the executor throws, std::terminate is
/// called.
///
/// @param a         rows of k codes, filled (padded_rows() of them)
/// @param w         n x k
/// @param c         a.rows() x n, row-major, of what the epilogue returns
/// @param epilogue  applied to each total (gemm/epilogue.hpp)
/// @param executor  runs the parts, a few panels each; results do not depend on it
/// If shapes do not fit, the error handler is called and the program terminates
/// (core/operands.hpp).
template <int Bits, class Arch, bool HasMinimum, bool Scaled, class C, class E = raw,
          Executor Workers = inline_executor>
  requires ProductEpilogue<C, E, float>
void multiply_grouped(const grouped_lhs<grouped_weights<Bits, Arch, HasMinimum>, Scaled>& a,
                      const grouped_weights<Bits, Arch, HasMinimum>& w, C&& c,
                      const E& epilogue = {}, const Workers& executor = {}) noexcept {
  using out = scalar_of<C>;
  constexpr index panels_of_part = 8;
  if constexpr (fewbit::detail::writes_in_place<C, out>()) {
    auto&& rows = fewbit::detail::rows_of(c);
    fewbit::detail::expect_rows("multiply_grouped", "c", c, a.rows());
    fewbit::detail::expect_cols("multiply_grouped", "c", c, w.n());
    const totals_writer<out, E> to{rows.data(), rows.outerStride(), 0,
                                   rows.rows(), rows.cols(),        epilogue};
    executor.for_each((w.panels() + panels_of_part - 1) / panels_of_part, [&](index part) {
      const index end = std::min(w.panels(), (part + 1) * panels_of_part);
      detail::multiply_grouped_panels(w, a, part * panels_of_part, end, to);
    });
  }
}

/// Scratch bytes that one worker needs to multiply up to `rows` rows of codes.
template <int Bits, class Arch, bool HasMinimum>
[[nodiscard]] index scratch_bytes(const grouped_weights<Bits, Arch, HasMinimum>& w,
                                  index rows) noexcept {
  using lhs = grouped_lhs<grouped_weights<Bits, Arch, HasMinimum>>;
  return w.n() == 0 ? 0 : lhs::bytes(w, std::min(rows, detail::rows_per_grouped_block(w)));
}

/// Scratch bytes that one worker needs to multiply any number of rows of codes.
template <int Bits, class Arch, bool HasMinimum>
[[nodiscard]] index scratch_bytes(const grouped_weights<Bits, Arch, HasMinimum>& w) noexcept {
  return scratch_bytes(w, std::numeric_limits<index>::max());
}

/// C(i, j) = epilogue(total(i, j)), a float (formula above), for activations as codes. Each worker
/// copies the codes into scratch memory, a block of rows at a time. Does not allocate and does not
/// throw. If the executor throws, std::terminate is called.
///
/// @param a         m x k codes, std::int8_t, row-major, -127 .. 127; asserted, because sums with
///                  -128 are wrong
/// @param w         n x k weights
/// @param c         m x n, row-major, of what the epilogue returns; must not overlap a
/// @param epilogue  applied to each total (gemm/epilogue.hpp)
/// @param scratch   at least scratch_bytes(w) per slot; C is cut into one part per slot
/// @param executor  runs the parts; results depend neither on it nor on the number of slots
/// If shapes do not fit or scratch memory is too small, the error handler is called and the program
/// terminates (core/operands.hpp).
template <int Bits, class Arch, bool HasMinimum, class A, class C, class E,
          Executor Workers = inline_executor>
  requires ProductEpilogue<C, E, float>
void multiply(const A& a, const grouped_weights<Bits, Arch, HasMinimum>& w, C&& c,
              const E& epilogue, workspace& scratch, const Workers& executor = {}) noexcept {
  const auto run = [&](const auto& from, auto& rows) {
    assert(detail::are_grouped_lhs_codes(from));
    const output_rectangle<scalar_of<C>> to{rows.data(), rows.outerStride(), 0,
                                            0,           rows.rows(),        rows.cols()};
    const index parts = scratch.slots();
    executor.for_each(parts, [&](index part) {
      detail::multiply_grouped_part(from.data(), from.outerStride(), w, to, epilogue, part, parts,
                                    scratch.slot(part));
    });
  };
  detail::with_checked_operands<std::int8_t>(a, w, c, scratch, run);
}

/// The same for one call in one thread: scratch memory is allocated.
template <int Bits, class Arch, bool HasMinimum, class A, class C, class E = raw>
  requires ProductEpilogue<C, E, float>
void multiply(const A& a, const grouped_weights<Bits, Arch, HasMinimum>& w, C&& c,
              const E& epilogue = {}) {
  workspace scratch(scratch_bytes(w));
  multiply(a, w, c, epilogue, scratch);
}

}}}  // namespace fewbit::gemm

#include "fewbit/end.hpp"
