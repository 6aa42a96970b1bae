// MatMulInteger and QLinearMatMul against the node tests of ONNX and outputs of ONNX Runtime.
//
// Covered: u8 and s8 activations, u8 and s8 weights, zero points on both sides, on every arch;
// QLinearMatMul with float32 scales. The two node tests with float16 scales are not run: the
// library has no float16 arithmetic yet.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "fewbit/gemm/int8/multiply.hpp"
#include "fewbit/gemm/stages.hpp"
#include "fewbit/gemm/sum_of_codes.hpp"
#include "support/data.hpp"
#include "support/onnx_cases.hpp"

namespace fewbit { namespace golden_onnx_matmul_test {

using tests::integer_at;
using tests::node;
using tests::nodes_of;

int scalar_or(const node& n, std::size_t input, int otherwise) {
  return n.input(input).empty() ? otherwise
                                : static_cast<int>(integer_at(n.tensors[n.input(input)], 0));
}

/// B (k x n) transposed to signed weights (n x k), and the shift that was subtracted from u8 codes.
struct signed_weights {
  row_matrix<std::int8_t> codes;
  int shift;
};

signed_weights weights_of(const examples::tensor& b, bool is_unsigned) {
  const int shift = is_unsigned ? 128 : 0;
  row_matrix<std::int8_t> w(b.shape[1], b.shape[0]);
  for (index k = 0; k < w.cols(); ++k) {
    for (index j = 0; j < w.rows(); ++j) {
      w(j, k) = static_cast<std::int8_t>(integer_at(b, k * w.rows() + j) - shift);
    }
  }
  return {w, shift};
}

/// The vectors that an epilogue needs to correct a product for zero points on both sides.
struct zero_terms {
  std::vector<std::int32_t> bias, row_sums, weight_zeros;

  template <class Lhs>
  zero_terms(const row_matrix<Lhs>& a, const row_matrix<std::int8_t>& w, int a_zero, int w_zero) {
    for (index j = 0; j < w.rows(); ++j) {
      const int sum = gemm::sum_of_codes(w.data() + j * w.cols(), w.cols());
      bias.push_back(-a_zero * (sum - static_cast<int>(w.cols()) * w_zero));
      weight_zeros.push_back(w_zero);
    }
    for (index i = 0; i < a.rows(); ++i) {
      row_sums.push_back(gemm::sum_of_codes(a.data() + i * a.cols(), a.cols()));
    }
  }

  [[nodiscard]] auto stages() const {
    return gemm::add_bias(bias.data()) | gemm::subtract_outer(row_sums.data(), weight_zeros.data());
  }
};

template <class Lhs, class Out, class F>
void expect_product(const node& n, const signed_weights& w, int a_zero, int w_zero,
                    const examples::tensor& expected, const F& finish) {
  const row_matrix<Lhs> a = n.tensors[n.input(0)].matrix<Lhs>();
  const zero_terms zeros(a, w.codes, a_zero, w_zero - w.shift);
  arch::compiled::for_each([&]<class Arch>() {
    row_matrix<Out> c(a.rows(), w.codes.rows());
    gemm::multiply(a, gemm::pack_int8<Lhs, Arch>(w.codes), c, finish(zeros.stages()));
    for (index i = 0; i < c.size(); ++i) {
      ASSERT_EQ(std::int64_t{c.data()[i]}, integer_at(expected, i))
          << Arch::name << ", element " << i;
    }
  });
}

TEST(onnx_matmul, matmul_integer) {
  FEWBIT_SKIP_WITHOUT_DATA("onnx_node");
  const std::vector<node> nodes = nodes_of("MatMulInteger");
  for (const node& n : nodes) {
    SCOPED_TRACE(n.name);
    const signed_weights w = weights_of(n.tensors[n.input(1)], n.type_of(n.input(1)) == "uint8");
    const int a_zero = scalar_or(n, 2, 0), w_zero = scalar_or(n, 3, 0);
    const examples::tensor& y = n.output("Y", "y");
    const auto sums = [](const auto& stages) { return stages; };
    if (n.type_of(n.input(0)) == "uint8") {
      expect_product<std::uint8_t, std::int32_t>(n, w, a_zero, w_zero, y, sums);
    } else {
      expect_product<std::int8_t, std::int32_t>(n, w, a_zero, w_zero, y, sums);
    }
  }
  EXPECT_EQ(nodes.size(), 4U);  // 1 node test, 3 from ONNX Runtime
}

template <class Code>
void expect_requantized(const node& n) {
  const auto scale = [&](std::size_t i) { return n.tensors[n.input(i)].as<float>()[0]; };
  const signed_weights w = weights_of(n.tensors[n.input(3)], n.type_of(n.input(3)) == "uint8");
  const std::vector<float> factors(static_cast<std::size_t>(w.codes.rows()),
                                   scale(1) * scale(4) / scale(6));
  const int zero = scalar_or(n, 7, 0);
  expect_product<Code, Code>(
      n, w, scalar_or(n, 2, 0), scalar_or(n, 5, 0), n.output("y", "y"), [&](const auto& stages) {
        return stages | gemm::requantize<xnn_fp32>(factors) | gemm::saturate<Code>{zero};
      });
}

TEST(onnx_matmul, qlinear_matmul) {
  FEWBIT_SKIP_WITHOUT_DATA("onnx_node");
  int run = 0;
  for (const node& n : nodes_of("QLinearMatMul")) {
    SCOPED_TRACE(n.name);
    if (n.type_of(n.input(1)) != "float32") continue;
    if (n.type_of(n.input(0)) == "uint8") {
      expect_requantized<std::uint8_t>(n);
    } else {
      expect_requantized<std::int8_t>(n);
    }
    ++run;
  }
  EXPECT_EQ(run, 3);  // 2 node tests, 1 from ONNX Runtime
}

}  // namespace golden_onnx_matmul_test
}  // namespace fewbit
