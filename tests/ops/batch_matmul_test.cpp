#include "fewbit/ops/batch_matmul.hpp"

#include <gtest/gtest.h>

#include <cstdint>

#include "support/code_ops.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace ops_batch_matmul_test {

using tests::plain_clamp;
using tests::random_codes;

template <class T>
class ops_batch_matmul : public testing::Test {};
using codes = testing::Types<std::int8_t, std::uint8_t, std::int16_t>;
TYPED_TEST_SUITE(ops_batch_matmul, codes);

TYPED_TEST(ops_batch_matmul, equals_plain_loops) {
  using T = TypeParam;
  const bool wide = sizeof(T) == 2;
  const int zero = wide ? 0 : std::is_signed_v<T> ? -128 : 255;
  for (const auto& [m, k, n] :
       {std::array<index, 3>{1, 1, 1}, {5, 17, 33}, {4, 64, 16}, {3, 700, 65}}) {
    for (const bool transposed : {false, true}) {
      for (const index batches : {1, 3}) {
        const matmul_params p{quantize_multiplier(wide ? 3e-6 : 2e-3), zero, zero, wide ? 0 : 3};
        const batch_matmul<T> op(k, n, p, {transposed, {-30000, 120}});
        const row_matrix<T> a = random_codes<T>(batches * m, k, 1);
        const row_matrix<T> b =
            transposed ? random_codes<T>(batches * n, k, 2) : random_codes<T>(batches * k, n, 2);
        matmul_scratch one = op.make_scratch(), three = op.make_scratch(3);
        row_matrix<T> y(batches * m, n), again(batches * m, n);
        op(a, b, y, one);
        op(a, b, again, three, tests::reverse_executor{});
        EXPECT_EQ(y, again);
        for (index r = 0; r < batches * m; ++r) {
          for (index c = 0; c < n; ++c) {
            std::int64_t sum = 0;
            for (index i = 0; i < k; ++i) {
              const index batch = r / m;
              const T code = transposed ? b(batch * n + c, i) : b(batch * k + i, c);
              sum += std::int64_t{a(r, i) - zero} * (code - zero);
            }
            const std::int64_t scaled =
                wide ? requantize_int64(sum, p.factor)
                     : tests::plain_multiply(static_cast<std::int32_t>(sum), p.factor);
            ASSERT_EQ(y(r, c),
                      plain_clamp<T>(scaled + p.y_zero,
                                     std::is_signed_v<T> ? (wide ? -30000 : -128) : 0, 120));
          }
        }
      }
    }
  }
}

TYPED_TEST(ops_batch_matmul, shares_one_b) {
  using T = TypeParam;
  const quant_params p{0.01F, 0}, out{sizeof(T) == 2 ? 10.0F : 0.5F, 0};
  const batch_matmul<T> op(8, 5, p, p, out);
  matmul_scratch scratch = op.make_scratch();
  const row_matrix<T> a = random_codes<T>(12, 8, 1), b = random_codes<T>(8, 5, 2);
  row_matrix<T> y(12, 5), part(6, 5);
  op(a, b, y, scratch);
  op(a.bottomRows(6), b, part, scratch);
  EXPECT_EQ(y.bottomRows(6), part);
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(ops_batch_matmul_errors, name_the_argument) {
  using tests::sentence_of;
  const quant_params p{1.0F, 0};
  EXPECT_EQ(sentence_of([&] { return batch_matmul<std::int8_t>(0, 1, p, p, p); }),
            "fewbit: batch_matmul: k is 0, expected 1 to 33000");
  EXPECT_EQ(sentence_of([&] { return batch_matmul<std::int8_t>(1, 0, p, p, p); }),
            "fewbit: batch_matmul: n is 0, expected 1 or more");
  EXPECT_EQ(sentence_of([&] {
              return batch_matmul<std::int16_t>(1, 1, p, p, {1e-6F, 0});
            }),
            "fewbit: batch_matmul: a_params.scale * b_params.scale / y_params.scale is 1000000, "
            "expected less than 2^7");
  EXPECT_EQ(sentence_of([&] {
              return batch_matmul<std::int16_t>(1, 1, {{1, 8}, 0, 0, 0});
            }),
            "fewbit: batch_matmul: params.factor.exponent is 8, expected -31 to 7");
}
#endif

TEST(ops_batch_matmul_calls, stop_on_small_scratch) {
  const batch_matmul<std::int8_t> op(4, 4, {1.0F, 0}, {1.0F, 0}, {1.0F, 0});
  const row_matrix<std::int8_t> a(2, 4), b(4, 4), c(5, 4);
  row_matrix<std::int8_t> y(2, 4);
  matmul_scratch none, scratch = op.make_scratch();
  EXPECT_DEATH(op(a, b, y, none), "fewbit: batch_matmul: scratch.packed.slots\\(\\) is 0");
  EXPECT_DEATH(op(a, c, y, scratch), "fewbit: batch_matmul: b.rows\\(\\) is 5, expected 4");
}

}}  // namespace fewbit::ops_batch_matmul_test
