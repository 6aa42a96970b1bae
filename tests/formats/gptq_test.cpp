#include "fewbit/formats/gptq.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "formats/checkpoint_cases.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace formats_gptq_test {

using namespace fewbit::tests;
using words = std::vector<std::uint32_t>;

/// One output group of 8 weights with codes 0 to 7, repeated for 8 outputs.
codes_in_groups counting_codes(int bits, index n, index k) {
  codes_in_groups w =
      random_weights{.bits = bits, .n = n, .k = k, .group = k, .is_symmetric = true}.make();
  for (index r = 0; r < n; ++r) {
    for (index c = 0; c < k; ++c)
      w.codes(r, c) = static_cast<std::uint8_t>(bits == 3 ? (5 * c + 3) % 8 : c % 8);
  }
  return w;
}

TEST(gptq, has_the_words_of_the_notes) {
  const gptq_weights four = to_gptq(counting_codes(4, 8, 8));
  EXPECT_EQ(four.qweight, words(8, 0x76543210U));
  EXPECT_EQ(four.qzeros, words(1, 0x77777777U));
  EXPECT_EQ(to_gptq(counting_codes(4, 8, 8), gptq_version::v2).qzeros, words(1, 0x88888888U));
  const gptq_weights three = to_gptq(counting_codes(3, 32, 32));
  EXPECT_EQ(column_of(three.qweight, 32, 5), (words{0x43C67543U, 0x7543C675U, 0xC67543C6U}));
}

TEST(gptq, reads_each_code_where_the_layout_has_it) {
  for (const int bits : {2, 3, 4, 8}) {
    const random_weights form{.bits = bits, .n = 64, .k = 96, .group = 32, .has_order = true};
    codes_in_groups w = form.make();
    const gptq_weights packed = to_gptq(w, gptq_version::v2);
    ASSERT_EQ(packed.qweight.size(), static_cast<std::size_t>(96 * bits / 32 * 64));
    ASSERT_EQ(packed.qzeros.size(), static_cast<std::size_t>(3 * 64 * bits / 32));
    for (index r = 0; r < w.codes.rows(); ++r) {
      const words column = column_of(packed.qweight, 64, r);
      for (index c = 0; c < 96; ++c) {
        const auto input = static_cast<std::size_t>(w.order[static_cast<std::size_t>(c)]);
        const auto b = static_cast<std::size_t>(bits);
        ASSERT_EQ(bits_at(column, input * b, bits), w.codes(r, c)) << bits << ' ' << r << ' ' << c;
        ASSERT_EQ(packed.g_idx[input], c / 32);
        const words zeros = row_of_words(packed.qzeros, 64 * bits / 32, c / 32);
        ASSERT_EQ(bits_at(zeros, static_cast<std::size_t>(r) * b, bits),
                  static_cast<unsigned>(w.zeros(r, c / 32)));
        ASSERT_EQ(packed.scales[static_cast<std::size_t>(c / 32 * 64 + r)], w.scales(r, c / 32));
      }
    }
    EXPECT_TRUE(from_gptq(packed) == w) << bits;
    for (auto& zero : w.zeros.reshaped()) ++zero;  // 1 to 2^bits
    EXPECT_TRUE(from_gptq(to_gptq(w, gptq_version::v1)) == w) << bits;
  }
  // The last group is short, and a word of codes has weights of two groups.
  const auto w = random_weights{.n = 8, .k = 40, .group = 12}.make();
  EXPECT_TRUE(from_gptq(to_gptq(w, gptq_version::v2)) == w);
}

TEST(gptq, adds_one_to_zero_points_of_version_1_without_carry) {
  gptq_weights w = to_gptq(counting_codes(4, 8, 8));
  w.qzeros = {0x7777777FU};  // the first zero point is 16
  const codes_in_groups read = from_gptq(w);
  EXPECT_EQ(read.zeros(0, 0), 16);
  for (index r = 1; r < 8; ++r) EXPECT_EQ(read.zeros(r, 0), 8);
  w.version = gptq_version::v2;
  EXPECT_EQ(from_gptq(w).zeros(0, 0), 15);
  EXPECT_EQ(to_gptq(read).qzeros, words(1, 0x7777777FU));
}

TEST(gptq, sorts_columns_by_group) {
  gptq_weights w = to_gptq(random_weights{.n = 8, .k = 8, .group = 3}.make(), gptq_version::v2);
  const codes_in_groups plain = from_gptq(w);
  w.g_idx = {2, 0, 1, 0, 1, 2, 0, 1};
  const codes_in_groups sorted = from_gptq(w);
  EXPECT_EQ(sorted.order, (std::vector<index>{1, 3, 6, 2, 4, 7, 0, 5}));
  for (index r = 0; r < 8; ++r) {
    for (index j = 0; j < 8; ++j)
      EXPECT_EQ(sorted.codes(r, j), plain.codes(r, sorted.order[static_cast<std::size_t>(j)]));
  }
  EXPECT_EQ(to_gptq(sorted, gptq_version::v2).g_idx, w.g_idx);
  w.g_idx = {0, 0, 0, 1, 1, 1, 2, 2};  // as without it
  EXPECT_TRUE(from_gptq(w) == plain);
}

TEST(gptq, tells_versions_apart_by_symmetric_zero_points) {
  const auto choose = [](const words& zeros, int bits, auto... declared) {
    const auto choice = choose_gptq_version(zeros, bits, declared...);
    return choice ? 10 * static_cast<int>(choice->version) + static_cast<int>(choice->evidence) : 0;
  };
  const words sevens(3, 0x77777777U), eights(3, 0x88888888U), mixed = {0x77777777U, 0x77777778U};
  EXPECT_EQ(choose(sevens, 4), 11);
  EXPECT_EQ(choose(eights, 4), 21);
  EXPECT_EQ(choose(sevens, 4, gptq_version::v1), 11);
  EXPECT_EQ(choose(sevens, 4, gptq_version::v2), 12);
  EXPECT_EQ(choose(eights, 4, gptq_version::v1), 22);
  EXPECT_EQ(choose(mixed, 4), 0);
  EXPECT_EQ(choose(mixed, 4, gptq_version::v1), 10);
  EXPECT_EQ(choose(mixed, 4, gptq_version::v2), 20);
  EXPECT_EQ(choose(words(1, 0x55555555U), 2), 11);
  EXPECT_EQ(choose(words(1, 0xAAAAAAAAU), 2), 21);
  EXPECT_EQ(choose(words(1, 0x7F7F7F7FU), 8), 11);
  EXPECT_EQ(choose(words(1, 0x80808080U), 8), 21);
  EXPECT_EQ(choose(words{0xDB6DB6DBU, 0xB6DB6DB6U, 0x6DB6DB6DU}, 3), 11);  // threes
  EXPECT_EQ(choose(words{0x24924924U, 0x49249249U, 0x92492492U}, 3), 21);  // fours
  EXPECT_EQ(choose({}, 4), 0);
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(gptq, names_what_it_refuses) {
  const codes_in_groups w = random_weights{.n = 8, .k = 64, .group = 32}.make();
  const gptq_weights good = to_gptq(w, gptq_version::v2);
  const auto has = [](const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  const auto reads = [&](const auto& change) {
    gptq_weights bad = good;
    change(bad);
    return sentence_of([&] { return from_gptq(bad); });
  };
  EXPECT_EQ(reads([](auto&) {}), "no error");
  has(reads([](auto& b) { b.bits = 5; }), "bits is 5");
  has(reads([](auto& b) { b.n = 9; }), "n is 9, expected a multiple of 8");
  has(reads([](auto& b) { b.k = 63; }), "k is 63, expected a multiple of 8");
  has(reads([](auto& b) { b.n = index{1} << 32; }), "1 to 2147483647 rows and columns");
  has(reads([](auto& b) { b.k = 0; }), "shape is 8 x 0");
  has(reads([](auto& b) { b.group = 0; }), "group is 0");
  has(reads([](auto& b) { b.group = 16; }), "length of qzeros is 2, expected 4 times 1");
  has(reads([](auto& b) { b.qweight.pop_back(); }), "length of qweight is 63, expected 8 times 8");
  has(reads([](auto& b) { b.scales.pop_back(); }), "length of scales is 15, expected 2 times 8");
  has(reads([](auto& b) { b.g_idx.assign(63, 0); }), "length of g_idx is 63, expected 64 times 1");
  has(reads([](auto& b) { b.g_idx.assign(64, 0); }),
      "g_idx(0, 32) is 0, expected another group, because this one has its 32 inputs already");
  has(reads([](auto& b) { b.g_idx.assign(64, 2); }), "g_idx(0, 0) is 2, expected 0 to 1");
  has(reads([](auto& b) { b.g_idx.assign(64, -1); }), "g_idx(0, 0) is -1, expected 0 to 1");

  codes_in_groups bad = w;
  bad.zeros.setConstant(4);
  bad.zeros(3, 1) = 0;
  EXPECT_EQ(sentence_of([&] { return to_gptq(bad); }),
            "fewbit: to_gptq: zeros(3, 1) is 0, expected 1 to 16 in this version");
  bad.zeros(3, 1) = 16;
  EXPECT_EQ(sentence_of([&] { return to_gptq(bad); }), "no error");
  has(sentence_of([&] { return to_gptq(bad, gptq_version::v2); }), "is 16, expected 0 to 15");
  bad = random_weights{.n = 9, .k = 64}.make();
  has(sentence_of([&] { return to_gptq(bad, gptq_version::v2); }),
      "number of rows is 9, expected a multiple of 8");
  bad = random_weights{.bits = 3, .n = 32, .k = 48}.make();
  has(sentence_of([&] { return to_gptq(bad, gptq_version::v2); }),
      "number of columns is 48, expected a multiple of 32");
}
#endif

}}  // namespace fewbit::formats_gptq_test
