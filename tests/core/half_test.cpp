#include "fewbit/core/half.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace fewbit { namespace core_half_test {

/// The value of a half by the definition of the format.
double value_of(unsigned half) {
  const int exponent = static_cast<int>(half >> 10 & 31), fraction = static_cast<int>(half & 1023);
  const double size = exponent == 31  ? std::numeric_limits<double>::infinity()
                      : exponent == 0 ? std::ldexp(fraction, -24)
                                      : std::ldexp(1024 + fraction, exponent - 25);
  return half >= 0x8000 ? -size : size;
}

bool is_nan(unsigned half) { return (half & 0x7FFF) > 0x7C00; }

void expect_half(float x, unsigned expected) {
  EXPECT_EQ(to_half(x), expected) << x;
  EXPECT_EQ(to_half(-x), expected | 0x8000) << -x;
}

TEST(half, every_half_is_restored) {
  for (unsigned h = 0; h < 0x10000; ++h) {
    const auto half = static_cast<std::uint16_t>(h);
    const float x = from_half(half);
    EXPECT_EQ(std::signbit(x), h >= 0x8000);
    if (is_nan(h)) {
      EXPECT_TRUE(std::isnan(x));
      EXPECT_EQ(to_half(x), 0x7E00 | (h & 0x8000));
    } else {
      EXPECT_EQ(double{x}, value_of(h)) << h;
      EXPECT_EQ(to_half(x), h);
    }
  }
}

/// Every midpoint of two neighbouring halves, and the floats next to it.
TEST(half, rounds_to_nearest_even) {
  for (unsigned h = 0; h < 0x7BFF; ++h) {
    const auto middle = static_cast<float>((value_of(h) + value_of(h + 1)) / 2);
    expect_half(middle, h % 2 == 0 ? h : h + 1);
    expect_half(std::nextafterf(middle, 0.0F), h);
    expect_half(std::nextafterf(middle, 1e9F), h + 1);
  }
  expect_half(65504.0F, 0x7BFF);
  expect_half(std::nextafterf(65520.0F, 0.0F), 0x7BFF);
  expect_half(65520.0F, 0x7C00);
  expect_half(std::numeric_limits<float>::max(), 0x7C00);
  expect_half(std::numeric_limits<float>::infinity(), 0x7C00);
  expect_half(0x1p-25F, 0);
  expect_half(std::nextafterf(0x1p-25F, 1.0F), 1);
  expect_half(std::numeric_limits<float>::denorm_min(), 0);
  for (const std::uint32_t bits : {0x7F800001U, 0x7FC00000U, 0x7FFFFFFFU}) {
    expect_half(std::bit_cast<float>(bits), 0x7E00);
  }
}

template <int N>
void expect_lanes_as_scalars() {
  for (std::uint32_t i = 0; i < 20000; ++i) {
    arch::vec<float, N> x;
    arch::vec<std::uint16_t, N> h;
    for (int lane = 0; lane < N; ++lane) {
      const std::uint32_t bits = (i * N + static_cast<std::uint32_t>(lane)) * 2654435761U;
      x.set(lane, std::bit_cast<float>(bits));
      h.set(lane, static_cast<std::uint16_t>(bits >> 16));
    }
    const auto halves = to_half(x);
    const auto floats = from_half(h);
    for (int lane = 0; lane < N; ++lane) {
      ASSERT_EQ(halves[lane], to_half(x[lane])) << x[lane];
      ASSERT_EQ(std::bit_cast<std::uint32_t>(floats[lane]),
                std::bit_cast<std::uint32_t>(from_half(h[lane])));
    }
  }
}

TEST(half, lanes_equal_scalars) {
  expect_lanes_as_scalars<4>();
  expect_lanes_as_scalars<8>();
  expect_lanes_as_scalars<16>();
}

}  // namespace core_half_test
}  // namespace fewbit
