#include "fewbit/formats/ggml_grouped_convert.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "fewbit/quant/dequantize.hpp"
#include "formats/grouped_oracle.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace formats_ggml_grouped_convert_test {

using namespace fewbit::tests;

template <class B>
class ggml_grouped_convert_test : public testing::Test {};
using formats =
    testing::Types<q2_k, q3_k, q4_k, q5_k, q6_k, iq4_nl, iq4_xs, mxfp4, tq1_0, tq2_0, q5_1>;
TYPED_TEST_SUITE(ggml_grouped_convert_test, formats);

/// Random blocks that can be converted: positive halves before minima, no code 3 in tq2_0.
template <class B>
std::vector<B> convertible_blocks(std::size_t count, unsigned seed) {
  auto blocks = random_grouped_blocks<B>(count, seed, B::has_minimum);
  if constexpr (std::is_same_v<B, tq2_0>) {
    for (tq2_0& b : blocks) {
      for (auto& q : b.qs) q = static_cast<std::uint8_t>(q & ~(q >> 1 & 0x55));
    }
  }
  return blocks;
}

TYPED_TEST(ggml_grouped_convert_test, keeps_every_value) {
  constexpr index cols = 3 * TypeParam::weights, rows = 20;
  auto blocks = convertible_blocks<TypeParam>(60, 2);
  const std::uint8_t zero[2] = {0, 0};
  if constexpr (!std::is_same_v<TypeParam, mxfp4>) set_halves(blocks[5], zero, zero);
  const auto q = to_quantized<TypeParam>(rows, cols, blocks);
  EXPECT_EQ(q.rows(), rows);
  const row_matrix<float> w = dequantize(q);
  for (index r = 0; r < rows; ++r) {
    for (index c = 0; c < cols; ++c) {
      std::uint8_t bytes[sizeof(TypeParam)];
      std::memcpy(bytes, &blocks[static_cast<std::size_t>(3 * r + c / TypeParam::weights)],
                  sizeof(TypeParam));
      const double want =
          oracle_value(TypeParam{}, bytes, static_cast<int>(c % TypeParam::weights));
      ASSERT_EQ(w(r, c), static_cast<float>(want)) << TypeParam::name << ' ' << r << ' ' << c;
    }
  }
}

#if FEWBIT_HAS_EXCEPTIONS
TYPED_TEST(ggml_grouped_convert_test, names_bad_arguments) {
  const auto blocks = convertible_blocks<TypeParam>(6, 3);
  const index n = TypeParam::weights;
  const auto sentence = [](index rows, index cols, const std::vector<TypeParam>& b) {
    return sentence_of([&] { return to_quantized<TypeParam>(rows, cols, b).rows(); });
  };
  EXPECT_EQ(sentence(2, 3 * n, blocks), "no error");
  EXPECT_EQ(sentence(0, n, {}), "fewbit: to_quantized: shape is 0 x " + std::to_string(n) +
                                    ", expected at least one row of whole blocks of " +
                                    std::to_string(n));
  EXPECT_NE(sentence(1, n + 1, blocks), "no error");
  EXPECT_NE(sentence(1, -n, blocks), "no error");
  EXPECT_EQ(sentence(2, 2 * n, blocks),
            "fewbit: to_quantized: number of blocks is 6, expected 2 rows of 2");
  EXPECT_NE(sentence(4, n, blocks), "no error");

  auto bad = blocks;
  const std::uint8_t infinite[2] = {0, 0x7C}, negative[2] = {0, 0xBC}, one[2] = {0, 0x3C};
  const std::string start = "fewbit: to_quantized: block (1, 1) is a block with ",
                    end = ", expected a block whose values the scheme can hold";
  if constexpr (std::is_same_v<TypeParam, mxfp4>) {
    bad[4].e = 255;
    EXPECT_EQ(sentence(2, 3 * n, bad), start + "a scale that is not finite" + end);
    bad[4].e = 1;
    EXPECT_EQ(sentence(2, 3 * n, bad), start + "a scale below 2^-126" + end);
    for (auto& q : bad[4].qs) q = 0x80;
    EXPECT_EQ(sentence(2, 3 * n, bad), "no error");
  } else {
    set_halves(bad[4], infinite, one);
    EXPECT_EQ(sentence(2, 3 * n, bad), start + "a scale that is not finite" + end);
    if constexpr (TypeParam::has_minimum) {
      set_halves(bad[4], one, infinite);
      EXPECT_EQ(sentence(2, 3 * n, bad), start + "a minimum that is not finite" + end);
      set_halves(bad[4], negative, one);
      EXPECT_EQ(sentence(2, 3 * n, bad), start + "a negative scale" + end);
    } else {
      set_halves(bad[4], negative, one);
      EXPECT_EQ(sentence(2, 3 * n, bad), "no error");
    }
  }
  if constexpr (std::is_same_v<TypeParam, tq2_0>) {
    set_halves(bad[4], one, one);
    bad[4].qs[7] = 0xC0;
    EXPECT_EQ(sentence(2, 3 * n, bad), start + "a code out of range" + end);
  }
}
#endif

}}  // namespace fewbit::formats_ggml_grouped_convert_test
