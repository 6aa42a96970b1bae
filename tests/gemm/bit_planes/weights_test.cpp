#include "fewbit/gemm/bit_planes/weights.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "fewbit/core/executor_adapters.hpp"
#include "support/bit_codes.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace gemm_bit_planes_weights_test {

using tests::random_codes_of;

template <class U>
class packed_bits_test : public testing::Test {
 public:
  using unit_type = typename U::type;
};

TYPED_TEST_SUITE(packed_bits_test, tests::bit_units, tests::bit_unit_names);

TYPED_TEST(packed_bits_test, are_ordered_by_panel_plane_word_and_column) {
  using unit = typename TestFixture::unit_type;
  using format = gemm::signed_bits<3>;
  constexpr index tile = index{unit::lanes} * unit::registers;
  for (const index n : {index{1}, tile, tile + 1, 2 * tile + unit::lanes}) {
    for (const index k : {0, 1, 64, 130}) {
      SCOPED_TRACE(testing::Message() << "n=" << n << " k=" << k);
      const auto w = random_codes_of<format>(n, k, 1);
      const gemm::plane_weights<format, format, unit> packed(w);
      const std::uint64_t* next = packed.operands().words;
      const index words = (k + 63) / 64;
      index wrong = 0, width = tile;
      for (index first = 0; first < n; first += width) {
        if ((n - first + unit::lanes - 1) / unit::lanes < unit::registers) width = unit::lanes;
        for (index at = 0; at < format::planes * words * width; ++at, ++next) {
          const index p = at / (words * width), word = at / width % words, j = first + at % width;
          for (index i = 0; i < 64; ++i) {
            const bool exists = j < n && 64 * word + i < k;
            const int expected = exists ? format::stored(w(j, 64 * word + i)) >> p & 1 : 0;
            if (static_cast<int>(*next >> i & 1) != expected) ++wrong;
          }
        }
      }
      EXPECT_EQ(wrong, 0);
      EXPECT_EQ((next - packed.operands().words) * 8, packed.bytes());
    }
  }
}

/// One panel of one register, of 33 words.
TYPED_TEST(packed_bits_test, store_signs_by_signs_as_parities_only) {
  using unit = typename TestFixture::unit_type;
  using gemm::binary_bits, gemm::ternary_bits;
  constexpr index width = unit::lanes, words = 33;
  const auto w = random_codes_of<binary_bits>(1, 64 * words - 1, 1);
  const gemm::plane_weights<binary_bits, binary_bits, unit> packed(w);
  const gemm::plane_weights<ternary_bits, binary_bits, unit> plain(w);
  std::uint64_t before = 0;
  for (index i = 0; i < words; ++i) {
    const bool follows = i < tests::parities_among<unit>(words);
    const std::uint64_t bits = plain.operands().words[i * width];
    EXPECT_EQ(packed.operands().words[i * width], bits ^ (follows ? before : 0)) << i;
    before = packed.operands().words[i * width];
  }
}

TYPED_TEST(packed_bits_test, hold_the_same_words_with_any_executor) {
  using unit = typename TestFixture::unit_type;
  using gemm::sign_bits;
  for (const index n : {1, 5, 150}) {
    const auto w = random_codes_of<sign_bits<2>>(n, 64 * 40 + 3, 1);
    using packed_type = gemm::plane_weights<sign_bits<1>, sign_bits<2>, unit>;
    const packed_type one(w), two(w, thread_executor{2});
    ASSERT_EQ(two.bytes(), one.bytes());
    const std::uint64_t* words = one.operands().words;
    EXPECT_TRUE(std::equal(words, words + one.bytes() / 8, two.operands().words)) << n;
  }
}

TEST(pack_planes, packs_the_same_words_with_an_executor) {
  using gemm::ternary_bits;
  const auto w = random_codes_of<ternary_bits>(150, 130, 1);
  const auto one = gemm::pack_planes<ternary_bits, ternary_bits>(w);
  const auto two = gemm::pack_planes<ternary_bits, ternary_bits>(w, thread_executor{2});
  ASSERT_EQ(two.bytes(), one.bytes());
  const std::uint64_t* words = one.operands().words;
  EXPECT_TRUE(std::equal(words, words + one.bytes() / 8, two.operands().words));
}

/// The example at the head of the header.
TEST(plane_weights, hold_the_words_of_the_documented_example) {
  row_matrix<std::uint8_t> w(2, 5);
  w << 0, 1, 2, 3, 1, 3, 2, 1, 0, 2;
  using gemm::unsigned_bits;
  const auto packed = gemm::pack_planes<unsigned_bits<8>, unsigned_bits<2>, arch::scalar>(w);
  const std::uint64_t* words = packed.operands().words;
  ASSERT_EQ(packed.bytes(), 32);
  EXPECT_EQ(std::vector<std::uint64_t>(words, words + 4),
            (std::vector<std::uint64_t>{0x1A, 0x05, 0x0C, 0x13}));
}

TEST(plane_weights, report_their_extents) {
  const auto packed = gemm::pack_planes<gemm::binary_bits, gemm::binary_bits, arch::scalar>(
      random_codes_of<gemm::binary_bits>(3, 129, 1));
  EXPECT_EQ(packed.n(), 3);
  EXPECT_EQ(packed.k(), 129);
  EXPECT_EQ(packed.bytes(), 3 * 3 * 8);
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(plane_weights, refuse_a_code_of_another_format) {
  using gemm::binary_bits, gemm::ternary_bits;
  row_matrix<std::int8_t> w = row_matrix<std::int8_t>::Constant(2, 5, -1);
  w(1, 4) = 0;
  EXPECT_EQ(tests::sentence_of([&] { return gemm::pack_planes<ternary_bits, binary_bits>(w); }),
            "fewbit: pack_planes: w(1, 4) is 0, expected -1 or 1");
  w(0, 2) = 2;
  EXPECT_EQ(tests::sentence_of([&] { return gemm::pack_planes<ternary_bits, ternary_bits>(w); }),
            "fewbit: pack_planes: w(0, 2) is 2, expected -1, 0 or 1");
}

TEST(plane_weights, refuse_a_depth_that_could_overflow_int32) {
  using packed = gemm::plane_weights<gemm::unsigned_bits<8>, gemm::signed_bits<8>>;
  const index most = packed::max_depth;
  EXPECT_EQ(most, 65793);  // 65793 * 255 * 128 <= 2^31 - 1
  const row_matrix<std::int8_t> w = row_matrix<std::int8_t>::Zero(1, most + 1);
  EXPECT_NO_THROW(packed(w.leftCols(most)));
  EXPECT_EQ(tests::sentence_of([&] { return packed(w); }),
            "fewbit: pack_planes: depth is " + std::to_string(most + 1) + ", expected at most " +
                std::to_string(most));
}
#endif

}  // namespace gemm_bit_planes_weights_test
}  // namespace fewbit
