#pragma once
/// The linear layer whose inputs stay float: linear<S, float_inputs>.
///
/// For products bound by the traffic of weights, few rows at a time. Each code becomes a float in
/// registers; within a group the sum runs over k in order, product and sum rounded separately, so
/// that results are the same bits on every processor. With many rows an integer product is several
/// times faster.

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <limits>

#include "fewbit/core/executor.hpp"
#include "fewbit/gemm/stages.hpp"
#include "fewbit/ops/linear_choices.hpp"
#include "fewbit/ops/weight_table.hpp"
#include "fewbit/quant/quantize.hpp"

namespace fewbit::inline FEWBIT_ARCH_NAMESPACE {

/// y(i, j) = sum over groups g of scale(j, g) * (sum over k in g of x(i, k) * (w_code(j, k) -
/// w_zero(j, g))) + bias(j). A NaN or an infinity in x comes out as arithmetic has it.
template <Scheme S, class Arch>
class linear<S, float_inputs, Arch> {
  static_assert(std::is_same_v<Arch, arch::native>,
                "fewbit: a layer with float inputs runs on arch::native alone");

 public:
  linear() = default;

  /// Quantizes and packs float weights, n x k; bias has n values or none.
  explicit linear(const Eigen::Ref<const row_matrix<float>>& weights,
                  const Eigen::Ref<const Eigen::VectorXf>& bias = Eigen::VectorXf(),
                  const linear_options& options = {})
      : linear(quantize<S>(weights), bias, options) {}

  /// Packs quantized weights.
  /// @throws fewbit::error if bias has another length or is not finite
  explicit linear(const quantized_matrix<S>& weights,
                  const Eigen::Ref<const Eigen::VectorXf>& bias = Eigen::VectorXf(),
                  const linear_options& options = {})
      : outputs_(weights.rows()), inputs_(weights.cols()), options_(options) {
    detail::expect_multipliable<S>();
    detail::expect_valid_bias(bias, weights.rows());
    const index panels = (outputs_ + lanes - 1) / lanes;
    codes_ = aligned_buffer<std::int8_t>(panels * lanes * inputs_);
    const row_matrix<std::int8_t> codes = detail::signed_codes(weights);
    for (index j = 0; j < outputs_; ++j) {
      for (index k = 0; k < inputs_; ++k) {
        codes_.data()[(j / lanes * inputs_ + k) * lanes + j % lanes] = codes(j, k);
      }
    }
    bias_ = detail::bias_or_zeros(bias, outputs_);
    scales_ =
        detail::block_table<float>(weights, [&](index j, index c) { return weights.scale(j, c); });
    zero_points_ = detail::block_table<float>(weights, [&](index j, index c) {
      return static_cast<float>(weights.zero_point(j, c) - detail::code_shift<S>);
    });
  }

  [[nodiscard]] index inputs() const noexcept { return inputs_; }
  [[nodiscard]] index outputs() const noexcept { return outputs_; }
  [[nodiscard]] const linear_options& options() const noexcept { return options_; }

  /// Y = X W^T + bias; x is m x k and y m x n, row-major floats, y no part of x. Needs no scratch
  /// memory, so any number of threads may call at once.
  template <RowMajorDense<float> X, MutableRowMajorDense<float> Y, Executor E = inline_executor>
  void operator()(const X& x, Y&& y, const E& executor = {}) const noexcept {
    assert(x.cols() == inputs() && y.cols() == outputs() && x.rows() == y.rows());
    const index panels = (outputs_ + lanes - 1) / lanes;
    executor.for_each(panels, [&](index p) {
      index row = 0;
      for (; row + row_tile <= x.rows(); row += row_tile) compute<row_tile>(x, y, row, p * lanes);
      for (; row < x.rows(); ++row) compute<1>(x, y, row, p * lanes);
    });
  }

  /// Bytes held by codes, scales, zero points and bias.
  [[nodiscard]] index bytes() const noexcept {
    return codes_.size() +
           (scales_.size() + zero_points_.size() + bias_.size()) * index{sizeof(float)};
  }

 private:
  static constexpr int lanes = arch::native_lanes<float>;
  static constexpr int row_tile = 8;
  using vec = arch::vec<float, lanes>;

  template <int Rows, class X, class Y>
  void compute(const X& x, Y& y, index row, index col) const noexcept {
    const int valid = static_cast<int>(std::min(index{lanes}, outputs_ - col));
    const gemm::at where{row, col, valid};
    const index depth = detail::scale_depth<typename S::granularity>;
    const index step = depth == 0 ? std::max(inputs_, index{1}) : depth;
    vec totals[Rows];
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) totals[r] = vec(0.0F);
    for (index k = 0, block = 0; k < inputs_; k += step, ++block) {
      vec sums[Rows];
#pragma GCC unroll 8
      for (int r = 0; r < Rows; ++r) sums[r] = vec(0.0F);
      add_products<Rows>(x, row, col, k, std::min(inputs_, k + step),
                         where.template columns<vec>(zero_points_.data() + block * outputs_), sums);
      const vec scale = where.template columns<vec>(scales_.data() + block * outputs_);
#pragma GCC unroll 8
      for (int r = 0; r < Rows; ++r) totals[r] += arch::rounded(vec(sums[r] * scale));
    }
    const gemm::at_least bound(options_.relu ? 0.0F : -std::numeric_limits<float>::infinity());
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
      const vec value = totals[r] + where.template columns<vec>(bias_.data());
      where.store_columns(bound(value, where), y.data() + (row + r) * y.outerStride());
    }
  }

  template <int Rows, class X>
  FEWBIT_ALWAYS_INLINE void add_products(const X& x, index row, index col, index begin, index end,
                                         const vec& zero, vec (&sums)[Rows]) const noexcept {
    const std::int8_t* codes = codes_.data() + (col / lanes * inputs_ + begin) * lanes;
    for (index k = begin; k < end; ++k, codes += lanes) {
      const auto code = arch::convert<std::int32_t>(arch::vec<std::int8_t, lanes>::load(codes));
      const vec weight = arch::convert<float>(code) - zero;
#pragma GCC unroll 8
      for (int r = 0; r < Rows; ++r) {
        sums[r] += arch::rounded(vec(vec(x.data()[(row + r) * x.outerStride() + k]) * weight));
      }
    }
  }

  index outputs_ = 0;
  index inputs_ = 0;
  linear_options options_;
  aligned_buffer<std::int8_t> codes_;
  aligned_buffer<float> bias_;
  aligned_buffer<float> scales_;
  aligned_buffer<float> zero_points_;
};

}  // namespace fewbit::inline FEWBIT_ARCH_NAMESPACE
