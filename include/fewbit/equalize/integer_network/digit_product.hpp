#pragma once
/// One layer of a network with inputs of 16 bits and int8 weights. Private to integer_network.hpp.
///
/// A code of an input is 256 * high + low, where both digits are int8. The sum of products is made
/// of two exact 8-bit products with the same packed weights:
///
///     y = scale of x * scale of w * (256 * (sum of high * w) + sum of low * w) + bias
///
/// Codes are -32639 .. 32639, because 127 * 256 + 127 is the largest with two such digits.
/// ops/integer16.hpp has layers of 16 bits whose outputs are integers, too.

#include "fewbit/begin.hpp"

#include <cstdint>
#include <string>
#include <variant>

#include "fewbit/arch/fused.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/equalize/integer_network/code_product.hpp"
#include "fewbit/equalize/network/input_codes.hpp"
#include "fewbit/equalize/network/layer.hpp"
#include "fewbit/ops/conv2d.hpp"
#include "fewbit/ops/linear.hpp"
#include "fewbit/quant/quantized_matrix.hpp"
#include "fewbit/quant/scheme.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

class digit_product {
 public:
  /// @param inputs  codes of 16 bits
  digit_product(const network_layer& l, const Eigen::VectorXf& bias,
                const quantized_matrix<int8_per_row>& codes, const input_codes& inputs)
      : bias_(bias), inputs_(inputs) {
    const quant_params digits{1.0F, 0};
    if (l.kind == layer_kind::linear) {
      layer_ = linear<int8_per_row, static_int8>(codes, Eigen::VectorXf(), digits);
    } else {
      layer_ = conv2d<int8_per_row, static_int8>(codes, l.image, l.window, Eigen::VectorXf(),
                                                 digits, layer_options{}, conv_groups(l));
    }
  }

  [[nodiscard]] index bytes() const {
    return std::visit([](const auto& layer) { return layer.bytes(); }, layer_) +
           bias_.size() * index{sizeof(float)};
  }

  /// y has the rows of x and the outputs of the layer as columns. No activation.
  template <Executor E>
  void run(const row_matrix<float>& x, row_matrix<float>& y, const E& executor) const {
    row_matrix<std::int8_t> high(x.rows(), x.cols()), low(x.rows(), x.cols());
    Eigen::VectorXf scales(x.rows());
    executor.for_each(x.rows(), [&](index r) {
      scales[r] = inputs_.scale_of_row(x.data() + r * x.cols(), x.cols());
      for (index c = 0; c < x.cols(); ++c) {
        const std::int32_t code = inputs_.code(x(r, c), scales[r]);
        low(r, c) = static_cast<std::int8_t>(code);  // its last 8 bits
        high(r, c) = static_cast<std::int8_t>((code - low(r, c)) / 256);
      }
    });
    row_matrix<float> low_sums(y.rows(), y.cols());
    std::visit(
        [&](const auto& layer) {
          layer_scratch scratch = layer.make_scratch(1, x.rows());
          layer(high, y, scratch, executor);
          layer(low, low_sums, scratch, executor);
        },
        layer_);
    executor.for_each(y.rows(),
                      [&](index r) { join(low_sums.data() + r * y.cols(), scales[r], y, r); });
  }

  /// Saves the product of digits: static inputs of scale 1, no bias.
  template <class Writer>
  void save(Writer& to, const std::string& name) const {
    std::visit([&](const auto& layer) { layer.save(to, name); }, layer_);
  }

 private:
  /// Row r of y, which has the sums of high digits.
  void join(const float* low_sums, float scale, row_matrix<float>& y, index r) const noexcept {
    const index channels = bias_.size();
    for (index c = 0, channel = 0; c < y.cols(); ++c) {
      const float sum =
          256.0F * y(r, c) + low_sums[c];  // exact product: contraction changes nothing
      y(r, c) = arch::rounded(sum * scale);
      if (channels == 0) continue;
      y(r, c) += bias_[channel];
      channel = channel + 1 == channels ? 0 : channel + 1;
    }
  }

  std::variant<linear<int8_per_row, static_int8>, conv2d<int8_per_row, static_int8>> layer_;
  Eigen::VectorXf bias_;
  input_codes inputs_;
};

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
