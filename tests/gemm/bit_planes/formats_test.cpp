#include "fewbit/gemm/bit_planes/formats.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "support/bit_codes.hpp"

namespace fewbit { namespace gemm_bit_planes_formats_test {

using tests::codes_of;

/// The sum of the values of the planes of a code.
template <class F>
int value_of(int code) {
  int value = 0;
  for (int i = 0; i < F::planes; ++i) {
    const int bit = F::stored(code) >> i & 1;
    if constexpr (gemm::TwosComplement<F>) {
      value += (F::is_signed && i == F::planes - 1 ? -1 : 1) * bit * (1 << i);
    } else {
      value += (1 - 2 * bit) * (1 << i);
    }
  }
  return value;
}

template <class F>
void expect_planes_add_up(int number_of_codes, int lowest, int highest) {
  const auto codes = codes_of<F>();
  ASSERT_EQ(codes.size(), static_cast<std::size_t>(number_of_codes));
  EXPECT_EQ(codes.front(), lowest);
  EXPECT_EQ(codes.back(), highest);
  for (const int code : codes) {
    EXPECT_EQ(value_of<F>(code), code);
    EXPECT_LE(code < 0 ? -code : code, F::largest);
  }
}

template <int Bits>
void expect_width() {
  SCOPED_TRACE(Bits);
  constexpr int count = 1 << Bits;
  expect_planes_add_up<gemm::sign_bits<Bits>>(count, 1 - count, count - 1);
  expect_planes_add_up<gemm::unsigned_bits<Bits>>(count, 0, count - 1);
  expect_planes_add_up<gemm::signed_bits<Bits>>(count, -count / 2, count / 2 - 1);
  if constexpr (Bits > 1) expect_width<Bits - 1>();
}

TEST(bit_formats, planes_add_up_to_the_code) {
  expect_width<8>();
  expect_planes_add_up<gemm::ternary_bits>(3, -1, 1);
}

TEST(bit_formats, keep_the_bits_that_storage_keeps) {
  EXPECT_EQ(gemm::binary_bits::stored(1), 0);
  EXPECT_EQ(gemm::binary_bits::stored(-1), 1);
  EXPECT_EQ(gemm::ternary_bits::stored(-1) & 3, 3);
}

TEST(bit_formats, have_error_sentences_about_codes) {
  EXPECT_EQ(gemm::binary_bits::expected(), "-1 or 1");
  EXPECT_EQ(gemm::sign_bits<3>::expected(), "odd, -7 to 7");
  EXPECT_EQ(gemm::ternary_bits::expected(), "-1, 0 or 1");
  EXPECT_EQ(gemm::unsigned_bits<2>::expected(), "0 to 3");
  EXPECT_EQ(gemm::signed_bits<2>::expected(), "-2 to 1");
}

}  // namespace gemm_bit_planes_formats_test
}  // namespace fewbit
