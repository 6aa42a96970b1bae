#include "fewbit/io/file_error.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include "support/sentence.hpp"

namespace io_file_error_test {

namespace detail = fewbit::detail;

TEST(file_error, names_are_quoted_cut_and_free_of_control_characters) {
  EXPECT_EQ(detail::name_text("w"), "'w'");
  EXPECT_EQ(detail::name_text(std::string("a\0b\n\x7f", 5)), R"('a\x00b\x0a\x7f')");
  EXPECT_EQ(detail::name_text("\xc3\xa4"), "'\xc3\xa4'");
  EXPECT_EQ(detail::name_text(std::string(80, 'x')), "'" + std::string(80, 'x') + "'");
  EXPECT_EQ(detail::name_text(std::string(81, 'x')), "'" + std::string(80, 'x') + "...'");
  EXPECT_EQ(detail::name_text(std::string(79, 'x') + "\xc3\xa4"),
            "'" + std::string(79, 'x') + "...'");
  EXPECT_EQ(detail::path_text(std::string(300, 'x')).size(), 302U);
}

TEST(file_error, places_name_file_tensor_and_byte) {
  EXPECT_EQ(detail::in_file("shape", {"f", 40, "w"}), "shape of tensor 'w' at byte 40 of 'f'");
  EXPECT_EQ(detail::in_file("shape", {"f", -1, "w"}), "shape of tensor 'w' in 'f'");
  EXPECT_EQ(detail::in_file("size", {"f", 0}), "size at byte 0 of 'f'");
  EXPECT_EQ(detail::in_file("size", {"f"}), "size of 'f'");
}

TEST(file_error, sentences_have_the_form_of_the_library) {
  EXPECT_EQ(fewbit::tests::sentence_of([] {
              detail::fail_in_file("load", "rank", {"f", 8, "w"}, 5, "at most 4");
            }),
            "fewbit: load: rank of tensor 'w' at byte 8 of 'f' is 5, expected at most 4");
  EXPECT_EQ(fewbit::tests::sentence_of(
                [] { detail::fail_with_errno("load", "a b", "readable", ENOENT, "a file"); }),
            "fewbit: load: 'a b' is not readable (No such file or directory), expected a file");
}

}  // namespace io_file_error_test
