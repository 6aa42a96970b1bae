#pragma once
/// find_nearest: the coded vectors nearest to queries that are not coded.
///
///     const packed_codes packed(pq, pq.encode(points));
///     const find_nearest_result r = find_nearest(pq, packed, queries, 10);  // r.numbers(q, 0)
///
/// Distances are sums of bytes (codebook/distance_tables.hpp). The sums are exact, so every
/// processor finds the same vectors. A distance differs from that to the decoded vector by at most
/// r.error_bounds[q], including all rounding. If you need exact distances, compute them for the
/// vectors found.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/arch/arch.hpp"
#include "fewbit/arch/vec.hpp"
#include "fewbit/codebook/distance_tables.hpp"
#include "fewbit/codebook/packed_codes.hpp"
#include "fewbit/codebook/product_quantizer.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/rows.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// The nearest vector has the least squared Euclidean distance or the largest product, which is the
/// least negative product.
enum class distance_metric { squared_distance, negative_product };

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// The k vectors found for each query, nearest first.
struct find_nearest_result {
  row_matrix<index> numbers;         ///< queries x k
  row_matrix<float> distances;       ///< squared distances or negative products
  std::vector<double> error_bounds;  ///< one per query: |distance - exact distance| is at most this
};

namespace detail {

/// Keeps the k least sums of those added. If two sums are equal, the one added first is kept.
class least_sums {
 public:
  struct entry {
    std::uint16_t sum;
    index number;

    friend bool operator<(const entry& a, const entry& b) noexcept {
      return a.sum != b.sum ? a.sum < b.sum : a.number < b.number;
    }
  };

  explicit least_sums(index k) : k_(static_cast<std::size_t>(k)) { entries_.reserve(k_); }

  void clear() noexcept { entries_.clear(); }

  /// Adds the sums of vectors first, first + 1 ...
  void add(const std::uint16_t* sums, index count, index first) noexcept {
    using lanes = arch::vec<std::uint16_t, 32>;
    index i = 0;
    for (; entries_.size() < k_ && i < count; ++i) insert({sums[i], first + i});
    if (entries_.size() < k_) return;
    for (; i + lanes::lanes <= count; i += lanes::lanes) {
      const lanes next = lanes::load(sums + i);
      if (!is_any_set(next < lanes(entries_.front().sum))) continue;
      for (index j = i; j < i + lanes::lanes; ++j) replace({sums[j], first + j});
    }
    for (; i < count; ++i) replace({sums[i], first + i});
  }

  /// The kept sums in ascending order. Call clear() before the next add().
  const std::vector<entry>& sorted() noexcept {
    std::sort_heap(entries_.begin(), entries_.end());
    return entries_;
  }

 private:
  template <class Mask>
  static bool is_any_set(const Mask& mask) noexcept {
    std::uint64_t words[sizeof(mask.data) / 8];
    std::memcpy(words, &mask.data, sizeof(words));
    std::uint64_t all = 0;
    for (const std::uint64_t w : words) all |= w;
    return all != 0;
  }

  void insert(const entry& e) noexcept {
    entries_.push_back(e);
    std::push_heap(entries_.begin(), entries_.end());
  }

  void replace(const entry& e) noexcept {
    if (!(e < entries_.front())) return;
    std::pop_heap(entries_.begin(), entries_.end());
    entries_.back() = e;
    std::push_heap(entries_.begin(), entries_.end());
  }

  std::size_t k_;
  std::vector<entry> entries_;  // a heap, the largest sum first
};

/// Searches for some queries together, some blocks of codes at a time. The constructor allocates
/// all memory.
template <class Arch>
class query_group {
 public:
  static constexpr int most_queries = packed_codes<Arch>::most_queries;

  query_group(const product_quantizer& pq, const packed_codes<Arch>& packed, int queries, index k)
      : packed_(packed),
        blocks_(packed.blocks_at_a_time()),
        stride_(packed.sums_stride()),
        sums_(queries * stride_, for_overwrite) {
    for (int q = 0; q < queries; ++q) {
      tables_.emplace_back(pq);
      found_.emplace_back(k);
    }
  }

  [[nodiscard]] distance_tables& tables(int q) noexcept {
    return tables_[static_cast<std::size_t>(q)];
  }

  void sum_all_blocks() noexcept {
    const auto queries = static_cast<int>(tables_.size());
    const std::uint8_t* bytes[most_queries];
    for (int q = 0; q < queries; ++q) {
      bytes[q] = tables(q).byte_tables();
      found(q).clear();
    }
    for (index b = 0; b < packed_.blocks(); b += blocks_) {
      packed_.sum_lookups(bytes, queries, b, std::min(blocks_, packed_.blocks() - b), sums_.data(),
                          stride_);
      const index first = b * packed_.points_per_block();
      const index count = std::min(blocks_ * packed_.points_per_block(), packed_.points() - first);
      for (int q = 0; q < queries; ++q) found(q).add(sums_.data() + q * stride_, count, first);
    }
  }

  [[nodiscard]] least_sums& found(int q) noexcept { return found_[static_cast<std::size_t>(q)]; }

 private:
  const packed_codes<Arch>& packed_;
  index blocks_;  // summed at a time
  index stride_;  // between the sums of two queries
  aligned_buffer<std::uint16_t> sums_;
  std::vector<distance_tables> tables_;
  std::vector<least_sums> found_;
};

}  // namespace detail

/// Finds the k coded vectors nearest to each query. If vectors are equally near, the lower number
/// is first.
///
/// @param queries  q x pq.dimension()
/// @param k        1 to packed.points()
/// @throws fewbit::error if packed has other parts or bits than pq, queries is empty, not
///         pq.dimension() wide or holds a NaN or an infinity, a distance overflows, or k is out of
///         range
template <class Arch, Executor E = inline_executor>
[[nodiscard]] find_nearest_result find_nearest(
    const product_quantizer& pq, const packed_codes<Arch>& packed,
    const Eigen::Ref<const row_matrix<float>>& queries, index k,
    distance_metric metric = distance_metric::squared_distance, const E& executor = {}) {
  using group = detail::query_group<Arch>;
  detail::expect_finite("find_nearest", "queries", queries);
  detail::expect_equal("find_nearest", "queries.cols()", queries.cols(), pq.dimension());
  detail::expect_equal("find_nearest", "packed.parts()", packed.parts(), pq.parts());
  detail::expect_equal("find_nearest", "packed.bits()", packed.bits(), pq.bits());
  detail::expect(packed.points() > 0, "find_nearest", "packed.points()", 0, "at least 1");
  detail::expect(k >= 1 && k <= packed.points(), "find_nearest", "k", k,
                 "1 to " + std::to_string(packed.points()));
  find_nearest_result result{row_matrix<index>(queries.rows(), k),
                             row_matrix<float>(queries.rows(), k),
                             std::vector<double>(static_cast<std::size_t>(queries.rows()))};
  executor.for_each((queries.rows() + group::most_queries - 1) / group::most_queries, [&](index g) {
    const index first = g * group::most_queries;
    const auto count =
        static_cast<int>(std::min<index>(group::most_queries, queries.rows() - first));
    group searcher(pq, packed, count, k);
    for (int q = 0; q < count; ++q) {
      distance_tables& tables = searcher.tables(q);
      const float* query = detail::row_of(queries, first + q);
      metric == distance_metric::squared_distance ? tables.set_squared_distances(query)
                                                  : tables.set_negative_products(query);
      result.error_bounds[static_cast<std::size_t>(first + q)] =
          tables.is_finite() ? tables.error_bound() : std::numeric_limits<double>::infinity();
    }
    searcher.sum_all_blocks();
    for (int q = 0; q < count; ++q) {
      const distance_tables& tables = searcher.tables(q);
      index j = 0;
      for (const auto& e : searcher.found(q).sorted()) {
        result.numbers(first + q, j) = e.number;
        result.distances(first + q, j++) =
            static_cast<float>(tables.offset() + arch::rounded(tables.scale() * e.sum));
      }
    }
  });
  for (index q = 0; q < queries.rows(); ++q) {
    if (std::isinf(result.error_bounds[static_cast<std::size_t>(q)])) {
      detail::fail("find_nearest", detail::item("a distance of queries", q), "inf",
                   "a finite number");
    }
  }
  return result;
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
