#include "fewbit/core/random.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <vector>

namespace core_random_test {

using fewbit::generator;
using fewbit::index;
using words = std::array<std::uint32_t, 4>;

TEST(random, known_answers_of_philox) {
  EXPECT_EQ(fewbit::detail::philox<std::uint32_t>({0, 0, 0, 0}, {0, 0}),
            (words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(fewbit::detail::philox<std::uint32_t>({~0U, ~0U, ~0U, ~0U}, {~0U, ~0U}),
            (words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(fewbit::detail::philox<std::uint32_t>({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
                                                  {0xa4093822, 0x299f31d0}),
            (words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(random, bits_are_philox_at_seed_and_position) {
  EXPECT_EQ(fewbit::random_bits(0, 0), (words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(fewbit::random_bits(0x299f31d0a4093822, 0x85a308d3243f6a88),
            fewbit::detail::philox<std::uint32_t>({0x243f6a88, 0x85a308d3, 0, 0},
                                                  {0xa4093822, 0x299f31d0}));
}

// If these numbers changed, all stochastic results of all users would change.
TEST(random, golden_values) {
  const generator g{42, 0xfffffffd};
  const std::array<std::uint32_t, 4> uniforms = {0x3ed5d6c2, 0x3f01b97a, 0x3edc4824, 0x3e85c170};
  const std::array<std::uint32_t, 4> normals = {0xbe54e355, 0x3c8a5583, 0xbe33fca3, 0xbf23b7c3};
  for (index i = 0; i < 4; ++i) {
    const auto at = static_cast<std::size_t>(i);
    EXPECT_EQ(std::bit_cast<std::uint32_t>(fewbit::uniform(g, i)), uniforms[at]);
    EXPECT_EQ(std::bit_cast<std::uint32_t>(fewbit::normal(g, i)), normals[at]);
  }
}

TEST(random, an_element_depends_only_on_its_position) {
  const generator start{7, 100};
  std::vector<float> forward;
  std::vector<float> backward;
  for (index i = 0; i < 50; ++i) forward.push_back(fewbit::uniform(start, i));
  for (index i = 49; i >= 0; --i) backward.push_back(fewbit::uniform(start, i));
  std::reverse(backward.begin(), backward.end());
  EXPECT_EQ(forward, backward);
  const generator later{7, 130};
  for (index i = 0; i < 20; ++i) {
    EXPECT_EQ(fewbit::uniform(later, i), forward[static_cast<std::size_t>(30 + i)]);
    EXPECT_EQ(fewbit::normal(later, i), fewbit::normal(start, 30 + i));
  }
  EXPECT_NE(fewbit::uniform(generator{8, 100}, 0), forward[0]);
}

template <int N>
void expect_lanes_equal_elements() {
  for (std::uint64_t counter : {std::uint64_t{0}, std::uint64_t{0xFFFFFFFE}, ~std::uint64_t{3}}) {
    const generator g{0x123456789abcdef0, counter};
    for (index first : {0, 1, 17}) {
      const auto lanes = fewbit::uniform_lanes<N>(g, first);
      for (int i = 0; i < N; ++i) EXPECT_EQ(lanes[i], fewbit::uniform(g, first + i));
    }
  }
}

TEST(random, lanes_equal_elements) {
  expect_lanes_equal_elements<4>();
  expect_lanes_equal_elements<5>();
  expect_lanes_equal_elements<8>();
  expect_lanes_equal_elements<16>();
}

constexpr index draws = 200000;

TEST(random, uniform_has_its_range_and_moments) {
  double sum = 0;
  double squares = 0;
  double neighbours = 0;
  std::array<int, 16> bins{};
  for (index i = 0; i < draws; ++i) {
    const float u = fewbit::uniform({1, 0}, i);
    ASSERT_GE(u, 0.0F);
    ASSERT_LT(u, 1.0F);
    ASSERT_EQ(std::ldexp(u, 24), std::floor(std::ldexp(u, 24)));
    sum += u;
    squares += double{u} * u;
    neighbours += (u - 0.5) * (fewbit::uniform({1, 0}, i + 1) - 0.5);
    ++bins[static_cast<std::size_t>(u * 16)];
  }
  // The tolerance is four standard errors.
  EXPECT_NEAR(sum / draws, 0.5, 4 * std::sqrt(1.0 / 12 / draws));
  EXPECT_NEAR(squares / draws, 1.0 / 3, 4 * std::sqrt(4.0 / 45 / draws));
  EXPECT_NEAR(neighbours / draws, 0.0, 4 * (1.0 / 12) / std::sqrt(double{draws}));
  for (int count : bins) EXPECT_NEAR(count, draws / 16.0, 4 * std::sqrt(draws / 16.0));
}

TEST(random, normal_has_its_moments_and_tails) {
  std::array<double, 5> moments{};
  int beyond_two = 0;
  for (index i = 0; i < draws; ++i) {
    const double x = fewbit::normal({1, 0}, i);
    double power = 1;
    for (double& moment : moments) moment += (power *= x) / draws;
    beyond_two += std::abs(x) > 2;
  }
  const double error = 4 / std::sqrt(double{draws});
  EXPECT_NEAR(moments[0], 0, error);
  EXPECT_NEAR(moments[1], 1, error * std::sqrt(2.0));
  EXPECT_NEAR(moments[2], 0, error * std::sqrt(15.0));
  EXPECT_NEAR(moments[3], 3, error * std::sqrt(96.0));
  EXPECT_NEAR(double{draws} / beyond_two, 1 / 0.0455, 1.0);
}

TEST(random, inverse_normal_cdf_undoes_the_distribution_function) {
  EXPECT_EQ(fewbit::inverse_normal_cdf(0.5), 0.0);
  EXPECT_NEAR(fewbit::inverse_normal_cdf(0.975), 1.959963984540054, 1e-6);
  for (double p = 0x1p-53; p < 0.5; p *= 1.01) {
    const double x = fewbit::inverse_normal_cdf(p);
    const double density = std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi);
    const double missed = 0.5 * std::erfc(-x / std::numbers::sqrt2) - p;
    ASSERT_LT(std::abs(missed / density), 2e-7 * std::max(std::abs(x), 0.1)) << p;
    if (p > 1e-6) {
      ASSERT_NEAR(fewbit::inverse_normal_cdf(1 - p), -x, 1e-6 * -x + 1e-9) << p;
    }
  }
}

TEST(random, portable_log_is_the_logarithm) {
  for (double x = 1e-300; x < 1e300; x *= 1.37) {
    ASSERT_NEAR(fewbit::detail::portable_log(x), std::log(x), 1e-15 * std::abs(std::log(x)));
  }
  for (double x = 0.25; x < 4; x += 0.00123) {
    ASSERT_NEAR(fewbit::detail::portable_log(x), std::log(x),
                1e-15 * std::abs(std::log(x)) + 1e-17);
  }
  EXPECT_EQ(fewbit::detail::portable_log(1.0), 0.0);
}

TEST(random, portable_log_of_a_vector_has_the_bits_of_single_numbers) {
  using doubles = fewbit::arch::vec<double, 8>;
  double x = 1e-300;
  while (x < 1e300) {
    doubles v(1.0);
    for (int i = 0; i < doubles::lanes; ++i, x *= 1.37) v.set(i, x);
    const doubles logs = fewbit::detail::portable_log(v);
    for (int i = 0; i < doubles::lanes; ++i) {
      ASSERT_EQ(logs[i], fewbit::detail::portable_log(v[i])) << v[i];
    }
  }
}

}  // namespace core_random_test
