#pragma once
/// k-means: finds k centroids with a small sum of squared distances from the points.
///
///     const kmeans_result r = kmeans(points, 256);
///     const kmeans_result s = kmeans(points, 256, {.restarts = 4, .seed = 1}, pool);
///
/// Parts: codebook/seeding.hpp (first centroids), codebook/nearest.hpp (nearest centroids),
/// codebook/nearest_by_codes.hpp (the same, faster for many coordinates), codebook/lloyd.hpp
/// (iterations), codebook/kmeans_1d.hpp (one dimension, by sorting).

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "fewbit/arch/arch.hpp"
#include "fewbit/codebook/clustering.hpp"
#include "fewbit/codebook/kmeans_1d.hpp"
#include "fewbit/codebook/lloyd.hpp"
#include "fewbit/codebook/nearest.hpp"
#include "fewbit/codebook/point_panel.hpp"
#include "fewbit/codebook/seeding.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// Copies some rows of points.
inline row_matrix<float> rows_of(const matrix_ref& points, const std::vector<index>& rows) {
  row_matrix<float> m(static_cast<index>(rows.size()), points.cols());
  for (index i = 0; i < m.rows(); ++i) m.row(i) = points.row(rows[static_cast<std::size_t>(i)]);
  return m;
}

/// The clustering of points with at most k different values of positive weight.
template <class Arch, Executor E>
kmeans_result cluster_distinct(const matrix_ref& points, index k, const distinct_points& distinct,
                               const E& executor) {
  kmeans_result result;
  std::vector<index> rows = distinct.rows;
  rows.resize(static_cast<std::size_t>(k), rows.back());
  result.centroids = rows_of(points, rows);
  result.assignment = nearest_centroids<Arch>(points, result.centroids, executor);
  for (std::size_t i = 0; i < result.assignment.size(); ++i) {
    if (distinct.number[i] >= 0) result.assignment[i] = distinct.number[i];
  }
  result.converged = true;
  return result;
}

/// First centroids by k-means++ on a sample: the data is cut into equal parts, and one point is
/// drawn from each.
template <class Arch, Executor E>
row_matrix<float> first_centroids(const matrix_ref& points, index k, const kmeans_options& options,
                                  const lloyd<Arch, E>& all, const generator& g,
                                  const E& executor) {
  const index candidates = options.candidates > 0 ? options.candidates : default_candidates(k);
  const index wanted =
      options.seeding_points > 0 ? options.seeding_points : std::max<index>(16 * k, 4096);
  const index count = std::clamp(wanted, std::min(k, points.rows()), points.rows());
  const centering map = all.map().unshifted();
  std::vector<index> chosen;
  random_sequence random({g.seed, g.counter + (std::uint64_t{1} << 39)});
  if (count < points.rows()) {
    std::vector<index> sample;
    std::vector<float> weights;
    for (index s = 0; s < count; ++s) {
      const double place = (static_cast<double>(s) + random.next()) / static_cast<double>(count);
      const auto row = static_cast<index>(place * static_cast<double>(points.rows()));
      sample.push_back(std::min(row, points.rows() - 1));
      weights.push_back(static_cast<float>(weight_of(options.weights, sample.back())));
    }
    const row_matrix<float> rows = rows_of(points, sample);
    const point_panels panels(rows, map, executor);
    chosen = kmeans_plus_plus<Arch, E>(panels, points.cols(), weights, executor)
                 .choose(k, candidates, random_sequence(g));
    for (index& i : chosen) i = sample[static_cast<std::size_t>(i)];
  }
  if (static_cast<index>(chosen.size()) < k) {
    const point_panels panels(points, map, executor);
    chosen = kmeans_plus_plus<Arch, E>(panels, points.cols(), options.weights, executor)
                 .choose(k, candidates, random_sequence(g));
  }
  choose_in_double(points, options.weights, k, random, chosen, executor);
  return rows_of(points, chosen);
}

/// One restart: iterates until no point moves or a limit of the options is reached. `go_on`
/// receives the last return value of `progress`.
template <class Arch, Progress<kmeans_step> P, Executor E>
kmeans_result run_lloyd(const matrix_ref& points, index k, const kmeans_options& options,
                        index restart, lloyd<Arch, E>& clusters, P& progress, bool& go_on,
                        const E& executor) {
  const generator first{options.seed, static_cast<std::uint64_t>(restart) << 40};
  random_sequence noise({first.seed, first.counter + (std::uint64_t{1} << 38)});
  kmeans_result result;
  result.centroids = first_centroids(points, k, options, clusters, first, executor);
  packed_centroids packed(result.centroids, clusters.map());
  clusters.clear_assignment();
  double inertia = std::numeric_limits<double>::max();
  bool exact = true;
  while (go_on && !result.converged && result.iterations < options.iterations) {
    ++result.iterations;
    const index moved = clusters.assign(packed, exact);
    const double last = std::exchange(inertia, clusters.update(result.centroids, noise));
    packed.pack(result.centroids);
    const bool stays = moved == 0 || last - inertia < options.tolerance * inertia;
    result.converged = stays && exact;
    exact = stays || !clusters.scores_suffice(packed, inertia);
    go_on = progress(kmeans_step{restart, result.iterations, inertia, moved});
  }
  result.assignment = nearest_centroids<Arch>(points, result.centroids, executor);
  result.inertia =
      inertia_of(points, options.weights, result.centroids, result.assignment, executor);
  return result;
}

/// kmeans without checks, for any k.
template <class Arch, Progress<kmeans_step> P, Executor E>
kmeans_result find_clusters(const matrix_ref& points, index k, const kmeans_options& options,
                            P& progress, const E& executor) {
  static_assert(Arch::compiled,
                "fewbit: this arch is not compiled in; add its -m flag, or use arch::native");
  if (points.cols() == 1) return kmeans_of_numbers(points, k, options, progress, executor);
  const distinct_points distinct = find_distinct(points, options.weights, k);
  if (static_cast<index>(distinct.rows.size()) <= k) {
    return cluster_distinct<Arch>(points, k, distinct, executor);
  }
  lloyd<Arch, E> clusters(points, options.weights, k, executor);
  kmeans_result best;
  bool go_on = true;
  for (index restart = 0; go_on && restart < options.restarts; ++restart) {
    kmeans_result result =
        run_lloyd(points, k, options, restart, clusters, progress, go_on, executor);
    if (restart == 0 || result.inertia < best.inertia) best = std::move(result);
  }
  return best;
}

}  // namespace detail

/// Finds k centroids c_j with a small inertia
///
///     sum over points of weight * min over j of |x - c_j|^2
///
/// @param points    n x d, one point per row: a matrix, Map or block. Row-major rows are not
///                  copied.
/// @param k         1 to n, at most 2^30. If there are at most k different points of positive
///                  weight, these are the centroids, the last one is repeated, and the inertia is
///                  0.
/// @param progress  called after each iteration. After it returns false, the best clustering so far
///                  is returned.
/// @throws fewbit::error if points is empty or holds a NaN or an infinity, k or an option is out of
///         range, or weights is not one finite number >= 0 per point with at least one > 0
///
/// The result depends on points, k and options only, bit for bit: not on the executor, the number
/// of threads or the instruction set. If d = 1, the first centroids are nearly optimal and not
/// random, so seed and restarts have no effect.
///
/// Source: Lloyd 1982, "Least squares quantization in PCM"; first centroids by greedy k-means++,
/// Arthur and Vassilvitskii 2007.
template <class Arch = arch::native, Progress<kmeans_step> P, Executor E = inline_executor>
[[nodiscard]] kmeans_result kmeans(const Eigen::Ref<const row_matrix<float>>& points, index k,
                                   const kmeans_options& options, P&& progress,
                                   const E& executor = {}) {
  detail::expect_finite("kmeans", "points", points);
  if (points.cols() == 1) detail::expect_sortable("kmeans", "points.rows()", points.rows());
  detail::expect_clusters("kmeans", k, points.rows());
  detail::expect_options("kmeans", "", options, points.rows());
  return detail::find_clusters<Arch>(points, k, options, progress, executor);
}

/// The same without progress reports.
template <class Arch = arch::native, Executor E = inline_executor>
[[nodiscard]] kmeans_result kmeans(const Eigen::Ref<const row_matrix<float>>& points, index k,
                                   const kmeans_options& options = {}, const E& executor = {}) {
  return kmeans<Arch>(points, k, options, no_progress{}, executor);
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
