#include "fewbit/arch/averages.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

namespace fewbit { namespace arch_averages_test {

using arch::vec;

template <class T, int N>
vec<T, N> codes_from(int first) {
  vec<T, N> v;
  for (int i = 0; i < N; ++i) v.set(i, static_cast<T>(first + i));
  return v;
}

/// All pairs of codes.
template <int N>
void expect_averages() {
  for (int a = 0; a < 256; ++a) {
    for (int b = 0; b < 256; b += N) {
      const vec<std::uint8_t, N> x(static_cast<std::uint8_t>(a));
      const auto y = codes_from<std::uint8_t, N>(b);
      const auto averages = arch::rounded_average(x, y);
      for (int i = 0; i < N; ++i) ASSERT_EQ(averages[i], (x[i] + y[i] + 1) / 2);
    }
  }
}

TEST(arch_averages, of_two_are_rounded_up) {
  expect_averages<64>();
  expect_averages<32>();
  expect_averages<16>();
  expect_averages<8>();
}

/// Three codes in steps that are odd, and all values of the fourth.
template <class T, int N>
void expect_means() {
  using limits = std::numeric_limits<T>;
  for (int a = limits::min(); a <= limits::max(); a += 15) {
    for (int b = limits::min(); b <= limits::max(); b += 17) {
      for (int c = limits::min(); c <= limits::max(); c += 17) {
        for (int first = limits::min(); first <= limits::max(); first += N) {
          const auto d = codes_from<T, N>(first);
          const auto means =
              arch::mean_of_four(vec<T, N>(static_cast<T>(a)), vec<T, N>(static_cast<T>(b)),
                                 vec<T, N>(static_cast<T>(c)), d);
          for (int i = 0; i < N; ++i) {
            const int sum = a + b + c + d[i];
            ASSERT_EQ(means[i], (sum > 0 ? sum + 2 : sum - 2) / 4) << sum;
          }
        }
      }
    }
  }
}

TEST(arch_averages, of_four_round_ties_away_from_zero) {
  expect_means<std::int8_t, 64>();
  expect_means<std::uint8_t, 64>();
  expect_means<std::int8_t, 32>();
  expect_means<std::uint8_t, 16>();
}

}}  // namespace fewbit::arch_averages_test
