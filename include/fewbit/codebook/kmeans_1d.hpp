#pragma once
/// k-means of numbers: exact by dynamic programming, fast by sorting.
///
///     const kmeans_result best = optimal_kmeans_1d(values, 16);     // values: n x 1
///
/// In order, each cluster is an interval. Prefix sums of w and w x give the mean of any interval in
/// constant time, so an iteration of Lloyd's is k binary searches instead of n k distances. Where a
/// number far away or of great weight leaves a difference of prefix sums without digits, the
/// interval is summed by itself.
/// codebook/kmeans.hpp calls this for points of one dimension.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/arch/vec.hpp"
#include "fewbit/codebook/clustering.hpp"
#include "fewbit/codebook/nearest_1d.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// Ends of intervals: numbers ends[j - 1] .. ends[j] - 1 are the jth.
using intervals = std::vector<index>;

/// Different numbers in order, each with the weight of all points that have it.
class sorted_points {
 public:
  sorted_points(const matrix_ref& points, std::span<const float> weights) {
    words_.reserve(static_cast<std::size_t>(points.rows()));
    for (index i = 0; i < points.rows(); ++i) words_.push_back(sortable(points(i, 0), i));
    sort_by_value(words_);
    weight_below_.reserve(words_.size() + 1);
    moment_below_.reserve(words_.size() + 1);
    square_below_.reserve(words_.size() + 1);
    value_.reserve(words_.size());
    weight_.reserve(words_.size());
    middle_ = value_of(words_[words_.size() / 2]);
    double weight = 0.0;
    double moment = 0.0;
    double square = 0.0;
    for (const std::uint64_t word : words_) {
      const double w = weight_of(weights, static_cast<index>(position_of(word)));
      if (w == 0.0) continue;
      const float x = value_of(word);
      if (value_.empty() || value_.back() != x) {
        value_.push_back(x);
        weight_.push_back(0.0);
        push_sums(weight, moment, square);
      }
      weight_.back() += w;
      const double offset = double{x} - double{middle_};
      weight += w;
      moment += arch::rounded(w * offset);
      square += arch::rounded(w * arch::rounded(offset * offset));
    }
    push_sums(weight, moment, square);
  }

  [[nodiscard]] index size() const noexcept { return static_cast<index>(value_.size()); }
  [[nodiscard]] float value(index i) const noexcept { return value_[static_cast<std::size_t>(i)]; }
  [[nodiscard]] const std::vector<float>& values() const noexcept { return value_; }

  /// All points in order, those of weight 0 too: see value_of and position_of.
  [[nodiscard]] const std::vector<std::uint64_t>& words() const noexcept { return words_; }

  /// Sum of weights, and of weight * (x - some number in the middle), of numbers 0 .. i - 1.
  [[nodiscard]] double weight_below(index i) const noexcept {
    return weight_below_[static_cast<std::size_t>(i)];
  }
  [[nodiscard]] double moment_below(index i) const noexcept {
    return moment_below_[static_cast<std::size_t>(i)];
  }

  /// How many numbers are at most x.
  [[nodiscard]] index count_up_to(double x) const noexcept {
    return std::upper_bound(value_.begin(), value_.end(), x,
                            [](double a, float b) { return a < double{b}; }) -
           value_.begin();
  }

  /// Weight of number i, and sum of weight * (x - some number in the middle)^2 of all.
  [[nodiscard]] double weight(index i) const noexcept {
    return weight_[static_cast<std::size_t>(i)];
  }
  [[nodiscard]] double spread() const noexcept { return square_below_.back(); }

  /// The mean of some numbers, and the sum of weight * squared distance to it.
  struct moments {
    double mean;
    double inertia;
  };

  /// Those of numbers first .. end - 1.
  [[nodiscard]] moments moments_of(index first, index end) const noexcept {
    constexpr double enough = 0x1p-30;  // of a prefix sum: 23 bits are left
    const double all = weight_below(end);
    const double all_square = square_below_[static_cast<std::size_t>(end)];
    const double weight = all - weight_below(first);
    const double moment = moment_below(end) - moment_below(first);
    const double square = all_square - square_below_[static_cast<std::size_t>(first)];
    const double inertia = square - moment * moment / weight;
    if (weight > enough * all && inertia > enough * all_square) {
      return {double{middle_} + moment / weight, inertia};
    }
    return moments_alone(first, end);
  }

  /// The mean of numbers first .. end - 1; it lies between them, rounding or not.
  [[nodiscard]] float mean(index first, index end) const noexcept {
    return std::clamp(static_cast<float>(moments_of(first, end).mean), value(first),
                      value(end - 1));
  }

  /// Sum of weight * squared distance to their mean of numbers first .. end - 1.
  [[nodiscard]] double inertia(index first, index end) const noexcept {
    return moments_of(first, end).inertia;
  }
  [[nodiscard]] double inertia(const intervals& ends) const noexcept {
    double sum = 0.0;
    index first = 0;
    for (const index end : ends) sum += inertia(std::exchange(first, end), end);
    return sum;
  }

 private:
  /// The same by sums over the interval alone.
  [[nodiscard]] moments moments_alone(index first, index end) const noexcept {
    // A base costs the mean 2^-53 of its distance. Where that is more than the spread of the
    // numbers can bear, the base moves to the number nearest to the mean; each move takes off 2^53.
    constexpr int most_moves = 8;
    double base{value(first)};
    for (int move = 0;; ++move) {
      const offset_moments m = moments_about(base, first, end);
      const bool is_near = arch::rounded(m.offset * m.offset) * m.weight <= 0x1p40 * m.inertia;
      const double next = is_near ? base : double{nearest_value(base + m.offset, first, end)};
      if (next == base || move == most_moves) return {base + m.offset, m.inertia};
      base = next;
    }
  }

  /// The weight, the mean less a base, and the inertia of an interval.
  struct offset_moments {
    double weight;
    double offset;
    double inertia;
  };

  [[nodiscard]] offset_moments moments_about(double base, index first, index end) const noexcept {
    double total = 0.0;
    double moment = 0.0;
    for (index i = first; i < end; ++i) {
      total += weight(i);
      moment += arch::rounded(weight(i) * (double{value(i)} - base));
    }
    const double offset = moment / total;
    double rest = 0.0;  // of the moment
    double square = 0.0;
    for (index i = first; i < end; ++i) {
      const double miss = (double{value(i)} - base) - offset;
      rest += arch::rounded(weight(i) * miss);
      square += arch::rounded(weight(i) * arch::rounded(miss * miss));
    }
    const double missed = rest / total;
    return {total, offset + missed, std::max(square - arch::rounded(rest * missed), 0.0)};
  }

  /// The number of an interval that is nearest to x.
  [[nodiscard]] float nearest_value(double x, index first, index end) const noexcept {
    const auto begin = value_.begin();
    const auto above = std::lower_bound(begin + first, begin + end, x,
                                        [](float a, double b) { return double{a} < b; });
    if (above == begin + first) return *above;
    const float below = *(above - 1);
    return above == begin + end || x - double{below} <= double{*above} - x ? below : *above;
  }

  void push_sums(double weight, double moment, double square) {
    weight_below_.push_back(weight);
    moment_below_.push_back(moment);
    square_below_.push_back(square);
  }

  std::vector<std::uint64_t> words_;
  std::vector<float> value_;
  std::vector<double> weight_;
  std::vector<double> weight_below_;
  std::vector<double> moment_below_;
  std::vector<double> square_below_;
  float middle_ = 0.0F;
};

/// Neighbouring cells as one: their weight, their mean as the sum of two doubles, the second at
/// most a unit in the last place of the first, and their inertia.
struct cluster_sums {
  double weight;
  double mean;
  double rest;
  double inertia;
};

/// The sums of two intervals as one. No term is negative, so nothing cancels but the means, which
/// hold more bits than floats that differ can share; the mean moves off that of the heavier
/// interval.
inline cluster_sums merged(const cluster_sums& a, const cluster_sums& b) noexcept {
  const bool swap = a.weight < b.weight;
  const cluster_sums& heavy = swap ? b : a;
  const cluster_sums& light = swap ? a : b;
  const double weight = a.weight + b.weight;
  const double share = light.weight / weight;
  const double gap = (light.mean - heavy.mean) + (light.rest - heavy.rest);
  const double step = arch::rounded(share * gap);
  const double sum = heavy.mean + step;
  const double back = sum - heavy.mean;
  const double lost = (heavy.mean - (sum - back)) + (step - back);
  const double rest = heavy.rest + lost;
  const double mean = sum + rest;
  const double inertia = a.inertia + b.inertia + arch::rounded(heavy.weight * step * gap);
  return {weight, mean, rest - (mean - sum), inertia};
}

/// The sums of any interval of cells from those of two, in 32 n log2 n bytes: at level l, blocks of
/// 2^(l + 1) cells have the sums of all intervals that begin or end at their middle.
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

  /// That of cells first .. last.
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

/// The best division of cells into k <= cells intervals, each a whole number of neighbouring
/// cells.
///
/// With W and M the sums of w and w x of an interval, its squared distances to its mean sum to
/// sum w x^2 - M^2 / W, so the sum of M^2 / W is what to maximise. The best last interval of a
/// longer row of cells never begins earlier than that of a shorter one, which lets each of the k
/// rounds halve its range: O(k c log c) for c cells. Where the inertia found is so small beside
/// that of all numbers together that rounding may have decided, or weights are so different, a
/// table of intervals decides again, by their inertia instead of that difference.
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
    // Room behind the last for whole registers.
    before_.assign(static_cast<std::size_t>(count + 1 + width), -infinity);
    after_ = before_;
    for (index j = 1; j <= count; ++j) after_[static_cast<std::size_t>(j)] = gain(0, j);
    for (index q = 1; q < k; ++q) {
      before_.swap(after_);
      fill(q, q + 1, count, q, count - 1);
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

  /// Whether sums of 53 bits tell intervals apart.
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

  /// What cells i .. j - 1 as one interval add to the sum that is to be the largest.
  [[nodiscard]] double gain(index i, index j) const noexcept {
    if (!table_.is_empty()) return -table_.inertia(i, j - 1);
    const double m = moment_[static_cast<std::size_t>(j)] - moment_[static_cast<std::size_t>(i)];
    return m * m / (weight_[static_cast<std::size_t>(j)] - weight_[static_cast<std::size_t>(i)]);
  }

  /// The best sums of q + 1 intervals that end at cells first .. last, the last of which begins in
  /// low .. high.
  void fill(index q, index first, index last, index low, index high) noexcept {
    if (first > last) return;
    const index j = first + (last - first) / 2;
    const auto [best, at] = best_begin(j, std::max(low, q), std::min(high, j - 1));
    after_[static_cast<std::size_t>(j)] = best;
    begin_[static_cast<std::size_t>(q * static_cast<index>(weight_.size()) + j)] =
        static_cast<std::int32_t>(at);
    fill(q, first, j - 1, low, at);
    fill(q, j + 1, last, at, high);
  }

  /// The largest before_[i] + gain(i, j) for low <= i <= high, and the first i that has it.
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
  std::vector<double> weight_;  // of the cells before each
  std::vector<double> moment_;
  std::vector<double> before_;  // best sums of q intervals
  std::vector<double> after_;   // of q + 1
  std::vector<std::int32_t> begin_;
};

/// Every number a cell of its own.
inline intervals single_cells(index count) {
  intervals ends;
  ends.reserve(static_cast<std::size_t>(count));
  for (index i = 1; i <= count; ++i) ends.push_back(i);
  return ends;
}

/// Splits intervals at their means, the one of the largest inertia first, until there are k.
inline void split_until(const sorted_points& points, intervals& ends, index k) {
  struct part {
    double inertia;  // negative if it cannot be split
    index first;
    index end;
    bool operator<(const part& other) const noexcept {
      return inertia != other.inertia ? inertia < other.inertia : first > other.first;
    }
  };
  if (static_cast<index>(ends.size()) == k) return;
  std::vector<part> heap;
  const auto push = [&](index first, index end) {
    heap.push_back({end - first < 2 ? -1.0 : points.inertia(first, end), first, end});
    std::push_heap(heap.begin(), heap.end());
  };
  index first = 0;
  for (const index end : ends) push(std::exchange(first, end), end);
  while (static_cast<index>(heap.size()) < k) {
    std::pop_heap(heap.begin(), heap.end());
    const part p = heap.back();
    heap.pop_back();
    const index middle = points.count_up_to(double{points.mean(p.first, p.end)});
    const index at = std::clamp(middle, p.first + 1, p.end - 1);
    push(p.first, at);
    push(at, p.end);
  }
  std::vector<char> is_end(static_cast<std::size_t>(points.size() + 1), 0);
  for (const part& p : heap) is_end[static_cast<std::size_t>(p.end)] = 1;
  ends.clear();
  for (index i = 1; i <= points.size(); ++i) {
    if (is_end[static_cast<std::size_t>(i)] != 0) ends.push_back(i);
  }
}

/// Nearly the best k intervals of more than k numbers: the best that are made of finer cells, which
/// splitting gives. There are 2 k to 256 k of them, as 4 million steps allow; only splitting where
/// even 2 k would take too long.
inline intervals first_intervals(const sorted_points& points, index k) {
  constexpr index steps = index{1} << 22;
  const auto cost = [&](index cells) {
    return k * cells * static_cast<index>(std::bit_width(static_cast<std::uint64_t>(cells)));
  };
  index cells = k;
  if (k <= 1024) {
    cells = std::min(2 * k, points.size());
    while (cells < std::min(256 * k, points.size()) &&
           cost(std::min(2 * cells, points.size())) <= steps) {
      cells = std::min(2 * cells, points.size());
    }
  }
  intervals ends = {points.size()};
  split_until(points, ends, cells);
  return cells > k ? interval_search(points, ends).divide(k) : ends;
}

inline std::vector<float> means_of(const sorted_points& points, const intervals& ends) {
  std::vector<float> means;
  index first = 0;
  for (const index end : ends) means.push_back(points.mean(std::exchange(first, end), end));
  return means;
}

/// The intervals of numbers nearest to each of k centroids in order; those without numbers split
/// others.
inline intervals nearest_intervals(const sorted_points& points,
                                   const std::vector<float>& centroids) {
  intervals ends;
  for (std::size_t j = 0; j < centroids.size(); ++j) {
    const index end =
        j + 1 == centroids.size()
            ? points.size()
            : points.count_up_to(sorted_centroids::midpoint(centroids[j], centroids[j + 1]));
    if (end > (ends.empty() ? 0 : ends.back())) ends.push_back(end);
  }
  split_until(points, ends, static_cast<index>(centroids.size()));
  return ends;
}

/// Numbers that are not in the same interval as before.
inline index moved_between(const intervals& before, const intervals& after) {
  index same = 0;
  for (std::size_t j = 0; j < after.size(); ++j) {
    const index first = j == 0 ? 0 : std::max(before[j - 1], after[j - 1]);
    same += std::max<index>(std::min(before[j], after[j]) - first, 0);
  }
  return after.back() - same;
}

/// Centroids in order, who belongs to each, and the inertia.
template <Executor E>
kmeans_result result_of(const matrix_ref& points, const sorted_points& sorted,
                        std::span<const float> weights, const std::vector<float>& centroids,
                        const E& executor) {
  kmeans_result result;
  result.centroids = Eigen::Map<const row_matrix<float>>(centroids.data(),
                                                         static_cast<index>(centroids.size()), 1);
  result.assignment.resize(static_cast<std::size_t>(points.rows()));
  const sorted_centroids search(centroids);
  std::size_t at = 0;
  for (const std::uint64_t word : sorted.words()) {
    at = search.next(at, value_of(word));
    result.assignment[position_of(word)] = search.number(at);
  }
  result.inertia = inertia_of(points, weights, result.centroids, result.assignment, executor);
  return result;
}

/// k centroids at the numbers themselves, if there are no more; the last one is repeated.
inline std::vector<float> all_numbers(const sorted_points& points, index k) {
  std::vector<float> centroids = points.values();
  centroids.resize(static_cast<std::size_t>(k), centroids.back());
  return centroids;
}

/// Lloyd's iterations from nearly optimal intervals; for what its callers have checked.
template <KmeansProgress P, Executor E>
kmeans_result kmeans_of_numbers(const matrix_ref& points, index k, const kmeans_options& options,
                                P& progress, const E& executor) {
  const sorted_points sorted(points, options.weights);
  std::vector<float> centroids;
  index iteration = 0;
  bool converged = true;
  if (sorted.size() <= k) {
    centroids = all_numbers(sorted, k);
  } else {
    intervals ends = first_intervals(sorted, k);
    centroids = means_of(sorted, ends);
    double inertia = sorted.inertia(ends);
    converged = false;
    while (!converged && iteration < options.iterations) {
      ++iteration;
      const intervals before = std::exchange(ends, nearest_intervals(sorted, centroids));
      const index moved = moved_between(before, ends);
      const double last = std::exchange(inertia, sorted.inertia(ends));
      centroids = means_of(sorted, ends);
      converged = moved == 0 || last - inertia < options.tolerance * inertia;
      if (!progress(kmeans_step{0, iteration, inertia, moved})) break;
    }
  }
  kmeans_result result = result_of(points, sorted, options.weights, centroids, executor);
  result.iterations = iteration;
  result.converged = converged;
  return result;
}

}  // namespace detail

/// The k centroids of numbers with the least inertia there is, but for the rounding of sums in
/// double and of centroids to float. Takes O(k n log n) steps and 4 k n bytes for n different
/// numbers, and 32 n log2 n bytes more where the inertia is less than 2^-20 of that of one cluster
/// or a weight less than 2^-28 of their sum: for small k, and to judge other searches by.
/// Iterations are 0.
///
/// @param points   n x 1
/// @param weights  of each point, or none
/// @throws fewbit::error if points are missing, more than 2^31 - 1, not finite or of more than one
///         dimension, or k or the weights are what `kmeans` rejects
template <Executor E = inline_executor>
[[nodiscard]] kmeans_result optimal_kmeans_1d(const Eigen::Ref<const row_matrix<float>>& points,
                                              index k, std::span<const float> weights = {},
                                              const E& executor = {}) {
  const char* function = "optimal_kmeans_1d";
  detail::expect_finite(function, "points", points);
  detail::expect_equal(function, "points.cols()", points.cols(), 1);
  detail::expect_sortable(function, "points.rows()", points.rows());
  detail::expect_clusters(function, k, points.rows());
  detail::expect_weights(function, "weights", weights, points.rows());
  const detail::sorted_points sorted(points, weights);
  const std::vector<float> centroids =
      sorted.size() <= k
          ? detail::all_numbers(sorted, k)
          : detail::means_of(
                sorted,
                detail::interval_search(sorted, detail::single_cells(sorted.size())).divide(k));
  kmeans_result result = detail::result_of(points, sorted, weights, centroids, executor);
  result.converged = true;
  return result;
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
