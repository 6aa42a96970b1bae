#pragma once
/// Outlier channel splitting: halves the range of weights by repeating input channels.
///
///     const split_weights s = split_outliers(w, 0.02, 4);   // 2 % more columns, 4-bit codes
///     quantize<scheme<int4, per_tensor>>(s.weights, {s.scale, 0});
///     repeat_columns(x, s.sources);                          // what the layer reads now
///
/// If channel j of x is read n times, each copy needs about a share of 1 / n of its weights. So the
/// few channels with the largest weights no longer set the scale of all. The copies of a weight w
/// are, with the scale `s` of the result and a = w / s,
///
///     part i = s ((a + 1/2 + i) / n - 1/2),   i = 0 .. n - 1
///
/// By Hermite's identity the sum of the codes of the parts, rounded half up, is the code of a,
/// rounded half up. So splitting adds no error of its own. Rounding half to even differs at ties.
///
/// The channel with the largest |w| / n is given one more copy, ceil(share * columns) times.
/// Cost: as many more columns of x and of w.
///
/// Source: Zhao et al. 2019, arXiv:1901.09504; the paper halves a channel repeatedly, this function
/// divides it into n equal parts. Read before: quant/quantize.hpp.

#include "fewbit/begin.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "fewbit/core/error.hpp"
#include "fewbit/core/rows.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// Weights with repeated input channels.
struct split_weights {
  row_matrix<float> weights;   ///< rows x (columns + copies); the copies are the last columns
  std::vector<index> sources;  ///< column j reads channel sources[j] of x
  float scale = 1.0F;          ///< symmetric scale of the matrix: largest part / (2^(bits - 1) - 1)
};

namespace detail {

/// How often each column is read after `copies` copies were given to the widest one.
inline std::vector<index> parts_of_columns(const matrix_ref& w, index copies) {
  const Eigen::RowVectorXf ranges = w.cwiseAbs().colwise().maxCoeff();
  std::vector<index> parts(static_cast<std::size_t>(w.cols()), 1);
  for (index i = 0; i < copies; ++i) {
    index widest = 0;
    double largest = -1.0;
    for (index c = 0; c < w.cols(); ++c) {
      const double part =
          double{ranges[c]} / static_cast<double>(parts[static_cast<std::size_t>(c)]);
      if (part > largest) {
        largest = part;
        widest = c;
      }
    }
    ++parts[static_cast<std::size_t>(widest)];
  }
  return parts;
}

}  // namespace detail

/// Splits the input channels with the largest weights.
///
/// @param w      outputs x inputs
/// @param share  copies per column, from 0 to 1
/// @param bits   of the codes, from 2 to 16; codes are symmetric, with one scale for the matrix
/// @throws fewbit::error if w is empty or not finite, or if share or bits are out of range
[[nodiscard]] inline split_weights split_outliers(const Eigen::Ref<const row_matrix<float>>& w,
                                                  double share, int bits) {
  constexpr const char* function = "split_outliers";
  detail::expect_finite(function, "w", w);
  detail::expect(share >= 0.0 && share <= 1.0, function, "share", share, "0 to 1");
  detail::expect(bits >= 2 && bits <= 16, function, "bits", bits, "2 to 16");
  const auto copies = static_cast<index>(std::ceil(share * static_cast<double>(w.cols())));
  const std::vector<index> parts = detail::parts_of_columns(w, copies);
  double largest = 0.0;
  for (index c = 0; c < w.cols(); ++c) {
    const double range = w.col(c).cwiseAbs().maxCoeff();
    largest = std::fmax(largest, range / static_cast<double>(parts[static_cast<std::size_t>(c)]));
  }
  split_weights split;
  split.weights.resize(w.rows(), w.cols() + copies);
  const double scale = largest == 0.0 ? 1.0 : largest / ((1 << (bits - 1)) - 1);
  split.scale = static_cast<float>(std::fmax(scale, double{std::numeric_limits<float>::min()}));
  for (index c = 0; c < w.cols(); ++c) split.sources.push_back(c);
  for (index c = 0; c < w.cols(); ++c) {
    const index n = parts[static_cast<std::size_t>(c)];
    for (index i = 0; i < n; ++i) {
      const auto to = i == 0 ? c : static_cast<index>(split.sources.size());
      if (i > 0) split.sources.push_back(c);
      for (index r = 0; r < w.rows(); ++r) {
        const double a = w(r, c) / double{split.scale};
        const double part = (a + 0.5 + static_cast<double>(i)) / static_cast<double>(n) - 0.5;
        split.weights(r, to) = n == 1 ? w(r, c) : static_cast<float>(part * double{split.scale});
      }
    }
  }
  return split;
}

/// Columns of x in the order of `sources`: the inputs of a layer with split weights.
/// @throws fewbit::error if a source is no column of x
[[nodiscard]] inline row_matrix<float> repeat_columns(const Eigen::Ref<const row_matrix<float>>& x,
                                                      const std::vector<index>& sources) {
  row_matrix<float> repeated(x.rows(), static_cast<index>(sources.size()));
  for (std::size_t j = 0; j < sources.size(); ++j) {
    if (sources[j] < 0 || sources[j] >= x.cols()) {
      detail::fail("repeat_columns", detail::item("sources", static_cast<std::int64_t>(j)),
                   sources[j], "0 to " + detail::text(x.cols() - 1));
    }
    repeated.col(static_cast<index>(j)) = x.col(sources[j]);
  }
  return repeated;
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
