#pragma once
/// The tables of a query: its distance to, or product with, every centroid of every part, in float
/// and in bytes.
///
///     distance_tables tables(pq);                          // once, allocates
///     tables.set_squared_distances(query);                 // for each query
///     sum over p of tables(p, code_p)                      // |query - decode(codes)|^2, rounded
///     tables.offset() + tables.scale() * (sum of bytes)    // the same, within error_bound()
///
/// codebook/entry_tables.hpp defines the bytes. A sum of bytes differs from the sum of the float
/// entries by at most parts * scale / 2, plus a little rounding. The float entries have a rounding
/// error of their own, which matters if the query is far from all centroids. error_bound() includes
/// both.
///
/// Read next: codebook/packed_codes.hpp (sums of bytes), codebook/find_nearest.hpp.
///
/// Source: asymmetric distances: Jegou, Douze and Schmid 2011; bytes: Andre, Kermarrec and Le
/// Scouarnec 2015, "Cache locality is not enough".

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "fewbit/arch/fused.hpp"
#include "fewbit/arch/vec.hpp"
#include "fewbit/codebook/entry_tables.hpp"
#include "fewbit/codebook/packed_codes.hpp"
#include "fewbit/codebook/product_quantizer.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/rows.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// The tables of one query at a time.
class distance_tables {
 public:
  /// Keeps a reference to pq.
  explicit distance_tables(const product_quantizer& pq)
      : pq_(&pq),
        values_(pq.parts() * pq.code_count()),
        bytes_(detail::padded_parts(pq.parts()) * pq.code_count()),
        least_entry_(pq.parts()) {}

  explicit distance_tables(product_quantizer&&) = delete;

  /// Entry (p, j) becomes |query_p - c_pj|^2. A sum over parts is a squared Euclidean distance.
  /// `query` has pq.dimension() finite values.
  void set_squared_distances(const float* query) noexcept {
    fill_tables(query, [](const lanes& x, const lanes& c, const lanes& sum) {
      const lanes difference = x - c;
      return arch::fused_multiply_add(difference, difference, sum);
    });
    // A difference is rounded, then squared: its rounding counts twice. Each sum is rounded once.
    magnitude_ = sum_of_largest_;
    entry_rounding_ = rounding_bound(sum_of_largest_, pq_->width() + 2);
  }

  /// Entry (p, j) becomes -query_p . c_pj, so that the least sum is the largest product.
  void set_negative_products(const float* query) noexcept {
    fill_tables(query, [](const lanes& x, const lanes& c, const lanes& sum) {
      return arch::fused_multiply_add(lanes(0.0F) - x, c, sum);
    });
    magnitude_ = 0.0;
    for (index t = 0; t < pq_->dimension(); ++t) {
      magnitude_ += std::abs(double{query[t]}) * double{pq_->largest_magnitude(t)};
    }
    entry_rounding_ = rounding_bound(magnitude_, pq_->width());
  }

  /// Entry of a part and a code, in float.
  [[nodiscard]] float operator()(index part, index code) const noexcept {
    return values_[part * pq_->code_count() + code];
  }
  /// parts x code_count
  [[nodiscard]] const float* float_tables() const noexcept { return values_.data(); }
  /// parts x code_count, padded with zeros to a multiple of 8 parts.
  [[nodiscard]] const std::uint8_t* byte_tables() const noexcept { return bytes_.data(); }

  /// Whether no entry and no sum of entries overflows a float.
  [[nodiscard]] bool is_finite() const noexcept {
    return std::abs(offset_) + spread() + magnitude_ < double{std::numeric_limits<float>::max()};
  }

  /// A sum of bytes represents offset() + scale() * sum.
  [[nodiscard]] double offset() const noexcept { return offset_; }
  [[nodiscard]] double scale() const noexcept { return double{scale_}; }
  /// The largest difference between that value, rounded to float or not, and the exact squared
  /// distance or negative product.
  [[nodiscard]] double error_bound() const noexcept {
    const double bytes = static_cast<double>(pq_->parts()) * scale() * detail::entry_error;
    return bytes + entry_rounding_ + 0x1p-23 * (std::abs(offset_) + spread());
  }

 private:
  using lanes = detail::entry_lanes;

  /// scale() times the largest sum of bytes.
  [[nodiscard]] double spread() const noexcept {
    return static_cast<double>(255 * pq_->parts()) * scale();
  }

  /// Bounds the rounding error of sums of products. Each value is rounded `times` times: to 24 bits
  /// or, below 2^-126, to a multiple of 2^-149. `magnitude` is the sum of the magnitudes of the
  /// terms.
  [[nodiscard]] double rounding_bound(double magnitude, index times) const noexcept {
    const auto each = static_cast<double>(times + 2);
    return each * (0x1p-24 * magnitude + 0x1p-149 * static_cast<double>(pq_->parts()));
  }

  template <class F>
  void fill_tables(const float* query, F step) noexcept {
    const index width = pq_->width();
    const index codes = pq_->code_count();
    float extent = 0.0F;
    offset_ = 0.0;
    sum_of_largest_ = 0.0;
    for (index p = 0; p < pq_->parts(); ++p) {
      const auto [low, high] =
          detail::fill_entries(query + p * width, width, pq_->column(p * width), codes,
                               values_.data() + p * codes, step);
      extent = std::max(extent, high - low);
      least_entry_[p] = low;
      offset_ += double{low};
      sum_of_largest_ += double{high};
    }
    scale_ = detail::entry_scale(extent);
    for (index p = 0; p < pq_->parts(); ++p) {
      detail::entries_to_bytes(values_.data() + p * codes, codes, least_entry_[p], scale_,
                               bytes_.data() + p * codes);
    }
  }

  const product_quantizer* pq_;
  aligned_buffer<float> values_;
  aligned_buffer<std::uint8_t> bytes_;
  aligned_buffer<float> least_entry_;  // one per part
  float scale_ = 1.0F;
  double offset_ = 0.0;
  double sum_of_largest_ = 0.0;  // over parts, of the largest entry
  double magnitude_ = 0.0;       // bounds every sum of magnitudes of terms
  double entry_rounding_ = 0.0;  // bounds the rounding error of a sum of float entries
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
