#pragma once
/// The nearest centroid of each point. k-means and product quantization spend most of their time in
/// this loop.
///
///     const std::vector<std::int32_t> codes = nearest_centroids(points, centroids);
///
/// The result is exact: no centroid has a smaller distance in double, and if distances are equal,
/// the lower number wins. The search has two steps.
///
/// Step 1. |x - c|^2 = |x|^2 + 2 (|c|^2 / 2 - x . c), where |x|^2 is the same for all centroids. So
/// the least score |c|^2 / 2 - x . c decides. It starts from |c|^2 / 2 and subtracts the products
/// one by one with fused multiply-adds, in float. Its rounding error is bounded by |x|, the largest
/// |c| and d.
///
///     48 points in lanes  ->  x_t: 3 registers (AVX-512)
///     8 centroids         ->  c_jt broadcast from memory: 24 sums in registers
///
/// Step 2. If the least and the second least score differ by no more than the error bound, the
/// point is undecided: perhaps one point in thousands. For such points the sums of (x_t - c_t)^2
/// are computed from the original coordinates, first in float, where no large terms cancel, then in
/// double for the centroids that float cannot tell apart.
///
/// The iterations of k-means use step 1 alone if the bound is small relative to all distances, and
/// both steps at the end. A score takes d + 3 operations. Finding the second least score as well
/// takes two more for each.
///
/// With many centroids, only the least score of each group of 8 is compared with the least so far:
/// one minimum per score and one comparison per group. At the end, the scores of the best group of
/// each point are computed again, with centroids in lanes, to find the centroid in the group.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/arch/arch.hpp"
#include "fewbit/arch/fused.hpp"
#include "fewbit/arch/vec.hpp"
#include "fewbit/codebook/nearest_1d.hpp"
#include "fewbit/codebook/point_panel.hpp"
#include "fewbit/codebook/row_table.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/rows.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// Centroids in the memory order of the search: groups of 8. A group has 8 values |c|^2 / 2, then 8
/// values -c_t for each coordinate t, all after the centering map. Missing centroids of the last
/// group are infinitely far away. So is a centroid that equals an earlier one, because the lower
/// number wins.
class packed_centroids {
 public:
  /// The number of centroids of a group.
  static constexpr int group = 8;

  /// @param centroids  k x d, k and d at least 1
  /// @throws fewbit::error if centroids is empty, has more than 2^31 - 8 rows, or a value is not
  ///         finite
  explicit packed_centroids(const Eigen::Ref<const row_matrix<float>>& centroids)
      : packed_centroids(centroids,
                         (detail::expect_finite("packed_centroids", "centroids", centroids),
                          centering::of(centroids))) {}

  /// Uses the map that the points were mapped with.
  packed_centroids(const Eigen::Ref<const row_matrix<float>>& centroids, centering map)
      : size_(centroids.rows()), dimension_(centroids.cols()), map_(std::move(map)) {
    detail::expect_finite("packed_centroids", "centroids", centroids);
    constexpr index most = std::numeric_limits<std::int32_t>::max() - group;
    detail::expect(size_ <= most, "packed_centroids", "centroids.rows()", size_,
                   "at most " + std::to_string(most));
    memory_ = aligned_buffer<float>(groups() * group_floats());
    original_ = aligned_buffer<float>(groups() * group * dimension_);
    different_ = detail::row_table(size_);
    pack(centroids);
  }

  /// Replaces the centroids by the same number of others of the same dimension. The map stays.
  void pack(const Eigen::Ref<const row_matrix<float>>& centroids) noexcept {
    assert(centroids.rows() == size_ && centroids.cols() == dimension_);
    different_.clear();
    double largest = 0.0;
    double least = std::numeric_limits<double>::infinity();
    for (index j = 0; j < groups() * group; ++j) {
      float* to = memory_.data() + j / group * group_floats() + j % group;
      if (j >= size_) {
        *to = std::numeric_limits<float>::infinity();
        continue;
      }
      float* original = original_.data() + j / group * group * dimension_ + j % group;
      double norm = 0.0;
      for (index t = 0; t < dimension_; ++t) {
        const float c = map_(centroids(j, t), t);
        norm += double{c} * double{c};  // exact products
        to[(1 + t) * group] = -c;
        original[t * group] = centroids(j, t);
      }
      *to = is_first_of_equals(j) ? static_cast<float>(norm / 2)
                                  : std::numeric_limits<float>::infinity();
      largest = std::max(largest, norm);
      least = std::min(least, norm);
    }
    largest_norm_ = std::sqrt(largest);
    least_norm_ = std::sqrt(least);
  }

  [[nodiscard]] index size() const noexcept { return size_; }
  [[nodiscard]] index dimension() const noexcept { return dimension_; }
  [[nodiscard]] const centering& map() const noexcept { return map_; }
  [[nodiscard]] index groups() const noexcept { return (size_ + group - 1) / group; }
  [[nodiscard]] index group_floats() const noexcept { return (1 + dimension_) * group; }

  /// Group g: (1 + d) rows of 8 floats.
  [[nodiscard]] const float* data(index g) const noexcept {
    return memory_.data() + g * group_floats();
  }

  /// Group g before the map: d rows of 8 floats.
  [[nodiscard]] const float* original(index g) const noexcept {
    return original_.data() + g * group * dimension_;
  }

  /// The nearest centroid of a point has a float score of at most the least score plus this margin.
  /// The margin is infinite if scores cannot decide. `norm_bound` is the last float of the panel.
  ///
  /// Derivation, with u = 2^-24: the map has errors of u |c_t| and u |x_t|. The norm and each of d
  /// products add an error of u times a sum of at most |c|^2 / 2 + |c| |x|. One score therefore has
  /// an error of at most (d + 3) u |c| (|c| / 2 + |x|). The code uses d + 8, to cover the rounding
  /// of the margin itself and of the sum it is added to. Let m be the least norm. A centroid with
  /// |c| >= 4 |x| and |c| >= 4 m has a score of at least |c|^2 / 4 >= 4 max(|x|, m)^2. The centroid
  /// with norm m has a score of at most 3/2 max(|x|, m)^2. So centroids with larger norms cannot be
  /// nearest, and the margin ignores their norms.
  [[nodiscard]] float margin(float norm_bound) const noexcept {
    constexpr double most_norm = 0x1p40;  // larger norms can contain clamped coordinates
    const double norm = std::min(largest_norm_, 4 * std::max(double{norm_bound}, least_norm_));
    const double unit = 0x1p-24 * static_cast<double>(dimension_ + 8);
    if (!(norm <= most_norm) || norm_bound > detail::largest_useful_norm || unit > 0x1p-6) {
      return std::numeric_limits<float>::infinity();
    }
    const double one = unit * (arch::rounded(norm * (norm / 2 + double{norm_bound})) +
                               0x1p-110 * (1.0 + norm + double{norm_bound}));
    return static_cast<float>(2.00001 * one);
  }

 private:
  /// Whether no earlier centroid equals centroid j.
  bool is_first_of_equals(index j) noexcept {
    const auto row = [this](index i) { return original(i / group) + i % group; };
    const auto number = static_cast<std::int32_t>(j);
    return different_.find_or_add(number, row, row(j), dimension_, group) == number;
  }

  index size_;
  index dimension_;
  centering map_;
  aligned_buffer<float> memory_;
  aligned_buffer<float> original_;
  detail::row_table different_;  // the different centroids
  double largest_norm_ = 0.0;    // after the map
  double least_norm_ = 0.0;
};

namespace detail {

/// The tile of a kernel: `registers` registers of points by `centroids` centroids, whose sums fit
/// in the registers of the instruction set.
template <class Arch>
struct nearest_shape : nearest_shape<typename Arch::base> {};
template <>
struct nearest_shape<arch::scalar> {
  using lanes = arch::vec<float, 4>;
  static constexpr int registers = 3;
  static constexpr int centroids = 4;
};
template <>
struct nearest_shape<arch::avx2> {
  using lanes = arch::vec<float, 8>;
  static constexpr int registers = 3;
  static constexpr int centroids = 4;
};
template <>
struct nearest_shape<arch::avx512_vnni> {
  using lanes = arch::vec<float, 16>;
  static constexpr int registers = 3;
  static constexpr int centroids = 8;
};
template <>
struct nearest_shape<arch::neon> {
  using lanes = arch::vec<float, 4>;
  static constexpr int registers = 3;
  static constexpr int centroids = 8;
};

/// The scores of a tile of points with some centroids of a group.
template <class Shape>
FEWBIT_ALWAYS_INLINE void compute_scores(
    const float* points, const float* centroids, index d,
    typename Shape::lanes (&sum)[Shape::centroids][Shape::registers]) noexcept {
  using lanes = typename Shape::lanes;
#pragma GCC unroll 8
  for (int j = 0; j < Shape::centroids; ++j) {
#pragma GCC unroll 4
    for (int r = 0; r < Shape::registers; ++r) sum[j][r] = lanes(centroids[j]);
  }
  for (index t = 0; t < d; ++t) {
    centroids += packed_centroids::group;
    lanes x[Shape::registers];
#pragma GCC unroll 4
    for (int r = 0; r < Shape::registers; ++r) x[r] = lanes::load(points + r * lanes::lanes);
#pragma GCC unroll 8
    for (int j = 0; j < Shape::centroids; ++j) {
      const lanes c(centroids[j]);
#pragma GCC unroll 4
      for (int r = 0; r < Shape::registers; ++r) {
        sum[j][r] = arch::fused_multiply_add(c, x[r], sum[j][r]);
      }
    }
    points += panel_points;
  }
}

/// Sets sum[0] to the least of all sums, by pairs. This is a recursion, because g++ 12 keeps the
/// sums of a loop in memory.
template <class Shape, int Step = 1>
FEWBIT_ALWAYS_INLINE void reduce_to_least(
    typename Shape::lanes (&sum)[Shape::centroids][Shape::registers]) noexcept {
#pragma GCC unroll 8
  for (int j = 0; j < Shape::centroids; j += 2 * Step) {
#pragma GCC unroll 4
    for (int r = 0; r < Shape::registers; ++r) sum[j][r] = arch::min(sum[j + Step][r], sum[j][r]);
  }
  if constexpr (2 * Step < Shape::centroids) reduce_to_least<Shape, 2 * Step>(sum);
}

/// For each point of a tile: the least score, its place and, if Exact, the second least score.
template <class Shape, bool Exact>
struct least_scores {
  using lanes = typename Shape::lanes;
  using numbers = arch::rebind<lanes, std::int32_t>;

  lanes least[Shape::registers];
  lanes second[Shape::registers];
  numbers where[Shape::registers];

  FEWBIT_ALWAYS_INLINE least_scores() noexcept {
#pragma GCC unroll 4
    for (int r = 0; r < Shape::registers; ++r) {
      least[r] = second[r] = lanes(std::numeric_limits<float>::infinity());
      where[r] = numbers(0);
    }
  }

  FEWBIT_ALWAYS_INLINE void compare(const lanes (&other)[Shape::registers], index place) noexcept {
    const numbers here(static_cast<std::int32_t>(place));
#pragma GCC unroll 4
    for (int r = 0; r < Shape::registers; ++r) {
      where[r] = arch::select(other[r] < least[r], here, where[r]);
      if constexpr (Exact) second[r] = arch::min(arch::max(other[r], least[r]), second[r]);
      least[r] = arch::min(other[r], least[r]);
    }
  }
};

/// Writes the place of the least score of each point of a tile to `where`. A place is a centroid
/// or, if ByGroups, a group of centroids. If ByGroups, also writes the least score plus the margin
/// to `limit`. If Exact, returns one bit per point: whether another place has a score of at most
/// that limit.
template <class Shape, bool ByGroups, bool Exact>
std::uint64_t find_least_scores(const packed_centroids& c, const float* points, float margin,
                                float* limit, std::int32_t* where) noexcept {
  using lanes = typename Shape::lanes;
  constexpr index group = packed_centroids::group;
  least_scores<Shape, Exact> scores;
  const float* centroids = c.data(0);
  for (index g = 0; g < c.groups(); ++g, centroids += c.group_floats()) {
    lanes least[Shape::registers];
#pragma GCC unroll 1
    for (index half = 0; half < group; half += Shape::centroids) {
      lanes sum[Shape::centroids][Shape::registers];
      compute_scores<Shape>(points, centroids + half, c.dimension(), sum);
      if constexpr (ByGroups) {
        reduce_to_least<Shape>(sum);
#pragma GCC unroll 4
        for (int r = 0; r < Shape::registers; ++r) {
          least[r] = half == 0 ? sum[0][r] : arch::min(sum[0][r], least[r]);
        }
      } else {
#pragma GCC unroll 8
        for (int j = 0; j < Shape::centroids; ++j) scores.compare(sum[j], g * group + half + j);
      }
    }
    if constexpr (ByGroups) scores.compare(least, g);
  }
  std::uint64_t undecided = 0;
#pragma GCC unroll 4
  for (int r = 0; r < Shape::registers; ++r) {
    const lanes most = scores.least[r] + lanes(margin);
    scores.where[r].store(where + r * lanes::lanes);
    if constexpr (ByGroups) most.store(limit + r * lanes::lanes);
    if constexpr (Exact) {
      undecided |= std::uint64_t{arch::lanes_at_most(scores.second[r], most)} << (r * lanes::lanes);
    }
  }
  return undecided;
}

/// Replaces the group of each of some neighbouring points by the first centroid of the group whose
/// score is at most the limit. Returns one bit per point: whether another centroid of the group is
/// within the limit, too. Several points at once hide the latency of the sums.
template <int Points>
FEWBIT_ALWAYS_INLINE std::uint64_t find_centroids_in_groups(const packed_centroids& c,
                                                            const float* points, const float* limit,
                                                            std::int32_t* group) noexcept {
  using lanes = arch::vec<float, packed_centroids::group>;
  const float* centroids[Points];
  lanes sum[Points];
#pragma GCC unroll 4
  for (int i = 0; i < Points; ++i) {
    centroids[i] = c.data(group[i]);
    sum[i] = lanes::load(centroids[i]);
  }
  for (index t = 1; t <= c.dimension(); ++t, points += panel_points) {
#pragma GCC unroll 4
    for (int i = 0; i < Points; ++i) {
      sum[i] = arch::fused_multiply_add(lanes::load(centroids[i] + t * packed_centroids::group),
                                        lanes(points[i]), sum[i]);
    }
  }
  std::uint64_t undecided = 0;
#pragma GCC unroll 4
  for (int i = 0; i < Points; ++i) {
    const std::uint32_t near = arch::lanes_at_most(sum[i], lanes(limit[i]));
    group[i] = group[i] * packed_centroids::group + std::countr_zero(near);
    undecided |= std::uint64_t{(near & (near - 1)) != 0} << i;
  }
  return undecided;
}

/// Whether searching groups first is faster than comparing every score. It saves 2 of 3 operations
/// per score and costs about d + 5 cycles per point.
inline bool is_faster_by_groups(const packed_centroids& c) noexcept {
  return c.size() >= 16 * (c.dimension() + 5);
}

/// Step 1: writes the number of the nearest centroid of each point of a panel. If Exact, returns
/// one bit per point: whether scores cannot decide. The number of such a point is that of any
/// centroid.
template <class Arch, bool Exact>
std::uint64_t nearest_by_scores(const packed_centroids& c, const float* panel,
                                std::int32_t* nearest) noexcept {
  using shape = nearest_shape<Arch>;
  constexpr index tile = index{shape::registers} * shape::lanes::lanes;
  static_assert(panel_points % tile == 0);
  constexpr std::uint64_t all = (std::uint64_t{1} << panel_points) - 1;
  const float margin = Exact ? c.margin(panel[c.dimension() * panel_points]) : 0.0F;
  if (!is_finite(margin)) {
    std::fill_n(nearest, panel_points, 0);
    return all;
  }
  float limit[panel_points];
  const bool by_groups = is_faster_by_groups(c);
  std::uint64_t undecided = 0;
  for (index i = 0; i < panel_points; i += tile) {
    undecided |= (by_groups ? find_least_scores<shape, true, Exact>
                            : find_least_scores<shape, false, Exact>)(c, panel + i, margin,
                                                                      limit + i, nearest + i)
                 << i;
  }
  if (!by_groups) return undecided;
  constexpr int together = 4;
  for (index i = 0; i < panel_points; i += together) {
    undecided |= find_centroids_in_groups<together>(c, panel + i, limit + i, nearest + i) << i;
  }
  return Exact ? undecided : 0;
}

/// Step 2: the centroid with the least distance to x in double. If distances are equal, the lower
/// number wins. `guess` is any centroid; a near one makes the search faster.
///
/// A float sum of d squared differences has an error of at most (d + 2) 2^-24 times its value, plus
/// d 2^-149 if squares are subnormal. If the sum overflows, the limit is either infinite, too, or
/// correctly smaller.
inline std::int32_t nearest_by_differences(const packed_centroids& c, const float* x,
                                           std::int32_t guess) noexcept {
  constexpr int group = packed_centroids::group;
  using lanes = arch::vec<float, group>;
  const index d = c.dimension();
  const auto distance = [&](index j) {
    const float* from = c.original(j / group) + j % group;
    double sum = 0.0;
    for (index t = 0; t < d; ++t) {
      const double difference = double{x[t]} - double{from[t * group]};
      sum += arch::rounded(difference * difference);
    }
    return sum;
  };
  const auto limit_of = [&](double least) {
    const auto terms = static_cast<double>(d + 8);
    const double limit = least * (1.0 + 0x1p-22 * terms) + 0x1p-148 * terms;
    constexpr double most = std::numeric_limits<float>::max();
    return limit < most ? static_cast<float>(limit) : std::numeric_limits<float>::infinity();
  };
  double least = distance(guess);
  float limit = limit_of(least);
  const auto check_lanes = [&](const lanes& sum, index g) {
    for (std::uint32_t near = arch::lanes_at_most(sum, lanes(limit)); near != 0; near &= near - 1) {
      const auto j = static_cast<std::int32_t>(g * group + std::countr_zero(near));
      if (j == guess || j >= c.size()) continue;
      const double other = distance(j);
      if (other > least || (other == least && j > guess)) continue;
      least = other;
      guess = j;
      limit = limit_of(least);
    }
  };
  const auto scan_groups = [&]<int groups>(index g) {
    const float* from = c.original(g);
    lanes sum[groups];
#pragma GCC unroll 4
    for (int i = 0; i < groups; ++i) sum[i] = lanes(0.0F);
    for (index t = 0; t < d; ++t) {
#pragma GCC unroll 4
      for (int i = 0; i < groups; ++i) {
        const lanes difference = lanes(x[t]) - lanes::load(from + (i * d + t) * group);
        sum[i] += arch::rounded(lanes(difference * difference));
      }
    }
#pragma GCC unroll 4
    for (int i = 0; i < groups; ++i) check_lanes(sum[i], g + i);
  };
  index g = 0;
  for (; g + 4 <= c.groups(); g += 4) scan_groups.template operator()<4>(g);
  for (; g < c.groups(); ++g) scan_groups.template operator()<1>(g);
  return guess;
}

/// Step 2 for the points whose bit in `undecided` is set. The `count` points are rows, `stride`
/// apart.
inline void decide_in_double(const packed_centroids& c, std::uint64_t undecided, const float* rows,
                             index stride, index count, std::int32_t* nearest) noexcept {
  undecided &= (std::uint64_t{1} << count) - 1;
  for (; undecided != 0; undecided &= undecided - 1) {
    const int i = std::countr_zero(undecided);
    nearest[i] = nearest_by_differences(c, rows + i * stride, nearest[i]);
  }
}

inline std::vector<float> column_of(const matrix_ref& m) {
  std::vector<float> values(static_cast<std::size_t>(m.rows()));
  for (index i = 0; i < m.rows(); ++i) values[static_cast<std::size_t>(i)] = m(i, 0);
  return values;
}

}  // namespace detail

/// Step 1 alone: writes the numbers of the centroids with the least float scores for the 48 points
/// of a panel. The panel must be filled with c.map(). A score has an error of at most
/// c.margin(panel[c.dimension() * 48]) / 2. Allocates nothing.
template <class Arch = arch::native>
void nearest_in_panel(const packed_centroids& c, const float* panel,
                      std::int32_t* nearest) noexcept {
  static_assert(Arch::compiled,
                "fewbit: this arch is not compiled in; add its -m flag, or use arch::native");
  detail::nearest_by_scores<Arch, false>(c, panel, nearest);
}

/// Both steps: writes the numbers of the nearest centroids for the points of a panel. The panel
/// must be filled with c.map() from `count` rows, `stride` apart. Allocates nothing.
template <class Arch = arch::native>
void nearest_in_panel(const packed_centroids& c, const float* panel, const float* rows,
                      index stride, index count, std::int32_t* nearest) noexcept {
  static_assert(Arch::compiled,
                "fewbit: this arch is not compiled in; add its -m flag, or use arch::native");
  detail::decide_in_double(c, detail::nearest_by_scores<Arch, true>(c, panel, nearest), rows,
                           stride, count, nearest);
}

/// The number of the nearest centroid of each point: the least distance sum (x_t - c_t)^2 in
/// double. If distances are equal, the lower number wins.
///
/// If d = 1, the midpoints of neighbouring centroids decide, in double. A point on a midpoint
/// belongs to the centroid of the lower number, too.
///
/// @param points     n x d
/// @param centroids  k x d
/// @throws fewbit::error if either is empty or holds a NaN or an infinity, or the widths differ
template <class Arch = arch::native, Executor E = inline_executor>
[[nodiscard]] std::vector<std::int32_t> nearest_centroids(
    const Eigen::Ref<const row_matrix<float>>& points,
    const Eigen::Ref<const row_matrix<float>>& centroids, const E& executor = {}) {
  constexpr index piece = 16 * panel_points;
  detail::expect_finite("nearest_centroids", "points", points);
  detail::expect_finite("nearest_centroids", "centroids", centroids);
  detail::expect_equal("nearest_centroids", "centroids.cols()", centroids.cols(), points.cols());
  std::vector<std::int32_t> nearest(static_cast<std::size_t>(points.rows()));
  const index pieces = (points.rows() + piece - 1) / piece;
  if (points.cols() == 1) {
    const sorted_centroids sorted(detail::column_of(centroids));
    executor.for_each(pieces, [&](index p) {
      for (index i = p * piece; i < std::min((p + 1) * piece, points.rows()); ++i) {
        nearest[static_cast<std::size_t>(i)] = sorted.nearest(points(i, 0));
      }
    });
    return nearest;
  }
  const packed_centroids packed(centroids);
  executor.for_each(pieces, [&](index p) {
    aligned_buffer<float> panel(panel_floats(points.cols()), for_overwrite);
    std::int32_t found[panel_points];
    for (index i = p * piece; i < std::min((p + 1) * piece, points.rows()); i += panel_points) {
      const index count = std::min(panel_points, points.rows() - i);
      const float* rows = detail::row_of(points, i);
      detail::load_panel(rows, points.outerStride(), count, points.cols(), packed.map(),
                         panel.data());
      nearest_in_panel<Arch>(packed, panel.data(), rows, points.outerStride(), count, found);
      std::copy(found, found + count, nearest.begin() + i);
    }
  });
  return nearest;
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
