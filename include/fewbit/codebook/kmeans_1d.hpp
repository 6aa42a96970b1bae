#pragma once
/// k-means of numbers: optimal by dynamic programming, or fast by sorting.
///
///     const kmeans_result best = optimal_kmeans_1d(values, 16);     // values: n x 1
///
/// In sorted order each cluster is an interval. Its mean is computed in constant time
/// (codebook/sorted_points.hpp). So an iteration of Lloyd needs k binary searches instead of n k
/// distances. codebook/interval_search.hpp finds the optimum. codebook/kmeans.hpp calls this for
/// points of one dimension.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/codebook/clustering.hpp"
#include "fewbit/codebook/interval_search.hpp"
#include "fewbit/codebook/nearest_1d.hpp"
#include "fewbit/codebook/sorted_points.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// One cell per number.
inline intervals single_cells(index count) {
  intervals ends;
  ends.reserve(static_cast<std::size_t>(count));
  for (index i = 1; i <= count; ++i) ends.push_back(i);
  return ends;
}

/// Splits intervals at their means until there are k. The interval of the largest inertia is split
/// first.
inline void split_to_count(const sorted_points& points, intervals& ends, index k) {
  struct part {
    double inertia;  // negative if it cannot be split
    index first;
    index end;
    bool operator<(const part& other) const noexcept {
      return inertia != other.inertia ? inertia < other.inertia : first > other.first;
    }
  };
  if (static_cast<index>(ends.size()) == k) return;
  std::vector<part> heap;
  const auto push = [&](index first, index end) {
    heap.push_back({end - first < 2 ? -1.0 : points.inertia(first, end), first, end});
    std::push_heap(heap.begin(), heap.end());
  };
  index first = 0;
  for (const index end : ends) push(std::exchange(first, end), end);
  while (static_cast<index>(heap.size()) < k) {
    std::pop_heap(heap.begin(), heap.end());
    const part p = heap.back();
    heap.pop_back();
    const index middle = points.count_up_to(double{points.mean(p.first, p.end)});
    const index at = std::clamp(middle, p.first + 1, p.end - 1);
    push(p.first, at);
    push(at, p.end);
  }
  std::vector<char> is_end(static_cast<std::size_t>(points.size() + 1), 0);
  for (const part& p : heap) is_end[static_cast<std::size_t>(p.end)] = 1;
  ends.clear();
  for (index i = 1; i <= points.size(); ++i) {
    if (is_end[static_cast<std::size_t>(i)] != 0) ends.push_back(i);
  }
}

/// Nearly the best k intervals of more than k numbers. First the numbers are split into 2 k to
/// 256 k cells, limited by 4 million steps of the search. The result is the best division of these
/// cells. If k > 1024, the numbers are split into k intervals without a search.
inline intervals first_intervals(const sorted_points& points, index k) {
  constexpr index steps = index{1} << 22;
  const auto cost = [&](index cells) {
    return k * cells * static_cast<index>(std::bit_width(static_cast<std::uint64_t>(cells)));
  };
  index cells = k;
  if (k <= 1024) {
    cells = std::min(2 * k, points.size());
    while (cells < std::min(256 * k, points.size()) &&
           cost(std::min(2 * cells, points.size())) <= steps) {
      cells = std::min(2 * cells, points.size());
    }
  }
  intervals ends = {points.size()};
  split_to_count(points, ends, cells);
  return cells > k ? interval_search(points, ends).divide(k) : ends;
}

inline std::vector<float> means_of(const sorted_points& points, const intervals& ends) {
  std::vector<float> means;
  index first = 0;
  for (const index end : ends) means.push_back(points.mean(std::exchange(first, end), end));
  return means;
}

/// The interval of the numbers nearest to each of k sorted centroids. For each empty interval
/// another one is split.
inline intervals nearest_intervals(const sorted_points& points,
                                   const std::vector<float>& centroids) {
  intervals ends;
  for (std::size_t j = 0; j < centroids.size(); ++j) {
    const index end =
        j + 1 == centroids.size()
            ? points.size()
            : points.count_up_to(sorted_centroids::midpoint(centroids[j], centroids[j + 1]));
    if (end > (ends.empty() ? 0 : ends.back())) ends.push_back(end);
  }
  split_to_count(points, ends, static_cast<index>(centroids.size()));
  return ends;
}

/// How many numbers changed their interval.
inline index moved_between(const intervals& before, const intervals& after) {
  index same = 0;
  for (std::size_t j = 0; j < after.size(); ++j) {
    const index first = j == 0 ? 0 : std::max(before[j - 1], after[j - 1]);
    same += std::max<index>(std::min(before[j], after[j]) - first, 0);
  }
  return after.back() - same;
}

/// The result for sorted centroids: assignment and inertia.
template <Executor E>
kmeans_result result_of(const matrix_ref& points, const sorted_points& sorted,
                        std::span<const float> weights, const std::vector<float>& centroids,
                        const E& executor) {
  kmeans_result result;
  result.centroids = Eigen::Map<const row_matrix<float>>(centroids.data(),
                                                         static_cast<index>(centroids.size()), 1);
  result.assignment.resize(static_cast<std::size_t>(points.rows()));
  const sorted_centroids in_order(centroids);
  std::size_t at = 0;
  for (const std::uint64_t word : sorted.words()) {
    at = in_order.advance_to_nearest(at, value_of(word));
    result.assignment[position_of(word)] = in_order.number(at);
  }
  result.inertia = inertia_of(points, weights, result.centroids, result.assignment, executor);
  return result;
}

/// k centroids for at most k different numbers: the numbers, with the last one repeated.
inline std::vector<float> all_numbers(const sorted_points& points, index k) {
  std::vector<float> centroids = points.values();
  centroids.resize(static_cast<std::size_t>(k), centroids.back());
  return centroids;
}

/// Iterations of Lloyd from nearly optimal intervals. Does not check its arguments.
template <Progress<kmeans_step> P, Executor E>
kmeans_result kmeans_of_numbers(const matrix_ref& points, index k, const kmeans_options& options,
                                P& progress, const E& executor) {
  const sorted_points sorted(points, options.weights);
  std::vector<float> centroids;
  index iteration = 0;
  bool converged = true;
  if (sorted.size() <= k) {
    centroids = all_numbers(sorted, k);
  } else {
    intervals ends = first_intervals(sorted, k);
    centroids = means_of(sorted, ends);
    double inertia = sorted.inertia(ends);
    converged = false;
    while (!converged && iteration < options.iterations) {
      ++iteration;
      const intervals before = std::exchange(ends, nearest_intervals(sorted, centroids));
      const index moved = moved_between(before, ends);
      const double last = std::exchange(inertia, sorted.inertia(ends));
      centroids = means_of(sorted, ends);
      converged = moved == 0 || last - inertia < options.tolerance * inertia;
      if (!progress(kmeans_step{0, iteration, inertia, moved})) break;
    }
  }
  kmeans_result result = result_of(points, sorted, options.weights, centroids, executor);
  result.iterations = iteration;
  result.converged = converged;
  return result;
}

}  // namespace detail

/// The k centroids of numbers with the least possible inertia, apart from the rounding of double
/// sums and of the centroids to float. Use it for small k, and to judge other searches.
///
/// Takes O(k n log n) steps and 4 k n bytes for n different numbers. It needs 32 n log2 n bytes
/// more if the inertia is less than 2^-20 of that of one cluster, or a weight is less than 2^-28 of
/// their sum. The result has iterations = 0.
///
/// @param points   n x 1
/// @param weights  one per point, or none
/// @throws fewbit::error if points is empty, has more than 2^31 - 1 rows or more than one column,
///         holds a NaN or an infinity, or `kmeans` would reject k or the weights
template <Executor E = inline_executor>
[[nodiscard]] kmeans_result optimal_kmeans_1d(const Eigen::Ref<const row_matrix<float>>& points,
                                              index k, std::span<const float> weights = {},
                                              const E& executor = {}) {
  const char* function = "optimal_kmeans_1d";
  detail::expect_finite(function, "points", points);
  detail::expect_equal(function, "points.cols()", points.cols(), 1);
  detail::expect_sortable(function, "points.rows()", points.rows());
  detail::expect_clusters(function, k, points.rows());
  detail::expect_weights(function, "weights", weights, points.rows());
  const detail::sorted_points sorted(points, weights);
  const std::vector<float> centroids =
      sorted.size() <= k
          ? detail::all_numbers(sorted, k)
          : detail::means_of(
                sorted,
                detail::interval_search(sorted, detail::single_cells(sorted.size())).divide(k));
  kmeans_result result = detail::result_of(points, sorted, weights, centroids, executor);
  result.converged = true;
  return result;
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
