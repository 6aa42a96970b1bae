#include "fewbit/arch/convert.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace {

namespace arch = fewbit::arch;
using arch::vec;

constexpr std::int32_t lowest = std::numeric_limits<std::int32_t>::min();
constexpr std::int32_t highest = std::numeric_limits<std::int32_t>::max();

template <class Lanes>
class convert_test : public testing::Test {};
using widths = testing::Types<std::integral_constant<int, 2>, std::integral_constant<int, 4>,
                              std::integral_constant<int, 5>, std::integral_constant<int, 8>,
                              std::integral_constant<int, 16>>;
TYPED_TEST_SUITE(convert_test, widths);

TYPED_TEST(convert_test, nearest_int_rounds_half_to_even) {
  constexpr int lanes = TypeParam::value;
  const std::vector<std::pair<float, std::int32_t>> cases = {
      {0.0F, 0},
      {-0.0F, 0},
      {0.5F, 0},
      {1.5F, 2},
      {2.5F, 2},
      {-0.5F, 0},
      {-1.5F, -2},
      {0.49999997F, 0},
      {8388607.5F, 8388608},
      {16777217.0F, 16777216},
      {2147483520.0F, 2147483520},
      {-2147483648.0F, lowest},
      {-1e20F, lowest},
      {-std::numeric_limits<float>::infinity(), lowest}};
  for (std::size_t first = 0; first < cases.size(); ++first) {
    vec<float, lanes> x(0.0F);
    for (int i = 0; i < lanes; ++i)
      x.set(i, cases[(first + static_cast<std::size_t>(i)) % cases.size()].first);
    const auto got = arch::nearest_int(x);
    for (int i = 0; i < lanes; ++i) {
      const auto& [real, expected] = cases[(first + static_cast<std::size_t>(i)) % cases.size()];
      EXPECT_EQ(got[i], expected) << real << " in lane " << i;
      EXPECT_EQ(arch::nearest_int(real), expected) << real;
    }
  }
}

template <class Code>
Code expected_code(std::int32_t value, std::int32_t offset) {
  const std::int64_t code = std::int64_t{value} + offset;
  constexpr std::int64_t lo = std::numeric_limits<Code>::min(),
                         hi = std::numeric_limits<Code>::max();
  return static_cast<Code>(code < lo ? lo : code > hi ? hi : code);
}

template <class Code, int Lanes>
void check_saturated(std::int32_t offset) {
  const std::vector<std::int32_t> interesting = {
      lowest, lowest + 1, -32769, -32768, -32767, -512,  -257,  -256,  -255,
      -129,   -128,       -127,   -1,     0,      1,     126,   127,   128,
      254,    255,        256,    257,    511,    32767, 32768, 65536, highest};
  for (std::size_t first = 0; first < interesting.size(); ++first) {
    vec<std::int32_t, Lanes> values[4];
    const auto value = [&](int i) {
      return interesting[(first + static_cast<std::size_t>(i)) % interesting.size()];
    };
    for (int i = 0; i < 4 * Lanes; ++i) values[i / Lanes].set(i % Lanes, value(i));
    const vec<Code, 4 * Lanes> codes = arch::saturated<Code>(values, offset);
    for (int i = 0; i < 4 * Lanes; ++i) {
      ASSERT_EQ(codes[i], expected_code<Code>(value(i), offset)) << value(i) << " in lane " << i;
      ASSERT_EQ(arch::saturated<Code>(value(i), offset), codes[i]) << value(i);
      ASSERT_EQ(arch::saturated<Code>(values[i / Lanes], offset)[i % Lanes], codes[i]) << value(i);
    }
  }
}

/// Ties, their neighbours and integers, in each lane of either sign.
TYPED_TEST(convert_test, nearest_int_half_away_is_round) {
  constexpr int lanes = TypeParam::value;
  for (int half = 0; half < 1200; ++half) {
    const float tie = half < 1000 ? static_cast<float>(half) / 2 : 0x1p22F - float(1200 - half) / 2;
    for (const float x : {tie, std::nextafterf(tie, 0.0F), std::nextafterf(tie, 1e9F)}) {
      if (x > 0x1p22F) continue;
      vec<float, lanes> values(x);
      values.set(lanes - 1, -x);
      const auto got = arch::nearest_int_half_away(values);
      ASSERT_EQ(got[0], std::lround(x)) << x;
      ASSERT_EQ(got[lanes - 1], std::lround(-x)) << -x;
      ASSERT_EQ(arch::nearest_int_half_away(-x), std::lround(-x)) << -x;
    }
  }
}

TYPED_TEST(convert_test, saturated_codes_equal_64_bit_arithmetic) {
  for (const std::int32_t offset : {-255, -128, -1, 0, 9, 127, 255}) {
    check_saturated<std::int8_t, TypeParam::value>(offset);
    check_saturated<std::uint8_t, TypeParam::value>(offset);
  }
}

TYPED_TEST(convert_test, widened_codes_are_the_same_numbers) {
  vec<std::uint16_t, TypeParam::value> v;
  for (const int step : {1, 4001, 65535}) {
    for (int i = 0; i < TypeParam::value; ++i)
      v.set(i, static_cast<std::uint16_t>(65535 - i * step));
    const vec<std::uint32_t, TypeParam::value> wide = arch::widened(v);
    for (int i = 0; i < TypeParam::value; ++i) {
      EXPECT_EQ(wide[i], std::uint32_t{v[i]}) << "lane " << i;
      EXPECT_EQ(arch::widened(v[i]), wide[i]);
    }
  }
}

}  // namespace
