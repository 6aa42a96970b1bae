#pragma once
/// Scales chosen by what an error costs the output of a layer.
///
///     auto q = weighted_quantize<int4_grouped<32>>(w, second_moments);
///
/// With inputs x of a linear layer, uncorrelated or nearly so, an error e of the weights costs the
/// mean of (sum_k e_k x_k)^2 = sum_k mean(x_k^2) e_k^2. So a weight that meets large inputs
/// deserves a scale that suits it, and clipping a weight that meets small ones is cheap. Memory and
/// speed of the layer stay what they are. Worth most at 4 bits and less.
/// Read before: quantize.hpp, which needs no data. Read next: scale_search.hpp.

#include "fewbit/begin.hpp"

#include <span>
#include <type_traits>

#include "fewbit/config.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/finite.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/quant/quantize.hpp"
#include "fewbit/quant/scale_search.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// A scheme whose scales weighted_quantize can choose.
template <class S>
concept WeightedScheme = IntegerScheme<S> && !S::is_affine && !S::has_minimum &&
                         S::storage::bits <= 8 && std::is_same_v<typename S::scale, real_scale> &&
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
/// In groups of up to 2^15 / (largest |code|) elements (258 of int8, 4681 of int4) every scale at
/// which a code changes is tried, but for those that cannot win, so the minimum is the global one,
/// up to the rounding of a scale to float. In larger groups the sum is at most 1 % above the
/// minimum, and time and memory grow with the number of elements. Scales are bounded as
/// choose_params says. Elements of importance 0 count for nothing; a group in which no other is
/// left gets the scale of quantize<S>(w). In groups of 32, a million weights of 4 bits take an
/// eighth of a second, of 8 bits 1.6 seconds.
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

}}  // namespace fewbit

#include "fewbit/end.hpp"
