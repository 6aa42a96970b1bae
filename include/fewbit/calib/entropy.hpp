#pragma once
/// Chooses the clipping threshold with the least Kullback-Leibler divergence between the values and
/// their quantized form.
///
/// Use it for activations with long tails. It needs about 10,000 values or more, because the
/// divergence of a sparse histogram is not reliable. Read next: mse.hpp for 4 bits and fewer.
/// Source: Wu et al. 2020, arXiv:2004.09602, section 3.2 (the method of TensorRT).

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "fewbit/arch/vec.hpp"
#include "fewbit/calib/histogram.hpp"
#include "fewbit/core/random.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// The divergences of all thresholds of one histogram of |x|.
///
/// The threshold after bin i keeps bins 0 to i - 1 of the counts h. The reference P is h[0..i),
/// with all later counts (`tail`) added to bin i - 1. Q divides the i bins into `levels` groups:
/// bin j belongs to group j * levels / i. In Q, each non-empty bin has the mean of the non-empty
/// bins of its group, q_g. T is the sum of P, N the sum of Q, and S_g the sum of h in group g:
///
///     KL_i = sum P/T log((P/T) / (Q/N))
///          = (sum_{j<i-1} h log h + P_{i-1} log P_{i-1} - sum_g S_g log q_g - tail log q_last) / T
///            + log(N / T)
///
/// The prefix sums of counts, non-empty bins and h log h are computed once. Each threshold then
/// needs only `levels` logarithms. Counts are exact in double up to 2^53, and the logarithm is the
/// library's own. So a divergence has the same bits on every platform.
class divergence {
 public:
  /// @param level_bits  log2 of `levels`
  divergence(const std::vector<std::uint64_t>& counts, int level_bits)
      : counts_(counts), level_bits_(level_bits) {
    counts_[0] = counts_[counts_.size() > 1 ? 1 : 0];  // a peak at 0 must not affect the threshold
    const std::size_t n = counts_.size();
    below_.assign(n + 1, 0);
    filled_.assign(n + 1, 0.0);
    n_log_n_.assign(n + 1, 0.0);
    for (std::size_t j = 0; j < n; ++j) {
      below_[j + 1] = below_[j] + counts_[j];
      filled_[j + 1] = filled_[j] + (counts_[j] != 0 ? 1.0 : 0.0);
      n_log_n_[j + 1] = n_log_n_[j] + x_log_x(counts_[j]);
    }
  }

  [[nodiscard]] std::uint64_t total() const noexcept { return below_.back(); }

  /// KL_i for 1 <= i <= number of bins. Infinite if Q is 0 in a bin where P is not 0.
  [[nodiscard]] double at(std::size_t i) {
    const std::uint64_t tail = total() - below_[i];
    const std::uint64_t last = counts_[i - 1];
    if (last == 0 && tail != 0) return std::numeric_limits<double>::infinity();
    const auto t = static_cast<double>(total());
    double sum = n_log_n_[i - 1] + x_log_x(last + tail);
    const std::size_t groups = sum_groups(i);
    for (std::size_t g = 0; g < groups; ++g) sum -= part_[g];
    if (tail != 0) sum -= arch::rounded(static_cast<double>(tail) * log_mean_[groups - 1]);
    return sum / t + portable_log(static_cast<double>(below_[i]) / t);
  }

 private:
  static double x_log_x(std::uint64_t count) {
    const auto x = static_cast<double>(count);
    return count == 0 ? 0.0 : arch::rounded(x * portable_log(x));
  }

  /// Computes log q_g and S_g log q_g of all groups of threshold i. Both are 0 for a group without
  /// values. The logarithms are computed a register at a time; padding lanes have q = 1.
  /// @return the number of groups
  std::size_t sum_groups(std::size_t i) {
    using doubles = arch::vec<double, arch::native_lanes<double>>;
    constexpr std::size_t lanes = doubles::lanes;
    const bool is_one_bin = i <= std::size_t{1} << level_bits_;  // each group has one bin
    const std::size_t groups = is_one_bin ? i : std::size_t{1} << level_bits_;
    const std::size_t padded = (groups + lanes - 1) / lanes * lanes;
    if (log_mean_.size() < padded) {
      part_.resize(padded);
      log_mean_.resize(padded);
    }
    for (std::size_t g = 0, begin = 0; g < groups; ++g) {
      const std::size_t end = is_one_bin ? g + 1 : ((g + 1) * i + groups - 1) >> level_bits_;
      const auto in_group = static_cast<double>(below_[end] - below_[begin]);
      part_[g] = in_group;
      log_mean_[g] = in_group == 0.0 ? 1.0 : in_group / (filled_[end] - filled_[begin]);
      begin = end;
    }
    for (std::size_t g = groups; g < padded; ++g) log_mean_[g] = 1.0;
    for (std::size_t g = 0; g < padded; g += lanes) {
      const doubles log_mean = portable_log(doubles::load(log_mean_.data() + g));
      log_mean.store(log_mean_.data() + g);
      arch::rounded(doubles(doubles::load(part_.data() + g) * log_mean)).store(part_.data() + g);
    }
    return groups;
  }

  std::vector<std::uint64_t> counts_;
  std::vector<std::uint64_t> below_;
  std::vector<double> filled_;
  std::vector<double> n_log_n_;
  std::vector<double> part_;      // of each group: S_g, then S_g log q_g
  std::vector<double> log_mean_;  // of each group: q_g, then log q_g
  int level_bits_;
};

}  // namespace detail

/// The threshold with the least divergence. If several are equal, the largest one.
///
/// The candidates are the bin edges from edge `first_bin` to the last one. If there are fewer bins,
/// or if all values are in bin 0, the result is max|x|. Divergences that differ by less than
/// 1e-12 count as equal, so that rounding does not choose between them. The result has the same
/// bits on every platform.
///
/// affine: the range is [-a, a] intersected with [min(lo, 0), max(hi, 0)], where a is the threshold
/// on |x| and lo and hi are the extremes of the data. If the data lies on one side of 0, the search
/// uses all 2^bits codes for that side.
struct by_entropy {
  int bits = 8;                 ///< 2 to 16
  bool unsigned_codes = false;  ///< symmetric only: 2^bits codes for |x|, else 2^(bits - 1)
  index first_bin = 128;        ///< the first candidate, in bins from 0

  [[nodiscard]] fewbit::range operator()(const histogram& h) const {
    detail::expect_bits_and_first_bin("by_entropy", bits, first_bin);
    detail::expect_searchable("by_entropy", h);
    if (h.ends == clip::symmetric) return symmetric_range(h, unsigned_codes);
    const bool one_sided = h.extremes.lo >= 0.0F || h.extremes.hi <= 0.0F;
    const fewbit::range r = symmetric_range(detail::folded(h), one_sided);
    return {std::max(r.lo, std::min(h.extremes.lo, 0.0F)),
            std::min(r.hi, std::max(h.extremes.hi, 0.0F))};
  }

  friend bool operator==(const by_entropy&, const by_entropy&) = default;

 private:
  [[nodiscard]] fewbit::range symmetric_range(const histogram& h, bool one_sided) const {
    constexpr double tie = 1e-12;
    detail::divergence kl(h.counts, bits - (one_sided ? 0 : 1));
    if (h.bins() < first_bin || kl.total() == 0) return detail::symmetric_range(0.0, h);
    double least = std::numeric_limits<double>::infinity();
    std::vector<double> all;
    for (index i = first_bin; i <= h.bins(); ++i) {
      all.push_back(kl.at(static_cast<std::size_t>(i)));
      least = std::min(least, all.back());
    }
    double threshold = 0.0;
    for (index i = first_bin; i <= h.bins(); ++i) {
      const double value = all[static_cast<std::size_t>(i - first_bin)];
      if (value < std::numeric_limits<double>::infinity() && value <= least + tie) {
        threshold = h.edge(i);
      }
    }
    return detail::symmetric_range(threshold, h);
  }
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
