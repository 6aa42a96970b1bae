#pragma once
/// What k-means is asked and what it answers.
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
#include "fewbit/core/types.hpp"
#include "fewbit/quant/quantize.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// How k-means searches. What is not named keeps its value here.
struct kmeans_options {
  index iterations = 25;  ///< at most, in each restart; at least 1
  index restarts = 1;     ///< runs from other first centroids, of which the best is kept
  std::uint64_t seed = 0;
  double tolerance = 0.0;  ///< stops once an iteration lowers the inertia by less than this share
  index candidates = 0;    ///< points tried for each first centroid; 0: 2 + floor(log k)
  /// First centroids are chosen among this many points, spread over the data; 0: 16 k, at least
  /// 4096. More gained nothing measurable on Gaussian data, and all of them take as long as many
  /// iterations.
  index seeding_points = 0;
  std::span<const float> weights = {};  ///< of each point, as if it stood there so often; none: 1
};

/// What an iteration of k-means did.
struct kmeans_step {
  index restart = 0;
  index iteration = 0;   ///< from 1
  double inertia = 0.0;  ///< sum of squared distances to the means of the clusters
  index moved = 0;       ///< points that changed their cluster
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// k centroids and the points that belong to them.
struct kmeans_result {
  row_matrix<float> centroids;           ///< k x d; in one dimension in ascending order
  std::vector<std::int32_t> assignment;  ///< of each point, its nearest centroid
  double inertia = 0.0;                  ///< sum of weight * |x - centroid|^2
  index iterations = 0;                  ///< of the restart that was kept
  bool converged = false;                ///< stopped before the last iteration it was allowed
};

/// Called after each iteration with a `kmeans_step`; answers whether to go on.
template <class P>
concept KmeansProgress = requires(P&& progress, const kmeans_step& step) {
  { progress(step) } -> std::convertible_to<bool>;
};

/// Never stops.
struct no_progress {
  bool operator()(const kmeans_step&) const noexcept { return true; }
};

namespace detail {

/// |a - b|^2 in double, coordinates eight by eight and then the rest: one order for all processors.
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

/// Sum of weight * |x - centroid|^2, in pieces whose sums are added in order.
template <Executor E>
double inertia_of(const matrix_ref& points, std::span<const float> weights,
                  const row_matrix<float>& centroids, const std::vector<std::int32_t>& assignment,
                  const E& executor) {
  constexpr index piece = 4096;
  std::vector<double> sums(static_cast<std::size_t>((points.rows() + piece - 1) / piece));
  executor.for_each(static_cast<index>(sums.size()), [&](index p) {
    double sum = 0.0;
    for (index i = p * piece; i < std::min((p + 1) * piece, points.rows()); ++i) {
      const float* c = centroids.data() + assignment[static_cast<std::size_t>(i)] * points.cols();
      sum += arch::rounded(weight_of(weights, i) *
                           squared_distance(row_of(points, i), c, points.cols()));
    }
    sums[static_cast<std::size_t>(p)] = sum;
  });
  double inertia = 0.0;
  for (const double sum : sums) inertia += sum;
  return inertia;
}

/// Fails unless there is one weight per point, or none at all, none negative and one positive.
/// `name` is what the caller of `function` calls them.
inline void expect_weights(const char* function, const std::string& name,
                           std::span<const float> weights, index points) {
  if (weights.empty()) return;
  if (static_cast<index>(weights.size()) != points) {
    fail(function, name + ".size()", weights.size(), points);
  }
  bool any = false;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    if (!is_finite(weights[i]) || weights[i] < 0.0F) {
      fail(function, item(name.c_str(), static_cast<index>(i)), weights[i],
           "a finite number of at least 0");
    }
    any |= weights[i] > 0.0F;
  }
  if (!any) fail(function, "the largest of " + name, 0, "more than 0");
}

/// Fails unless k is 1 to the number of points. The rule for all that looks for as many clusters as
/// its caller names: what more clusters than points should be, only the caller can know.
inline void expect_clusters(const char* function, index k, index points) {
  constexpr index most = index{1} << 30;
  if (k >= 1 && k <= std::min(points, most)) return;
  fail(function, "k", k,
       points <= most ? "1 to " + std::to_string(points) + ", the number of points"
                      : "1 to " + std::to_string(most));
}

/// Fails unless there are no more of `what` than points.
inline void expect_points(const char* function, const char* argument, index points, index clusters,
                          const std::string& what) {
  if (points >= clusters) return;
  fail(function, argument, points,
       "at least " + std::to_string(clusters) + ", the number of " + what);
}

/// `prefix` is what the caller of `function` writes before the name of an option.
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

/// Sorting numbers takes a word of 64 bits for each, half of it for its position.
inline void expect_sortable(const char* function, const char* argument, index numbers) {
  constexpr index most = std::numeric_limits<std::int32_t>::max();
  if (numbers <= most) return;
  fail(function, argument, numbers, "at most " + std::to_string(most) + " in one dimension");
}

}  // namespace detail

}}  // namespace fewbit

#include "fewbit/end.hpp"
