#include "fewbit/quant/rounding.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "support/exact.hpp"

namespace fewbit { namespace quant_rounding_test {

/// Multiples of 1/4, the floats next to them, and the ends of the code ranges.
std::vector<float> quotients() {
  std::vector<float> values = {65535.5F, -65535.5F, 32767.49F, -32768.5F,
                               1e-30F,   -1e-30F,   1e-45F,    -0.0F};
  for (int quarter = -1200; quarter <= 1200; ++quarter) {
    const float x = static_cast<float>(quarter) / 4;
    values.push_back(x);
    values.push_back(std::nextafterf(x, 1e9F));
    values.push_back(std::nextafterf(x, -1e9F));
  }
  return values;
}

struct even_oracle {
  using rule = nearest_even;
  static double round(double x) { return std::nearbyint(x); }
};
struct away_oracle {
  using rule = half_away;
  static double round(double x) { return tests::exact_round(x); }
};
struct zero_oracle {
  using rule = toward_zero;
  static double round(double x) { return std::trunc(x); }
};

template <class T>
class rounding_test : public testing::Test {};
using oracles = testing::Types<even_oracle, away_oracle, zero_oracle>;
TYPED_TEST_SUITE(rounding_test, oracles);

TYPED_TEST(rounding_test, equals_the_rule_in_double) {
  for (const float x : quotients()) {
    EXPECT_EQ(TypeParam::rule::round(x), TypeParam::round(double{x})) << x;
  }
}

template <class Rule, int N>
void expect_equal_widths() {
  using vec = arch::vec<float, N>;
  const std::vector<float> values = quotients();
  for (std::size_t i = 0; i + N <= values.size(); i += N) {
    const auto lanes = Rule::round(vec::load(values.data() + i));
    for (int lane = 0; lane < N; ++lane) {
      EXPECT_EQ(lanes[lane], Rule::round(values[i + static_cast<std::size_t>(lane)]));
    }
  }
}

TYPED_TEST(rounding_test, vector_equals_scalar) {
  expect_equal_widths<typename TypeParam::rule, 4>();
  expect_equal_widths<typename TypeParam::rule, 5>();
  expect_equal_widths<typename TypeParam::rule, 8>();
  expect_equal_widths<typename TypeParam::rule, 16>();
}

TEST(stochastic_test, is_the_floor_of_the_exact_sum) {
  const float grid = 0x1p-24F;
  for (const float x : quotients()) {
    for (const float u : {0.0F, grid, 0.25F, 0.5F, 0.75F, 1.0F - grid}) {
      EXPECT_EQ(stochastic::round(x, u), std::floor(double{x} + double{u})) << x << " + " << u;
      const auto lanes = stochastic::round(arch::vec<float, 8>(x), arch::vec<float, 8>(u));
      EXPECT_EQ(lanes[7], stochastic::round(x, u));
    }
  }
}

TEST(stochastic_test, integers_do_not_change_for_any_random_number) {
  for (int x = -300; x <= 300; ++x) {
    for (const float u : {0.0F, 0.5F, 1.0F - 0x1p-24F}) {
      EXPECT_EQ(stochastic::round(static_cast<float>(x), u), x);
    }
  }
}

TEST(stochastic_test, rounds_up_as_often_as_the_fraction) {
  constexpr int draws = 1 << 12;
  for (const float x : {0.25F, -0.25F, 3.75F, -7.5F}) {
    int sum = 0;
    for (int i = 0; i < draws; ++i) sum += stochastic::round(x, static_cast<float>(i) / draws);
    EXPECT_EQ(static_cast<double>(sum) / draws, double{x});
  }
}

static_assert(Rounding<nearest_even> && Rounding<half_away> && Rounding<toward_zero>);
static_assert(Rounding<stochastic> && !Rounding<int>);

}  // namespace quant_rounding_test
}  // namespace fewbit
