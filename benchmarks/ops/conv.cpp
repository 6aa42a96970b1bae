// Benchmarks of this library: convolutions and depthwise convolutions in integers, and the product
// of the same extents.

#include <cstdint>
#include <span>
#include <string>

#include "fewbit/ops/conv2d.hpp"
#include "fewbit/ops/depthwise_conv2d.hpp"
#include "support/conv_rows.hpp"
#include "support/fewbit.hpp"
#include "support/op_cases.hpp"

namespace fewbit::benchmarks { namespace {

template <class Code>
integer_options outputs_of() {
  return {{1.0F, conv_operands<Code>::output_zero}};
}

template <class Code, class Arch>
class fewbit_conv {
  using scheme_type = scheme<int8, per_row, symmetric_full>;
  using inputs = integer_only<Code, Code, xnn_fp32>;

 public:
  using operands = conv_operands<Code>;

  explicit fewbit_conv(operands& data)
      : data_(data),
        layer_(quantized_matrix<scheme_type>(data.w, data.factors), data.layer.image,
               data.layer.window, data.bias, quant_params{1.0F, operands::input_zero},
               outputs_of<Code>()) {
    layer_.reserve(1);
  }
  void operator()() { layer_(data_.x, data_.y); }

 private:
  operands& data_;
  conv2d<scheme_type, inputs, Arch> layer_;
};

/// The product of all windows, as if they were a matrix already.
template <class Code, class Arch>
class fewbit_product {
 public:
  static constexpr bool has_other_inputs = true;
  using operands = conv_operands<Code>;

  explicit fewbit_product(operands& data)
      : a_(random_codes<Code>(data.out_height * data.out_width, data.depth())),
        c_(a_.rows(), data.w.rows()),
        w_(gemm::pack_int8<Code, Arch>(data.w)),
        scratch_(gemm::scratch_bytes(w_)),
        data_(data) {}
  void operator()() {
    gemm::multiply(a_, w_, c_,
                   gemm::add_bias(data_.bias.data()) |
                       gemm::requantize<xnn_fp32>(std::span<const float>(data_.factors)) |
                       gemm::saturate<Code>(operands::output_zero),
                   scratch_);
  }

 private:
  row_matrix<Code> a_;
  row_matrix<Code> c_;
  gemm::int8_weights<Code, gemm::default_kernel<Code, Arch>> w_;
  workspace scratch_;
  operands& data_;
};

template <class Code, class Arch>
class fewbit_depthwise {
 public:
  using operands = conv_operands<Code>;

  explicit fewbit_depthwise(operands& data)
      : data_(data),
        layer_({data.w.transpose(), data.factors, {}}, data.layer.image, data.layer.window,
               data.bias, quant_params{1.0F, operands::input_zero}, outputs_of<Code>()) {}
  void operator()() { layer_(data_.x, data_.y); }

 private:
  operands& data_;
  depthwise_conv2d<integer_only<Code, Code, xnn_fp32>, Arch> layer_;
};

[[maybe_unused]] const bool added = [] {
  using arch_type = arch::native;
  const std::string name = arch_type::name;
  add_conv_rows<fewbit_conv<std::int8_t, arch_type>>("conv", "fewbit_s8_" + name);
  add_conv_rows<fewbit_conv<std::uint8_t, arch_type>>("conv", "fewbit_u8_" + name);
  add_conv_rows<fewbit_product<std::int8_t, arch_type>>("conv", "product_s8_" + name);
  add_conv_rows<fewbit_product<std::uint8_t, arch_type>>("conv", "product_u8_" + name);
  add_conv_rows<fewbit_depthwise<std::int8_t, arch_type>>("depthwise", "fewbit_s8_" + name);
  add_conv_rows<fewbit_depthwise<std::uint8_t, arch_type>>("depthwise", "fewbit_u8_" + name);
  return true;
}();

}  // namespace
}  // namespace fewbit::benchmarks
