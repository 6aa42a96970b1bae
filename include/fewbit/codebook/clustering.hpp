#pragma once
/// Options, progress reports and result of k-means, and the checks of its arguments.
///
/// Read next: codebook/kmeans.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "fewbit/arch/vec.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/rows.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// How k-means searches.
struct kmeans_options {
  index iterations = 25;  ///< limit for each restart; at least 1
  index restarts = 1;     ///< runs with different first centroids; the best is kept
  std::uint64_t seed = 0;
  double tolerance = 0.0;  ///< stop when an iteration lowers the inertia by less than this share
  index candidates = 0;    ///< points compared for each first centroid; 0: 2 + floor(log k)
  /// First centroids are chosen among this many points, spread over the data. 0: 16 k, at least
  /// 4096. With Gaussian data more points gained nothing measurable, and using all points takes as
  /// long as many iterations.
  index seeding_points = 0;
  std::span<const float> weights = {};  ///< one per point, 2 counts as two points; none: all 1
};

/// Progress of k-means after one iteration.
struct kmeans_step {
  index restart = 0;
  index iteration = 0;   ///< from 1
  double inertia = 0.0;  ///< sum of squared distances to the means of the clusters
  index moved = 0;       ///< points that changed their cluster
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// k centroids and the assignment of the points.
struct kmeans_result {
  row_matrix<float> centroids;           ///< k x d; in ascending order if d = 1
  std::vector<std::int32_t> assignment;  ///< one per point: the number of its nearest centroid
  double inertia = 0.0;                  ///< sum of weight * |x - centroid|^2
  index iterations = 0;                  ///< of the restart that was kept
  bool converged = false;                ///< whether it stopped before the iteration limit
};

/// A function that a search calls with a `Step` after each iteration. It returns whether to
/// continue.
template <class P, class Step>
concept Progress = requires(P&& progress, const Step& step) {
  { progress(step) } -> std::convertible_to<bool>;
};

/// Always continues.
struct no_progress {
  template <class Step>
  bool operator()(const Step&) const noexcept {
    return true;
  }
};

namespace detail {

/// Squared distance in double: eight coordinates at a time, then the rest. Every processor adds in
/// the same order.
inline double squared_distance(const float* a, const float* b, index d) noexcept {
  constexpr int width = 8;
  using lanes = arch::vec<double, width>;
  using floats = arch::vec<float, width>;
  double sum = 0.0;
  index t = 0;
  if (d >= width) {
    lanes sums(0.0);
    for (; t + width <= d; t += width) {
      const lanes difference =
          arch::convert<double>(floats::load(a + t)) - arch::convert<double>(floats::load(b + t));
      sums += arch::rounded(lanes(difference * difference));
    }
    for (int lane = 0; lane < width; ++lane) sum += sums[lane];
  }
  for (; t < d; ++t) {
    const double difference = double{a[t]} - double{b[t]};
    sum += arch::rounded(difference * difference);
  }
  return sum;
}

inline double weight_of(std::span<const float> weights, index i) noexcept {
  return weights.empty() ? 1.0 : double{weights[static_cast<std::size_t>(i)]};
}

/// Sum of weight * |a - b(i)|^2 over rows first .. end - 1 of `a`, in order. b(i) points to a row.
template <class F>
double weighted_squared_error(const matrix_ref& a, std::span<const float> weights, index first,
                              index end, const F& b) noexcept {
  double sum = 0.0;
  for (index i = first; i < end; ++i) {
    sum += arch::rounded(weight_of(weights, i) * squared_distance(row_of(a, i), b(i), a.cols()));
  }
  return sum;
}

/// Sum of weight * |x - centroid|^2. The points are cut into pieces; the sums of the pieces are
/// added in order.
template <Executor E>
double inertia_of(const matrix_ref& points, std::span<const float> weights,
                  const row_matrix<float>& centroids, const std::vector<std::int32_t>& assignment,
                  const E& executor) {
  constexpr index piece = 4096;
  std::vector<double> sums(static_cast<std::size_t>((points.rows() + piece - 1) / piece));
  executor.for_each(static_cast<index>(sums.size()), [&](index p) {
    const index end = std::min((p + 1) * piece, points.rows());
    sums[static_cast<std::size_t>(p)] =
        weighted_squared_error(points, weights, p * piece, end, [&](index i) {
          return centroids.data() + assignment[static_cast<std::size_t>(i)] * points.cols();
        });
  });
  double inertia = 0.0;
  for (const double sum : sums) inertia += sum;
  return inertia;
}

/// Fails unless weights is empty, or has one finite weight >= 0 per point and at least one > 0.
/// `name` is the argument name in the error sentence.
inline void expect_weights(const char* function, const std::string& name,
                           std::span<const float> weights, index points) {
  if (weights.empty()) return;
  if (static_cast<index>(weights.size()) != points) {
    fail(function, name + ".size()", weights.size(), points);
  }
  bool any = false;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (!is_finite(weights[i]) || weights[i] < 0.0F) {
      fail(function, item(name, static_cast<index>(i)), weights[i],
           "a finite number of at least 0");
    }
    any |= weights[i] > 0.0F;
  }
  if (!any) fail(function, "the largest of " + name, 0, "more than 0");
}

/// Fails unless k is 1 to the number of points. For functions whose caller chooses k: only the
/// caller can decide what to do with more clusters than points.
inline void expect_clusters(const char* function, index k, index points) {
  constexpr index most = index{1} << 30;
  if (k >= 1 && k <= std::min(points, most)) return;
  fail(function, "k", k,
       points <= most ? "1 to " + std::to_string(points) + ", the number of points"
                      : "1 to " + std::to_string(most));
}

/// Fails if there are fewer points than clusters. `what` names the clusters in the error sentence.
inline void expect_points(const char* function, const char* argument, index points, index clusters,
                          const std::string& what) {
  if (points >= clusters) return;
  fail(function, argument, points,
       "at least " + std::to_string(clusters) + ", the number of " + what);
}

/// Fails unless the options are in range for so many points. `prefix` precedes the names of the
/// options in an error sentence.
inline void expect_options(const char* function, const std::string& prefix, const kmeans_options& o,
                           index points) {
  const auto at_least = [&](const char* name, index got, index want) {
    if (got < want) fail(function, prefix + name, got, "at least " + std::to_string(want));
  };
  at_least("iterations", o.iterations, 1);
  at_least("restarts", o.restarts, 1);
  at_least("candidates", o.candidates, 0);
  at_least("seeding_points", o.seeding_points, 0);
  if (!(o.tolerance >= 0.0)) fail(function, prefix + "tolerance", o.tolerance, "at least 0");
  expect_weights(function, prefix + "weights", o.weights, points);
}

/// Sorting stores each number and its position in one 64-bit word: 32 bits for the position.
inline void expect_sortable(const char* function, const char* argument, index numbers) {
  constexpr index most = std::numeric_limits<std::int32_t>::max();
  if (numbers <= most) return;
  fail(function, argument, numbers, "at most " + std::to_string(most) + " in one dimension");
}

}  // namespace detail

}}  // namespace fewbit

#include "fewbit/end.hpp"
