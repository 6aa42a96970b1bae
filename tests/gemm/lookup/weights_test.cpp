#include "fewbit/gemm/lookup/weights.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "fewbit/core/executor_adapters.hpp"
#include "support/bit_codes.hpp"
#include "support/sentence.hpp"
#include "support/table_units.hpp"

namespace fewbit { namespace gemm_lookup_weights_test {

using tests::random_codes_of;
using int8_bits = gemm::signed_bits<8>;

template <class U>
class table_weights_test : public testing::Test {
 public:
  using unit_type = typename U::type;
};

TYPED_TEST_SUITE(table_weights_test, tests::table_units, tests::table_unit_names);

/// 2051 codes are 257 bytes, one more than a block.
TYPED_TEST(table_weights_test, are_ordered_by_block_panel_plane_byte_and_column) {
  using unit = typename TestFixture::unit_type;
  using format = gemm::ternary_bits;
  constexpr index lanes = unit::lanes, half = lanes / 2;
  for (const index n : {index{1}, half + 1, lanes, 2 * lanes + 1}) {
    for (const index k : {0, 1, 8, 13, 2051}) {
      SCOPED_TRACE(testing::Message() << "n=" << n << " k=" << k);
      const auto w = random_codes_of<format>(n, k, 1);
      const gemm::table_weights<int8_bits, format, unit> packed(w);
      const index bytes = (k + 7) / 8, panels = (n + lanes - 1) / lanes;
      EXPECT_EQ(packed.bytes(), bytes * 2 * panels * lanes);
      index wrong = 0;
      for (index at = 0; at < panels * lanes * 2 * bytes * 8; ++at) {
        const index i = at % (bytes * 8), p = at / (bytes * 8) % 2, j = at / (bytes * 8) / 2;
        const index first = i / 8 / 256 * 256, c = j % lanes;
        const index count = std::min(index{256}, bytes - first);
        const std::uint8_t byte = packed.block(
            first, count, j / lanes)[(p * count + i / 8 - first) * lanes + c % half * 2 + c / half];
        const int expected = j < n && i < k ? format::stored(w(j, i)) >> p & 1 : 0;
        if ((byte >> i % 8 & 1) != expected) ++wrong;
      }
      EXPECT_EQ(wrong, 0);
    }
  }
}

TYPED_TEST(table_weights_test, hold_the_same_bytes_with_any_executor) {
  using packed_type =
      gemm::table_weights<int8_bits, gemm::ternary_bits, typename TestFixture::unit_type>;
  for (const index n : {1, 5, 150}) {
    const auto w = random_codes_of<gemm::ternary_bits>(n, 2051, 1);
    const packed_type one(w), two(w, thread_executor{2});
    ASSERT_EQ(two.bytes(), one.bytes());
    const std::uint8_t* bytes = one.block(0, 256, 0);
    EXPECT_TRUE(std::equal(bytes, bytes + one.bytes(), two.block(0, 256, 0))) << n;
  }
}

TEST(pack_table, packs_the_same_bytes_with_an_executor) {
  const auto w = random_codes_of<gemm::ternary_bits>(150, 77, 1);
  const auto one = gemm::pack_table<int8_bits, gemm::ternary_bits, arch::scalar>(w);
  const auto two =
      gemm::pack_table<int8_bits, gemm::ternary_bits, arch::scalar>(w, thread_executor{2});
  ASSERT_EQ(two.bytes(), one.bytes());
  const std::uint8_t* bytes = one.block(0, one.bytes_of_k(), 0);
  EXPECT_TRUE(std::equal(bytes, bytes + one.bytes(), two.block(0, two.bytes_of_k(), 0)));
}

/// The example at the head of the header.
TEST(table_weights, hold_the_bytes_of_the_documented_example) {
  row_matrix<std::uint8_t> w(2, 5);
  w << 0, 1, 2, 3, 1, 3, 2, 1, 0, 2;
  const auto packed = gemm::pack_table<int8_bits, gemm::unsigned_bits<2>, arch::scalar>(w);
  const std::uint8_t* bytes = packed.block(0, 1, 0);
  ASSERT_EQ(packed.bytes(), 16);
  EXPECT_EQ(std::vector<int>(bytes, bytes + 16),
            (std::vector<int>{0x1A, 0, 0x05, 0, 0, 0, 0, 0, 0x0C, 0, 0x13, 0, 0, 0, 0, 0}));
}

TEST(table_weights, report_their_extents) {
  const auto packed = gemm::pack_table<int8_bits, gemm::binary_bits, arch::scalar>(
      random_codes_of<gemm::binary_bits>(9, 129, 1));
  EXPECT_EQ(packed.n(), 9);
  EXPECT_EQ(packed.k(), 129);
  EXPECT_EQ(packed.bytes(), 2 * 8 * 17);
}

/// The values of bits, checked on all codes of a format.
template <class W>
void expect_bits_to_give_codes() {
  constexpr auto factors = gemm::detail::factors_of<W>();
  for (const auto code : tests::codes_of<W>()) {
    int value = factors.offset;
    for (int p = 0; p < W::planes; ++p)
      value += factors.factors[static_cast<std::size_t>(p)] * (W::stored(code) >> p & 1);
    EXPECT_EQ(value, code);
  }
}

TEST(table_weights, compute_the_factors_of_planes) {
  expect_bits_to_give_codes<gemm::binary_bits>();
  expect_bits_to_give_codes<gemm::sign_bits<3>>();
  expect_bits_to_give_codes<gemm::ternary_bits>();
  expect_bits_to_give_codes<gemm::unsigned_bits<2>>();
  expect_bits_to_give_codes<gemm::signed_bits<4>>();
}

#if FEWBIT_HAS_EXCEPTIONS
TEST(table_weights, refuse_a_code_of_another_format) {
  row_matrix<std::int8_t> w = row_matrix<std::int8_t>::Constant(2, 5, -1);
  w(1, 4) = 0;
  EXPECT_EQ(tests::sentence_of([&] { return gemm::pack_table<int8_bits, gemm::binary_bits>(w); }),
            "fewbit: pack_table: w(1, 4) is 0, expected -1 or 1");
}

TEST(table_weights, refuse_a_depth_that_could_overflow_int32) {
  using packed = gemm::table_weights<int8_bits, gemm::signed_bits<8>>;
  const index most = packed::max_depth;
  EXPECT_EQ(most, 131071);  // 131071 * 128 * 128 <= 2^31 - 1
  const row_matrix<std::int8_t> w = row_matrix<std::int8_t>::Zero(1, most + 1);
  EXPECT_NO_THROW(packed(w.leftCols(most)));
  EXPECT_EQ(tests::sentence_of([&] { return packed(w); }),
            "fewbit: pack_table: depth is " + std::to_string(most + 1) + ", expected at most " +
                std::to_string(most));
}
#endif

}  // namespace gemm_lookup_weights_test
}  // namespace fewbit
