#pragma once
/// Chooses scales that minimise the error of the output of a linear layer.
///
///     auto q = weighted_quantize<int4_grouped<32>>(w, second_moments);
///
/// Let x be the inputs of the layer, uncorrelated or nearly so. An error e of the weights causes an
/// output error of the mean square mean((sum_k e_k x_k)^2) = sum_k mean(x_k^2) e_k^2. So errors of
/// weights that are multiplied by large inputs cost much, and errors of the others cost little.
/// Memory and speed of the layer do not change. The gain is largest with 4 bits and less.
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

/// The schemes that weighted_quantize accepts.
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
/// @param importance  for each column, the mean square of its input, or any other finite number
///                    >= 0; only ratios matter
/// @param executor    runs the groups, then the rows
/// @return            codes and scales in the form of quantize<S>(w); the sum is never larger than
///          with quantize
/// @throws fewbit::error if `w` is empty or not finite, or if `importance` has another length or a
///         value that is negative or not finite
///
/// | elements of a group                      | result                                          |
/// |------------------------------------------|-------------------------------------------------|
/// | up to 2^15 / (largest magnitude of a     | the global minimum, up to the rounding of a     |
/// | code): 258 for int8, 4681 for int4       | scale to float                                  |
/// | more                                     | at most 1 % above the minimum; time and memory  |
/// |                                          | grow linearly with the elements                 |
///
/// Scales have the limits of choose_params. Elements of importance 0 do not count. A group with no
/// other elements gets the scale of quantize<S>(w). With groups of 32, a million weights take an
/// eighth of a second with 4 bits and 1.6 seconds with 8 bits.
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
