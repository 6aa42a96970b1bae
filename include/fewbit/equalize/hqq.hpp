#pragma once
/// Half-quadratic quantization (HQQ): better minima for groups with a real_minimum, without data.
///
///     const auto q = hqq<uint4_grouped_minimum<64>>(w);   // q.weights
///
/// The scale of a group stays that of its range. Its minimum moves so that most weights come close
/// to a code, at the price of a few large errors. Each iteration computes, with zero = -minimum /
/// scale and d = w - value of its code,
///
///     e    = sign(d) max(0, |d| - |d|^(p - 1) / beta)     the errors that stay
///     zero = mean over the group of code - (w - e) / scale
///     beta = growth * beta
///
/// and it stops when the mean of |d| no longer falls; the best minimum is kept. Each group stops on
/// its own, so a group has the same codes whatever it is quantized with. Use it if there are no
/// inputs to calibrate with: with inputs, gptq.hpp gains much more.
///
/// Source: Badri and Shaji 2023, "Half-quadratic quantization of large machine learning models".

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
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
#include "fewbit/equalize/portable_functions.hpp"
#include "fewbit/quant/quantize.hpp"
#include "fewbit/quant/quantized_matrix.hpp"
#include "fewbit/quant/scheme.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// How hqq iterates.
struct hqq_options {
  index iterations = 20;
  double p = 0.7;        ///< errors are measured as |d|^p; more than 0, at most 1
  double beta = 10.0;    ///< more than 0
  double growth = 1.01;  ///< at least 1
};

/// Progress of hqq.
struct hqq_step {
  index groups = 0;  ///< that are done
  index total = 0;
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// The schemes that hqq accepts.
template <class S>
concept HqqScheme = IntegerScheme<S> && S::has_minimum && !S::is_random;

/// Codes, scales and minima, and the mean of |w - value| before and after.
template <HqqScheme S>
struct hqq_result {
  quantized_matrix<S> weights;  ///< 0 x 0 if the progress callback ended the work
  double plain_error = 0.0;
  double error = 0.0;
};

namespace detail {

/// One group and its minimum.
template <HqqScheme S>
class hqq_group {
 public:
  explicit hqq_group(std::vector<float> x) : x_(std::move(x)), codes_(x_.size()) {
    range all{x_[0], x_[0]};
    for (const float value : x_) all = hull(all, {value, value});
    params_ = rule_.of_range(all);
    error_ = encode();
  }

  [[nodiscard]] const minimum_params& params() const noexcept { return params_; }
  [[nodiscard]] const std::vector<typename S::code>& codes() const noexcept { return codes_; }
  /// The mean of |d| under params().
  [[nodiscard]] double error() const noexcept { return error_; }

  /// Moves the minimum once.
  void step(double p, double beta) {
    if (params_.scale == 0.0F) return;
    const double scale = params_.scale;
    double sum = 0.0;
    for (std::size_t i = 0; i < x_.size(); ++i) {
      const double d = difference(i);
      const double size = std::abs(d);
      const double shrunk =
          size > 0.0 ? std::max(0.0, size - portable_pow(size, p - 1.0) / beta) : 0.0;
      const double e = d < 0.0 ? -shrunk : shrunk;
      sum += static_cast<double>(codes_[i]) - (double{x_[i]} - e) / scale;
    }
    const double zero = sum / static_cast<double>(x_.size());
    params_.minimum = static_cast<float>(-arch::rounded(zero * scale));
    error_ = encode();
  }

  /// Iterates until the error no longer falls, and keeps the best minimum.
  void run(const hqq_options& options) {
    double beta = options.beta;
    for (index i = 0; i < options.iterations; ++i, beta *= options.growth) {
      const minimum_params before = params_;
      const double error = error_;
      step(options.p, beta);
      if (error_ < error) continue;
      params_ = before;
      error_ = encode();
      return;
    }
  }

 private:
  [[nodiscard]] double difference(std::size_t i) const noexcept {
    return double{x_[i]} - double{rule_.value(codes_[i], params_)};
  }

  double encode() noexcept {
    double sum = 0.0;
    for (std::size_t i = 0; i < x_.size(); ++i) {
      codes_[i] = rule_.encode(x_[i], params_);
      sum += std::abs(difference(i));
    }
    return sum / static_cast<double>(x_.size());
  }

  group_rule<S> rule_;
  std::vector<float> x_;
  std::vector<typename S::code> codes_;
  minimum_params params_;
  double error_ = 0.0;
};

}  // namespace detail

/// Bytes that hqq needs beyond its arguments, its result included, for n x k weights.
template <HqqScheme S>
[[nodiscard]] index hqq_bytes(index n, index k) {
  const index of_group = 2 * index{sizeof(double)} + 2 * index{sizeof(float)};
  const index codes =
      n * k * index{sizeof(typename S::code)} + n * packed_bytes<S::storage::bits>(k);
  return S::granularity::count(n, k) * of_group + codes;
}

/// Quantizes `w` by HQQ.
///
/// @param progress  called with an hqq_step now and then; if it returns false, the work ends and
///                  the result has no weights
/// @param executor  quantizes several groups at once; the result does not depend on it
/// @return          codes, scales and minima; the mean of |w - value| of a group is never larger
///                  than with quantize<S>(w)
/// @throws fewbit::error if w is empty or not finite, or if an option is out of its range
template <HqqScheme S, Progress<hqq_step> P, Executor E = inline_executor>
[[nodiscard]] hqq_result<S> hqq(const Eigen::Ref<const row_matrix<float>>& w,
                                const hqq_options& options, P&& progress, const E& executor = {}) {
  const char* function = "hqq";
  detail::expect_finite(function, "w", w);
  detail::expect(options.iterations >= 0, function, "iterations", options.iterations, "at least 0");
  detail::expect(options.p > 0.0 && options.p <= 1.0, function, "p", options.p,
                 "more than 0, at most 1");
  detail::expect(options.beta > 0.0, function, "beta", options.beta, "more than 0");
  detail::expect(options.growth >= 1.0, function, "growth", options.growth, "at least 1");
  const index count = S::granularity::count(w.rows(), w.cols());
  detail::group_choices<S> choices(count);
  row_matrix<typename S::code> codes(w.rows(), w.cols());
  std::vector<double> before(static_cast<std::size_t>(count)), after(before.size());
  const auto quantize_group = [&](index g) {
    const rectangle b = S::granularity::group(g, w.rows(), w.cols());
    const float* x = detail::row_of(w, b.row) + b.col;
    detail::hqq_group<S> group({x, x + b.cols});
    const auto size = static_cast<double>(b.cols);
    before[static_cast<std::size_t>(g)] = group.error() * size;
    group.run(options);
    after[static_cast<std::size_t>(g)] = group.error() * size;
    choices.set(g, group.params());
    std::copy(group.codes().begin(), group.codes().end(),
              codes.data() + b.row * codes.cols() + b.col);
  };
  hqq_result<S> result;
  constexpr index groups_of_step = 4096;
  for (index first = 0; first < count; first += groups_of_step) {
    const index done = std::min(first + groups_of_step, count);
    executor.for_each(done - first, [&](index i) { quantize_group(first + i); });
    if (!progress(hqq_step{done, count}) && done < count) return result;
  }
  for (std::size_t g = 0; g < before.size(); ++g) {
    result.plain_error += before[g] / static_cast<double>(w.size());
    result.error += after[g] / static_cast<double>(w.size());
  }
  result.weights = detail::matrix_of_codes<S>(codes, std::move(choices), detail::group_rule<S>{});
  return result;
}

/// The same without progress reports.
template <HqqScheme S, Executor E = inline_executor>
[[nodiscard]] hqq_result<S> hqq(const Eigen::Ref<const row_matrix<float>>& w,
                                const hqq_options& options = {}, const E& executor = {}) {
  return hqq<S>(w, options, no_progress{}, executor);
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
