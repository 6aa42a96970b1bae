#pragma once
/// Products in double by plain loops, and quantized weights with chosen scales.

#include <gtest/gtest.h>

#include <cmath>
#include <utility>
#include <vector>

#include "fewbit/quant/quantize.hpp"
#include "support/reals.hpp"

namespace fewbit::tests {

/// The value of a code, in double.
template <class S>
double value_of(const quantized_matrix<S>& q, index r, index c) {
  const int code = q.code(r, c);
  double value = code - q.zero_point(r, c);
  if constexpr (CodebookScheme<S>) value = double{q.levels()[static_cast<std::size_t>(code)]};
  return value * double{q.scale(r, c)};
}

/// Expects y = X W^T within `tolerance` times sum over k of max|x| |w|, for each output.
template <class S, class L>
void expect_products(L& layer, const quantized_matrix<S>& w, const row_matrix<float>& x,
                     double tolerance) {
  row_matrix<float> y(x.rows(), w.rows());
  layer(x, y);
  for (index i = 0; i < x.rows(); ++i) {
    const double most = double{x.row(i).cwiseAbs().maxCoeff()};
    for (index j = 0; j < w.rows(); ++j) {
      double sum = 0.0, size = 0.0;
      for (index k = 0; k < w.cols(); ++k) {
        const double weight = value_of(w, j, k);
        sum += double{x(i, k)} * weight;
        size += most * std::fabs(weight);
      }
      EXPECT_NEAR(y(i, j), sum, size * tolerance) << i << " " << j;
    }
  }
}

/// The same codes, with scale i multiplied by factor(i).
template <class S, class F>
quantized_matrix<S> with_scales(const quantized_matrix<S>& q, const F& factor) {
  auto made = q;
  std::vector<float> scales(q.scales().begin(), q.scales().end());
  for (std::size_t i = 0; i < scales.size(); ++i) scales[i] *= factor(static_cast<index>(i));
  if constexpr (CodebookScheme<S>) {
    detail::quantized_matrix_access::set_levels(
        made, std::move(scales), std::vector<float>(q.levels().begin(), q.levels().end()));
  } else {
    detail::quantized_matrix_access::set_params(
        made, std::move(scales),
        std::vector<typename S::code>(q.zero_points().begin(), q.zero_points().end()));
  }
  return made;
}

}  // namespace fewbit::tests
