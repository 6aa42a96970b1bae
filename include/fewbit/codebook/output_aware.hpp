#pragma once
/// Codebooks for weights that preserve the outputs of a layer rather than its weights: centroids
/// that minimise |X (W - W^)|^2 for sample inputs X.
///
///     const output_aware_codes r =
///         train_output_aware(weights, inputs, {.parts = 32, .bits = 8});
///     const row_matrix<float> w = r.quantizer.decode(r.codes);   // approximates weights
///
/// Weights are n x d, one output channel per row. Inputs are samples x d. Let X_p be the columns of
/// the inputs that belong to part p. An error w - c of a part costs
///
///     |X_p (w - c)|^2 = (w - c)' H (w - c) = |A (w - c)|^2, where H = X_p' X_p = A' A
///
/// This is the squared distance of A w and A c, so k-means clusters the points A w. The mean of the
/// w of a cluster is a best centroid for any rank of X_p, because A times the mean of the w is the
/// mean of the A w.
///
/// Use the codes that come with the quantizer. quantizer.encode(weights) would choose other codes,
/// because it compares the weights themselves. Read first: codebook/product_quantizer.hpp.
///
/// Source: the two alternating steps are those of Stock et al. 2020, "And the bit goes down:
/// revisiting the quantization of neural networks".

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "fewbit/arch/arch.hpp"
#include "fewbit/arch/vec.hpp"
#include "fewbit/codebook/clustering.hpp"
#include "fewbit/codebook/kmeans.hpp"
#include "fewbit/codebook/product_quantizer.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/rows.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// The centroids and codes of weights.
struct output_aware_codes {
  product_quantizer quantizer;
  row_matrix<std::uint8_t> codes;  ///< n x parts
};

namespace detail {

/// X' X in double. The sums run over the rows in order.
inline row_matrix<double> gram_of(const matrix_ref& x) {
  const index d = x.cols();
  row_matrix<double> gram = row_matrix<double>::Zero(d, d);
  for (index s = 0; s < x.rows(); ++s) {
    const float* row = row_of(x, s);
    for (index i = 0; i < d; ++i) {
      for (index j = 0; j <= i; ++j) gram(i, j) += double{row[i]} * double{row[j]};  // exact
    }
  }
  for (index i = 0; i < d; ++i) {
    for (index j = i + 1; j < d; ++j) gram(i, j) = gram(j, i);
  }
  return gram;
}

/// The upper triangular A with A' A = gram (Cholesky). If a pivot is lost in rounding, its row is
/// 0.
inline row_matrix<double> cholesky_factor_of(const row_matrix<double>& gram) {
  const index d = gram.rows();
  row_matrix<double> a = row_matrix<double>::Zero(d, d);
  for (index i = 0; i < d; ++i) {
    const auto rest = [&](index j) {
      double sum = gram(i, j);
      for (index t = 0; t < i; ++t) sum -= arch::rounded(a(t, i) * a(t, j));
      return sum;
    };
    const double pivot = rest(i);
    if (!(pivot > 1e-12 * gram(i, i))) continue;
    const double root = std::sqrt(pivot);
    for (index j = i; j < d; ++j) a(i, j) = rest(j) / root;
  }
  return a;
}

/// The median of each column. If there are two middle numbers, the larger one is the median.
inline std::vector<double> medians_of(const matrix_ref& w) {
  std::vector<double> medians;
  std::vector<float> column(static_cast<std::size_t>(w.rows()));
  for (index j = 0; j < w.cols(); ++j) {
    for (index r = 0; r < w.rows(); ++r) column[static_cast<std::size_t>(r)] = w(r, j);
    const auto middle = column.begin() + w.rows() / 2;
    std::nth_element(column.begin(), middle, column.end());
    medians.push_back(double{*middle});
  }
  return medians;
}

/// The rows A (w - m) of the rows w, where m is the median of each column, scaled to a largest
/// value of about 1. Subtracting m does not change distances. Most rows are near m, so their floats
/// keep more digits.
template <Executor E>
row_matrix<float> mapped_rows(const row_matrix<double>& a, const matrix_ref& w, const E& executor) {
  const index d = w.cols();
  const std::vector<double> medians = medians_of(w);
  const auto offset = [&](index r, index j) {
    return double{w(r, j)} - medians[static_cast<std::size_t>(j)];
  };
  double largest = 0.0;
  for (index i = 0; i < d; ++i) {
    for (index j = 0; j < d; ++j) largest = std::max(largest, std::abs(a(i, j)));
  }
  double most = 0.0;
  for (index r = 0; r < w.rows(); ++r) {
    for (index j = 0; j < d; ++j) most = std::max(most, std::abs(offset(r, j)));
  }
  const double scale = largest > 0.0 && most > 0.0 ? 1.0 / largest / most : 0.0;
  row_matrix<float> y(w.rows(), d);
  executor.for_each(w.rows(), [&](index r) {
    for (index i = 0; i < d; ++i) {
      double sum = 0.0;
      for (index j = i; j < d; ++j) sum += arch::rounded(a(i, j) * offset(r, j));
      y(r, i) = static_cast<float>(sum * scale);
    }
  });
  return y;
}

/// The weighted mean of the rows of each cluster. If all rows of a cluster have weight 0, their
/// plain mean. The mean of an empty cluster is 0; no code refers to it.
inline row_matrix<float> means_of(const matrix_ref& w, std::span<const float> weights,
                                  const std::vector<std::int32_t>& cluster, index k) {
  const auto cluster_of = [&](index r) {
    return static_cast<std::size_t>(cluster[static_cast<std::size_t>(r)]);
  };
  std::vector<double> totals(static_cast<std::size_t>(k), 0.0);
  for (index r = 0; r < w.rows(); ++r) totals[cluster_of(r)] += weight_of(weights, r);
  std::vector<double> counts(static_cast<std::size_t>(k), 0.0);
  row_matrix<double> sums = row_matrix<double>::Zero(k, w.cols());
  for (index r = 0; r < w.rows(); ++r) {
    const std::size_t j = cluster_of(r);
    const double weight = totals[j] > 0.0 ? weight_of(weights, r) : 1.0;
    counts[j] += weight;
    for (index t = 0; t < w.cols(); ++t) {
      sums(static_cast<index>(j), t) += arch::rounded(weight * double{w(r, t)});
    }
  }
  row_matrix<float> means = row_matrix<float>::Zero(k, w.cols());
  for (index j = 0; j < k; ++j) {
    const double count = counts[static_cast<std::size_t>(j)];
    if (count == 0.0) continue;
    for (index t = 0; t < w.cols(); ++t) means(j, t) = static_cast<float>(sums(j, t) / count);
  }
  return means;
}

/// output_aware_kmeans without checks, for any k.
template <class Arch, Progress<kmeans_step> P, Executor E>
kmeans_result find_output_clusters(const matrix_ref& weights, const matrix_ref& inputs, index k,
                                   const kmeans_options& options, P& progress, const E& executor) {
  const row_matrix<double> a = cholesky_factor_of(gram_of(inputs));
  kmeans_result r =
      find_clusters<Arch>(mapped_rows(a, weights, executor), k, options, progress, executor);
  r.centroids = means_of(weights, options.weights, r.assignment, k);
  r.inertia = 0.0;
  for (index i = 0; i < weights.rows(); ++i) {
    const float* c =
        r.centroids.data() + r.assignment[static_cast<std::size_t>(i)] * weights.cols();
    double row = 0.0;
    for (index s = 0; s < weights.cols(); ++s) {
      double difference = 0.0;
      for (index t = s; t < weights.cols(); ++t) {
        difference += arch::rounded(a(s, t) * (double{weights(i, t)} - double{c[t]}));
      }
      row += arch::rounded(difference * difference);
    }
    r.inertia += arch::rounded(weight_of(options.weights, i) * row);
  }
  return r;
}

}  // namespace detail

/// Finds k centroids c_j with a small sum, over the rows w of `weights`, of
///
///     row weight * min over j of |X (w - c_j)|^2
///
/// where the row weights are options.weights, or 1. Returns the centroids, the assignment and this
/// sum as the inertia.
///
/// @param weights  n x d
/// @param inputs   samples x d; errors in directions without inputs cost nothing
/// @throws fewbit::error if either is empty or holds a NaN or an infinity, the widths differ, k is
///         not 1 to n, or kmeans rejects the options
template <class Arch = arch::native, Progress<kmeans_step> P, Executor E = inline_executor>
[[nodiscard]] kmeans_result output_aware_kmeans(const Eigen::Ref<const row_matrix<float>>& weights,
                                                const Eigen::Ref<const row_matrix<float>>& inputs,
                                                index k, const kmeans_options& options,
                                                P&& progress, const E& executor = {}) {
  const char* function = "output_aware_kmeans";
  detail::expect_finite(function, "weights", weights);
  detail::expect_finite(function, "inputs", inputs);
  detail::expect_equal(function, "inputs.cols()", inputs.cols(), weights.cols());
  if (weights.cols() == 1) detail::expect_sortable(function, "weights.rows()", weights.rows());
  detail::expect_clusters(function, k, weights.rows());
  detail::expect_options(function, "", options, weights.rows());
  return detail::find_output_clusters<Arch>(weights, inputs, k, options, progress, executor);
}

/// Trains a quantizer of weights. Each part is trained as by output_aware_kmeans, with the input
/// columns of that part.
///
/// @param progress  as for train_product_quantizer
/// @throws fewbit::error if weights or inputs is empty or holds a NaN or an infinity, the widths
///         differ, bits is not 4 or 8, weights has fewer than 2^bits rows, parts does not divide d,
///         or kmeans rejects the other options
///
/// The result depends on weights, inputs and options only, bit for bit.
template <class Arch = arch::native, Progress<pq_step> P, Executor E = inline_executor>
[[nodiscard]] output_aware_codes train_output_aware(
    const Eigen::Ref<const row_matrix<float>>& weights,
    const Eigen::Ref<const row_matrix<float>>& inputs, const pq_options& options, P&& progress,
    const E& executor = {}) {
  const char* function = "train_output_aware";
  detail::expect_finite(function, "weights", weights);
  detail::expect_finite(function, "inputs", inputs);
  detail::expect_equal(function, "inputs.cols()", inputs.cols(), weights.cols());
  detail::expect_pq_options(function, "", options, weights.rows(), weights.cols());
  detail::expect_trainable(function, "weights.rows()", weights.rows(), options.bits);
  const index width = weights.cols() / options.parts;
  std::vector<row_matrix<float>> centroids;
  row_matrix<std::uint8_t> codes(weights.rows(), options.parts);
  bool go_on = true;
  for (index p = 0; p < options.parts; ++p) {
    kmeans_options clustering = options.clustering;
    clustering.seed += static_cast<std::uint64_t>(p);
    const auto report = [&](const kmeans_step& step) {
      go_on = go_on && progress(pq_step{p, options.parts, step});
      return go_on;
    };
    kmeans_result r = detail::find_output_clusters<Arch>(
        weights.middleCols(p * width, width), inputs.middleCols(p * width, width),
        index{1} << options.bits, clustering, report, executor);
    for (index i = 0; i < weights.rows(); ++i) {
      codes(i, p) = static_cast<std::uint8_t>(r.assignment[static_cast<std::size_t>(i)]);
    }
    centroids.push_back(std::move(r.centroids));
  }
  return {product_quantizer(std::move(centroids)), std::move(codes)};
}

/// The same without progress reports.
template <class Arch = arch::native, Executor E = inline_executor>
[[nodiscard]] output_aware_codes train_output_aware(
    const Eigen::Ref<const row_matrix<float>>& weights,
    const Eigen::Ref<const row_matrix<float>>& inputs, const pq_options& options = {},
    const E& executor = {}) {
  return train_output_aware<Arch>(weights, inputs, options, no_progress{}, executor);
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
