#pragma once
/// Ranges and magnitudes of groups, and the scales chosen from them. Private to quantize().

#include "fewbit/begin.hpp"

#include <cmath>
#include <cstdint>
#include <vector>

#include "fewbit/arch/vec.hpp"
#include "fewbit/core/rows.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/quant/element_params.hpp"
#include "fewbit/quant/granularity.hpp"
#include "fewbit/quant/magnitude_rule.hpp"
#include "fewbit/quant/params.hpp"
#include "fewbit/quant/range.hpp"
#include "fewbit/quant/scheme.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// Widens r to hold n > 0 finite values.
inline void widen(range& r, const float* x, index n) noexcept {
  using vec = arch::vec<float, arch::native_lanes<float>>;
  index i = 0;
  if (n >= vec::lanes) {
    vec lo = vec::load(x);
    vec hi = lo;
    for (i = vec::lanes; i + vec::lanes <= n; i += vec::lanes) {
      const vec v = vec::load(x + i);
      lo = arch::min(lo, v);
      hi = arch::max(hi, v);
    }
    for (int lane = 0; lane < vec::lanes; ++lane) r = hull(r, {lo[lane], hi[lane]});
  }
  for (index rest = n % vec::lanes; rest > 0; --rest, ++i) r = hull(r, {x[i], x[i]});
}

inline range range_of(const matrix_ref& w, const rectangle& b) noexcept {
  const float first = w(b.row, b.col);
  range r{first, first};
  for (index i = b.row; i < b.row + b.rows; ++i) widen(r, row_of(w, i) + b.col, b.cols);
  return r;
}

/// |w| of a group, row after row.
inline std::vector<float> magnitudes_of(const matrix_ref& w, const rectangle& b) {
  std::vector<float> magnitudes;
  magnitudes.reserve(static_cast<std::size_t>(b.rows * b.cols));
  for (index r = b.row; r < b.row + b.rows; ++r) {
    for (index c = b.col; c < b.col + b.cols; ++c) magnitudes.push_back(std::abs(w(r, c)));
  }
  return magnitudes;
}

/// The choices of all groups, in the order of granularity::scale_of.
template <Scheme S>
struct group_choices {
  std::vector<float> scales;
  std::vector<typename S::code> zero_points;  ///< affine schemes
  std::vector<float> minima;                  ///< schemes with minima
  std::vector<float> thresholds;              ///< ternary and binary schemes

  explicit group_choices(index count) : scales(static_cast<std::size_t>(count)) {
    if constexpr (S::is_affine) zero_points.resize(static_cast<std::size_t>(count));
    if constexpr (S::has_minimum) minima.resize(static_cast<std::size_t>(count));
    if constexpr (!S::is_integer && !CodebookScheme<S>) {
      thresholds.resize(static_cast<std::size_t>(count));
    }
  }

  void set(index i, const quant_params& p) noexcept {
    scales[static_cast<std::size_t>(i)] = p.scale;
    if constexpr (S::is_affine) {
      zero_points[static_cast<std::size_t>(i)] = static_cast<typename S::code>(p.zero_point);
    }
  }
  void set(index i, const minimum_params& p) noexcept {
    scales[static_cast<std::size_t>(i)] = p.scale;
    minima[static_cast<std::size_t>(i)] = p.minimum;
  }
  void set(index i, const magnitude_choice& m) noexcept {
    scales[static_cast<std::size_t>(i)] = m.scale;
    thresholds[static_cast<std::size_t>(i)] = m.threshold;
  }

  [[nodiscard]] params_of_groups<S> params() const noexcept {
    return {scales, zero_points, minima};
  }
};

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
