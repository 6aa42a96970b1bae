#pragma once
/// Product quantization in two levels: the second level codes the error (residual) of the first.
///
///     const residual_quantizer rq =
///         train_residual_quantizer(points, {.parts = 1}, {.parts = 16});  // 17 codes each
///     const row_matrix<float> near = rq.decode(rq.encode(points));
///
/// With one part in the first level, it is a coarse clustering, and the codes of the second level
/// are relative to its centroids. Read first: codebook/product_quantizer.hpp.
///
/// Source: Chen, Guan and Wang 2010, "Approximate nearest neighbor search by residual vector
/// quantization".

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "fewbit/arch/arch.hpp"
#include "fewbit/codebook/product_quantizer.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/rows.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// points - near, where near are points decoded from the first level. Fails with the name
/// `function` if a difference overflows.
inline row_matrix<float> residuals_of(const char* function, const matrix_ref& points,
                                      const row_matrix<float>& near) {
  row_matrix<float> residuals = points - near;
  expect_finite(function, "residuals", residuals);
  return residuals;
}

}  // namespace detail

/// Approximates x by first.decode(a) + second.decode(b), where a = first.encode(x) and
/// b = second.encode(x - first.decode(a)).
class residual_quantizer {
 public:
  /// @throws fewbit::error if the dimensions of the two quantizers differ
  residual_quantizer(product_quantizer first, product_quantizer second)
      : first_(std::move(first)), second_(std::move(second)) {
    detail::expect_equal("residual_quantizer", "second.dimension()", second_.dimension(),
                         first_.dimension());
  }

  [[nodiscard]] const product_quantizer& first() const noexcept { return first_; }
  [[nodiscard]] const product_quantizer& second() const noexcept { return second_; }
  [[nodiscard]] index dimension() const noexcept { return first_.dimension(); }
  [[nodiscard]] index parts() const noexcept { return first_.parts() + second_.parts(); }

  /// The codes of n points: n x parts(), first level, then second level.
  /// @throws fewbit::error as product_quantizer::encode, or if a residual overflows
  template <class Arch = arch::native, Executor E = inline_executor>
  [[nodiscard]] row_matrix<std::uint8_t> encode(const Eigen::Ref<const row_matrix<float>>& points,
                                                const E& executor = {}) const {
    row_matrix<std::uint8_t> codes(points.rows(), parts());
    codes.leftCols(first_.parts()) = first_.encode<Arch>(points, executor);
    const row_matrix<float> near = first_.decode(codes.leftCols(first_.parts()));
    codes.rightCols(second_.parts()) =
        second_.encode_finite<Arch>(detail::residuals_of("encode", points, near), executor);
    return codes;
  }

  /// The points that codes represent: n x dimension().
  /// @throws fewbit::error if codes is not parts() wide or a code is too large for its level
  [[nodiscard]] row_matrix<float> decode(
      const Eigen::Ref<const row_matrix<std::uint8_t>>& codes) const {
    detail::expect_equal("decode", "codes.cols()", codes.cols(), parts());
    second_.expect_codes("decode", codes.rightCols(second_.parts()), first_.parts());
    row_matrix<float> points = first_.decode(codes.leftCols(first_.parts()));
    points += second_.decode(codes.rightCols(second_.parts()));
    return points;
  }

 private:
  product_quantizer first_;
  product_quantizer second_;
};

/// Trains the first level on the points and the second level on their residuals.
///
/// @param progress  called with the steps of the first level, then of the second. After it returns
///                  false, each remaining part is trained with one iteration.
/// @throws fewbit::error as train_product_quantizer, for either level
template <class Arch = arch::native, Progress<pq_step> P, Executor E = inline_executor>
[[nodiscard]] residual_quantizer train_residual_quantizer(
    const Eigen::Ref<const row_matrix<float>>& points, const pq_options& first,
    const pq_options& second, P&& progress, const E& executor = {}) {
  const char* function = "train_residual_quantizer";
  detail::expect_finite(function, "points", points);
  detail::expect_pq_options(function, "first.", first, points.rows(), points.cols());
  detail::expect_pq_options(function, "second.", second, points.rows(), points.cols());
  detail::expect_trainable(function, "points.rows()", points.rows(),
                           std::max(first.bits, second.bits));
  bool go_on = true;
  const auto report = [&](const pq_step& step) { return go_on = go_on && progress(step); };
  product_quantizer coarse = detail::train_parts<Arch>(points, first, report, executor);
  const row_matrix<float> residuals = detail::residuals_of(
      function, points, coarse.decode(coarse.encode_finite<Arch>(points, executor)));
  product_quantizer fine = detail::train_parts<Arch>(residuals, second, report, executor);
  return {std::move(coarse), std::move(fine)};
}

/// The same without progress reports.
template <class Arch = arch::native, Executor E = inline_executor>
[[nodiscard]] residual_quantizer train_residual_quantizer(
    const Eigen::Ref<const row_matrix<float>>& points, const pq_options& first,
    const pq_options& second, const E& executor = {}) {
  return train_residual_quantizer<Arch>(points, first, second, no_progress{}, executor);
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
