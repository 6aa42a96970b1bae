#include <gtest/gtest.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "fewbit/core/random.hpp"
#include "npy.hpp"
#include "safetensors.hpp"
#include "support/data.hpp"
#include "support/sentence.hpp"

namespace support_readers_test {

using fewbit::index;
using fewbit::examples::element;
using fewbit::examples::tensor;

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string little_endian(std::uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i) & 0xFF);
  return text;
}

std::string npy(const std::string& dictionary, const std::string& data) {
  return std::string("\x93NUMPY\x01\x00", 8) + little_endian(dictionary.size(), 2) + dictionary +
         data;
}

std::string safetensors(const std::string& header, const std::string& data) {
  return little_endian(header.size(), 8) + header + data;
}

const std::string good_dictionary =
    "{'descr': '<i2', 'fortran_order': False, 'shape': (2, 3), }  \n";
const std::string good_npy = npy(good_dictionary, std::string("\1\0\2\0\3\0\4\0\5\0\377\377", 12));

const std::string good_header =
    R"({"__metadata__":{"format":"test"},"a":{"dtype":"F32","shape":[2,1],"data_offsets":[3,11]},)"
    R"("b":{"dtype":"I8","shape":[3],"data_offsets":[0,3]},)"
    R"("c":{"dtype":"F32","shape":[0,7],"data_offsets":[11,11]},)"
    R"("d":{"dtype":"U8","shape":[],"data_offsets":[11,12]}})";
const std::string good_data = "\1\2\377" + std::string("\0\0\200\77\0\0\0\300", 8) + "\7";
const std::string good_safetensors = safetensors(good_header, good_data);

TEST(npy, reads_shape_type_and_values) {
  const tensor t = fewbit::examples::parse_npy(bytes_of(good_npy), "x");
  EXPECT_EQ(t.type, element::i16);
  EXPECT_EQ(t.shape, (std::vector<index>{2, 3}));
  const auto values = t.as<std::int16_t>();
  EXPECT_EQ(std::vector<std::int16_t>(values.begin(), values.end()),
            (std::vector<std::int16_t>{1, 2, 3, 4, 5, -1}));
  EXPECT_EQ(t.matrix<std::int16_t>()(1, 0), 4);
}

TEST(npy, reads_every_type_and_shape) {
  const auto parse = [](const std::string& descr, const std::string& shape, std::size_t bytes) {
    return fewbit::examples::parse_npy(
        bytes_of(npy("{'shape': " + shape + ", 'fortran_order': False, 'descr': '" + descr + "'}",
                     std::string(bytes, '\1'))),
        "x");
  };
  EXPECT_EQ(parse("|u1", "()", 1).as<std::uint8_t>()[0], 1);
  EXPECT_EQ(parse("|i1", "(3,)", 3).as<std::int8_t>().size(), 3U);
  EXPECT_EQ(parse("<i4", "(1, 2, 2)", 16).as<std::int32_t>()[3], 0x01010101);
  EXPECT_EQ(parse("<f4", "(1,1)", 4).as<float>()[0], std::bit_cast<float>(0x01010101));
  EXPECT_EQ(parse("<f4", "(0, 9)", 0).size(), 0);
  EXPECT_EQ(parse("|u1", "(2,2,3)", 12).matrix<std::uint8_t>().cols(), 6);
}

TEST(safetensors, reads_tensors_and_metadata) {
  const auto file = fewbit::examples::parse_safetensors(bytes_of(good_safetensors), "x");
  EXPECT_EQ(file.tensors.size(), 4U);
  EXPECT_EQ(file.metadata.at("format"), "test");
  EXPECT_EQ(file["a"].as<float>()[0], 1.0F);
  EXPECT_EQ(file["a"].as<float>()[1], -2.0F);
  EXPECT_EQ(file["b"].as<std::int8_t>()[2], -1);
  EXPECT_EQ(file["c"].size(), 0);
  EXPECT_EQ(file["d"].as<std::uint8_t>()[0], 7);
}

TEST(safetensors, reads_every_type) {
  for (const auto& e : fewbit::examples::elements) {
    const auto size = static_cast<std::size_t>(2 * e.bytes);
    const std::string header = R"({"x":{"dtype":")" + std::string(e.name) +
                               R"(","shape":[2],"data_offsets":[0,)" + std::to_string(size) + "]}}";
    const auto file = fewbit::examples::parse_safetensors(
        bytes_of(safetensors(header, std::string(size, '\0'))), "x");
    EXPECT_EQ(file["x"].type, e.type);
    EXPECT_EQ(file["x"].size(), 2);
  }
}

TEST(readers, read_a_file_from_disk) {
  const auto path = std::filesystem::temp_directory_path() / "fewbit_readers_test.npy";
  std::ofstream(path, std::ios::binary) << good_npy;
  EXPECT_EQ(fewbit::examples::read_npy(path.string()).size(), 6);
  std::filesystem::remove(path);
}

TEST(readers, read_all_files_of_the_data_directory) {
  FEWBIT_SKIP_WITHOUT_DATA("fixedpoint");
  int files = 0;
  for (const char* folder :
       {"fixedpoint", "onnx_node", "onnxruntime_vectors", "digits", "resnet"}) {
    const auto directory = fewbit::tests::data_dir() / folder;
    if (!std::filesystem::exists(directory)) continue;
    for (const auto& entry : std::filesystem::directory_iterator(directory)) {
      if (entry.path().extension() == ".safetensors") {
        EXPECT_FALSE(fewbit::examples::read_safetensors(entry.path().string()).tensors.empty());
        ++files;
      }
    }
  }
  EXPECT_GE(files, 2);
}

#if FEWBIT_HAS_EXCEPTIONS

/// The largest value of index.
const std::string most = std::to_string(std::numeric_limits<index>::max());

template <class Parse>
std::string message_of(Parse parse, const std::string& file) {
  // A copy of exact size on the heap, so that a sanitizer reports any read past its end.
  const std::vector<char> exact(file.begin(), file.end());
  return fewbit::tests::sentence_of(parse, std::as_bytes(std::span(exact)), "x");
}

std::string npy_message(const std::string& file) {
  return message_of(fewbit::examples::parse_npy, file);
}
std::string safetensors_message(const std::string& file) {
  return message_of(fewbit::examples::parse_safetensors, file);
}

TEST(npy, refuses_malformed_files) {
  const std::string data(12, '\0');
  const std::string start = "fewbit: read_npy: ";
  const std::string header = start + "the header of x is ";
  const std::string keys = ", expected descr, fortran_order and shape";
  const auto dictionary = [&](const std::string& text) { return npy_message(npy(text, data)); };
  EXPECT_EQ(npy_message(""), start + "x is something else, expected a .npy file");
  EXPECT_EQ(npy_message(data), start + "x is something else, expected a .npy file");
  std::string version = good_npy;
  version[6] = 2;
  EXPECT_EQ(npy_message(version), start + "the version of x is 2, expected 1");
  EXPECT_EQ(npy_message(good_npy.substr(0, 20)),
            start + "the header length of x is 62, expected at most 10");
  EXPECT_EQ(npy_message(good_npy + "z"), start + "the data of x is 13 bytes, expected 12 bytes");
  EXPECT_EQ(npy_message(good_npy.substr(0, good_npy.size() - 1)),
            start + "the data of x is 11 bytes, expected 12 bytes");
  EXPECT_EQ(dictionary(""), header + "unreadable at byte 0, expected '{'");
  EXPECT_EQ(dictionary("{}"), header + "incomplete" + keys);
  EXPECT_EQ(dictionary("{'descr': '<i2', 'descr': '<i2'}"),
            header + "key 'descr'" + keys + ", each once");
  EXPECT_EQ(dictionary("{'spam': '<i2'}"), header + "key 'spam'" + keys + ", each once");
  EXPECT_EQ(dictionary("{'descr': '>i2'}"),
            header + "descr '>i2', expected |u1, |i1, <i2, <i4 or <f4");
  EXPECT_EQ(dictionary("{'descr"), header + "an open string, expected a closing quote");
  EXPECT_EQ(dictionary("{'fortran_order': True}"),
            header + "unreadable at byte 18, expected False (C order)");
  EXPECT_EQ(dictionary("{'shape': (-1,)}"), header + "unreadable at byte 11, expected a number");
  EXPECT_EQ(dictionary("{'shape': (9223372036854775808,)}"),
            header + "an extent of too many digits, expected at most " + most);
  EXPECT_EQ(dictionary(good_dictionary + "x"),
            header + "more text after the dictionary, expected spaces only");
  EXPECT_EQ(
      dictionary("{'descr': '<i2', 'fortran_order': False, 'shape': (" + most + ", " + most + ")}"),
      start + "the data of x is 12 bytes, expected less than its shape asks for");
}

TEST(safetensors, refuses_malformed_files) {
  const std::string start = "fewbit: read_safetensors: ";
  const auto header = [](const std::string& text) {
    return safetensors_message(safetensors(text, std::string(8, '\0')));
  };
  const auto one = [&](const std::string& dtype, const std::string& shape,
                       const std::string& offsets) {
    return header(R"({"t":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" +
                  offsets + "}}");
  };
  EXPECT_EQ(safetensors_message("abc"), start + "x is 3 bytes long, expected at least 8");
  EXPECT_EQ(safetensors_message(little_endian(~0ULL, 8) + "{}"),
            start + "the header length of x is 18446744073709551615, expected at most 2");
  for (const char* text : {"", "{", "[]", "nul", "{\"\xff\":1}", "{} x"}) {
    EXPECT_EQ(header(text), start + "the header of x is malformed, expected a JSON object");
  }
  EXPECT_EQ(header(R"({"t":1})"),
            start + "'t' is without dtype, expected dtype, shape and data_offsets");
  EXPECT_EQ(header(R"({"t":{"dtype":"U8","shape":[8]}})"),
            start + "'t' is without data_offsets, expected dtype, shape and data_offsets");
  EXPECT_EQ(one(R"("F8")", "[8]", "[0,8]"),
            start + "the dtype of 't' is unknown, expected BOOL, U8 to F64");
  EXPECT_EQ(one("8", "[8]", "[0,8]"),
            start + "the dtype of 't' is unknown, expected BOOL, U8 to F64");
  for (const char* shape : {"8", "[-8]", "[8.0]", "[\"8\"]", "[9223372036854775808]", "[1e400]"}) {
    const std::string message = one(R"("U8")", shape, "[0,8]");
    EXPECT_TRUE(message == start + "the shape of 't' is malformed, expected an array of extents" ||
                message == start + "the header of x is malformed, expected a JSON object")
        << message;
  }
  for (const char* offsets : {"8", "[8]", "[0,8,8]", "[0.0,8]", "[-1,8]"}) {
    EXPECT_EQ(one(R"("U8")", "[8]", offsets),
              start + "data_offsets of 't' is malformed, expected two numbers");
  }
  EXPECT_EQ(one(R"("U8")", "[8]", "[8,0]"),
            start + "data_offsets of 't' is 8 to 0, expected inside the 8 bytes of data");
  EXPECT_EQ(one(R"("U8")", "[9]", "[0,9]"),
            start + "data_offsets of 't' is 0 to 9, expected inside the 8 bytes of data");
  EXPECT_EQ(one(R"("U16")", "[3]", "[0,8]"),
            start + "the data of 't' is 8 bytes, expected 6 bytes");
  EXPECT_EQ(one(R"("F64")", "[" + most + "]", "[0,8]"),
            start + "the data of 't' is 8 bytes, expected less than its shape asks for");
  EXPECT_EQ(one(R"("U8")", "[7]", "[0,7]"),
            start + "the data of x is unused at byte 7, expected covered once");
  EXPECT_EQ(one(R"("U8")", "[7]", "[1,8]"),
            start + "the data of x is unused at byte 0, expected covered once");
  EXPECT_EQ(header(R"({"a":{"dtype":"U8","shape":[5],"data_offsets":[0,5]},)"
                   R"("b":{"dtype":"U8","shape":[5],"data_offsets":[3,8]}})"),
            start + "the data of x is used twice at byte 3, expected covered once");
  EXPECT_EQ(header(R"({"__metadata__":{"a":1}})"),
            start + "__metadata__ of x is malformed, expected strings only");
  EXPECT_EQ(header(R"({"__metadata__":1})"),
            start + "__metadata__ of x is malformed, expected an object");
  EXPECT_EQ(header(std::string(100000, '[')),
            start + "the header of x is malformed, expected a JSON object");
}

TEST(readers, refuse_a_wrong_type_a_missing_tensor_and_a_missing_file) {
  const auto file = fewbit::examples::parse_safetensors(bytes_of(good_safetensors), "x");
  EXPECT_EQ(fewbit::tests::sentence_of([&] { (void)file["a"].as<double>(); }),
            "fewbit: tensor: the type of 'a' is F32, expected the type asked for");
  EXPECT_EQ(fewbit::tests::sentence_of([&] { (void)file["e"]; }),
            "fewbit: safetensors: 'e' is missing, expected a tensor");
  EXPECT_EQ(fewbit::tests::sentence_of([] { (void)fewbit::examples::read_npy("/nowhere.npy"); }),
            "fewbit: read_npy: /nowhere.npy is not readable, expected a file");
  EXPECT_EQ(fewbit::tests::sentence_of([] { (void)fewbit::examples::read_safetensors("/"); }),
            "fewbit: read_safetensors: / is not readable, expected a file");
}

TEST(readers, refuse_every_truncation) {
  for (std::size_t size = 0; size < good_npy.size(); ++size) {
    EXPECT_NE(npy_message(good_npy.substr(0, size)), "no error") << size;
  }
  for (std::size_t size = 0; size < good_safetensors.size(); ++size) {
    EXPECT_NE(safetensors_message(good_safetensors.substr(0, size)), "no error") << size;
  }
}

/// A file with one to four bytes replaced, removed or doubled. Each run makes the same changes.
std::string mutated(std::string file, std::uint64_t which) {
  static const std::string favourites = "0129-{}[]()',:\"\xff";
  const auto count = fewbit::random_bits(11, which)[0] % 4 + 1;
  for (std::uint32_t i = 0; i < count && !file.empty(); ++i) {
    const auto bits = fewbit::random_bits(12, which * 4 + i);
    const std::size_t at = bits[0] % file.size();
    const char letter = favourites[bits[2] % favourites.size()];
    switch (bits[1] % 5) {
      case 0:
        file[at] = static_cast<char>(bits[2]);
        break;
      case 1:
        file[at] = letter;
        break;
      case 2:
        file.erase(at, bits[2] % 8 + 1);
        break;
      case 3:
        file.insert(at, 1, letter);
        break;
      default:
        file.insert(at, file.substr(bits[2] % file.size(), bits[3] % 16));
        break;
    }
  }
  return file;
}

/// Either the result fits the size of the file, or the file is refused with a sentence.
TEST(readers, refuse_or_read_mutated_files) {
  int refused = 0;
  int accepted = 0;
  const auto check = [](const tensor& t) {
    index elements = 1;
    for (const index extent : t.shape) elements *= extent;
    EXPECT_EQ(elements, t.size());
  };
  for (std::uint64_t i = 0; i < 20000; ++i) {
    const std::string text = mutated(i % 2 == 0 ? good_npy : good_safetensors, i);
    const std::vector<char> exact(text.begin(), text.end());
    try {
      if (i % 2 == 0) {
        check(fewbit::examples::parse_npy(std::as_bytes(std::span(exact)), "x"));
      } else {
        const auto file = fewbit::examples::parse_safetensors(std::as_bytes(std::span(exact)), "x");
        for (const auto& [name, t] : file.tensors) check(t);
      }
      ++accepted;
    } catch (const fewbit::error& e) {
      EXPECT_EQ(std::string(e.what()).rfind("fewbit: read_", 0), 0U) << e.what();
      ++refused;
    }
  }
  EXPECT_GT(refused, 10000);
  EXPECT_GT(accepted, 100);
}

#endif

}  // namespace support_readers_test
