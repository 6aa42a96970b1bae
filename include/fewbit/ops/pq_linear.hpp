#pragma once
/// The linear layer whose weights are codes of a product quantizer: linear<pq<Width, Bits>>.
///
///     linear<pq<4, 4>> layer(weights, bias);     // once: 1 bit for each weight, by k-means
///     linear<pq<4, 4>> other(pq, codes, bias);   // or codebooks and codes that are there
///     layer(inputs, outputs);                    // often: no allocation, no exception
///
/// | weights  | bits of a weight | centroids                 |
/// |----------|------------------|---------------------------|
/// | pq<4, 4> | 1                | 16 for each 4 columns     |
/// | pq<2, 4> | 2                | 16 for each 2 columns     |
/// | pq<8, 8> | 1                | 256 for the whole matrix  |
/// | pq<4, 8> | 2                | 256 for the whole matrix  |
///
/// Use it where a layer is bound by the traffic of its weights: one row of inputs, or a few. Inputs
/// make tables of their products with all centroids, weights look up in them and are never decoded
/// (codebook/pq_product.hpp). Of two layers of the same size that with 16 centroids is faster, that
/// with 256 misses its weights by less. Included by name. Read next: codebook/output_aware.hpp, for
/// codebooks that keep outputs rather than weights.

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "fewbit/codebook/pq_product.hpp"
#include "fewbit/codebook/pq_weights.hpp"
#include "fewbit/codebook/product_quantizer.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/workspace.hpp"
#include "fewbit/gemm/stages.hpp"
#include "fewbit/ops/linear_choices.hpp"
#include "fewbit/ops/linear_output.hpp"
#include "fewbit/ops/weight_table.hpp"

namespace fewbit::inline FEWBIT_ARCH_NAMESPACE {

/// Weights that stand in parts of Width neighbouring columns, a code of Bits bits for each.
template <index Width, int Bits>
struct pq {
  static_assert(Width >= 1, "fewbit: a part of pq has one column or more");
  static_assert(Bits == 4 || Bits == 8, "fewbit: codes of pq have 4 or 8 bits");
  static constexpr index width = Width;
  static constexpr int bits = Bits;
};

namespace detail {

template <index Width, int Bits>
inline constexpr bool is_codebook<pq<Width, Bits>> = true;

/// Zeros behind the columns up to a whole part.
template <index Width>
[[nodiscard]] row_matrix<float> whole_parts(const matrix_ref& weights) {
  row_matrix<float> whole =
      row_matrix<float>::Zero(weights.rows(), (weights.cols() + Width - 1) / Width * Width);
  whole.leftCols(weights.cols()) = weights;
  return whole;
}

}  // namespace detail

/// A linear layer of n outputs and k inputs.
///
/// @tparam Arch  instruction set, for comparing; programs leave it alone
///
/// y(i, j) = rne(float(T) * s(i)) + o(i) + bias(j), where T is the exact sum of the bytes that the
/// codes of row j find in the tables of input i, s the step of these bytes and o the sum of the
/// least entries of the tables. The float operations are in that order, uncontracted, so results
/// are the same bits everywhere. They are within parts * s(i) / 2, and what float operations lose
/// (pq_lhs::error_bound), of the product with the decoded weights; s(i) is 1/255 of the largest
/// spread of an input's products with the centroids of a part. All outputs of an input with a NaN
/// or an infinity are NaN.
template <index Width, int Bits, class Arch>
class linear<pq<Width, Bits>, dynamic_int8, Arch> {
 public:
  using weights_type = pq_weights<Bits, Arch>;

  /// 0 x 0.
  linear() = default;

  /// Looks for codebooks of float weights, n x k, and packs the codes; bias has n values or none.
  /// If k is no multiple of Width, the last part is filled up with zeros.
  /// @throws fewbit::error if weights are empty or hold a NaN or an infinity, kmeans does not
  ///         accept the options, or as the other constructor does
  template <Executor E = inline_executor>
  explicit linear(const Eigen::Ref<const row_matrix<float>>& weights,
                  const Eigen::Ref<const Eigen::VectorXf>& bias = Eigen::VectorXf(),
                  const linear_options& options = {}, const kmeans_options& clustering = {},
                  const E& executor = {})
      : linear(trained(weights, clustering, executor), bias, options) {}

  /// Packs codes, n x quantizer.parts().
  /// @throws fewbit::error if the quantizer is not of this width and these bits, a code is none of
  ///         its, bias has another length or is not finite, or an output parameter is no scale or
  ///         zero point
  linear(const product_quantizer& quantizer,
         const Eigen::Ref<const row_matrix<std::uint8_t>>& codes,
         const Eigen::Ref<const Eigen::VectorXf>& bias = Eigen::VectorXf(),
         const linear_options& options = {})
      : linear(packed(quantizer, codes, quantizer.dimension()), bias, options) {}

  [[nodiscard]] index inputs() const noexcept { return weights_.k(); }
  [[nodiscard]] index outputs() const noexcept { return weights_.n(); }
  [[nodiscard]] const linear_options& options() const noexcept { return options_; }
  [[nodiscard]] const weights_type& weights() const noexcept { return weights_; }

  /// Y = X W^T + bias, with the layer's own scratch memory: one call at a time.
  ///
  /// @param x  m x k, row-major floats
  /// @param y  m x n row-major, no part of x; floats, or std::int8_t / std::uint8_t codes under
  ///           options().output_params, whose zero point must be one of them
  template <RowMajorDense<float> X, LinearOutput Y>
  void operator()(const X& x, Y&& y) noexcept {
    std::as_const (*this)(x, y, scratch_);
  }

  /// The same with the caller's scratch memory, from make_scratch() or reserve(); any number of
  /// threads may call at once, each with its own. The executor shares out the work of this one
  /// call; if it throws, the program ends.
  template <RowMajorDense<float> X, LinearOutput Y, Executor E = inline_executor>
  void operator()(const X& x, Y&& y, linear_scratch& scratch,
                  const E& executor = {}) const noexcept {
    assert(x.cols() == inputs() && y.cols() == outputs() && x.rows() == y.rows());
    if (outputs() == 0) return;
    assert(scratch.rows.slots() > 0 && scratch.rows.bytes_per_slot() >= row_bytes());
    for (index first = 0; first < x.rows(); first += lhs::most_rows) {
      const index count = std::min(lhs::most_rows, x.rows() - first);
      lhs a(weights_, count, scratch.rows.slot(0));
      for (index r = 0; r < count; ++r) {
        a.fill_row(r, x.data() + (first + r) * x.outerStride(), executor);
      }
      detail::with_output_stages<gemm::detail::scalar_of<Y>>(
          bias_.data(), options_, [&](const auto& rest) {
            multiply_pq(a, weights_, y.middleRows(first, count), a.to_float() | rest, executor);
          });
    }
  }

  /// Grows scratch memory to what this layer needs, whatever the executor. Layers that are called
  /// one after the other may share one.
  void reserve(linear_scratch& scratch) const { scratch.rows.reserve(row_bytes()); }

  /// Scratch memory of its own, as reserve() makes it.
  [[nodiscard]] linear_scratch make_scratch() const {
    linear_scratch scratch;
    reserve(scratch);
    return scratch;
  }

  /// Bytes held by the codes, the centroids and the bias.
  [[nodiscard]] index bytes() const noexcept {
    return weights_.bytes() + bias_.size() * index{sizeof(float)};
  }

 private:
  using lhs = pq_lhs<weights_type>;

  linear(weights_type&& weights, const Eigen::Ref<const Eigen::VectorXf>& bias,
         const linear_options& options)
      : weights_(std::move(weights)), options_(options) {
    detail::expect_valid_bias(bias, outputs());
    detail::expect_valid_options(options);
    bias_ = detail::bias_or_zeros(bias, outputs());
    scratch_ = make_scratch();
  }

  template <class E>
  static weights_type trained(const detail::matrix_ref& weights, const kmeans_options& clustering,
                              const E& executor) {
    detail::expect_finite("linear", "weights", weights);
    const row_matrix<float> whole = detail::whole_parts<Width>(weights);
    const pq_options how{whole.cols() / Width, Bits, clustering};
    const product_quantizer quantizer = Bits == 4 ? train_product_quantizer(whole, how, executor)
                                                  : train_shared_quantizer(whole, how, executor);
    return packed(quantizer, quantizer.encode(whole, executor), weights.cols());
  }

  static weights_type packed(const product_quantizer& quantizer,
                             const Eigen::Ref<const row_matrix<std::uint8_t>>& codes, index k) {
    detail::expect_equal("linear", "quantizer.width()", quantizer.width(), Width);
    detail::expect_equal("linear", "quantizer.bits()", quantizer.bits(), Bits);
    return weights_type(quantizer, codes, k);
  }

  [[nodiscard]] index row_bytes() const noexcept {
    return outputs() == 0 ? 0 : lhs::bytes(weights_, lhs::most_rows);
  }

  weights_type weights_;
  aligned_buffer<float> bias_;
  linear_options options_;
  linear_scratch scratch_;
};

}  // namespace fewbit::inline FEWBIT_ARCH_NAMESPACE
