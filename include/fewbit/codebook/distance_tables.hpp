#pragma once
/// What a query is to all centroids of a product quantizer, part by part: the tables that distances
/// to codes are looked up in, in float and in bytes.
///
///     distance_tables tables(pq);                          // once, allocates
///     tables.set_squared_distances(query);                 // for each query
///     sum over p of tables(p, code_p)                      // |query - decode(codes)|^2, rounded
///     tables.offset() + tables.scale() * (sum of bytes)    // the same, within error_bound()
///
/// Bytes of entries are as codebook/entry_tables.hpp says, so sums of them difference those of entries by
/// at most parts * scale / 2, and a little for divisions and products in float. The entries difference
/// squared distances by what their own sums in float lose, which counts where a query lies far from
/// all centroids. The bound has both terms.
///
/// Read next: codebook/packed_codes.hpp (who sums), codebook/find_nearest.hpp.
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
#include "fewbit/core/types.hpp"
#include "fewbit/quant/quantize.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// Tables of one query at a time.
class distance_tables {
 public:
  /// Keeps a reference to pq.
  explicit distance_tables(const product_quantizer& pq)
      : pq_(&pq),
        values_(pq.parts() * pq.code_count()),
        bytes_(detail::padded_parts(pq.parts()) * pq.code_count()),
        least_entry_(pq.parts()) {}

  explicit distance_tables(product_quantizer&&) = delete;

  /// Entry (p, j) becomes |query_p - c_pj|^2; sums are squared Euclidean distances. `query` has
  /// pq.dimension() finite values.
  void set_squared_distances(const float* query) noexcept {
    fill_tables(query, [](const lanes& x, const lanes& c, const lanes& sum) {
      const lanes difference = x - c;
      return arch::fused_multiply_add(difference, difference, sum);
    });
    // The rounding of a difference counts twice, that of each sum once.
    magnitude_ = sum_of_largest_;
    entry_rounding_ = rounding_bound(sum_of_largest_, pq_->width() + 2);
  }

  /// Entry (p, j) becomes -query_p . c_pj: the least sum is the largest product.
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

  [[nodiscard]] float operator()(index part, index code) const noexcept {
    return values_[part * pq_->code_count() + code];
  }
  /// parts x codes
  [[nodiscard]] const float* float_tables() const noexcept { return values_.data(); }
  /// parts x codes, and zeros up to a multiple of 8 parts.
  [[nodiscard]] const std::uint8_t* byte_tables() const noexcept { return bytes_.data(); }

  /// Whether no entry and no sum of entries overflows a float.
  [[nodiscard]] bool is_finite() const noexcept {
    return std::abs(offset_) + spread() + magnitude_ < double{std::numeric_limits<float>::max()};
  }

  /// What a sum of bytes stands for is offset() + scale() * sum.
  [[nodiscard]] double offset() const noexcept { return offset_; }
  [[nodiscard]] double scale() const noexcept { return double{scale_}; }
  /// How far that, rounded to float or not, may be from the squared distance or product itself.
  [[nodiscard]] double error_bound() const noexcept {
    const double bytes = static_cast<double>(pq_->parts()) * scale() * detail::entry_error;
    return bytes + entry_rounding_ + 0x1p-23 * (std::abs(offset_) + spread());
  }

 private:
  using lanes = detail::entry_lanes;

  /// The largest sum of bytes as a sum of entries above the offset.
  [[nodiscard]] double spread() const noexcept {
    return static_cast<double>(255 * pq_->parts()) * scale();
  }

  /// What sums of products lose, each rounded `times` to 24 bits or, if it is less than 2^-126, to
  /// multiples of 2^-149; `size` is the sum of their magnitudes.
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
  aligned_buffer<float> least_entry_;  // entry of each part
  float scale_ = 1.0F;
  double offset_ = 0.0;
  double sum_of_largest_ = 0.0;  // sum of the largest entry of each part
  double magnitude_ = 0.0;       // what no sum of magnitudes of terms exceeds
  double entry_rounding_ = 0.0;  // what entries may lose
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
