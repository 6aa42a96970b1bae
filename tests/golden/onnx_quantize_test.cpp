// QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear against the node tests of ONNX
// (onnx_node/) and outputs of ONNX Runtime (onnxruntime_vectors/).
//
// Covered: per tensor, per axis, blocked; int2, uint2, int4, uint4, int8, uint8, int16, int32
// (dequantize only). Every case of the three operators in both directories is run and counted.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "fewbit/quant/quantize.hpp"
#include "support/data.hpp"
#include "support/onnx_cases.hpp"
#include "support/onnx_quantize.hpp"

namespace fewbit { namespace golden_onnx_quantize_test {

using tests::node;
using tests::nodes_of;

TEST(onnx_quantize, quantize_linear) {
  FEWBIT_SKIP_WITHOUT_DATA("onnx_node");
  const std::vector<node> nodes = nodes_of("QuantizeLinear");
  for (const node& n : nodes) {
    SCOPED_TRACE(n.name);
    tests::expect_codes_of_type(n, n.type_of("output.y"));
  }
  EXPECT_EQ(nodes.size(), 10U);  // 6 node tests, 4 from ONNX Runtime
}

TEST(onnx_quantize, dequantize_linear) {
  FEWBIT_SKIP_WITHOUT_DATA("onnx_node");
  const std::vector<node> nodes = nodes_of("DequantizeLinear");
  for (const node& n : nodes) {
    SCOPED_TRACE(n.name);
    tests::expect_dequantized(n);
  }
  EXPECT_EQ(nodes.size(), 7U);  // 6 node tests, 1 from ONNX Runtime
}

TEST(onnx_quantize, dynamic_quantize_linear) {
  FEWBIT_SKIP_WITHOUT_DATA("onnx_node");
  const std::vector<node> nodes = nodes_of("DynamicQuantizeLinear");
  for (const node& n : nodes) {
    SCOPED_TRACE(n.name);
    tests::expect_dynamic(n);
  }
  EXPECT_EQ(nodes.size(), 4U);  // 1 node test, 3 from ONNX Runtime
}

/// The same test through a scheme: granularity replaces axis and block size.
template <class S>
void expect_scheme_equals(const std::string& file) {
  using code = typename S::code;
  const auto path = tests::data_dir() / "onnxruntime_vectors" / file;
  const examples::safetensors t = examples::read_safetensors(path.string());
  const auto s = t["input.s"].as<float>();
  const auto z = t["input.z"].as<code>();
  std::vector<quant_params> params;
  for (std::size_t i = 0; i < s.size(); ++i) params.push_back({s[i], z[i]});
  EXPECT_EQ(quantize<S>(t["input.x"].matrix<float>(), params).codes(),
            t["output.y"].matrix<code>());
}

TEST(onnx_quantize, schemes_agree_with_axis_and_blocks) {
  FEWBIT_SKIP_WITHOUT_DATA("onnxruntime_vectors");
  expect_scheme_equals<uint8_affine_per_row>("quantize_axis0_uint8.safetensors");
  expect_scheme_equals<scheme<int8, grouped<16>, affine>>("quantize_blocked16_int8.safetensors");
  expect_scheme_equals<int8_affine>("quantize_tensor_int8_zp0.safetensors");
}

}  // namespace golden_onnx_quantize_test
}  // namespace fewbit
