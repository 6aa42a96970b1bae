#pragma once
/// Levels of a codebook learned from the matrix that it is for: Lloyd-Max.
///
///     quantize<codebook_per_row<4>>(w)                                  // the default rule
///     const auto levels = lloyd_max_levels<codebook_per_row<4>>(w, importance);
///     quantize<codebook_per_row<4>>(w, levels);                         // some inputs count more
///
/// Read before: quant/level_rule.hpp (levels that ask no data). Read next: codebook/kmeans_1d.hpp.
/// Source: Lloyd 1982, "Least squares quantization in PCM"; Max 1960, "Quantizing for minimum
/// distortion".

#include "fewbit/begin.hpp"

#include <algorithm>
#include <span>
#include <vector>

#include "fewbit/codebook/clustering.hpp"
#include "fewbit/codebook/kmeans_1d.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/finite.hpp"
#include "fewbit/core/rows.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/quant/quantize.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// Levels for scales that are chosen; no importance counts as one of 1 each.
template <CodebookScheme S, class E>
[[nodiscard]] std::vector<float> learn_levels(const matrix_ref& w, std::span<const float> scales,
                                              std::span<const float> importance,
                                              const E& executor) {
  const float largest_scale = *std::max_element(scales.begin(), scales.end());
  float largest_importance = 1.0F;
  if (!importance.empty()) {
    largest_importance = *std::max_element(importance.begin(), importance.end());
    if (largest_importance == 0.0F) return learn_levels<S>(w, scales, {}, executor);
  }
  row_matrix<float> quotients(w.size(), 1);
  std::vector<float> weights(static_cast<std::size_t>(w.size()));
  executor.for_each(w.rows(), [&](index r) {
    for (index c = 0; c < w.cols(); ++c) {
      const index i = r * w.cols() + c;
      const float scale =
          scales[static_cast<std::size_t>(S::granularity::scale_of(r, c, w.cols()))];
      quotients(i, 0) = w(r, c) / scale;
      const double share = double{scale} / double{largest_scale};
      double weight = share * share;
      if (!importance.empty()) {
        weight *= double{importance[static_cast<std::size_t>(c)]} / double{largest_importance};
      }
      weights[static_cast<std::size_t>(i)] = static_cast<float>(weight);
    }
  });
  kmeans_options options;
  options.iterations = 200;
  options.weights = weights;
  no_progress none;
  const kmeans_result best =
      kmeans_of_numbers(quotients, index{1} << S::storage::bits, options, none, executor);
  return {best.centroids.data(), best.centroids.data() + best.centroids.size()};
}

}  // namespace detail

/// The levels that minimise, with the codes nearest to them,
///
///     sum over elements (r, k) of importance[k] * (w(r, k) - scale * level)^2
///
/// where the scale of a group is its max|w|: k-means of the quotients w / scale, each weighted by
/// importance * scale^2. The minimum is a local one near the global one (kmeans).
///
/// @param w           rows = output channels, cols = inputs
/// @param importance  for each column, the mean of the square of the input that it meets, or any
///                    other number >= 0; only ratios count. None: all the same
/// @return            2^bits levels of -1 to 1 in ascending order; if there are fewer different
///                    quotients, these, the last one repeated
/// @throws fewbit::error if `w` is empty, not finite, of fewer elements than levels or of 2^31 or
///         more, or if `importance` is of another length, negative or not finite
///
/// quantize by learned levels takes fewer elements, too: each is then a level itself.
template <CodebookScheme S, Executor E = inline_executor>
[[nodiscard]] std::vector<float> lloyd_max_levels(const Eigen::Ref<const row_matrix<float>>& w,
                                                  std::span<const float> importance = {},
                                                  const E& executor = {}) {
  const char* function = "lloyd_max_levels";
  detail::expect_finite(function, "w", w);
  detail::expect_points(function, "w.size()", w.size(), index{1} << S::storage::bits, "levels");
  detail::expect_sortable(function, "w.size()", w.size());
  if (!importance.empty()) {
    detail::expect_valid_importance(function, importance, w.cols());
  }
  return detail::learn_levels<S>(w, codebook_scales<S>(w, executor), importance, executor);
}

/// lloyd_max_levels as a rule of quantize.
struct lloyd_max {
  template <Storage St>
  static constexpr bool fits = CodebookStorage<St>;

  template <CodebookScheme S, class E>
  [[nodiscard]] static std::vector<float> learn(const detail::matrix_ref& w,
                                                std::span<const float> scales, const E& executor) {
    detail::expect_sortable("quantize", "w.size()", w.size());
    return detail::learn_levels<S>(w, scales, {}, executor);
  }
};

template <int Bits>
struct default_rule_of<codebook<Bits>> {
  using type = lloyd_max;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
