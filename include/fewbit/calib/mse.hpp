#pragma once
/// Chooses the range with the least mean squared error of quantization.
///
/// It is the usual choice for 4 bits and fewer. The error is computed from a histogram: each value
/// is replaced by the centre of its bin. Read next: threshold.hpp for all methods.
/// Sources: Wu et al. 2020, arXiv:2004.09602; Banner et al. 2018, arXiv:1810.05723.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "fewbit/arch/vec.hpp"
#include "fewbit/calib/histogram.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// The centres and the counts of the non-empty bins, as doubles.
struct weighted_points {
  std::vector<double> value;
  std::vector<double> weight;

  explicit weighted_points(const histogram& h) {
    for (index i = 0; i < h.bins(); ++i) {
      if (h.count(i) == 0) continue;
      value.push_back(h.center(i));
      weight.push_back(static_cast<double>(h.count(i)));
    }
  }
};

/// Nearest integer, ties to even, for |x| < 2^51.
template <class V>
FEWBIT_ALWAYS_INLINE V nearest(const V& x) noexcept {
  constexpr double magic = 6755399441055744.0;  // 1.5 * 2^52
  return arch::rounded(x + V(magic)) - V(magic);
}

/// For each range [lo[i], hi[i]], the sum of weight * (value - quantized value)^2. A range has
/// `levels` steps, and 0 is a multiple of the step. Each lane computes one range, so the order of
/// the additions, and every bit of the result, is the same for any number of lanes.
inline std::vector<double> squared_errors(const weighted_points& points,
                                          const std::vector<double>& lo,
                                          const std::vector<double>& hi, double levels) {
  using doubles = arch::vec<double, arch::native_lanes<double>>;
  constexpr std::size_t lanes = doubles::lanes;
  const std::size_t n = lo.size();
  std::vector<double> errors(n);
  for (std::size_t begin = 0; begin < n; begin += lanes) {
    doubles low;
    doubles high;
    for (std::size_t l = 0; l < lanes; ++l) {
      const std::size_t i = std::min(begin + l, n - 1);
      low.set(static_cast<int>(l), lo[i]);
      high.set(static_cast<int>(l), hi[i]);
    }
    const doubles step = (high - low) / doubles(levels);
    const doubles first = nearest(low / step);
    const doubles last = first + doubles(levels);
    doubles sum(0.0);
    for (std::size_t j = 0; j < points.value.size(); ++j) {
      const doubles x(points.value[j]);
      const doubles code = arch::clamp(nearest(x / step), first, last);
      const doubles miss = arch::rounded(code * step) - x;
      sum += arch::rounded(arch::rounded(miss * miss) * doubles(points.weight[j]));
    }
    for (std::size_t l = 0; l < lanes && begin + l < n; ++l) {
      errors[begin + l] = sum[static_cast<int>(l)];
    }
  }
  return errors;
}

inline std::size_t first_least(const std::vector<double>& errors) {
  return static_cast<std::size_t>(std::min_element(errors.begin(), errors.end()) - errors.begin());
}

}  // namespace detail

/// symmetric: the range [-a, a] with the least error. The candidates for a are the bin centres from
/// bin `first_bin` to the last one. If several errors are equal, a is the smallest. If there is no
/// candidate, a is max|x|. The codes are -L to L with L = 2^(bits - 1) - 1, or 0 to 2^bits - 1 if
/// unsigned_codes.
///
/// affine: a range [lo, hi] that contains 0, with 2^bits codes. The search starts from the
/// extremes. It moves hi, then lo, to the best bin centre that is at least `first_bin` bins away
/// from 0. It repeats this until the error does not decrease, at most 8 times. An end without such
/// a bin centre does not move. The result is a local minimum. For the bell-shaped distributions of
/// networks it is close to the global minimum.
struct by_mse {
  int bits = 8;                 ///< 2 to 16
  bool unsigned_codes = false;  ///< symmetric only: for data >= 0
  index first_bin = 128;        ///< the first candidate, in bins from 0

  [[nodiscard]] fewbit::range operator()(const histogram& h) const {
    detail::expect_bits_and_first_bin("by_mse", bits, first_bin);
    detail::expect_searchable("by_mse", h);
    return h.ends == clip::symmetric ? symmetric_range(h) : affine_range(h);
  }

  friend bool operator==(const by_mse&, const by_mse&) = default;

 private:
  [[nodiscard]] fewbit::range symmetric_range(const histogram& h) const {
    std::vector<double> hi;
    for (index i = first_bin; i < h.bins(); ++i) hi.push_back(h.center(i));
    if (hi.empty()) return detail::symmetric_range(0.0, h);
    // The counts are of |x|, so only the codes 0 to L are used: [0, a] in L steps.
    const double levels = (1 << (unsigned_codes ? bits : bits - 1)) - 1;
    const std::vector<double> lo(hi.size(), 0.0);
    const auto errors = detail::squared_errors(detail::weighted_points(h), lo, hi, levels);
    return detail::symmetric_range(hi[detail::first_least(errors)], h);
  }

  [[nodiscard]] fewbit::range affine_range(const histogram& h) const {
    const detail::weighted_points points(h);
    const double levels = (1 << bits) - 1;
    double lo = std::min(double{h.extremes.lo}, 0.0);
    double hi = std::max(double{h.extremes.hi}, 0.0);
    if (lo == hi) return {0.0F, 0.0F};
    std::vector<double> left;
    std::vector<double> right;
    for (index i = 0; i < h.zero - first_bin; ++i) left.push_back(std::max(h.center(i), lo));
    for (index i = h.zero + std::min(first_bin, h.bins()); i < h.bins(); ++i) {
      right.push_back(std::min(h.center(i), hi));
    }
    double least = detail::squared_errors(points, {lo}, {hi}, levels)[0];
    constexpr int rounds = 8;
    for (int round = 0; round < rounds; ++round) {
      const double before = least;
      improve(right, hi, least, [&](const std::vector<double>& ends) {
        return detail::squared_errors(points, std::vector<double>(ends.size(), lo), ends, levels);
      });
      improve(left, lo, least, [&](const std::vector<double>& ends) {
        return detail::squared_errors(points, ends, std::vector<double>(ends.size(), hi), levels);
      });
      if (least == before) break;
    }
    return {static_cast<float>(lo), static_cast<float>(hi)};
  }

  /// If the best candidate has an error below `least`, copies it to `end` and its error to `least`.
  template <class Errors>
  static void improve(const std::vector<double>& candidates, double& end, double& least,
                      Errors&& errors_of) {
    if (candidates.empty()) return;
    const std::vector<double> errors = errors_of(candidates);
    const std::size_t best = detail::first_least(errors);
    if (errors[best] >= least) return;
    least = errors[best];
    end = candidates[best];
  }
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
