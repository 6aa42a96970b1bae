#include "fewbit/formats/mxfp4_codebook.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "fewbit/core/random.hpp"
#include "fewbit/ops/linear.hpp"
#include "fewbit/quant/dequantize.hpp"
#include "support/reals.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace formats_mxfp4_codebook_test {

/// Random blocks; exponents are lo .. hi.
std::vector<mxfp4> random_blocks(std::size_t count, unsigned lo, unsigned hi) {
  std::vector<mxfp4> blocks(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto bits = random_bits(5, i);
    blocks[i].e = static_cast<std::uint8_t>(lo + bits[0] % (hi - lo + 1));
    for (std::size_t j = 0; j < 16; ++j)
      blocks[i].qs[j] = static_cast<std::uint8_t>(random_bits(6, 16 * i + j)[0]);
  }
  return blocks;
}

/// 2^(e - 127) times the value of E2M1: sign, two bits of exponent, one of fraction.
double value_of(const mxfp4& block, index j) {
  const int nibble = block.qs[j % 16] >> (j < 16 ? 0 : 4) & 15;
  const int exponent = nibble >> 1 & 3, fraction = nibble & 1;
  const double size =
      exponent == 0 ? 0.5 * fraction : std::ldexp(1.0 + 0.5 * fraction, exponent - 1);
  return std::ldexp((nibble & 8) != 0 ? -size : size, int{block.e} - 127);
}

TEST(mxfp4_codebook, keeps_every_value_and_goes_back) {
  std::vector<mxfp4> blocks = random_blocks(30, 0, 251);
  blocks[0].e = 0;
  blocks[1].e = 251;
  for (std::size_t j = 0; j < 16; ++j)
    blocks[2].qs[j] = static_cast<std::uint8_t>(j | (15 - j) << 4);
  const auto q = to_codebook(10, 96, blocks);
  const row_matrix<float> w = dequantize(q);
  for (index r = 0; r < 10; ++r) {
    for (index c = 0; c < 96; ++c) {
      ASSERT_EQ(double{w(r, c)}, value_of(blocks[static_cast<std::size_t>(3 * r + c / 32)], c % 32))
          << r << ' ' << c;
    }
  }
  const std::vector<mxfp4> again = to_mxfp4(q);
  ASSERT_EQ(again.size(), blocks.size());
  EXPECT_EQ(std::memcmp(again.data(), blocks.data(), 30 * sizeof(mxfp4)), 0);
}

TEST(mxfp4_codebook, multiplies_without_rounding_weights) {
  const std::vector<mxfp4> blocks = random_blocks(28, 110, 135);
  const auto q = to_codebook(7, 128, blocks);
  const linear<mxfp4_codebook, float_inputs> layer(q);
  EXPECT_LE(layer.bytes(), 8 * 4 * 18 * 8);  // panels of columns are full
  const row_matrix<float> x = tests::random_reals(3, 128, 9).array().round();
  row_matrix<float> y(3, 7);
  layer(x, y);
  for (index i = 0; i < 3; ++i) {
    for (index j = 0; j < 7; ++j) {
      float want = 0.0F;
      for (index g = 0; g < 4; ++g) {
        double sum = 0.0;  // few bits: exact, so also in float
        for (index c = 0; c < 32; ++c)
          sum +=
              double{x(i, 32 * g + c)} * value_of(blocks[static_cast<std::size_t>(4 * j + g)], c);
        want += static_cast<float>(sum);
      }
      EXPECT_EQ(y(i, j), want) << i << ' ' << j;
    }
  }
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(mxfp4_codebook, names_what_it_refuses) {
  std::vector<mxfp4> blocks = random_blocks(6, 100, 140);
  const auto sentence = [&](index rows, index cols) {
    return tests::sentence_of([&] { return to_codebook(rows, cols, blocks).rows(); });
  };
  EXPECT_EQ(sentence(2, 96), "no error");
  EXPECT_EQ(
      sentence(2, 90),
      "fewbit: to_codebook: shape is 2 x 90, expected at least one row of whole blocks of 32");
  EXPECT_EQ(sentence(3, 96), "fewbit: to_codebook: number of blocks is 6, expected 3 rows of 3");
  blocks[4].e = 252;
  EXPECT_EQ(
      sentence(2, 96),
      "fewbit: to_codebook: block (1, 1) is a block with a scale above 2^127, expected a block "
      "with a finite scale");
  blocks[4].e = 255;
  EXPECT_NE(sentence(2, 96).find("scale NaN"), std::string::npos);

  const auto back = [](float scale, float level) {
    std::vector<float> levels(16);
    const auto exact = detail::e2m1_levels();
    std::copy(exact.begin(), exact.end(), levels.begin());
    levels[15] = level;
    const quantized_matrix<mxfp4_codebook> q(row_matrix<std::uint8_t>::Zero(1, 32),
                                             std::vector<float>{scale}, levels);
    return tests::sentence_of([&] { return to_mxfp4(q).size(); });
  };
  EXPECT_EQ(back(0x1p-124F, 0.75F), "no error");
  EXPECT_EQ(back(1.0F, 0.8F), "fewbit: to_mxfp4: levels[15] is 0.8, expected 0.75");
  for (const float scale : {0.0F, 0x1p-125F, 0.75F}) {
    EXPECT_NE(back(scale, 0.75F).find("scale of block (0, 0) is "), std::string::npos) << scale;
  }
}
#endif

}}  // namespace fewbit::formats_mxfp4_codebook_test
