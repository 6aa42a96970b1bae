#include "fewbit/arch/dual_products.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>

namespace arch_dual_products_test {

namespace arch = fewbit::arch;

/// The plain word, and the instructions where they exist.
template <class Word>
class dual_products_test : public testing::Test {};
using words = std::conditional_t<arch::has_dual_products<arch::dual_word>,
                                 testing::Types<arch::plain_dual_word, arch::dual_word>,
                                 testing::Types<arch::plain_dual_word>>;
TYPED_TEST_SUITE(dual_products_test, words);

TYPED_TEST(dual_products_test, extends_bytes_to_pairs) {
  EXPECT_EQ(TypeParam::even(0x80'01'7F'FEU), 0x0001'FFFEU);
  EXPECT_EQ(TypeParam::odd(0x80'01'7F'FEU), 0xFF80'007FU);
}

TYPED_TEST(dual_products_test, adds_both_products) {
  std::mt19937 generator(1);
  const auto random = [&] { return static_cast<std::uint32_t>(generator()); };
  for (int i = 0; i < 1000; ++i) {
    const std::uint32_t x = i == 0 ? 0x80008000U : random(), w = i == 0 ? x : random();
    const auto sum = static_cast<std::int32_t>(random());
    const std::int64_t low =
        std::int64_t{static_cast<std::int16_t>(x)} * static_cast<std::int16_t>(w);
    const std::int64_t high =
        std::int64_t{static_cast<std::int16_t>(x >> 16)} * static_cast<std::int16_t>(w >> 16);
    ASSERT_EQ(TypeParam::add_products(x, w, sum),
              static_cast<std::int32_t>(static_cast<std::uint32_t>(sum + low + high)));
  }
}

TEST(dual_products, sums_four_codes_in_any_order_of_bytes) {
  using word = arch::plain_dual_word;
  const std::int8_t x[] = {1, -128, 127, -3, 9}, w[] = {-128, -128, 5, 7, 11};
  const std::uint32_t a = arch::load_four(x), b = arch::load_four(w);
  const std::int32_t sum = word::add_products(word::even(a), word::even(b), 0);
  EXPECT_EQ(word::add_products(word::odd(a), word::odd(b), sum), -128 + 16384 + 635 - 21);
}

}  // namespace arch_dual_products_test
