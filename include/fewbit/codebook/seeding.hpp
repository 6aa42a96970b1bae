#pragma once
/// First centroids for k-means: greedy k-means++. If there are no more than k different points,
/// these points are the centroids.
///
/// Each next centroid is drawn among the points with a probability proportional to weight *
/// (squared distance to the nearest centroid so far). Several candidates are drawn. The one that
/// lowers the weighted sum of these distances most is kept.
///
/// Source: Arthur and Vassilvitskii 2007, "k-means++: the advantages of careful seeding". Section 5
/// describes the candidates and their number, 2 + log k.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "fewbit/arch/fused.hpp"
#include "fewbit/arch/vec.hpp"
#include "fewbit/codebook/clustering.hpp"
#include "fewbit/codebook/nearest.hpp"
#include "fewbit/codebook/point_panel.hpp"
#include "fewbit/codebook/row_table.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/random.hpp"
#include "fewbit/core/rows.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// A sequence of random numbers in [0, 1).
class random_sequence {
 public:
  explicit random_sequence(const generator& g) noexcept : at_(g) {}

  double next() noexcept {
    const auto bits = random_bits(at_.seed, at_.counter++);
    return static_cast<double>((std::uint64_t{bits[0]} << 21) | (bits[1] >> 11)) * 0x1p-53;
  }

 private:
  generator at_;
};

/// k-means++ over the points of some panels that were mapped without a shift. Distances are sums of
/// squared differences, not differences of norms. So a point that equals a centroid has distance 0
/// exactly, and a distant point does not cost the others precision. Distances are summed in float
/// over the panels of a piece, column by column, then in double.
template <class Arch, Executor E>
class kmeans_plus_plus {
  using shape = nearest_shape<Arch>;
  using lanes = typename shape::lanes;
  static constexpr index tile = index{shape::registers} * lanes::lanes;
  static constexpr index piece = 32;  // panels

 public:
  /// @param weights  one per point, or none
  kmeans_plus_plus(const point_panels& panels, index d, std::span<const float> weights,
                   const E& executor)
      : panels_(panels),
        d_(d),
        executor_(executor),
        weight_(panels.panels() * panel_points),
        closest_(panels.panels() * panel_points, for_overwrite),
        panel_sum_(static_cast<std::size_t>(panels.panels())) {
    for (index i = 0; i < panels.points(); ++i) {
      weight_[i] = weights.empty() ? 1.0F : weights[static_cast<std::size_t>(i)];
    }
  }

  /// The numbers of k points; fewer if every other point is at distance 0 from one of them.
  std::vector<index> choose(index k, index candidates, random_sequence random) {
    std::fill(closest_.begin(), closest_.end(), 1.0F);
    executor_.for_each(pieces(), [&](index p) { sum_panels(p); });
    std::vector<index> chosen;
    std::vector<index> tried;
    while (static_cast<index>(chosen.size()) < k && total() > 0.0) {
      tried.clear();
      for (index c = 0; c < (chosen.empty() ? 1 : candidates); ++c) {
        tried.push_back(draw(random.next()));
      }
      if (chosen.empty()) {
        std::fill(closest_.begin(), closest_.end(), std::numeric_limits<float>::max());
      }
      chosen.push_back(best_of(tried));
      const std::vector<float> centroid = coordinates(chosen.back());
      executor_.for_each(pieces(), [&](index p) { add_centroid(p, centroid.data()); });
    }
    return chosen;
  }

 private:
  [[nodiscard]] index pieces() const noexcept { return (panels_.panels() + piece - 1) / piece; }

  [[nodiscard]] double total() const noexcept {
    double sum = 0.0;
    for (const double s : panel_sum_) sum += s;
    return sum;
  }

  [[nodiscard]] std::vector<float> coordinates(index i) const {
    std::vector<float> x(static_cast<std::size_t>(d_));
    const float* column = panels_.panel(i / panel_points) + i % panel_points;
    for (index t = 0; t < d_; ++t) x[static_cast<std::size_t>(t)] = column[t * panel_points];
    return x;
  }

  /// The point at which the running sum of weight * distance reaches the share u of the total.
  [[nodiscard]] index draw(double u) const noexcept {
    double rest = u * total();
    std::size_t p = 0;
    while (p + 1 < panel_sum_.size() && rest >= panel_sum_[p]) rest -= panel_sum_[p++];
    while (panel_sum_[p] == 0.0) --p;  // rounding can lead past the last panel with weight
    const index first = static_cast<index>(p) * panel_points;
    index last = first;
    for (index i = first; i < first + panel_points; ++i) {
      const double part = double{weight_[i]} * double{closest_[i]};
      if (part == 0.0) continue;
      last = i;
      if (rest < part) break;
      rest -= part;
    }
    return last;
  }

  /// The candidate with the least remaining sum.
  [[nodiscard]] index best_of(const std::vector<index>& tried) const {
    if (tried.size() == 1) return tried[0];
    std::vector<std::vector<float>> centroids;
    for (const index i : tried) centroids.push_back(coordinates(i));
    const auto count = static_cast<index>(tried.size());
    std::vector<double> sums(static_cast<std::size_t>(pieces() * count));
    executor_.for_each(pieces(), [&](index p) {
      for (index c = 0; c < count; ++c) {
        sums[static_cast<std::size_t>(p * count + c)] =
            sum_with(p, centroids[static_cast<std::size_t>(c)].data());
      }
    });
    index best = 0;
    double least = std::numeric_limits<double>::infinity();
    for (index c = 0; c < count; ++c) {
      double sum = 0.0;
      for (index p = 0; p < pieces(); ++p) sum += sums[static_cast<std::size_t>(p * count + c)];
      if (sum < least) best = c;
      least = std::min(least, sum);
    }
    return tried[static_cast<std::size_t>(best)];
  }

  template <class F>
  FEWBIT_ALWAYS_INLINE void for_each_panel(index p, F f) const {
    const index end = std::min((p + 1) * piece, panels_.panels());
    for (index panel = p * piece; panel < end; ++panel) f(panel);
  }

  /// min(closest, |x - centroid|^2) for a tile of points.
  FEWBIT_ALWAYS_INLINE void distances_with(index panel, index column, const float* centroid,
                                           lanes (&distance)[shape::registers]) const noexcept {
    const float* x = panels_.panel(panel) + column;
#pragma GCC unroll 4
    for (int r = 0; r < shape::registers; ++r) distance[r] = lanes(0.0F);
    for (index t = 0; t < d_; ++t, x += panel_points) {
      const lanes c(centroid[t]);
#pragma GCC unroll 4
      for (int r = 0; r < shape::registers; ++r) {
        const lanes difference = lanes::load(x + r * lanes::lanes) - c;
        distance[r] = arch::fused_multiply_add(difference, difference, distance[r]);
      }
    }
    const float* closest = closest_.data() + panel * panel_points + column;
#pragma GCC unroll 4
    for (int r = 0; r < shape::registers; ++r) {
      distance[r] = arch::min(distance[r], lanes::load(closest + r * lanes::lanes));
    }
  }

  /// The sum of weight * distance over a piece if this centroid were added.
  [[nodiscard]] double sum_with(index p, const float* centroid) const noexcept {
    double sum = 0.0;
    for (index column = 0; column < panel_points; column += tile) {
      lanes sums[shape::registers];
#pragma GCC unroll 4
      for (int r = 0; r < shape::registers; ++r) sums[r] = lanes(0.0F);
      for_each_panel(p, [&](index panel) {
        lanes distance[shape::registers];
        distances_with(panel, column, centroid, distance);
        const float* weight = weight_.data() + panel * panel_points + column;
#pragma GCC unroll 4
        for (int r = 0; r < shape::registers; ++r) {
          sums[r] = arch::fused_multiply_add(lanes::load(weight + r * lanes::lanes), distance[r],
                                             sums[r]);
        }
      });
      for (int r = 0; r < shape::registers; ++r) {
        for (int lane = 0; lane < lanes::lanes; ++lane) sum += double{sums[r][lane]};
      }
    }
    return sum;
  }

  /// Updates the distances and sums of a piece for a new centroid.
  void add_centroid(index p, const float* centroid) noexcept {
    for_each_panel(p, [&](index panel) {
      for (index column = 0; column < panel_points; column += tile) {
        lanes distance[shape::registers];
        distances_with(panel, column, centroid, distance);
        for (int r = 0; r < shape::registers; ++r) {
          distance[r].store(closest_.data() + panel * panel_points + column + r * lanes::lanes);
        }
      }
    });
    sum_panels(p);
  }

  void sum_panels(index p) noexcept {
    constexpr int width = 8;
    using wide = arch::vec<double, width>;
    using floats = arch::vec<float, width>;
    for_each_panel(p, [&](index panel) {
      wide sums(0.0);
      for (index i = panel * panel_points; i < (panel + 1) * panel_points; i += width) {
        sums += arch::convert<double>(floats::load(weight_.data() + i)) *
                arch::convert<double>(floats::load(closest_.data() + i));  // exact products
      }
      double sum = 0.0;
      for (int lane = 0; lane < width; ++lane) sum += sums[lane];
      panel_sum_[static_cast<std::size_t>(panel)] = sum;
    });
  }

  const point_panels& panels_;
  index d_;
  const E& executor_;
  aligned_buffer<float> weight_;   // 0 after the last point
  aligned_buffer<float> closest_;  // squared distance to the nearest centroid so far
  std::vector<double> panel_sum_;  // of weight * closest
};

/// Completes the centroids to k if float distances are 0, because their squares are less than
/// 2^-149 of the squared extent of the data: k-means++ in double, with one candidate for each
/// centroid. There must be at least k different points with positive weight.
template <Executor E>
void choose_in_double(const matrix_ref& points, std::span<const float> weights, index k,
                      random_sequence& random, std::vector<index>& chosen, const E& executor) {
  if (static_cast<index>(chosen.size()) >= k) return;
  constexpr index piece = 4096;
  const index pieces = (points.rows() + piece - 1) / piece;
  std::vector<double> closest(static_cast<std::size_t>(points.rows()),
                              std::numeric_limits<double>::max());
  std::vector<double> sums(static_cast<std::size_t>(pieces));
  const auto part = [&](index i) {
    return weight_of(weights, i) * closest[static_cast<std::size_t>(i)];
  };
  const auto add_centroid = [&](index centroid) {
    executor.for_each(pieces, [&](index p) {
      double sum = 0.0;
      for (index i = p * piece; i < std::min((p + 1) * piece, points.rows()); ++i) {
        double& least = closest[static_cast<std::size_t>(i)];
        least = std::min(
            least, squared_distance(row_of(points, i), row_of(points, centroid), points.cols()));
        sum += arch::rounded(part(i));
      }
      sums[static_cast<std::size_t>(p)] = sum;
    });
  };
  const auto draw = [&](double rest) {
    std::size_t p = 0;
    while (p + 1 < sums.size() && rest >= sums[p]) rest -= sums[p++];
    while (sums[p] == 0.0) --p;  // rounding can lead past the last piece with weight
    index last = static_cast<index>(p) * piece;
    for (index i = last; i < std::min(static_cast<index>(p + 1) * piece, points.rows()); ++i) {
      if (part(i) == 0.0) continue;
      last = i;
      if (rest < part(i)) break;
      rest -= part(i);
    }
    return last;
  };
  for (const index i : chosen) add_centroid(i);
  while (static_cast<index>(chosen.size()) < k) {
    double total = 0.0;
    for (const double sum : sums) total += sum;
    chosen.push_back(draw(random.next() * total));
    add_centroid(chosen.back());
  }
}

/// The different points with positive weight.
struct distinct_points {
  std::vector<index> rows;           // the first row of each
  std::vector<std::int32_t> number;  // for each point, its place in rows; -1 for weight 0
};

/// Stops when more than k different points are found.
inline distinct_points find_distinct(const matrix_ref& points, std::span<const float> weights,
                                     index k) {
  const index room = std::min(k, points.rows());
  row_table table(room + 1);
  distinct_points found;
  found.number.assign(static_cast<std::size_t>(points.rows()), -1);
  const auto row = [&](index number) {
    return row_of(points, found.rows[static_cast<std::size_t>(number)]);
  };
  for (index i = 0; i < points.rows() && static_cast<index>(found.rows.size()) <= k; ++i) {
    if (weight_of(weights, i) == 0.0) continue;
    const auto next = static_cast<std::int32_t>(found.rows.size());
    const std::int32_t number = table.find_or_add(next, row, row_of(points, i), points.cols(), 1);
    if (number == next) found.rows.push_back(i);
    found.number[static_cast<std::size_t>(i)] = number;
  }
  return found;
}

/// 2 + floor(log k), from a table of powers of e.
inline index default_candidates(index k) noexcept {
  static constexpr double power[] = {2.718281828459045,  7.38905609893065,   20.085536923187668,
                                     54.598150033144236, 148.4131591025766,  403.4287934927351,
                                     1096.6331584284585, 2980.9579870417283, 8103.083927575384,
                                     22026.465794806718, 59874.14171519782,  162754.79141900392};
  index count = 2;
  for (const double p : power) count += static_cast<double>(k) >= p ? 1 : 0;
  return count;
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
