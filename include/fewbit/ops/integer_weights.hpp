#pragma once
/// What integer layers need of quantized weights: factors, sums and bias of each output channel.
/// Read before: ops/integer_output.hpp.

#include "fewbit/begin.hpp"

#include <cstdint>
#include <span>
#include <utility>
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
  return channel_sums(codes.row(c), weights.zero_point(c, 0) - code_shift<S>);
}

/// Fails unless there is a factor for each of some channels, and a bias for each or none.
template <class Output>
void expect_channels(const char* layer, const Output& output, std::span<const std::int32_t> bias,
                     index channels) {
  expect_equal(layer, "number of factors", output.channels(), channels);
  if (!bias.empty())
    expect_equal(layer, "length of bias", static_cast<index>(bias.size()), channels);
}

/// Sets the bias of all channels of an integer_output.
///
/// @param bias   multiples of S_in * S_w, or none
/// @param sums   sums(c): the channel_sums of channel c
/// @param zero   the zero point of the codes that are multiplied
/// @param reach  the largest |x - zero|
/// @throws fewbit::error if a sum could leave int32
template <class Output, class F>
void set_biases(const char* layer, Output& output, std::span<const std::int32_t> bias,
                const F& sums, std::int32_t zero, std::int32_t reach) {
  for (index c = 0; c < output.channels(); ++c) {
    output.set_bias(layer, c, bias.empty() ? 0 : bias[static_cast<std::size_t>(c)], zero, sums(c),
                    reach);
  }
}

/// Zero points of the channels of a layer that is saved or loaded.
template <Scheme S, class Zeros, class Parts>
void visit_zeros(Zeros& zeros, Parts& parts, index channels) {
  if constexpr (S::is_affine) {
    constexpr number_between codes{S::storage::min - code_shift<S>,
                                   S::storage::max - code_shift<S>};
    parts.array("zero_points", zeros, channels, codes);
  }
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
