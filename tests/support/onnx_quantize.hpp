#pragma once
/// Checks of QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear of ONNX: per tensor, per
/// axis, blocked; 2 to 32 bits.

#include <gtest/gtest.h>

#include <string>

#include "fewbit/quant/modes.hpp"
#include "fewbit/quant/quantize.hpp"
#include "support/onnx_cases.hpp"

namespace fewbit::tests {

/// No matrix type stores unsigned 2-bit codes, but the functions under test accept any storage.
struct uint2 {
  using code = std::uint8_t;
  static constexpr int bits = 2;
  static constexpr int min = 0;
  static constexpr int max = 3;
  static constexpr bool is_signed = false;
  static constexpr bool is_integer = true;
  static constexpr const char* name = "uint2";
};

/// Index of the scale of element i of x.
inline index scale_index(const node& n, const examples::tensor& x, const examples::tensor& scale,
                         index i) {
  if (scale.size() == 1) return 0;
  const auto rank = static_cast<index>(x.shape.size());
  index axis = n.attribute("axis", 1);
  if (axis < 0) axis += rank;
  const index block = n.attribute("block_size", 0);
  index position = 0;
  index rest = x.size();
  for (index d = 0; d < rank; ++d) {
    const index extent = x.shape[static_cast<std::size_t>(d)];
    rest /= extent;
    const index here = i / rest % extent;
    if (block == 0) {
      if (d == axis) return here;
    } else {
      position =
          position * scale.shape[static_cast<std::size_t>(d)] + (d == axis ? here / block : here);
    }
  }
  return position;
}

/// Scale and zero point of element i.
inline quant_params params_at(const node& n, const examples::tensor& x, index i) {
  const examples::tensor& scale = n.tensors[n.input(1)];
  const index at = scale_index(n, x, scale, i);
  quant_params p{scale.as<float>()[static_cast<std::size_t>(at)], 0};
  if (n.input(2).empty()) return p;
  p.zero_point = static_cast<std::int32_t>(integer_at(n.tensors[n.input(2)], at));
  return p;
}

/// Quantizes all elements one by one and, if they share their parameters, also as a matrix.
template <class T>
void expect_codes(const node& n) {
  const examples::tensor& x = n.tensors[n.input(0)];
  const examples::tensor& y = n.output("y", "y");
  ASSERT_EQ(x.size(), y.size());
  const auto values = x.as<float>();
  for (index i = 0; i < x.size(); ++i) {
    const quant_params p = params_at(n, x, i);
    const float value = values[static_cast<std::size_t>(i)];
    ASSERT_EQ(int{onnx::quantize<T>(value, p.scale, p.zero_point)}, integer_at(y, i))
        << "element " << i << ": " << value;
  }
  if (n.tensors[n.input(1)].size() > 1) return;
  row_matrix<code_of<T>> codes(1, x.size());
  quantize_with<onnx, T>(Eigen::Map<const row_matrix<float>>(values.data(), 1, x.size()), codes,
                         params_at(n, x, 0));
  for (index i = 0; i < x.size(); ++i) ASSERT_EQ(int{codes(0, i)}, integer_at(y, i));
}

inline void expect_codes_of_type(const node& n, const std::string& type) {
  if (type == "int8") return expect_codes<std::int8_t>(n);
  if (type == "uint8") return expect_codes<std::uint8_t>(n);
  if (type == "int16") return expect_codes<std::int16_t>(n);
  if (type == "uint16") return expect_codes<std::uint16_t>(n);
  if (type == "int4") return expect_codes<int4>(n);
  if (type == "uint4") return expect_codes<uint4>(n);
  if (type == "int2") return expect_codes<int2>(n);
  if (type == "uint2") return expect_codes<uint2>(n);
  FAIL() << "no code type for " << type;
}

/// Floats of codes.
inline void expect_dequantized(const node& n) {
  const examples::tensor& x = n.tensors[n.input(0)];
  const auto expected = n.output("y", "y").as<float>();
  for (index i = 0; i < x.size(); ++i) {
    const quant_params p = params_at(n, x, i);
    const float value = onnx::dequantize(integer_at(x, i), p.scale, p.zero_point);
    ASSERT_EQ(value, expected[static_cast<std::size_t>(i)]) << "element " << i;
  }
}

/// Codes, scale and zero point of DynamicQuantizeLinear.
inline void expect_dynamic(const node& n) {
  const examples::tensor& x = n.tensors[n.input(0)];
  const Eigen::Map<const row_matrix<float>> values(x.as<float>().data(), 1, x.size());
  const quant_params p = onnx::dynamic_quantize_linear({values.minCoeff(), values.maxCoeff()});
  row_matrix<std::uint8_t> codes(1, x.size());
  quantize_with<onnx, std::uint8_t>(values, codes, p);
  EXPECT_EQ(p.scale, n.output("y_scale", "s").as<float>()[0]);
  EXPECT_EQ(p.zero_point, integer_at(n.output("y_zero_point", "z"), 0));
  for (index i = 0; i < x.size(); ++i) {
    ASSERT_EQ(int{codes(0, i)}, integer_at(n.output("y", "y"), i)) << "element " << i;
  }
}

}  // namespace fewbit::tests
