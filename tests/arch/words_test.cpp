// Compares emulated instructions with the instructions themselves, where this build has these, and
// with plain loops.

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <iostream>
#include <limits>
#include <random>
#include <type_traits>
#include <vector>

#include "fewbit/arch/all.hpp"
#include "support/archs.hpp"
#include "support/emulated_words.hpp"

namespace fewbit { namespace arch_words_test {

/// Bytes at random, or all equal to an extreme value.
template <class V>
V sample(std::mt19937& random) {
  std::uint8_t bytes[sizeof(typename V::storage)];
  const auto kind = random() >> 28;
  constexpr std::uint8_t extremes[] = {0, 127, 128, 255};
  for (std::uint8_t& byte : bytes) {
    byte = kind < 4 ? extremes[kind] : static_cast<std::uint8_t>(random() >> 13);
  }
  V v;
  std::memcpy(&v.data, &bytes[0], sizeof(bytes));
  return v;
}

template <class V>
bool same(const V& a, const V& b) {
  return std::memcmp(&a.data, &b.data, sizeof(a.data)) == 0;
}

/// The definition of vpdpbusd, with a sum in 64 bits.
template <class Word>
typename Word::ints expected_sums(const typename Word::ints& sum, const typename Word::ints& a,
                                  const typename Word::ints& w) {
  typename Word::ints next;
  for (int i = 0; i < Word::lanes; ++i) {
    std::int64_t total = sum[i];
    for (int d = 0; d < 4; ++d) {
      const auto x = static_cast<std::uint8_t>(a[i] >> (8 * d));
      total += std::int64_t{x} * static_cast<std::int8_t>(w[i] >> (8 * d));
    }
    next.set(i, static_cast<std::int32_t>(static_cast<std::uint32_t>(total)));
  }
  return next;
}

template <class Word>
void expect_dpbusd_is_exact() {
  using ints = typename Word::ints;
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    const auto sum = sample<ints>(random), a = sample<ints>(random), w = sample<ints>(random);
    ASSERT_TRUE(same(Word::dpbusd(sum, a, w), expected_sums<Word>(sum, a, w))) << i;
    std::int8_t quad[4];
    std::memcpy(&quad[0], &w.data, sizeof(quad));
    const ints copies = Word::broadcast(arch::quad_of(&quad[0]));
    ASSERT_TRUE(same(Word::dpbusd_quad(sum, a, &quad[0]), expected_sums<Word>(sum, a, copies)));
  }
}

TEST(words, dpbusd_is_exact_modulo_2_to_32) {
  expect_dpbusd_is_exact<tests::emulated_vnni_word<8>>();
  expect_dpbusd_is_exact<tests::emulated_vnni_word<16>>();
#if FEWBIT_HAS_AVX_VNNI
  expect_dpbusd_is_exact<arch::avx_vnni_word>();
#endif
#if FEWBIT_HAS_AVX512_VNNI
  expect_dpbusd_is_exact<arch::avx512_vnni_word>();
#endif
}

TEST(words, multiply_add_rounds_once) {
  using word = tests::emulated_vnni_word<8>;
  const word::floats a(1.0F + 0x1p-12F), c(-1.0F - 0x1p-11F);
  EXPECT_EQ(word::multiply_add(a, a, c)[7], 0x1p-24F);
}

/// The constants that the units use.
TEST(words, logic_follows_its_table) {
  using word = tests::emulated_bitalg_word;
  const word::words a(0xF0), b(0xCC), c(0xAA), lowest(0xFF);
  const auto table_of = [&](const word::words& r) { return (r & lowest)[5]; };
  EXPECT_EQ(table_of(word::logic<0x60>(a, b, c)), 0x60U);
  EXPECT_EQ(table_of(word::logic<0x96>(a, b, c)), 0x96U);
  EXPECT_EQ(table_of(word::logic<0xE8>(a, b, c)), 0xE8U);
  EXPECT_EQ(table_of(word::logic<0x3A>(a, b, c)), 0x3AU);
  EXPECT_EQ(table_of(word::logic<0xEA>(a, b, c)), 0xEAU);
}

TEST(words, affine_multiplies_by_a_matrix_of_bits) {
  using word = tests::emulated_bitalg_word;
  constexpr std::uint64_t identity = 0x0102040810204080;
  const word::quads w(0x8199A5F1U);
  EXPECT_EQ(word::affine(w, identity)[3], 0x8199A5F1U);
  EXPECT_EQ(word::affine(w, identity << 8)[3], 0x404C5278U) << "each byte shifted right";
  EXPECT_EQ(word::affine(w, 0xFF)[3], 0x00000080U) << "bit 7 is the parity of the byte";
}

#if FEWBIT_HAS_AVX512_BITALG
/// Every instruction, on the same random operands.
TEST(words, emulated_instructions_equal_the_instructions) {
  using real = arch::avx512_bitalg_word;
  using word = tests::emulated_bitalg_word;
  std::mt19937 random(2);
  for (int i = 0; i < 2000; ++i) {
    const auto a = sample<word::words>(random), b = sample<word::words>(random),
               c = sample<word::words>(random);
    ASSERT_TRUE(same(word::add_ones(a, b), real::add_ones(a, b)));
    ASSERT_TRUE(same(word::logic<0x60>(a, b, c), real::logic<0x60>(a, b, c)));
    ASSERT_TRUE(same(word::logic<0x3A>(a, b, c), real::logic<0x3A>(a, b, c)));
    ASSERT_TRUE(same(word::logic<0xE8>(a, b, c), real::logic<0xE8>(a, b, c)));
    ASSERT_TRUE(same(word::low_halves(a, b), real::low_halves(a, b)));

    const auto w = sample<word::quads>(random);
    ASSERT_TRUE(same(word::affine(w, a[0]), real::affine(w, a[0]))) << a[0];

    std::uint8_t memory[64];
    sample<word::bytes>(random).store(&memory[0]);
    for (int bit = 0; bit < 8; ++bit) {
      const auto mask = static_cast<std::uint8_t>(1 << bit);
      ASSERT_EQ(word::test(&memory[0], mask), real::test(&memory[0], mask));
    }
    ASSERT_TRUE(same(word::shuffle(&memory[0], w), real::shuffle(&memory[0], w)));
  }
}

/// The 64 bytes of a register of lookups.
template <class Word>
std::vector<std::uint8_t> bytes_of(const typename Word::bits& v) {
  std::vector<std::uint8_t> bytes(64);
  std::memcpy(bytes.data(), &v, 64);
  return bytes;
}

/// The results of every instruction of lookups on three registers.
template <class Word>
std::vector<std::vector<std::uint8_t>> results_of_lookups(const std::uint8_t* memory) {
  const auto a = Word::load(memory), b = Word::load(memory + 64), c = Word::load(memory + 128);
  std::vector<std::vector<std::uint8_t>> results;
  for (const auto& r :
       {Word::zero(), Word::permute(a, c), Word::permute_two(a, b, c), Word::choose(c, a, b),
        Word::add_pairs(a, b), Word::subtract_pairs(a, b), Word::template pairs_right<8>(a),
        Word::template pairs_right<4>(a), Word::template pairs_left<8>(a), Word::nibble_index(a),
        Word::add_fours(a, b)}) {
    results.push_back(bytes_of<Word>(r));
  }
  std::uint16_t stored[64 + 32];
  Word::store_alternating(a, b, &stored[0]);
  Word::store_low_halves(a, b, &stored[64]);
  results.emplace_back(sizeof(stored));
  std::memcpy(results.back().data(), &stored[0], sizeof(stored));
  return results;
}

TEST(words, emulated_instructions_of_lookups_equal_the_instructions) {
  std::mt19937 random(3);
  for (int i = 0; i < 500; ++i) {
    std::uint8_t memory[192];
    for (std::uint8_t& byte : memory) byte = static_cast<std::uint8_t>(random() >> 13);
    ASSERT_EQ(results_of_lookups<tests::emulated_bitalg_word>(&memory[0]),
              results_of_lookups<arch::avx512_bitalg_word>(&memory[0]));
  }
}
#endif

/// .ci/run reads this line, to say which instruction sets ran with emulated instructions.
TEST(words, names_are_printed) {
  std::cout << "emulated instruction sets:";
  tests::archs_here::for_each([]<class Arch>() { std::cout << " " << Arch::base::name; });
  std::cout << std::endl;
}

}  // namespace arch_words_test
}  // namespace fewbit
