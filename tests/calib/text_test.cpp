#include "fewbit/calib/text.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cstdint>
#include <limits>
#include <string>

#include "calib/support.hpp"

namespace calib_text_test {

using fewbit::detail::text_reader;
using fewbit::detail::text_writer;
using fewbit::tests::expect_error;

TEST(text_test, writes_the_documented_text) {
  text_writer out;
  out.line("fewbit thing 1");
  out.field("count", 42);
  out.bits("lo", -1.5F);
  out.bits("momentum", 0.5);
  out.entry(-12, 5);
  EXPECT_EQ(out.take(),
            "fewbit thing 1\ncount 42\nlo bfc00000\nmomentum 3fe0000000000000\n-12 5\n");
}

TEST(text_test, reads_back_every_bit) {
  for (const std::uint32_t word : {0U, 1U, 0x80000000U, 0x7F800001U, 0xFFFFFFFFU, 0x3F9E0419U}) {
    text_writer out;
    out.bits("x", std::bit_cast<float>(word));
    const std::string text = out.take();
    text_reader in(text, "f");
    EXPECT_EQ(std::bit_cast<std::uint32_t>(in.bits<float>("x")), word);
    in.end();
  }
}

TEST(text_test, reads_numbers_up_to_the_limit) {
  const std::string text = "n 4611686018427387903\n-4611686018427387903 0\n0 7\n";
  text_reader in(text, "f");
  EXPECT_EQ(in.field("n", text_reader::largest_count), text_reader::largest_count);
  const auto [key, value] = in.entry();
  EXPECT_EQ(key, -4611686018427387903);
  EXPECT_EQ(value, 0U);
  EXPECT_EQ(in.entry().key, 0);
  in.end();
}

TEST(text_test, rejects_bad_numbers) {
  for (const char* line : {"n", "n ", "n -1", "n +1", "n 1 ", "n  1", "n 01", "n 0x1", "n 1e3",
                           "n 11", "n 4611686018427387904", "n 99999999999999999999", "m 1", "nn 1",
                           "n 18446744073709551617", "n 1\r"}) {
    expect_error(
        [&] {
          const std::string text = std::string(line) + "\n";
          text_reader in(text, "f");
          (void)in.field("n", 10);
        },
        "fewbit: f: line 1 is '" +
            (std::string(line) == "n 1\r" ? std::string("n 1?") : std::string(line)) +
            "', expected 'n <integer from 0 to 10>'");
  }
}

TEST(text_test, rejects_bad_bits) {
  for (const char* line : {"x", "x ", "x 3f80000", "x 3f8000000", "x 3F800000", "x 3f80000g",
                           "x 0x3f8000", "x 3f800000 "}) {
    expect_error(
        [&] {
          const std::string text = std::string(line) + "\n";
          text_reader in(text, "f");
          (void)in.bits<float>("x");
        },
        "fewbit: f: line 1 is '" + std::string(line) + "', expected 'x <8 hexadecimal digits>'");
  }
}

TEST(text_test, rejects_bad_entries) {
  for (const char* line : {"", "1", "1 ", " 1", "-0 1", "--1 1", "1 -1", "1 1 1", "+1 1", "- 1"}) {
    expect_error(
        [&] {
          const std::string text = std::string(line) + "\n";
          text_reader in(text, "f");
          (void)in.entry();
        },
        "fewbit: f: line 1 is '" + std::string(line) + "', expected '<integer> <count>'");
  }
}

TEST(text_test, names_the_line_and_shows_forty_characters) {
  expect_error(
      [] {
        text_reader in("a\nb\n", "f");
        in.line("a");
        in.line("c");
      },
      "fewbit: f: line 2 is 'b', expected 'c'");
  expect_error(
      [] {
        const std::string text = std::string(41, 'x') + "\n";
        text_reader in(text, "f");
        in.line("c");
      },
      "fewbit: f: line 1 is '" + std::string(40, 'x') + "...', expected 'c'");
  expect_error([] { text_reader("", "f").line("c"); },
               "fewbit: f: line 1 is missing, expected 'c'");
  expect_error([] { text_reader("c", "f").line("c"); },
               "fewbit: f: line 1 is 'c' without a newline, expected 'c'");
  expect_error([] { text_reader("c\n", "f").end(); }, "fewbit: f: line 1 is 'c', expected the end");
}

}  // namespace calib_text_test
