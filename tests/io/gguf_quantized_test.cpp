#include "fewbit/io/gguf_quantized.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "fewbit/core/random.hpp"
#include "fewbit/quant/dequantize.hpp"
#include "io/gguf_cases.hpp"
#include "io/support.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace io_gguf_quantized_test {

using namespace fewbit::tests;

/// A file with tensor "w" of `rows` x 2 blocks of random bytes whose d and m are from 0 to 2.
template <class B>
std::string random_file(index rows, bool is_positive, std::uint64_t seed) {
  std::string data;
  for (std::size_t i = 0; i < static_cast<std::size_t>(2 * rows) * sizeof(B); ++i) {
    data += static_cast<char>(random_bits(seed, i)[0] & 0xFF);
  }
  for (std::size_t i = 0; i < data.size(); i += sizeof(B)) {
    data[i + 1] = static_cast<char>(data[i + 1] & (is_positive ? 0x3F : 0xBF));
    if constexpr (B::has_minimum) data[i + 3] = static_cast<char>(data[i + 3] & 0xBF);
  }
  return gguf_of({},
                 {gguf_entry("w",
                             {2 * static_cast<std::uint64_t>(detail::weights_of_block<B>),
                              static_cast<std::uint64_t>(rows)},
                             static_cast<unsigned>(detail::gguf_type_of_block<B>), 0)},
                 zeros_to(data, 32));
}

template <class B>
class gguf_quantized_test : public testing::Test {};
// Types whose d is in their first two bytes.
using formats = testing::Types<q8_0, q5_0, q4_0, q4_1, q5_1, q4_k, q5_k, iq4_nl, iq4_xs>;
TYPED_TEST_SUITE(gguf_quantized_test, formats);

TYPED_TEST(gguf_quantized_test, keeps_every_value) {
  std::string content = random_file<TypeParam>(9, TypeParam::has_minimum, 1);
  const std::size_t at = gguf_file(bytes_of(content), "x").at("w").byte;
  content[at] = content[at + 1] = '\0';  // d = 0 with codes
  if (sizeof(TypeParam) == sizeof(q8_0)) {
    for (std::size_t i = at; i < content.size(); ++i) {
      if (content[i] == '\x80') content[i] = '\1';
    }
  }
  const gguf_file file(bytes_of(content), "x");
  const auto q = load<scheme_of<TypeParam>>(file, "w");
  const row_matrix<float> want = file.at("w").to_floats();
  EXPECT_EQ(dequantize(q), want);
  EXPECT_EQ(visit(file, "w", [](const auto& m) { return dequantize(m); }), want);
}

TYPED_TEST(gguf_quantized_test, names_the_byte_of_a_block_that_is_refused) {
  std::string content = random_file<TypeParam>(2, true, 2);
  const std::size_t at = gguf_file(bytes_of(content), "x").at("w").byte + 3 * sizeof(TypeParam);
  for (std::size_t i = at - 3 * sizeof(TypeParam); i < content.size(); ++i) {
    if (content[i] == '\x80') content[i] = '\1';
  }
  const auto sentence = [&] {
    const gguf_file file(bytes_of(content), "x");
    return sentence_of([&] { return load<scheme_of<TypeParam>>(file, "w").rows(); });
  };
  EXPECT_EQ(sentence(), "no error");
  content[at] = '\0';
  content[at + 1] = '\x7C';
  EXPECT_EQ(sentence(), "fewbit: load: block (1, 1) of tensor 'w' at byte " + std::to_string(at) +
                            " of 'x' is a block with a scale that is not finite, expected a block "
                            "whose values the scheme " +
                            scheme_text<scheme_of<TypeParam>>() + " can hold");
  content[at + 1] = '\xBC';
  if (TypeParam::has_minimum) {
    EXPECT_NE(sentence().find("a negative scale"), std::string::npos);
  } else {
    EXPECT_EQ(sentence(), "no error");
  }
}

TEST(gguf_quantized, refuses_code_minus_128_of_q8_0) {
  std::string content = random_file<q8_0>(1, true, 3);
  const std::size_t at = gguf_file(bytes_of(content), "x").at("w").byte;
  for (std::size_t i = at; i < at + 2 * sizeof(q8_0); ++i) content[i] = '\1';
  const auto sentence = [&] {
    return sentence_of(
        [&] { return load<int8_grouped<32>>(gguf_file(bytes_of(content), "x"), "w").rows(); });
  };
  EXPECT_EQ(sentence(), "no error");
  content[at + 9] = '\x80';
  EXPECT_NE(sentence().find("block (0, 0) of tensor 'w'"), std::string::npos);
}

TEST(gguf_quantized, converts_the_golden_file) {
  const std::string content = golden_gguf();
  const gguf_file file(bytes_of(content), "x");
  const auto q = load<uint4_grouped<32>>(file, "a.weight");
  EXPECT_EQ(q.zero_point(0, 0), 8);
  EXPECT_EQ(q.zero_point(1, 0), 7);
  EXPECT_EQ(q.scale(1, 0), 1.0F);
  EXPECT_EQ(dequantize(q)(1, 0), 8.0F);
  EXPECT_EQ(sentence_of([&] { return load<int8_per_row>(file, "a.weight").rows(); }),
            "fewbit: load: type of tensor 'a.weight' at byte 160 of 'x' is Q4_0 with the scheme "
            "uint4 grouped:32 affine real_scale nearest_even, expected int8 per_row symmetric "
            "real_scale nearest_even");
  EXPECT_NE(sentence_of([&] {
              return load<int8_per_row>(file, "b").rows();
            }).find("load: type of tensor 'b' at byte 224 of 'x' is F32"),
            std::string::npos);
  EXPECT_NE(sentence_of([&] { return visit(file, "b", [](const auto& m) { return m.rows(); }); }),
            "no error");
  const std::string empty = gguf_of({}, {gguf_entry("w", {32, 0}, 2, 0)}, "");
  const gguf_file none(bytes_of(empty), "x");
  EXPECT_EQ(sentence_of([&] { return load<uint4_grouped<32>>(none, "w").rows(); }),
            "fewbit: load: shape of tensor 'w' in 'x' is [0, 32], expected at least one row and "
            "one column");
}

}}  // namespace fewbit::io_gguf_quantized_test
