#pragma once
/// Counts of bins on both sides of 0, and what both kinds of histogram observer make of them.
/// Private to them.
///
/// Bin k >= 0 holds what lies k to k + 1 widths right of 0; bin -1 - k = ~k its mirror image left
/// of 0. A zero of either sign is in bin 0. Folding the halves gives the histogram of |x| exactly.

#include "fewbit/begin.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/calib/batch.hpp"
#include "fewbit/calib/histogram.hpp"
#include "fewbit/calib/observer.hpp"
#include "fewbit/calib/text.hpp"
#include "fewbit/calib/threshold.hpp"

namespace fewbit::inline FEWBIT_ARCH_NAMESPACE::detail {

class mirrored_counts {
 public:
  explicit mirrored_counts(index bins_per_side)
      : bins_(bins_per_side), counts_(static_cast<std::size_t>(2 * bins_per_side), 0) {}

  [[nodiscard]] index bins_per_side() const noexcept { return bins_; }

  /// Counts of bins -bins_per_side(), ..., bins_per_side() - 1.
  [[nodiscard]] std::vector<std::uint64_t>& all() noexcept { return counts_; }

  [[nodiscard]] std::uint64_t& operator[](index k) noexcept {
    return counts_[static_cast<std::size_t>(k + bins_)];
  }
  [[nodiscard]] std::uint64_t operator[](index k) const noexcept {
    return counts_[static_cast<std::size_t>(k + bins_)];
  }

  void add(const mirrored_counts& other) noexcept {
    for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
  }

  /// Merges 2^doublings neighbours into one. The arithmetic shift maps both sides:
  /// ~((~k) >> d) = k >> d.
  void coarsen(int doublings) {
    if (doublings <= 0) return;
    const int shift = doublings < 62 ? doublings : 62;
    mirrored_counts coarse(bins_);
    for (index k = -bins_; k < bins_; ++k) coarse[k >> shift] += (*this)[k];
    *this = std::move(coarse);
  }

  /// Bins first to last - 1 as plain data; `first` <= 0 <= `last`.
  [[nodiscard]] histogram of_values(index first, index last, double width) const {
    histogram out;
    out.ends = clip::affine;
    out.width = width;
    out.zero = -first;
    out.counts.assign(counts_.begin() + (first + bins_), counts_.begin() + (last + bins_));
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
    for (const std::uint64_t c : counts_) filled += c != 0 ? 1 : 0;
    out.field("filled", filled);
    for (index k = -bins_; k < bins_; ++k) {
      if ((*this)[k] != 0) out.entry(k, (*this)[k]);
    }
  }

  /// Fills an empty one. Accepts ascending bins whose counts add up to seen.count and whose first
  /// and last are those of seen.lo and seen.hi.
  void read(text_reader& in, const data_summary& seen, index bin_of_lo, index bin_of_hi) {
    const std::uint64_t filled = in.field("filled", static_cast<std::uint64_t>(2 * bins_));
    std::uint64_t sum = 0;
    index previous = -bins_ - 1;
    for (std::uint64_t i = 0; i < filled; ++i) {
      const auto [k, count] = in.entry();
      expect(k > previous && k < bins_, in.function(), "bin", k,
             "above the bin before and below the number of bins");
      expect(i != 0 || k == bin_of_lo, in.function(), "first bin", k, bin_of_lo);
      expect(count != 0 && count <= seen.count - sum, in.function(), "count of a bin", count,
             "at least 1, and in sum " + text(seen.count));
      previous = k;
      sum += count;
      (*this)[k] = count;
    }
    expect_equal(in.function(), "sum of the bins", sum, seen.count);
    expect(filled == 0 || previous == bin_of_hi, in.function(), "last bin", previous, bin_of_hi);
  }

  friend bool operator==(const mirrored_counts&, const mirrored_counts&) = default;

 private:
  index bins_;
  std::vector<std::uint64_t> counts_;
};

/// The state of a histogram observer and its answers. Derived has its `name` for errors, width(),
/// and used_bins(), the bins of a snapshot as {first, behind the last}.
template <class Derived>
class binned_values {
 public:
  /// The range that `method` chooses, e.g. `range(by_entropy{.bits = 4})` or
  /// `range(by_mse{}, clip::affine)`.
  /// @throws fewbit::error before the first value.
  template <ThresholdMethod Method>
  [[nodiscard]] fewbit::range range(const Method& method, clip ends = clip::symmetric) const {
    return method(snapshot(ends));
  }

  /// The exact extremes.
  /// @throws fewbit::error before the first value.
  [[nodiscard]] fewbit::range range() const {
    expect_seen("::range");
    return {seen_.lo, seen_.hi};
  }

  /// The bins, of |x| if symmetric, of x if affine.
  /// @throws fewbit::error before the first value.
  [[nodiscard]] histogram snapshot(clip ends) const {
    expect_seen("::snapshot");
    const auto& self = static_cast<const Derived&>(*this);
    const auto [first, last] = self.used_bins();
    histogram out = ends == clip::symmetric
                        ? counts_.of_magnitudes(-first > last ? -first : last, self.width())
                        : counts_.of_values(first, last, self.width());
    out.extremes = {seen_.lo, seen_.hi};
    return out;
  }

  [[nodiscard]] index bins() const noexcept { return counts_.bins_per_side(); }
  [[nodiscard]] std::uint64_t count() const noexcept { return seen_.count; }
  [[nodiscard]] std::uint64_t skipped() const noexcept { return seen_.skipped; }
  [[nodiscard]] nan_policy policy() const noexcept { return policy_; }

  friend bool operator==(const binned_values&, const binned_values&) = default;

 protected:
  binned_values(index bins_per_side, nan_policy policy) : counts_(bins_per_side), policy_(policy) {}

  data_summary seen_;
  mirrored_counts counts_;
  nan_policy policy_;

 private:
  void expect_seen(const char* member) const {
    expect_data((std::string(Derived::name) + member).c_str(), count());
  }
};

}  // namespace fewbit::inline FEWBIT_ARCH_NAMESPACE::detail

#include "fewbit/end.hpp"
