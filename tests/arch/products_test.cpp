#include "fewbit/arch/products.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <random>

namespace fewbit { namespace arch_products_test {

using arch::vec;

/// Random numbers; the extremes are frequent.
template <class T>
T random_number(std::mt19937& random) {
  using limits = std::numeric_limits<T>;
  const auto choice = random() % 8;
  return choice == 0 ? limits::min() : choice == 1 ? limits::max() : static_cast<T>(random());
}

template <class V>
V random_vector(std::mt19937& random) {
  V v;
  for (int i = 0; i < V::lanes; ++i) v.set(i, random_number<arch::lane<V>>(random));
  return v;
}

template <int N>
void expect_products() {
  std::mt19937 random(1);
  for (int repeat = 0; repeat < 500; ++repeat) {
    const auto a = random_vector<vec<std::int32_t, N>>(random),
               b = random_vector<vec<std::int32_t, N>>(random);
    const auto high = arch::rounded_high_product(a, b);
    const auto c = random_vector<vec<std::uint16_t, N>>(random),
               d = random_vector<vec<std::uint16_t, N>>(random);
    const auto halves = arch::high_half_product(c, d);
    const auto e = random_vector<vec<std::int16_t, 2 * N>>(random),
               f = random_vector<vec<std::int16_t, 2 * N>>(random);
    const auto sums = arch::add_pair_products(a, e, f);
    const auto signed_halves = arch::high_half_product(e, f);
    for (int i = 0; i < 2 * N; ++i) ASSERT_EQ(signed_halves[i], (e[i] * f[i]) >> 16);
    for (int i = 0; i < N; ++i) {
      const std::int64_t product = std::int64_t{a[i]} * b[i];
      ASSERT_EQ(high[i], static_cast<std::int32_t>((product + (1LL << 30)) >> 31));
      ASSERT_EQ(arch::rounded_high_product(a[i], b[i]), high[i]);
      ASSERT_EQ(halves[i], std::uint32_t{c[i]} * d[i] >> 16);
      ASSERT_EQ(arch::high_half_product(c[i], d[i]), halves[i]);
      const std::int64_t pair =
          a[i] + std::int64_t{e[2 * i]} * f[2 * i] + std::int64_t{e[2 * i + 1]} * f[2 * i + 1];
      ASSERT_EQ(sums[i], static_cast<std::int32_t>(static_cast<std::uint32_t>(pair)));
    }
  }
}

TEST(arch_products, equal_wide_products) {
  expect_products<16>();
  expect_products<8>();
  expect_products<4>();
  expect_products<3>();
}

}}  // namespace fewbit::arch_products_test
