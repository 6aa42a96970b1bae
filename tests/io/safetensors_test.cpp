#include "fewbit/io/safetensors.hpp"

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "fewbit/core/random.hpp"
#include "io/safetensors_cases.hpp"
#include "io/support.hpp"
#include "support/sentence.hpp"

namespace io_safetensors_test {

using fewbit::dtype;
using fewbit::index;
using fewbit::safetensors_file;
using fewbit::tests::bytes_of;
using fewbit::tests::little_endian;
using fewbit::tests::safetensors_of;

/// CRC-32 of zip and PNG, bit by bit.
std::uint32_t crc32(const std::string& text) {
  std::uint32_t sum = 0xFFFFFFFFU;
  for (const char letter : text) {
    sum ^= static_cast<unsigned char>(letter);
    for (int bit = 0; bit < 8; ++bit) sum = (sum >> 1) ^ ((sum & 1U) != 0 ? 0xEDB88320U : 0U);
  }
  return ~sum;
}

const std::string small_header = R"({"w":{"dtype":"I8","shape":[2,3],"data_offsets":[0,6]}} )";
const std::string small_file = safetensors_of(small_header, "\1\2\3\377\376\375");

TEST(safetensors_file, reads_the_smallest_file_of_the_notes) {
  ASSERT_EQ(small_file.size(), 70U);
  ASSERT_EQ(crc32(small_file), 0x800C870DU);
  const safetensors_file file(bytes_of(small_file), "x");
  EXPECT_EQ(file.size(), 1);
  const auto w = file.at("w");
  EXPECT_EQ(w.name, "w");
  EXPECT_EQ(w.type, dtype::i8);
  EXPECT_EQ(std::vector<index>(w.shape.begin(), w.shape.end()), (std::vector<index>{2, 3}));
  EXPECT_EQ(w.byte, 64U);
  EXPECT_EQ(w.file, "x");
  fewbit::row_matrix<std::int8_t> want(2, 3);
  want << 1, 2, 3, -1, -2, -3;
  EXPECT_EQ(w.matrix<std::int8_t>(), want);
}

TEST(safetensors_file, maps_a_file_and_copies_nothing) {
  const fewbit::tests::temporary_folder folder;
  fewbit::tests::write_content(folder / "a", small_file);
  safetensors_file file(folder / "a");
  EXPECT_EQ(file.name(), folder / "a");
  const auto w = file.at("w");
  const auto m = w.matrix<std::int8_t>();
  EXPECT_TRUE(m.is_mapped());
  EXPECT_EQ(static_cast<const void*>(m.data()), w.bytes.data());
  file.forget(w);
  EXPECT_EQ(m(1, 2), -3);
  const safetensors_file moved = std::move(file);
  EXPECT_EQ(w.name, "w");
  EXPECT_EQ(w.file, folder / "a");
  EXPECT_EQ(m(1, 2), -3);
  EXPECT_EQ(moved.at("w").bytes.data(), w.bytes.data());
}

TEST(safetensors_file, reads_every_type) {
  constexpr std::array<std::pair<const char*, int>, 20> types = {
      {{"BOOL", 8}, {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"U8", 8},
       {"I8", 8},   {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"I16", 16},
       {"U16", 16}, {"F16", 16},    {"BF16", 16},   {"I32", 32},    {"U32", 32},
       {"F32", 32}, {"C64", 64},    {"F64", 64},    {"I64", 64},    {"U64", 64}}};
  for (const auto& [name, bits] : types) {
    const int size = bits / 2;  // 4 numbers
    const std::string text =
        safetensors_of(R"({"x":{"dtype":")" + std::string(name) +
                           R"(","shape":[4],"data_offsets":[0,)" + std::to_string(size) + "]}}",
                       std::string(static_cast<std::size_t>(size), '\1'));
    const safetensors_file file(bytes_of(text), "x");
    const auto x = file.at("x");
    EXPECT_EQ(fewbit::name_of(x.type), name);
    EXPECT_EQ(x.bytes.size(), static_cast<std::size_t>(size)) << name;
    EXPECT_EQ(x.rows(), 4) << name;
  }
  const std::string complex =
      safetensors_of(R"({"x":{"dtype":"C64","shape":[],"data_offsets":[0,8]}})",
                     little_endian(std::bit_cast<std::uint32_t>(1.5F), 4) +
                         little_endian(std::bit_cast<std::uint32_t>(-2.0F), 4));
  EXPECT_EQ(safetensors_file(bytes_of(complex), "x").at("x").matrix<std::complex<float>>()(0, 0),
            std::complex<float>(1.5F, -2.0F));
}

/// Two tensors in another order than their data, an empty one at each end, escapes, padding.
const std::string large_header =
    R"({ "b" : {"data_offsets":[4,12],"shape":[2,1],"dtype":"F32"},)"
    R"("\u00e4\ud83d\ude00\"\n":{"dtype":"I16","shape":[2],"data_offsets":[0,4]},)"
    R"("__metadata__":{"format":"pt","\u0000":"","a":"\u00e4"},)"
    R"("":{"dtype":"U8","shape":[0,9],"data_offsets":[0,0]},)"
    R"("end":{"dtype":"U64","shape":[3,0],"data_offsets":[12,12]}})"
    "\t\r\n   ";
const std::string large_file =
    safetensors_of(large_header, std::string("\1\0\377\377\0\0\200\77\0\0\0\300", 12));

TEST(safetensors_file, reads_names_with_escapes_in_any_order) {
  const safetensors_file file(bytes_of(large_file), "x");
  std::vector<std::string> names;
  for (const auto t : file) names.emplace_back(t.name);
  const std::string odd = "\xc3\xa4\xf0\x9f\x98\x80\"\n";
  EXPECT_EQ(names, (std::vector<std::string>{"", odd, "b", "end"}));
  EXPECT_EQ(file.at(odd).matrix<std::int16_t>()(1, 0), -1);
  EXPECT_EQ(file.at("b").matrix<float>()(1, 0), -2.0F);
  EXPECT_EQ(file.at("").cols(), 9);
  EXPECT_EQ(file.at("end").bytes.size(), 0U);
  EXPECT_TRUE(file.contains("end"));
  EXPECT_FALSE(file.contains("en"));
  EXPECT_FALSE(file.find("c"));
  EXPECT_EQ(file.metadata_size(), 3);
  EXPECT_EQ(file.metadata("format"), "pt");
  EXPECT_EQ(file.metadata(std::string_view("\0", 1)), "");
  EXPECT_EQ(file.metadata("a"), "\xc3\xa4");
  EXPECT_FALSE(file.metadata("b"));
  EXPECT_EQ(file.metadata_at(2), (std::pair<std::string_view, std::string_view>("format", "pt")));
}

/// The numbers of the first tensor are a hole of the file: a terabyte that takes no space.
TEST(safetensors_file, may_be_larger_than_memory) {
  const fewbit::tests::temporary_folder folder;
  constexpr std::uint64_t size = std::uint64_t{1} << 40;
  std::string header = R"({"large":{"dtype":"F32","shape":[262144,1048576],"data_offsets":[0,)" +
                       std::to_string(size) + R"(]},"last":{"dtype":"U8","shape":[2],)" +
                       R"("data_offsets":[)" + std::to_string(size) + "," +
                       std::to_string(size + 2) + "]}}";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  const std::string start = safetensors_of(header, "");
  fewbit::tests::write_content(folder / "a", start);
  std::error_code problem;
  std::filesystem::resize_file(folder / "a", start.size() + size, problem);
  std::ofstream(folder / "a", std::ios::binary | std::ios::app) << "\5\6";
  if (problem || std::filesystem::file_size(folder / "a") != start.size() + size + 2) {
    GTEST_SKIP() << "the disk has no files with holes";
  }
  const safetensors_file file(folder / "a");
  EXPECT_EQ(file.at("last").matrix<std::uint8_t>()(1, 0), 6);
  EXPECT_EQ(file.at("large").matrix<float>()(262143, 1048575), 0.0F);
}

TEST(safetensors_file, may_have_no_tensors) {
  for (const char* header : {"{}", "{ }  ", R"({"__metadata__":{}})"}) {
    const std::string text = safetensors_of(header, "");
    EXPECT_EQ(safetensors_file(bytes_of(text), "x").size(), 0) << header;
  }
}

/// Old files have numbers at odd addresses; the header may have any length.
TEST(safetensors_file, reads_data_that_are_not_aligned) {
  for (std::size_t spaces = 0; spaces < 8; ++spaces) {
    const std::string text = safetensors_of(large_header + std::string(spaces, ' '),
                                            large_file.substr(8 + large_header.size()));
    const safetensors_file file(bytes_of(text), "x");
    EXPECT_EQ(file.at("b").matrix<float>()(0, 0), 1.0F);
  }
}

TEST(safetensors_file, finds_each_of_many_tensors) {
  std::string header = "{";
  for (int i = 0; i < 2000; ++i) {
    header += (i == 0 ? "\"" : ",\"") + std::to_string(i * 7919 % 2000) +
              R"(":{"dtype":"U8","shape":[1],"data_offsets":[)" + std::to_string(i) + "," +
              std::to_string(i + 1) + "]}";
  }
  std::string data;
  for (int i = 0; i < 2000; ++i) data += static_cast<char>(i * 7919 % 2000 % 251);
  const std::string text = safetensors_of(header + "}", data);
  const safetensors_file file(bytes_of(text), "x");
  for (int i = 0; i < 2000; ++i) {
    EXPECT_EQ(file.at(std::to_string(i)).matrix<std::uint8_t>()(0, 0), i % 251);
  }
}

/// The sentence of an error, without its start.
std::string refusal(const std::string& content) {
  // A copy of exact size on the heap, so that a sanitizer reports any read past its end.
  const std::vector<char> exact(content.begin(), content.end());
  const std::string sentence = fewbit::tests::sentence_of(
      [&] { return safetensors_file(std::as_bytes(std::span(exact)), "x").size(); });
  const std::string start = "fewbit: safetensors_file: ";
  return sentence.rfind(start, 0) == 0 ? sentence.substr(start.size()) : sentence;
}

/// The refusal of a header in front of 8 bytes of data.
std::string header_refusal(const std::string& header) {
  return refusal(safetensors_of(header, std::string(8, '\0')));
}

/// The refusal of one tensor 't' with these values.
std::string tensor_refusal(const std::string& type, const std::string& shape,
                           const std::string& offsets) {
  return header_refusal(R"({"t":{"dtype":)" + type + R"(,"shape":)" + shape +
                        R"(,"data_offsets":)" + offsets + "}}");
}

TEST(safetensors_file, refuses_a_wrong_length_of_the_header) {
  EXPECT_EQ(refusal(""),
            "length of the header at byte 0 of 'x' is 8 bytes, expected at most 0, "
            "the rest of the file");
  EXPECT_EQ(refusal("1234567"),
            "length of the header at byte 0 of 'x' is 8 bytes, expected at most 7, the rest of the "
            "file");
  EXPECT_EQ(refusal(little_endian(3, 8) + "{}"),
            "length of the header at byte 8 of 'x' is 3 bytes, expected at most 2, the rest of the "
            "file");
  for (const std::uint64_t length :
       {std::uint64_t{100'000'001}, std::uint64_t{1} << 63, ~std::uint64_t{0}}) {
    EXPECT_EQ(refusal(little_endian(length, 8) + "{}"),
              "length of the header at byte 0 of 'x' is " + std::to_string(length) +
                  ", expected at most 100000000");
  }
  EXPECT_EQ(refusal(little_endian(0, 8)),
            "start of the header at byte 8 of 'x' is its end, expected '{'");
}

TEST(safetensors_file, refuses_what_is_no_json) {
  EXPECT_EQ(header_refusal(" {}"), "start of the header at byte 8 of 'x' is ' ', expected '{'");
  EXPECT_EQ(header_refusal("\xef\xbb\xbf{}"),
            "start of the header at byte 8 of 'x' is '\xef', expected '{'");
  EXPECT_EQ(header_refusal("[]"), "start of the header at byte 8 of 'x' is '[', expected '{'");
  EXPECT_EQ(header_refusal(std::string("{}\0\0\0", 5)),
            "header at byte 10 of 'x' is a NUL byte, expected JSON, which programs must pad with "
            "spaces and not with NUL");
  for (const char* header : {"{", "{} x", "{}{}", "{\"t\"", "{\"\xff\":1}", "{\"\\ud800\":{}}",
                             "{\"t\":{\"shape\":[1e999]}}", "{'t':{}}", "{\"a\nb\":{}}", "{,}",
                             "{}//", "{\"t\":{\"dtype\":NaN}}", "{\"t\":{\"shape\":[01]}}"}) {
    const std::string sentence = header_refusal(header);
    EXPECT_NE(sentence.find("malformed near"), std::string::npos) << header << " " << sentence;
    EXPECT_NE(sentence.find(" at byte "), std::string::npos) << sentence;
    EXPECT_TRUE(sentence.ends_with("of 'x' is malformed near " +
                                   sentence.substr(sentence.find("near ") + 5)))
        << sentence;
  }
}

TEST(safetensors_file, stops_at_the_first_value_that_is_too_deep) {
  EXPECT_EQ(header_refusal("{" + std::string(100000, '[')).substr(0, 30),
            std::string("header at byte 10 of 'x' is ma"));
  EXPECT_EQ(header_refusal(R"({"t":)" + std::string(100000, '[')),
            "value of tensor 't' at byte 14 of 'x' is an array, expected an object with dtype, "
            "shape and data_offsets");
  EXPECT_EQ(header_refusal(R"({"t":{"shape":)" + std::string(100000, '[')),
            "value of tensor 't' at byte 24 of 'x' is an array, expected an extent, a whole number "
            "of at least 0");
  std::string objects = R"({"t":)";
  for (int i = 0; i < 10000; ++i) objects += R"({"t":)";
  EXPECT_EQ(header_refusal(objects),
            "key of tensor 't' at byte 17 of 'x' is 't', expected dtype, shape or data_offsets");
  EXPECT_EQ(header_refusal(R"({"__metadata__":{"a":{"b":1}}})"),
            "value at byte 30 of 'x' is an object, expected a string");
}

TEST(safetensors_file, refuses_values_of_another_kind) {
  for (const auto& [value, kind] :
       std::vector<std::pair<std::string, std::string>>{{"1", "1"},
                                                        {"-1", "-1"},
                                                        {"1.5", "'1.5'"},
                                                        {"null", "null"},
                                                        {"true", "true"},
                                                        {"false", "false"},
                                                        {"[]", "an array"}}) {
    EXPECT_EQ(header_refusal(R"({"t":)" + value + "}").substr(0, 21), "value of tensor 't' a");
    EXPECT_NE(header_refusal(R"({"t":)" + value + "}").find(" is " + kind + ", expected an object"),
              std::string::npos);
    EXPECT_NE(tensor_refusal(value, "[8]", "[0,8]").find(" is " + kind + ", expected a string"),
              std::string::npos);
    EXPECT_NE(header_refusal(R"({"__metadata__":)" + value + "}")
                  .find(" is " + kind + ", expected an object of strings"),
              std::string::npos);
    EXPECT_NE(header_refusal(R"({"__metadata__":{"a":)" + value + "}}")
                  .find(" is " + kind + ", expected a string"),
              std::string::npos);
    if (kind == "an array") continue;
    EXPECT_NE(tensor_refusal(R"("U8")", value, "[0,8]").find(" is " + kind + ", expected an array"),
              std::string::npos);
    EXPECT_NE(tensor_refusal(R"("U8")", "[8]", value).find(" is " + kind + ", expected an array"),
              std::string::npos);
    if (kind == "1") continue;
    EXPECT_NE(tensor_refusal(R"("U8")", "[" + value + "]", "[0,8]")
                  .find(" is " + kind + ", expected an extent, a whole number of at least 0"),
              std::string::npos);
    EXPECT_NE(tensor_refusal(R"("U8")", "[8]", "[" + value + ",8]")
                  .find(" is " + kind + ", expected a position, a whole number of at least 0"),
              std::string::npos);
    EXPECT_NE(tensor_refusal(R"("U8")", "[8]", "[0," + value + "]")
                  .find(" is " + kind + ", expected a position, a whole number of at least 0"),
              std::string::npos);
  }
  EXPECT_EQ(tensor_refusal(R"("U8")", "[8e0]", "[0,8]"),
            "value of tensor 't' at byte 40 of 'x' is '8e0', expected an extent, a whole number of "
            "at least 0");
  EXPECT_EQ(tensor_refusal(R"("U8")", "[\"8\"]", "[0,8]"),
            "value of tensor 't' at byte 39 of 'x' is a string, expected an extent, a whole number "
            "of at least 0");
  EXPECT_EQ(
      tensor_refusal(R"("U8")", "[18446744073709551616]", "[0,8]"),
      "value of tensor 't' at byte 57 of 'x' is '18446744073709551616', expected an extent, a "
      "whole number of at least 0");
  for (const char* offsets : {"[]", "[0]"}) {
    EXPECT_NE(tensor_refusal(R"("U8")", "[8]", offsets)
                  .find(" is the end of an array, expected a position"),
              std::string::npos);
  }
  EXPECT_NE(tensor_refusal(R"("U8")", "[8]", "[0,8,8]")
                .find(" is 8, expected the end of an array of two positions"),
            std::string::npos);
}

TEST(safetensors_file, refuses_entries_that_are_not_whole) {
  EXPECT_EQ(
      header_refusal(R"({"t":{}})"),
      "entry of tensor 't' at byte 15 of 'x' is without dtype, expected one with dtype, shape "
      "and data_offsets");
  EXPECT_NE(header_refusal(R"({"t":{"dtype":"U8","data_offsets":[0,8]}})").find("without shape"),
            std::string::npos);
  EXPECT_NE(header_refusal(R"({"t":{"dtype":"U8","shape":[8]}})").find("without data_offsets"),
            std::string::npos);
  EXPECT_EQ(header_refusal(R"({"t":{"dtype":"U8","dtype":"U8"}})"),
            "dtype of tensor 't' at byte 34 of 'x' is there twice, expected there once");
  EXPECT_NE(header_refusal(R"({"t":{"shape":[],"shape":[]}})").find("shape of tensor 't'"),
            std::string::npos);
  EXPECT_NE(header_refusal(R"({"t":{"data_offsets":[0,8],"data_offsets":[0,8]}})")
                .find("data_offsets of tensor 't'"),
            std::string::npos);
  EXPECT_EQ(header_refusal(R"({"t":{"type":"U8"}})"),
            "key of tensor 't' at byte 20 of 'x' is 'type', expected dtype, shape or data_offsets");
  EXPECT_NE(tensor_refusal(R"("U9")", "[8]", "[0,8]").find(" is 'U9', expected BOOL, U8, F32"),
            std::string::npos);
  EXPECT_NE(tensor_refusal(R"("u8")", "[8]", "[0,8]").find(" is 'u8', expected BOOL"),
            std::string::npos);
}

TEST(safetensors_file, refuses_sizes_that_overflow_or_are_no_whole_bytes) {
  const std::string most = std::to_string(std::numeric_limits<index>::max());
  EXPECT_EQ(
      tensor_refusal(R"("U8")", "[18446744073709551615]", "[0,8]"),
      "extent of tensor 't' at byte 57 of 'x' is 18446744073709551615, expected at most " + most);
  for (const auto& shape :
       {"[" + most + "]", "[" + most + "," + most + "]", "[0," + most + "," + most + "]",
        std::string("[4294967296,4294967296]"), std::string("[2147483648,2147483648,4]")}) {
    EXPECT_NE(tensor_refusal(R"("F64")", shape, "[0,8]")
                  .find(", expected one of a size that fits memory"),
              std::string::npos)
        << shape;
  }
  EXPECT_EQ(tensor_refusal(R"("F4")", "[15]", "[0,8]"),
            "shape of tensor 't' at byte 61 of 'x' is [15], expected whole bytes of F4");
  EXPECT_NE(tensor_refusal(R"("F6_E2M3")", "[2]", "[0,8]").find("whole bytes of F6_E2M3"),
            std::string::npos);
  std::string many = "[1";
  for (int i = 0; i < 63; ++i) many += ",1";
  EXPECT_EQ(tensor_refusal(R"("U8")", many + "]", "[0,1]").substr(0, 29),
            "rest behind the last tensor a");  // 64 extents are legal
  EXPECT_NE(
      tensor_refusal(R"("U8")", many + ",1]", "[0,1]").find("number of extents of tensor 't'"),
      std::string::npos);
}

TEST(safetensors_file, refuses_offsets_that_do_not_fit) {
  EXPECT_EQ(
      tensor_refusal(R"("U8")", "[8]", "[8,0]"),
      "data_offsets of tensor 't' at byte 60 of 'x' is [8, 0], expected ascending, at most 8, "
      "the bytes behind the header");
  EXPECT_NE(tensor_refusal(R"("U8")", "[9]", "[0,9]").find("is [0, 9], expected ascending"),
            std::string::npos);
  EXPECT_NE(tensor_refusal(R"("U8")", "[8]", "[18446744073709551615,7]").find("expected ascending"),
            std::string::npos);
  EXPECT_EQ(tensor_refusal(R"("U16")", "[3]", "[0,8]"),
            "data_offsets of tensor 't' at byte 61 of 'x' is [0, 8], expected 6 bytes for U16 [3]");
  EXPECT_EQ(tensor_refusal(R"("U8")", "[7]", "[0,7]"),
            "rest behind the last tensor at byte 68 of 'x' is 1 bytes, expected the end of the "
            "file");
  EXPECT_EQ(tensor_refusal(R"("U8")", "[7]", "[1,8]"),
            "gap at byte 61 of 'x' is 1 bytes, expected no byte without a tensor");
}

TEST(safetensors_file, refuses_overlaps_holes_and_names_that_are_there_twice) {
  const auto two = [](const std::string& a, const std::string& b, const std::string& second) {
    return header_refusal(R"({"a":{"dtype":"U8","shape":)" + a + R"(},")" + second +
                          R"(":{"dtype":"U8","shape":)" + b + "}}");
  };
  EXPECT_EQ(
      two(R"([5],"data_offsets":[0,5])", R"([5],"data_offsets":[3,8])", "b"),
      "data of tensor 'b' at byte 116 of 'x' is data of another tensor, too, expected data of "
      "one tensor");
  EXPECT_NE(two(R"([8],"data_offsets":[0,8])", R"([8],"data_offsets":[0,8])", "b")
                .find("data of another tensor"),
            std::string::npos);
  EXPECT_NE(two(R"([3],"data_offsets":[0,3])", R"([4],"data_offsets":[4,8])", "b")
                .find("gap at byte 116 of 'x' is 1 bytes"),
            std::string::npos);
  // An empty tensor within the data of another one.
  EXPECT_NE(two(R"([8],"data_offsets":[0,8])", R"([0],"data_offsets":[4,4])", "b")
                .find("data of another tensor"),
            std::string::npos);
  EXPECT_EQ(two(R"([4],"data_offsets":[0,4])", R"([4],"data_offsets":[4,8])", "a"),
            "entry of tensor 'a' at byte 112 of 'x' is there already at byte 60, expected a name "
            "for each tensor");
  EXPECT_NE(two(R"([8],"data_offsets":[0,8])", R"([0],"data_offsets":[8,8])", "\\u0061")
                .find("is there already"),
            std::string::npos);
  EXPECT_EQ(header_refusal(R"({"__metadata__":{},"__metadata__":{}})"),
            "__metadata__ at byte 41 of 'x' is there twice, expected there once");
  EXPECT_EQ(refusal(safetensors_of(R"({"__metadata__":{"a":"1","b":"2","a":"3"}})", "")),
            "key 'a' of __metadata__ of 'x' is there twice, expected there once");
}

TEST(safetensors_file, shows_no_control_characters_and_no_long_names) {
  const std::string sentence =
      header_refusal(R"({"\u0000\u001b[2J)" + std::string(100000, 'n') + R"(":1})");
  EXPECT_NE(sentence.find(R"('\x00\x1b[2Jnnn)"), std::string::npos);
  EXPECT_LT(sentence.size(), 300U);
}

TEST(safetensors_file, refuses_a_missing_tensor) {
  const safetensors_file file(bytes_of(small_file), "x");
  EXPECT_EQ(fewbit::tests::sentence_of([&] { return file.at("v").byte; }),
            "fewbit: safetensors_file::at: 'v' of 'x' is missing, expected one of its 1 tensors");
}

TEST(safetensors_file, refuses_a_missing_file) {
  EXPECT_EQ(fewbit::tests::sentence_of([] { return safetensors_file("/nowhere/x").size(); }),
            "fewbit: safetensors_file: '/nowhere/x' is not readable (No such file or directory), "
            "expected a file that can be mapped");
}

TEST(safetensors_file, refuses_every_truncation_and_every_further_byte) {
  for (const std::string& whole : {small_file, large_file}) {
    ASSERT_EQ(refusal(whole), "no error");
    for (std::size_t size = 0; size < whole.size(); ++size) {
      EXPECT_NE(refusal(whole.substr(0, size)).find("at byte "), std::string::npos) << size;
    }
    EXPECT_NE(refusal(whole + "x").find("rest behind the last tensor"), std::string::npos);
  }
}

/// All rules hold for what is accepted.
void expect_safe(const std::string& content, int& accepted) {
  bool is_accepted = false;
  EXPECT_EQ(fewbit::tests::read_hostile(content, is_accepted), "") << content;
  accepted += is_accepted;
}

TEST(safetensors_file, reads_or_refuses_every_flip_of_a_bit) {
  int accepted = 0, files = 0;
  for (const std::string& whole : {small_file, large_file}) {
    for (std::size_t bit = 0; bit < 8 * whole.size(); ++bit, ++files) {
      std::string flipped = whole;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ 1 << bit % 8);
      expect_safe(flipped, accepted);
    }
  }
  EXPECT_GT(accepted, 48);  // at least the flips of the data
  EXPECT_LT(accepted, files / 2);
}

/// An input with one to four bytes replaced, removed or doubled. Each run makes the same changes.
std::string mutated(std::string text, std::uint64_t which) {
  static const std::string favourites = "0129-{}[]()',:\"\\eE.\xff";
  const auto count = fewbit::random_bits(11, which)[0] % 4 + 1;
  for (std::uint32_t i = 0; i < count && !text.empty(); ++i) {
    const auto bits = fewbit::random_bits(12, which * 4 + i);
    const std::size_t at = bits[0] % text.size();
    const char letter = favourites[bits[2] % favourites.size()];
    switch (bits[1] % 4) {
      case 0:
        text[at] = static_cast<char>(bits[2]);
        break;
      case 1:
        text[at] = letter;
        break;
      case 2:
        text.erase(at, bits[2] % 8 + 1);
        break;
      default:
        text.insert(at, text.substr(bits[2] % text.size(), bits[3] % 16));
        break;
    }
  }
  return text;
}

TEST(safetensors_file, reads_or_refuses_the_seeds_of_the_fuzz_target_and_their_mutations) {
  int accepted = 0;
  for (const std::string& seed : fewbit::tests::safetensors_seeds) {
    expect_safe(fewbit::tests::file_of_input(seed), accepted);
  }
  EXPECT_EQ(accepted, 12);  // all but the one that is malformed
  accepted = 0;
  for (std::uint64_t i = 0; i < 6000; ++i) {
    const std::string& seed =
        fewbit::tests::safetensors_seeds[i % fewbit::tests::safetensors_seeds.size()];
    expect_safe(fewbit::tests::file_of_input(mutated(seed, i)), accepted);
  }
  EXPECT_GT(accepted, 200);
  EXPECT_LT(accepted, 5000);
}

}  // namespace io_safetensors_test
