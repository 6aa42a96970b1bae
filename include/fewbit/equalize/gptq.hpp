#pragma once
/// GPTQ: codes of weights that keep the outputs of a layer, not the weights themselves.
///
///     input_products h(k);
///     for (const auto& x : batches) h.add(x);               // inputs of the layer, m x k each
///     const auto q = gptq<int4_grouped<128>>(w, h);         // q.weights, q.report
///     const auto q = gptq<uint4_grouped<32>>(w, h, {.scales = scale_rule::full_range});
///     const auto q = gptq<int4_grouped<32>>(w, h, {.activation_order = true});
///
/// The columns of W are quantized one after the other. After each column, the columns that are
/// still real numbers change so that they compensate for its error as well as they can:
///
///     loss = sum over the rows of (w - q) (H + damping) (w - q)^T, H = X^T X
///
/// The scale of a group is chosen when its first column comes, from the changed weights: by default
/// the one whose rounding errors cost least, where an error e of column j costs (R(j, j) e)^2 (see
/// gptq/sweep.hpp). scale_rule::full_range is the rule of the paper. With
/// activation_order, the columns come in descending order of H(j, j); the scales of all groups are
/// then chosen from W beforehand, because a group has columns from everywhere.
///
/// Use it for codes of 2 to 4 bits, where rounding to nearest costs accuracy. It needs some hundred
/// rows of inputs, more than k if possible. Ordering is not always better: compare both losses.
/// Read before: input_products.hpp. Read next: gptq/sweep.hpp (the formulas), adaround.hpp.
///
/// Source: Frantar et al. 2022, "GPTQ: accurate post-training quantization for generative
/// pre-trained transformers", arXiv:2210.17323.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/codebook/clustering.hpp"
#include "fewbit/codebook/lloyd_max.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/rows.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/equalize/gptq/factor.hpp"
#include "fewbit/equalize/gptq/group_rule.hpp"
#include "fewbit/equalize/gptq/sweep.hpp"
#include "fewbit/equalize/input_products.hpp"
#include "fewbit/equalize/strips.hpp"
#include "fewbit/quant/quantize.hpp"
#include "fewbit/quant/quantized_matrix.hpp"
#include "fewbit/quant/scheme.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// Progress of gptq.
struct gptq_step {
  bool factored = false;  ///< false: columns of H are factored; true: rows of W are quantized
  index done = 0;         ///< columns or rows
  index total = 0;
};

/// What gptq did.
struct gptq_report {
  bool finished = false;           ///< false: the progress callback ended the work
  double loss = 0.0;               ///< trace((W - Q) (H + damping) (W - Q)^T)
  double squared_error = 0.0;      ///< |X (W - Q)^T|^2, the loss without damping
  double damping = 0.0;            ///< what was used, as a share of the mean of H(j, j)
  double added = 0.0;              ///< the same as the number that was added to each H(j, j)
  std::vector<index> dead_inputs;  ///< inputs that are 0 in all rows of X
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// The schemes that gptq accepts: integers that are not rounded at random, and codebooks.
template <class S>
concept GptqScheme = (IntegerScheme<S> && !S::is_random) || CodebookScheme<S>;

/// How gptq works.
template <GptqScheme S>
struct gptq_options {
  /// Share of the mean of H(j, j) that is added to the diagonal.
  double damping = 0.01;
  /// If H + damping is singular, damping is multiplied by 10, up to this share.
  double most_damping = 1.0;
  bool activation_order = false;  ///< inputs with large squares first
  scale_rule scales = scale_rule::least_error;
  /// Parameters of all groups; none: chosen by `scales`. Integer schemes only.
  std::span<const params_of<S>> params = {};
  /// Levels of a codebook; none: lloyd_max_levels, weighted by the mean squares of the inputs.
  std::span<const float> levels = {};
};

/// Codes and scales, and how they were found.
template <GptqScheme S>
struct gptq_result {
  quantized_matrix<S> weights;  ///< 0 x 0 unless report.finished
  gptq_report report;
};

namespace detail {

template <GptqScheme S, class E>
[[nodiscard]] group_rule<S> rule_of(const char* function, const matrix_ref& w,
                                    const input_products& h, std::span<const float> levels,
                                    const E& executor) {
  if constexpr (!CodebookScheme<S>) {
    expect(levels.empty(), function, "number of levels", static_cast<index>(levels.size()),
           "0 unless the scheme has a codebook");
    return {};
  } else if (levels.empty()) {
    expect_sortable(function, "w.size()", w.size());
    return group_rule<S>(
        learn_levels<S>(w, codebook_scales<S>(w, executor), h.mean_squares(), executor));
  } else {
    expect_valid_levels<S::storage::bits>(function, levels);
    return group_rule<S>(levels);
  }
}

/// The parameters of all groups, from W itself. `weights` are the losses of errors, by input.
template <GptqScheme S, class E>
void choose_all(const matrix_ref& w, const group_rule<S>& rule, scale_rule how,
                const std::vector<double>& weights,
                std::vector<typename group_rule<S>::params>& chosen, const E& executor) {
  executor.for_each(static_cast<index>(chosen.size()), [&](index g) {
    const rectangle b = S::granularity::group(g, w.rows(), w.cols());
    std::vector<float> x;
    std::vector<double> costs;
    for (index r = b.row; r < b.row + b.rows; ++r) {
      for (index c = b.col; c < b.col + b.cols; ++c) {
        x.push_back(w(r, c));
        costs.push_back(weights[static_cast<std::size_t>(c)]);
      }
    }
    chosen[static_cast<std::size_t>(g)] = choose_group(rule, how, x, costs);
  });
}

template <GptqScheme S>
void expect_gptq_call(const char* function, const matrix_ref& w, const input_products& h,
                      const gptq_options<S>& options) {
  expect_finite(function, "w", w);
  expect_equal(function, "h.inputs()", h.inputs(), w.cols());
  expect(h.rows() >= 1, function, "h.rows()", h.rows(), "at least 1");
  const auto valid = [](double x) { return x >= 0.0 && is_finite(static_cast<float>(x)); };
  expect(valid(options.damping), function, "damping", options.damping, "a finite number >= 0");
  expect(valid(options.most_damping), function, "most_damping", options.most_damping,
         "a finite number >= 0");
  if constexpr (CodebookScheme<S>) {
    expect(options.params.empty(), function, "number of params",
           static_cast<index>(options.params.size()), "0 for a codebook");
  }
}

}  // namespace detail

/// Bytes that gptq needs beyond its arguments, for n x k weights and so many threads. The inputs
/// take input_products::bytes_for(k) in addition.
template <GptqScheme S>
[[nodiscard]] index gptq_bytes(index n, index k, index threads = 1) {
  constexpr int width = detail::strip_width;
  const index size = detail::whole_strips<width>(k);
  const index factor = (detail::triangle_strips<width>::elements(size) + size * width + 4 * size) *
                       index{sizeof(double)};
  const index group = std::min(detail::columns_of_group<typename S::granularity>, k);
  const index chosen = S::granularity::count(n, k) * 4 * index{sizeof(float)};
  const index codes =
      n * k * index{sizeof(typename S::code)} + n * packed_bytes<S::storage::bits>(k);
  return factor + threads * detail::sweep_bytes<width>(size, group) + chosen + codes +
         2 * n * index{sizeof(double)};
}

namespace detail {

/// Factors H + damping, with more damping as long as it is singular. Returns false if the progress
/// callback ends the work.
template <GptqScheme S, int Width, class P, class E>
[[nodiscard]] bool factor_with_damping(const char* function, const gptq_options<S>& options,
                                       sweep_factor<Width>& factor, gptq_report& report,
                                       P& progress, const E& executor) {
  const auto inputs = static_cast<index>(factor.order().size());
  const auto go_on = [&](index columns) {
    return static_cast<bool>(progress(gptq_step{false, std::min(columns, inputs), inputs}));
  };
  report.damping = options.damping;
  for (;;) {
    const factor_end end = factor.factor(report.damping, executor, go_on);
    if (!end.finished) return false;
    if (end.lost < 0) break;
    const double more = std::max(10.0 * report.damping, 1e-6);
    if (more > options.most_damping) {
      fail(function, "h",
           "singular at input " + text(factor.input_of(end.lost)) + " with a damping of " +
               text(report.damping),
           "a positive definite matrix: more rows of inputs or more damping");
    }
    report.damping = more;
  }
  report.added = factor.damping();
  report.dead_inputs = factor.dead();
  return true;
}

/// Quantizes all rows. Returns false if the progress callback ends the work.
template <Scheme S, int Width, class P, class E>
[[nodiscard]] bool sweep_all(const sweep_plan<S, Width>& plan, P& progress, const E& executor) {
  constexpr index panels_of_step = 16;
  const index rows = plan.w.rows(), panels = (rows + sweep_rows - 1) / sweep_rows;
  for (index first = 0; first < panels; first += panels_of_step) {
    executor.for_each(std::min(panels_of_step, panels - first),
                      [&](index i) { sweep<S, Width>(plan, (first + i) * sweep_rows).run(); });
    const index done = std::min((first + panels_of_step) * sweep_rows, rows);
    if (!progress(gptq_step{true, done, rows}) && done < rows) return false;
  }
  return true;
}

/// gptq with strips of any width.
template <GptqScheme S, int Width, class P, class E>
[[nodiscard]] gptq_result<S> gptq_in_strips(const char* function, const matrix_ref& w,
                                            const input_products& h, const gptq_options<S>& options,
                                            P& progress, const E& executor) {
  expect_gptq_call<S>(function, w, h, options);
  const index count = S::granularity::count(w.rows(), w.cols());
  const group_rule<S> rule = rule_of<S>(function, w, h, options.levels, executor);
  std::vector<typename group_rule<S>::params> chosen(static_cast<std::size_t>(count));
  const bool is_given = !options.params.empty();
  if constexpr (!CodebookScheme<S>) {
    if (is_given) {
      static_cast<void>(given_choices<S>(function, options.params, count));
      chosen.assign(options.params.begin(), options.params.end());
    }
  }
  gptq_result<S> result;
  gptq_report& report = result.report;
  sweep_factor<Width> factor(h, options.activation_order);
  if (!factor_with_damping<S>(function, options, factor, report, progress, executor)) return result;
  constexpr index columns = columns_of_group<typename S::granularity>;
  const index group = options.activation_order || is_given ? 0 : std::min(columns, w.cols());
  if (!is_given && group == 0) {
    choose_all<S>(w, rule, options.scales, factor.squared_pivots(), chosen, executor);
  }
  row_matrix<typename S::code> codes(w.rows(), w.cols());
  std::vector<double> losses(static_cast<std::size_t>(w.rows())), squares(losses.size());
  const sweep_plan<S, Width> plan{
      w,      factor.lower(), factor.order(), rule,    options.scales, group,
      chosen, codes,          losses,         squares, factor.added()};
  if (!sweep_all(plan, progress, executor)) return result;
  double added = 0.0;
  for (std::size_t r = 0; r < losses.size(); ++r) {
    report.loss += losses[r];
    added += squares[r];
  }
  report.squared_error = std::max(report.loss - added, 0.0);
  group_choices<S> choices(count);
  for (index g = 0; g < count; ++g) set_group<S>(choices, g, chosen[static_cast<std::size_t>(g)]);
  result.weights = matrix_of_codes<S>(codes, std::move(choices), rule);
  report.finished = true;
  return result;
}

}  // namespace detail

/// Quantizes `w` so that the outputs for inputs like those of `h` change little.
///
/// @param w         n x k, one output channel per row
/// @param h         products of the inputs of the layer
/// @param progress  called with a gptq_step now and then; if it returns false, the work ends and
///                  report.finished is false
/// @param executor  factors H and quantizes rows on several threads. The result does not depend on
///                  it, nor on the processor, bit for bit.
/// @throws fewbit::error if w is empty or not finite; if h has another number of inputs or no rows;
///         if damping is negative or not finite; if H + damping is singular up to most_damping; or
///         if params or levels are not valid
///
/// An input that is 0 in all rows is dead: its weights are rounded to nearest, and the report names
/// it. Without activation_order, the scale of each group of grouped<G> is chosen from the working
/// copy; other granularities take their scales from W.
template <GptqScheme S, Progress<gptq_step> P, Executor E = inline_executor>
[[nodiscard]] gptq_result<S> gptq(const Eigen::Ref<const row_matrix<float>>& w,
                                  const input_products& h, const gptq_options<S>& options,
                                  P&& progress, const E& executor = {}) {
  return detail::gptq_in_strips<S, detail::strip_width>("gptq", w, h, options, progress, executor);
}

/// The same without progress reports.
template <GptqScheme S, Executor E = inline_executor>
[[nodiscard]] gptq_result<S> gptq(const Eigen::Ref<const row_matrix<float>>& w,
                                  const input_products& h, const gptq_options<S>& options = {},
                                  const E& executor = {}) {
  return gptq<S>(w, h, options, no_progress{}, executor);
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
