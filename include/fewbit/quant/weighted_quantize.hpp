#pragma once
/// Scales chosen by what an error costs the output of a layer.
///
///     auto q = weighted_quantize<int4_grouped<32>>(w, second_moments);
///
/// With inputs x of a linear layer, uncorrelated or nearly so, an error e of the weights costs the
/// mean of (sum_k e_k x_k)^2 = sum_k mean(x_k^2) e_k^2. So a weight that meets large inputs
/// deserves a scale that suits it, and clipping a weight that meets small ones is cheap. Memory and
/// speed of the layer stay what they are. Worth most at 4 bits and less.
/// Read next: quantize.hpp, which needs no data.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "fewbit/arch/vec.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/quant/quantize.hpp"

namespace fewbit::inline FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// The elements that share a scale.
struct weighted_group {
  std::vector<float> x;
  std::vector<double> weight;

  weighted_group(const matrix_ref& w, std::span<const float> importance, const rectangle& b) {
    const auto count = static_cast<std::size_t>(b.rows * b.cols);
    x.reserve(count);
    weight.reserve(count);
    for (index r = b.row; r < b.row + b.rows; ++r) {
      for (index c = b.col; c < b.col + b.cols; ++c) {
        x.push_back(w(r, c));
        weight.push_back(double{importance[static_cast<std::size_t>(c)]});
      }
    }
  }

  /// sum weight (x - code * scale)^2 with the codes that quantize() would choose.
  template <IntegerScheme S>
  [[nodiscard]] double error(float scale) const noexcept {
    double sum = 0.0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const shared_params params{scale, 0};
      const int code = encode<S>(x[i], params, element_draws{}, 0);
      const double e = double{x[i]} - code * double{scale};  // the product is exact
      sum += arch::rounded(e * e * weight[i]);
    }
    return sum;
  }

  /// The last code on the side of x[i], as a magnitude.
  template <IntegerScheme S>
  [[nodiscard]] double last_code(std::size_t i) const noexcept {
    return x[i] < 0.0F ? -S::code_min : S::code_max;
  }

  /// The only scales that can cost less than `bound`. Below the first, some element loses more by
  /// clipping alone; above the second, one that is lost entirely.
  template <IntegerScheme S>
  [[nodiscard]] std::pair<double, double> promising_scales(double bound) const noexcept {
    constexpr double slack = 1e-9;  // for the rounding of what is computed here
    double lo = 0.0;
    double hi = std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (weight[i] == 0.0) continue;
      const double size = std::abs(double{x[i]});
      const double allowed = arch::rounded(std::sqrt(bound / weight[i]) * (1.0 + slack));
      lo = std::max(lo, (size - allowed) / last_code<S>(i));
      if (size > allowed) hi = std::min(hi, 2.0 * size);
    }
    return {lo * (1.0 - slack), hi * (1.0 + slack)};
  }
};

/// Walks down from the largest promising scale to the smallest. The nearest codes are constant but
/// where |x| / scale passes a half; with codes l, the best scale is sum(w |x| l) / sum(w l^2) and
/// takes sum(w |x| l)^2 / sum(w l^2) off the cost of codes that are all 0.
class scale_walk {
 public:
  template <IntegerScheme S>
  static double best_scale(const weighted_group& group, double bound) {
    return scale_walk(group).template walk<S>(bound);
  }

 private:
  /// Below `scale`, the nearest code of the element is one more.
  struct crossing {
    double scale;
    std::size_t element;
  };

  explicit scale_walk(const weighted_group& group) : group_(group), codes_(group.x.size()) {}

  template <IntegerScheme S>
  double walk(double bound) {
    const auto [lo, hi] = group_.promising_scales<S>(bound);
    for (std::size_t i = 0; i < group_.x.size(); ++i) {
      const double size = std::abs(double{group_.x[i]});
      if (group_.weight[i] == 0.0 || size == 0.0) continue;
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
    const double w = group_.weight[i];
    products_ += arch::rounded(w * std::abs(double{group_.x[i]}));
    squares_ += arch::rounded(w * (2.0 * codes_[i] + 1.0));
    codes_[i] += 1.0;
  }

  const weighted_group& group_;
  std::vector<double> codes_;
  std::vector<crossing> ahead_;
  double products_ = 0.0;  // sum w |x| l
  double squares_ = 0.0;   // sum w l^2
};

/// The plain scale of the group, or a better one.
template <IntegerScheme S>
[[nodiscard]] quant_params choose_weighted(const weighted_group& group, const quant_params& plain) {
  const double plain_error = group.error<S>(plain.scale);
  if (plain_error == 0.0) return plain;
  const float best = S::scale::round_step(scale_walk::best_scale<S>(group, plain_error));
  return group.error<S>(best) < plain_error ? quant_params{best, 0} : plain;
}

inline void expect_valid_importance(const char* function, std::span<const float> importance,
                                    index cols) {
  expect_equal(function, "length of importance", static_cast<index>(importance.size()), cols);
  for (index c = 0; c < cols; ++c) {
    const float value = importance[static_cast<std::size_t>(c)];
    if (!is_finite(value) || value < 0.0F) {
      fail(function, item("importance", c), value, "a finite number, at least 0");
    }
  }
}

}  // namespace detail

/// A scheme whose scales weighted_quantize can choose.
template <class S>
concept WeightedScheme = IntegerScheme<S> && !S::is_affine && S::storage::bits <= 8 &&
                         std::is_same_v<typename S::scale, real_scale> &&
                         (std::is_same_v<typename S::rounding, nearest_even> ||
                          std::is_same_v<typename S::rounding, half_away>);

/// Quantizes `w` with the scales and codes that minimise, in each group,
///
///     sum over its elements (r, k) of importance[k] * (w(r, k) - scale * code(r, k))^2.
///
/// @tparam S          symmetric codes of at most 8 bits, real scales, rounded to nearest
/// @param w           rows = output channels, cols = inputs
/// @param importance  for each column, the mean of the square of the input that it meets, or any
///                    other number >= 0; only ratios count
/// @param executor    runs the groups, then the rows
/// @return            as quantize<S>(w) says, never of a larger sum than that
/// @throws fewbit::error if `w` is empty or not finite, or if `importance` is of another length,
///         negative or not finite
///
/// Every scale at which a code changes is tried, but for those that cannot win, so the minimum is
/// the global one, up to the rounding of a scale to float. A group of importance 0 gets the scale
/// of quantize<S>(w). In groups of 32, a million weights of 4 bits take an eighth of a second, of 8
/// bits 1.6 seconds.
template <WeightedScheme S, Executor E = inline_executor>
[[nodiscard]] quantized_matrix<S> weighted_quantize(const Eigen::Ref<const row_matrix<float>>& w,
                                                    std::span<const float> importance,
                                                    const E& executor = {}) {
  detail::expect_finite("weighted_quantize", "w", w);
  detail::expect_valid_importance("weighted_quantize", importance, w.cols());
  const index count = S::granularity::count(w.rows(), w.cols());
  detail::group_choices<S> choices(count);
  executor.for_each(count, [&](index i) {
    const rectangle b = S::granularity::group(i, w.rows(), w.cols());
    const quant_params plain = choose_params<S>(detail::range_of(w, b));
    choices.set(i, detail::choose_weighted<S>({w, importance, b}, plain));
  });
  return detail::encode_matrix<S>(w, std::move(choices), generator{}, executor);
}

}  // namespace fewbit::inline FEWBIT_ARCH_NAMESPACE

#include "fewbit/end.hpp"
