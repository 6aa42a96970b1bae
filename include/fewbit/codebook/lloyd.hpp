#pragma once
/// The iterations of k-means (Lloyd): assign each point to its nearest centroid, then move each
/// centroid to the mean of its points.
///
/// Read next: codebook/kmeans.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "fewbit/arch/vec.hpp"
#include "fewbit/codebook/clustering.hpp"
#include "fewbit/codebook/nearest.hpp"
#include "fewbit/codebook/nearest_by_codes.hpp"
#include "fewbit/codebook/point_panel.hpp"
#include "fewbit/codebook/seeding.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// sum += weight * x in double. The products are exact.
FEWBIT_ALWAYS_INLINE void add_point(const float* x, double weight, index d, double* sum) noexcept {
  index t = 0;
  const auto add = [&]<int width>() {
    using wide = arch::vec<double, width>;
    using floats = arch::vec<float, width>;
    for (; t + width <= d; t += width) {
      const wide product = arch::convert<double>(floats::load(x + t)) * wide(weight);
      wide(wide::load(sum + t) + product).store(sum + t);
    }
  };
  add.template operator()<8>();
  add.template operator()<4>();
  for (; t < d; ++t) sum[t] += weight * double{x[t]};
}

/// Points with their clusters. The points are cut into pieces whose size depends on k only. Each
/// piece has its own sums, and these are added in the order of the pieces. So the result does not
/// depend on the executor.
template <class Arch, Executor E>
class lloyd {
 public:
  lloyd(const matrix_ref& points, std::span<const float> weights, index k, const E& executor)
      : points_(points),
        weights_(weights),
        k_(k),
        executor_(executor),
        map_(centering::of(points)),
        panels_(points, map_, executor),
        piece_((std::max<index>(4 * k, 4096) + panel_points - 1) / panel_points),
        pieces_((panels_.panels() + piece_ - 1) / piece_),
        middle_(1, points.cols()),
        piece_sums_(pieces_ * sums(), for_overwrite),
        moved_(static_cast<std::size_t>(pieces_)),
        assignment_(static_cast<std::size_t>(points.rows())) {
    for (index t = 0; t < points.cols(); ++t) {
      middle_(0, t) = map_.shift[static_cast<std::size_t>(t)] / map_.scale;
    }
    if constexpr (has_coded_search<Arch>) {
      use_codes_ = is_faster_by_codes(points.cols(), k);
      if (use_codes_) coded_panels_ = coded_panels(panels_, points.cols(), executor);
    }
    spread_ = inertia_of(points, weights, middle_, assignment_, executor);
    const double square = middle_.cast<double>().squaredNorm();
    for (index i = 0; i < points.rows(); ++i) weight_ += weight_of(weights, i);
    middle_inertia_ = weight_ * square;
    for (index p = 0; p < panels_.panels(); ++p) {
      norm_bound_ = std::max(norm_bound_, panels_.panel(p)[points.cols() * panel_points]);
    }
  }

  [[nodiscard]] const point_panels& panels() const noexcept { return panels_; }
  [[nodiscard]] const centering& map() const noexcept { return map_; }

  /// Removes all points from their clusters before the next restart.
  void clear_assignment() { std::fill(assignment_.begin(), assignment_.end(), -1); }

  /// Whether the rounding of float scores raises an inertia by less than a thousandth.
  [[nodiscard]] bool scores_suffice(const packed_centroids& centroids,
                                    double inertia) const noexcept {
    const double scale = double{map_.scale};
    return 2.0 * double{centroids.margin(norm_bound_)} * weight_ <
           0x1p-10 * inertia * scale * scale;
  }

  /// Assigns each point to its nearest centroid and returns how many points changed their cluster.
  /// Unless `exact`, float scores alone decide.
  index assign(const packed_centroids& centroids, bool exact) {
    if (use_codes_) coded_centroids_.code(centroids);
    executor_.for_each(pieces_, [&](index p) {
      exact ? assign_piece<true>(p, centroids) : assign_piece<false>(p, centroids);
    });
    index moved = 0;
    for (const index m : moved_) moved += m;
    return moved;
  }

  /// Moves each centroid to the mean of its cluster and returns the inertia of the clusters about
  /// their means. An empty cluster takes half of the heaviest cluster that has more than one
  /// distinct point.
  double update(row_matrix<float>& centroids, random_sequence& random) {
    double* sum = piece_sums_.data();
    for (index p = 1; p < pieces_; ++p) {
      const double* other = sum + p * sums();
      for (index i = 0; i < sums(); ++i) sum[i] += other[i];
    }
    const index d = points_.cols();
    const double* weight = sum + k_ * d;
    double explained = 0.0;
    bool any_empty = false;
    for (index j = 0; j < k_; ++j) {
      any_empty |= weight[j] == 0.0;
      if (weight[j] == 0.0) continue;
      double square = 0.0;
      for (index t = 0; t < d; ++t) {
        const double mean = sum[j * d + t] /= weight[j];
        const double offset = mean - double{middle_(0, t)};
        square += arch::rounded(offset * offset);
        centroids(j, t) = static_cast<float>(mean);
      }
      explained += arch::rounded(weight[j] * square);
    }
    double inertia = spread_ - explained;
    // A small difference of large sums is mostly rounding error: sum again, about the means.
    if (inertia < 0x1p-10 * spread_ + 0x1p-24 * middle_inertia_) inertia = inertia_about(sum);
    if (any_empty) split_into_empty(centroids, {weight, weight + k_}, random);
    return inertia;
  }

 private:
  /// Number of doubles of a piece: k x d sums and k weights.
  [[nodiscard]] index sums() const noexcept { return k_ * (points_.cols() + 1); }

  /// As nearest_by_scores; by codes where that is faster.
  template <bool Exact>
  std::uint64_t nearest_in_panel_by_scores(index panel, const packed_centroids& centroids,
                                           std::int32_t* nearest) const noexcept {
    if constexpr (has_coded_search<Arch>) {
      if (use_codes_) {
        return nearest_by_codes<Arch, Exact>(centroids, coded_centroids_, panels_.panel(panel),
                                             coded_panels_.codes(panel),
                                             coded_panels_.data_of(panel), nearest);
      }
    }
    return nearest_by_scores<Arch, Exact>(centroids, panels_.panel(panel), nearest);
  }

  template <bool Exact>
  void assign_piece(index p, const packed_centroids& centroids) noexcept {
    const index d = points_.cols();
    double* sum = piece_sums_.data() + p * sums();
    double* weight_sum = sum + k_ * d;
    std::fill(sum, sum + sums(), 0.0);
    std::int32_t nearest[panel_points];
    index moved = 0;
    for (index panel = p * piece_; panel < std::min((p + 1) * piece_, panels_.panels()); ++panel) {
      const index first = panel * panel_points;
      const index count = std::min(panel_points, points_.rows() - first);
      decide_in_double(centroids, nearest_in_panel_by_scores<Exact>(panel, centroids, nearest),
                       row_of(points_, first), points_.outerStride(), count, nearest);
      for (index i = 0; i < count; ++i) {
        std::int32_t& cluster = assignment_[static_cast<std::size_t>(first + i)];
        moved += cluster != nearest[i] ? 1 : 0;
        cluster = nearest[i];
        const double weight = weight_of(weights_, first + i);
        weight_sum[cluster] += weight;
        add_point(row_of(points_, first + i), weight, d, sum + cluster * d);
      }
    }
    moved_[static_cast<std::size_t>(p)] = moved;
  }

  /// Sum of weight * |x - mean|^2, in pieces whose sums are added in order.
  [[nodiscard]] double inertia_about(const double* means) const {
    const index d = points_.cols();
    std::vector<double> sums(static_cast<std::size_t>(pieces_), 0.0);
    executor_.for_each(pieces_, [&](index p) {
      const index end = std::min((p + 1) * piece_ * panel_points, points_.rows());
      for (index i = p * piece_ * panel_points; i < end; ++i) {
        const float* x = row_of(points_, i);
        const double* mean = means + assignment_[static_cast<std::size_t>(i)] * d;
        double square = 0.0;
        for (index t = 0; t < d; ++t) {
          const double difference = double{x[t]} - mean[t];
          square += arch::rounded(difference * difference);
        }
        sums[static_cast<std::size_t>(p)] += arch::rounded(weight_of(weights_, i) * square);
      }
    });
    double inertia = 0.0;
    for (const double sum : sums) inertia += sum;
    return inertia;
  }

  /// Gives each empty cluster half of another cluster. Both centroids move away from the mean in
  /// opposite random directions, by up to 1/64 of the standard deviation of the cluster.
  void split_into_empty(row_matrix<float>& centroids, std::vector<double> weight,
                        random_sequence& random) const {
    const index d = points_.cols();
    std::vector<double> spread(static_cast<std::size_t>(k_), 0.0);
    for (index i = 0; i < points_.rows(); ++i) {
      const index j = assignment_[static_cast<std::size_t>(i)];
      spread[static_cast<std::size_t>(j)] +=
          arch::rounded(weight_of(weights_, i) *
                        squared_distance(row_of(points_, i), centroids.data() + j * d, d));
    }
    for (index empty = 0; empty < k_; ++empty) {
      if (weight[static_cast<std::size_t>(empty)] > 0.0) continue;
      index donor = -1;
      for (index j = 0; j < k_; ++j) {
        const auto at = static_cast<std::size_t>(j);
        if (spread[at] > 0.0 &&
            (donor < 0 || weight[at] > weight[static_cast<std::size_t>(donor)])) {
          donor = j;
        }
      }
      if (donor < 0) return;
      const auto from = static_cast<std::size_t>(donor);
      const double deviation = std::sqrt(spread[from] / weight[from] / static_cast<double>(d));
      for (index t = 0; t < d; ++t) {
        const double noise = deviation * (random.next() - 0.5) / 32;
        const double middle = centroids(donor, t);
        centroids(empty, t) = clamp_to_float(middle + arch::rounded(noise));
        centroids(donor, t) = clamp_to_float(middle - arch::rounded(noise));
      }
      weight[static_cast<std::size_t>(empty)] = weight[from] /= 2;
      spread[static_cast<std::size_t>(empty)] = spread[from] /= 2;
    }
  }

  /// The nearest float, without overflow.
  static float clamp_to_float(double x) noexcept {
    constexpr double most = std::numeric_limits<float>::max();
    return static_cast<float>(std::clamp(x, -most, most));
  }

  const matrix_ref& points_;
  std::span<const float> weights_;
  index k_;
  const E& executor_;
  centering map_;
  point_panels panels_;
  bool use_codes_ = false;
  coded_panels coded_panels_;
  coded_centroids coded_centroids_;
  index piece_;  // panels per piece
  index pieces_;
  row_matrix<float> middle_;     // the mean of all points; sums of squares are taken about it
  double weight_ = 0.0;          // sum over all points
  float norm_bound_ = 0.0F;      // largest of all panels
  double spread_ = 0.0;          // inertia of all points as one cluster
  double middle_inertia_ = 0.0;  // weight_ * |middle_|^2
  aligned_buffer<double> piece_sums_;
  std::vector<index> moved_;  // per piece
  std::vector<std::int32_t> assignment_;
};

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
