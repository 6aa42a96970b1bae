// MatMulNBits against outputs of ONNX Runtime: 4-bit weights in blocks of 32 and 128, with and
// without zero points, with float activations.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "support/data.hpp"
#include "support/onnx_cases.hpp"
#include "support/onnx_nbits.hpp"

namespace fewbit { namespace golden_onnx_nbits_test {

using tests::node;

TEST(onnx_nbits, matmul_nbits) {
  FEWBIT_SKIP_WITHOUT_DATA("onnx_node");
  const std::vector<node> nodes = tests::nodes_of("MatMulNBits");
  for (const node& n : nodes) {
    SCOPED_TRACE(n.name);
    tests::expect_nbits_product(n);
  }
  EXPECT_EQ(nodes.size(), 3U);
}

}  // namespace golden_onnx_nbits_test
}  // namespace fewbit
