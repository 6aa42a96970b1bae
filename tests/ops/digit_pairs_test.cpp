#include "fewbit/ops/digit_pairs.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

namespace fewbit { namespace ops_digit_pairs_test {

/// A rounded sum of two codes: floor(a_factor * (a - a_zero) +- b_factor * (b - b_zero) + y_zero +
/// 1/2), clamped. If `away`, ties of negative sums go down.
struct sum_case {
  double a_factor, b_factor;
  int a_zero, b_zero, y_zero;
  code_bounds bounds;
  bool away = false;

  [[nodiscard]] int operator()(int a, int b, int sign) const {
    const double sum = a_factor * (a - a_zero) + sign * b_factor * (b - b_zero);
    const double rounded = away && sum < 0 ? std::ceil(sum - 0.5) : std::floor(sum + 0.5);
    return static_cast<int>(std::clamp<double>(rounded + y_zero, bounds.lowest, bounds.highest));
  }
};

template <class T, bool Subtracts>
void expect_formula(const sum_case& c) {
  SCOPED_TRACE(testing::Message() << c.a_factor << " " << c.b_factor << " " << Subtracts);
  constexpr int least = std::numeric_limits<T>::min();
  std::vector<T> a, b, expected;
  for (int i = 0; i < 65536; ++i) {
    a.push_back(static_cast<T>(least + i / 256));
    b.push_back(static_cast<T>(least + i % 256));
    expected.push_back(static_cast<T>(c(a.back(), b.back(), Subtracts ? -1 : 1)));
  }
  detail::digit_pairs<T, Subtracts> formula;
  ASSERT_TRUE(
      formula.fit(c.a_factor, c.b_factor, c.a_zero, c.b_zero, c.y_zero, c.bounds, expected.data()));
  std::vector<T> y(65536);
  formula(65536, c.bounds, a.data(), b.data(), y.data());
  EXPECT_EQ(y, expected);
  std::vector<T> few(71, T{7});
  formula(67, c.bounds, a.data() + 1000, b.data() + 1000, few.data());
  EXPECT_TRUE(std::equal(few.begin(), few.begin() + 67, expected.begin() + 1000));
  EXPECT_TRUE(std::all_of(few.begin() + 67, few.end(), [](T code) { return code == 7; }));
}

template <class T>
class ops_digit_pairs : public testing::Test {};
using codes = testing::Types<std::int8_t, std::uint8_t>;
TYPED_TEST_SUITE(ops_digit_pairs, codes);

TYPED_TEST(ops_digit_pairs, give_all_results) {
  const int least = std::numeric_limits<TypeParam>::min();
  const int most = std::numeric_limits<TypeParam>::max();
  const sum_case cases[] = {
      {0.8030942, 0.4683544, least + 131, least + 135, least + 133, {least, most}},
      {0.9971913, 0.9871234, least, least, least, {least, most}},  // large offset: 6 places
      {0.9971913, 0.9871234, most, most, most, {least + 20, most - 30}},
      {1.7713355, 1.1212121, least + 100, least + 140, least + 128, {least, most}},
      {31.0123457, 0.0123457, least + 100, least + 140, least + 128, {least, most}},  // 3 places
      {0.0713355, 0.0212121, least + 100, least + 140, least + 128, {least + 1, most}},
      // Last digits of 127 leave no room in int16 for most offsets.
      {(104 * 16384 + 127) * 0x1p-21,
       (60 * 16384 + 127) * 0x1p-21,
       least + 137,
       least + 90,
       least + 131,
       {least, most}},
      {0.0, 0.7512345, least + 1, least + 2, least + 3, {least, most}},
      {0.5, 0.5, least + 128, least + 127, least + 126, {least, most}, true},  // ties
      {0.5, 0.25, least, most, least + 128, {least + 128, most}, true},
      {0.5, 0.25, least, most, least + 128, {least, most}, false},
  };
  for (const sum_case& c : cases) {
    expect_formula<TypeParam, false>(c);
    expect_formula<TypeParam, true>(c);
  }
}

TYPED_TEST(ops_digit_pairs, fit_most_factors) {
  std::mt19937 random(5);
  std::uniform_real_distribution<double> factor(0.1, 1.2);
  constexpr code_bounds bounds{std::numeric_limits<TypeParam>::min(),
                               std::numeric_limits<TypeParam>::max()};
  std::uniform_int_distribution<int> code(bounds.lowest, bounds.highest);
  for (int i = 0; i < 12; ++i) {
    expect_formula<TypeParam, false>(
        {factor(random), factor(random), code(random), code(random), code(random), bounds});
  }
}

TYPED_TEST(ops_digit_pairs, refuse_what_is_no_rounded_sum) {
  detail::digit_pairs<TypeParam, false> formula;
  constexpr code_bounds bounds{std::numeric_limits<TypeParam>::min(),
                               std::numeric_limits<TypeParam>::max()};
  std::vector<TypeParam> results(65536);
  std::mt19937 random(6);
  for (TypeParam& code : results) code = static_cast<TypeParam>(random());
  EXPECT_FALSE(formula.fit(0.5, 0.5, 0, 0, 0, bounds, results.data()));
  EXPECT_FALSE(formula.fit(1e6, 0.5, 0, 0, 0, bounds, results.data()));
}

}}  // namespace fewbit::ops_digit_pairs_test
