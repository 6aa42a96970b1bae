#include "fewbit/arch/code_pairs.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <random>

#include "fewbit/arch/products.hpp"

namespace fewbit { namespace arch_code_pairs_test {

using arch::vec;

template <class T, int N>
void expect_mapped() {
  std::mt19937 random(1);
  vec<T, N> a, b;
  for (int repeat = 0; repeat < 50; ++repeat) {
    for (int i = 0; i < N; ++i) {
      a.set(i, static_cast<T>(random()));
      b.set(i, static_cast<T>(random()));
    }
    vec<std::int16_t, N / 2> weights;
    for (int i = 0; i < N / 2; ++i) weights.set(i, i % 2 == 0 ? 300 : -299);
    const auto mapped = arch::map_pairs(a, b, [&](const vec<std::int16_t, N / 2>& pairs) {
      using sums = vec<std::int32_t, N / 4>;
      return sums(arch::add_pair_products(sums(0), pairs, weights) >> sums(repeat % 10));
    });
    for (int i = 0; i < N; ++i) {
      const int sum =
          ((a[i] + arch::pair_offset<T>)*300 - (b[i] + arch::pair_offset<T>)*299) >> (repeat % 10);
      const int kept =
          std::clamp<int>(sum, std::numeric_limits<T>::min(), std::numeric_limits<T>::max());
      ASSERT_EQ(mapped[i], kept) << i;
    }
  }
}

TEST(arch_code_pairs, keep_the_order_of_codes) {
  expect_mapped<std::int8_t, 64>();
  expect_mapped<std::int8_t, 32>();
  expect_mapped<std::int8_t, 16>();
  expect_mapped<std::int8_t, 8>();
  expect_mapped<std::uint8_t, 64>();
  expect_mapped<std::uint8_t, 32>();
  expect_mapped<std::uint8_t, 16>();
  expect_mapped<std::uint8_t, 8>();
}

template <int N>
void expect_byte_pairs_mapped() {
  std::mt19937 random(2);
  vec<std::int8_t, N> a, b;
  vec<std::uint8_t, N> digits;
  for (int repeat = 0; repeat < 50; ++repeat) {
    const int first = static_cast<int>(random() % 256), second = 255 - first;
    for (int i = 0; i < N; ++i) {
      a.set(i, repeat == 0 ? std::int8_t{-128} : static_cast<std::int8_t>(random()));
      b.set(i, repeat == 0 ? std::int8_t{-128} : static_cast<std::int8_t>(random()));
      digits.set(i, static_cast<std::uint8_t>(i % 2 == 0 ? first : second));
    }
    const auto mapped = arch::map_byte_pairs(a, b, [&](const vec<std::int8_t, N>& pairs) {
      using sums = vec<std::int16_t, N / 2>;
      return sums(arch::pair_sums(digits, pairs) >> sums(static_cast<std::int16_t>(repeat % 9)));
    });
    for (int i = 0; i < N; ++i)
      ASSERT_EQ(mapped[i], std::clamp((a[i] * first + b[i] * second) >> (repeat % 9), -128, 127));
  }
}

TEST(arch_code_pairs, add_two_products_of_bytes) {
  expect_byte_pairs_mapped<64>();
  expect_byte_pairs_mapped<32>();
  expect_byte_pairs_mapped<16>();
  expect_byte_pairs_mapped<8>();
}

}}  // namespace fewbit::arch_code_pairs_test
