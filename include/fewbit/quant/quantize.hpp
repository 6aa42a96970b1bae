#pragma once
/// Real numbers to codes and back.
///
///     auto q = quantize<int4_grouped<32>>(w);            // scales from the data
///     auto q = quantize<int8_affine>(x, params);         // scales given, from calibration
///     auto q = quantize<ternary_per_row, ternary_twn>(w);  // another rule for the scales
///     auto q = quantize<codebook_per_row<4>>(w, levels);   // levels given; else learned from w
///     row_matrix<float> w_hat = dequantize(q);
///
/// code = clamp(round(x / scale) + zero_point, code_min, code_max), with a true division; the clamp
/// comes before the conversion to integer, so that any x / scale is defined.
/// x_hat = (code - zero_point) * scale. Of a codebook the code is that of the level nearest to
/// x / scale, and x_hat = level * scale. Results do not depend on the executor or the processor.
/// Read next: metrics.hpp (what was lost), modes.hpp (the formulas of other libraries).

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

/// `function` is what the user called, here and below.
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

template <IntegerScheme S, class E>
quantized_matrix<S> quantize_by_params(const char* function, const matrix_ref& w,
                                       std::span<const params_of<S>> params, const generator& g,
                                       const E& executor) {
  expect_finite(function, "w", w);
  const index count = S::granularity::count(w.rows(), w.cols());
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
  return encode_matrix<S>(w, std::move(choices), g, executor);
}

/// A rule of level_rule.hpp, or one that learns from w and its scales.
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

/// All that quantize() takes, for functions of other names.
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
/// @tparam Rule     how the scale of a group is chosen: by default full_range for integer storages,
///                  mean_magnitude for binary, ternary_optimum for ternary; how the levels are
///                  chosen for a codebook, by default lloyd_max
/// @param w         rows = output channels, cols = inputs; an expression or a column-major matrix
///                  is evaluated once into a temporary
/// @param executor  runs the groups, then the rows
/// @return          codes in [S::code_min, S::code_max] and one scale for each group
/// @throws fewbit::error if `w` is empty or holds a NaN or an infinity
///
/// A group of zeros gets scale 1 and codes that stand for 0; where no code does, under binary and
/// under a codebook without a level 0, scale 0. sign(0) = sign(-0) = +1.
/// Any other scale is at least 2^-126, so that data smaller than half of that become 0. A group
/// that this scale would make worse than 0, where no code stands for 0, gets scale 0, too.
/// Sources: Wu et al. 2020, arXiv:2004.09602 (integers); magnitude_rule.hpp for the others.
template <Scheme S, class Rule = default_rule<S>, Executor E = inline_executor>
[[nodiscard]] quantized_matrix<S> quantize(const Eigen::Ref<const row_matrix<float>>& w,
                                           const E& executor = {}) {
  return detail::quantize_as<S, Rule>("quantize", w, executor);
}

/// The same for schemes with stochastic rounding. Element (r, c) uses number r * cols + c of the
/// generator, so equal generators give equal codes; advance its counter between calls.
template <Scheme S, class Rule = default_rule<S>, Executor E = inline_executor>
[[nodiscard]] quantized_matrix<S> quantize(const Eigen::Ref<const row_matrix<float>>& w,
                                           const generator& g, const E& executor = {}) {
  return detail::quantize_as<S, Rule>("quantize", w, g, executor);
}

/// Quantizes `w` with given parameters, one for each group in the order of granularity::scale_of;
/// integer storages only.
///
/// @throws fewbit::error if `w` is empty or not finite, if the number of parameters is wrong, a
///         scale is not a finite positive number (a power of two if S says so), or a zero point is
///         no code (must be 0 if S is symmetric)
template <IntegerScheme S, Executor E = inline_executor>
[[nodiscard]] quantized_matrix<S> quantize(const Eigen::Ref<const row_matrix<float>>& w,
                                           std::span<const params_of<S>> params,
                                           const E& executor = {}) {
  return detail::quantize_as<S>("quantize", w, params, executor);
}

/// Quantizes `w` with the one scale and zero point of a per_tensor scheme.
template <IntegerScheme S, Executor E = inline_executor>
  requires std::is_same_v<typename S::granularity, per_tensor>
[[nodiscard]] quantized_matrix<S> quantize(const Eigen::Ref<const row_matrix<float>>& w,
                                           const quant_params& params, const E& executor = {}) {
  return detail::quantize_as<S>("quantize", w, params, executor);
}

/// Quantizes `w` with given levels; codebooks only. The scale of a group is its max|w|.
///
/// @param levels  2^bits finite numbers of -1 to 1 in ascending order; some may be equal
/// @throws fewbit::error if `w` is empty or not finite, or levels are none
template <CodebookScheme S, Executor E = inline_executor>
[[nodiscard]] quantized_matrix<S> quantize(const Eigen::Ref<const row_matrix<float>>& w,
                                           std::span<const float> levels, const E& executor = {}) {
  return detail::quantize_as<S>("quantize", w, levels, executor);
}

/// Given parameters and stochastic rounding.
template <IntegerScheme S, Executor E = inline_executor>
[[nodiscard]] quantized_matrix<S> quantize(const Eigen::Ref<const row_matrix<float>>& w,
                                           std::span<const params_of<S>> params, const generator& g,
                                           const E& executor = {}) {
  return detail::quantize_as<S>("quantize", w, params, g, executor);
}

/// What is left of `w` after quantization: dequantize(quantize<S>(w, more...)), where `more` is
/// whatever that quantize takes (executor, generator, parameters).
/// @throws fewbit::error as that quantize does, by the name fake_quantize
template <Scheme S, class... More>
[[nodiscard]] row_matrix<float> fake_quantize(const Eigen::Ref<const row_matrix<float>>& w,
                                              const More&... more) {
  return dequantize(detail::quantize_as<S>("fake_quantize", w, more...));
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
