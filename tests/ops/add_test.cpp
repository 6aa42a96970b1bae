#include "fewbit/ops/add.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>

#include "support/code_ops.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace ops_add_test {

using tests::plain_clamp;
using tests::plain_multiply;
using tests::random_codes;

template <class T>
T plain_sum(T a, T b, const add_params& p, int sign, const code_bounds& bounds) {
  const std::int32_t x = plain_multiply((a - p.a_zero) * (1 << p.left_shift), p.a);
  const std::int32_t y = plain_multiply((b - p.b_zero) * (1 << p.left_shift), p.b);
  return plain_clamp<T>(std::int64_t{plain_multiply(x + sign * y, p.y)} + p.y_zero,
                        std::max<int>(bounds.lowest, std::numeric_limits<T>::min()),
                        std::min<int>(bounds.highest, std::numeric_limits<T>::max()));
}

template <class T>
class ops_add : public testing::Test {
 protected:
  static constexpr bool is_wide = sizeof(T) == 2;
  static constexpr int middle = std::is_signed_v<T> ? 0 : 128;

  template <class Op>
  static void expect_plain(const Op& op, const row_matrix<T>& a, const row_matrix<T>& b, int sign) {
    row_matrix<T> y(a.rows(), a.cols()), again(a.rows(), a.cols());
    op(a, b, y);
    op(a, b, again, tests::reverse_executor{});
    EXPECT_EQ(y, again);
    index wrong = 0;
    for (index i = 0; i < y.size(); ++i) {
      wrong +=
          y.data()[i] != plain_sum<T>(a.data()[i], b.data()[i], op.params(), sign, op.bounds());
    }
    EXPECT_EQ(wrong, 0);
  }
};
using codes = testing::Types<std::int8_t, std::uint8_t, std::int16_t>;
TYPED_TEST_SUITE(ops_add, codes);

TYPED_TEST(ops_add, equals_plain_loops_for_all_pairs) {
  using T = TypeParam;
  const bool wide = sizeof(T) == 2;
  const int zero = wide ? 0 : this->middle;
  const quant_params sides[][3] = {
      {{0.0213F, zero}, {0.0317F, zero}, {0.0409F, zero}},
      {{0.5F, zero}, {0.5F, zero}, {1.0F, zero}},      // ties
      {{0.02F, zero}, {0.031F, zero}, {0.04F, zero}},  // no formula: inexact halves
      {{1.0F, zero}, {1e-3F, zero}, {0.9F, zero}},
      {{0.7F, wide ? 0 : zero + 100}, {0.3F, wide ? 0 : zero - 128}, {3.0F, wide ? 0 : zero + 127}},
  };
  row_matrix<T> a(256, 256), b(256, 256);
  for (int i = 0; i < 256; ++i) {
    for (int j = 0; j < 256; ++j) {
      a(i, j) = static_cast<T>((std::numeric_limits<T>::min() + i * (wide ? 257 : 1)));
      b(i, j) = static_cast<T>((std::numeric_limits<T>::min() + j * (wide ? 257 : 1)));
    }
  }
  for (const auto& [pa, pb, py] : sides) {
    SCOPED_TRACE(testing::Message() << pa.scale << " " << pb.scale << " " << py.scale);
    this->expect_plain(elementwise_add<T>(pa, pb, py), a, b, 1);
    this->expect_plain(elementwise_subtract<T>(pa, pb, py, {10, 100}), a, b, -1);
  }
}

TYPED_TEST(ops_add, takes_every_length_and_multipliers_of_others) {
  using T = TypeParam;
  const add_params p{
      {1073741824, 0},         {1518500250, -1}, {1073741824, sizeof(T) == 2 ? -14 : -19}, 0, 0, 0,
      sizeof(T) == 2 ? 15 : 20};
  const elementwise_add<T> add(p, {-2000, 30000});
  EXPECT_EQ(add.params(), p);
  for (const index n : {index{1}, index{17}, index{63}, index{64}, index{65}, index{40000}})
    this->expect_plain(add, random_codes<T>(1, n, 1), random_codes<T>(1, n, 2), 1);
  this->expect_plain(add, random_codes<T>(300, 70, 3), random_codes<T>(300, 70, 4), 1);
  this->expect_plain(add, random_codes<T>(0, 70, 3), random_codes<T>(0, 70, 4), 1);
}

TYPED_TEST(ops_add, writes_in_place_and_to_blocks) {
  using T = TypeParam;
  const quant_params side{0.1F, 0}, out{0.2F, 0};
  const elementwise_add<T> add(side, side, out);
  const row_matrix<T> a = random_codes<T>(5, 100, 5), b = random_codes<T>(5, 100, 6);
  row_matrix<T> expected(5, 100), in_place = a, wide = random_codes<T>(5, 130, 7);
  add(a, b, expected);
  add(in_place, b, in_place);
  EXPECT_EQ(in_place, expected);
  const row_matrix<T> before = wide;
  add(a, b, wide.middleCols(20, 100));
  EXPECT_EQ(wide.middleCols(20, 100), expected);
  EXPECT_EQ(wide.leftCols(20), before.leftCols(20));
  EXPECT_EQ(wide.rightCols(10), before.rightCols(10));
}

TYPED_TEST(ops_add, adds_one_row_to_all) {
  using T = TypeParam;
  const elementwise_add<T> add({0.1F, 0}, {0.2F, 0}, {0.3F, 0});
  for (const index n : {3, 64, 20000}) {
    const row_matrix<T> a = random_codes<T>(5, n, 5), b = random_codes<T>(1, n, 6);
    row_matrix<T> expected(5, n), y(5, n);
    add(a, b.replicate(5, 1).eval(), expected);
    add(a, b, y);
    EXPECT_EQ(y, expected);
    add(a.row(0), b, y.row(0));
    EXPECT_EQ(y, expected);
  }
}

TEST(ops_add_float, rounds_fused_sums_to_even) {
  const quant_params a{0.0213F, 3}, b{0.5F, -7}, out{0.25F, 9};
  const elementwise_add<std::int8_t, onnxruntime_float> add(a, b, out);
  const elementwise_subtract<std::int8_t, onnxruntime_float> subtract(a, b, out, {-20, 90});
  row_matrix<std::int8_t> x = random_codes<std::int8_t>(3, 91, 8),
                          z = random_codes<std::int8_t>(3, 91, 9);
  row_matrix<std::int8_t> sum(3, 91), difference(3, 91);
  add(x, z, sum);
  subtract(x, z, difference, tests::reverse_executor{});
  for (index i = 0; i < x.size(); ++i) {
    const auto plain = [&](float ratio_b) {
      const float ratio_a = a.scale / out.scale;
      volatile float product = ratio_b * static_cast<float>(b.zero_point);
      const float zeros = std::fma(ratio_a, static_cast<float>(a.zero_point), product);
      const float constant = static_cast<float>(out.zero_point) - zeros;
      return std::nearbyint(std::fma(static_cast<float>(x.data()[i]), ratio_a,
                                     std::fma(static_cast<float>(z.data()[i]), ratio_b, constant)));
    };
    EXPECT_EQ(sum.data()[i], plain_clamp<std::int8_t>(std::llrint(plain(2.0F))));
    EXPECT_EQ(difference.data()[i], plain_clamp<std::int8_t>(std::llrint(plain(-2.0F)), -20, 90));
  }
}

TEST(ops_add_formula, is_found_for_scales_of_networks) {
  EXPECT_TRUE(elementwise_add<std::int8_t>({0.0213F, 3}, {0.0317F, -5}, {0.0409F, 7}).is_fast());
  EXPECT_TRUE(elementwise_add<std::uint8_t>({0.5F, 128}, {0.5F, 0}, {1.0F, 7}).is_fast());
  EXPECT_FALSE(elementwise_add<std::int16_t>({0.5F, 0}, {0.5F, 0}, {1.0F, 0}).is_fast());
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(ops_add_errors, name_the_argument) {
  const quant_params p{1.0F, 0};
  const auto add = [](const quant_params& a, const quant_params& b, const quant_params& y,
                      const code_bounds& bounds = {}) {
    return tests::sentence_of([&] { return elementwise_add<std::int8_t>(a, b, y, bounds); });
  };
  EXPECT_EQ(add({0.0F, 0}, p, p),
            "fewbit: elementwise_add: a_params.scale is 0, expected a finite number of at least "
            "2^-126");
  EXPECT_EQ(add(p, {1.0F, 128}, p),
            "fewbit: elementwise_add: b_params.zero_point is 128, expected -128 to 127");
  EXPECT_EQ(
      add(p, p, {1e-6F, 0}),
      "fewbit: elementwise_add: y_params.scale is 1e-06, expected more than 1.90734863e-06, for "
      "the scales of a and b");
  EXPECT_EQ(add(p, p, p, {5, 4}),
            "fewbit: elementwise_add: bounds.lowest is 5, expected at most bounds.highest, 4, and "
            "both around codes -128 to 127");
  EXPECT_EQ(tests::sentence_of([&] {
              return elementwise_add<std::int16_t>(p, p, {1.0F, 1});
            }),
            "fewbit: elementwise_add: y_params.zero_point is 1, expected 0");
  add_params own{{1 << 30, 0}, {1 << 30, 0}, {1 << 30, -19}, 0, 0, 0, 20};
  const auto subtract = [&] {
    return tests::sentence_of([&] { return elementwise_subtract<std::int8_t>(own); });
  };
  EXPECT_EQ(subtract(), "no error");
  own.y.exponent = 1;
  EXPECT_EQ(subtract(), "fewbit: elementwise_subtract: params.y.exponent is 1, expected -31 to 0");
  own.y = {-1, 0};
  EXPECT_EQ(subtract(),
            "fewbit: elementwise_subtract: params.y.mantissa is -1, expected 0 or more");
  own.y.mantissa = 1;
  own.left_shift = 21;
  EXPECT_EQ(subtract(), "fewbit: elementwise_subtract: params.left_shift is 21, expected 0 to 20");
  own.left_shift = 20;
  own.b_zero = 200;
  EXPECT_EQ(subtract(), "fewbit: elementwise_subtract: params.b_zero is 200, expected -128 to 127");
}
#endif

TEST(ops_add_calls, stop_on_other_shapes) {
  const elementwise_add<std::int8_t> add({1.0F, 0}, {1.0F, 0}, {2.0F, 0});
  const row_matrix<std::int8_t> a(2, 3), b(2, 4);
  row_matrix<std::int8_t> y(2, 3);
  EXPECT_DEATH(add(a, b, y), "fewbit: elementwise_add: b.cols\\(\\) is 4, expected 3");
}

}}  // namespace fewbit::ops_add_test
