#include "fewbit/formats/ggml_blocks.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "support/sentence.hpp"

namespace fewbit { namespace formats_ggml_blocks_test {

using bytes = std::vector<std::uint8_t>;

/// Random bytes of blocks whose scales are finite.
template <class B>
bytes random_bytes(index blocks, unsigned seed) {
  std::mt19937 random(seed);
  bytes b(static_cast<std::size_t>(blocks) * sizeof(B));
  for (auto& byte : b) byte = static_cast<std::uint8_t>(random());
  for (std::size_t i = 0; i < b.size(); i += sizeof(B)) {
    b[i + 1] &= 0xBF;  // |d| < 2
    if (B::has_minimum) b[i + 3] &= 0xBF;
  }
  return b;
}

double half_value(unsigned half) {
  const int exponent = static_cast<int>(half >> 10 & 31), fraction = static_cast<int>(half & 1023);
  const double size =
      exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  return half >= 0x8000 ? -size : size;
}

// Decodes value j of a block from its bytes.
double value_of(q8_0, const std::uint8_t* b, int j) { return static_cast<std::int8_t>(b[2 + j]); }
double value_of(q5_0, const std::uint8_t* b, int j) {
  const int low = j < 16 ? b[6 + j] % 16 : b[6 + j - 16] / 16;
  return low + 16 * (b[2 + j / 8] >> j % 8 & 1) - 16;
}
double value_of(q4_0, const std::uint8_t* b, int j) {
  return (j < 16 ? b[2 + j] % 16 : b[2 + j - 16] / 16) - 8;
}
double value_of(q4_1, const std::uint8_t* b, int j) {
  return j < 16 ? b[4 + j] % 16 : b[4 + j - 16] / 16;
}

template <class B>
class ggml_blocks_test : public testing::Test {};
using formats = testing::Types<q8_0, q5_0, q4_0, q4_1>;
TYPED_TEST_SUITE(ggml_blocks_test, formats);

TYPED_TEST(ggml_blocks_test, values_are_those_of_the_bytes) {
  const bytes b = random_bytes<TypeParam>(3 * 7, 1);
  const block_matrix<TypeParam> blocks(3, 7 * 32, b);
  EXPECT_EQ(bytes(blocks.bytes().begin(), blocks.bytes().end()), b);
  EXPECT_EQ(block_matrix<TypeParam>(
                3, 7 * 32, std::vector<TypeParam>(blocks.blocks().begin(), blocks.blocks().end())),
            blocks);
  const row_matrix<float> w = dequantize(blocks);
  for (index i = 0; i < w.size(); ++i) {
    const std::uint8_t* block = b.data() + i / 32 * index{sizeof(TypeParam)};
    double value = value_of(TypeParam{}, block, static_cast<int>(i % 32)) *
                   half_value(block[0] + 256U * block[1]);
    if (TypeParam::has_minimum) value += half_value(block[2] + 256U * block[3]);
    EXPECT_EQ(w.data()[i], static_cast<float>(value)) << i;
  }
}

#if FEWBIT_HAS_EXCEPTIONS
TYPED_TEST(ggml_blocks_test, names_bad_arguments) {
  const auto sentence = [](index rows, index cols, const bytes& b) {
    return tests::sentence_of([&] { return block_matrix<TypeParam>(rows, cols, b); });
  };
  const std::string size = std::to_string(sizeof(TypeParam));
  const std::string shape = ", expected at least one row of whole blocks of 32";
  EXPECT_EQ(sentence(0, 32, {}), "fewbit: block_matrix: shape is 0 x 32" + shape);
  EXPECT_EQ(sentence(1, 0, {}), "fewbit: block_matrix: shape is 1 x 0" + shape);
  EXPECT_EQ(sentence(1, 48, {}), "fewbit: block_matrix: shape is 1 x 48" + shape);
  EXPECT_EQ(sentence(-1, -32, {}), "fewbit: block_matrix: shape is -1 x -32" + shape);
  EXPECT_EQ(sentence(2, 64, bytes(5)),
            "fewbit: block_matrix: number of bytes is 5, expected 2 rows of 2 blocks of " + size);
  EXPECT_EQ(sentence(1, 64, bytes(sizeof(TypeParam) + 1)),
            "fewbit: block_matrix: number of bytes is " + std::to_string(sizeof(TypeParam) + 1) +
                ", expected 1 rows of 2 blocks of " + size);
  const index most = std::numeric_limits<index>::max() / 32 * 32;
  EXPECT_NE(sentence(most, most, {}), "no error");
  EXPECT_NE(sentence(index{1} << 32, index{1} << 37, {}), "no error");
  bytes b = random_bytes<TypeParam>(6, 2);
  for (const std::size_t at : {std::size_t{0}, std::size_t{TypeParam::has_minimum ? 2U : 0U}}) {
    const std::size_t byte = 4 * sizeof(TypeParam) + at;
    for (const unsigned high : {0x7CU, 0xFCU, 0x7EU}) {
      bytes bad = b;
      bad[byte] = 0;
      bad[byte + 1] = static_cast<std::uint8_t>(high);
      const std::string got = high == 0x7C ? "inf" : high == 0xFC ? "-inf" : "nan";
      EXPECT_EQ(sentence(2, 96, bad), std::string("fewbit: block_matrix: ") +
                                          (at == 0 ? "d" : "m") + " of block (1, 1) is " + got +
                                          ", expected a finite number");
    }
  }
}
#endif

}  // namespace formats_ggml_blocks_test
}  // namespace fewbit
