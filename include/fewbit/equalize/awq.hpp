#pragma once
/// AWQ: scales of input channels, and clipped ranges of groups, that make codes of weights keep the
/// outputs of a layer.
///
///     const awq_result a = awq_scales<uint4_grouped<128>>(w, h);     // h: input_products
///     w' = w * diag(a.scales), and the layer before divides its outputs by a.scales
///     const auto q = clip_search<uint4_grouped<128>>(w', h');        // q.weights
///
/// An input channel with large values gets a scale above 1: its weights become larger and their
/// rounding errors smaller compared with them. The scales are
///
///     s_j = max(a_j^r, 1e-4), a_j the mean of |x_j|, divided by sqrt(max s * min s)
///
/// and r is the exponent of 0, 1/20 .. 1 with the least mean square of the error of the outputs,
/// for the quantized weights Q(w s) / s. Layers that read the same inputs share scales: give their
/// weights as one matrix, row under row. The layer before may be a linear layer or a norm: divide
/// its rows and its bias, or its gain, by s.
///
/// clip_search shrinks the range of each group while this lowers the mean square of the group's
/// part of the outputs. Read before: input_products.hpp. Read next: gptq.hpp, which gains more if
/// weights are all that changes.
///
/// Source: Lin et al. 2023, "AWQ: activation-aware weight quantization for LLM compression and
/// acceleration", arXiv:2306.00978.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "fewbit/arch/vec.hpp"
#include "fewbit/codebook/clustering.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/rows.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/equalize/gptq/group_rule.hpp"
#include "fewbit/equalize/input_products.hpp"
#include "fewbit/equalize/portable_functions.hpp"
#include "fewbit/quant/quantize.hpp"
#include "fewbit/quant/quantized_matrix.hpp"
#include "fewbit/quant/scheme.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// How awq_scales searches: exponents 0, 1 / steps, .. 1.
struct awq_options {
  index steps = 20;  ///< at least 1
};

/// Progress of awq_scales after one exponent.
struct awq_step {
  double exponent = 0.0;
  double error = 0.0;  ///< mean square of the error of the outputs
};

/// The scales of input channels.
struct awq_result {
  Eigen::VectorXf scales;      ///< w(r, j) * scales[j] is quantized; 1 / scales[j] goes before
  double exponent = 0.0;       ///< 0: scales of 1 are best
  double error = 0.0;          ///< mean square of the error of the outputs with these scales
  double plain_error = 0.0;    ///< with scales of 1
  std::vector<double> errors;  ///< of each exponent tried
};

/// How clip_search shrinks: to 1 - i / steps of the largest magnitude, i = 0 .. tries - 1.
struct clip_options {
  index steps = 20;
  index tries = 10;  ///< 1 to steps
};

/// Progress of clip_search.
struct clip_step {
  index groups = 0;  ///< that are done
  index total = 0;
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// Codes with clipped ranges, and what the clipping changed.
template <IntegerScheme S>
struct clip_result {
  quantized_matrix<S> weights;  ///< 0 x 0 if the progress callback ended the work
  index clipped_groups = 0;
  double plain_error = 0.0;  ///< sum over the groups of the mean square of their part of an output
  double error = 0.0;        ///< the same with the clipped ranges
};

/// The schemes that clip_search accepts: groups within a row.
template <class S>
concept ClipScheme =
    IntegerScheme<S> && !S::is_random && detail::is_within_row<typename S::granularity>;

namespace detail {

inline void expect_awq_call(const char* function, const matrix_ref& w, const input_products& h) {
  expect_finite(function, "w", w);
  expect_equal(function, "h.inputs()", h.inputs(), w.cols());
  expect(h.rows() >= 1, function, "h.rows()", h.rows(), "at least 1");
}

/// s_j of the exponent r.
[[nodiscard]] inline Eigen::VectorXf awq_scales_of(const input_products& h, double r) {
  Eigen::VectorXd s(h.inputs());
  for (index j = 0; j < h.inputs(); ++j) {
    const double power = r == 0.0 ? 1.0 : portable_pow(h.mean_magnitude(j), r);
    s[j] = std::max(power, 1e-4);
  }
  const double middle = std::sqrt(s.maxCoeff()) * std::sqrt(s.minCoeff());
  Eigen::VectorXf scales(h.inputs());
  for (index j = 0; j < h.inputs(); ++j) scales[j] = static_cast<float>(s[j] / middle);
  return scales;
}

/// w s.
template <class E>
[[nodiscard]] row_matrix<float> scaled_columns(const matrix_ref& w, const Eigen::VectorXf& s,
                                               const E& executor) {
  row_matrix<float> scaled(w.rows(), w.cols());
  executor.for_each(w.rows(), [&](index r) {
    for (index j = 0; j < w.cols(); ++j) scaled(r, j) = w(r, j) * s[j];
  });
  return scaled;
}

/// w(r, j) - Q(w s)(r, j) / s_j.
template <Scheme S, class E>
[[nodiscard]] row_matrix<float> scaled_rounding_errors(const matrix_ref& w,
                                                       const row_matrix<float>& scaled,
                                                       const Eigen::VectorXf& s,
                                                       const E& executor) {
  row_matrix<float> errors = dequantize(quantize<S>(scaled, executor), executor);
  executor.for_each(w.rows(), [&](index r) {
    for (index j = 0; j < w.cols(); ++j) errors(r, j) = w(r, j) - errors(r, j) / s[j];
  });
  return errors;
}

/// The products of the inputs of columns c .. c + n - 1 with each other, n x n.
[[nodiscard]] inline row_matrix<double> products_between(const input_products& h, index c,
                                                         index n) {
  row_matrix<double> part(n, n);
  for (index i = 0; i < n; ++i) {
    for (index j = 0; j < n; ++j) part(i, j) = h(c + i, c + j);
  }
  return part;
}

/// d H d^T.
[[nodiscard]] inline double quadratic_form(const row_matrix<double>& h,
                                           const std::vector<double>& d) noexcept {
  constexpr int width = 8;
  using lanes = arch::vec<double, width>;
  const auto n = static_cast<index>(d.size());
  double total = 0.0;
  for (index i = 0; i < n; ++i) {
    const double* row = h.data() + i * n;
    lanes sums(0.0);
    index j = 0;
    for (; j + width <= n; j += width) {
      sums += arch::rounded(lanes(lanes::load(row + j) * lanes::load(d.data() + j)));
    }
    double sum = 0.0;
    for (int lane = 0; lane < width; ++lane) sum += sums[lane];
    for (; j < n; ++j) sum += arch::rounded(row[j] * d[static_cast<std::size_t>(j)]);
    total += arch::rounded(d[static_cast<std::size_t>(i)] * sum);
  }
  return total;
}

/// The codes of a group whose values are clipped to magnitudes of at most `limit`.
template <IntegerScheme S>
struct clipped_group {
  typename group_rule<S>::params params;
  std::vector<typename S::code> codes;
  std::vector<double> errors;  ///< w - value

  clipped_group(const float* x, index n, float limit) {
    const group_rule<S> rule;
    const auto clip = [&](float value) { return std::min(std::max(value, -limit), limit); };
    range all{clip(x[0]), clip(x[0])};
    for (index i = 0; i < n; ++i) all = hull(all, {clip(x[i]), clip(x[i])});
    params = rule.of_range(all);
    for (index i = 0; i < n; ++i) {
      codes.push_back(rule.encode(clip(x[i]), params));
      errors.push_back(double{x[i]} - double{rule.value(codes.back(), params)});
    }
  }
};

/// The choices of clip_search so far.
template <ClipScheme S>
class clip_choices {
 public:
  clip_choices(index rows, index cols)
      : choices_(S::granularity::count(rows, cols)),
        codes_(rows, cols),
        plain_(static_cast<std::size_t>(S::granularity::count(rows, cols))),
        best_(plain_.size()),
        clipped_(plain_.size(), 0) {}

  /// Tries the ranges of one group: row r, and some columns.
  void search(const matrix_ref& w, index r, index in_row, const rectangle& columns,
              const row_matrix<double>& products, index inputs, const clip_options& options) {
    const float* x = row_of(w, r) + columns.col;
    const index g = r * (static_cast<index>(plain_.size()) / w.rows()) + in_row;
    const auto at = static_cast<std::size_t>(g);
    float amax = 0.0F;
    for (index i = 0; i < columns.cols; ++i) amax = std::max(amax, std::abs(x[i]));
    for (index i = 0; i < options.tries; ++i) {
      const double share = 1.0 - static_cast<double>(i) / static_cast<double>(options.steps);
      const auto limit = static_cast<float>(double{amax} * share);
      const clipped_group<S> group(x, columns.cols, limit);
      const double error = quadratic_form(products, group.errors) / static_cast<double>(inputs);
      if (i == 0) plain_[at] = error;
      if (i > 0 && !(error < best_[at])) continue;
      best_[at] = error;
      clipped_[at] = i > 0 ? 1 : 0;
      choices_.set(g, group.params);
      std::copy(group.codes.begin(), group.codes.end(),
                codes_.data() + r * codes_.cols() + columns.col);
    }
  }

  [[nodiscard]] clip_result<S> result() {
    clip_result<S> all;
    for (std::size_t g = 0; g < plain_.size(); ++g) {
      all.plain_error += plain_[g];
      all.error += best_[g];
      all.clipped_groups += clipped_[g];
    }
    all.weights = matrix_of_codes<S>(codes_, std::move(choices_), group_rule<S>{});
    return all;
  }

 private:
  group_choices<S> choices_;
  row_matrix<typename S::code> codes_;
  std::vector<double> plain_;
  std::vector<double> best_;
  std::vector<std::int8_t> clipped_;
};

}  // namespace detail

/// Searches the scales of input channels for weights of scheme S.
///
/// @param w         n x k
/// @param h         products of the inputs of the layer
/// @param progress  called with an awq_step after each exponent; if it returns false, the best of
///                  the exponents so far is returned
/// @param executor  the result does not depend on it, nor on the processor
/// @return          an exponent replaces a smaller one only if it is strictly better. The error of
///                  an exponent whose scaled weights overflow is infinite
/// @throws fewbit::error if w is empty or not finite, h has another number of inputs or no rows, or
///         options.steps < 1
///
/// Each exponent takes n k^2 products.
template <Scheme S, Progress<awq_step> P, Executor E = inline_executor>
  requires(!S::is_random)
[[nodiscard]] awq_result awq_scales(const Eigen::Ref<const row_matrix<float>>& w,
                                    const input_products& h, const awq_options& options,
                                    P&& progress, const E& executor = {}) {
  detail::expect_awq_call("awq_scales", w, h);
  detail::expect(options.steps >= 1, "awq_scales", "steps", options.steps, "at least 1");
  awq_result best;
  best.error = std::numeric_limits<double>::infinity();
  const double outputs = static_cast<double>(h.rows()) * static_cast<double>(w.rows());
  for (index i = 0; i <= options.steps; ++i) {
    const double r = static_cast<double>(i) / static_cast<double>(options.steps);
    Eigen::VectorXf scales = detail::awq_scales_of(h, r);
    const row_matrix<float> scaled = detail::scaled_columns(w, scales, executor);
    double error = std::numeric_limits<double>::infinity();  // of weights that overflow
    if (detail::largest_of(scaled.data(), scaled.size()).is_finite) {
      error = h.squared_error(detail::scaled_rounding_errors<S>(w, scaled, scales, executor),
                              executor) /
              outputs;
    }
    best.errors.push_back(error);
    if (error < best.error) {
      best.error = error;
      best.exponent = r;
      best.scales = std::move(scales);
    }
    if (!progress(awq_step{r, error})) break;
  }
  best.plain_error = best.errors.front();
  return best;
}

/// The same without progress reports.
template <Scheme S, Executor E = inline_executor>
  requires(!S::is_random)
[[nodiscard]] awq_result awq_scales(const Eigen::Ref<const row_matrix<float>>& w,
                                    const input_products& h, const awq_options& options = {},
                                    const E& executor = {}) {
  return awq_scales<S>(w, h, options, no_progress{}, executor);
}

/// Bytes that awq_scales needs beyond its arguments for n x k weights: two copies of the weights.
[[nodiscard]] constexpr index awq_scales_bytes(index n, index k) noexcept {
  return 2 * n * k * index{sizeof(float)};
}

/// Bytes that clip_search needs beyond its arguments, its result included, for n x k weights.
template <ClipScheme S>
[[nodiscard]] index clip_search_bytes(index n, index k) {
  const index columns = S::granularity::run(k);
  const index of_group = 2 * index{sizeof(double)} + 3 * index{sizeof(float)};
  const index codes =
      n * k * index{sizeof(typename S::code)} + n * packed_bytes<S::storage::bits>(k);
  return columns * columns * index{sizeof(double)} + S::granularity::count(n, k) * of_group + codes;
}

/// Quantizes w with the clipped range of each group that is best for its part of the outputs.
///
/// @param progress  called with a clip_step now and then; if it returns false, the work ends and
///                  the result has no weights
/// @param executor  searches several rows at once; the result does not depend on it
/// @return  the mean square of each group's part of an output is never larger than with
///          quantize<S>(w)
/// @throws fewbit::error if w is empty or not finite, h has another number of inputs or no rows, or
///         tries is not 1 to steps
///
/// For groups of G columns it takes n k G products for each try.
template <ClipScheme S, Progress<clip_step> P, Executor E = inline_executor>
[[nodiscard]] clip_result<S> clip_search(const Eigen::Ref<const row_matrix<float>>& w,
                                         const input_products& h, const clip_options& options,
                                         P&& progress, const E& executor = {}) {
  const char* function = "clip_search";
  detail::expect_awq_call(function, w, h);
  detail::expect(options.tries >= 1 && options.tries <= options.steps, function, "tries",
                 options.tries, "1 to steps");
  const index count = S::granularity::count(w.rows(), w.cols());
  const index per_row = count / w.rows();
  detail::clip_choices<S> found(w.rows(), w.cols());
  constexpr index rows_of_step = 512;
  for (index in_row = 0; in_row < per_row; ++in_row) {
    const rectangle columns = S::granularity::group(in_row, w.rows(), w.cols());
    const row_matrix<double> products = detail::products_between(h, columns.col, columns.cols);
    for (index first = 0; first < w.rows(); first += rows_of_step) {
      const index end = std::min(first + rows_of_step, w.rows());
      executor.for_each(end - first, [&](index i) {
        found.search(w, first + i, in_row, columns, products, h.rows(), options);
      });
      const index done = in_row * w.rows() + end;
      if (!progress(clip_step{done, count}) && done < count) return {};
    }
  }
  return found.result();
}

/// The same without progress reports.
template <ClipScheme S, Executor E = inline_executor>
[[nodiscard]] clip_result<S> clip_search(const Eigen::Ref<const row_matrix<float>>& w,
                                         const input_products& h, const clip_options& options = {},
                                         const E& executor = {}) {
  return clip_search<S>(w, h, options, no_progress{}, executor);
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
