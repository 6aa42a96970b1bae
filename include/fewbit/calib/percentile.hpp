#pragma once
/// Chooses a range that contains at least p percent of the values and clips the rest. The result is
/// exact if all values are in memory. If it is computed from a histogram, it can be too large by
/// one bin.
///
/// Use it for activations with a few outliers. Usual values of p are 99.9 to 99.9999. Read next:
/// entropy.hpp and mse.hpp, which need no p.
/// Source: Wu et al. 2020, arXiv:2004.09602, section 3.2.

#include "fewbit/begin.hpp"

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "fewbit/calib/batch.hpp"
#include "fewbit/calib/histogram.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

inline void expect_percentile(const char* function, double p) {
  expect(p > 0.0 && p <= 100.0, function, "p", p, "above 0 and at most 100");
}

/// The smallest k >= 1 with k / n >= p / 100. A decimal p such as 99.9 is not exact in double.
/// Therefore a product that differs from an integer only by rounding counts as that integer: 99.9
/// percent of 10000 is 9990, not 9991.
inline std::uint64_t rank(std::uint64_t n, double p) {
  const double exact = static_cast<double>(n) * p / 100.0;
  const double nearest = std::nearbyint(exact);
  const double k = std::abs(exact - nearest) <= exact * 1e-15 ? nearest : std::ceil(exact);
  if (k >= static_cast<double>(n)) return n;
  return k < 1.0 ? 1 : static_cast<std::uint64_t>(k);
}

inline void expect_narrow_bins_fit(const char* function, const histogram& h) {
  expect(h.split >= 0 && small_bins_fit(h), function, "histogram.narrow", "a count of other values",
         "the values of the bins that it splits");
}

/// The narrowest bin that contains the k-th smallest value.
inline small_bin bin_of_rank(const histogram& h, std::uint64_t k) {
  std::uint64_t below = 0;
  index i = 0;
  for (; i + 1 < h.bins() && below + h.count(i) < k; ++i) below += h.count(i);
  small_bin found = wide_bin(h, i);
  if (i < h.first_split() || i >= h.last_split()) return found;
  below = h.count_of(0, h.first_split());
  for (const small_bin& b : h.narrow) {
    below += b.count;
    if (below < k) continue;
    found.lo = std::max(found.lo, b.lo);
    found.hi = std::min(found.hi, b.hi);
    break;
  }
  return found;
}

}  // namespace detail

/// Clips at most (100 - p) percent of the values.
///
/// symmetric: the range is [-a, a]. The p-th percentile of |x| is the k-th smallest |x|, with
/// k = n * p / 100 rounded up. a is the upper edge of its bin, but at most max|x|.
///
/// affine: at most (100 - p) / 2 percent of the values are clipped at each end. Each end is the
/// edge of its bin that is farther from 0, so that negating the data negates the range. Data on one
/// side of 0, for example after a ReLU, is clipped only at that side, by at most (100 - p) percent.
///
/// The bin is the narrower one of two: the bin of equal width, and the bin of `narrow`. So the
/// result is at most one bin above the exact percentile, and outliers do not reduce the resolution
/// for the other values. A histogram without `narrow` uses only its bins of equal width. The bins
/// of `narrow` (octave_counts.hpp) have a width of at most:
///
/// | octaves                            | width / edge nearer to 0 |
/// |------------------------------------|--------------------------|
/// | the 20 highest that contain values | 1/64                     |
/// | the others                         | 1/4                      |
///
/// A histogram_observer counts by octave only below 64 widths, because its bins of equal width are
/// narrower above. So the 20 highest octaves are all below 64 widths. With 2048 bins, 64 widths are
/// at least 1/32 of max|x|.
///
/// p = 100 clips nothing: the result is [-max|x|, max|x|] or the exact extremes. It is the same if
/// the range would be empty, for example if at least p percent of the values are 0.
struct by_percentile {
  double p = 99.99;  ///< above 0, at most 100

  [[nodiscard]] fewbit::range operator()(const histogram& h) const {
    detail::expect_percentile("by_percentile", p);
    detail::expect_searchable("by_percentile", h);
    detail::expect_narrow_bins_fit("by_percentile", h);
    return h.ends == clip::symmetric ? symmetric_range(h) : affine_range(h);
  }

  friend bool operator==(const by_percentile&, const by_percentile&) = default;

 private:
  [[nodiscard]] fewbit::range symmetric_range(const histogram& h) const {
    const auto bin = detail::bin_of_rank(h, detail::rank(h.total(), p));
    return detail::symmetric_range(p == 100.0 ? 0.0 : bin.hi, h);
  }

  [[nodiscard]] fewbit::range affine_range(const histogram& h) const {
    if (p == 100.0) return h.extremes;
    const bool cut_lo = h.extremes.lo < 0.0F;
    const bool cut_hi = h.extremes.hi > 0.0F;
    const std::uint64_t n = h.total();
    const std::uint64_t k = detail::rank(n, cut_lo && cut_hi ? 50.0 + p / 2.0 : p);
    // The k-th largest value is the (n + 1 - k)-th smallest.
    double lo = h.extremes.lo;
    double hi = h.extremes.hi;
    if (cut_hi) hi = std::min(hi, detail::bin_of_rank(h, k).hi);
    if (cut_lo) lo = std::max(lo, detail::bin_of_rank(h, n + 1 - k).lo);
    if (lo >= hi) return h.extremes;
    return {static_cast<float>(lo), static_cast<float>(hi)};
  }
};

/// The p-th percentile of |x| without a histogram: the k-th smallest |x|, k = n * p / 100 rounded
/// up. Use it for weights, which are all in memory.
///
/// @param p  above 0, at most 100
/// @throws fewbit::error if x is empty or contains a NaN or an infinity.
[[nodiscard]] inline float exact_percentile(const Eigen::Ref<const row_matrix<float>>& x,
                                            double p) {
  detail::expect_percentile("exact_percentile", p);
  const detail::caller by{"exact_percentile"};
  detail::expect_not_empty(by, x);
  if (!detail::all_finite(x)) detail::fail_at_first_non_finite(by, x);
  std::vector<float> magnitudes;
  magnitudes.reserve(static_cast<std::size_t>(x.size()));
  detail::for_each_run(x, [&](const float* p_run, index n) {
    for (index i = 0; i < n; ++i) magnitudes.push_back(std::abs(p_run[i]));
  });
  const auto k = static_cast<std::ptrdiff_t>(detail::rank(magnitudes.size(), p));
  const auto nth = magnitudes.begin() + (k - 1);
  std::nth_element(magnitudes.begin(), nth, magnitudes.end());
  return *nth;
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
