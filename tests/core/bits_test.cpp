#include "fewbit/core/bits.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

namespace core_bits_test {

using fewbit::index;

template <int B, bool S>
struct format {
  static constexpr int bits = B;
  static constexpr bool is_signed = S;
  using code = fewbit::code_type<B, S>;
};

template <class Format>
class bits_test : public testing::Test {
 protected:
  static constexpr int lowest = Format::is_signed && Format::bits > 1 ? -(1 << (Format::bits - 1))
                                                                      : 0;

  /// All codes, one after another. The period of the sequence is not a power of two.
  static std::vector<typename Format::code> codes(index n) {
    std::vector<typename Format::code> result;
    for (index i = 0; i < n; ++i) {
      result.push_back(
          static_cast<typename Format::code>(lowest + (i * 7 + i / 5) % (1 << Format::bits)));
    }
    return result;
  }

  /// Bit b of the row as the layout defines it, without shifts of whole codes.
  static bool expected_bit(const std::vector<typename Format::code>& codes, index b) {
    const auto element = static_cast<std::size_t>(b / Format::bits);
    if (element >= codes.size()) return false;
    const int modulus = 1 << Format::bits;
    int value = (static_cast<int>(codes[element]) % modulus + modulus) % modulus;
    for (index halvings = b % Format::bits; halvings > 0; --halvings) value /= 2;
    return value % 2 != 0;
  }
};

using formats =
    testing::Types<format<1, false>, format<1, true>, format<2, false>, format<2, true>,
                   format<3, false>, format<3, true>, format<4, false>, format<4, true>,
                   format<5, false>, format<6, true>, format<7, false>, format<7, true>,
                   format<8, false>, format<8, true>, format<16, false>, format<16, true>>;
TYPED_TEST_SUITE(bits_test, formats);

TYPED_TEST(bits_test, every_bit_has_its_position_in_the_layout_and_padding_is_zero) {
  constexpr int bits = TypeParam::bits;
  for (index n = 0; n <= 67; ++n) {
    const auto codes = this->codes(n);
    const index size = fewbit::packed_bytes<bits>(n);
    ASSERT_EQ(size, (n * bits + 7) / 8);
    std::vector<std::uint8_t> bytes(static_cast<std::size_t>(size) + 1, 0xFF);
    fewbit::pack_bits<bits>(codes.data(), n, bytes.data());
    for (index b = 0; b < size * 8; ++b) {
      const bool bit = (bytes[static_cast<std::size_t>(b / 8)] / (1 << (b % 8))) % 2 != 0;
      ASSERT_EQ(bit, this->expected_bit(codes, b)) << "n=" << n << " bit=" << b;
    }
    EXPECT_EQ(bytes.back(), 0xFF) << "wrote past the end, n=" << n;
  }
}

TYPED_TEST(bits_test, unpacks_rows_and_single_codes) {
  constexpr int bits = TypeParam::bits;
  constexpr bool is_signed = TypeParam::is_signed;
  using code = typename TypeParam::code;
  for (index n = 0; n <= 67; ++n) {
    const auto codes = this->codes(n);
    std::vector<std::uint8_t> bytes(static_cast<std::size_t>(fewbit::packed_bytes<bits>(n)));
    fewbit::pack_bits<bits>(codes.data(), n, bytes.data());
    std::vector<code> back(static_cast<std::size_t>(n) + 1, code{99});
    fewbit::unpack_bits<bits, is_signed>(bytes.data(), n, back.data());
    EXPECT_EQ(back.back(), code{99});
    back.pop_back();
    EXPECT_EQ(back, codes);
    for (index i = 0; i < n; ++i) {
      ASSERT_EQ((fewbit::extract_bits<bits, is_signed>(bytes.data(), i)),
                codes[static_cast<std::size_t>(i)]);
    }
  }
}

TYPED_TEST(bits_test, every_code_is_unpacked_unchanged) {
  constexpr int bits = TypeParam::bits;
  for (int v = this->lowest; v < this->lowest + (1 << bits); ++v) {
    const auto code = static_cast<typename TypeParam::code>(v);
    std::uint8_t bytes[2] = {};
    fewbit::pack_bits<bits>(&code, 1, bytes);
    ASSERT_EQ((fewbit::extract_bits<bits, TypeParam::is_signed>(bytes, 0)), v);
  }
}

TEST(bits, golden_bytes) {
  const std::array<std::int8_t, 5> fours = {-8, 7, 1, -1, 3};
  std::array<std::uint8_t, 3> bytes{};
  fewbit::pack_bits<4>(fours.data(), 5, bytes.data());
  EXPECT_EQ(bytes, (std::array<std::uint8_t, 3>{0x78, 0xF1, 0x03}));
  const std::array<std::int8_t, 5> twos = {0, 1, -2, -1, 1};
  fewbit::pack_bits<2>(twos.data(), 5, bytes.data());
  EXPECT_EQ(bytes, (std::array<std::uint8_t, 3>{0xE4, 0x01, 0x03}));
  const std::array<std::int8_t, 4> threes = {-4, 3, -1, 1};
  fewbit::pack_bits<3>(threes.data(), 4, bytes.data());
  EXPECT_EQ(bytes, (std::array<std::uint8_t, 3>{0xDC, 0x03, 0x03}));
  const std::array<std::uint8_t, 3> fives = {17, 30, 5};
  fewbit::pack_bits<5>(fives.data(), 3, bytes.data());
  EXPECT_EQ(bytes, (std::array<std::uint8_t, 3>{0xD1, 0x17, 0x03}));
  const std::array<std::int8_t, 9> ones = {1, 0, 0, 1, 1, 1, 0, 0, 1};
  fewbit::pack_bits<1>(ones.data(), 9, bytes.data());
  EXPECT_EQ(bytes, (std::array<std::uint8_t, 3>{0x39, 0x01, 0x03}));
}

constexpr bool packs_at_compile_time() {
  const std::int8_t codes[3] = {-2, 1, -1};
  std::uint8_t bytes[1] = {};
  fewbit::pack_bits<2>(codes, 3, bytes);
  return bytes[0] == 0x36 && fewbit::extract_bits<2, true>(bytes, 2) == -1;
}
static_assert(packs_at_compile_time());
constexpr index most = std::numeric_limits<index>::max();
static_assert(fewbit::packed_bytes<3>(most) == most / 8 * 3 + 3);
static_assert(fewbit::packed_bytes<7>(most) == most / 8 * 7 + 7);
static_assert(fewbit::packed_bytes<1>(most) == most / 8 + 1, "no overflow on the way");
static_assert(std::is_same_v<fewbit::code_type<4, true>, std::int8_t>);
static_assert(std::is_same_v<fewbit::code_type<16, false>, std::uint16_t>);

}  // namespace core_bits_test
