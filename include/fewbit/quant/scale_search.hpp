#pragma once
/// Searches the scale of a group with the least cost: sum weight (x - scale * code)^2 over its
/// elements.
///
/// | elements * largest code | search                                          | cost          |
/// |-------------------------|-------------------------------------------------|---------------|
/// | up to 2^15              | scale_walk: tries every scale at which a code   | the least     |
/// |                         | changes, in order                               |               |
/// | more                    | scale_bisection: halves intervals of scales and | 1 % more at   |
/// |                         | drops those that cannot hold the best one       | most          |
///
/// scale_walk sorts all scales that it tries. scale_bisection reads the group some hundred times.
/// It stores only the group and its intervals, so time and memory grow linearly with the elements.
/// Both give the same bits on every processor. Read next: weighted_quantize.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "fewbit/arch/vec.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/quant/params.hpp"
#include "fewbit/quant/quantize.hpp"
#include "fewbit/quant/scale.hpp"
#include "fewbit/quant/scheme.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// The elements of a group that are not 0 and have a weight above 0. The arrays are padded with
/// zeros to whole steps of a loop; they do not change a sum.
class weighted_group {
 public:
  weighted_group(const matrix_ref& w, std::span<const float> importance, const rectangle& b) {
    const auto most = static_cast<std::size_t>((b.rows * b.cols + step - 1) / step * step);
    x_.reserve(most);
    weights_.reserve(most);
    for (index r = b.row; r < b.row + b.rows; ++r) {
      for (index c = b.col; c < b.col + b.cols; ++c) {
        const float weight = importance[static_cast<std::size_t>(c)];
        if (weight == 0.0F || w(r, c) == 0.0F) continue;
        x_.push_back(w(r, c));
        weights_.push_back(weight);
      }
    }
    count_ = x_.size();
    const std::size_t padded = (count_ + step - 1) / step * step;
    x_.resize(padded, 0.0F);
    weights_.resize(padded, 0.0F);
  }

  [[nodiscard]] std::size_t size() const noexcept { return count_; }
  [[nodiscard]] double magnitude(std::size_t i) const noexcept { return std::abs(double{x_[i]}); }
  [[nodiscard]] double weight(std::size_t i) const noexcept { return weights_[i]; }

  /// The magnitude of the last code with the sign of element i.
  template <IntegerScheme S>
  [[nodiscard]] double last_code(std::size_t i) const noexcept {
    return x_[i] < 0.0F ? -S::code_min : S::code_max;
  }

  /// sum term(x) * weight. 16 partial sums take every 16th element each and are added in their
  /// order, so the bits do not depend on the size of registers. term takes a vector of floats and
  /// returns one of doubles.
  template <class Term>
  [[nodiscard]] double sum(const Term& term) const noexcept {
    doubles parts[registers] = {};
    for (std::size_t i = 0; i < x_.size(); i += step) {
#pragma GCC unroll 8
      for (int j = 0; j < registers; ++j) {
        const std::size_t at = i + static_cast<std::size_t>(j * lanes);
        const doubles weight = arch::convert<double>(reals::load(weights_.data() + at));
        parts[j] = parts[j] + arch::rounded(doubles(term(reals::load(x_.data() + at)) * weight));
      }
    }
    double sums[step];
    for (int j = 0; j < registers; ++j) parts[j].store(&sums[j * lanes]);
    double total = 0.0;
    for (const double part : sums) total += part;
    return total;
  }

  /// The nearest codes of x under a scale.
  template <IntegerScheme S>
  [[nodiscard]] FEWBIT_ALWAYS_INLINE static auto codes_of(const auto& x, float scale) noexcept {
    using V = std::remove_cvref_t<decltype(x)>;
    const V lo(static_cast<float>(S::code_min)), hi(static_cast<float>(S::code_max));
    const V quotient = arch::clamp(V(x / V(scale)), lo, hi);
    return arch::convert<double>(arch::convert<float>(S::rounding::round(quotient)));
  }

  /// The cost of `scale` with its nearest codes. Products of a code and a scale are exact.
  template <IntegerScheme S>
  [[nodiscard]] double error(float scale) const noexcept {
    return sum([scale](const reals& x) {
      const doubles e = arch::convert<double>(x) - codes_of<S>(x, scale) * doubles(double{scale});
      return doubles(e * e);
    });
  }

  /// The best scale for the nearest codes of `scale`; 0 if all of them are 0.
  template <IntegerScheme S>
  [[nodiscard]] double best_scale_for_codes_of(float scale) const noexcept {
    const double products = sum([scale](const reals& x) {
      return doubles(codes_of<S>(x, scale) * arch::convert<double>(x));
    });
    const double squares = sum([scale](const reals& x) {
      const doubles code = codes_of<S>(x, scale);
      return doubles(code * code);
    });
    return squares > 0.0 ? products / squares : 0.0;
  }

  /// The cost if all codes are 0.
  [[nodiscard]] double squares() const noexcept {
    return sum([](const reals& x) {
      const doubles value = arch::convert<double>(x);
      return doubles(value * value);
    });
  }

  /// A lower bound of the cost of every scale <= `scale`: the error of clipping alone.
  template <IntegerScheme S>
  [[nodiscard]] double cost_of_clipping(double scale) const noexcept {
    const doubles lo(S::code_min * scale), hi(S::code_max * scale);
    return sum([&](const reals& x) {
      const doubles value = arch::convert<double>(x);
      const doubles beyond = value - arch::clamp(value, lo, hi);
      return doubles(beyond * beyond);
    });
  }

  /// A lower bound of the cost of every scale >= `scale`: the error of the elements that become 0.
  [[nodiscard]] double cost_of_vanishing(double scale) const noexcept {
    const doubles half(scale * (0.5 - 1e-6)), zero(0.0);
    return sum([&](const reals& x) {
      const doubles value = arch::convert<double>(x);
      const doubles square = value * value;
      return doubles(arch::select(doubles(half * half) > square, square, zero));
    });
  }

 private:
  static constexpr int step = 16;
  static constexpr int lanes = arch::native_lanes<double>;
  static constexpr int registers = step / lanes;
  using reals = arch::vec<float, lanes>;
  using doubles = arch::vec<double, lanes>;

  std::vector<float> x_;
  std::vector<float> weights_;
  std::size_t count_ = 0;
};

/// Walks from the largest promising scale down to the smallest. The nearest codes change only where
/// |x| / scale passes a half-integer. For codes l the best scale is sum(w |x| l) / sum(w l^2). It
/// reduces the cost of codes that are all 0 by sum(w |x| l)^2 / sum(w l^2).
class scale_walk {
 public:
  template <IntegerScheme S>
  static double best_scale(const weighted_group& group, double bound) {
    return scale_walk(group).template walk<S>(bound);
  }

 private:
  /// Below `scale`, the magnitude of the nearest code of the element is one more.
  struct crossing {
    double scale;
    std::size_t element;
  };

  explicit scale_walk(const weighted_group& group) : group_(group), codes_(group.size()) {}

  /// The interval of scales that can cost less than `bound`. Below it, the clipping of one element
  /// costs more. Above it, one element becomes 0 and costs more.
  template <IntegerScheme S>
  [[nodiscard]] std::pair<double, double> promising_scales(double bound) const noexcept {
    constexpr double slack = 1e-9;  // for the rounding of these bounds
    double lo = 0.0;
    double hi = std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < group_.size(); ++i) {
      const double size = group_.magnitude(i);
      const double allowed = arch::rounded(std::sqrt(bound / group_.weight(i)) * (1.0 + slack));
      lo = std::max(lo, (size - allowed) / group_.last_code<S>(i));
      if (size > allowed) hi = std::min(hi, 2.0 * size);
    }
    return {lo * (1.0 - slack), hi * (1.0 + slack)};
  }

  template <IntegerScheme S>
  double walk(double bound) {
    const auto [lo, hi] = promising_scales<S>(bound);
    for (std::size_t i = 0; i < group_.size(); ++i) {
      const double size = group_.magnitude(i);
      for (double code = 1.0; code <= group_.last_code<S>(i); code += 1.0) {
        const double scale = size / (code - 0.5);
        if (scale < lo) break;
        if (scale > hi) {
          take_step(i);
        } else {
          ahead_.push_back({scale, i});
        }
      }
    }
    std::sort(ahead_.begin(), ahead_.end(), [](const crossing& a, const crossing& b) {
      return a.scale > b.scale || (a.scale == b.scale && a.element < b.element);
    });
    double best = 0.0;
    double best_gain = 0.0;
    const auto consider = [&] {
      if (!(squares_ > 0.0)) return;
      const double gain = products_ / squares_ * products_;
      if (!(gain > best_gain)) return;
      best_gain = gain;
      best = products_ / squares_;
    };
    consider();
    for (const crossing& c : ahead_) {
      take_step(c.element);
      consider();
    }
    return best;
  }

  void take_step(std::size_t i) noexcept {
    const double w = group_.weight(i);
    products_ += arch::rounded(w * group_.magnitude(i));
    squares_ += arch::rounded(w * (2.0 * codes_[i] + 1.0));
    codes_[i] += 1.0;
  }

  const weighted_group& group_;
  std::vector<double> codes_;
  std::vector<crossing> ahead_;
  double products_ = 0.0;  // sum w |x| l
  double squares_ = 0.0;   // sum w l^2
};

/// Computes a lower bound of the cost of all scales of an interval. Drops the interval if the bound
/// is at least 0.9901 of the least cost found; else halves it.
///
/// The bound: let codes l and a scale t be the best of the interval, with cost E. A scale s with
/// its own nearest codes costs at most what it costs with l, which is E + (s - t)^2 sum w l^2.
/// Because t is the best scale for l, this is at most E + (s / t - 1)^2 sum w x^2. So E is at least
/// the cost of s minus (s / t - 1)^2 sum w x^2.
template <IntegerScheme S>
class scale_bisection {
 public:
  /// A scale that costs at most 1 % more than the best one, and at most as much as `plain`.
  static float best_scale(const weighted_group& group, float plain, double plain_error) {
    return scale_bisection(group, plain, plain_error).search();
  }

 private:
  static constexpr double aim = 0.9901;
  static constexpr int intervals_per_octave = 16;

  /// Scales from middle - radius to middle + radius.
  struct interval {
    double middle;
    double radius;

    /// The largest |middle / t - 1| over its scales t, plus the rounding of middle to float.
    [[nodiscard]] double deviation() const noexcept { return radius / (middle - radius) + 0x1p-23; }
    [[nodiscard]] bool is_float() const noexcept { return radius < middle * 0x1p-24; }
  };

  scale_bisection(const weighted_group& group, float plain, double plain_error)
      : group_(group), squares_(group.squares()), best_(plain), least_(plain_error) {
    for (std::size_t i = 0; i < group.size(); ++i) {
      largest_ = std::max(largest_, group.magnitude(i));
    }
  }

  float search() {
    std::vector<interval> open = first_intervals(), next;
    while (!open.empty()) {
      std::vector<double> costs;
      for (const interval& i : open) costs.push_back(cost_at(i.middle));
      next.clear();
      for (std::size_t i = 0; i < open.size(); ++i) {
        const double off = open[i].deviation();
        if (costs[i] - off * off * squares_ >= aim * least_ || open[i].is_float()) continue;
        const double half = open[i].radius / 2;
        next.push_back({open[i].middle - half, half});
        next.push_back({open[i].middle + half, half});
      }
      open.swap(next);
    }
    improve();
    return best_;
  }

  /// The octaves around the plain scale that can hold the best scale. The best scale for codes that
  /// are not all 0 is at most the largest magnitude.
  [[nodiscard]] std::vector<interval> first_intervals() const {
    double hi = std::min(double{best_}, largest_);
    double lo = hi;
    while (hi < largest_ && group_.cost_of_vanishing(hi) < aim * least_) hi *= 2.0;
    hi = std::min(hi, double{most_});
    while (lo > double{min_scale} && group_.cost_of_clipping<S>(lo) < aim * least_) lo /= 2.0;
    std::vector<interval> all;
    for (double top = hi; top > lo; top /= 2.0) {
      const double width = top / 2.0 / intervals_per_octave;
      for (int i = 0; i < intervals_per_octave; ++i) {
        all.push_back({top - (i + 0.5) * width, width / 2.0});
      }
    }
    return all;
  }

  /// The cost of `scale` rounded to a valid scale. Keeps that scale if its cost is the least so
  /// far.
  double cost_at(double scale) {
    const float allowed = std::min(S::scale::round_step(scale), most_);
    const double cost = group_.error<S>(allowed);
    if (cost < least_) {
      least_ = cost;
      best_ = allowed;
    }
    return cost;
  }

  /// Repeats: the best scale for the codes of the best scale, until the cost stops falling.
  void improve() {
    for (int i = 0; i < 16; ++i) {
      const double scale = group_.best_scale_for_codes_of<S>(best_);
      const double before = least_;
      if (!(scale > 0.0) || !(cost_at(scale) < before)) return;
    }
  }

  const weighted_group& group_;
  const float most_ = largest_scale<typename S::scale>(
      farthest_code<typename S::storage, typename S::zero_point>(0));
  double squares_;        // sum w x^2
  double largest_ = 0.0;  // |x|
  float best_;
  double least_;
};

/// The largest number of scales that scale_walk tries in a group.
inline constexpr double most_walked = 1 << 15;

/// A scale that costs at most as much as the plain one.
template <IntegerScheme S>
[[nodiscard]] quant_params choose_weighted(const weighted_group& group, const quant_params& plain) {
  const double plain_error = group.error<S>(plain.scale);
  if (plain_error == 0.0) return plain;
  const int reach = farthest_code<typename S::storage, typename S::zero_point>(0);
  if (static_cast<double>(group.size()) * reach > most_walked) {
    return {scale_bisection<S>::best_scale(group, plain.scale, plain_error), 0};
  }
  const float best = std::min(S::scale::round_step(scale_walk::best_scale<S>(group, plain_error)),
                              largest_scale<typename S::scale>(reach));
  return group.error<S>(best) < plain_error ? quant_params{best, 0} : plain;
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
