#pragma once
/// Counts of bins on both sides of 0, and the common base of histogram_observer and
/// fixed_histogram. Private to both.
///
/// Bin k >= 0 counts the values from k to k + 1 widths above 0. Bin -1 - k = ~k is its mirror image
/// below 0. +0 and -0 are in bin 0. The sum of bins k and ~k is bin k of the exact histogram of
/// |x|.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "fewbit/calib/batch.hpp"
#include "fewbit/calib/compact_counts.hpp"
#include "fewbit/calib/histogram.hpp"
#include "fewbit/calib/observer.hpp"
#include "fewbit/calib/octave_counts.hpp"
#include "fewbit/calib/text.hpp"
#include "fewbit/calib/threshold.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

class mirrored_counts {
 public:
  explicit mirrored_counts(index bins_per_side)
      : bins_(bins_per_side), counts_(static_cast<std::size_t>(2 * bins_per_side)) {}

  [[nodiscard]] index bins_per_side() const noexcept { return bins_; }

  [[nodiscard]] std::uint64_t operator[](index k) const noexcept { return counts_[place(k)]; }

  /// @param k  from -bins_per_side() to bins_per_side() - 1
  void add(index k, std::uint64_t n) { counts_.add(place(k), n); }

  FEWBIT_ALWAYS_INLINE void add_one(index k) { counts_.add_one(place(k)); }

  /// Adds more[i] to bin i - bins_per_side(), for all bins.
  void add_each(const std::uint32_t* more) { counts_.add_each(0, more, counts_.size()); }

  void add(const mirrored_counts& other) {
    for (std::size_t i = 0; i < counts_.size(); ++i) counts_.add(i, other.counts_[i]);
  }

  /// The counts with each 2^doublings neighbouring bins merged into one. The arithmetic shift of k
  /// is correct on both sides of 0, because ~((~k) >> d) = k >> d.
  [[nodiscard]] mirrored_counts coarsened(int doublings) const {
    const int shift = doublings < 62 ? doublings : 62;
    mirrored_counts coarse(bins_);
    for (index k = -bins_; k < bins_; ++k) coarse.add(k >> shift, (*this)[k]);
    return coarse;
  }

  [[nodiscard]] std::size_t bytes() const noexcept { return counts_.bytes(); }

  /// The sum of bins -n to n - 1.
  [[nodiscard]] std::uint64_t sum(index n) const noexcept {
    std::uint64_t all = 0;
    for (index k = -n; k < n; ++k) all += (*this)[k];
    return all;
  }

  /// Bins first to last - 1 as plain data; `first` <= 0 <= `last`.
  [[nodiscard]] histogram of_values(index first, index last, double width) const {
    histogram out;
    out.ends = clip::affine;
    out.width = width;
    out.zero = -first;
    out.counts.reserve(static_cast<std::size_t>(last - first));
    for (index k = first; k < last; ++k) out.counts.push_back((*this)[k]);
    return out;
  }

  /// The bins 0 to `used` - 1 of |x| as plain data.
  [[nodiscard]] histogram of_magnitudes(index used, double width) const {
    histogram out;
    out.width = width;
    out.counts.reserve(static_cast<std::size_t>(used));
    for (index k = 0; k < used; ++k) out.counts.push_back((*this)[k] + (*this)[~k]);
    return out;
  }

  void write(text_writer& out) const {
    std::uint64_t filled = 0;
    for (index k = -bins_; k < bins_; ++k) filled += (*this)[k] != 0 ? 1 : 0;
    out.field("filled", filled);
    for (index k = -bins_; k < bins_; ++k) {
      if ((*this)[k] != 0) out.entry(k, (*this)[k]);
    }
  }

  /// Fills an empty object. The bins must ascend from bin_of_lo to bin_of_hi. The sum of their
  /// counts must be seen.count.
  void read(text_reader& in, const data_summary& seen, index bin_of_lo, index bin_of_hi) {
    const std::uint64_t filled = in.field("filled", static_cast<std::uint64_t>(2 * bins_));
    std::uint64_t sum = 0;
    index previous = -bins_ - 1;
    for (std::uint64_t i = 0; i < filled; ++i) {
      const auto [k, count] = in.entry();
      expect(k > previous && k < bins_, in, "bin", k,
             "above the bin before and below the number of bins");
      expect(i != 0 || k == bin_of_lo, in, "first bin", k, bin_of_lo);
      expect(count != 0 && count <= seen.count - sum, in, "count of a bin", count,
             "at least 1, and in sum " + text(seen.count));
      previous = static_cast<index>(k);
      sum += count;
      add(previous, count);
    }
    expect_equal(in.function(), "sum of the bins", sum, seen.count);
    expect(filled == 0 || previous == bin_of_hi, in, "last bin", previous, bin_of_hi);
  }

  friend bool operator==(const mirrored_counts&, const mirrored_counts&) = default;

 private:
  [[nodiscard]] std::size_t place(index k) const noexcept {
    return static_cast<std::size_t>(k + bins_);
  }

  index bins_;
  compact_counts counts_;
};

/// The counts by octave and the bin of the zeros, as narrow bins. They are bins of |x| if `ends` is
/// symmetric, of x if it is affine.
inline std::vector<small_bin> small_bins(const octave_counts& counts, std::uint64_t zeros,
                                         clip ends) {
  std::vector<small_bin> out;
  if (ends == clip::affine) {
    counts.for_each([&](const octave_bin& b) {
      const double far_edge = -edge_of_key(b.key + b.keys);
      if (b.negative != 0) out.push_back({far_edge, -edge_of_key(b.key), b.negative});
    });
    std::reverse(out.begin(), out.end());
  }
  if (zeros != 0) out.push_back({0.0, 0.0, zeros});
  counts.for_each([&](const octave_bin& b) {
    const std::uint64_t n = b.positive + (ends == clip::symmetric ? b.negative : 0);
    if (n != 0) out.push_back({edge_of_key(b.key), edge_of_key(b.key + b.keys), n});
  });
  return out;
}

/// A bound of the memory of a histogram observer with counts below 2^32.
constexpr std::uint64_t most_bytes_of_counts(index bins_per_side) noexcept {
  constexpr std::uint64_t others = 20000;  // counts by octave and the object
  return static_cast<std::uint64_t>(bins_per_side) * 2 * sizeof(std::uint32_t) + others;
}

/// The state and the results of a histogram observer. Derived provides:
/// - `name`, for errors;
/// - width(), the width of a bin;
/// - used_bins(), the bins of a snapshot as {first, last + 1};
/// - split_bins(), the number of bins on each side of 0 that octaves_ counts a second time.
template <class Derived>
class binned_values {
 public:
  /// The range that `method` chooses, e.g. `range(by_entropy{.bits = 4})` or
  /// `range(by_mse{}, clip::affine)`.
  /// @throws fewbit::error before the first value.
  template <ThresholdMethod Method>
  [[nodiscard]] fewbit::range range(const Method& method, clip ends = clip::symmetric) const {
    return range(caller{Derived::name, "range"}, method, ends);
  }

  /// The exact extremes.
  /// @throws fewbit::error before the first value.
  [[nodiscard]] fewbit::range range() const { return range(caller{Derived::name, "range"}); }

  /// The overloads with `by` are for an observer that contains this one. Errors name `by`.
  template <ThresholdMethod Method>
  [[nodiscard]] fewbit::range range(const caller& by, const Method& method,
                                    clip ends = clip::symmetric) const {
    expect_data(by, count());
    return method(bins_of(ends));
  }
  [[nodiscard]] fewbit::range range(const caller& by) const {
    expect_data(by, count());
    return {seen_.lo, seen_.hi};
  }

  /// The bins as plain data: of |x| if `ends` is symmetric, of x if it is affine.
  /// @throws fewbit::error before the first value.
  [[nodiscard]] histogram snapshot(clip ends) const {
    expect_data({Derived::name, "snapshot"}, count());
    return bins_of(ends);
  }

  [[nodiscard]] index bins() const noexcept { return counts_.bins_per_side(); }
  /// Memory in bytes, with the object itself.
  [[nodiscard]] std::size_t bytes() const noexcept {
    return sizeof(Derived) + counts_.bytes() + octaves_.bytes();
  }
  [[nodiscard]] std::uint64_t count() const noexcept { return seen_.count; }
  [[nodiscard]] std::uint64_t skipped() const noexcept { return seen_.skipped; }
  [[nodiscard]] nan_policy policy() const noexcept { return policy_; }

  friend bool operator==(const binned_values&, const binned_values&) = default;

 protected:
  binned_values(index bins_per_side, nan_policy policy) : counts_(bins_per_side), policy_(policy) {}

  [[nodiscard]] std::uint64_t rows_seen() const noexcept { return seen_.count + seen_.skipped; }

  void expect_same_bins(const caller& by, const std::string& of, const binned_values& other) const {
    expect_same(by, "bins" + of, other.bins(), bins());
    expect_same_policy(by, of, policy_, other.policy_);
  }

  /// Reads both tables. Fails on a state that no observed values can produce.
  void read_counts(text_reader& in, index bin_of_lo, index bin_of_hi, int key_end) {
    counts_.read(in, seen_, bin_of_lo, bin_of_hi);
    const auto& self = static_cast<const Derived&>(*this);
    octaves_.read(in, key_end, counts_.sum(self.split_bins()));
    const histogram h = bins_of(clip::affine);
    expect(small_bins_fit(h), in, "octave bins", "a count of other values",
           "the values of the linear bins");
    if (h.narrow.empty()) return;
    const bool begins = bin_of_lo < -h.split || h.narrow.front().contains(seen_.lo);
    const bool ends = bin_of_hi >= h.split || h.narrow.back().contains(seen_.hi);
    expect(begins && ends, in, "octave bins", "without lo or hi",
           "the first with lo and the last with hi");
  }

  data_summary seen_;
  mirrored_counts counts_;
  octave_counts octaves_;
  nan_policy policy_;

 private:
  [[nodiscard]] histogram bins_of(clip ends) const {
    const auto& self = static_cast<const Derived&>(*this);
    const auto [first, last] = self.used_bins();
    histogram out = ends == clip::symmetric
                        ? counts_.of_magnitudes(-first > last ? -first : last, self.width())
                        : counts_.of_values(first, last, self.width());
    out.extremes = {seen_.lo, seen_.hi};
    out.split = self.split_bins();
    out.narrow = small_bins(octaves_, counts_.sum(out.split) - octaves_.total(), ends);
    return out;
  }
};

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
