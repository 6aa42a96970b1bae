#include "fewbit/formats/ggml_grouped_blocks.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "fewbit/formats/ggml_k_blocks.hpp"
#include "fewbit/formats/ggml_table_blocks.hpp"
#include "formats/grouped_oracle.hpp"

namespace fewbit { namespace formats_ggml_grouped_blocks_test {

using namespace fewbit::tests;

template <class B>
std::vector<float> decoded(const std::vector<B>& blocks) {
  std::vector<float> values(blocks.size() * std::size_t{B::weights});
  dequantize_row(blocks.data(), static_cast<index>(blocks.size()), values.data());
  return values;
}

template <class B>
class ggml_grouped_blocks_test : public testing::Test {};
using formats =
    testing::Types<q2_k, q3_k, q4_k, q5_k, q6_k, iq4_nl, iq4_xs, mxfp4, tq1_0, tq2_0, q5_1>;
TYPED_TEST_SUITE(ggml_grouped_blocks_test, formats);

TYPED_TEST(ggml_grouped_blocks_test, values_are_those_of_the_bytes) {
  const auto blocks = random_grouped_blocks<TypeParam>(200, 1);
  const std::vector<float> values = decoded(blocks);
  for (std::size_t b = 0; b < blocks.size(); ++b) {
    std::uint8_t bytes[sizeof(TypeParam)];
    std::memcpy(bytes, &blocks[b], sizeof(TypeParam));
    for (int i = 0; i < TypeParam::weights; ++i) {
      const double want = oracle_value(TypeParam{}, bytes, i);
      const float got = values[b * std::size_t{TypeParam::weights} + static_cast<std::size_t>(i)];
      ASSERT_EQ(got, static_cast<float>(want)) << TypeParam::name << ' ' << b << ' ' << i;
    }
  }
}

/// First two values, last value, sum, and sum of (i + 1) y[i].
template <class B>
void expect_values(const std::array<double, 5>& want, std::uint16_t d = 0x2000,
                   std::uint16_t m = 0x2400) {
  const std::vector<float> y = decoded<B>({acceptance_block<B>(d, m)});
  double sum = 0.0, weighted = 0.0;
  for (std::size_t i = 0; i < y.size(); ++i) {
    sum += double{y[i]};
    weighted += static_cast<double>(i + 1) * double{y[i]};
  }
  const std::array<double, 5> got = {double{y[0]}, double{y[1]}, double{y.back()}, sum, weighted};
  EXPECT_EQ(got, want) << B::name;
}

TEST(ggml_grouped_blocks, give_the_acceptance_values) {
  expect_values<q4_k>({1.8671875, -0.796875, -0.03125, 326.3125, 48013.3125});
  expect_values<q5_k>({5.7421875, -0.796875, 0.4375, 808.9375, 114064.9375});
  expect_values<q6_k>({-11.1796875, 13.25, -0.46875, 36.03125, 6128.28125});
  expect_values<q2_k>({0.2578125, 0, 0, -3.6015625, -811.890625});
  expect_values<q3_k>({0.6328125, -0.84375, 0.328125, 7.484375, 1383.9453125});
  expect_values<iq4_nl>({-0.2734375, 0.1953125, 0.0078125, -2.0078125, -54.0546875});
  expect_values<iq4_xs>({0.5078125, -0.0078125, -0.125, -85.9765625, -16336.984375});
  expect_values<tq1_0>({-1, -1, -1, -2, -131}, 0x3C00);
  expect_values<tq2_0>({2, -1, -1, 129, 17245}, 0x3C00);
  // e = 118 + 2.
  expect_values<mxfp4>({0, 0.0234375, 0.0234375, 0.09765625, 2.4921875}, 2);
}

TEST(ggml_grouped_blocks, decode_every_exponent_of_mxfp4) {
  mxfp4 block{};
  for (auto& q : block.qs) q = 0xF1;  // 0.5 and -6
  for (int e = 0; e < 256; ++e) {
    block.e = static_cast<std::uint8_t>(e);
    const std::vector<float> y = decoded<mxfp4>({block});
    if (e == 255) {
      EXPECT_TRUE(std::isnan(y[0]) && std::isnan(y[16]));
      continue;
    }
    EXPECT_EQ(y[0], std::ldexp(0.5F, e - 127)) << e;
    EXPECT_EQ(y[16], static_cast<float>(std::ldexp(-6.0, e - 127))) << e;
  }
}

/// The byte of ggml for five trits: their number in base 3, times 256 / 243, rounded up.
TEST(ggml_grouped_blocks, decode_all_bytes_of_five_trits) {
  for (int number = 0; number < 243; ++number) {
    tq1_0 block{};
    block.d[1] = 0x3C;
    block.qs[0] = static_cast<std::uint8_t>((number * 256 + 242) / 243);
    const std::vector<float> y = decoded<tq1_0>({block});
    for (int n = 0, power = 81; n < 5; ++n, power /= 3) {
      EXPECT_EQ(y[static_cast<std::size_t>(32 * n)], static_cast<float>(number / power % 3 - 1));
    }
  }
}

}}  // namespace fewbit::formats_ggml_grouped_blocks_test
