#pragma once
/// Points as the search for the nearest centroid reads them: 48 side by side, one coordinate after
/// the other, moved to the middle of the data and scaled.
///
/// A panel is d rows of 48 floats: coordinate t of point i stands at panel[t * 48 + i]. 48 is a
/// whole number of register tiles on every instruction set, so sums per panel do not depend on it,
/// and a row of 192 bytes never brings all rows into the same set of a cache. Behind the rows, at
/// panel[d * 48], stands the norm_bound of the panel: what the norm of none of its points exceeds. The
/// search bounds its rounding by it.
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
#include "fewbit/core/types.hpp"
#include "fewbit/quant/quantize.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// Points of one panel.
inline constexpr index panel_points = 48;

/// Floats of a panel of points of d coordinates: a whole number of cache lines.
[[nodiscard]] constexpr index panel_floats(index d) noexcept { return d * panel_points + 16; }

namespace detail {

/// 2^e with |x| 2^e in [1/2, 1), as far as a float can hold it.
inline float scale_to_one(double x) noexcept {
  int exponent = 0;
  std::frexp(x, &exponent);
  return std::ldexp(1.0F, std::clamp(-exponent, -126, 126));
}

}  // namespace detail

/// Where the data lies: x becomes x * scale - shift. Distances are differences of large numbers if
/// the data lies far from 0, and overflow if it is large; after this map neither happens. It moves
/// all points alike, so it does not matter which is nearest.
struct centering {
  std::vector<float> shift;  ///< middle of each coordinate, times the scale
  float scale = 1.0F;        ///< a power of two

  /// The mean of the rows goes to 0, the largest deviation from it to [1/2, 1).
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

  /// The same scale without a shift. Differences of coordinates are then those of the points, none
  /// of whose bits a shift has rounded away.
  [[nodiscard]] centering unshifted() const { return {std::vector<float>(shift.size()), scale}; }

  /// Coordinate t of a point. What lies so far away that products could overflow is held back.
  [[nodiscard]] FEWBIT_ALWAYS_INLINE float operator()(float x, index t) const noexcept {
    const float moved = arch::rounded(x * scale) - shift[static_cast<std::size_t>(t)];
    return arch::clamp(moved, -0x1p50F, 0x1p50F);
  }
};

namespace detail {

/// A norm so large beside the centroids, whose norms are about 1, that scores in float tell
/// nothing.
inline constexpr float largest_useful_norm = 0x1p20F;

/// The largest norm of the points of a panel, rounded up; infinite from largest_useful_norm on.
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
  // Squares below 2^-126 may be lost, and each of d products and sums may lose half a unit in the
  // last place.
  const double norm =
      std::sqrt(double{arch::max_of_lanes(largest)}) + 0x1p-60 * std::sqrt(static_cast<double>(d));
  const double up = 1.0 + 0x1p-23 * static_cast<double>(d + 4);
  return norm * up < double{largest_useful_norm} ? static_cast<float>(norm * up)
                                                 : std::numeric_limits<float>::infinity();
}

/// Fills a panel with `count` rows of d coordinates, `stride` apart; the other columns become 0.
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

/// All points of a matrix in panels; those missing from the last are 0.
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
