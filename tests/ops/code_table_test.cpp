#include "fewbit/ops/code_table.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>

#include "support/code_ops.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace ops_code_table_test {

using tests::random_codes;

template <class T>
class ops_code_table : public testing::Test {};
using codes = testing::Types<std::int8_t, std::uint8_t>;
TYPED_TEST_SUITE(ops_code_table, codes);

TYPED_TEST(ops_code_table, looks_up_every_length) {
  using T = TypeParam;
  std::uint32_t state = 1;
  std::array<T, 256> entries;
  for (T& e : entries) e = static_cast<T>((state = state * 1664525 + 1013904223) >> 24);
  const code_table<T> table([&](T x) { return entries[static_cast<std::uint8_t>(x)]; });
  for (const index n : {0, 1, 17, 63, 64, 65, 127, 128, 129, 256, 40000}) {
    const row_matrix<T> x = random_codes<T>(1, n, 4);
    const row_matrix<T> expected =
        x.unaryExpr([&](T v) { return entries[static_cast<std::uint8_t>(v)]; });
    row_matrix<T> y(1, n);
    table(x, y);
    EXPECT_EQ(y, expected) << n;
    table(x, y.setZero(), tests::reverse_executor{});
    EXPECT_EQ(y, expected) << n;
  }
  for (int i = 0; i < 256; ++i)
    EXPECT_EQ(table[static_cast<T>(i)], entries[static_cast<std::size_t>(i)]);
  row_matrix<T> all(5, 77), before = random_codes<T>(5, 100, 5);
  all = before.leftCols(77);
  row_matrix<T> in_place = before;
  table(in_place.leftCols(77), in_place.leftCols(77));
  EXPECT_EQ(in_place.rightCols(23), before.rightCols(23));
  EXPECT_EQ(in_place.leftCols(77),
            all.unaryExpr([&](T v) { return entries[static_cast<std::uint8_t>(v)]; }).eval());
}

TYPED_TEST(ops_code_table, rounds_functions_to_even) {
  using T = TypeParam;
  const int zero = std::is_signed_v<T> ? -3 : 120;
  const quant_params in{0.05F, zero}, out{1.0F / 256, std::is_signed_v<T> ? -128 : 0};
  const code_table<T> table(in, out, functions::sigmoid);
  const code_table<T> half({1.0F, zero}, {2.0F, zero}, [](float x) { return x; });
  const code_table<T> infinite({1.0F, zero}, {2.0F, zero}, [](float x) { return 1 / x; });
  for (int x = std::numeric_limits<T>::min(); x <= std::numeric_limits<T>::max(); ++x) {
    const double real = 1 / (1 + std::exp(-double{0.05F} * (x - zero)));
    EXPECT_EQ(table[static_cast<T>(x)],
              tests::plain_clamp<T>(std::llrint(real * 256) + out.zero_point));
    EXPECT_EQ(half[static_cast<T>(x)], tests::plain_clamp<T>(std::llrint((x - zero) / 2.0) + zero));
  }
  EXPECT_EQ(infinite[static_cast<T>(zero)], std::numeric_limits<T>::max());
}

TEST(ops_code_table_functions, are_the_activations) {
  EXPECT_EQ(functions::relu6(-1.0F), 0.0F);
  EXPECT_EQ(functions::relu6(7.0F), 6.0F);
  EXPECT_EQ(functions::sigmoid(0.0F), 0.5F);
  EXPECT_EQ(functions::hard_swish(3.0F), 3.0F);
  EXPECT_EQ(functions::hard_swish(-1.0F), static_cast<float>(-1.0 / 3));
  EXPECT_EQ(functions::hard_sigmoid(0.0F), 0.5F);
  EXPECT_EQ(functions::elu(2.0F), 2.0F);
  EXPECT_NEAR(functions::elu(-1.0F), -0.632121F, 1e-6F);
  EXPECT_NEAR(functions::gelu(1.0F), 0.841345F, 1e-6F);
  EXPECT_NEAR(functions::silu(1.0F), 0.731059F, 1e-6F);
  EXPECT_NEAR(functions::tanh(1.0F), 0.761594F, 1e-6F);
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(ops_code_table_errors, name_the_argument) {
  const quant_params p{1.0F, 0};
  EXPECT_EQ(tests::sentence_of([&] {
              return code_table<std::int8_t>(p, {1.0F, 128}, functions::tanh);
            }),
            "fewbit: code_table: y_params.zero_point is 128, expected -128 to 127");
  EXPECT_EQ(tests::sentence_of([&] {
              return code_table<std::int8_t>(p, p, [](float x) { return std::sqrt(x); });
            }),
            "fewbit: code_table: f(-128) is nan, expected a number");
}
#endif

}}  // namespace fewbit::ops_code_table_test
