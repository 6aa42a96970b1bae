#pragma once
/// A check of MatMulNBits of ONNX Runtime: 4-bit weights in blocks, with float activations.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "fewbit/formats/onnx_blocks.hpp"
#include "fewbit/ops/linear.hpp"
#include "support/kept_scale.hpp"
#include "support/onnx_cases.hpp"

namespace fewbit::tests {

template <class T>
std::vector<T> values_of(const node& n, std::size_t input) {
  if (n.input(input).empty()) return {};
  const auto all = n.tensors[n.input(input)].as<T>();
  return {all.begin(), all.end()};
}

template <index G>
void expect_product_in_blocks(const node& n) {
  const auto q =
      from_matmul_nbits<G>({n.attribute("N", 0), n.attribute("K", 0), values_of<std::uint8_t>(n, 1),
                            values_of<float>(n, 2), values_of<std::uint8_t>(n, 3)});
  const row_matrix<float> x = n.tensors[n.input(0)].matrix<float>();
  const row_matrix<float> expected = n.output("Y", "y").matrix<float>();
  row_matrix<float> y(x.rows(), q.rows());
  const linear<uint4_grouped<G>, float_inputs> layer(q);
  layer(x, y);
  row_matrix<double> w = dequantize(q).template cast<double>();
  for (index j = 0; j < w.rows(); ++j) {
    for (index k = 0; k < w.cols(); ++k)
      w(j, k) *= double{with_12_bits(q.scale(j, k))} / double{q.scale(j, k)};
  }
  const row_matrix<double> exact = x.cast<double>() * w.transpose();
  const row_matrix<double> sizes = x.cast<double>().cwiseAbs() * w.cwiseAbs().transpose();
  // The compared sums have different orders of additions. Each product, sum and scale rounds by at
  // most 2^-24 of the sum of magnitudes. Errors of both signs partly cancel, so the total grows
  // with sqrt(k). The layer keeps scales of 12 significant bits, which differ from those of ONNX
  // Runtime by up to 2^-12.
  const double bound = 2 * std::sqrt(static_cast<double>(q.cols())) * 0x1p-24;
  for (index i = 0; i < y.size(); ++i) {
    EXPECT_NEAR(y.data()[i], exact.data()[i], bound * sizes.data()[i]) << i;
    EXPECT_NEAR(y.data()[i], expected.data()[i], (2 * bound + 0x1p-12) * sizes.data()[i]) << i;
  }
}

/// The same for the block size of the node.
inline void expect_nbits_product(const node& n) {
  ASSERT_EQ(n.attribute("bits", 4), 4);
  switch (n.attribute("block_size", 0)) {
    case 32:
      return expect_product_in_blocks<32>(n);
    case 128:
      return expect_product_in_blocks<128>(n);
    default:
      FAIL() << "no check for blocks of " << n.attribute("block_size", 0);
  }
}

}  // namespace fewbit::tests
