#include "fewbit/arch/convert.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "support/exact.hpp"

namespace arch_convert_test {

namespace arch = fewbit::arch;
namespace tests = fewbit::tests;
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

/// Ties, their neighbours and integers, in each lane, with both signs.
TYPED_TEST(convert_test, nearest_int_half_away_equals_round) {
  constexpr int lanes = TypeParam::value;
  for (int half = 0; half < 1200; ++half) {
    const float tie = half < 1000 ? static_cast<float>(half) / 2 : 0x1p22F - float(1200 - half) / 2;
    for (const float x : {tie, std::nextafterf(tie, 0.0F), std::nextafterf(tie, 1e9F)}) {
      if (x > 0x1p22F) continue;
      vec<float, lanes> values(x);
      values.set(lanes - 1, -x);
      const auto got = arch::nearest_int_half_away(values);
      ASSERT_EQ(got[0], tests::exact_round(x)) << x;
      ASSERT_EQ(got[lanes - 1], tests::exact_round(-x)) << -x;
      ASSERT_EQ(arch::nearest_int_half_away(-x), tests::exact_round(-x)) << -x;
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

TYPED_TEST(convert_test, narrowed_passes_each_value_to_the_function_once) {
  constexpr int lanes = TypeParam::value;
  using half = vec<std::int16_t, 2 * lanes>;
  vec<std::int32_t, lanes> values[4];
  for (int i = 0; i < 4 * lanes; ++i) {
    const std::int32_t value = i % 3 == 0 ? 40000 + i : i % 3 == 1 ? -70000 : i - 2 * lanes;
    values[i / lanes].set(i % lanes, value);
  }
  int calls = 0;
  const auto codes = arch::narrowed<std::int8_t>(values, [&](const half& v) {
    ++calls;
    return arch::add_saturating(v, half(std::int16_t{5}));
  });
  const auto plain = arch::narrowed<std::int8_t>(values, [](const half& v) { return v; });
  EXPECT_EQ(calls, 2);
  for (int i = 0; i < 4 * lanes; ++i) {
    EXPECT_EQ(codes[i], expected_code<std::int8_t>(values[i / lanes][i % lanes], 5)) << i;
    EXPECT_EQ(plain[i], expected_code<std::int8_t>(values[i / lanes][i % lanes], 0)) << i;
  }
}

TYPED_TEST(convert_test, add_saturating_saturates_to_int16) {
  using v = vec<std::int16_t, TypeParam::value>;
  for (const int a : {-32768, -32000, -1, 0, 5, 32767}) {
    for (const int b : {-32768, -900, 0, 1, 900, 32767}) {
      const int sum = a + b < -32768 ? -32768 : a + b > 32767 ? 32767 : a + b;
      const auto got =
          arch::add_saturating(v(static_cast<std::int16_t>(a)), v(static_cast<std::int16_t>(b)));
      for (int i = 0; i < TypeParam::value; ++i) EXPECT_EQ(got[i], sum);
    }
  }
}

template <class Code, int Lanes>
void check_widened_bytes() {
  vec<Code, Lanes> v;
  for (int step : {1, 37, 255}) {
    for (int i = 0; i < Lanes; ++i) v.set(i, static_cast<Code>(200 - i * step));
    const auto wide = arch::widened(v);
    for (int i = 0; i < Lanes; ++i)
      EXPECT_EQ(static_cast<std::int32_t>(wide[i]), std::int32_t{v[i]}) << "lane " << i;
  }
}

TYPED_TEST(convert_test, widened_bytes_are_the_same_numbers) {
  check_widened_bytes<std::int8_t, TypeParam::value>();
  check_widened_bytes<std::uint8_t, TypeParam::value>();
}

}  // namespace arch_convert_test
