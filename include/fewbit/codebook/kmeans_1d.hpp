#pragma once
/// k-means of numbers: optimal by dynamic programming, or fast by sorting.
///
///     const kmeans_result best = optimal_kmeans_1d(values, 16);     // values: n x 1
///
/// In sorted order each cluster is an interval. Prefix sums of w and w x give the mean of any
/// interval in constant time. So an iteration of Lloyd needs k binary searches instead of n k
/// distances. If a number is very large or very heavy, differences of prefix sums lose their
/// significant digits, and the interval is summed directly.
///
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

/// The ends of intervals: interval j has the numbers ends[j - 1] .. ends[j] - 1.
using intervals = std::vector<index>;

/// The different numbers in ascending order, each with the total weight of its points.
class sorted_points {
 public:
  sorted_points(const matrix_ref& points, std::span<const float> weights) {
    words_.reserve(static_cast<std::size_t>(points.rows()));
    for (index i = 0; i < points.rows(); ++i) words_.push_back(sortable_word(points(i, 0), i));
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

  /// All points in ascending order, including those of weight 0. value_of and position_of
  /// (nearest_1d.hpp) decode a word.
  [[nodiscard]] const std::vector<std::uint64_t>& words() const noexcept { return words_; }

  /// Sum of the weights of numbers 0 .. i - 1.
  [[nodiscard]] double weight_below(index i) const noexcept {
    return weight_below_[static_cast<std::size_t>(i)];
  }
  /// Sum of weight * (x - middle) over numbers 0 .. i - 1, where middle is the median point.
  [[nodiscard]] double moment_below(index i) const noexcept {
    return moment_below_[static_cast<std::size_t>(i)];
  }

  /// The number of values that are at most x.
  [[nodiscard]] index count_up_to(double x) const noexcept {
    return std::upper_bound(value_.begin(), value_.end(), x,
                            [](double a, float b) { return a < double{b}; }) -
           value_.begin();
  }

  /// The weight of number i.
  [[nodiscard]] double weight(index i) const noexcept {
    return weight_[static_cast<std::size_t>(i)];
  }
  /// Sum of weight * (x - middle)^2 over all numbers.
  [[nodiscard]] double spread() const noexcept { return square_below_.back(); }

  /// The mean of some numbers, and the sum of weight * squared distance to it.
  struct moments {
    double mean;
    double inertia;
  };

  /// The moments of numbers first .. end - 1.
  [[nodiscard]] moments moments_of(index first, index end) const noexcept {
    // A larger share of a prefix sum leaves 23 significant bits in a difference.
    constexpr double enough = 0x1p-30;
    const double all = weight_below(end);
    const double all_square = square_below_[static_cast<std::size_t>(end)];
    const double weight = all - weight_below(first);
    const double moment = moment_below(end) - moment_below(first);
    const double square = all_square - square_below_[static_cast<std::size_t>(first)];
    const double inertia = square - moment * moment / weight;
    if (weight > enough * all && inertia > enough * all_square) {
      return {double{middle_} + moment / weight, inertia};
    }
    return moments_from_values(first, end);
  }

  /// The mean of numbers first .. end - 1, clamped to their range because of rounding.
  [[nodiscard]] float mean(index first, index end) const noexcept {
    return std::clamp(static_cast<float>(moments_of(first, end).mean), value(first),
                      value(end - 1));
  }

  /// The inertia of numbers first .. end - 1.
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
  /// The moments from the numbers of the interval.
  [[nodiscard]] moments moments_from_values(index first, index end) const noexcept {
    // The mean has a rounding error of 2^-53 of its distance from the base. If that is too much for
    // the spread of the numbers, the number nearest to the mean becomes the base. Each such step
    // divides the error by 2^53.
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

  /// The weight, the mean minus a base, and the inertia of an interval.
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
    double remainder = 0.0;  // of the moment: 0 without rounding
    double square = 0.0;
    for (index i = first; i < end; ++i) {
      const double difference = (double{value(i)} - base) - offset;
      remainder += arch::rounded(weight(i) * difference);
      square += arch::rounded(weight(i) * arch::rounded(difference * difference));
    }
    const double correction = remainder / total;
    return {total, offset + correction,
            std::max(square - arch::rounded(remainder * correction), 0.0)};
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

/// One cell per number.
inline intervals single_cells(index count) {
  intervals ends;
  ends.reserve(static_cast<std::size_t>(count));
  for (index i = 1; i <= count; ++i) ends.push_back(i);
  return ends;
}

/// Splits intervals at their means until there are k. The interval of the largest inertia is split
/// first.
inline void split_to_count(const sorted_points& points, intervals& ends, index k) {
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

/// Nearly the best k intervals of more than k numbers. First the numbers are split into 2 k to
/// 256 k cells, limited by 4 million steps of the search. The result is the best division of these
/// cells. If k > 1024, the numbers are split into k intervals without a search.
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
  split_to_count(points, ends, cells);
  return cells > k ? interval_search(points, ends).divide(k) : ends;
}

inline std::vector<float> means_of(const sorted_points& points, const intervals& ends) {
  std::vector<float> means;
  index first = 0;
  for (const index end : ends) means.push_back(points.mean(std::exchange(first, end), end));
  return means;
}

/// The interval of the numbers nearest to each of k sorted centroids. For each empty interval
/// another one is split.
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
  split_to_count(points, ends, static_cast<index>(centroids.size()));
  return ends;
}

/// How many numbers changed their interval.
inline index moved_between(const intervals& before, const intervals& after) {
  index same = 0;
  for (std::size_t j = 0; j < after.size(); ++j) {
    const index first = j == 0 ? 0 : std::max(before[j - 1], after[j - 1]);
    same += std::max<index>(std::min(before[j], after[j]) - first, 0);
  }
  return after.back() - same;
}

/// The result for sorted centroids: assignment and inertia.
template <Executor E>
kmeans_result result_of(const matrix_ref& points, const sorted_points& sorted,
                        std::span<const float> weights, const std::vector<float>& centroids,
                        const E& executor) {
  kmeans_result result;
  result.centroids = Eigen::Map<const row_matrix<float>>(centroids.data(),
                                                         static_cast<index>(centroids.size()), 1);
  result.assignment.resize(static_cast<std::size_t>(points.rows()));
  const sorted_centroids in_order(centroids);
  std::size_t at = 0;
  for (const std::uint64_t word : sorted.words()) {
    at = in_order.advance_to_nearest(at, value_of(word));
    result.assignment[position_of(word)] = in_order.number(at);
  }
  result.inertia = inertia_of(points, weights, result.centroids, result.assignment, executor);
  return result;
}

/// k centroids for at most k different numbers: the numbers, with the last one repeated.
inline std::vector<float> all_numbers(const sorted_points& points, index k) {
  std::vector<float> centroids = points.values();
  centroids.resize(static_cast<std::size_t>(k), centroids.back());
  return centroids;
}

/// Iterations of Lloyd from nearly optimal intervals. Does not check its arguments.
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

/// The k centroids of numbers with the least possible inertia, apart from the rounding of double
/// sums and of the centroids to float. Use it for small k, and to judge other searches.
///
/// Takes O(k n log n) steps and 4 k n bytes for n different numbers. It needs 32 n log2 n bytes
/// more if the inertia is less than 2^-20 of that of one cluster, or a weight is less than 2^-28 of
/// their sum. The result has iterations = 0.
///
/// @param points   n x 1
/// @param weights  one per point, or none
/// @throws fewbit::error if points is empty, has more than 2^31 - 1 rows or more than one column,
///         holds a NaN or an infinity, or `kmeans` would reject k or the weights
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
