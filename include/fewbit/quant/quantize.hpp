#pragma once
/// Converts a matrix of floats to codes.
///
///     auto q = quantize<int4_grouped<32>>(w);              // scales from the data
///     auto q = quantize<int8_affine>(x, params);           // scales given, from calibration
///     auto q = quantize<ternary_per_row, ternary_twn>(w);  // another rule for the scales
///     auto q = quantize<codebook_per_row<4>>(w, levels);   // levels given; else learned from w
///     row_matrix<float> w_hat = dequantize(q);             // dequantize.hpp
///
/// | scheme       | code                                                     |
/// |--------------|----------------------------------------------------------|
/// | integers     | clamp(round(x / scale) + zero_point, code_min, code_max) |
/// | real_minimum | clamp(round((x - minimum) / scale), 0, code_max)         |
/// | binary       | the sign of x                                            |
/// | ternary      | the sign of x, or 0 below the threshold of the rule      |
/// | codebooks    | the place of the level nearest to x / scale              |
///
/// Division is a float division, not a product with the reciprocal. The clamp comes before the
/// conversion to integer, so every x / scale has a code. Results do not depend on the executor or
/// the processor. Read next: metrics.hpp (the error of quantization), modes.hpp (the formulas of
/// other libraries), default_rule.hpp, encode_integers.hpp, encode_signs.hpp, encode_levels.hpp.

#include "fewbit/begin.hpp"

#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/random.hpp"
#include "fewbit/core/rows.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/quant/default_rule.hpp"
#include "fewbit/quant/dequantize.hpp"
#include "fewbit/quant/encode_integers.hpp"
#include "fewbit/quant/encode_levels.hpp"
#include "fewbit/quant/encode_signs.hpp"
#include "fewbit/quant/group_choices.hpp"
#include "fewbit/quant/level_rule.hpp"
#include "fewbit/quant/params.hpp"
#include "fewbit/quant/quantized_matrix.hpp"
#include "fewbit/quant/scheme.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

template <Scheme S, class E>
quantized_matrix<S> encode_matrix(const matrix_ref& w, group_choices<S>&& choices,
                                  const generator& g, const E& executor) {
  auto q = quantized_matrix_access::make<S>(w.rows(), w.cols());
  executor.for_each(w.rows(), [&](index r) {
    encode_row<S>(w, r, choices, g, quantized_matrix_access::row(q, r));
  });
  quantized_matrix_access::set_params(q, std::move(choices.scales), std::move(choices.zero_points));
  if constexpr (S::has_minimum) {
    quantized_matrix_access::set_minima(q, std::move(choices.minima));
  }
  return q;
}

/// Error sentences name the called function `function`, here and below.
template <Scheme S, class Rule, class E>
quantized_matrix<S> quantize_by_rule(const char* function, const matrix_ref& w, const generator& g,
                                     const E& executor) {
  static_assert(RuleFor<Rule, S>,
                "fewbit: this rule does not fit the storage: full_range is for integers, "
                "mean_magnitude for binary, ternary_optimum and ternary_twn for ternary");
  expect_finite(function, "w", w);
  const index count = S::granularity::count(w.rows(), w.cols());
  group_choices<S> choices(count);
  executor.for_each(count, [&](index i) {
    const rectangle b = S::granularity::group(i, w.rows(), w.cols());
    if constexpr (std::is_same_v<Rule, full_range>) {
      choices.set(i, choose_params<S>(range_of(w, b)));
    } else {
      std::vector<float> magnitudes = magnitudes_of(w, b);
      choices.set(i, Rule::choose(magnitudes));
    }
  });
  return encode_matrix<S>(w, std::move(choices), g, executor);
}

/// The choices of `count` groups from given parameters, which are checked.
template <IntegerScheme S>
group_choices<S> given_choices(const char* function, std::span<const params_of<S>> params,
                               index count) {
  expect_equal(function, "number of params", static_cast<index>(params.size()), count);
  group_choices<S> choices(count);
  for (index i = 0; i < count; ++i) {
    const params_of<S>& p = params[static_cast<std::size_t>(i)];
    expect_valid_scale<S>(function, item("params", i) + ".scale", p.scale);
    if constexpr (S::has_minimum) {
      if (!is_finite(p.minimum)) {
        fail(function, item("params", i) + ".minimum", p.minimum, "a finite number");
      }
    } else {
      constexpr int lo = S::is_affine ? S::storage::min : 0;
      constexpr int hi = S::is_affine ? S::storage::max : 0;
      expect_zero_point(function, item("params", i) + ".zero_point", p.zero_point, lo, hi);
    }
    choices.set(i, p);
  }
  return choices;
}

template <IntegerScheme S, class E>
quantized_matrix<S> quantize_by_params(const char* function, const matrix_ref& w,
                                       std::span<const params_of<S>> params, const generator& g,
                                       const E& executor) {
  expect_finite(function, "w", w);
  const index count = S::granularity::count(w.rows(), w.cols());
  return encode_matrix<S>(w, given_choices<S>(function, params, count), g, executor);
}

/// Rule is one of level_rule.hpp, or computes the levels from w and its scales.
template <CodebookScheme S, class Rule, class E>
quantized_matrix<S> quantize_by_rule(const char* function, const matrix_ref& w,
                                     const generator& /*g*/, const E& executor) {
  static_assert(RuleFor<Rule, S>,
                "fewbit: this rule does not fit the storage: a codebook takes those of "
                "level_rule.hpp, or lloyd_max of codebook/lloyd_max.hpp, which is to be included");
  expect_finite(function, "w", w);
  std::vector<float> scales = codebook_scales<S>(w, executor);
  if constexpr (requires { Rule::template learn<S>(w, scales, executor); }) {
    std::vector<float> levels = Rule::template learn<S>(w, scales, executor);
    return encode_by_levels<S>(w, std::move(scales), std::move(levels), executor);
  } else {
    const auto fixed = Rule::template levels<S::storage::bits>();
    return encode_by_levels<S>(w, std::move(scales), {fixed.begin(), fixed.end()}, executor);
  }
}

template <Scheme S>
constexpr void expect_no_generator() {
  static_assert(!S::is_random,
                "fewbit: stochastic rounding takes a generator: quantize<S>(w, generator{seed})");
}
template <Scheme S>
constexpr void expect_generator() {
  static_assert(S::is_random, "fewbit: only stochastic rounding takes a generator");
}

/// The overloads of quantize(), for callers with another name in their error sentences.
template <Scheme S, class Rule = default_rule<S>, Executor E = inline_executor>
[[nodiscard]] quantized_matrix<S> quantize_as(const char* function, const matrix_ref& w,
                                              const E& executor = {}) {
  expect_no_generator<S>();
  return quantize_by_rule<S, Rule>(function, w, generator{}, executor);
}
template <Scheme S, class Rule = default_rule<S>, Executor E = inline_executor>
[[nodiscard]] quantized_matrix<S> quantize_as(const char* function, const matrix_ref& w,
                                              const generator& g, const E& executor = {}) {
  expect_generator<S>();
  return quantize_by_rule<S, Rule>(function, w, g, executor);
}
template <IntegerScheme S, Executor E = inline_executor>
[[nodiscard]] quantized_matrix<S> quantize_as(const char* function, const matrix_ref& w,
                                              std::span<const params_of<S>> params,
                                              const E& executor = {}) {
  expect_no_generator<S>();
  return quantize_by_params<S>(function, w, params, generator{}, executor);
}
template <IntegerScheme S, Executor E = inline_executor>
[[nodiscard]] quantized_matrix<S> quantize_as(const char* function, const matrix_ref& w,
                                              std::span<const params_of<S>> params,
                                              const generator& g, const E& executor = {}) {
  expect_generator<S>();
  return quantize_by_params<S>(function, w, params, g, executor);
}
template <IntegerScheme S, Executor E = inline_executor>
  requires std::is_same_v<typename S::granularity, per_tensor>
[[nodiscard]] quantized_matrix<S> quantize_as(const char* function, const matrix_ref& w,
                                              const quant_params& params, const E& executor = {}) {
  return quantize_as<S>(function, w, std::span<const quant_params>(&params, 1), executor);
}
template <CodebookScheme S, Executor E = inline_executor>
[[nodiscard]] quantized_matrix<S> quantize_as(const char* function, const matrix_ref& w,
                                              std::span<const float> levels,
                                              const E& executor = {}) {
  expect_finite(function, "w", w);
  expect_valid_levels<S::storage::bits>(function, levels);
  return encode_by_levels<S>(w, codebook_scales<S>(w, executor), {levels.begin(), levels.end()},
                             executor);
}

}  // namespace detail

/// Quantizes `w` under scheme S with scales chosen from the data.
///
/// @tparam Rule     chooses the scale of a group, or the levels of a codebook; default_rule.hpp
///                  lists the defaults
/// @param w         rows = output channels, cols = inputs; an expression or a column-major matrix
///                  is evaluated once into a temporary
/// @param executor  runs the groups, then the rows
/// @return          codes in [S::code_min, S::code_max] and one scale for each group
/// @throws fewbit::error if `w` is empty or holds a NaN or an infinity
///
/// A group of zeros gets scale 1 and codes that mean 0. Binary codes and codebooks without a level
/// 0 have no such code: the group gets scale 0. Under real_minimum, a group of equal values gets
/// scale 0 and that value as its minimum. sign(0) = sign(-0) = +1.
///
/// Every other scale is at least 2^-126, so magnitudes below 2^-127 become 0. Where no code means
/// 0, a group gets scale 0 if 2^-126 would give a larger error.
/// Sources: Wu et al. 2020, arXiv:2004.09602 (integers); magnitude_rule.hpp for the others.
template <Scheme S, class Rule = default_rule<S>, Executor E = inline_executor>
[[nodiscard]] quantized_matrix<S> quantize(const Eigen::Ref<const row_matrix<float>>& w,
                                           const E& executor = {}) {
  return detail::quantize_as<S, Rule>("quantize", w, executor);
}

/// The same for schemes with stochastic rounding. Element (r, c) uses random number r * cols + c of
/// the generator, so equal generators give equal codes. Advance its counter between calls.
template <Scheme S, class Rule = default_rule<S>, Executor E = inline_executor>
[[nodiscard]] quantized_matrix<S> quantize(const Eigen::Ref<const row_matrix<float>>& w,
                                           const generator& g, const E& executor = {}) {
  return detail::quantize_as<S, Rule>("quantize", w, g, executor);
}

/// Quantizes `w` with given parameters: one quant_params for each group, or one minimum_params
/// under real_minimum, in the order of granularity::scale_of. Integer storages only.
///
/// @throws fewbit::error if `w` is empty or not finite, if the number of parameters is wrong, if a
///         scale is not a finite number of at least 2^-126 (or not a power of two where S needs
///         one; 0 is allowed under real_minimum), if a zero point is not a code (not 0 if S is
///         symmetric), or if a minimum is not finite
template <IntegerScheme S, Executor E = inline_executor>
[[nodiscard]] quantized_matrix<S> quantize(const Eigen::Ref<const row_matrix<float>>& w,
                                           std::span<const params_of<S>> params,
                                           const E& executor = {}) {
  return detail::quantize_as<S>("quantize", w, params, executor);
}

/// Quantizes `w` with one scale and zero point; per_tensor schemes only.
template <IntegerScheme S, Executor E = inline_executor>
  requires std::is_same_v<typename S::granularity, per_tensor>
[[nodiscard]] quantized_matrix<S> quantize(const Eigen::Ref<const row_matrix<float>>& w,
                                           const quant_params& params, const E& executor = {}) {
  return detail::quantize_as<S>("quantize", w, params, executor);
}

/// Quantizes `w` with given levels; codebooks only. The scale of a group is its max|w|.
///
/// @param levels  2^bits finite numbers of -1 to 1 in ascending order; some may be equal
/// @throws fewbit::error if `w` is empty or not finite, or if `levels` are not as described
template <CodebookScheme S, Executor E = inline_executor>
[[nodiscard]] quantized_matrix<S> quantize(const Eigen::Ref<const row_matrix<float>>& w,
                                           std::span<const float> levels, const E& executor = {}) {
  return detail::quantize_as<S>("quantize", w, levels, executor);
}

/// Quantizes `w` with given parameters and stochastic rounding.
template <IntegerScheme S, Executor E = inline_executor>
[[nodiscard]] quantized_matrix<S> quantize(const Eigen::Ref<const row_matrix<float>>& w,
                                           std::span<const params_of<S>> params, const generator& g,
                                           const E& executor = {}) {
  return detail::quantize_as<S>("quantize", w, params, g, executor);
}

/// Quantizes `w` and converts the codes back: dequantize(quantize<S>(w, more...)), where `more` are
/// further arguments of quantize() (executor, generator, parameters).
/// @throws fewbit::error as quantize() does; the sentence names fake_quantize
template <Scheme S, class... More>
[[nodiscard]] row_matrix<float> fake_quantize(const Eigen::Ref<const row_matrix<float>>& w,
                                              const More&... more) {
  return dequantize(detail::quantize_as<S>("fake_quantize", w, more...));
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
