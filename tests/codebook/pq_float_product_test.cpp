#include "fewbit/codebook/pq_float_product.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "fewbit/core/executor_adapters.hpp"
#include "fewbit/core/workspace.hpp"
#include "support/exact.hpp"
#include "support/reals.hpp"

namespace fewbit { namespace codebook_pq_float_product_test {

using tests::random_reals;

/// Plain loops in the order of the header.
row_matrix<float> in_stated_order(const row_matrix<float>& x, const product_quantizer& pq,
                                  const row_matrix<std::uint8_t>& codes) {
  row_matrix<float> y(x.rows(), codes.rows());
  for (index i = 0; i < x.rows(); ++i) {
    for (index j = 0; j < codes.rows(); ++j) {
      float sum = 0.0F;
      for (index p = 0; p < pq.parts(); ++p) {
        float entry = 0.0F;
        for (index c = p * pq.width(); c < std::min((p + 1) * pq.width(), x.cols()); ++c) {
          entry =
              tests::exact_fma(x(i, c), pq.centroids(p)(codes(j, p), c - p * pq.width()), entry);
        }
        sum += entry;
      }
      y(i, j) = sum;
    }
  }
  return y;
}

template <int Bits>
void expect_product(index m, index n, index parts, index width, index missing = 0) {
  SCOPED_TRACE(testing::Message() << Bits << " bits, m=" << m << " n=" << n << " parts=" << parts
                                  << " width=" << width << " missing=" << missing);
  std::vector<row_matrix<float>> centroids;
  for (index p = 0; p < parts; ++p) {
    centroids.push_back(random_reals(1 << Bits, width, static_cast<std::uint32_t>(p)));
  }
  const product_quantizer pq(centroids);
  std::mt19937 random(7);
  row_matrix<std::uint8_t> codes(n, parts);
  for (index i = 0; i < codes.size(); ++i) {
    codes.data()[i] = static_cast<std::uint8_t>(random() >> (32 - Bits));
  }
  const row_matrix<float> x = random_reals(m, parts * width - missing, 3);
  const pq_float_weights<Bits> w(pq, codes, x.cols());
  workspace memory(pq_float_bytes(w));
  std::fill_n(memory.slot(0), memory.bytes_per_slot(), std::byte{0x5A});
  row_matrix<float> y(m, n), z(m, n);
  multiply_pq_floats(x, w, y, gemm::raw{}, memory.slot(0));
  EXPECT_EQ(y, in_stated_order(x, pq, codes));
  multiply_pq_floats(x, w, z, gemm::raw{}, memory.slot(0), thread_executor{3});
  EXPECT_EQ(z, y);
}

TEST(pq_float_product, adds_in_the_stated_order) {
  for (const index n : {1, 63, 64, 65, 511, 513}) {
    expect_product<4>(2, n, 5, 3);
    expect_product<8>(2, n, 4, 3);
  }
  for (const index parts : {1, 2, 3, 8, 600}) {
    expect_product<4>(1, 20, parts, 2);
    expect_product<8>(1, 20, parts, 1);
  }
  expect_product<4>(3, 20, 3, 4, 3);
  expect_product<8>(3, 20, 1, 4, 1);
}

TEST(pq_float_product, non_finite_values_change_only_their_row) {
  const product_quantizer pq(std::vector<row_matrix<float>>(2, row_matrix<float>::Ones(16, 2)));
  const pq_float_weights<4> w(pq, row_matrix<std::uint8_t>::Zero(3, 2));
  row_matrix<float> x = row_matrix<float>::Ones(3, 4), y(3, 3);
  x(0, 1) = std::numeric_limits<float>::quiet_NaN();
  x(2, 3) = -std::numeric_limits<float>::infinity();
  workspace memory(pq_float_bytes(w));
  multiply_pq_floats(x, w, y, gemm::raw{}, memory.slot(0));
  for (index j = 0; j < 3; ++j) {
    EXPECT_NE(y(0, j), y(0, j));
    EXPECT_EQ(y(1, j), 4.0F);
    EXPECT_EQ(y(2, j), x(2, 3));
  }
}

}  // namespace codebook_pq_float_product_test
}  // namespace fewbit
