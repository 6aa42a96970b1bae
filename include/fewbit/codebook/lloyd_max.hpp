#pragma once
/// Lloyd-Max: the levels of a codebook, learned from the matrix that is quantized.
///
///     quantize<codebook_per_row<4>>(w)                                  // the default rule
///     const auto levels = lloyd_max_levels<codebook_per_row<4>>(w, importance);
///     quantize<codebook_per_row<4>>(w, levels);                         // weighted by importance
///
/// Read before: quant/level_rule.hpp (levels that do not depend on data). Read next:
/// codebook/kmeans_1d.hpp.
///
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

/// Levels for given scales. Without importance, every column has importance 1.
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

/// The levels that, together with the nearest codes, minimise
///
///     sum over elements (r, k) of importance[k] * (w(r, k) - scale * level)^2
///
/// where the scale of a group is its max|w|. They are computed by k-means of the quotients w /
/// scale with weights importance * scale^2. k-means finds a local minimum near the global one.
///
/// @param w           rows = output channels, cols = inputs
/// @param importance  one number >= 0 per column, for example the mean square of that input; only
///                    ratios matter. None: all equal.
/// @return            2^bits levels from -1 to 1 in ascending order. If there are fewer different
///                    quotients, these are the levels, and the last one is repeated.
/// @throws fewbit::error if `w` is empty, holds a NaN or an infinity, has fewer elements than there
///         are levels, or has 2^31 or more elements, or if `importance` has another length or holds
///         a negative or non-finite number
///
/// quantize with learned levels accepts fewer elements, too: each element is then a level.
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

/// lloyd_max_levels as a level rule of quantize.
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
