#include "fewbit/formats/awq.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "formats/checkpoint_cases.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace formats_awq_test {

using namespace fewbit::tests;

TEST(awq, has_the_word_of_the_notes) {
  codes_in_groups w = random_weights{.n = 8, .k = 2, .group = 2}.make();
  for (index r = 0; r < 8; ++r) w.codes.row(r).setConstant(static_cast<std::uint8_t>(r));
  w.zeros.setConstant(9);
  const awq_weights packed = to_awq(w);
  EXPECT_EQ(packed.qweight, std::vector<std::uint32_t>(2, 0x75316420U));
  EXPECT_EQ(packed.qzeros, std::vector<std::uint32_t>(1, 0x99999999U));
}

TEST(awq, reads_each_code_where_the_layout_has_it) {
  constexpr std::size_t order[8] = {0, 2, 4, 6, 1, 3, 5, 7};
  for (const index k : {64, 70}) {
    const codes_in_groups w = random_weights{.n = 24, .k = k, .group = 32}.make();
    const awq_weights packed = to_awq(w);
    ASSERT_EQ(packed.qweight.size(), static_cast<std::size_t>(3 * k));
    for (index c = 0; c < k; ++c) {
      for (std::size_t word = 0; word < 3; ++word) {
        for (std::size_t j = 0; j < 8; ++j) {
          const auto r = static_cast<index>(8 * word + order[j]);
          const auto nibble = [&](const std::vector<std::uint32_t>& from, index row) {
            return static_cast<int>(from[static_cast<std::size_t>(3 * row) + word] >> 4 * j & 15);
          };
          ASSERT_EQ(nibble(packed.qweight, c), int{w.codes(r, c)});
          ASSERT_EQ(nibble(packed.qzeros, c / 32), w.zeros(r, c / 32));
        }
      }
    }
    EXPECT_EQ(packed.scales[24], w.scales(0, 1));
    EXPECT_TRUE(from_awq(packed) == w);
  }
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(awq, names_what_it_refuses) {
  const codes_in_groups w = random_weights{.n = 8, .k = 64, .group = 32}.make();
  const auto has = [](const std::string& text, const std::string& part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  const auto reads = [&](const auto& change) {
    awq_weights bad = to_awq(w);
    change(bad);
    return sentence_of([&] { return from_awq(bad); });
  };
  EXPECT_EQ(reads([](auto&) {}), "no error");
  has(reads([](auto& b) { b.n = 12; }), "n is 12, expected a multiple of 8");
  has(reads([](auto& b) { b.n = 0; }), "shape is 0 x 64");
  has(reads([](auto& b) { b.group = -1; }), "group is -1");
  has(reads([](auto& b) { b.qweight.pop_back(); }), "length of qweight is 63, expected 64 times 1");
  has(reads([](auto& b) { b.qzeros.push_back(0); }), "length of qzeros is 3, expected 2 times 1");
  has(reads([](auto& b) { b.scales.clear(); }), "length of scales is 0, expected 2 times 8");

  const auto writes = [&](const auto& change) {
    codes_in_groups bad = w;
    change(bad);
    return sentence_of([&] { return to_awq(bad); });
  };
  has(writes([](auto& b) { b.zeros(5, 1) = 16; }), "to_awq: zeros(5, 1) is 16, expected 0 to 15");
  has(writes([](auto& b) { b.bits = 8; }), "bits is 8, expected 4");
  has(writes([](auto& b) { b = random_weights{.has_order = true}.make(); }),
      "order of columns is given, expected none");
  has(writes([](auto& b) { b = random_weights{.n = 7}.make(); }),
      "number of rows is 7, expected a multiple of 8");
}
#endif

}}  // namespace fewbit::formats_awq_test
