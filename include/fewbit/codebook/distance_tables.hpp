#pragma once
/// What a query is to all centroids of a product quantizer, part by part: the tables that distances
/// to codes are looked up in, in float and in bytes.
///
///     distance_tables tables(pq);                          // once, allocates
///     tables.set_squared_distances(query);                 // for each query
///     sum over p of tables(p, code_p)                      // = |query - decode(codes)|^2
///     tables.offset() + tables.scale() * (sum of bytes)    // the same, within error_bound()
///
/// Bytes of entries are as codebook/entry_tables.hpp says, so sums of them miss those of entries by
/// at most parts * scale / 2; the bound has room for what divisions and products lose in float.
///
/// Read next: codebook/packed_codes.hpp (who sums), codebook/code_search.hpp.
///
/// Source: asymmetric distances: Jegou, Douze and Schmid 2011; bytes: Andre, Kermarrec and Le
/// Scouarnec 2015, "Cache locality is not enough".

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "fewbit/arch/fused.hpp"
#include "fewbit/arch/vec.hpp"
#include "fewbit/codebook/entry_tables.hpp"
#include "fewbit/codebook/packed_codes.hpp"
#include "fewbit/codebook/product_quantizer.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/quant/quantize.hpp"

namespace fewbit::inline FEWBIT_ARCH_NAMESPACE {

/// Tables of one query at a time.
class distance_tables {
 public:
  /// Keeps a reference to pq.
  explicit distance_tables(const product_quantizer& pq)
      : pq_(&pq),
        values_(pq.parts() * pq.codes()),
        bytes_(detail::padded_parts(pq.parts()) * pq.codes()),
        least_(pq.parts()) {}

  explicit distance_tables(product_quantizer&&) = delete;

  /// Entry (p, j) becomes |query_p - c_pj|^2; sums are squared Euclidean distances. `query` has
  /// pq.dimension() finite values.
  void set_squared_distances(const float* query) noexcept {
    fill(query, [](const lanes& x, const lanes& c, const lanes& sum) {
      const lanes miss = x - c;
      return arch::fused_multiply_add(miss, miss, sum);
    });
  }

  /// Entry (p, j) becomes -query_p . c_pj: the least sum is the largest product.
  void set_negative_products(const float* query) noexcept {
    fill(query, [](const lanes& x, const lanes& c, const lanes& sum) {
      return arch::fused_multiply_add(lanes(0.0F) - x, c, sum);
    });
  }

  [[nodiscard]] float operator()(index part, index code) const noexcept {
    return values_[part * pq_->codes() + code];
  }
  /// parts x codes
  [[nodiscard]] const float* values() const noexcept { return values_.data(); }
  /// parts x codes, and zeros up to a multiple of 8 parts.
  [[nodiscard]] const std::uint8_t* bytes() const noexcept { return bytes_.data(); }

  /// Whether no sum of entries overflows a float.
  [[nodiscard]] bool is_finite() const noexcept {
    return detail::is_finite(
        static_cast<float>(offset_ + static_cast<double>(255 * pq_->parts()) * scale()));
  }

  /// What a sum of bytes stands for is offset() + scale() * sum.
  [[nodiscard]] double offset() const noexcept { return offset_; }
  [[nodiscard]] double scale() const noexcept { return double{scale_}; }
  /// How far that may be from the sum of the entries.
  [[nodiscard]] double error_bound() const noexcept {
    return static_cast<double>(pq_->parts()) * scale() * detail::entry_error;
  }

 private:
  using lanes = detail::entry_lanes;

  template <class F>
  void fill(const float* query, F step) noexcept {
    const index width = pq_->width();
    const index codes = pq_->codes();
    float extent = 0.0F;
    offset_ = 0.0;
    for (index p = 0; p < pq_->parts(); ++p) {
      const auto [low, high] =
          detail::fill_entries(query + p * width, width, pq_->column(p * width), codes,
                               values_.data() + p * codes, step);
      extent = std::max(extent, high - low);
      least_[p] = low;
      offset_ += double{low};
    }
    scale_ = detail::entry_scale(extent);
    for (index p = 0; p < pq_->parts(); ++p) {
      detail::entries_to_bytes(values_.data() + p * codes, codes, least_[p], scale_,
                               bytes_.data() + p * codes);
    }
  }

  const product_quantizer* pq_;
  aligned_buffer<float> values_;
  aligned_buffer<std::uint8_t> bytes_;
  aligned_buffer<float> least_;  // entry of each part
  float scale_ = 1.0F;
  double offset_ = 0.0;
};

}  // namespace fewbit::inline FEWBIT_ARCH_NAMESPACE

#include "fewbit/end.hpp"
