#pragma once
/// The linear layer whose weights are codes of a product quantizer: linear<pq<Width, Bits>>.
///
///     linear<pq<4, 4>> layer(weights, bias);     // once: 1 bit for each weight, by k-means
///     linear<pq<4, 4>> other(pq, codes, bias);   // or codebooks and codes that are there
///     layer(inputs, outputs);                    // often: no allocation, no exception
///     linear<pq<4, 4>, float_inputs> real(weights, bias);   // by tables of floats, not of bytes
///
/// | weights  | bits of a weight | centroids                | error of Gaussian weights | rate |
/// |----------|------------------|--------------------------|---------------------------|------|
/// | pq<4, 4> | 1                | 16 for each 4 columns    | 0.338                     | 3.0  |
/// | pq<8, 8> | 1                | 256 for the whole matrix | 0.299                     | 2.8  |
/// | pq<2, 4> | 2                | 16 for each 2 columns    | 0.107                     | 1.7  |
/// | pq<4, 8> | 2                | 256 for the whole matrix | 0.093                     | 1.6  |
/// | pq<1, 4> | 4                | 16 for each column       |                           | 0.9  |
///
/// The error is the share of the squares of 4096 x 32 weights that is lost, the rate that of
/// int4_grouped<32> on a Sapphire Rapids: 1 row of inputs by 4096 x 4096 weights from memory, whose
/// traffic bounds both; tables take 30 to 70 of 190 to 400 microseconds. With 16 rows of inputs
/// pq<2, 4> is as fast as int4_grouped<32>, with 32 rows pq<4, 4> still 1.9 times.
///
/// Use it where a layer is bound by the traffic of its weights: one row of inputs, or a few. Inputs
/// make tables of their products with all centroids, weights look up in them and are never decoded
/// (codebook/pq_product.hpp). Codes of 8 bits ask for AVX512-VBMI; elsewhere each is a load, and 1
/// bit for a weight takes as long as int4_grouped<32>. Included by name. Read next:
/// codebook/output_aware.hpp, for codebooks that keep outputs rather than weights.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>

#include "fewbit/codebook/pq_float_product.hpp"
#include "fewbit/codebook/pq_product.hpp"
#include "fewbit/codebook/pq_weights.hpp"
#include "fewbit/codebook/product_quantizer.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/workspace.hpp"
#include "fewbit/gemm/stages.hpp"
#include "fewbit/ops/linear/choices.hpp"
#include "fewbit/ops/linear/output.hpp"
#include "fewbit/ops/linear/weight_table.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

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
inline constexpr bool is_product_quantized<pq<Width, Bits>> = true;

/// Zeros behind the columns up to a whole part.
template <index Width>
[[nodiscard]] row_matrix<float> whole_parts(const matrix_ref& weights) {
  row_matrix<float> whole =
      row_matrix<float>::Zero(weights.rows(), (weights.cols() + Width - 1) / Width * Width);
  whole.leftCols(weights.cols()) = weights;
  return whole;
}

/// The product by bytes: weights, scratch memory and the way from some rows to outputs.
template <int Bits, class Arch>
struct pq_by_bytes {
  using weights = pq_weights<Bits, Arch>;
  using lhs = pq_lhs<weights>;

  static index scratch_bytes(const weights& w) noexcept { return lhs::bytes(w, lhs::most_rows); }

  template <class X, class Y, class Stages, class E>
  static void multiply(const X& x, const weights& w, Y& y, const Stages& stages, std::byte* memory,
                       const E& executor) noexcept {
    for (index first = 0; first < x.rows(); first += lhs::most_rows) {
      const index count = std::min(lhs::most_rows, x.rows() - first);
      lhs a(w, count, memory);
      for (index r = 0; r < count; ++r) {
        a.fill_row(r, x.data() + (first + r) * x.outerStride(), executor);
      }
      multiply_pq(a, w, y.middleRows(first, count), a.to_float() | stages, executor);
    }
  }
};

/// The same by floats.
template <int Bits>
struct pq_by_floats {
  using weights = pq_float_weights<Bits>;

  static index scratch_bytes(const weights& w) noexcept { return pq_float_bytes(w); }

  template <class X, class Y, class Stages, class E>
  static void multiply(const X& x, const weights& w, Y& y, const Stages& stages, std::byte* memory,
                       const E& executor) noexcept {
    multiply_pq_floats(x, w, y, stages, memory, executor);
  }
};

/// Fails as a layer unless kmeans accepts the options for so many points.
inline void expect_clustering(const kmeans_options& o, index points) {
  const auto at_least = [](const char* argument, index got, index want) {
    expect(got >= want, "linear", argument, got, "at least " + std::to_string(want));
  };
  at_least("clustering.iterations", o.iterations, 1);
  at_least("clustering.restarts", o.restarts, 1);
  at_least("clustering.candidates", o.candidates, 0);
  at_least("clustering.seeding_points", o.seeding_points, 0);
  expect(o.tolerance >= 0.0, "linear", "clustering.tolerance", o.tolerance, "at least 0");
  if (o.weights.empty()) return;
  const auto count = static_cast<index>(o.weights.size());
  expect_equal("linear", "clustering.weights.size()", count, points);
  double sum = 0.0;
  for (index i = 0; i < count; ++i) {
    const float weight = o.weights[static_cast<std::size_t>(i)];
    if (!is_finite(weight) || weight < 0.0F) {
      fail("linear", item("clustering.weights", i), weight, "a finite number of at least 0");
    }
    sum += double{weight};
  }
  expect(sum > 0.0, "linear", "largest of clustering.weights", 0, "more than 0");
}

/// What both layers have in common.
template <index Width, int Bits, class Product>
class pq_layer {
 public:
  using weights_type = typename Product::weights;

  /// 0 x 0.
  pq_layer() = default;

  /// Looks for codebooks of float weights, n x k, and packs the codes; bias has n values or none.
  /// If k is no multiple of Width, the last part is filled up with zeros.
  /// @throws fewbit::error if weights are empty or hold a NaN or an infinity, kmeans does not
  ///         accept the options, or as the other constructor does
  template <Executor E = inline_executor>
  explicit pq_layer(const Eigen::Ref<const row_matrix<float>>& weights,
                    const Eigen::Ref<const Eigen::VectorXf>& bias = Eigen::VectorXf(),
                    const linear_options& options = {}, const kmeans_options& clustering = {},
                    const E& executor = {})
      : pq_layer(trained(weights, clustering, executor), bias, options) {}

  /// Packs codes, n x quantizer.parts().
  /// @throws fewbit::error if the quantizer is not of this width and these bits, a code is none of
  ///         its, bias has another length or is not finite, or an output parameter is no scale or
  ///         zero point
  pq_layer(const product_quantizer& quantizer,
           const Eigen::Ref<const row_matrix<std::uint8_t>>& codes,
           const Eigen::Ref<const Eigen::VectorXf>& bias = Eigen::VectorXf(),
           const linear_options& options = {})
      : pq_layer(packed(quantizer, codes, quantizer.dimension()), bias, options) {}

  [[nodiscard]] index inputs() const noexcept { return weights_.k(); }
  [[nodiscard]] index outputs() const noexcept { return weights_.n(); }
  [[nodiscard]] const linear_options& options() const noexcept { return options_; }
  [[nodiscard]] const weights_type& weights() const noexcept { return weights_; }

  /// Y = X W^T + bias, with the layer's own scratch memory: one call at a time.
  ///
  /// @param x  m x k floats
  /// @param y  m x n, no part of x; floats, or std::int8_t / std::uint8_t codes under
  ///           options().output_params, which must be given with a zero point that is one of them
  /// Both are row-major, or compile-time vectors, each one row. If they do not fit the layer or
  /// each other, the program ends (core/operands.hpp).
  template <class X, class Y>
  void operator()(const X& x, Y&& y) noexcept {
    std::as_const (*this)(x, y, scratch_);
  }

  /// The same with the caller's scratch memory, from make_scratch() or reserve(); any number of
  /// threads may call at once, each with its own. If it is too small, the program ends. The
  /// executor shares out the work of this one call. If it throws, std::terminate is called.
  template <class X, class Y, Executor E = inline_executor>
  void operator()(const X& x, Y&& y, linear_scratch& scratch,
                  const E& executor = {}) const noexcept {
    if constexpr (takes_operands<X, Y>()) {
      expect_call("linear", x, y, inputs(), outputs(), options_);
      if (outputs() == 0) return;
      expect_room("linear", "scratch.rows", scratch.rows, row_bytes());
      const auto& from = rows_of(x);
      auto&& to = rows_of(y);
      using out = gemm::detail::scalar_of<Y>;
      with_output_stages<out>(bias_.data(), options_, [&](const auto& stages) {
        Product::multiply(from, weights_, to, stages, scratch.rows.slot(0), executor);
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
  pq_layer(weights_type&& weights, const Eigen::Ref<const Eigen::VectorXf>& bias,
           const linear_options& options)
      : weights_(std::move(weights)), options_(options) {
    expect_valid_bias("linear", bias, outputs());
    expect_valid_options("linear", options);
    bias_ = bias_or_zeros(bias, outputs());
    scratch_ = make_scratch();
  }

  template <class E>
  static weights_type trained(const matrix_ref& weights, const kmeans_options& clustering,
                              const E& executor) {
    expect_finite("linear", "weights", weights);
    expect_clustering(clustering,
                      weights.rows() * (Bits == 4 ? 1 : (weights.cols() + Width - 1) / Width));
    const row_matrix<float> whole = whole_parts<Width>(weights);
    const pq_options training{.parts = whole.cols() / Width,
                              .bits = Bits,
                              .clustering = clustering,
                              .allow_fewer_points = true};
    const product_quantizer quantizer =
        Bits == 4 ? train_product_quantizer<arch::native>(whole, training, executor)
                  : train_shared_quantizer<arch::native>(whole, training, executor);
    return packed(quantizer, quantizer.encode(whole, executor), weights.cols());
  }

  static weights_type packed(const product_quantizer& quantizer,
                             const Eigen::Ref<const row_matrix<std::uint8_t>>& codes, index k) {
    expect_equal("linear", "quantizer.width()", quantizer.width(), Width);
    expect_equal("linear", "quantizer.bits()", quantizer.bits(), Bits);
    expect_not_empty("linear", "codes", codes.rows(), codes.cols());
    quantizer.expect_codes("linear", codes);
    constexpr index most = std::numeric_limits<std::int32_t>::max() / 255;
    expect(quantizer.parts() <= most, "linear", "number of parts", quantizer.parts(),
           "at most " + std::to_string(most));
    return weights_type(quantizer, codes, k);
  }

  [[nodiscard]] index row_bytes() const noexcept {
    return outputs() == 0 ? 0 : Product::scratch_bytes(weights_);
  }

  weights_type weights_;
  aligned_buffer<float> bias_;
  linear_options options_;
  linear_scratch scratch_;
};

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
class linear<pq<Width, Bits>, dynamic_int8, Arch>
    : public detail::pq_layer<Width, Bits, detail::pq_by_bytes<Bits, Arch>> {
 public:
  using detail::pq_layer<Width, Bits, detail::pq_by_bytes<Bits, Arch>>::pq_layer;
};

/// The same by tables of floats: y(i, j) = sum + bias(j), where sum is the product with the decoded
/// weights in the order of codebook/pq_float_product.hpp. A NaN or an infinity in x comes out as
/// arithmetic has it.
template <index Width, int Bits, class Arch>
class linear<pq<Width, Bits>, float_inputs, Arch>
    : public detail::pq_layer<Width, Bits, detail::pq_by_floats<Bits>> {
  static_assert(std::is_same_v<Arch, arch::native>,
                "fewbit: a layer with float inputs runs on arch::native alone");

 public:
  using detail::pq_layer<Width, Bits, detail::pq_by_floats<Bits>>::pq_layer;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
