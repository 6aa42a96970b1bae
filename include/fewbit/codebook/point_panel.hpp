#pragma once
/// Points in the memory order of the nearest-centroid search: panels of 48 points, shifted to the
/// middle of the data and scaled.
///
/// A panel is d rows of 48 floats: coordinate t of point i is panel[t * 48 + i]. 48 is a multiple
/// of the tile width of every instruction set, so sums over a panel are the same on all of them. A
/// row has 192 bytes, so the rows spread over all cache sets. The float panel[d * 48] is the norm
/// bound: no point of the panel has a larger norm. The search derives its rounding error from it.
///
/// Read next: codebook/nearest.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "fewbit/arch/transpose.hpp"
#include "fewbit/arch/vec.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/rows.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// The number of points of a panel.
inline constexpr index panel_points = 48;

/// The number of floats of a panel with d coordinates: a whole number of cache lines.
[[nodiscard]] constexpr index panel_floats(index d) noexcept { return d * panel_points + 16; }

namespace detail {

/// The power of two 2^e for which |x| 2^e is in [1/2, 1), limited to the exponents of a float.
inline float scale_to_one(double x) noexcept {
  int exponent = 0;
  std::frexp(x, &exponent);
  return std::ldexp(1.0F, std::clamp(-exponent, -126, 126));
}

}  // namespace detail

/// The map x -> x * scale - shift. Without it, distances between points far from 0 are small
/// differences of large numbers, and distances between large points overflow. All points are mapped
/// alike, so the nearest centroid stays the same.
struct centering {
  std::vector<float> shift;  ///< middle of each coordinate, times the scale
  float scale = 1.0F;        ///< a power of two

  /// The map that sends the mean of the rows to 0 and the largest deviation from it to [1/2, 1).
  [[nodiscard]] static centering of(const Eigen::Ref<const row_matrix<float>>& rows) {
    const index d = rows.cols();
    std::vector<double> mean(static_cast<std::size_t>(d), 0.0);
    for (index i = 0; i < rows.rows(); ++i) {
      const float* x = rows.data() + i * rows.outerStride();
      for (index t = 0; t < d; ++t) mean[static_cast<std::size_t>(t)] += x[t];
    }
    for (double& m : mean) m /= static_cast<double>(rows.rows());
    double largest = 0.0;
    for (index i = 0; i < rows.rows(); ++i) {
      const float* x = rows.data() + i * rows.outerStride();
      for (index t = 0; t < d; ++t) {
        largest = std::max(largest, std::abs(x[t] - mean[static_cast<std::size_t>(t)]));
      }
    }
    centering map;
    map.scale = detail::scale_to_one(largest);
    for (const double m : mean) map.shift.push_back(static_cast<float>(m * double{map.scale}));
    return map;
  }

  /// The same scale without a shift. No shift then rounds the coordinates, so differences of mapped
  /// coordinates are the original differences times the scale.
  [[nodiscard]] centering unshifted() const { return {std::vector<float>(shift.size()), scale}; }

  /// Coordinate t of a mapped point, clamped to +-2^50 so that products cannot overflow.
  [[nodiscard]] FEWBIT_ALWAYS_INLINE float operator()(float x, index t) const noexcept {
    const float moved = arch::rounded(x * scale) - shift[static_cast<std::size_t>(t)];
    return arch::clamp(moved, -0x1p50F, 0x1p50F);
  }
};

namespace detail {

/// Centroids have norms of about 1. If a point has a larger norm than this, float scores cannot
/// tell its centroids apart.
inline constexpr float largest_useful_norm = 0x1p20F;

/// The largest norm of the points of a panel, rounded up. Infinite from largest_useful_norm on.
inline float norm_bound_of(const float* panel, index d) noexcept {
  using lanes = arch::vec<float, arch::native_lanes<float>>;
  lanes largest(0.0F);
  for (index i = 0; i < panel_points; i += lanes::lanes) {
    lanes square(0.0F);
    for (index t = 0; t < d; ++t) {
      const lanes x = lanes::load(panel + t * panel_points + i);
      square += arch::rounded(lanes(x * x));
    }
    largest = arch::max(square, largest);
  }
  // Squares below 2^-126 may be lost. Each of d products and sums may lose half a unit in the last
  // place.
  const double norm =
      std::sqrt(double{arch::max_of_lanes(largest)}) + 0x1p-60 * std::sqrt(static_cast<double>(d));
  const double up = 1.0 + 0x1p-23 * static_cast<double>(d + 4);
  return norm * up < double{largest_useful_norm} ? static_cast<float>(norm * up)
                                                 : std::numeric_limits<float>::infinity();
}

/// Fills a panel with `count` rows of d coordinates, `stride` apart. The columns of missing points
/// become 0.
inline void load_panel(const float* rows, index stride, index count, index d, const centering& map,
                       float* panel) noexcept {
  constexpr int side = 8;
  using lanes = arch::vec<float, side>;
  index t = 0;
  for (; t + side <= d; t += side) {
    const lanes scale(map.scale);
    const lanes shift = lanes::load(map.shift.data() + t);
    for (index i = 0; i < panel_points; i += side) {
      lanes square[side];
#pragma GCC unroll 8
      for (int r = 0; r < side; ++r) {
        square[r] = lanes(0.0F);
        if (i + r < count) {
          const lanes moved =
              arch::rounded(lanes::load(rows + (i + r) * stride + t) * scale) - shift;
          square[r] = arch::clamp(moved, lanes(-0x1p50F), lanes(0x1p50F));
        }
      }
      arch::transpose(square);
#pragma GCC unroll 8
      for (int c = 0; c < side; ++c) square[c].store(panel + (t + c) * panel_points + i);
    }
  }
  for (; t < d; ++t) {
    for (index i = 0; i < count; ++i) panel[t * panel_points + i] = map(rows[i * stride + t], t);
    for (index i = count; i < panel_points; ++i) panel[t * panel_points + i] = 0.0F;
  }
  panel[d * panel_points] = norm_bound_of(panel, d);
}

/// All points of a matrix in panels. Missing points of the last panel are 0.
class point_panels {
 public:
  template <Executor E>
  point_panels(const matrix_ref& points, const centering& map, const E& executor)
      : points_(points.rows()),
        floats_(panel_floats(points.cols())),
        memory_(panels() * floats_, for_overwrite) {
    executor.for_each(panels(), [&](index p) {
      const index first = p * panel_points;
      load_panel(points.data() + first * points.outerStride(), points.outerStride(),
                 std::min(panel_points, points.rows() - first), points.cols(), map,
                 memory_.data() + p * floats_);
    });
  }

  [[nodiscard]] index points() const noexcept { return points_; }
  [[nodiscard]] index panels() const noexcept {
    return (points_ + panel_points - 1) / panel_points;
  }
  [[nodiscard]] const float* panel(index p) const noexcept { return memory_.data() + p * floats_; }

 private:
  index points_;
  index floats_;
  aligned_buffer<float> memory_;
};

}  // namespace detail

}}  // namespace fewbit

#include "fewbit/end.hpp"
