#pragma once
/// What the linear layers of quantized matrices have in common: their constructors.
///
/// Read before: ops/layer.hpp. Read next: ops/linear/int8.hpp.

#include "fewbit/begin.hpp"

#include <utility>

#include "fewbit/core/types.hpp"
#include "fewbit/ops/layer.hpp"
#include "fewbit/ops/linear/choices.hpp"
#include "fewbit/ops/linear/weight_table.hpp"
#include "fewbit/quant/params.hpp"
#include "fewbit/quant/quantized_matrix.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// A linear layer whose weights have a scheme.
///
/// @tparam Product  made from quantized weights and, if inputs are static, their parameters
template <Scheme S, class Product>
class scheme_layer : public layer<Product> {
  using base = layer<Product>;
  static constexpr bool is_static = StaticInputs<typename Product::inputs_type>;

 public:
  /// 0 x 0.
  scheme_layer() = default;

  /// Quantizes and packs float weights, n x k; bias has n values or none.
  /// @throws fewbit::error if weights are empty or not finite, or as the constructor of quantized
  ///         weights does
  explicit scheme_layer(const Eigen::Ref<const row_matrix<float>>& weights,
                        const Eigen::Ref<const Eigen::VectorXf>& bias = Eigen::VectorXf(),
                        const linear_options& options = {})
    requires(!is_static)
      : scheme_layer(quantized_weights<S>(weights), bias, options) {}
  scheme_layer(const Eigen::Ref<const row_matrix<float>>& weights,
               const Eigen::Ref<const Eigen::VectorXf>& bias, const quant_params& input_params,
               const linear_options& options = {})
    requires(is_static)
      : scheme_layer(quantized_weights<S>(weights), bias, input_params, options) {}

  /// Packs quantized weights.
  /// @throws fewbit::error if weights are empty, if bias has another length or is not finite, or if
  ///         a parameter is not a valid scale and zero point. If inputs become integers: if k or a
  ///         group is so large that a sum could overflow int32, or if scales are so large that a
  ///         total could overflow float. If inputs are static: if the product of a weight scale and
  ///         the scale of the inputs is not a float of 12 significant bits. If inputs stay float:
  ///         if a group is larger than gemm::grouped_weights accepts
  explicit scheme_layer(const quantized_matrix<S>& weights,
                        const Eigen::Ref<const Eigen::VectorXf>& bias = Eigen::VectorXf(),
                        const linear_options& options = {})
    requires(!is_static)
      : base(Product(weights), bias, options) {}
  scheme_layer(const quantized_matrix<S>& weights, const Eigen::Ref<const Eigen::VectorXf>& bias,
               const quant_params& input_params, const linear_options& options = {})
    requires(is_static)
      : base(Product(weights, input_params), bias, options) {}

 protected:
  scheme_layer(Product&& product, const Eigen::Ref<const Eigen::VectorXf>& bias,
               const linear_options& options)
      : base(std::move(product), bias, options) {}
};

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
