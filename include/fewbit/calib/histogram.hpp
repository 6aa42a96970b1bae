#pragma once
/// A histogram as plain data, the input of the threshold methods.
///
/// histogram_observer and fixed_histogram produce it. A program with its own counts can also fill
/// one and pass it to a method. Read next: threshold.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/quant/range.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// The form of the range that a method chooses.
enum class clip : std::uint8_t {
  symmetric,  ///< [-a, a], with one threshold a on |x|
  affine,     ///< [lo, hi], with two thresholds on x
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// A bin with its own edges. It counts lo <= x < hi if lo >= 0, and lo < x <= hi if hi <= 0. The
/// bin of the zeros has lo = hi = 0.
struct small_bin {
  double lo = 0.0;
  double hi = 0.0;
  std::uint64_t count = 0;

  [[nodiscard]] bool contains(double x) const noexcept {
    return x > 0.0 ? lo <= x && x < hi : x < 0.0 ? lo < x && x <= hi : lo == 0.0 && hi == 0.0;
  }
};

/// Bins of equal width. `zero` of them are below 0.
///
/// Bin i counts edge(i) <= x < edge(i + 1) above 0, and edge(i) < x <= edge(i + 1) below 0. So the
/// histogram of -x is the mirror image of the histogram of x. A symmetric histogram counts |x| and
/// has zero = 0. The first bin also counts the values below its edges, and the last bin the values
/// above its edges.
///
/// A single outlier makes all bins wide, and most values then fall into the few bins next to 0.
/// Therefore `narrow` counts the values of the `split` bins on each side of 0 a second time, in
/// bins that are narrower near 0. Percentiles use it. A program that fills a histogram itself can
/// leave `narrow` empty.
struct histogram {
  clip ends = clip::symmetric;
  std::vector<std::uint64_t> counts;
  double width = 0.0;
  index zero = 0;
  range extremes;                 ///< exact smallest and largest x, also if the counts are of |x|
  index split = 0;                ///< 0 if narrow is empty
  std::vector<small_bin> narrow;  ///< ascending, without overlap

  [[nodiscard]] index bins() const noexcept { return static_cast<index>(counts.size()); }
  [[nodiscard]] double edge(index i) const noexcept {
    return static_cast<double>(i - zero) * width;
  }
  [[nodiscard]] double center(index i) const noexcept {
    return (static_cast<double>(i - zero) + 0.5) * width;
  }
  [[nodiscard]] std::uint64_t count(index i) const noexcept {
    return counts[static_cast<std::size_t>(i)];
  }
  [[nodiscard]] std::uint64_t total() const noexcept { return count_of(0, bins()); }

  /// The sum of bins first to last - 1.
  [[nodiscard]] std::uint64_t count_of(index first, index last) const noexcept {
    std::uint64_t sum = 0;
    for (index i = first; i < last; ++i) sum += count(i);
    return sum;
  }

  /// `narrow` counts the values of bins first_split() to last_split() - 1 a second time.
  [[nodiscard]] index first_split() const noexcept { return zero > split ? zero - split : 0; }
  [[nodiscard]] index last_split() const noexcept {
    return bins() - zero > split ? zero + split : bins();
  }
};

namespace detail {

inline void expect_searchable(const char* function, const histogram& h) {
  const bool width_is_good = h.width > 0.0 && h.width <= std::numeric_limits<float>::max();
  expect(width_is_good, function, "histogram.width", h.width, "a positive number");
  const bool zero_is_good =
      h.ends == clip::symmetric ? h.zero == 0 : h.zero >= 0 && h.zero <= h.bins();
  expect(zero_is_good, function, "histogram.zero", h.zero,
         "0 if symmetric, at most the number of bins if affine");
  const auto [lo, hi] = h.extremes;
  expect(is_finite(lo), function, "histogram.extremes.lo", lo, "a finite number");
  expect(is_finite(hi), function, "histogram.extremes.hi", hi, "a finite number");
  expect(lo <= hi, function, "histogram.extremes.lo", lo,
         "at most histogram.extremes.hi, " + text(hi));
  expect(h.total() != 0, function, "histogram.total()", 0, "at least 1");
}

/// Bin i as an interval. If the first bin is below 0, it starts at -infinity. If the last bin is
/// above 0, it ends at infinity.
inline small_bin wide_bin(const histogram& h, index i) noexcept {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const bool open_below = i == 0 && h.zero != 0;
  const bool open_above = i == h.bins() - 1 && h.zero != h.bins();
  return {open_below ? -infinity : h.edge(i), open_above ? infinity : h.edge(i + 1), h.count(i)};
}

/// Whether a value can be in both bins. `narrow` can be the bin of the zeros.
inline bool share_a_value(const small_bin& wide, const small_bin& narrow) noexcept {
  if (narrow.lo == narrow.hi) return wide.lo == 0.0;
  return std::max(wide.lo, narrow.lo) < std::min(wide.hi, narrow.hi);
}

/// Whether `narrow` can count the same values as the bins that it splits. For each i, the narrow
/// bin and the wide bin of the i-th smallest value must overlap.
inline bool small_bins_fit(const histogram& h) noexcept {
  index i = h.first_split();
  std::uint64_t left = 0;  // values of bin i - 1 that are not matched yet
  double reached = -std::numeric_limits<double>::infinity();
  for (const small_bin& b : h.narrow) {
    const bool one_side = b.lo < b.hi ? b.lo >= 0.0 || b.hi <= 0.0 : b.lo == 0.0 && b.hi == 0.0;
    if (!one_side || b.lo < reached) return false;
    reached = b.hi;
    for (std::uint64_t n = b.count; n != 0;) {
      for (; left == 0; ++i) {
        if (i == h.last_split()) return false;
        left = h.count(i);
      }
      if (!share_a_value(wide_bin(h, i - 1), b)) return false;
      const std::uint64_t both = std::min(n, left);
      n -= both;
      left -= both;
    }
  }
  return left + h.count_of(i, h.last_split()) == 0;
}

inline void expect_bits_and_first_bin(const char* function, int bits, index first_bin) {
  expect(bits >= 2 && bits <= 16, function, "bits", bits, "from 2 to 16");
  expect(first_bin >= 1, function, "first_bin", first_bin, "at least 1");
}

/// The histogram of |x|.
inline histogram folded(const histogram& h) {
  const index right = h.bins() - h.zero;
  histogram out;
  out.width = h.width;
  out.extremes = h.extremes;
  out.counts.assign(static_cast<std::size_t>(right > h.zero ? right : h.zero), 0);
  for (index i = 0; i < h.bins(); ++i) {
    const index k = i >= h.zero ? i - h.zero : h.zero - 1 - i;
    out.counts[static_cast<std::size_t>(k)] += h.count(i);
  }
  return out;
}

/// [-a, a] with a = min(threshold, max|x|). A threshold of 0 means max|x|, because sparse data must
/// not be clipped to an empty range.
inline range symmetric_range(double threshold, const histogram& h) {
  const float amax = h.extremes.amax();
  const float a =
      threshold > 0.0 && threshold < double{amax} ? static_cast<float>(threshold) : amax;
  return {-a, a};
}

}  // namespace detail

}}  // namespace fewbit

#include "fewbit/end.hpp"
