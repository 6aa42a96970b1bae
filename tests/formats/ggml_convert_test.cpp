#include "fewbit/formats/ggml_convert.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#include "fewbit/ops/linear.hpp"
#include "fewbit/quant/quantize.hpp"
#include "formats/ggml_oracle.hpp"
#include "support/reals.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace formats_ggml_convert_test {

using tests::random_reals;

row_matrix<float> hard_matrix(index rows, index cols, unsigned seed) {
  const std::vector<float> x = tests::hard_floats(static_cast<int>(rows * cols / 32), seed);
  return Eigen::Map<const row_matrix<float>>(x.data(), rows, cols);
}

row_matrix<float> values_of(const codes_with_minima& q) {
  row_matrix<float> w(q.codes.rows(), q.codes.cols());
  for (index r = 0; r < w.rows(); ++r) {
    for (index c = 0; c < w.cols(); ++c) {
      w(r, c) = static_cast<float>(double{q.scales(r, c / 32)} * q.codes(r, c) +
                                   double{q.minima(r, c / 32)});
    }
  }
  return w;
}
template <class S>
row_matrix<float> values_of(const quantized_matrix<S>& q) {
  return dequantize(q);
}

template <class B>
block_matrix<B> back(const block_matrix<B>& blocks) {
  if constexpr (B::has_minimum) {
    return to_blocks(to_quantized(blocks));
  } else {
    return to_blocks<B>(to_quantized(blocks));
  }
}

template <class B>
class ggml_convert_test : public testing::Test {};
using formats = testing::Types<q8_0, q5_0, q4_0, q4_1>;
TYPED_TEST_SUITE(ggml_convert_test, formats);

/// Covers everything quantization can make, except scales below the smallest half.
TYPED_TEST(ggml_convert_test, quantized_blocks_are_restored) {
  row_matrix<float> w = hard_matrix(40, 160, 1);
  w = w.unaryExpr([](float x) { return std::fabs(x) < 1e-3F ? std::copysign(0.0F, x) : x; });
  const auto blocks = quantize_blocks<TypeParam>(w);
  EXPECT_EQ(back(blocks), blocks);
  EXPECT_EQ(values_of(to_quantized(blocks)), dequantize(blocks));
}

TYPED_TEST(ggml_convert_test, blocks_of_zeros_of_either_sign) {
  row_matrix<float> w = row_matrix<float>::Zero(2, 96);
  w.row(1).setConstant(-0.0F);
  w(0, 40) = 2.0F;
  const auto blocks = quantize_blocks<TypeParam>(w);
  EXPECT_EQ(back(blocks), blocks);
  EXPECT_EQ(values_of(to_quantized(blocks)), dequantize(blocks));
  EXPECT_TRUE(dequantize(blocks).row(1).isZero(0.0F));
}

static_assert(std::is_same_v<scheme_of<q4_1>, uint4_grouped_minimum<32>>);

TEST(ggml_convert, minima_are_restored) {
  row_matrix<float> w = hard_matrix(40, 160, 8);
  w.row(3).setConstant(0.1F);
  w.row(4).setZero();
  const auto blocks = quantize_blocks<q4_1>(w);
  const quantized_matrix<uint4_grouped_minimum<32>> q = to_quantized_matrix(blocks);
  EXPECT_EQ(dequantize(q), dequantize(blocks));
  EXPECT_EQ(to_blocks<q4_1>(q), blocks);
  const codes_with_minima apart = to_quantized(blocks);
  for (index r = 0; r < q.rows(); ++r) {
    for (index c = 0; c < q.cols(); ++c) {
      ASSERT_EQ(q.code(r, c), int{apart.codes(r, c)});
      ASSERT_EQ(q.scale(r, c), apart.scales(r, c / 32));
      ASSERT_EQ(q.minimum(r, c), apart.minima(r, c / 32));
    }
  }
}

#if FEWBIT_HAS_EXCEPTIONS
/// A round trip keeps every finite q4_1 block. Blocks with a negative or -0 scale are refused.
TEST(ggml_convert, any_minima_are_restored_or_refused) {
  std::mt19937 random(4);
  for (int i = 0; i < 20000; ++i) {
    std::vector<std::uint8_t> bytes(sizeof(q4_1));
    for (auto& b : bytes) b = static_cast<std::uint8_t>(random());
    bytes[1] &= 0xBF;
    bytes[3] &= 0xBF;
    if (i % 5 == 0) bytes[0] = 0, bytes[1] &= 0x80;
    if (i % 7 == 0) bytes[2] = 0, bytes[3] &= 0x80;
    const block_matrix<q4_1> blocks(1, 32, bytes);
    if (bytes[1] < 0x80) {
      const auto q = to_quantized_matrix(blocks);
      ASSERT_EQ(dequantize(q), dequantize(blocks));
      ASSERT_EQ(to_blocks<q4_1>(q), blocks);
    } else {
      ASSERT_EQ(tests::sentence_of([&] { return to_quantized_matrix(blocks); }),
                "fewbit: to_quantized_matrix: block (0, 0) is a block with a negative "
                "scale, expected a block that to_blocks can restore");
    }
  }
}

TEST(ggml_convert, names_minima_that_blocks_cannot_store) {
  const row_matrix<std::uint8_t> codes = row_matrix<std::uint8_t>::Ones(2, 64);
  const auto failure = [&](const std::vector<float>& scales, const std::vector<float>& minima,
                           index cols = 64) {
    const quantized_matrix<scheme_of<q4_1>> q(codes.leftCols(cols), scales, minima);
    return tests::sentence_of([&] { return to_blocks<q4_1>(q); });
  };
  const std::vector<float> ones(4, 1.0F);
  EXPECT_EQ(failure(ones, ones), "no error");
  EXPECT_EQ(failure({1, 0, 1, 1}, {0, -0.0F, -2, 1}), "no error");
  EXPECT_EQ(failure({1, 1, 0.1F, 1}, ones),
            "fewbit: to_blocks: scale of block (1, 0) is 0.1, expected a number of half precision");
  EXPECT_EQ(failure(ones, {1, -70000, 1, 1}),
            "fewbit: to_blocks: least value of block (0, 1) is -70000, expected a number of half "
            "precision");
  EXPECT_EQ(failure(ones, ones, 63),
            "fewbit: to_blocks: number of columns is 63, expected a multiple of 32");
}

template <class B>
constexpr std::size_t scale_count = B::has_minimum ? 2 : 1;

/// Every finite block is refused or keeps its bytes and values in a round trip. Most are accepted.
TYPED_TEST(ggml_convert_test, any_bytes_are_restored_or_refused) {
  std::mt19937 random(3);
  int taken = 0;
  for (int i = 0; i < 20000; ++i) {
    std::vector<std::uint8_t> bytes(sizeof(TypeParam));
    for (auto& b : bytes) b = static_cast<std::uint8_t>(random());
    for (std::size_t s = 0; s < scale_count<TypeParam>; ++s) bytes[2 * s + 1] &= 0xBF;
    if (i % 5 == 0) bytes[0] = 0, bytes[1] &= 0x80;
    if (i % 10 == 0) std::fill(bytes.begin() + 2, bytes.end(), std::uint8_t{0x88});
    const block_matrix<TypeParam> blocks(1, 32, bytes);
    try {
      const auto q = to_quantized(blocks);
      ++taken;
      ASSERT_EQ(values_of(q), dequantize(blocks));
      ASSERT_EQ(back(blocks), blocks);
    } catch (const error&) {
    }
    if constexpr (!TypeParam::has_minimum) {
      const auto plain = with_plain_zeros(blocks);
      ASSERT_EQ(dequantize(plain), dequantize(blocks));
      const bool was_zero = bytes[0] == 0 && (bytes[1] & 0x7F) == 0;
      if (was_zero) {
        ASSERT_EQ(back(plain), plain);
      }
    }
  }
  EXPECT_GT(taken, 6000);
}

template <class B>
std::string refusal(const block_matrix<B>& blocks) {
  return tests::sentence_of([&] { return to_quantized(blocks); });
}

template <class B>
block_matrix<B> with_scale(std::uint16_t d, const std::vector<int>& codes) {
  detail::block_codes all;
  for (std::size_t j = 0; j < 32; ++j) all[j] = static_cast<std::int8_t>(codes[j % codes.size()]);
  std::vector<B> blocks(4, detail::block_of_zeros<B>());
  detail::write_half(d, blocks[3].d);
  detail::pack_block(all, blocks[3]);
  return block_matrix<B>(2, 64, blocks);
}

TEST(ggml_convert, names_the_block_that_cannot_be_restored) {
  const auto sentence = [](const char* flaw) {
    return std::string("fewbit: to_quantized: block (1, 1) is ") + flaw +
           ", expected a block that to_blocks can restore";
  };
  EXPECT_EQ(refusal(with_scale<q8_0>(0x3C00, {127, -127, 0})), "no error");
  EXPECT_EQ(refusal(with_scale<q8_0>(0x3C00, {1, -128})), sentence("a block with a code -128"));
  EXPECT_EQ(refusal(with_scale<q8_0>(0xBC00, {1})), sentence("a block with a negative scale"));
  EXPECT_EQ(refusal(with_scale<q8_0>(0, {1})),
            sentence("a block with scale 0 and codes of other values than 0"));
  EXPECT_EQ(refusal(with_scale<q5_0>(0x3C00, {1, 31})), "no error");
  EXPECT_EQ(refusal(with_scale<q5_0>(0xBC00, {1, 31})),
            sentence("a block with a negative scale and without a code 0"));
  EXPECT_EQ(refusal(with_scale<q5_0>(0xBC00, {0, 31})), "no error");
  EXPECT_EQ(refusal(with_scale<q5_0>(0, {16})),
            sentence("a block with scale 0 that differs from the block of zeros"));
  EXPECT_EQ(refusal(with_scale<q4_0>(0, {8})), "no error");
  EXPECT_EQ(refusal(with_scale<q4_0>(0x8000, {8, 7})),
            sentence("a block with scale 0 and codes of other values than 0"));
}

template <class B>
std::string refusal(const row_matrix<int>& codes, float scale, int zero = 0) {
  using S = scheme_of<B>;
  std::vector<typename S::code> zeros;
  if (S::is_affine) zeros.push_back(static_cast<typename S::code>(zero));
  const row_matrix<typename S::code> narrow = codes.cast<typename S::code>();
  return tests::sentence_of(
      [&] { return to_blocks<B>(quantized_matrix<S>(narrow, std::vector<float>{scale}, zeros)); });
}

TEST(ggml_convert, names_values_that_blocks_cannot_store) {
  const row_matrix<int> ones = row_matrix<int>::Ones(1, 32);
  const std::string function = "fewbit: to_blocks: ";
  EXPECT_EQ(refusal<q8_0>(ones, 0.5F), "no error");
  EXPECT_EQ(refusal<q8_0>(ones.leftCols(31), 0.5F),
            function + "number of columns is 31, expected a multiple of 32");
  EXPECT_EQ(refusal<q8_0>(ones, 0.1F),
            function + "scale of block (0, 0) is 0.1, expected a number of half precision");
  EXPECT_EQ(refusal<q8_0>(ones, 65536.0F),
            function + "scale of block (0, 0) is 65536, expected a number of half precision");
  EXPECT_EQ(
      refusal<q8_0>(ones, min_scale),
      function + "scale of block (0, 0) is 1.17549435e-38, expected a number of half precision");
  EXPECT_EQ(refusal<q4_0>(ones, 0.5F, 6),
            function + "zero point of block (0, 0) is 6, expected 7 or 8");
  EXPECT_EQ(refusal<q4_0>(ones, 0.5F, 7), "no error");
  row_matrix<int> codes = ones * 16;
  EXPECT_EQ(refusal<q5_0>(codes, 0.5F), "no error");
  codes(0, 3) = -16;
  EXPECT_EQ(refusal<q5_0>(codes, 0.5F),
            function + "a code of block (0, 0) is -16, expected -15 to 16");
  EXPECT_EQ(refusal<q5_0>(ones * 17, 0.5F),
            function + "a code of block (0, 0) is 17, expected -16 to 15");

  codes_with_minima q{row_matrix<std::uint8_t>::Ones(2, 64), row_matrix<float>::Ones(2, 2),
                      row_matrix<float>::Ones(2, 2)};
  const auto sentence = [&] { return tests::sentence_of([&] { return to_blocks(q); }); };
  EXPECT_EQ(sentence(), "no error");
  q.codes(1, 33) = 16;
  EXPECT_EQ(sentence(), function + "a code of block (1, 1) is 16, expected 0 to 15");
  q.minima(1, 0) = std::numeric_limits<float>::infinity();
  EXPECT_EQ(sentence(),
            function + "least value of block (1, 0) is inf, expected a number of half precision");
  q.scales(0, 1) = 1e-9F;
  EXPECT_EQ(sentence(),
            function + "scale of block (0, 1) is 1e-09, expected a number of half precision");
  q.minima.resize(2, 3);
  EXPECT_EQ(sentence(), function + "shape of minima is 2 x 3, expected 2 x 2");
}
#endif

TEST(ggml_convert, blocks_of_tiny_scales_need_with_plain_zeros) {
  const row_matrix<float> w = random_reals(3, 64, 5) * 1e-8F;
  const auto plain = with_plain_zeros(quantize_blocks<q4_0>(w));
  EXPECT_EQ(to_blocks<q4_0>(to_quantized(plain)), plain);
  EXPECT_TRUE(dequantize(plain).isZero(0.0F));
#if FEWBIT_HAS_EXCEPTIONS
  EXPECT_NE(refusal(quantize_blocks<q4_0>(w)), "no error");
#endif
}

/// A layer uses scales that are halves without loss. If the inputs are exact codes too, its result
/// differs from the product with the decoded blocks only by the rounding of float sums.
TEST(ggml_convert, a_layer_of_blocks_multiplies_their_values) {
  const auto blocks = quantize_blocks<q4_0>(random_reals(24, 256, 6));
  linear<uint4_grouped<32>> layer(to_quantized(blocks));
  row_matrix<float> x = (random_reals(5, 256, 7) * 38.0F).array().round();
  x.col(9).setConstant(127.0F);
  row_matrix<float> y(5, 24);
  layer(x, y);
  const row_matrix<double> w = dequantize(blocks).cast<double>();
  const row_matrix<double> expected = x.cast<double>() * w.transpose();
  const row_matrix<double> sizes = x.cast<double>().cwiseAbs() * w.cwiseAbs().transpose();
  for (index i = 0; i < y.size(); ++i) {
    // 8 products, 8 sums of groups and one scale of the row: each rounds by at most 2^-24.
    EXPECT_NEAR(y.data()[i], expected.data()[i], 17 * 0x1p-24 * sizes.data()[i]) << i;
  }
}

}  // namespace formats_ggml_convert_test
}  // namespace fewbit
