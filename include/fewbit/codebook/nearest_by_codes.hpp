#pragma once
/// The nearest centroid with the help of 8-bit codes: the same result as codebook/nearest.hpp in
/// less than half the time. It needs VNNI (products of four bytes) and points of many coordinates.
///
/// Points x and centroids c are rounded to 8 bits: x^ and c^. Each point and centroid has its own
/// scale. The product of the codes differs from x . c by at most
///
///     |x - x^| |c| + |x^| |c - c^|
///
/// 1. All scores are computed from codes.
/// 2. For each point, the group of the least score by codes is scored in float. Its best score,
///    plus the margin of codebook/nearest.hpp, is a limit.
/// 3. A further group is scored in float if its score by codes, minus the bound above, is within
///    the limit: one or two groups per point.
/// 4. Points whose float scores are too close are decided by step 2 of codebook/nearest.hpp.
///
/// Use it if the same points are searched often, as in k-means. For a single search, coding the
/// points costs more than it saves.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "fewbit/arch/dot_unit.hpp"
#include "fewbit/arch/fused.hpp"
#include "fewbit/arch/memory.hpp"
#include "fewbit/arch/vec.hpp"
#include "fewbit/codebook/nearest.hpp"
#include "fewbit/codebook/point_panel.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/types.hpp"

#if FEWBIT_HAS_AVX_VNNI
#include "fewbit/arch/avx_vnni.hpp"
#endif
#if FEWBIT_HAS_AVX512_VNNI
#include "fewbit/arch/avx512_vnni.hpp"
#endif

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// Whether the instruction set multiplies four bytes from memory by four bytes of each lane.
template <class Arch>
inline constexpr bool has_coded_search =
    (FEWBIT_HAS_AVX_VNNI && std::is_same_v<Arch, arch::avx_vnni>) ||
    (FEWBIT_HAS_AVX512_VNNI &&
     (std::is_same_v<Arch, arch::avx512_vnni> || std::is_same_v<Arch, arch::avx512_bitalg>));

/// With more centroids the least scores of all groups do not fit in L1.
inline constexpr index most_coded_centroids = 1024;

/// Whether the search by codes is the faster one.
inline constexpr bool is_faster_by_codes(index d, index k) noexcept {
  return d >= 24 && k >= 64 && k <= most_coded_centroids;
}

/// Scale and norms of a centroid that is rounded to multiples of the scale, -127 to 127.
struct coded_row {
  float scale = 1.0F;       // 1 for a row of zeros
  float norm = 0.0F;        // of the rounded row
  float error_norm = 0.0F;  // norm of the rounding error

  /// Reads x[t * stride] and calls write(t, code) for t = 0 .. d - 1. Norms are rounded up.
  template <class F>
  static coded_row of(const float* x, index stride, index d, F write) noexcept {
    float largest = 0.0F;
    for (index t = 0; t < d; ++t) largest = std::max(largest, std::abs(x[t * stride]));
    coded_row row;
    if (largest > 0x1p-100F) row.scale = largest / 127;
    double norm = 0.0;
    double error_square = 0.0;
    for (index t = 0; t < d; ++t) {
      const int code = static_cast<int>(arch::round_to_int(x[t * stride] / row.scale));
      const double rounded = double{row.scale} * code;
      norm += rounded * rounded;
      error_square += (x[t * stride] - rounded) * (x[t * stride] - rounded);
      write(t, code);
    }
    constexpr double up = 1.000001;
    row.norm = static_cast<float>(up * std::sqrt(norm));
    row.error_norm = static_cast<float>(up * std::sqrt(error_square));
    return row;
  }
};

/// The codes of the points of all panels. Coordinates 4 q .. 4 q + 3 of point i are codes[(q * 48 +
/// i) * 4] and the next three.
class coded_panels {
 public:
  /// Scales and norms of the points of a panel.
  struct point_data {
    std::int32_t start_sum[panel_points];  // -128 times the sum of the codes
    float inverse_scale[panel_points];     // 1 / scale
    float norm[panel_points];              // |x^| / scale
    float error_norm[panel_points];        // |x - x^| / scale
  };

  coded_panels() = default;

  template <Executor E>
  coded_panels(const point_panels& panels, index d, const E& executor)
      : bytes_((d + 3) / 4 * 4 * panel_points),
        codes_(panels.panels() * bytes_, for_overwrite),
        data_(panels.panels(), for_overwrite) {
    executor.for_each(panels.panels(), [&](index p) {
      for (index column = 0; column < panel_points; column += lanes::lanes) {
        code_points(panels.panel(p) + column, d, column, codes_.data() + p * bytes_, data_[p]);
      }
    });
  }

  [[nodiscard]] const std::int8_t* codes(index p) const noexcept {
    return codes_.data() + p * bytes_;
  }
  [[nodiscard]] const point_data& data_of(index p) const noexcept { return data_[p]; }

 private:
  using lanes = arch::vec<float, arch::native_lanes<float>>;
  using numbers = arch::vec<std::int32_t, lanes::lanes>;

  /// Codes some points, one per lane. Norms are rounded up. This covers the errors of the float
  /// sums of d squares and of the product code * scale.
  static void code_points(const float* points, index d, index column, std::int8_t* codes,
                          point_data& data) noexcept {
    lanes largest(0.0F);
    for (index t = 0; t < d; ++t) {
      const lanes x = lanes::load(points + t * panel_points);
      largest = arch::max(largest, arch::max(x, lanes(0.0F) - x));
    }
    // Points with smaller coordinates get the scale 1 and codes of 0: squares of their rounding
    // errors would be subnormal.
    const lanes scale =
        arch::select(largest > lanes(0x1p-30F), largest / lanes(127.0F), lanes(1.0F));
    const lanes inverse = lanes(1.0F) / scale;
    lanes norm(0.0F);
    lanes error_square(0.0F);
    numbers sum(0);
    for (index t = 0; t < d; t += 4) {
      numbers quad(0);
      for (index i = 0; i < std::min<index>(4, d - t); ++i) {
        const lanes x = lanes::load(points + (t + i) * panel_points);
        const numbers code = arch::round_to_int(lanes(x * inverse));
        const lanes value = arch::convert<float>(code);
        const lanes error = x - arch::rounded(value * scale);
        norm = arch::fused_multiply_add(value, value, norm);
        error_square = arch::fused_multiply_add(error, error, error_square);
        sum += code;
        quad = quad | ((code & numbers(255))
                       << numbers(arch::byte_shift<std::int32_t>(static_cast<int>(i))));
      }
      std::memcpy(codes + (t * panel_points + 4 * column), &quad.data, sizeof(quad.data));
    }
    const float up = 1.0F + 0x1p-22F * static_cast<float>(d + 4);
    for (int lane = 0; lane < lanes::lanes; ++lane) {
      const index i = column + lane;
      data.start_sum[i] = -128 * sum[lane];
      data.inverse_scale[i] = inverse[lane];
      data.norm[i] = up * std::sqrt(norm[lane]);
      data.error_norm[i] =
          up * std::sqrt(error_square[lane]) * inverse[lane] + 0x1p-22F * data.norm[i];
    }
  }

  index bytes_ = 0;  // of the codes of a panel
  aligned_buffer<std::int8_t> codes_;
  aligned_buffer<point_data> data_;
};

/// The codes of the centroids plus 128, in the groups of packed_centroids: (d + 3) / 4 rows of 8
/// centroids by 4 codes for each group.
class coded_centroids {
 public:
  static constexpr int group = packed_centroids::group;

  /// The largest of a group: |c| before rounding, and |c - c^|.
  struct bounds {
    float norm = 0.0F;
    float error_norm = 0.0F;
  };

  coded_centroids() = default;

  /// Replaces all codes. Allocates only if the sizes change.
  void code(const packed_centroids& c) {
    quads_ = (c.dimension() + 3) / 4;
    if (codes_.size() != c.groups() * group_bytes()) {
      codes_ = aligned_buffer<std::uint8_t>(c.groups() * group_bytes());
      negative_scale_ = aligned_buffer<float>(c.groups() * group);
      bounds_ = aligned_buffer<bounds>(c.groups());
    }
    std::fill(codes_.begin(), codes_.end(), std::uint8_t{128});
    std::fill(bounds_.begin(), bounds_.end(), bounds{});
    largest_norm_ = 0.0F;
    for (index j = 0; j < c.size(); ++j) {
      std::uint8_t* codes = codes_.data() + j / group * group_bytes() + j % group * 4;
      const float* from = c.data(j / group) + group + j % group;  // -c
      const coded_row row = coded_row::of(from, group, c.dimension(), [&](index t, int code) {
        codes[t / 4 * 4 * group + t % 4] = static_cast<std::uint8_t>(128 + code);
      });
      negative_scale_[j] = row.scale;  // the codes are those of -c
      bounds& b = bounds_[j / group];
      b.norm = std::max(b.norm, row.norm + row.error_norm);
      b.error_norm = std::max(b.error_norm, row.error_norm);
      largest_norm_ = std::max(largest_norm_, b.norm);
    }
  }

  [[nodiscard]] index quads() const noexcept { return quads_; }
  [[nodiscard]] const std::uint8_t* codes(index g) const noexcept {
    return codes_.data() + g * group_bytes();
  }
  [[nodiscard]] const float* negative_scale(index g) const noexcept {
    return negative_scale_.data() + g * group;
  }
  [[nodiscard]] const bounds& bounds_of(index g) const noexcept { return bounds_[g]; }
  [[nodiscard]] float largest_norm() const noexcept { return largest_norm_; }  // of all groups

 private:
  [[nodiscard]] index group_bytes() const noexcept { return quads_ * 4 * group; }

  index quads_ = 0;
  aligned_buffer<std::uint8_t> codes_;
  aligned_buffer<float> negative_scale_;
  aligned_buffer<bounds> bounds_;
  float largest_norm_ = 0.0F;
};

/// Writes two results for each point i of a tile. least[g * 48 + i] is the least score that group g
/// can have, divided by the scale of the point. group[i] is the group of the least score by codes.
template <class Arch>
void score_by_codes(const packed_centroids& c, const coded_centroids& coded,
                    const std::int8_t* points, const coded_panels::point_data& data, index column,
                    float* least, std::int32_t* group) noexcept {
  using shape = nearest_shape<Arch>;
  using unit = typename arch::dot_unit<Arch, std::uint8_t>::type;
  using lanes = typename shape::lanes;
  using sums = typename unit::accumulator;
  static_assert(unit::rows == 1 && unit::depth == 4 && unit::in_place);
  static_assert(sums::lanes == lanes::lanes);
  constexpr index row_bytes = 4 * panel_points;
  least_scores<shape, false> all;
  lanes inverse[shape::registers];
#pragma GCC unroll 4
  for (int r = 0; r < shape::registers; ++r) {
    inverse[r] = lanes::load(data.inverse_scale + column + r * lanes::lanes);
  }
  for (index g = 0; g < c.groups(); ++g) {
    lanes best[shape::registers];
#pragma GCC unroll 4
    for (int r = 0; r < shape::registers; ++r) {
      best[r] = lanes(std::numeric_limits<float>::infinity());
    }
#pragma GCC unroll 1
    for (index half = 0; half < packed_centroids::group; half += shape::centroids) {
      sums sum[shape::centroids][shape::registers];
#pragma GCC unroll 8
      for (int j = 0; j < shape::centroids; ++j) {
#pragma GCC unroll 4
        for (int r = 0; r < shape::registers; ++r) {
          sum[j][r] = sums::load(data.start_sum + column + r * lanes::lanes);
        }
      }
      const std::uint8_t* codes = coded.codes(g) + 4 * half;
      const std::int8_t* x = points + 4 * column;
      for (index q = 0; q < coded.quads(); ++q) {
        typename unit::rhs_vector quad[shape::registers];
#pragma GCC unroll 4
        for (int r = 0; r < shape::registers; ++r) {
          quad[r] = unit::load_rhs(x + 4 * r * lanes::lanes);
        }
#pragma GCC unroll 8
        for (int j = 0; j < shape::centroids; ++j) {
          const auto centroid = unit::load_lhs(codes + 4 * j);
#pragma GCC unroll 4
          for (int r = 0; r < shape::registers; ++r) {
            sum[j][r] = unit::dot(sum[j][r], centroid, quad[r]);
          }
        }
        codes += 4 * packed_centroids::group;
        x += row_bytes;
      }
      const float* half_norm = c.data(g) + half;
      const float* scale = coded.negative_scale(g) + half;
#pragma GCC unroll 8
      for (int j = 0; j < shape::centroids; ++j) {
#pragma GCC unroll 4
        for (int r = 0; r < shape::registers; ++r) {
          const lanes product = lanes(scale[j]) * arch::convert<float>(sum[j][r]);
          best[r] = arch::min(arch::fused_multiply_add(lanes(half_norm[j]), inverse[r], product),
                              best[r]);
        }
      }
    }
#pragma GCC unroll 4
    for (int r = 0; r < shape::registers; ++r) {
      const index at = column + r * lanes::lanes;
      const lanes product_error = arch::fused_multiply_add(
          lanes(coded.bounds_of(g).norm), lanes::load(data.error_norm + at),
          arch::rounded(lanes(coded.bounds_of(g).error_norm) * lanes::load(data.norm + at)));
      lanes(best[r] - product_error).store(least + g * panel_points + at);
    }
    all.compare(best, g);
  }
#pragma GCC unroll 4
  for (int r = 0; r < shape::registers; ++r) {
    all.where[r].store(group + column + r * lanes::lanes);
  }
}

/// A group of centroids that may contain the nearest centroid of a point.
struct candidate {
  std::uint16_t group;
  std::uint16_t point;
};

/// The least float score of each point of a panel so far, and its centroid. If Exact, also one bit
/// per point: whether another score is within the margin of the least.
template <bool Exact>
struct scored_panel {
  float margin;
  float* score;
  std::int32_t* nearest;
  std::uint64_t undecided = 0;

  /// Adds the 8 scores of a candidate. `least` is the least of them.
  FEWBIT_ALWAYS_INLINE void add(const arch::vec<float, packed_centroids::group>& scores,
                                float least, const candidate& from) noexcept {
    const index point = from.point;
    if (!(least <= score[point] + margin)) return;
    if constexpr (Exact) {
      const std::uint32_t near = arch::lanes_at_most(scores, {least + margin});
      const bool several = (near & (near - 1)) != 0 || !(least + margin < score[point]);
      undecided = (undecided & ~(std::uint64_t{1} << point)) | (std::uint64_t{several} << point);
    }
    const std::int32_t centroid =
        from.group * packed_centroids::group + arch::first_equal_lane(scores, least);
    if (least < score[point] || (least == score[point] && centroid < nearest[point])) {
      score[point] = least;
      nearest[point] = centroid;
    }
  }
};

/// Scores some candidates in float, side by side, and adds the scores to the result.
template <int Count, bool Exact>
FEWBIT_ALWAYS_INLINE void score_candidates(const packed_centroids& c, const float* panel,
                                           const candidate* candidates,
                                           scored_panel<Exact>& result) noexcept {
  using lanes = arch::vec<float, packed_centroids::group>;
  const float* centroids[Count];
  const float* points[Count];
  lanes sum[Count];
#pragma GCC unroll 4
  for (int i = 0; i < Count; ++i) {
    centroids[i] = c.data(candidates[i].group);
    points[i] = panel + candidates[i].point;
    sum[i] = lanes::load(centroids[i]);
  }
  for (index t = 0; t < c.dimension(); ++t) {
#pragma GCC unroll 4
    for (int i = 0; i < Count; ++i) {
      sum[i] =
          arch::fused_multiply_add(lanes::load(centroids[i] + (1 + t) * packed_centroids::group),
                                   lanes(points[i][t * panel_points]), sum[i]);
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < Count; ++i) {
    const auto four = arch::min(arch::part<0, 4>(sum[i]), arch::part<1, 4>(sum[i]));
    const float least = std::min(std::min(four[0], four[1]), std::min(four[2], four[3]));
    result.add(sum[i], least, candidates[i]);
  }
}

template <bool Exact>
void score_all_candidates(const packed_centroids& c, const float* panel,
                          const candidate* candidates, index count,
                          scored_panel<Exact>& result) noexcept {
  constexpr int together = 4;
  const index whole = count / together * together;
  for (index at = 0; at < whole; at += together) {
    score_candidates<together>(c, panel, candidates + at, result);
  }
  for (index at = whole; at < count; ++at) {
    score_candidates<1>(c, panel, candidates + at, result);
  }
}

/// The same result as nearest_by_scores. Calls that function if the codes leave too many
/// candidates.
template <class Arch, bool Exact>
std::uint64_t nearest_by_codes(const packed_centroids& c, const coded_centroids& coded,
                               const float* panel, const std::int8_t* codes,
                               const coded_panels::point_data& data,
                               std::int32_t* nearest) noexcept {
  using shape = nearest_shape<Arch>;
  using lanes = typename shape::lanes;
  constexpr index tile = index{shape::registers} * lanes::lanes;
  constexpr index most_groups = most_coded_centroids / packed_centroids::group;
  const float margin = Exact ? c.margin(panel[c.dimension() * panel_points]) : 0.0F;
  if (!is_finite(margin)) return nearest_by_scores<Arch, Exact>(c, panel, nearest);
  float least[most_groups * panel_points];
  constexpr index line = arch::cache_line / sizeof(float);
  for (index i = 0; i < c.dimension() * panel_points; i += line) {
    arch::prefetch_to_l1(panel + i);  // for the candidates
  }
  for (index column = 0; column < panel_points; column += tile) {
    score_by_codes<Arch>(c, coded, codes, data, column, least, nearest);
  }
  candidate found[most_groups * panel_points / 4 + panel_points];
  float score[panel_points];
  for (index i = 0; i < panel_points; ++i) {
    found[i] = {static_cast<std::uint16_t>(nearest[i]), static_cast<std::uint16_t>(i)};
    least[nearest[i] * panel_points + i] = std::numeric_limits<float>::infinity();
    score[i] = std::numeric_limits<float>::infinity();
  }
  scored_panel<Exact> result{margin, score, nearest};
  score_all_candidates(c, panel, found, panel_points, result);
  // Bound of the float rounding error of these sums: some units in the last place of the largest
  // term, for each term.
  const float unit = 0x1p-21F * static_cast<float>(c.dimension() + 16);
  float limit[panel_points];
  for (index i = 0; i < panel_points; ++i) {
    const float norm_bound =
        data.norm[i] + data.error_norm[i] + coded.largest_norm() * data.inverse_scale[i];
    limit[i] = (score[i] + margin) * data.inverse_scale[i] +
               unit * norm_bound * (1.0F + coded.largest_norm());
  }
  const index room = c.groups() * panel_points / 4;
  index count = 0;
  for (index g = 0; g < c.groups(); ++g) {
    for (index column = 0; column < panel_points; column += lanes::lanes) {
      std::uint32_t near = arch::lanes_at_most(lanes::load(least + g * panel_points + column),
                                               lanes::load(limit + column));
      for (; near != 0; near &= near - 1) {
        found[count++] = {static_cast<std::uint16_t>(g),
                          static_cast<std::uint16_t>(column + std::countr_zero(near))};
      }
    }
    if (count > room) return nearest_by_scores<Arch, Exact>(c, panel, nearest);
  }
  score_all_candidates(c, panel, found, count, result);
  return result.undecided;
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
