#pragma once
/// Which centroid is nearest: the loop that k-means and product quantization spend their time in.
///
///     const std::vector<std::int32_t> codes = nearest_centroids(points, centroids);
///
/// |x - c|^2 = |x|^2 + 2 (|c|^2 / 2 - x . c), and |x|^2 is the same for all centroids, so the score
/// |c|^2 / 2 - x . c decides. It begins at |c|^2 / 2 and subtracts the products one after the other
/// by fused multiply-add, which gives the same bits on every processor; of equal scores the
/// centroid of the lower number wins.
///
///     48 points in lanes  ->  x_t: 3 registers (AVX-512)
///     8 centroids         ->  c_jt broadcast from memory: 24 sums in registers
///
/// With many centroids only the least score of 8 is compared with the best so far: one minimum per
/// score and a comparison per 8 of them. Which of the 8 it was is found at the end, point by point,
/// by computing their scores again with centroids in lanes.

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
#include "fewbit/config.hpp"
#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/quant/quantize.hpp"

namespace fewbit::inline FEWBIT_ARCH_NAMESPACE {

/// Centroids laid out for the search: groups of 8, of each first |c|^2 / 2 and then, coordinate by
/// coordinate, -c_t, as moved by a centering. The last group is filled up with centroids that are
/// infinitely far away.
class packed_centroids {
 public:
  static constexpr int group = 8;

  /// @param centroids  k x d, k and d at least 1
  /// @throws fewbit::error if there are none, more than 2^31 - 8, or a value is not finite
  explicit packed_centroids(const Eigen::Ref<const row_matrix<float>>& centroids)
      : packed_centroids(centroids,
                         (detail::expect_finite("packed_centroids", "centroids", centroids),
                          centering::of(centroids))) {}

  /// For points that were moved by `map`.
  packed_centroids(const Eigen::Ref<const row_matrix<float>>& centroids, centering map)
      : size_(centroids.rows()), dimension_(centroids.cols()), map_(std::move(map)) {
    detail::expect_finite("packed_centroids", "centroids", centroids);
    constexpr index most = std::numeric_limits<std::int32_t>::max() - group;
    detail::expect(size_ <= most, "packed_centroids", "centroids.rows()", size_,
                   "at most " + std::to_string(most));
    memory_ = aligned_buffer<float>(groups() * group_floats());
    pack(centroids);
  }

  /// Replaces the centroids by as many others of the same dimension, moved by the same map.
  void pack(const Eigen::Ref<const row_matrix<float>>& centroids) noexcept {
    assert(centroids.rows() == size_ && centroids.cols() == dimension_);
    for (index j = 0; j < groups() * group; ++j) {
      float* to = memory_.data() + j / group * group_floats() + j % group;
      if (j >= size_) {
        *to = std::numeric_limits<float>::infinity();
        continue;
      }
      double norm = 0.0;
      for (index t = 0; t < dimension_; ++t) {
        const float c = map_(centroids(j, t), t);
        norm += double{c} * double{c};  // exact products
        to[(1 + t) * group] = -c;
      }
      *to = static_cast<float>(norm / 2);
    }
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

 private:
  index size_;
  index dimension_;
  centering map_;
  aligned_buffer<float> memory_;
};

namespace detail {

/// Registers of points and centroids at a time that an instruction set's registers hold the sums
/// of.
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

/// The best score of each point of a tile so far, and where it was found.
template <class Shape>
struct best_scores {
  using lanes = typename Shape::lanes;
  using numbers = arch::rebind<lanes, std::int32_t>;

  lanes score[Shape::registers];
  numbers where[Shape::registers];

  FEWBIT_ALWAYS_INLINE best_scores() noexcept {
#pragma GCC unroll 4
    for (int r = 0; r < Shape::registers; ++r) {
      score[r] = lanes(std::numeric_limits<float>::infinity());
      where[r] = numbers(0);
    }
  }

  FEWBIT_ALWAYS_INLINE void compare(const lanes (&other)[Shape::registers], index place) noexcept {
    const numbers here(static_cast<std::int32_t>(place));
#pragma GCC unroll 4
    for (int r = 0; r < Shape::registers; ++r) {
      where[r] = arch::select(other[r] < score[r], here, where[r]);
      score[r] = arch::min(other[r], score[r]);
    }
  }
};

/// Scores of a tile of points with some centroids of a group.
template <class Shape>
FEWBIT_ALWAYS_INLINE void find_scores(
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

/// Lowers sum[0] to the least of all, in pairs of pairs. Not a loop over the distance: g++ 12 would
/// keep the sums in memory.
template <class Shape, int Step = 1>
FEWBIT_ALWAYS_INLINE void lower_first(
    typename Shape::lanes (&sum)[Shape::centroids][Shape::registers]) noexcept {
#pragma GCC unroll 8
  for (int j = 0; j < Shape::centroids; j += 2 * Step) {
#pragma GCC unroll 4
    for (int r = 0; r < Shape::registers; ++r) sum[j][r] = arch::min(sum[j + Step][r], sum[j][r]);
  }
  if constexpr (2 * Step < Shape::centroids) lower_first<Shape, 2 * Step>(sum);
}

/// For each point of a tile the least score and where it was found: by groups the number of the
/// group, else of the centroid.
template <class Shape, bool ByGroups>
void find_best(const packed_centroids& c, const float* points, float* score,
               std::int32_t* where) noexcept {
  using lanes = typename Shape::lanes;
  constexpr index group = packed_centroids::group;
  best_scores<Shape> best;
  const float* centroids = c.data(0);
  for (index g = 0; g < c.groups(); ++g, centroids += c.group_floats()) {
#pragma GCC unroll 1
    for (index half = 0; half < group; half += Shape::centroids) {
      lanes sum[Shape::centroids][Shape::registers];
      find_scores<Shape>(points, centroids + half, c.dimension(), sum);
      if constexpr (ByGroups) {
        lower_first<Shape>(sum);
        best.compare(sum[0], g);
      } else {
#pragma GCC unroll 8
        for (int j = 0; j < Shape::centroids; ++j) best.compare(sum[j], g * group + half + j);
      }
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < Shape::registers; ++r) {
    best.score[r].store(score + r * lanes::lanes);
    best.where[r].store(where + r * lanes::lanes);
  }
}

/// The first centroids whose scores with some neighbouring points of a panel are `score`, in the
/// groups that `where` names; they replace it. Several points, because one waits for its sums.
template <int Points>
FEWBIT_ALWAYS_INLINE void find_in_groups(const packed_centroids& c, const float* points,
                                         const float* score, std::int32_t* where) noexcept {
  using lanes = arch::vec<float, packed_centroids::group>;
  const float* centroids[Points];
  lanes sum[Points];
#pragma GCC unroll 4
  for (int i = 0; i < Points; ++i) {
    centroids[i] = c.data(where[i]);
    sum[i] = lanes::load(centroids[i]);
  }
  for (index t = 1; t <= c.dimension(); ++t, points += panel_points) {
#pragma GCC unroll 4
    for (int i = 0; i < Points; ++i) {
      sum[i] = arch::fused_multiply_add(lanes::load(centroids[i] + t * packed_centroids::group),
                                        lanes(points[i]), sum[i]);
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < Points; ++i) {
    where[i] = where[i] * packed_centroids::group + arch::first_equal_lane(sum[i], score[i]);
  }
}

/// Whether searching groups and then within them takes less than comparing every score: it saves 2
/// of 3 operations per score, and costs about d + 5 cycles per point.
inline bool search_by_groups(const packed_centroids& c) noexcept {
  return c.size() >= 16 * (c.dimension() + 5);
}

/// The values of an n x 1 matrix.
inline std::vector<float> column_of(const matrix_ref& m) {
  std::vector<float> values(static_cast<std::size_t>(m.rows()));
  for (index i = 0; i < m.rows(); ++i) values[static_cast<std::size_t>(i)] = m(i, 0);
  return values;
}

}  // namespace detail

/// Writes the numbers of the centroids nearest to the 48 points of a panel, which was filled by
/// `c.map()`. Allocates nothing.
template <class Arch = arch::native>
void nearest_in_panel(const packed_centroids& c, const float* panel,
                      std::int32_t* nearest) noexcept {
  static_assert(Arch::compiled,
                "fewbit: this arch is not compiled in; add its -m flag, or use arch::native");
  using shape = detail::nearest_shape<Arch>;
  constexpr index tile = index{shape::registers} * shape::lanes::lanes;
  static_assert(panel_points % tile == 0);
  float score[panel_points];
  const bool by_groups = detail::search_by_groups(c);
  for (index i = 0; i < panel_points; i += tile) {
    (by_groups ? detail::find_best<shape, true>
               : detail::find_best<shape, false>)(c, panel + i, score + i, nearest + i);
  }
  if (!by_groups) return;
  constexpr int together = 4;
  for (index i = 0; i < panel_points; i += together) {
    detail::find_in_groups<together>(c, panel + i, score + i, nearest + i);
  }
}

/// The number of the nearest centroid of each point.
///
/// Distances are compared as scores in float (see above): where two centroids are equally near but
/// for the last bits of the score, either may be named, the same one on every processor. In one
/// dimension the midpoints of neighbouring centroids decide, exactly; a point on a midpoint belongs
/// to the lower centroid.
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
    aligned_buffer<float> panel(points.cols() * panel_points, for_overwrite);
    std::int32_t found[panel_points];
    for (index i = p * piece; i < std::min((p + 1) * piece, points.rows()); i += panel_points) {
      const index count = std::min(panel_points, points.rows() - i);
      detail::load_panel(detail::row_of(points, i), points.outerStride(), count, points.cols(),
                         packed.map(), panel.data());
      nearest_in_panel<Arch>(packed, panel.data(), found);
      std::copy(found, found + count, nearest.begin() + i);
    }
  });
  return nearest;
}

}  // namespace fewbit::inline FEWBIT_ARCH_NAMESPACE

#include "fewbit/end.hpp"
