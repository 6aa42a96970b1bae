#pragma once
/// C = X W^T by table lookup, where W is stored as codes of a product quantizer.
///
///     pq_lhs<pq_weights<4>> a(w, rows, memory);            // tables of some rows of inputs
///     for (index r = 0; r < rows; ++r) a.fill_row(r, x + r * stride);
///     multiply_pq(a, w, c, a.to_float() | add_columns(bias));
///
/// An input row has one table per part. Entry q of table p is the product of the coordinates of
/// part p with centroid q. C(i, j) is the sum over p of entry code(j, p). Entries are bytes
/// (codebook/entry_tables.hpp) and their sums are exact, so the results have the same bits on every
/// processor. They differ from the sums of float entries by at most error_bound(i).
///
/// The tables of an input row cost k * centroids products, for any number n of weight rows: as much
/// as a product with 16 or 256 rows of weights. Tables of 256 centroids pay off if n is in the
/// thousands.
///
/// In cache, sums of 4-bit codes are limited by ports 0 and 5 of an Intel server core: 28
/// operations in 14 cycles for 512 lookups. 1024 x 512 codes on a Sapphire Rapids reach 105 G
/// lookups per second. From memory, the limit is the memory bandwidth.
///
/// Read before: codebook/pq_weights.hpp. Read next: codebook/pq_float_product.hpp (sums of floats).
///
/// Source: weights by product quantizers: Stock et al. 2020, "And the bit goes down"; tables of
/// products: Jegou, Douze and Schmid 2011, "Product quantization for nearest neighbor search".

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "fewbit/arch/fused.hpp"
#include "fewbit/arch/memory.hpp"
#include "fewbit/arch/vec.hpp"
#include "fewbit/codebook/entry_tables.hpp"
#include "fewbit/codebook/packed_codes.hpp"
#include "fewbit/codebook/pq_weights.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/finite.hpp"
#include "fewbit/core/operands.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/gemm/epilogue_rows.hpp"
#include "fewbit/gemm/stages.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// int32 * scales[row] + offsets[row], each operation rounded: the sum of entries that a sum of
/// bytes represents.
struct from_lookups : gemm::stage {
  const float* scales;
  const float* offsets;

  from_lookups(const float* s, const float* o) noexcept : scales(s), offsets(o) {}

  template <class V>
  FEWBIT_ALWAYS_INLINE arch::rebind<V, float> operator()(const V& sum,
                                                         const gemm::at& where) const noexcept {
    using real = arch::rebind<V, float>;
    return arch::rounded(real(arch::convert<float>(sum) * real(scales[where.row]))) +
           real(offsets[where.row]);
  }
};

/// The number of table entries that one task of the executor computes.
inline constexpr index entries_per_piece = 8192;

/// The products of the coordinates of part p with all centroids of the part.
template <class Weights>
entry_range fill_products(const Weights& w, const float* x, index p, float* values) noexcept {
  const index first = p * w.width();
  if (!w.is_shared()) {
    for (index t = 0; t < w.width() * Weights::centroids; t += arch::cache_line / 4) {
      arch::prefetch_to_l1(arch::beyond(w.columns(p) + t, code_prefetch_distance));
    }
  }
  return fill_entries(x + first, std::min(w.width(), w.k() - first), w.columns(p),
                      Weights::centroids, values,
                      [](const entry_lanes& a, const entry_lanes& b, const entry_lanes& sum) {
                        return arch::fused_multiply_add(a, b, sum);
                      });
}

/// Whether x is finite and no entry can be 2^125 or more. The largest coordinate and the largest
/// centroid of all parts decide where they can; else each part is looked at alone.
template <class Weights>
bool has_finite_products(const Weights& w, const float* x) noexcept {
  bool finite = true;
  for (index c = 0; c < w.k(); ++c) finite &= is_finite(x[c]);
  if (!finite) return false;
  const auto is_small = [&](float a, float b) {
    return double{a} * double{b} * static_cast<double>(w.width()) < 0x1p125;
  };
  if (is_small(finite_amax(x, w.k()), w.largest_magnitude())) return true;
  for (index p = 0; p < w.parts(); ++p) {
    const index first = p * w.width(), count = std::min(w.width(), w.k() - first);
    const float centroids = finite_amax(w.columns(p), count * Weights::centroids);
    if (!is_small(finite_amax(x + first, count), centroids)) return false;
  }
  return true;
}

}  // namespace detail

/// The tables of 1 to 8 rows of inputs, in memory of the caller.
template <class Weights>
class pq_lhs {
 public:
  /// The largest number of rows that one pass over the codes multiplies.
  static constexpr index most_rows = detail::most_queries_at_a_time;

  /// The bytes of memory that the tables of some rows need.
  [[nodiscard]] static index bytes(const Weights& w, index rows) noexcept {
    return head_bytes(w) + rows * row_stride(w);
  }

  /// @param memory  bytes(w, rows) bytes, aligned to a cache line
  pq_lhs(const Weights& w, index rows, std::byte* memory) noexcept
      : weights_(w), rows_(rows), values_(reinterpret_cast<float*>(memory)) {
    assert(rows >= 1 && rows <= most_rows);
    const index entries = w.parts() * Weights::centroids;
    least_ = values_ + entries;
    most_ = least_ + w.parts();
    scales_ = most_ + w.parts();
    offsets_ = scales_ + most_rows;
    for (index r = 0; r < rows; ++r) {
      tables_[r] = reinterpret_cast<std::uint8_t*>(memory) + head_bytes(w) + r * row_stride(w);
    }
  }

  [[nodiscard]] index rows() const noexcept { return rows_; }

  /// Computes the tables of row r from the w.k() values of x. If x has a NaN or an infinity, or
  /// products with centroids may exceed 2^125, the offset is NaN, and with it all results of the
  /// row.
  template <Executor E = inline_executor>
  void fill_row(index r, const float* x, const E& executor = {}) noexcept {
    const Weights& w = weights_;
    scales_[r] = 1.0F;
    offsets_[r] = std::numeric_limits<float>::quiet_NaN();
    if (!detail::has_finite_products(w, x)) return;
    const index pieces = (w.parts() + parts_together - 1) / parts_together;
    const auto for_parts = [&](const auto& f) {
      executor.for_each(pieces, [&](index piece) {
        const index end = std::min((piece + 1) * parts_together, w.parts());
        for (index p = piece * parts_together; p < end; ++p) f(p, values_ + p * Weights::centroids);
      });
    };
    for_parts([&](index p, float* values) {
      const auto [least, most] = detail::fill_products(w, x, p, values);
      least_[p] = least;
      most_[p] = most;
    });
    float extent = 0.0F;
    double offset = 0.0;
    for (index p = 0; p < w.parts(); ++p) {
      extent = std::max(extent, most_[p] - least_[p]);
      offset += double{least_[p]};
    }
    const float scale = detail::entry_scale(extent);
    for_parts([&](index p, const float* values) {
      detail::entries_to_bytes(values, Weights::centroids, least_[p], scale,
                               tables_[r] + p * Weights::centroids);
    });
    std::fill(tables_[r] + w.parts() * Weights::centroids, tables_[r] + table_bytes(w),
              std::uint8_t{0});
    scales_[r] = scale;
    offsets_[r] = static_cast<float>(offset);
  }

  /// An entry is about scale(r) * byte + (least entry of its part). offset(r) is the sum of the
  /// least entries.
  [[nodiscard]] float scale(index r) const noexcept { return scales_[r]; }
  [[nodiscard]] float offset(index r) const noexcept { return offsets_[r]; }

  /// The largest difference between to_float() and the sum of the float entries: parts * scale / 2,
  /// plus the rounding of float operations.
  [[nodiscard]] double error_bound(index r) const noexcept {
    const auto parts = static_cast<double>(weights_.parts());
    const double scale = double{scales_[r]};
    return parts * scale * (detail::entry_error + 0x1p-14) +
           std::abs(double{offsets_[r]}) * 0x1p-22;
  }

  /// The epilogue stage that converts sums of bytes to float.
  [[nodiscard]] detail::from_lookups to_float() const noexcept { return {scales_, offsets_}; }

  [[nodiscard]] const std::uint8_t* const* tables() const noexcept { return tables_; }

 private:
  static constexpr index parts_together = detail::entries_per_piece / Weights::centroids;

  static index table_bytes(const Weights& w) noexcept {
    return detail::padded_parts(w.parts()) * Weights::centroids;
  }
  /// Not a multiple of 4096 bytes, so that rows use different cache sets.
  static index row_stride(const Weights& w) noexcept { return table_bytes(w) + 192; }
  static index head_bytes(const Weights& w) noexcept {
    const index floats = w.parts() * (Weights::centroids + 2) + 2 * most_rows;
    return (floats * index{sizeof(float)} + 63) / 64 * 64;
  }

  const Weights& weights_;
  index rows_;
  float* values_;  // entries of the row that fill_row computes
  float* least_;
  float* most_;
  float* scales_;
  float* offsets_;
  std::uint8_t* tables_[most_rows];
};

namespace detail {

/// The number of weight rows that one task of the executor multiplies: whole blocks of every unit.
inline constexpr index pq_rows_per_piece = 512;

/// totals[r * pq_rows_per_piece + i] = sum of all lookups for input row r and point i of a block.
template <class Weights>
void sum_pq_block(const pq_lhs<Weights>& a, const Weights& w, index block,
                  std::int32_t* totals) noexcept {
  using layout = typename Weights::layout;
  using unit = typename Weights::unit;
  constexpr index most = most_summed_parts / unit::parts;
  using pairs = arch::vec<std::uint16_t, 16>;
  using words = arch::vec<std::int32_t, 16>;
  alignas(64) std::uint16_t sums[most_queries_at_a_time * layout::points_per_block];
  const std::uint8_t* codes = w.block(block);
  const std::uint8_t* tables[most_queries_at_a_time];
  const auto rows = static_cast<int>(a.rows());
  for (index first = 0; first < layout::rows(w.parts()); first += most) {
    for (int r = 0; r < rows; ++r) tables[r] = a.tables()[r] + first * unit::table_bytes;
    sum_block<unit>(tables, rows, codes + first * layout::stride,
                    std::min(most, layout::rows(w.parts()) - first), sums,
                    layout::points_per_block);
    for (int r = 0; r < rows; ++r) {
      for (index i = 0; i < layout::points_per_block; i += words::lanes) {
        std::int32_t* to = totals + r * pq_rows_per_piece + i;
        const words sum =
            arch::convert<std::int32_t>(pairs::load(sums + r * layout::points_per_block + i));
        (first == 0 ? sum : words::load(to) + sum).store(to);
      }
    }
  }
}

}  // namespace detail

/// c(i, j) = epilogue(sum over parts p of byte code(j, p) of table p of input row i). Sums are
/// int32. Each task of the executor computes 512 columns. The results do not depend on the
/// executor.
///
/// @param a  tables of w
/// @param c  a.rows() x w.n(); otherwise the program terminates (core/operands.hpp)
template <class Weights, class C, class E, Executor Workers = inline_executor>
  requires gemm::ProductInto<C, E, std::int32_t>
void multiply_pq(const pq_lhs<Weights>& a, const Weights& w, C&& c, const E& epilogue,
                 const Workers& executor = {}) noexcept {
  using out = scalar_of<C>;
  constexpr index piece = detail::pq_rows_per_piece, block = Weights::layout::points_per_block;
  static_assert(piece % block == 0);
  detail::expect_rows("multiply_pq", "c", c, a.rows());
  detail::expect_cols("multiply_pq", "c", c, w.n());
  executor.for_each((w.n() + piece - 1) / piece, [&](index i) {
    alignas(64) std::int32_t totals[pq_lhs<Weights>::most_rows * piece];
    const index first = i * piece, cols = std::min(piece, w.n() - first);
    for (index j = 0; j < cols; j += block) {
      detail::sum_pq_block(a, w, (first + j) / block, totals + j);
    }
    gemm::apply_epilogue_to_rows<arch::native_lanes<std::int32_t>>(
        totals, piece,
        gemm::output_rectangle<out>{c.data(), c.outerStride(), 0, first, a.rows(), cols}, epilogue);
  });
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
