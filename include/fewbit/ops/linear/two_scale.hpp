#pragma once
/// The linear layer of TTQ weights: ternary codes, with one scale for 1 and another for -1 in each
/// row.
///
///     linear<ttq> layer(quantize_ttq(weights), bias);   // once: packs two bits for each weight
///     layer(inputs, outputs);                           // often: allocates nothing
///
/// A row of weights is stored as two rows of bits: one marks the codes 1, the other marks the codes
/// -1. Each row of bits is a group with its own scale. Inputs are multiplied by both. Read before:
/// quant/two_scale_ternary.hpp. Read next: ops/linear/grouped.hpp.

#include "fewbit/begin.hpp"

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "fewbit/gemm/few_bits/grouped_weights.hpp"
#include "fewbit/ops/linear/grouped.hpp"
#include "fewbit/quant/two_scale_ternary.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// Weights of quantize_ttq, as a template argument: linear<ttq>.
struct ttq {
  /// Its name in files.
  [[nodiscard]] static std::string text() { return "ttq"; }
};

namespace detail {

template <>
inline constexpr bool are_weights_without_scheme<ttq> = true;

/// Fails if a total could be infinite, as expect_finite_totals does.
inline void expect_finite_two_scale_totals(const two_scale_ternary& q) {
  for (index j = 0; j < q.rows(); ++j) {
    double total = 0.0;
    for (index c = 0; c < q.cols(); ++c) {
      const int code = q.code(j, c);
      if (code != 0) total += 127.0 * double{code > 0 ? q.positive_scale(j) : q.negative_scale(j)};
    }
    if (total <= double{std::numeric_limits<float>::max()} * (1.0 - 0x1p-11)) continue;
    fail("linear", "largest sum of row " + std::to_string(j) + " of weights by codes of inputs",
         total, "at most " + text(std::numeric_limits<float>::max()));
  }
}

/// A 1-bit code means 0 or 2, so scales are halved. In the second group a bit is set if the code is
/// not -1, and the zero point is 2. So a code of -1 means -2 there, and every other code means 0.
template <class Arch>
[[nodiscard]] gemm::grouped_weights<1, Arch> pack_two_scales(const two_scale_ternary& q) {
  using packed = gemm::grouped_weights<1, Arch>;
  const index n = q.rows(), k = q.cols();
  expect_not_empty("linear", "weights", n, k);
  expect(k <= packed::max_depth, "linear", "number of inputs", k,
         "at most " + std::to_string(packed::max_depth));
  expect_finite_two_scale_totals(q);
  row_matrix<std::uint8_t> bits(n, 2 * k);
  std::vector<float> scales;
  std::vector<std::uint8_t> zeros;
  for (index j = 0; j < n; ++j) {
    for (index c = 0; c < k; ++c) {
      bits(j, c) = q.code(j, c) == 1 ? 1 : 0;
      bits(j, k + c) = q.code(j, c) == -1 ? 0 : 1;
    }
    scales.push_back(q.positive_scale(j) * 0.5F);
    scales.push_back(q.negative_scale(j) * 0.5F);
    zeros.push_back(0);
    zeros.push_back(2);
  }
  return packed(bits, k, scales, zeros);
}

/// quantize_ttq(weights). Error sentences name the weights of the layer.
[[nodiscard]] inline two_scale_ternary ttq_weights(
    const Eigen::Ref<const row_matrix<float>>& weights) {
  expect_finite("linear", "weights", weights);
  return quantize_ttq(weights);
}

}  // namespace detail

/// A linear layer of n outputs and k inputs that become int8 codes at each call (ops/layer.hpp has
/// the calls).
///
/// @tparam Arch  instruction set; other than the default only for comparisons
///
/// y(i, j) = s_x(i) * (rne(float(2 P) * p(j)) + rne(float(-2 N) * q(j))) + bias(j). P and N are the
/// exact sums of the input codes where the weight is 1 and -1, p and q are half the positive and
/// half the negative scale, rounded to 12 significant bits, and s_x(i) = max|x(i)| / 127 of the
/// finite inputs. The float operations are in that order, uncontracted, so results are the same
/// bits everywhere.
template <class Arch>
class linear<ttq, dynamic_int8, Arch>
    : public layer<detail::stored_product<gemm::grouped_weights<1, Arch>, 2>>,
      public detail::saved_layer<linear<ttq, dynamic_int8, Arch>> {
  using base = layer<detail::stored_product<gemm::grouped_weights<1, Arch>, 2>>;

 public:
  /// 0 x 0.
  linear() = default;

  /// Quantizes and packs float weights, n x k, by quantize_ttq; bias has n values or none.
  /// @throws fewbit::error if weights are empty or not finite, or as the other constructor does
  explicit linear(const Eigen::Ref<const row_matrix<float>>& weights,
                  const Eigen::Ref<const Eigen::VectorXf>& bias = Eigen::VectorXf(),
                  const linear_options& options = {})
      : linear(detail::ttq_weights(weights), bias, options) {}

  /// Packs quantized weights, n x k.
  /// @throws fewbit::error if weights are empty, if bias has another length or is not finite, if
  ///         output_params are not a valid scale and zero point, if k is so large that a sum could
  ///         overflow int32, or if scales are so large that a total could overflow float
  explicit linear(const two_scale_ternary& weights,
                  const Eigen::Ref<const Eigen::VectorXf>& bias = Eigen::VectorXf(),
                  const linear_options& options = {})
      : base(typename base::product_type(detail::pack_two_scales<Arch>(weights)), bias, options) {}
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
