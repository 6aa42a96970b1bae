#include "fewbit/formats/compressed_tensors.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "formats/checkpoint_cases.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace formats_compressed_tensors_test {

using namespace fewbit::tests;
using words = std::vector<std::uint32_t>;

TEST(compressed_tensors, packs_ten_codes_of_three_bits) {
  codes_in_groups w = random_weights{.bits = 3, .n = 1, .k = 12, .group = 12}.make();
  for (index c = 0; c < 12; ++c) w.codes(0, c) = static_cast<std::uint8_t>((5 * c + 3) % 8);
  w.zeros.setConstant(4);
  const pack_quantized_weights packed = to_pack_quantized(w);
  // Codes 3 0 5 2 7 4 1 6 3 0, and 5 2 in the next word; bits 30 and 31 are unused.
  EXPECT_EQ(packed.weight_packed, (words{0x03C67543U, 0x00000015U}));
  EXPECT_TRUE(packed.weight_zero_point.empty());
  EXPECT_TRUE(from_pack_quantized(packed) == w);
  pack_quantized_weights other = packed;
  other.weight_packed = {0xC3C67543U, 0xFFFFFFD5U};  // unused bits and codes after column k
  EXPECT_TRUE(from_pack_quantized(other) == w);
}

TEST(compressed_tensors, reads_each_code_where_the_layout_has_it) {
  for (const int bits : {2, 3, 4, 8}) {
    const index per_word = 32 / bits;
    for (const bool has_order : {false, true}) {
      const codes_in_groups w =
          random_weights{.bits = bits, .n = 21, .k = 70, .group = 32, .has_order = has_order}
              .make();
      const pack_quantized_weights packed = to_pack_quantized(w);
      const index row_words = (70 + per_word - 1) / per_word;
      for (index r = 0; r < 21; ++r) {
        for (index c = 0; c < 70; ++c) {
          const index input = has_order ? w.order[static_cast<std::size_t>(c)] : c;
          const auto shift = static_cast<std::size_t>(input % per_word * bits);
          const words row = row_of_words(packed.weight_packed, row_words, r);
          ASSERT_EQ(bits_at(row, static_cast<std::size_t>(input / per_word) * 32 + shift, bits),
                    w.codes(r, c));
          if (has_order) {
            ASSERT_EQ(packed.weight_g_idx[static_cast<std::size_t>(input)], c / 32);
          }
        }
        for (index g = 0; g < 3; ++g) {
          const words column = column_of(packed.weight_zero_point, 3, g);
          const auto at = static_cast<std::size_t>(r / per_word * 32 + r % per_word * bits);
          ASSERT_EQ(bits_at(column, at, bits), static_cast<unsigned>(w.zeros(r, g)));
          ASSERT_EQ(packed.weight_scale[static_cast<std::size_t>(3 * r + g)], w.scales(r, g));
        }
      }
      EXPECT_TRUE(from_pack_quantized(packed) == w);
    }
  }
}

TEST(compressed_tensors, ignores_groups_of_inputs_that_were_never_set) {
  const codes_in_groups w = random_weights{.n = 3, .k = 64}.make();
  pack_quantized_weights packed = to_pack_quantized(w);
  packed.weight_g_idx.assign(64, -1);
  EXPECT_TRUE(from_pack_quantized(packed) == w);
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(compressed_tensors, names_what_it_refuses) {
  const codes_in_groups w = random_weights{.n = 9, .k = 64, .group = 32}.make();
  const auto has = [](const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  const auto reads = [&](const auto& change) {
    pack_quantized_weights bad = to_pack_quantized(w);
    change(bad);
    return sentence_of([&] { return from_pack_quantized(bad); });
  };
  EXPECT_EQ(reads([](auto&) {}), "no error");
  has(reads([](auto& b) { b.bits = 7; }), "bits is 7");
  has(reads([](auto& b) { b.k = -1; }), "shape is 9 x -1");
  has(reads([](auto& b) { b.weight_packed.pop_back(); }),
      "length of weight_packed is 71, expected 9 times 8");
  has(reads([](auto& b) { b.weight_scale.pop_back(); }), "length of weight_scale is 17");
  has(reads([](auto& b) { b.weight_zero_point.pop_back(); }),
      "length of weight_zero_point is 3, expected 2 times 2");
  has(reads([](auto& b) { b.weight_g_idx.assign(3, 0); }), "length of weight_g_idx is 3");
  has(reads([](auto& b) {
        b.weight_g_idx.assign(64, 0);
        b.weight_g_idx[9] = -1;
      }),
      "weight_g_idx(0, 9) is -1, expected 0 to 1");
  codes_in_groups bad = w;
  bad.zeros(8, 1) = 16;
  has(sentence_of([&] { return to_pack_quantized(bad); }), "zeros(8, 1) is 16, expected 0 to 15");
}
#endif

}}  // namespace fewbit::formats_compressed_tensors_test
