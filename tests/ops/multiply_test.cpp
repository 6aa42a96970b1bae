#include "fewbit/ops/multiply.hpp"

#include <gtest/gtest.h>

#include <cstdint>

#include "support/code_ops.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace ops_multiply_test {

using tests::plain_clamp;
using tests::random_codes;

template <class T>
class ops_multiply : public testing::Test {};
using codes = testing::Types<std::int8_t, std::uint8_t, std::int16_t>;
TYPED_TEST_SUITE(ops_multiply, codes);

TYPED_TEST(ops_multiply, equals_plain_loops) {
  using T = TypeParam;
  const bool wide = sizeof(T) == 2;
  const int zero = wide ? 0 : std::is_signed_v<T> ? -9 : 140;
  const elementwise_multiply<T> op({0.02F, zero}, {0.03F, zero + (wide ? 0 : 50)},
                                   {wide ? 13.0F : 0.07F, zero}, {-3000, 120});
  const elementwise_multiply<T> same(op.params(), {-3000, 120});
  EXPECT_EQ(op.params(), same.params());
  for (const index n : {1, 17, 63, 64, 65, 20000}) {
    const row_matrix<T> a = random_codes<T>(2, n, 1), b = random_codes<T>(2, n, 2);
    row_matrix<T> y(2, n), again(2, n), in_place = a;
    op(a, b, y);
    op(a, b, again, tests::reverse_executor{});
    same(in_place, b, in_place);
    EXPECT_EQ(y, again);
    EXPECT_EQ(y, in_place);
    const multiply_params& p = op.params();
    for (index i = 0; i < y.size(); ++i) {
      const std::int32_t product = (a.data()[i] - p.a_zero) * (b.data()[i] - p.b_zero);
      const std::int64_t code = std::int64_t{tests::plain_multiply(product, p.factor)} + p.y_zero;
      ASSERT_EQ(y.data()[i], plain_clamp<T>(code, op.bounds().lowest, op.bounds().highest)) << i;
    }
  }
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(ops_multiply_errors, name_the_argument) {
  using tests::sentence_of;
  const quant_params p{1.0F, 0};
  EXPECT_EQ(sentence_of([&] { return elementwise_multiply<std::int16_t>(p, p, p); }),
            "fewbit: elementwise_multiply: a_params.scale * b_params.scale / y_params.scale is 1, "
            "expected less than 1");
  EXPECT_EQ(sentence_of([&] {
              return elementwise_multiply<std::int8_t>(p, {-1.0F, 0}, p);
            }),
            "fewbit: elementwise_multiply: b_params.scale is -1, expected a finite number of at "
            "least 2^-126");
  EXPECT_EQ(sentence_of([&] {
              return elementwise_multiply<std::int8_t>({{1, 16}, 0, 0, 0});
            }),
            "fewbit: elementwise_multiply: params.factor.exponent is 16, expected -31 to 15");
}
#endif

TEST(ops_multiply_calls, stop_on_other_shapes) {
  const elementwise_multiply<std::int8_t> op({1.0F, 0}, {1.0F, 0}, {2.0F, 0});
  const row_matrix<std::int8_t> a(2, 3);
  row_matrix<std::int8_t> y(1, 3);
  EXPECT_DEATH(op(a, a, y), "fewbit: elementwise_multiply: y.rows\\(\\) is 1, expected 2");
}

}}  // namespace fewbit::ops_multiply_test
