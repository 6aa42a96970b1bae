#pragma once
/// The different numbers of a column in ascending order, with the means and inertias of intervals
/// of them: what k-means of numbers works on.
///
/// Prefix sums of w, w x and w x^2 give the mean and the inertia of any interval in constant time.
/// If a number is very large or very heavy, differences of prefix sums lose their significant
/// digits, and the interval is summed directly. Read next: codebook/interval_search.hpp (the best
/// intervals), codebook/kmeans_1d.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "fewbit/arch/vec.hpp"
#include "fewbit/codebook/clustering.hpp"
#include "fewbit/codebook/nearest_1d.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

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

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
