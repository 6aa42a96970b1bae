#include "fewbit/ops/activations.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cfloat>
#include <cmath>
#include <cstddef>
#include <limits>
#include <random>
#include <vector>

namespace fewbit {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

/// Values of every kind, ties of the scale 0.5 among them, in an order that moves them through the
/// lanes of any register.
std::vector<float> mixed(std::size_t n, unsigned seed) {
  const std::vector<float> special = {nan,     -nan,     infinity, -infinity, 0.0F,     -0.0F,
                                      FLT_MAX, -FLT_MAX, FLT_MIN,  1e-44F,    0.25F,    -0.75F,
                                      1.25F,   -1.25F,   63.25F,   -63.75F,   63.9999F, 1e9F};
  std::mt19937 random(seed);
  std::vector<float> values;
  while (values.size() < n) {
    const auto draw = random();
    values.push_back(draw % 2 == 0
                         ? special[draw / 2 % special.size()]
                         : static_cast<float>(static_cast<int>(random() % 40001) - 20000) / 157.0F);
  }
  return values;
}

/// The documented formula in double, the product rounded to float by a volatile.
int expected_code(float x, const quant_params& p, int lo, int hi) {
  if (x != x) return p.zero_point;
  volatile float quotient = x * (1.0F / p.scale);
  const double code = std::nearbyint(double{quotient}) + p.zero_point;
  return static_cast<int>(std::fmin(std::fmax(code, lo), hi));
}

template <class Code>
class row_quantizer_test : public testing::Test {};
using code_types = testing::Types<std::int8_t, std::uint8_t>;
TYPED_TEST_SUITE(row_quantizer_test, code_types);

TYPED_TEST(row_quantizer_test, equals_a_plain_loop_at_every_length) {
  constexpr int lo = std::numeric_limits<TypeParam>::min();
  constexpr int hi = std::numeric_limits<TypeParam>::max();
  for (const quant_params& p :
       {quant_params{0.5F, lo}, {0.5F, hi}, {0.5F, 3}, {0.0371F, 100}, {FLT_MIN, 1}, {1e30F, 7}}) {
    for (const int lowest : {lo, lo + 1}) {
      if (p.zero_point < lowest) continue;
      const detail::row_quantizer<TypeParam> quantizer(p, lowest, hi);
      for (std::size_t n = 0; n <= 70; ++n) {
        const std::vector<float> x = mixed(n, static_cast<unsigned>(n));
        std::vector<TypeParam> codes(n), expected;
        for (const float v : x) {
          expected.push_back(static_cast<TypeParam>(expected_code(v, p, lowest, hi)));
        }
        quantizer(x.data(), static_cast<index>(n), codes.data());
        ASSERT_EQ(codes, expected) << n << " values, scale " << p.scale;
      }
    }
  }
}

TYPED_TEST(row_quantizer_test, writes_no_code_beyond_the_row) {
  const std::vector<float> x = mixed(100, 1);
  const detail::row_quantizer<TypeParam> quantizer({0.5F, 3}, 0, 100);
  for (index n = 0; n < 70; ++n) {
    std::vector<TypeParam> codes(100, TypeParam{111});
    quantizer(x.data(), n, codes.data());
    for (auto i = static_cast<std::size_t>(n); i < codes.size(); ++i) ASSERT_EQ(codes[i], 111);
  }
}

/// Vectors of exact size, so that a sanitizer sees what is read beyond them.
TEST(finite_amax, equals_a_plain_loop_at_every_length) {
  for (unsigned n = 0; n <= 150; ++n) {
    std::vector<float> x = mixed(n, n + 1000);
    for (float& v : x) {  // else FLT_MAX would be the answer nearly everywhere
      if (std::abs(v) <= FLT_MAX) v = std::fmod(v, 200.0F);
    }
    float expected = 0.0F;
    for (const float v : x) {
      const float size = std::abs(v);
      if (size <= FLT_MAX && size > expected) expected = size;
    }
    EXPECT_EQ(detail::finite_amax(x.data(), static_cast<index>(n)), expected) << n << " values";
  }
}

TEST(finite_amax, finds_one_value_anywhere) {
  for (std::size_t n = 1; n <= 70; ++n) {
    for (std::size_t place = 0; place < n; ++place) {
      for (const float filler : {0.5F, nan, -infinity, infinity}) {
        std::vector<float> x(n, filler);
        x[place] = -2.75F;
        ASSERT_EQ(detail::finite_amax(x.data(), static_cast<index>(n)), 2.75F);
      }
    }
  }
}

TEST(finite_amax, of_nothing_finite_is_zero) {
  const std::vector<float> x = {nan, infinity, -infinity, -nan, -0.0F};
  for (index n = 0; n <= 5; ++n) {
    EXPECT_EQ(std::bit_cast<std::uint32_t>(detail::finite_amax(x.data(), n)), 0U);
  }
  const float subnormal = -std::numeric_limits<float>::denorm_min();
  EXPECT_EQ(detail::finite_amax(&subnormal, 1), -subnormal);
  const float largest = -FLT_MAX;
  EXPECT_EQ(detail::finite_amax(&largest, 1), FLT_MAX);
}

TEST(dynamic_scale, maps_the_largest_value_to_127) {
  EXPECT_EQ(detail::dynamic_scale(127.0F), 1.0F);
  EXPECT_EQ(detail::dynamic_scale(254.0F), 2.0F);
  EXPECT_EQ(detail::dynamic_scale(1.0F), 1.0F / 127.0F);
  EXPECT_EQ(detail::dynamic_scale(FLT_MAX), FLT_MAX / 127.0F);
}

TEST(dynamic_scale, stays_a_normal_number) {
  EXPECT_EQ(detail::dynamic_scale(0.0F), 1.0F);
  EXPECT_EQ(detail::dynamic_scale(std::numeric_limits<float>::denorm_min()), FLT_MIN);
  EXPECT_EQ(detail::dynamic_scale(126.0F * FLT_MIN), FLT_MIN);
  EXPECT_EQ(detail::dynamic_scale(127.0F * FLT_MIN), FLT_MIN);
  EXPECT_EQ(detail::dynamic_scale(254.0F * FLT_MIN), 2.0F * FLT_MIN);
}

}  // namespace
}  // namespace fewbit
