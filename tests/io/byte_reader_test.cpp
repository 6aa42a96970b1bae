#include "fewbit/io/byte_reader.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "io/support.hpp"
#include "support/sentence.hpp"

namespace io_byte_reader_test {

using fewbit::byte_reader;
using fewbit::tests::bytes_of;
using fewbit::tests::little_endian;

TEST(byte_reader, reads_numbers_of_every_width_low_byte_first) {
  const std::string text = little_endian(0x81, 1) + little_endian(0x8182, 2) +
                           little_endian(0x81828384, 4) + little_endian(0x8182838485868788, 8) +
                           little_endian(std::bit_cast<std::uint32_t>(-1.5F), 4) +
                           little_endian(std::bit_cast<std::uint64_t>(2.25), 8) + "abc";
  byte_reader in("f", "x", bytes_of(text));
  EXPECT_EQ(in.remaining(), text.size());
  EXPECT_EQ(in.read<std::int8_t>("a"), static_cast<std::int8_t>(0x81));
  EXPECT_EQ(in.read<std::uint16_t>("a"), 0x8182);
  EXPECT_EQ(in.read<std::int32_t>("a"), static_cast<std::int32_t>(0x81828384));
  EXPECT_EQ(in.read<std::uint64_t>("a"), 0x8182838485868788U);
  EXPECT_EQ(in.read<float>("a"), -1.5F);
  EXPECT_EQ(in.read<double>("a"), 2.25);
  EXPECT_EQ(in.position(), text.size() - 3);
  EXPECT_EQ(in.read_text(2, "a"), "ab");
  EXPECT_EQ(in.read_bytes(1, "a")[0], std::byte{'c'});
  EXPECT_EQ(in.remaining(), 0U);
  EXPECT_EQ(in.read_text(0, "a"), "");
}

TEST(byte_reader, never_reads_behind_the_end) {
  for (std::size_t size = 0; size < 8; ++size) {
    const std::vector<std::byte> bytes(size);  // of exact size, for the sanitizer
    byte_reader in("f", "x", bytes);
    EXPECT_EQ(fewbit::tests::sentence_of([&] { return in.read<std::uint64_t>("count"); }),
              "fewbit: f: count at byte 0 of 'x' is 8 bytes, expected at most " +
                  std::to_string(size) + ", the rest of the file");
    EXPECT_EQ(in.position(), 0U);
  }
  const std::string text = "abcd";
  byte_reader in("f", "x", bytes_of(text));
  (void)in.read<std::uint8_t>("first");
  EXPECT_EQ(fewbit::tests::sentence_of([&] {
              return in.read_text(std::numeric_limits<std::uint64_t>::max(), "key").size();
            }),
            "fewbit: f: key at byte 1 of 'x' is 18446744073709551615 bytes, expected at most 3, "
            "the rest of the file");
  EXPECT_EQ(in.read_text(3, "key"), "bcd");
}

TEST(byte_reader, fails_with_its_position) {
  const std::string text = "ab";
  byte_reader in("f", "x", bytes_of(text));
  (void)in.read<std::uint8_t>("first");
  EXPECT_EQ(fewbit::tests::sentence_of([&] { in.fail("version", 7, "1"); }),
            "fewbit: f: version at byte 1 of 'x' is 7, expected 1");
}

}  // namespace io_byte_reader_test
