#pragma once
/// The best division of sorted numbers into intervals, by dynamic programming.
///
/// Read before: codebook/sorted_points.hpp. Read next: codebook/kmeans_1d.hpp, which searches.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "fewbit/arch/vec.hpp"
#include "fewbit/codebook/sorted_points.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// The sums of some neighbouring cells. The mean is mean + mean_low; mean_low is at most one unit
/// in the last place of mean.
struct cluster_sums {
  double weight;
  double mean;
  double mean_low;
  double inertia;
};

/// The sums of two intervals together. No term is negative, so nothing cancels except in the
/// difference of the means. The means have more bits than two different floats can share, so that
/// difference stays accurate. The new mean is the mean of the heavier interval plus a correction.
inline cluster_sums merged(const cluster_sums& a, const cluster_sums& b) noexcept {
  const bool swap = a.weight < b.weight;
  const cluster_sums& heavy = swap ? b : a;
  const cluster_sums& light = swap ? a : b;
  const double weight = a.weight + b.weight;
  const double share = light.weight / weight;
  const double gap = (light.mean - heavy.mean) + (light.mean_low - heavy.mean_low);
  const double step = arch::rounded(share * gap);
  const double sum = heavy.mean + step;
  const double back = sum - heavy.mean;
  const double lost = (heavy.mean - (sum - back)) + (step - back);
  const double low = heavy.mean_low + lost;
  const double mean = sum + low;
  const double inertia = a.inertia + b.inertia + arch::rounded(heavy.weight * step * gap);
  return {weight, mean, low - (mean - sum), inertia};
}

/// The sums of any interval of cells from two table entries. Needs 32 n log2 n bytes. Level l has
/// blocks of 2^(l + 1) cells, with the sums of all intervals that begin or end at the middle of a
/// block.
class interval_table {
 public:
  interval_table() = default;

  explicit interval_table(const std::vector<cluster_sums>& cells)
      : count_(static_cast<index>(cells.size())) {
    const int levels = std::max(1, static_cast<int>(std::bit_width(cells.size() - 1)));
    table_.resize(static_cast<std::size_t>(levels * count_));
    for (int level = 0; level < levels; ++level) {
      const index half = index{1} << level;
      const auto cell = [&](index i) { return cells[static_cast<std::size_t>(i)]; };
      for (index middle = half; middle - half < count_; middle += 2 * half) {
        const index begin = std::min(middle, count_);
        for (index i = begin; i-- > middle - half;) {
          at(level, i) = i + 1 == begin ? cell(i) : merged(cell(i), at(level, i + 1));
        }
        for (index i = middle; i < std::min(middle + half, count_); ++i) {
          at(level, i) = i == middle ? cell(i) : merged(at(level, i - 1), cell(i));
        }
      }
    }
  }

  [[nodiscard]] bool is_empty() const noexcept { return table_.empty(); }

  /// The inertia of cells first .. last.
  [[nodiscard]] double inertia(index first, index last) const noexcept {
    if (first == last) return at(0, first).inertia;
    const int level =
        static_cast<int>(std::bit_width(static_cast<std::uint64_t>(first ^ last))) - 1;
    return merged(at(level, first), at(level, last)).inertia;
  }

 private:
  [[nodiscard]] const cluster_sums& at(int level, index i) const noexcept {
    return table_[static_cast<std::size_t>(level * count_ + i)];
  }
  [[nodiscard]] cluster_sums& at(int level, index i) noexcept {
    return table_[static_cast<std::size_t>(level * count_ + i)];
  }

  index count_ = 0;
  std::vector<cluster_sums> table_;
};

/// The best division of cells into k <= cells intervals of whole neighbouring cells.
///
/// Let W and M be the sums of w and w x of an interval. Its inertia is sum w x^2 - M^2 / W, so the
/// best division maximises the sum of M^2 / W. If more cells are divided, the best last interval
/// never begins earlier. So each of the k rounds is a divide and conquer: O(k c log c) for c cells.
///
/// The difference sum w x^2 - M^2 / W is inaccurate if the inertia found is tiny relative to that
/// of all numbers together, or if weights differ very much. The search is then repeated with an
/// interval_table, which holds inertias that are computed without that difference.
///
/// Source: Wu 1991, "Optimal quantization by matrix searching"; Gronlund et al. 2017, "Fast exact
/// k-means, k-medians and Bregman divergence clustering in 1D", arXiv:1701.07204.
class interval_search {
 public:
  interval_search(const sorted_points& points, const intervals& cells)
      : points_(points), cells_(cells) {
    weight_.push_back(0.0);
    moment_.push_back(0.0);
    for (const index end : cells) {
      weight_.push_back(points.weight_below(end));
      moment_.push_back(points.moment_below(end));
    }
  }

  [[nodiscard]] intervals divide(index k) {
    intervals ends = find(k);
    if (is_certain(ends)) return ends;
    table_ = interval_table(sums_of_cells());
    return find(k);
  }

 private:
  [[nodiscard]] intervals find(index k) {
    const auto count = static_cast<index>(cells_.size());
    begin_.assign(static_cast<std::size_t>(k * (count + 1)), 0);
    // Padding, because whole registers are loaded.
    before_.assign(static_cast<std::size_t>(count + 1 + width), -infinity);
    after_ = before_;
    for (index j = 1; j <= count; ++j) after_[static_cast<std::size_t>(j)] = gain(0, j);
    for (index q = 1; q < k; ++q) {
      before_.swap(after_);
      find_best_begins(q, q + 1, count, q, count - 1);
    }
    intervals ends(static_cast<std::size_t>(k));
    index end = count;
    for (index q = k; q-- > 0;) {
      ends[static_cast<std::size_t>(q)] = cells_[static_cast<std::size_t>(end - 1)];
      end = begin_[static_cast<std::size_t>(q * (count + 1) + end)];
    }
    return ends;
  }

  static constexpr int width = 8;
  static constexpr double infinity = std::numeric_limits<double>::infinity();

  /// Whether sums of 53 bits can tell intervals apart.
  [[nodiscard]] bool is_certain(const intervals& ends) const noexcept {
    double least = infinity;
    for (std::size_t j = 1; j < weight_.size(); ++j) {
      least = std::min(least, weight_[j] - weight_[j - 1]);
    }
    return least > 0x1p-28 * weight_.back() && points_.inertia(ends) > 0x1p-20 * points_.spread();
  }

  [[nodiscard]] std::vector<cluster_sums> sums_of_cells() const {
    std::vector<cluster_sums> sums;
    index first = 0;
    for (const index end : cells_) {
      const sorted_points::moments m = points_.moments_of(first, end);
      double weight = 0.0;
      for (; first < end; ++first) weight += points_.weight(first);
      sums.push_back({weight, m.mean, 0.0, m.inertia});
    }
    return sums;
  }

  /// The contribution of cells i .. j - 1, as one interval, to the sum that is maximised.
  [[nodiscard]] double gain(index i, index j) const noexcept {
    if (!table_.is_empty()) return -table_.inertia(i, j - 1);
    const double m = moment_[static_cast<std::size_t>(j)] - moment_[static_cast<std::size_t>(i)];
    return m * m / (weight_[static_cast<std::size_t>(j)] - weight_[static_cast<std::size_t>(i)]);
  }

  /// For each j in first .. last: the best sum of q + 1 intervals of cells 0 .. j - 1. The last
  /// interval begins in low .. high.
  void find_best_begins(index q, index first, index last, index low, index high) noexcept {
    if (first > last) return;
    const index j = first + (last - first) / 2;
    const auto [best, at] = best_begin(j, std::max(low, q), std::min(high, j - 1));
    after_[static_cast<std::size_t>(j)] = best;
    begin_[static_cast<std::size_t>(q * static_cast<index>(weight_.size()) + j)] =
        static_cast<std::int32_t>(at);
    find_best_begins(q, first, j - 1, low, at);
    find_best_begins(q, j + 1, last, at, high);
  }

  /// The largest before_[i] + gain(i, j) for low <= i <= high, and the first such i.
  [[nodiscard]] std::pair<double, index> best_begin(index j, index low, index high) const noexcept {
    using lanes = arch::vec<double, width>;
    using numbers = arch::vec<std::int64_t, width>;
    const lanes weight(weight_[static_cast<std::size_t>(j)]);
    const lanes moment(moment_[static_cast<std::size_t>(j)]);
    lanes best(-infinity);
    numbers where(low);
    index i = low;
    for (; table_.is_empty() && i + width <= high + 1; i += width) {
      const lanes m = moment - lanes::load(moment_.data() + i);
      const lanes w = weight - lanes::load(weight_.data() + i);
      const lanes sum = lanes::load(before_.data() + i) + m * m / w;
      where = arch::select(sum > best, numbers(i), where);
      best = arch::select(sum > best, sum, best);
    }
    double most = -infinity;
    index at = low;
    for (int lane = 0; lane < width; ++lane) {
      const auto here = static_cast<index>(where[lane] + lane);
      if (best[lane] > most || (best[lane] == most && here < at)) {
        most = best[lane];
        at = here;
      }
    }
    for (; i <= high; ++i) {
      const double sum = before_[static_cast<std::size_t>(i)] + gain(i, j);
      if (sum > most) at = i;
      most = std::max(most, sum);
    }
    return {most, at};
  }

  const sorted_points& points_;
  const intervals& cells_;
  interval_table table_;
  std::vector<double> weight_;  // prefix sums over cells
  std::vector<double> moment_;
  std::vector<double> before_;  // best sums with q intervals, by number of cells
  std::vector<double> after_;   // best sums with q + 1 intervals
  std::vector<std::int32_t> begin_;
};

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
