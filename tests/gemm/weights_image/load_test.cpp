#include "fewbit/gemm/weights_image/load.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "fewbit/gemm/multiply.hpp"
#include "support/bit_codes.hpp"
#include "support/codes.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace gemm_load_weights_test {

using gemm::binary_bits, gemm::signed_bits, gemm::ternary_bits, gemm::unsigned_bits;
using tests::random_codes_of;

template <class W>
aligned_buffer<std::byte> image_of(const W& w) {
  aligned_buffer<std::byte> image(w.image_bytes());
  w.write_image(image);
  return image;
}

/// Loads the image of each instruction set for each other one. The result must be what packing for
/// it gives.
template <class Make>
void expect_packed_anew(const char* what, const Make& make) {
  arch::compiled::for_each([&]<class From>() {
    const auto image = image_of(make.template operator()<From>());
    arch::compiled::for_each([&]<class To>() {
      const auto wanted = make.template operator()<To>();
      using weights = std::remove_const_t<decltype(wanted)>;
      const auto loaded = gemm::load_weights<weights>(image);
      const auto wanted_image = image_of(wanted);
      const bool is_same = std::ranges::equal(image, wanted_image);
      EXPECT_EQ(loaded.is_repacked, !is_same) << what << From::name << To::name;
      EXPECT_EQ(loaded.weights.owns_memory(), !is_same) << what << From::name << To::name;
      EXPECT_TRUE(std::ranges::equal(image_of(loaded.weights), wanted_image))
          << what << From::name << To::name;
    });
  });
}

TEST(load_weights, packs_every_form_for_every_instruction_set) {
  if constexpr (std::endian::native != std::endian::little) GTEST_SKIP() << "big-endian";
  for (const auto& [n, k] : {std::pair<index, index>{1, 1}, {70, 75}, {131, 600}}) {
    SCOPED_TRACE(testing::Message() << "n=" << n << " k=" << k);
    const auto w8 = random_codes_of<signed_bits<8>>(n, k, 1);
    const auto w = random_codes_of<ternary_bits>(n, k, 2);
    const auto b = random_codes_of<binary_bits>(n, k, 2);
    const auto u4 = random_codes_of<unsigned_bits<4>>(n, k, 2);
    const auto u8 = random_codes_of<unsigned_bits<8>>(n, k, 2);
    std::vector<float> scales(static_cast<std::size_t>(n * ((k + 15) / 16)));
    for (std::size_t i = 0; i < scales.size(); ++i) scales[i] = 0.125F + static_cast<float>(i % 17);
    std::vector<float> wide = scales;
    wide[0] = 0x1p-60F;
    const std::vector<std::uint8_t> zeros(scales.size(), 5);
    using gemm::pack_few_bits, gemm::pack_grouped, gemm::pack_int8, gemm::pack_planes;
    const auto expect = [](const char* what, const auto& make) { expect_packed_anew(what, make); };
    expect("int8", [&]<class A>() { return pack_int8<std::int8_t, A>(w8); });
    expect("blocks", [&]<class A>() { return pack_int8<std::uint8_t, A>(w8, 32); });
    expect("1 bit", [&]<class A>() { return pack_few_bits<1, A>(b); });
    expect("3 bits", [&]<class A>() { return pack_few_bits<3, A>(w, 3); });
    expect("groups", [&]<class A>() { return pack_grouped<4, A>(u4, 16, scales, 8); });
    expect("zeros", [&]<class A>() { return pack_grouped<4, A>(u4, 16, scales, zeros); });
    expect("minima", [&]<class A>() { return pack_grouped<8, A>(u8, 16, wide, scales); });
    expect("planes", [&]<class A>() { return pack_planes<ternary_bits, ternary_bits, A>(w); });
    expect("signs", [&]<class A>() { return pack_planes<binary_bits, binary_bits, A>(b); });
    expect("tables",
           [&]<class A>() { return gemm::pack_table<signed_bits<8>, ternary_bits, A>(w); });
    const auto planes = gemm::pack_planes<signed_bits<2>, ternary_bits>(w);
    const auto table = gemm::pack_table<signed_bits<2>, ternary_bits>(w);
    const auto to_table =
        gemm::load_weights<std::remove_const_t<decltype(table)>>(image_of(planes)).weights;
    const auto to_planes =
        gemm::load_weights<std::remove_const_t<decltype(planes)>>(image_of(table)).weights;
    EXPECT_TRUE(std::ranges::equal(image_of(to_table), image_of(table)));
    EXPECT_TRUE(std::ranges::equal(image_of(to_planes), image_of(planes)));
  }
}

TEST(load_weights, changes_the_padding_of_k) {
  if constexpr (std::endian::native != std::endian::little) GTEST_SKIP() << "big-endian";
  row_matrix<std::int8_t> codes = random_codes_of<signed_bits<8>>(5, 12, 1);
  codes.rightCols(3).setZero();  // 9 codes, padded to 12
  const auto wide = gemm::pack_int8<std::int8_t>(codes);
  const auto narrow = gemm::pack_int8<std::int8_t>(codes.leftCols(10).eval());
  using weights = std::remove_const_t<decltype(wide)>;
  const auto image = image_of(wide);
  const auto loaded = gemm::load_weights<weights>(image, gemm::image_check::contents, "f", {9, 10});
  EXPECT_TRUE(loaded.is_repacked);
  EXPECT_TRUE(std::ranges::equal(image_of(loaded.weights), image_of(narrow)));
  EXPECT_FALSE(
      gemm::load_weights<weights>(image, gemm::image_check::contents, "f", {9, 12}).is_repacked);
  EXPECT_EQ(tests::sentence_of([&] {
              (void)gemm::load_weights<weights>(image, gemm::image_check::contents, "f", {13, 16});
            }),
            "fewbit: f: number of columns is 12, expected 13 to 29");
}

/// Number `i` of the layout or of the parameters of an image is changed; its checksum is right.
template <class W>
std::string sentence_with(const W& w, int i, std::int64_t value) {
  auto image = image_of(w);
  gemm::detail::image_header header;
  std::memcpy(&header, image.data(), sizeof(header));
  if (i < 8) {
    header.layout[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(value);
  } else {
    header.layout[7] = 1;  // no layout of this program
    header.parameters[static_cast<std::size_t>(i - 8)] = value;
  }
  header.header_checksum = gemm::detail::checksum_of_header(header);
  std::memcpy(image.data(), &header, sizeof(header));
  return tests::sentence_of([&] { (void)gemm::load_weights<W>(image); });
}

TEST(load_weights, refuses_layouts_that_cannot_be) {
  if constexpr (std::endian::native != std::endian::little) GTEST_SKIP() << "big-endian";
  const auto w = gemm::pack_int8<std::int8_t>(random_codes_of<signed_bits<8>>(20, 30, 1));
  const auto few = gemm::pack_few_bits<2>(random_codes_of<ternary_bits>(20, 30, 1));
  const auto planes =
      gemm::pack_planes<ternary_bits, ternary_bits>(random_codes_of<ternary_bits>(20, 30, 1));
  const auto u4 = random_codes_of<unsigned_bits<4>>(20, 30, 2);
  const auto groups = gemm::pack_grouped<4>(u4, 30, std::vector<float>(20, 1.0F), 8);
  const auto has = [](const std::string& sentence, const char* words) {
    EXPECT_NE(sentence.find(words), std::string::npos) << sentence;
  };
  has(sentence_with(w, 0, 0), "number of columns of a panel is 0, expected 1 to 255");
  has(sentence_with(w, 1, 7), "expected whole narrow panels");
  has(sentence_with(w, 2, 17), "number of codes of a step is 17");
  has(sentence_with(w, 3, 3), "number of bytes of a code is 3");
  has(sentence_with(w, 3, 2), "number of bytes of the arrays");
  has(sentence_with(w, 8, 0), "block_depth is 0, expected 1 to 30");
  has(sentence_with(few, 0, 3), "number of bits of a weight is 3, expected 2 to 2");
  has(sentence_with(few, 8, 5), "zero_point is 5, expected 0 to 4");
  has(sentence_with(planes, 0, 1), "number of planes of a weight");
  has(sentence_with(planes, 3, 65), "number of columns of a register is 65");
  has(sentence_with(groups, 3, 1), "number of minima of a group");
  has(sentence_with(groups, 8, 0), "group is 0");
  has(sentence_with(groups, 12, 1 << 30), "base of the scales");
  // Another form.
  using weights = std::remove_const_t<decltype(groups)>;
  const auto image = image_of(few);
  has(tests::sentence_of([&] { (void)gemm::load_weights<weights>(image); }),
      "form of the weights is 2, expected 3 to 3");
}

}}  // namespace fewbit::gemm_load_weights_test
