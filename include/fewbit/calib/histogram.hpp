#pragma once
/// A histogram as plain data: what the threshold methods (threshold.hpp) search.
///
/// histogram_observer and fixed_histogram produce it; a program that has counts of its own may fill
/// one and search it too.

#include "fewbit/begin.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/quant/range.hpp"

namespace fewbit::inline FEWBIT_VERSION_NAMESPACE {

/// Which ends a method chooses.
enum class clip : std::uint8_t {
  symmetric,  ///< one threshold a on |x|: the range is [-a, a]
  affine,     ///< both ends, on x itself
};

}  // namespace fewbit::inline FEWBIT_VERSION_NAMESPACE

namespace fewbit::inline FEWBIT_ARCH_NAMESPACE {

/// Bins of one width, `zero` of them left of 0.
///
/// Bin i holds edge(i) <= x < edge(i + 1) right of 0 and edge(i) < x <= edge(i + 1) left of it, so
/// that the histogram of -x is the mirror image. A symmetric one counts |x| and has zero = 0.
struct histogram {
  clip ends = clip::symmetric;
  std::vector<std::uint64_t> counts;
  double width = 0.0;
  index zero = 0;
  range extremes;  ///< smallest and largest x seen, exactly, also where the counts are of |x|

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
  [[nodiscard]] std::uint64_t total() const noexcept {
    std::uint64_t sum = 0;
    for (const std::uint64_t c : counts) sum += c;
    return sum;
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
  expect_valid_range(function, h.extremes);
  expect(h.total() != 0, function, "histogram.total()", 0, "at least 1");
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

/// [-a, a], where a never exceeds what was seen and a threshold of 0 gives way to the maximum:
/// sparse data must not be clipped to nothing.
inline range symmetric_range(double threshold, const histogram& h) {
  const float amax = h.extremes.amax();
  const float a =
      threshold > 0.0 && threshold < double{amax} ? static_cast<float>(threshold) : amax;
  return {-a, a};
}

}  // namespace detail

}  // namespace fewbit::inline FEWBIT_ARCH_NAMESPACE

#include "fewbit/end.hpp"
