#pragma once
/// Which centroid is nearest: the loop that k-means and product quantization spend their time in.
///
///     const std::vector<std::int32_t> codes = nearest_centroids(points, centroids);
///
/// That answer is exact: no centroid has a lesser distance in double, and of equal distances the
/// centroid of the lower number wins. It is found in two steps.
///
/// |x - c|^2 = |x|^2 + 2 (|c|^2 / 2 - x . c), and |x|^2 is the same for all centroids, so the score
/// |c|^2 / 2 - x . c decides. It begins at |c|^2 / 2 and subtracts the products one after the other
/// by fused multiply-add, in float. What that may lose is bounded from |x|, the largest |c| and d.
///
///     48 points in lanes  ->  x_t: 3 registers (AVX-512)
///     8 centroids         ->  c_jt broadcast from memory: 24 sums in registers
///
/// The second step is for points for which the least score and the second least differ by no more
/// than that bound, perhaps one in thousands: sums of (x_t - c_t)^2 of the coordinates as they were
/// given, first in float, where no difference cancels, then in double for those that float cannot
/// tell apart.
///
/// The iterations of k-means take the first step alone where the bound is small beside all
/// distances, and make sure at the end: to find the second least score, too, takes two more
/// operations for each, of d + 3.
///
/// With many centroids only the least score of 8 is compared with those so far: one minimum per
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
#include "fewbit/core/rows.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// Centroids laid out for the search: groups of 8, of each first |c|^2 / 2 and then, coordinate by
/// coordinate, -c_t, as moved by a centering. The last group is filled up with centroids that are
/// infinitely far away, and so is one that equals another before it, because that one wins.
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
    given_ = aligned_buffer<float>(groups() * group * dimension_);
    slots_.resize(std::bit_ceil(2 * static_cast<std::size_t>(size_)));
    pack(centroids);
  }

  /// Replaces the centroids by as many others of the same dimension, moved by the same map.
  void pack(const Eigen::Ref<const row_matrix<float>>& centroids) noexcept {
    assert(centroids.rows() == size_ && centroids.cols() == dimension_);
    std::fill(slots_.begin(), slots_.end(), -1);
    double largest = 0.0;
    double least = std::numeric_limits<double>::infinity();
    for (index j = 0; j < groups() * group; ++j) {
      float* to = memory_.data() + j / group * group_floats() + j % group;
      if (j >= size_) {
        *to = std::numeric_limits<float>::infinity();
        continue;
      }
      float* given = given_.data() + j / group * group * dimension_ + j % group;
      double norm = 0.0;
      for (index t = 0; t < dimension_; ++t) {
        const float c = map_(centroids(j, t), t);
        norm += double{c} * double{c};  // exact products
        to[(1 + t) * group] = -c;
        given[t * group] = centroids(j, t);
      }
      *to = is_new(j) ? static_cast<float>(norm / 2) : std::numeric_limits<float>::infinity();
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

  /// Group g as it was given: d rows of 8 floats.
  [[nodiscard]] const float* given(index g) const noexcept {
    return given_.data() + g * group * dimension_;
  }

  /// How much more than the least the score of the nearest centroid to a point may be, where scores
  /// are computed in float from a panel of this reach. Infinite if scores tell nothing.
  ///
  /// With u = 2^-24: the map leaves errors of u |c_t| and u |x_t|, the norm and d products one of u
  /// times a sum that is at most |c|^2 / 2 + |c| |x|. That is (d + 3) u |c| (|c| / 2 + |x|) for one
  /// score; d + 8 has room for the rounding of this bound and of what it is added to. A centroid
  /// with |c| of 4 |x| and 4 times the least norm m has a score of |c|^2 / 4 or more, which is no
  /// less than 4 max(|x|, m)^2, while that of the centroid of norm m is at most 3/2 max(|x|, m)^2:
  /// such centroids are out of the question, and their norms with them.
  [[nodiscard]] float doubt(float reach) const noexcept {
    constexpr double most_norm = 0x1p40;  // beyond lies what the map has held back
    const double norm = std::min(largest_norm_, 4 * std::max(double{reach}, least_norm_));
    const double unit = 0x1p-24 * static_cast<double>(dimension_ + 8);
    if (!(norm <= most_norm) || reach > detail::far_away || unit > 0x1p-6) {
      return std::numeric_limits<float>::infinity();
    }
    const double one = unit * (arch::rounded(norm * (norm / 2 + double{reach})) +
                               0x1p-110 * (1.0 + norm + double{reach}));
    return static_cast<float>(2.00001 * one);
  }

 private:
  /// Whether no centroid before the jth equals it.
  bool is_new(index j) noexcept {
    const float* c = given(j / group) + j % group;
    std::uint64_t hash = 0;
    for (index t = 0; t < dimension_; ++t) {
      const float value = c[t * group] == 0.0F ? 0.0F : c[t * group];  // -0 equals 0
      hash = (hash ^ std::bit_cast<std::uint32_t>(value)) * 0x9E3779B97F4A7C15ULL;
      hash ^= hash >> 32;
    }
    const auto equals = [&](index i) {
      const float* other = given(i / group) + i % group;
      index t = 0;
      while (t < dimension_ && other[t * group] == c[t * group]) ++t;
      return t == dimension_;
    };
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t slot = static_cast<std::size_t>(hash) & mask;; slot = (slot + 1) & mask) {
      if (slots_[slot] < 0) {
        slots_[slot] = static_cast<std::int32_t>(j);
        return true;
      }
      if (equals(slots_[slot])) return false;
    }
  }

  index size_;
  index dimension_;
  centering map_;
  aligned_buffer<float> memory_;
  aligned_buffer<float> given_;
  std::vector<std::int32_t> slots_;  // a table of the different centroids by their hash
  double largest_norm_ = 0.0;        // as moved
  double least_norm_ = 0.0;
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

/// The least score of each point of a tile, where it was found, and, if Exact, the least of all
/// others.
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

/// For each point of a tile where the least score was found: the number of the centroid or, by
/// groups, of the group, with the least score plus the doubt as a limit. Answers, if Exact, a bit
/// for each point with another place whose score is no more than that.
template <class Shape, bool ByGroups, bool Exact>
std::uint64_t find_least(const packed_centroids& c, const float* points, float doubt, float* limit,
                         std::int32_t* where) noexcept {
  using lanes = typename Shape::lanes;
  constexpr index group = packed_centroids::group;
  least_scores<Shape, Exact> scores;
  const float* centroids = c.data(0);
  for (index g = 0; g < c.groups(); ++g, centroids += c.group_floats()) {
    lanes least[Shape::registers];
#pragma GCC unroll 1
    for (index half = 0; half < group; half += Shape::centroids) {
      lanes sum[Shape::centroids][Shape::registers];
      find_scores<Shape>(points, centroids + half, c.dimension(), sum);
      if constexpr (ByGroups) {
        lower_first<Shape>(sum);
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
  std::uint64_t open = 0;
#pragma GCC unroll 4
  for (int r = 0; r < Shape::registers; ++r) {
    const lanes most = scores.least[r] + lanes(doubt);
    scores.where[r].store(where + r * lanes::lanes);
    if constexpr (ByGroups) most.store(limit + r * lanes::lanes);
    if constexpr (Exact) {
      open |= std::uint64_t{arch::lanes_at_most(scores.second[r], most)} << (r * lanes::lanes);
    }
  }
  return open;
}

/// Replaces the groups of some neighbouring points of a panel by the first centroid in them whose
/// score is no more than the limit; answers a bit for each point for which there is another.
/// Several points, because one waits for its sums.
template <int Points>
FEWBIT_ALWAYS_INLINE std::uint64_t find_in_groups(const packed_centroids& c, const float* points,
                                                  const float* limit,
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
  std::uint64_t open = 0;
#pragma GCC unroll 4
  for (int i = 0; i < Points; ++i) {
    const std::uint32_t near = arch::lanes_at_most(sum[i], lanes(limit[i]));
    group[i] = group[i] * packed_centroids::group + std::countr_zero(near);
    open |= std::uint64_t{(near & (near - 1)) != 0} << i;
  }
  return open;
}

/// Whether searching groups and then within them takes less than comparing every score: it saves 2
/// of 3 operations per score, and costs about d + 5 cycles per point.
inline bool search_by_groups(const packed_centroids& c) noexcept {
  return c.size() >= 16 * (c.dimension() + 5);
}

/// Writes the numbers of the centroids nearest to the points of a panel as far as scores tell;
/// answers, if Exact, a bit for each point for which they do not, whose number is any centroid's.
template <class Arch, bool Exact>
std::uint64_t nearest_by_scores(const packed_centroids& c, const float* panel,
                                std::int32_t* nearest) noexcept {
  using shape = nearest_shape<Arch>;
  constexpr index tile = index{shape::registers} * shape::lanes::lanes;
  static_assert(panel_points % tile == 0);
  constexpr std::uint64_t all = (std::uint64_t{1} << panel_points) - 1;
  const float doubt = Exact ? c.doubt(panel[c.dimension() * panel_points]) : 0.0F;
  if (!is_finite(doubt)) {
    std::fill_n(nearest, panel_points, 0);
    return all;
  }
  float limit[panel_points];
  const bool by_groups = search_by_groups(c);
  std::uint64_t open = 0;
  for (index i = 0; i < panel_points; i += tile) {
    open |=
        (by_groups ? find_least<shape, true, Exact>
                   : find_least<shape, false, Exact>)(c, panel + i, doubt, limit + i, nearest + i)
        << i;
  }
  if (!by_groups) return open;
  constexpr int together = 4;
  for (index i = 0; i < panel_points; i += together) {
    open |= find_in_groups<together>(c, panel + i, limit + i, nearest + i) << i;
  }
  return Exact ? open : 0;
}

/// The centroid with the least distance to x in double; of equal distances the one of the lower
/// number. `guess` is any centroid, the better the quicker.
///
/// A sum of d squares of differences in float is within (d + 2) 2^-24 of its value, and within
/// d 2^-149 where squares are subnormal; where it overflows, the limit does too or is less.
inline std::int32_t nearest_by_differences(const packed_centroids& c, const float* x,
                                           std::int32_t guess) noexcept {
  constexpr int group = packed_centroids::group;
  using lanes = arch::vec<float, group>;
  const index d = c.dimension();
  const auto distance = [&](index j) {
    const float* from = c.given(j / group) + j % group;
    double sum = 0.0;
    for (index t = 0; t < d; ++t) {
      const double miss = double{x[t]} - double{from[t * group]};
      sum += arch::rounded(miss * miss);
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
  const auto examine = [&](const lanes& sum, index g) {
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
  const auto take = [&]<int groups>(index g) {
    const float* from = c.given(g);
    lanes sum[groups];
#pragma GCC unroll 4
    for (int i = 0; i < groups; ++i) sum[i] = lanes(0.0F);
    for (index t = 0; t < d; ++t) {
#pragma GCC unroll 4
      for (int i = 0; i < groups; ++i) {
        const lanes miss = lanes(x[t]) - lanes::load(from + (i * d + t) * group);
        sum[i] += arch::rounded(lanes(miss * miss));
      }
    }
#pragma GCC unroll 4
    for (int i = 0; i < groups; ++i) examine(sum[i], g + i);
  };
  index g = 0;
  for (; g + 4 <= c.groups(); g += 4) take.template operator()<4>(g);
  for (; g < c.groups(); ++g) take.template operator()<1>(g);
  return guess;
}

/// Takes the second step for those of `count` points, rows that are `stride` apart, that `open`
/// names.
inline void settle(const packed_centroids& c, std::uint64_t open, const float* rows, index stride,
                   index count, std::int32_t* nearest) noexcept {
  open &= (std::uint64_t{1} << count) - 1;
  for (; open != 0; open &= open - 1) {
    const int i = std::countr_zero(open);
    nearest[i] = nearest_by_differences(c, rows + i * stride, nearest[i]);
  }
}

/// The values of an n x 1 matrix.
inline std::vector<float> column_of(const matrix_ref& m) {
  std::vector<float> values(static_cast<std::size_t>(m.rows()));
  for (index i = 0; i < m.rows(); ++i) values[static_cast<std::size_t>(i)] = m(i, 0);
  return values;
}

}  // namespace detail

/// Writes the numbers of the centroids of the least scores in float with the 48 points of a panel,
/// which was filled by `c.map()`. A score misses its centroid's by half of
/// c.doubt(panel[c.dimension() * 48]) at most. Allocates nothing.
template <class Arch = arch::native>
void nearest_in_panel(const packed_centroids& c, const float* panel,
                      std::int32_t* nearest) noexcept {
  static_assert(Arch::compiled,
                "fewbit: this arch is not compiled in; add its -m flag, or use arch::native");
  detail::nearest_by_scores<Arch, false>(c, panel, nearest);
}

/// Writes the numbers of the centroids nearest to the points of a panel, which was filled by
/// `c.map()` from `count` rows, `stride` apart. Allocates nothing.
template <class Arch = arch::native>
void nearest_in_panel(const packed_centroids& c, const float* panel, const float* rows,
                      index stride, index count, std::int32_t* nearest) noexcept {
  static_assert(Arch::compiled,
                "fewbit: this arch is not compiled in; add its -m flag, or use arch::native");
  detail::settle(c, detail::nearest_by_scores<Arch, true>(c, panel, nearest), rows, stride, count,
                 nearest);
}

/// The number of the nearest centroid of each point.
///
/// It has the least distance in double, sum (x_t - c_t)^2, whatever lies far away; of equal
/// distances the centroid of the lower number is named. In one dimension the midpoints of
/// neighbouring centroids decide, in double; a point on a midpoint belongs to the centroid of the
/// lower number, too.
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
