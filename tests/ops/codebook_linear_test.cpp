// Layers whose weights are levels of a codebook, for every kind of inputs.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

#include "fewbit/codebook/lloyd_max.hpp"
#include "fewbit/ops/linear.hpp"
#include "support/codes.hpp"
#include "support/kept_scale.hpp"
#include "support/plain_linear.hpp"
#include "support/reals.hpp"

namespace fewbit { namespace ops_codebook_linear_test {

using tests::block_depth;
using tests::random_reals;
using tests::times;

float plus(float a, float b) { return static_cast<float>(double{a} + double{b}); }

/// Weights as plain numbers.
struct plain_levels {
  row_matrix<float> levels, scales;
  index depth;  // columns that share a scale
};

template <class S>
plain_levels levels_of(const quantized_matrix<S>& q) {
  constexpr index depth = block_depth<typename S::granularity>;
  plain_levels w{row_matrix<float>(q.rows(), q.cols()), row_matrix<float>(q.rows(), q.cols()),
                 depth == 0 ? q.cols() : depth};
  for (index j = 0; j < q.rows(); ++j) {
    for (index k = 0; k < q.cols(); ++k) {
      w.levels(j, k) = q.levels()[static_cast<std::size_t>(q.code(j, k))];
      w.scales(j, k) = q.scale(j, k);
    }
  }
  return w;
}

/// Sums of x * level in the order of k, each operation rounded.
float expected_of_reals(const row_matrix<float>& x, index i, const plain_levels& w, index j) {
  float total = 0.0F;
  for (index first = 0; first < x.cols(); first += w.depth) {
    float sum = 0.0F;
    for (index k = first; k < std::min(x.cols(), first + w.depth); ++k)
      sum = plus(sum, times(x(i, k), w.levels(j, k)));
    total = plus(total, times(sum, tests::with_12_bits(w.scales(j, first))));
  }
  return total;
}

/// Exact sums of (x - zero) * rne(127 * level); `input_scale` is part of the scale of a block.
float expected_of_codes(const row_matrix<float>& x, index i, const plain_levels& w, index j,
                        int zero, float input_scale) {
  float total = 0.0F;
  for (index first = 0; first < x.cols(); first += w.depth) {
    std::int64_t sum = 0;
    for (index k = first; k < std::min(x.cols(), first + w.depth); ++k)
      sum += (std::llrint(x(i, k)) - zero) * std::llrint(times(127.0F, w.levels(j, k)));
    const float scale = times(w.scales(j, first) / 127.0F, input_scale);
    total = plus(total, times(static_cast<float>(sum), scale));
  }
  return total;
}

/// Codes as floats, among them 127 in every row, so that a dynamic scale is 1.
row_matrix<float> whole_numbers(index rows, index cols) {
  row_matrix<float> x = tests::random_codes<std::int8_t>(rows, cols, 4).cast<float>();
  x = x.cwiseMax(-127.0F);
  x.col(0).setConstant(127.0F);
  return x;
}

template <class Expected>
void expect_outputs(const row_matrix<float>& y, const Eigen::VectorXf& bias,
                    const Expected& expected) {
  for (index i = 0; i < y.rows(); ++i) {
    for (index j = 0; j < y.cols(); ++j)
      ASSERT_EQ(y(i, j), plus(expected(i, j), bias[j])) << i << " " << j;
  }
}

constexpr std::array<std::array<index, 3>, 4> shapes = {
    {{1, 1, 1}, {3, 33, 17}, {7, 70, 66}, {15, 40, 5}}};

template <class S>
void expect_levels_of_reals() {
  for (const auto& [m, k, n] : shapes) {
    const row_matrix<float> x = random_reals(m, k, 1);
    const auto q = quantize<S>(random_reals(n, k, 2));
    const Eigen::VectorXf bias = random_reals(1, n, 3).row(0).transpose();
    row_matrix<float> y(m, n);
    linear<S, float_inputs>(q, bias)(x, y);
    const plain_levels w = levels_of(q);
    expect_outputs(y, bias, [&](index i, index j) { return expected_of_reals(x, i, w, j); });
  }
}

TEST(codebook_linear, with_float_inputs_multiplies_by_the_levels) {
  expect_levels_of_reals<codebook_per_row<1>>();
  expect_levels_of_reals<codebook_per_row<2>>();
  expect_levels_of_reals<codebook_grouped<3, 32>>();
  expect_levels_of_reals<codebook_per_row<4>>();
  expect_levels_of_reals<codebook_per_row<5>>();
  expect_levels_of_reals<codebook_grouped<8, 32>>();
}

template <class S>
void expect_levels_of_codes() {
  for (const auto& [m, k, n] : shapes) {
    const row_matrix<float> x = whole_numbers(m, k);
    const auto q = quantize<S>(random_reals(n, k, 2));
    const Eigen::VectorXf bias = random_reals(1, n, 3).row(0).transpose();
    const plain_levels w = levels_of(q);
    row_matrix<float> y(m, n);
    linear<S>(q, bias)(x, y);
    expect_outputs(y, bias, [&](index i, index j) { return expected_of_codes(x, i, w, j, 0, 1); });
    const row_matrix<std::int8_t> codes = x.cast<std::int8_t>();
    linear<S, static_int8>(q, bias, quant_params{0.0275F, -7})(codes, y);
    expect_outputs(y, bias,
                   [&](index i, index j) { return expected_of_codes(x, i, w, j, -7, 0.0275F); });
  }
}

TEST(codebook_linear, with_codes_as_inputs_multiplies_by_levels_of_8_bits) {
  expect_levels_of_codes<codebook_per_row<1>>();
  expect_levels_of_codes<codebook_per_row<4>>();
  expect_levels_of_codes<codebook_grouped<6, 32>>();
}

/// Codes of more than four bits take a byte. Levels are held twice: as they are, and scaled down
/// for rows of large inputs.
TEST(codebook_linear, stores_up_to_four_bits_unchanged) {
  const row_matrix<float> w = random_reals(64, 256, 1);
  const index others = 64 * (2 + 4);  // a scale of a row and its bias
  EXPECT_EQ((linear<codebook_per_row<3>, float_inputs>(w).bytes()),
            64 * 256 * 3 / 8 + others + 2 * 16 * 4);
  EXPECT_EQ((linear<codebook_per_row<4>, float_inputs>(w).bytes()),
            64 * 256 / 2 + others + 2 * 16 * 4);
  EXPECT_EQ((linear<codebook_per_row<5>, float_inputs>(w).bytes()),
            64 * 256 + others + 2 * 256 * 4);
}

}  // namespace ops_codebook_linear_test
}  // namespace fewbit
