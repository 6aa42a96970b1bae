#include "fewbit/ops/softmax.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>

#include "fewbit/ops/softmax16.hpp"
#include "support/code_ops.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace ops_softmax_test {

using tests::plain_clamp;
using tests::random_codes;

/// TFLite's loops: every exponential computed where it is used.
template <class In, class Out>
row_matrix<Out> plain_softmax(const row_matrix<In>& x, const softmax_params& p) {
  row_matrix<Out> y(x.rows(), x.cols());
  for (index r = 0; r < x.rows(); ++r) {
    const int largest = x.row(r).maxCoeff();
    const auto exp_of = [&](index c) {
      return fixed_exp_of_negative<5>(tests::plain_multiply(x(r, c) - largest, p.multiplier));
    };
    std::int64_t sum = 0;
    for (index c = 0; c < x.cols(); ++c) {
      if (x(r, c) - largest >= p.least_difference) sum += tests::plain_divide_by_pot(exp_of(c), 12);
    }
    int zeros = 0;
    while ((sum << zeros) < (1LL << 31)) ++zeros;
    const std::int32_t factor =
        fixed_one_over_one_plus(static_cast<std::int32_t>((sum << zeros) - (1LL << 31)));
    const int places = 43 - zeros - 8 * static_cast<int>(sizeof(Out));
    for (index c = 0; c < x.cols(); ++c) {
      std::int64_t code = std::numeric_limits<Out>::min();
      if (x(r, c) - largest >= p.least_difference && places <= 31)
        code += tests::plain_divide_by_pot(tests::plain_high_mul(factor, exp_of(c)), places);
      y(r, c) = plain_clamp<Out>(code);
    }
  }
  return y;
}

template <class Op, class In, class Out>
void expect_rows(const Op& op, const row_matrix<In>& x, const row_matrix<Out>& expected) {
  row_matrix<Out> y(x.rows(), x.cols());
  op(x, y);
  EXPECT_EQ(y, expected) << x.cols();
  op(x, y.setZero(), tests::reverse_executor{});
  EXPECT_EQ(y, expected);
  if constexpr (std::is_same_v<In, Out>) {
    row_matrix<In> in_place = x;
    op(in_place, in_place);
    EXPECT_EQ(in_place, expected);
  }
}

template <class T>
class ops_softmax : public testing::Test {};
using codes = testing::Types<std::int8_t, std::uint8_t>;
TYPED_TEST_SUITE(ops_softmax, codes);

TYPED_TEST(ops_softmax, equals_plain_loops) {
  using T = TypeParam;
  for (const index n : {index{1}, index{17}, index{64}, index{65}, index{1001}}) {
    for (const float scale : {0.004F, 0.1F, 3.0F, 200.0F}) {
      const softmax<T> op(n, scale);
      const row_matrix<T> x = random_codes<T>(23, n, 1);
      expect_rows(op, x, plain_softmax<T, T>(x, op.params()));
      const softmax<T, std::int16_t> wide(n, scale);
      EXPECT_EQ(wide.params(), op.params());
      expect_rows(wide, x, plain_softmax<T, std::int16_t>(x, op.params()));
    }
  }
  const softmax<T> flat(4095, 0.1F);
  const row_matrix<T> x = row_matrix<T>::Constant(2, 4095, 7);
  expect_rows(flat, x, plain_softmax<T, T>(x, flat.params()));
}

TYPED_TEST(ops_softmax, by_table_equals_plain_loops) {
  using T = TypeParam;
  const auto zero = static_cast<std::int32_t>(std::numeric_limits<T>::min());
  for (const index n : {index{1}, index{17}, index{64}, index{65}, index{1001}}) {
    for (const float x_scale : {0.02F, 0.1F, 1.0F}) {
      const quant_params out{1.0F / 256, zero};
      const row_matrix<T> x = random_codes<T>(23, n, 2);
      row_matrix<T> expected(23, n);
      const double shift =
          std::max(0.0, std::log(double{3.402823466e38F / static_cast<float>(n)}) - 5) /
          double{x_scale};
      for (index r = 0; r < 23; ++r) {
        const int largest = x.row(r).maxCoeff();
        float sum = 0.0F;
        const auto exp_of = [&](index c) {
          return static_cast<float>(std::exp((x(r, c) - largest + shift) * double{x_scale}));
        };
        for (index c = 0; c < n; ++c) sum += exp_of(c);
        for (index c = 0; c < n; ++c) {
          const double product = static_cast<float>(exp_of(c) * 256.0F);  // exact
          const float ratio = n == 1 ? 256.0F : static_cast<float>(product / double{sum});
          const auto code = static_cast<int>(std::nearbyint(ratio)) + zero;
          expected(r, c) = std::is_signed_v<T> ? static_cast<T>(code) : plain_clamp<T>(code);
        }
      }
      expect_rows(table_softmax<T>(n, x_scale, out), x, expected);
    }
  }
}

TEST(ops_softmax16, is_close_to_real_softmax) {
  const float scale = 1e-3F;
  const row_matrix<std::int16_t> x = random_codes<std::int16_t>(9, 37, 3) / 8;
  row_matrix<std::int16_t> y(9, 37), again(9, 37);
  const softmax<std::int16_t> op(37, scale);
  op(x, y);
  op(x, again, tests::reverse_executor{});
  EXPECT_EQ(y, again);
  for (index r = 0; r < 9; ++r) {
    const Eigen::ArrayXd exps =
        ((x.row(r).cast<double>().array() - x.row(r).maxCoeff()) * 1e-3).exp();
    for (index c = 0; c < 37; ++c) EXPECT_NEAR(y(r, c), exps[c] / exps.sum() * 32768, 12);
  }
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(ops_softmax_errors, name_the_argument) {
  using tests::sentence_of;
  EXPECT_EQ(sentence_of([] { return softmax<std::int8_t>(0, 1.0F); }),
            "fewbit: softmax: classes is 0, expected 1 to 4095");
  EXPECT_EQ(sentence_of([] { return softmax<std::int8_t>(3, 0.0F); }),
            "fewbit: softmax: beta * x_scale is 0, expected a finite number of at least 2^-26");
  EXPECT_EQ(sentence_of([] {
              return softmax<std::int8_t>(3, softmax_params{{1, 0}, 1});
            }),
            "fewbit: softmax: params.least_difference is 1, expected 0 or less");
  EXPECT_EQ(sentence_of([] {
              return softmax<std::int8_t>(3, softmax_params{{1, -1}, 0});
            }),
            "fewbit: softmax: params.multiplier.exponent is -1, expected 0 to 31");
  EXPECT_EQ(sentence_of([] {
              return table_softmax<std::uint8_t>(3, 1.0F, {2.0F, 0});
            }),
            "fewbit: table_softmax: y_params.scale is 2, expected at most 1");
  EXPECT_EQ(sentence_of([] { return softmax<std::int16_t>(3, 9.0F); }),
            "fewbit: softmax: beta * x_scale is 9, expected more than 0 and less than 2.5");
}
#endif

}}  // namespace fewbit::ops_softmax_test
