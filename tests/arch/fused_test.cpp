#include "fewbit/arch/fused.hpp"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "support/exact.hpp"

namespace arch_fused_test {

namespace arch = fewbit::arch;
namespace tests = fewbit::tests;

/// Triples whose fused result differs from two roundings, ties of the second rounding, subnormal
/// results, and random triples of every kind.
std::vector<std::array<float, 3>> triples() {
  const float tiny = std::numeric_limits<float>::denorm_min();
  const float big = std::numeric_limits<float>::max();
  std::vector<std::array<float, 3>> cases = {
      {1.0F + 0x1p-12F, 1.0F + 0x1p-12F, -1.0F - 0x1p-11F},
      {1.0F + 0x1p-23F, 1.0F - 0x1p-23F, -1.0F},
      // The exact sum is 2^-70 away from a tie of floats; double cannot hold this difference.
      {0x1.000002p-12F, 0x1.fffffcp-13F, 1.0F + 0x1p-23F},
      {-0x1.000002p-12F, 0x1.fffffcp-13F, 1.0F + 0x1p-23F},
      {0x1.000002p-12F, 0x1.fffffcp-13F, -1.0F - 0x1p-23F},
      {-0x1.000002p-12F, 0x1.fffffcp-13F, -1.0F - 0x1p-23F},
      {0x1.000002p0F, 0x1p-24F, 1.0F},
      {-0x1.000002p0F, 0x1p-24F, -1.0F},
      {0x1.000002p0F, 0x1p-24F, 0x1p60F},
      {0x1.000002p-24F, 0x1p-40F, 0x1.000001p0F - 1.0F + 1.0F},
      {0x1p-75F, 0x1p-75F, tiny},
      {0x1.8p-75F, 0x1p-75F, tiny},
      {0x1p-75F, -0x1p-75F, tiny},
      {big, 2.0F, -big},
      {big, big, 1.0F},
      {big, -big, 1.0F},
      {0.0F, 5.0F, -0.0F},
      {-0.0F, 5.0F, -0.0F},
      {3.0F, 5.0F, -15.0F},
      {1.0F, std::numeric_limits<float>::infinity(), -big}};
  std::mt19937 random(1);
  for (int i = 0; i < 4000; ++i) {
    const auto near_one = [&] {
      return std::bit_cast<float>(0x3F000000U + static_cast<std::uint32_t>(random()) % 0x02000000U);
    };
    const float a = near_one(), b = near_one();
    cases.push_back({a, b, near_one()});
    cases.push_back({a, -b, near_one()});
    cases.push_back({a, b, -a * b});  // the error of the product
    cases.push_back({a, b, std::ldexp(near_one(), static_cast<int>(random() % 80) - 40)});
    cases.push_back({std::ldexp(a, -70), std::ldexp(b, -70),
                     std::ldexp(near_one(), -120 - static_cast<int>(random() % 30))});
  }
  while (cases.size() % 16 != 0) cases.push_back({1.0F, 1.0F, 1.0F});
  return cases;
}

void expect_same_bits(float got, const std::array<float, 3>& c) {
  const float want = tests::exact_fma(c[0], c[1], c[2]);
  EXPECT_EQ(std::bit_cast<std::uint32_t>(got), std::bit_cast<std::uint32_t>(want))
      << c[0] << " * " << c[1] << " + " << c[2] << ": " << got << ", not " << want;
}

template <int N, class F>
void expect_fused(F fused) {
  using lanes = arch::vec<float, N>;
  const auto cases = triples();
  for (std::size_t i = 0; i < cases.size(); i += N) {
    lanes a, b, c;
    for (int lane = 0; lane < N; ++lane) {
      const auto& [x, y, z] = cases[i + static_cast<std::size_t>(lane)];
      a.set(lane, x), b.set(lane, y), c.set(lane, z);
    }
    const lanes got = fused(a, b, c);
    for (int lane = 0; lane < N; ++lane) {
      expect_same_bits(got[lane], cases[i + static_cast<std::size_t>(lane)]);
    }
  }
}

TEST(fused, one_rounding_in_every_width) {
  const auto fused = [](const auto& a, const auto& b, const auto& c) {
    return arch::fused_multiply_add(a, b, c);
  };
  for (const auto& c : triples()) expect_same_bits(arch::fused_multiply_add(c[0], c[1], c[2]), c);
  expect_fused<1>(fused);
  expect_fused<2>(fused);
  expect_fused<4>(fused);
  expect_fused<8>(fused);
  expect_fused<16>(fused);
}

TEST(fused, without_the_instruction_the_same_bits) {
  const auto fused = [](const auto& a, const auto& b, const auto& c) {
    return arch::detail::fused_by_odd_rounding(a, b, c);
  };
  for (const auto& c : triples()) expect_same_bits(fused(c[0], c[1], c[2]), c);
  expect_fused<4>(fused);
  expect_fused<8>(fused);
}

template <class T, int N>
void expect_first_lane() {
  using lanes = arch::vec<T, N>;
  for (int first = 0; first < N; ++first) {
    for (int second = first; second < N; ++second) {
      lanes v(T{1});
      v.set(first, T{-3});
      v.set(second, T{-3});
      EXPECT_EQ(arch::first_equal_lane(v, T{-3}), first) << N << " lanes, also in " << second;
    }
  }
}

TEST(fused, first_equal_lane_is_the_first) {
  expect_first_lane<float, 8>();
  expect_first_lane<float, 4>();
  expect_first_lane<double, 8>();
  EXPECT_EQ(arch::first_equal_lane(arch::vec<float, 8>(-0.0F), 0.0F), 0);
}

}  // namespace arch_fused_test
