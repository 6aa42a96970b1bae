#pragma once
/// The linear layer whose weights stay packed: 4 or 8 bits and a scale for each group.
///
///     grouped_linear<int4_grouped<32>> layer(weights, bias);   // once: quantize and pack
///     layer(inputs, outputs);                                  // often: no allocation
///
/// For models that are larger than caches: a product of few rows takes as long as reading its
/// weights, and these are 4.5 bits each in groups of 32. Each row of inputs is quantized inside the
/// call with one scale, max|row| / 127, as linear<S> does it. linear<S> expands codes to bytes and
/// keeps scales as floats; here scales are rounded to 12 significant bits when weights are packed
/// (gemm::short_scales). Where that loses nothing, both give the same bits.

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/core/executor.hpp"
#include "fewbit/core/workspace.hpp"
#include "fewbit/gemm/multiply_grouped.hpp"
#include "fewbit/gemm/stages.hpp"
#include "fewbit/ops/activations.hpp"
#include "fewbit/ops/linear_choices.hpp"
#include "fewbit/ops/weight_table.hpp"
#include "fewbit/quant/quantize.hpp"

namespace fewbit::inline FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// Codes of a row of floats, as grouped_lhs asks for them.
struct encoded_row {
  const float* x;
  const row_quantizer<std::int8_t>& quantizer;

  template <class V>
  FEWBIT_ALWAYS_INLINE V operator()(index k) const noexcept {
    return quantizer.encode(arch::load<arch::rebind<V, float>>(x + k));
  }
};

/// n x k codes less the smallest of their storage.
template <Scheme S>
[[nodiscard]] row_matrix<std::uint8_t> unsigned_codes(const quantized_matrix<S>& q) {
  row_matrix<std::uint8_t> codes(q.rows(), q.cols());
  std::vector<typename S::code> row(static_cast<std::size_t>(q.cols()));
  for (index r = 0; r < q.rows(); ++r) {
    q.unpack_row(r, row.data());
    for (index c = 0; c < q.cols(); ++c) {
      codes(r, c) = static_cast<std::uint8_t>(row[static_cast<std::size_t>(c)] - S::storage::min);
    }
  }
  return codes;
}

/// Weights as the product takes them.
template <class Arch, Scheme S>
[[nodiscard]] gemm::grouped_weights<S::storage::bits, Arch> pack_grouped(
    const quantized_matrix<S>& q) {
  constexpr index group = scale_depth<typename S::granularity>;
  const index groups = group == 0 ? 1 : (q.cols() + group - 1) / group;
  std::vector<float> scales;
  std::vector<std::uint8_t> zeros;
  for (index j = 0; j < q.rows(); ++j) {
    for (index g = 0; g < groups; ++g) {
      scales.push_back(q.scale(j, g * group));
      if constexpr (S::is_affine) {
        zeros.push_back(static_cast<std::uint8_t>(q.zero_point(j, g * group) - S::storage::min));
      }
    }
  }
  using packed = gemm::grouped_weights<S::storage::bits, Arch>;
  if constexpr (S::is_affine) {
    return packed(unsigned_codes(q), group, scales, zeros);
  } else {
    return packed(unsigned_codes(q), group, scales, -S::storage::min);
  }
}

}  // namespace detail

/// A linear layer of n outputs and k inputs.
///
/// @tparam S     scheme of the weights: 4 or 8 bits, grouped<G> or scales that do not vary along a
///               row
/// @tparam Arch  instruction set, for comparing; programs leave it alone
///
/// y(i, j) = s_x(i) * (sum over groups g of rne(float(T) * s(j, g))) + bias(j), where T is the
/// exact integer sum over group g of x_code * (w_code - w_zero), s the weight scale rounded to 12
/// significant bits and s_x(i) = max|x(i)| / 127 of the finite inputs. The float operations are in
/// that order, uncontracted, so results are the same bits everywhere.
template <Scheme S, class Arch = arch::native>
class grouped_linear {
  static_assert(S::storage::bits == 4 || S::storage::bits == 8,
                "fewbit: grouped_linear takes weights of 4 or 8 bits");

 public:
  using weights_type = gemm::grouped_weights<S::storage::bits, Arch>;

  /// Scratch memory of a call, sized once. One thread at a time may use it.
  using scratch_type = workspace;

  /// 0 x 0.
  grouped_linear() = default;

  /// Quantizes and packs float weights, n x k; bias has n values or none.
  /// @throws fewbit::error as quantize() and the other constructor do
  explicit grouped_linear(const Eigen::Ref<const row_matrix<float>>& weights,
                          const Eigen::Ref<const Eigen::VectorXf>& bias = Eigen::VectorXf(),
                          bool relu = false)
      : grouped_linear(quantize<S>(weights), bias, relu) {}

  /// Packs quantized weights; with `relu`, outputs below 0 become 0.
  /// @throws fewbit::error if bias has another length or is not finite, or if a group is so deep
  ///         that a sum could leave int32
  explicit grouped_linear(const quantized_matrix<S>& weights,
                          const Eigen::Ref<const Eigen::VectorXf>& bias = Eigen::VectorXf(),
                          bool relu = false)
      : relu_(relu) {
    detail::expect_multipliable<S>();
    detail::expect_valid_bias(bias, weights.rows());
    weights_ = detail::pack_grouped<Arch>(weights);
    bias_ = detail::bias_or_zeros(bias, weights.rows());
    scratch_ = make_scratch();
  }

  [[nodiscard]] index inputs() const noexcept { return weights_.k(); }
  [[nodiscard]] index outputs() const noexcept { return weights_.n(); }
  [[nodiscard]] const weights_type& weights() const noexcept { return weights_; }

  /// Y = X W^T + bias, with the layer's own scratch memory: one call at a time.
  ///
  /// @param x  m x k, row-major floats. A NaN counts as 0, an infinity as the last code of its side
  /// @param y  m x n, row-major floats, no part of x
  template <RowMajorDense<float> X, MutableRowMajorDense<float> Y>
  void operator()(const X& x, Y&& y) noexcept {
    std::as_const (*this)(x, y, scratch_);
  }

  /// The same with the caller's scratch memory, from make_scratch() or reserve(); any number of
  /// threads may call at once, each with its own. The executor shares out the work of this one
  /// call; if it throws, the program ends.
  template <RowMajorDense<float> X, MutableRowMajorDense<float> Y, Executor E = inline_executor>
  void operator()(const X& x, Y&& y, scratch_type& scratch, const E& executor = {}) const noexcept {
    assert(x.cols() == inputs() && y.cols() == outputs() && x.rows() == y.rows());
    if (outputs() == 0) return;
    assert(scratch.slots() > 0 && scratch.bytes_per_slot() >= scratch_bytes());
    for (index first = 0; first < x.rows(); first += rows_at_a_time) {
      run_rows(x, y, first, std::min(rows_at_a_time, x.rows() - first), scratch, executor);
    }
  }

  /// Grows scratch memory to what this layer needs. Layers that are called one after the other may
  /// share one.
  void reserve(scratch_type& scratch) const { scratch.reserve(scratch_bytes()); }

  /// Scratch memory of its own, as reserve() makes it.
  [[nodiscard]] scratch_type make_scratch() const { return scratch_type(scratch_bytes()); }

  /// Bytes held by the packed weights, their scales and zero points, and the bias.
  [[nodiscard]] index bytes() const noexcept {
    return weights_.bytes() + bias_.size() * index{sizeof(float)};
  }

 private:
  using lhs = gemm::grouped_lhs<weights_type>;

  /// Rows that are quantized before they are multiplied: their codes stay in the second level while
  /// weights are read once for all of them.
  static constexpr index rows_at_a_time = 128;

  /// Scales of the rows, then their codes.
  [[nodiscard]] index scratch_bytes() const noexcept {
    return outputs() == 0
               ? 0
               : rows_at_a_time * index{sizeof(float)} + lhs::bytes(weights_, rows_at_a_time);
  }

  template <class X, class Y, class E>
  void run_rows(const X& x, Y& y, index first, index count, scratch_type& scratch,
                const E& executor) const noexcept {
    auto* scales = reinterpret_cast<float*>(scratch.slot(0));
    lhs a(weights_, count, scratch.slot(0) + rows_at_a_time * index{sizeof(float)});
    executor.for_each(a.padded_rows(), [&](index r) {
      const float* row = r < count ? x.data() + (first + r) * x.outerStride() : nullptr;
      const float scale =
          detail::dynamic_scale(r < count ? detail::finite_amax(row, inputs()) : 0.0F);
      const detail::row_quantizer<std::int8_t> quantizer({scale, 0}, -127, 127);
      a.fill_row(r, detail::encoded_row{row, quantizer});
      if (r < count) scales[r] = scale;
    });
    const gemm::at_least bound(relu_ ? 0.0F : -std::numeric_limits<float>::infinity());
    gemm::multiply_grouped(a, weights_, y.middleRows(first, count),
                           gemm::scale_rows(scales) | gemm::add_columns(bias_.data()) | bound,
                           executor);
  }

  weights_type weights_;
  aligned_buffer<float> bias_;
  bool relu_ = false;
  scratch_type scratch_;
};

}  // namespace fewbit::inline FEWBIT_ARCH_NAMESPACE
