#include "fewbit/formats/ggml_weighted.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "fewbit/core/executor_adapters.hpp"
#include "formats/ggml_oracle.hpp"
#include "support/reals.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace formats_ggml_weighted_test {

using tests::product;

std::vector<float> random_importance(index n, std::uint32_t seed) {
  std::vector<float> values;
  const row_matrix<float> x = tests::random_reals(1, n, seed);
  for (index i = 0; i < n; ++i) values.push_back(x(0, i) * x(0, i));
  return values;
}

/// Tries the 19 scales one after the other and compares each with the best so far.
tests::bytes oracle_block(const float* x, const float* importance, float mean) {
  const float largest = tests::largest_of(x);
  tests::bytes best;
  float best_gain = 0.0F;
  for (const int i : {0, -9, -8, -7, -6, -5, -4, -3, -2, -1, 1, 2, 3, 4, 5, 6, 7, 8, 9}) {
    const float inverse = -(8.0F + product(0.1F, static_cast<float>(i))) / largest;
    float products = 0.0F, squares = 0.0F;
    std::array<int, 32> codes;
    for (std::size_t j = 0; j < 32; ++j) {
      const float v = product(importance[j], std::sqrt(mean + product(x[j], x[j])));
      const float l = std::clamp(std::nearbyint(product(inverse, x[j])), -8.0F, 7.0F);
      codes[j] = static_cast<int>(l) + 8;
      products += product(product(v, x[j]), l);
      squares += product(product(v, l), l);
    }
    const float d = products / squares;
    if (i != 0 && !(product(products, products) > product(best_gain, squares))) continue;
    best_gain = product(d, products);
    best.clear();
    tests::add_half(best, d);
    tests::add_nibbles(best, codes);
  }
  return best;
}

TEST(ggml_weighted, is_the_best_of_nineteen_scales) {
  const row_matrix<float> w = tests::random_reals(64, 128, 1);
  const std::vector<float> importance = random_importance(128, 2);
  const auto blocks = weighted_quantize_blocks(w, importance);
  for (index r = 0; r < 64; ++r) {
    float sum = 0.0F;
    for (index c = 0; c < 128; ++c) sum += product(w(r, c), w(r, c));
    for (index b = 0; b < 4; ++b) {
      const auto expected = oracle_block(&w(r, 32 * b), importance.data() + 32 * b, sum / 128.0F);
      EXPECT_EQ(std::memcmp(&blocks.row(r)[b], expected.data(), expected.size()), 0) << r << b;
    }
  }
}

double weighted_error(const row_matrix<float>& w, const row_matrix<float>& w_hat,
                      const std::vector<float>& importance) {
  double sum = 0.0;
  for (index r = 0; r < w.rows(); ++r) {
    for (index c = 0; c < w.cols(); ++c) {
      const double e = double{w(r, c)} - w_hat(r, c);
      sum += double{importance[static_cast<std::size_t>(c)]} * e * e;
    }
  }
  return sum;
}

TEST(ggml_weighted, has_smaller_errors_at_important_inputs) {
  const row_matrix<float> w = tests::random_reals(40, 256, 3);
  const std::vector<float> importance = random_importance(256, 4);
  const auto blocks = weighted_quantize_blocks(w, importance);
  EXPECT_EQ(blocks, weighted_quantize_blocks(w, importance, thread_executor{3}));
  const double plain = weighted_error(w, dequantize(quantize_blocks<q4_0>(w)), importance);
  EXPECT_LT(weighted_error(w, dequantize(blocks), importance), 0.85 * plain);
}

TEST(ggml_weighted, blocks_of_tiny_numbers_are_zeros) {
  row_matrix<float> w = row_matrix<float>::Constant(1, 64, 9e-16F);
  w.rightCols(32).setZero();
  EXPECT_EQ(weighted_quantize_blocks(w, std::vector<float>(64, 1.0F)),
            quantize_blocks<q4_0>(row_matrix<float>::Zero(1, 64)));
  w.setOnes();
  std::vector<float> importance(64, 1.0F);
  std::fill(importance.begin(), importance.begin() + 32, 0.0F);
  const auto w_hat = dequantize(weighted_quantize_blocks(w, importance));
  EXPECT_TRUE(w_hat.leftCols(32).isZero(0.0F));
  EXPECT_TRUE(w_hat.rightCols(32).isOnes(1e-3F));
}

/// A power of two as a factor of the importance changes no bit. As a factor of the weights it only
/// scales d, within the precision of halves.
TEST(ggml_weighted, does_not_depend_on_the_unit_of_importance) {
  const row_matrix<float> w = tests::random_reals(8, 96, 5);
  const std::vector<float> importance = random_importance(96, 6);
  const auto expected = weighted_quantize_blocks(w, importance);
  for (const float factor : {0x1p-120F, 0x1p-60F, 0x1p60F, 0x1p122F}) {
    std::vector<float> scaled = importance;
    for (float& v : scaled) v *= factor;
    EXPECT_EQ(weighted_quantize_blocks(w, scaled), expected) << factor;
  }
  for (const float factor : {0x1p-8F, 0x1p12F}) {
    const row_matrix<float> back = dequantize(weighted_quantize_blocks(w * factor, importance));
    EXPECT_TRUE(back.isApprox(dequantize(expected) * factor, 1e-3F)) << factor;
  }
}

TEST(ggml_weighted, accepts_the_largest_and_smallest_importance) {
  const row_matrix<float> w = tests::random_reals(3, 64, 7);
  const row_matrix<float> even = dequantize(weighted_quantize_blocks(w, std::vector<float>(64, 1)));
  for (const float size : {3e38F, std::numeric_limits<float>::max(), 1e-38F, 1e-45F}) {
    const std::vector<float> importance(64, size);
    EXPECT_TRUE(dequantize(weighted_quantize_blocks(w, importance)).isApprox(even, 1e-6F)) << size;
    std::vector<float> one(64, 0.0F);
    one[5] = size;
    const row_matrix<float> w_hat = dequantize(weighted_quantize_blocks(w, one));
    for (index r = 0; r < 3; ++r) EXPECT_NEAR(w_hat(r, 5), w(r, 5), 1e-3F * std::fabs(w(r, 5)));
    EXPECT_TRUE(w_hat.rightCols(32).isZero(0.0F));
  }
}

/// A weight of importance 0 may have any value. The rest of its row is quantized well.
TEST(ggml_weighted, accepts_the_largest_weights_of_importance_zero) {
  row_matrix<float> w = tests::random_reals(2, 64, 8);
  std::vector<float> importance(64, 1.0F);
  std::fill(importance.begin(), importance.begin() + 32, 0.0F);
  w(0, 3) = 3e38F;
  const row_matrix<float> w_hat = dequantize(weighted_quantize_blocks(w, importance));
  EXPECT_TRUE(w_hat.leftCols(32).isZero(0.0F));
  EXPECT_LT((w_hat - w).rightCols(32).norm(), 0.2F * w.rightCols(32).norm());
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(ggml_weighted, names_bad_arguments) {
  row_matrix<float> w = tests::random_reals(2, 64, 1);
  std::vector<float> importance(64, 1.0F);
  const auto sentence = [&] {
    return tests::sentence_of([&] { return weighted_quantize_blocks(w, importance); });
  };
  const std::string function = "fewbit: weighted_quantize_blocks: ";
  EXPECT_EQ(sentence(), "no error");
  importance[3] = -1.0F;
  EXPECT_EQ(sentence(), function + "importance[3] is -1, expected a finite number, at least 0");
  importance[3] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(sentence(), function + "importance[3] is inf, expected a finite number, at least 0");
  importance[3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(sentence(), function + "importance[3] is nan, expected a finite number, at least 0");
  importance[3] = 3e38F;
  EXPECT_EQ(sentence(), "no error");
  for (const float x : {1e7F, -1e30F, 3e38F}) {
    row_matrix<float> large = w;
    large(1, 35) = x;
    EXPECT_EQ(tests::sentence_of(
                  [&] { return weighted_quantize_blocks(large, std::vector<float>(64, 3e38F)); }),
              function + "w(1, 35) is " + detail::text(x) +
                  ", expected a number whose block has a d within half precision, 65504");
  }
  importance.pop_back();
  EXPECT_EQ(sentence(), function + "length of importance is 63, expected 64");
  w.resize(1, 40);
  w.setZero();
  EXPECT_EQ(sentence(), function + "number of columns is 40, expected a multiple of 32");
  w(0, 2) = std::numeric_limits<float>::infinity();
  EXPECT_EQ(sentence(), function + "w(0, 2) is inf, expected a finite number");
}
#endif

}  // namespace formats_ggml_weighted_test
}  // namespace fewbit
