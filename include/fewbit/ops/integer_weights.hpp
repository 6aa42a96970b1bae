#pragma once
/// What integer layers need of quantized weights: factors, sums and bias of each output channel.
/// Read before: ops/integer_output.hpp.

#include "fewbit/begin.hpp"

#include <cstdint>
#include <vector>

#include "fewbit/ops/integer_output.hpp"
#include "fewbit/ops/layer.hpp"
#include "fewbit/ops/linear/weight_table.hpp"
#include "fewbit/quant/quantized_matrix.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// How the outputs of an integer layer are made.
struct integer_options {
  quant_params output_params{};  ///< scale and zero point of the outputs
  code_bounds bounds{};          ///< codes that outputs are clamped to: fused activations
};

namespace detail {

/// S_in * S_w / S_out of each row of weights, in double.
template <Scheme S>
[[nodiscard]] std::vector<double> output_factors(const quantized_matrix<S>& weights,
                                                 const quant_params& in, const quant_params& out) {
  std::vector<double> factors;
  for (index c = 0; c < weights.rows(); ++c) {
    factors.push_back(double{in.scale} * double{signed_code_scale(weights, c, 0)} /
                      double{out.scale});
  }
  return factors;
}

/// The sums of a row of weights. `codes` are signed_codes(weights).
template <Scheme S>
[[nodiscard]] channel_sums sums_of_channel(const quantized_matrix<S>& weights,
                                           const row_matrix<std::int8_t>& codes, index c) noexcept {
  const std::int64_t zero = weights.zero_point(c, 0) - code_shift<S>;
  channel_sums sums{0, 0};
  for (index k = 0; k < codes.cols(); ++k) {
    const std::int64_t w = codes(c, k) - zero;
    sums.weights += w;
    sums.magnitudes += w < 0 ? -w : w;
  }
  return sums;
}

/// Zero points of the rows of signed_codes(weights).
template <Scheme S>
[[nodiscard]] aligned_buffer<std::int32_t> zeros_of_channels(const quantized_matrix<S>& weights) {
  aligned_buffer<std::int32_t> zeros(S::is_affine ? weights.rows() : 0);
  for (index c = 0; c < zeros.size(); ++c)
    zeros.data()[c] = weights.zero_point(c, 0) - code_shift<S>;
  return zeros;
}

/// Makes integer_output and integer bias for layers of Inputs, an integer_only type. Errors name
/// `layer`.
template <Scheme S, class Inputs>
struct integer_parts {
  using factors_type = channel_factors<typename integer_types<Inputs>::mode>;
  using output_type =
      integer_output<typename integer_types<Inputs>::out, typename integer_types<Inputs>::mode>;

  /// Multiples of S_in * S_w; none if there is no bias.
  static std::vector<std::int32_t> bias(const char* layer, const quantized_matrix<S>& weights,
                                        const Eigen::Ref<const Eigen::VectorXf>& values,
                                        const quant_params& in) {
    if (values.size() == 0) return {};
    expect_valid_bias(layer, values, weights.rows());
    return integer_bias(layer, values, output_factors(weights, in, {}));
  }

  static output_type output(const char* layer, const quantized_matrix<S>& weights,
                            const quant_params& in, const integer_options& options) {
    expect_positive_scale(layer, "input_params.scale", in.scale);
    expect_positive_scale(layer, "output_params.scale", options.output_params.scale);
    return output(layer, factors_type(layer, output_factors(weights, in, options.output_params)),
                  options);
  }
  static output_type output(const char* layer, std::span<const fixed_multiplier> multipliers,
                            const integer_options& options) {
    return output(layer, factors_type(layer, multipliers), options, 127);
  }

 private:
  static output_type output(const char* layer, factors_type&& factors,
                            const integer_options& options, std::int32_t outside = 0) {
    return output_type(layer, std::move(factors), options.output_params.zero_point, options.bounds,
                       outside);
  }
};

}  // namespace detail

}}  // namespace fewbit

#include "fewbit/end.hpp"
