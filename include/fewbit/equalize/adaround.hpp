#pragma once
/// AdaRound: searches for each weight whether it is rounded down or up, so that the outputs of a
/// layer change least. Scales stay as they are.
///
///     const auto q = adaround<int4_per_row>(w, h);   // h: input_products; q.weights, q.report
///
/// A weight is w = scale (floor(w / scale) + u) with u = clip(1.2 sigmoid(v) - 0.1, 0, 1). Adam
/// moves the numbers v to minimise
///
///     trace((W - W') H (W - W')^T) / (mean of H(j, j)) + lambda sum(1 - |2 u - 1|^beta)
///
/// The second term pushes each u to 0 or 1. It starts after the first fifth of the steps; beta then
/// falls from 20 to 2. In the end a weight with v >= 0 is rounded up. The report tells how many u
/// were still between 0 and 1: if many are, lambda or the number of steps is too small.
///
/// The division by the mean makes lambda independent of the size of the inputs. Rows of weights are
/// searched one by one. Use it for weights of 4 bits if gptq.hpp is not enough: it takes thousands
/// of times longer. Read before: input_products.hpp.
///
/// Source: Nagel et al. 2020, "Up or down? Adaptive rounding for post-training quantization",
/// arXiv:2004.10568.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "fewbit/codebook/clustering.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/rows.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/equalize/adaround/rounding_search.hpp"
#include "fewbit/equalize/gptq/group_rule.hpp"
#include "fewbit/equalize/input_products.hpp"
#include "fewbit/quant/quantize.hpp"
#include "fewbit/quant/quantized_matrix.hpp"
#include "fewbit/quant/scheme.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// Progress of adaround.
struct adaround_step {
  index rows = 0;  ///< of W that are done
  index total = 0;
};

/// What adaround did.
struct adaround_report {
  bool finished = false;       ///< false: the progress callback ended the work
  double plain_error = 0.0;    ///< |X (W - Q)^T|^2 of rounding to nearest
  double squared_error = 0.0;  ///< of the result
  index undecided = 0;         ///< weights whose u is not 0 or 1 at the end
  index changed = 0;           ///< codes that are not the nearest
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// Codes and scales, and how they were found.
template <AdaroundScheme S>
struct adaround_result {
  quantized_matrix<S> weights;  ///< 0 x 0 unless report.finished
  adaround_report report;
};

namespace detail {

/// The factor of the trace in the loss.
[[nodiscard]] inline double loss_weight(const input_products& h, bool is_normalized) noexcept {
  if (!is_normalized) return 1.0 / static_cast<double>(h.rows());
  double trace = 0.0;
  for (index j = 0; j < h.inputs(); ++j) trace += h(j, j);
  return trace > 0.0 ? static_cast<double>(h.inputs()) / trace : 1.0;
}

inline void expect_adaround_options(const char* function, const adaround_options& o) {
  expect(o.steps >= 1, function, "steps", o.steps, "at least 1");
  expect(o.rate > 0.0 && is_finite(static_cast<float>(o.rate)), function, "rate", o.rate,
         "a finite positive number");
  expect(o.lambda >= 0.0 && is_finite(static_cast<float>(o.lambda)), function, "lambda", o.lambda,
         "a finite number >= 0");
}

inline void expect_adaround_call(const char* function, const matrix_ref& w, const input_products& h,
                                 const adaround_options& o) {
  expect_finite(function, "w", w);
  expect_equal(function, "h.inputs()", h.inputs(), w.cols());
  expect(h.rows() >= 1, function, "h.rows()", h.rows(), "at least 1");
  expect_adaround_options(function, o);
}

}  // namespace detail

/// Bytes of the products in full, which adaround holds beyond its arguments, for k inputs.
[[nodiscard]] inline index adaround_bytes(index k) noexcept {
  const index size = detail::whole_strips<detail::strip_width>(k);
  return size * size * index{sizeof(double)};
}

/// Quantizes `w` with the scales of `start` and searched codes.
///
/// @param w         n x k
/// @param h         products of the inputs of the layer
/// @param start     quantized weights, of which the scales and zero points are taken
/// @param progress  called with an adaround_step now and then; if it returns false, the work ends
///                  and report.finished is false
/// @param executor  searches several rows at once; the result does not depend on it, nor on the
///                  processor
/// @throws fewbit::error if w is empty or not finite, start has another shape, h has another number
///         of inputs or no rows, or an option is out of its range
///
/// Needs adaround_bytes(k) beyond its arguments, some 70 bytes for each weight of the rows that are
/// searched at once, and steps * n * k^2 products.
template <AdaroundScheme S, Progress<adaround_step> P, Executor E = inline_executor>
[[nodiscard]] adaround_result<S> adaround(const Eigen::Ref<const row_matrix<float>>& w,
                                          const input_products& h, const quantized_matrix<S>& start,
                                          const adaround_options& options, P&& progress,
                                          const E& executor = {}) {
  const char* function = "adaround";
  using search = detail::rounding_search<S>;
  detail::expect_adaround_call(function, w, h, options);
  detail::expect_same_shape(function, "start", w.rows(), w.cols(), start.rows(), start.cols());
  detail::group_choices<S> choices(S::granularity::count(w.rows(), w.cols()));
  choices.scales.assign(start.scales().begin(), start.scales().end());
  choices.zero_points.assign(start.zero_points().begin(), start.zero_points().end());
  const detail::full_products products(h);
  const double weight = detail::loss_weight(h, options.is_normalized);
  row_matrix<typename S::code> codes(w.rows(), w.cols());
  const index tiles = (w.rows() + search::tile - 1) / search::tile;
  std::vector<index> undecided(static_cast<std::size_t>(tiles));
  adaround_result<S> result;
  constexpr index tiles_of_step = 16;
  for (index first = 0; first < tiles; first += tiles_of_step) {
    executor.for_each(std::min(tiles_of_step, tiles - first), [&](index i) {
      search rows(w, choices, products, (first + i) * search::tile);
      rows.run(options, weight);
      undecided[static_cast<std::size_t>(first + i)] = rows.write(codes);
    });
    const index done = std::min((first + tiles_of_step) * search::tile, w.rows());
    if (!progress(adaround_step{done, w.rows()}) && done < w.rows()) return result;
  }
  detail::group_choices<S> plain_choices = choices;
  const auto plain = detail::encode_matrix<S>(w, std::move(plain_choices), generator{}, executor);
  result.weights = detail::matrix_of_codes<S>(codes, std::move(choices), detail::group_rule<S>{});
  adaround_report& report = result.report;
  for (const index n : undecided) report.undecided += n;
  report.changed = static_cast<index>((codes.array() != plain.codes().array()).count());
  const row_matrix<float> plain_errors = w - dequantize(plain, executor);
  const row_matrix<float> errors = w - dequantize(result.weights, executor);
  report.plain_error = h.squared_error(plain_errors, executor);
  report.squared_error = h.squared_error(errors, executor);
  report.finished = true;
  return result;
}

/// The same without progress reports, with the scales of quantize<S>(w).
template <AdaroundScheme S, Executor E = inline_executor>
[[nodiscard]] adaround_result<S> adaround(const Eigen::Ref<const row_matrix<float>>& w,
                                          const input_products& h,
                                          const adaround_options& options = {},
                                          const E& executor = {}) {
  detail::expect_adaround_call("adaround", w, h, options);
  return adaround<S>(w, h, quantize<S>(w, executor), options, no_progress{}, executor);
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
