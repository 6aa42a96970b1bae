#pragma once
/// Clips all but a share of the values. Exact for data in hand, within a bin for a histogram.
///
/// For activations with a few outliers; 99.9 to 99.9999 percent are the usual shares. Wu et al.
/// 2020, arXiv:2004.09602, section 3.2. Read next: entropy.hpp and mse.hpp, which choose the share
/// themselves.

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

/// The smallest k >= 1 with k / n >= p / 100. p is decimal and its double is not, so a product
/// within rounding of an integer is that integer: 99.9 percent of 10000 are 9990, not 9991.
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

/// The narrowest interval known to hold the k-th value from below.
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

/// Cuts as many values as (100 - p) percent or fewer, never more.
///
/// symmetric: a is the far edge of the bin that holds the p-th percentile of |x|, the k-th smallest
/// with k = n * p / 100 rounded up, and at most max|x|.
/// affine: (100 - p) / 2 percent are cut at each end, which is again the far edge of its bin, so
/// that negating the data negates the range. Data on one side of 0, as a relu leaves them, have one
/// tail, and all of the share is cut there.
///
/// A bin is the narrower one of two: the linear bin, and one of sign, exponent and the leading bits
/// of the mantissa, at most 1/64 of its near edge wide. So the answer is at most one bin above the
/// exact percentile, and values far from the rest leave the rest resolved. The 1/64 holds in the 20
/// highest octaves that hold a value, below them it is 1/4. A histogram_observer of 2048 bins counts
/// only octaves below 1/32 of the maximum for these 20, because its linear bins are narrower above.
/// A histogram without `narrow` has linear bins alone.
///
/// p = 100 is the exact maximum. Where the answer would be empty (some p percent of the values are
/// 0), it is the exact extremes too.
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
    // The k-th from above is the (n + 1 - k)-th from below.
    double lo = h.extremes.lo;
    double hi = h.extremes.hi;
    if (cut_hi) hi = std::min(hi, detail::bin_of_rank(h, k).hi);
    if (cut_lo) lo = std::max(lo, detail::bin_of_rank(h, n + 1 - k).lo);
    if (lo >= hi) return h.extremes;
    return {static_cast<float>(lo), static_cast<float>(hi)};
  }
};

/// The p-th percentile of |x| without a histogram: the k-th smallest, k = n * p / 100 rounded up.
/// For weights, which are all in hand.
///
/// @param p  above 0, at most 100
/// @throws fewbit::error if x is empty or holds a NaN or an infinity.
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
