#include "fewbit/io/gguf.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fewbit/core/random.hpp"
#include "io/gguf_cases.hpp"
#include "io/support.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace io_gguf_test {

using namespace fewbit::tests;

/// CRC-32 of zip and PNG, bit by bit.
std::uint32_t crc32(const std::string& text) {
  std::uint32_t sum = 0xFFFFFFFFU;
  for (const char letter : text) {
    sum ^= static_cast<unsigned char>(letter);
    for (int bit = 0; bit < 8; ++bit) sum = (sum >> 1) ^ ((sum & 1U) != 0 ? 0xEDB88320U : 0U);
  }
  return ~sum;
}

std::string sentence(const std::string& content) {
  return sentence_of([&] { return gguf_file(bytes_of(content), "x").size(); });
}

/// The golden file with other bytes at a position.
std::string golden_with(std::size_t at, const std::string& bytes) {
  return golden_gguf().replace(at, bytes.size(), bytes);
}

TEST(gguf_file, reads_the_file_of_the_notes) {
  const std::string content = golden_gguf();
  ASSERT_EQ(content.size(), 256U);
  ASSERT_EQ(crc32(content), 0x9CDD2CCBU);
  const gguf_file file(bytes_of(content), "x");
  EXPECT_EQ(file.version(), 3);
  EXPECT_EQ(file.alignment(), 32);
  EXPECT_EQ(file.name(), "x");
  ASSERT_EQ(file.size(), 2);
  const gguf_tensor a = file[0];
  EXPECT_EQ(a.name, "a.weight");
  EXPECT_EQ(a.type, gguf_type::q4_0);
  EXPECT_EQ(std::vector<index>(a.shape().begin(), a.shape().end()), (std::vector<index>{2, 32}));
  EXPECT_EQ(a.byte, 160U);
  const row_matrix<float> w = a.to_floats();
  EXPECT_EQ(w.rows(), 2);
  EXPECT_EQ(w.cols(), 32);
  EXPECT_EQ(w(0, 0), -4.0F);
  EXPECT_EQ(w(0, 1), -3.5F);
  EXPECT_EQ(w(1, 0), 8.0F);
  const gguf_tensor b = file.at("b");
  EXPECT_EQ(b.rows(), 1);
  EXPECT_EQ(b.matrix<float>(), (row_matrix<float>(1, 3) << 1, 2, 3).finished());
  EXPECT_EQ(b.to_floats()(0, 2), 3.0F);
  EXPECT_EQ(b.byte, 224U);
  EXPECT_FALSE(file.find("c"));
  EXPECT_TRUE(file.contains("b"));
  EXPECT_EQ(file.value("general.alignment").get<std::uint32_t>(), 32U);
  int count = 0;
  for (const gguf_tensor t : file) count += static_cast<int>(t.bytes.size());
  EXPECT_EQ(count, 36 + 12);
}

TEST(gguf_file, maps_a_file_and_copies_nothing) {
  const temporary_folder folder;
  write_content(folder / "a", golden_gguf());
  gguf_file file(folder / "a");
  const gguf_tensor b = file.at("b");
  const auto m = b.matrix<float>();
  EXPECT_TRUE(m.is_mapped());
  file.forget(b);
  const gguf_file moved = std::move(file);
  EXPECT_EQ(b.name, "b");
  EXPECT_EQ(b.file, folder / "a");
  EXPECT_EQ(m(0, 1), 2.0F);
  EXPECT_EQ(moved.at("b").bytes.data(), b.bytes.data());
  EXPECT_NE(sentence_of([&] { return gguf_file(folder / "none").size(); }), "no error");
}

TEST(gguf_file, reads_version_2_and_the_default_alignment) {
  std::string content = gguf_of({}, {gguf_entry("b", {3}, 0, 0)}, std::string(32, '\0'));
  content[4] = 2;
  const gguf_file file(bytes_of(content), "x");
  EXPECT_EQ(file.version(), 2);
  EXPECT_EQ(file.alignment(), 32);
  EXPECT_EQ(file.at("b").byte % 32, 0U);
}

TEST(gguf_value, has_every_type) {
  const std::string content = metadata_gguf();
  const gguf_file file(bytes_of(content), "x");
  EXPECT_EQ(file.value("k0").get<std::uint8_t>(), 0x80);
  EXPECT_EQ(file.value("k1").get<std::int8_t>(), -128);
  EXPECT_EQ(file.value("k2").get<std::uint16_t>(), 0xFF80);
  EXPECT_EQ(file.value("k3").get<std::int16_t>(), -128);
  EXPECT_EQ(file.value("k4").get<std::uint32_t>(), 0xFFFFFF80U);
  EXPECT_EQ(file.value("k5").get<std::int32_t>(), -128);
  EXPECT_EQ(file.value("k6").get<float>(), -1.5F);
  EXPECT_EQ(file.value("k7").get<bool>(), true);
  EXPECT_EQ(file.value("text").get<std::string_view>(), "llama");
  EXPECT_EQ(file.value("k10").get<std::uint64_t>(), 0xFFFFFFFFFFFFFF80U);
  EXPECT_EQ(file.value("k11").get<std::int64_t>(), -128);
  EXPECT_EQ(file.value("k12").get<double>(), 0.1);
  EXPECT_EQ(file.value("a3").array<std::int16_t>(), (std::vector<std::int16_t>{-128, 0}));
  EXPECT_EQ(file.value("a7").array<bool>(), (std::vector<bool>{true, false}));
  EXPECT_EQ(file.value("texts").array<std::string_view>(),
            (std::vector<std::string_view>{"a", "", "bc"}));
  EXPECT_TRUE(file.value("none").array<double>().empty());
  EXPECT_EQ(file.value("k4").integer(), 0xFFFFFF80);
  for (const char* key : {"k1", "k3", "k5", "k11"}) EXPECT_EQ(file.value(key).integer(), -128);
  EXPECT_EQ(file.value("k0").integer(), 128);
  EXPECT_EQ(file.at("number").matrix<std::int8_t>()(0, 0), 5);
  EXPECT_EQ(file.at("empty").rows(), 7);
  EXPECT_EQ(file.at("empty").cols(), 0);
}

TEST(gguf_value, names_what_it_is_not) {
  const std::string content = metadata_gguf();
  const gguf_file file(bytes_of(content), "x");
  const auto of = [&](auto call) { return sentence_of([&] { return call(file), 0; }); };
  EXPECT_EQ(of([](const gguf_file& f) { (void)f.value("k6").get<double>(); }).substr(0, 47),
            "fewbit: gguf_value::get: type of key 'k6' at by");
  EXPECT_NE(of([](const gguf_file& f) { (void)f.value("k6").integer(); }).find("an integer"),
            std::string::npos);
  EXPECT_NE(of([](const gguf_file& f) { (void)f.value("k10").integer(); }).find("2^63 - 1"),
            std::string::npos);
  EXPECT_NE(of([](const gguf_file& f) { (void)f.value("k7").integer(); }), "no error");
  EXPECT_NE(of([](const gguf_file& f) { (void)f.value("a4").integer(); }), "no error");
  EXPECT_NE(of([](const gguf_file& f) { (void)f.value("a4").get<std::uint32_t>(); }), "no error");
  EXPECT_NE(of([](const gguf_file& f) { (void)f.value("k4").array<std::uint32_t>(); }), "no error");
  EXPECT_EQ(of([](const gguf_file& f) { (void)f.value("k"); }),
            "fewbit: gguf_file::value: 'k' of 'x' is missing, expected one of its 25 keys");
  EXPECT_EQ(of([](const gguf_file& f) { (void)f.at("k"); }),
            "fewbit: gguf_file::at: 'k' of 'x' is missing, expected one of its 2 tensors");
}

TEST(gguf_tensor, reads_numbers_and_refuses_other_types) {
  const std::string halves = little_endian(0x3C00, 2) + little_endian(0xC000, 2);
  const std::string brains = little_endian(0x3F80, 2) + little_endian(0xC000, 2);
  const std::string doubles =
      little_endian(0x3FF0000000000000U, 8) + little_endian(0xC000000000000000U, 8);
  const std::string content =
      gguf_of({},
              {gguf_entry("f16", {2}, 1, 0), gguf_entry("bf16", {2}, 30, 32),
               gguf_entry("f64", {2}, 28, 64), gguf_entry("i32", {1, 2}, 26, 96),
               gguf_entry("iq1", {256}, 19, 128)},
              zeros_to(halves, 32) + zeros_to(brains, 32) + zeros_to(doubles, 32) +
                  zeros_to(little_endian(7, 4) + little_endian(8, 4), 32) +
                  zeros_to(std::string(50, 'q'), 32));
  const gguf_file file(bytes_of(content), "x");
  for (const char* name : {"f16", "bf16", "f64"}) {
    EXPECT_EQ(file.at(name).to_floats(), (row_matrix<float>(1, 2) << 1, -2).finished()) << name;
  }
  EXPECT_EQ(file.at("i32").matrix<std::int32_t>()(1, 0), 8);
  EXPECT_EQ(sentence_of([&] { return file.at("iq1").to_floats(); }),
            "fewbit: gguf_tensor::to_floats: type of tensor 'iq1' at byte " +
                std::to_string(file.at("iq1").byte) +
                " of 'x' is IQ1_S, expected a type that is decoded");
  EXPECT_NE(sentence_of([&] { return file.at("f16").matrix<float>().size(); }), "no error");
  EXPECT_NE(sentence_of([&] { return file.at("f16").blocks<q8_0>().size(); }), "no error");
}

TEST(gguf_tensor, decodes_blocks_of_every_type_in_the_table) {
  const std::string content = blocks_gguf();
  const gguf_file file(bytes_of(content), "x");
  int decoded = 0;
  for (const gguf_tensor t : file) {
    EXPECT_EQ(name_of(t.type), t.name);
    detail::visit_block(detail::gguf_blocks(), t.type, [&](auto block) {
      using B = typename decltype(block)::type;
      const row_matrix<float> w = t.to_floats();
      ASSERT_EQ(w.cols(), block_weights(t.type));
      std::vector<float> want(static_cast<std::size_t>(w.cols()));
      dequantize_row(t.blocks<B>().data(), 1, want.data());
      for (index i = 0; i < w.cols(); ++i) {
        EXPECT_EQ(w(0, i), want[static_cast<std::size_t>(i)]) << t.name;
      }
      ++decoded;
    });
  }
  EXPECT_EQ(decoded, 15);
}

TEST(gguf_file, names_the_byte_of_every_broken_rule) {
  const std::string golden = golden_gguf();
  const auto rest = [](std::size_t at) { return std::to_string(256 - at); };
  EXPECT_EQ(sentence(golden_with(0, "G")), "no error");
  EXPECT_EQ(sentence(golden_with(0, "H")),
            "fewbit: gguf_file: start at byte 0 of 'x' is 'HGUF', expected 'GGUF'");
  EXPECT_EQ(sentence(golden_with(4, little_endian(1, 4))),
            "fewbit: gguf_file: version at byte 4 of 'x' is 1, whose lengths have 32 bits, "
            "expected 2 or 3; convert the file");
  EXPECT_EQ(sentence(golden_with(4, std::string("\0\0\0\3", 4))),
            "fewbit: gguf_file: byte order at byte 4 of 'x' is big-endian, expected "
            "little-endian; convert the file");
  for (const unsigned version : {0U, 4U}) {
    EXPECT_NE(sentence(golden_with(4, little_endian(version, 4))).find(", expected 2 or 3"),
              std::string::npos);
  }
  EXPECT_EQ(sentence(golden_with(8, little_endian(~0ULL, 8))),
            "fewbit: gguf_file: number of tensors at byte 8 of 'x' is 18446744073709551615, "
            "expected at most 10 in this file");
  EXPECT_EQ(sentence(golden_with(16, little_endian(~0ULL, 8))),
            "fewbit: gguf_file: number of values at byte 16 of 'x' is 18446744073709551615, "
            "expected at most 16 in this file");
  EXPECT_EQ(sentence(golden_with(24, little_endian(~0ULL, 8))),
            "fewbit: gguf_file: length of a key at byte 24 of 'x' is 18446744073709551615 bytes, "
            "expected at most 1073741824");
  EXPECT_EQ(
      sentence(golden_with(24, little_endian(1000, 8))),
      "fewbit: gguf_file: length of a key at byte 24 of 'x' is 1000 bytes, expected at most " +
          rest(32) + ", the rest of the file");
}

TEST(gguf_file, refuses_every_mutation_of_the_notes) {
  // Fields of the golden file: position and bytes.
  constexpr std::size_t key = 24, value_type = 49, alignment = 53, name = 57, rank = 73,
                        extent = 77, type = 93, offset = 97, second_name = 105, second_offset = 130;
  const std::string golden = golden_gguf();
  ASSERT_EQ(golden.substr(second_name + 8, 1), "b");
  ASSERT_EQ(golden.substr(second_offset, 8), little_endian(64, 8));
  const std::string most = little_endian(~0ULL, 8);
  for (const std::size_t at : {key, name, second_name, extent, offset, second_offset}) {
    EXPECT_NE(sentence(golden_with(at, most)), "no error") << at;
  }
  EXPECT_EQ(sentence(golden_with(rank, little_endian(5, 4))),
            "fewbit: gguf_file: number of extents of tensor 'a.weight' at byte 73 of 'x' is 5, "
            "expected 0 to 4");
  EXPECT_EQ(sentence(golden_with(extent, little_endian(1ULL << 63, 8))),
            "fewbit: gguf_file: extent of tensor 'a.weight' at byte 77 of 'x' is "
            "9223372036854775808, expected at most 9223372036854775807");
  for (const std::uint64_t bad : {0ULL, 3ULL, 1ULL << 31, 1ULL << 21}) {
    EXPECT_EQ(sentence(golden_with(alignment, little_endian(bad, 4))),
              "fewbit: gguf_file: value of key 'general.alignment' at byte 53 of 'x' is " +
                  std::to_string(bad) + ", expected a power of two up to 1048576");
  }
  EXPECT_EQ(sentence(golden_with(value_type, little_endian(5, 4))),
            "fewbit: gguf_file: type of key 'general.alignment' at byte 53 of 'x' is i32, expected "
            "u32");
  EXPECT_EQ(sentence(golden_with(value_type, little_endian(13, 4))),
            "fewbit: gguf_file: type of key 'general.alignment' at byte 49 of 'x' is 13, expected "
            "0 to 12");
  EXPECT_EQ(sentence(golden_with(second_offset, little_endian(32, 8))),
            "fewbit: gguf_file: offset of tensor 'b' at byte 130 of 'x' is 32, expected 64, the "
            "padded end of the tensor before");
  for (const unsigned bad : {4U, 31U, 36U, 43U, ~0U}) {
    EXPECT_NE(sentence(golden_with(type, little_endian(bad, 4))).find("a type of GGUF"),
              std::string::npos);
  }
  EXPECT_NE(sentence(golden_with(extent, little_endian(33, 8))).find("whole blocks of 32"),
            std::string::npos);
}

TEST(gguf_file, refuses_what_hostile_files_say) {
  const auto with_value = [](const std::string& pair) {
    return sentence(gguf_of({pair}, {}, std::string(64, '\0')));
  };
  const auto with_entries = [](const std::vector<std::string>& entries) {
    return sentence(gguf_of({}, entries, std::string(64, '\0')));
  };
  const auto has = [](const std::string& text, const char* part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  has(with_value(gguf_pair("", 0, "a")), "key at byte 24 of 'x' is empty");
  has(with_value(gguf_pair("k", 9, gguf_array(9, 1, gguf_array(0, 0, "")))),
      "type of elements of key 'k'");
  has(with_value(gguf_pair("k", 9, gguf_array(12, 1ULL << 61, ""))), "number of elements");
  has(with_value(gguf_pair("k", 9, gguf_array(8, ~0ULL, ""))), "number of elements");
  has(with_value(gguf_pair("k", 9, gguf_array(8, 2, gguf_text("a") + little_endian(999, 8)))),
      "length of a text of key 'k'");
  has(with_value(gguf_pair("k", 8, little_endian(1ULL << 31, 8))), "at most 1073741824");
  has(with_value(gguf_pair("k", 7, "\2")), "bool of key 'k' at byte 37 of 'x' is 2");
  has(sentence(gguf_of({gguf_pair("k", 0, "a"), gguf_pair("k", 1, "b")}, {}, "")),
      "key 'k' at byte 38 of 'x' is there already at byte 24, expected there once");
  has(with_entries({gguf_entry("t", {8}, 0, 0), gguf_entry("t", {8}, 0, 32)}),
      "tensor 't' at byte 57 of 'x' is there already at byte 24, expected there once");
  has(with_entries({gguf_entry(std::string(64, 'n'), {8}, 0, 0)}), "64 bytes, expected at most 63");
  has(with_entries({gguf_entry("t", {1ULL << 32, 1ULL << 32}, 0, 0)}), "a size that fits memory");
  has(with_entries({gguf_entry("t", {1ULL << 62}, 28, 0)}), "a size that fits memory");
  has(with_entries({gguf_entry("t", {0, 1ULL << 62, 1ULL << 62}, 0, 0)}), "a size that fits");
  has(with_entries({gguf_entry("t", {1ULL << 62, 1ULL << 62, 0}, 0, 0)}), "a size that fits");
  has(with_entries({gguf_entry("t", {1000}, 0, 0)}), "data of tensor 't'");
  has(with_entries({gguf_entry("t", {17}, 0, 0)}),
      "data of tensor 't' at byte 64 of 'x' is 64 bytes");
  has(with_entries({gguf_entry("t", {1}, 0, 0), gguf_entry("u", {9}, 0, 32)}),
      "data of tensor 'u' at byte 128 of 'x' is 32 bytes");
  EXPECT_EQ(with_entries({gguf_entry("t", {16}, 0, 0)}), "no error");
  EXPECT_EQ(with_entries({gguf_entry(std::string(63, 'n'), {8}, 0, 0)}), "no error");
  EXPECT_EQ(with_entries({gguf_entry("t", {0, 1ULL << 62}, 2, 0)}), "no error");
  has(with_entries({gguf_entry("t\n", {1}, 99, 0)}), "type of tensor 't\\x0a'");
}

TEST(gguf_file, refuses_truncation_at_every_byte_but_the_end_of_the_last_tensor) {
  const std::string golden = golden_gguf(), metadata = metadata_gguf();
  for (const auto& [content, padding] :
       {std::pair{golden, std::size_t{20}}, std::pair{metadata, std::size_t{31}}}) {
    for (std::size_t size = 0; size < content.size(); ++size) {
      bool is_accepted = true;
      EXPECT_EQ(read_hostile_gguf(content.substr(0, size), is_accepted), "");
      EXPECT_EQ(is_accepted, size + padding == content.size()) << size << " of " << content.size();
    }
  }
}

TEST(gguf_file, reads_the_last_tensor_without_its_padding) {
  const std::string golden = golden_gguf(), plain = golden.substr(0, golden.size() - 20);
  const gguf_file padded(bytes_of(golden), "x"), unpadded(bytes_of(plain), "x");
  ASSERT_EQ(unpadded.size(), 2);
  EXPECT_EQ(unpadded.at("b").to_floats(), padded.at("b").to_floats());
  EXPECT_EQ(unpadded.at("b").to_floats()(0, 2), 3.0F);
  EXPECT_EQ(unpadded.at("a.weight").to_floats(), padded.at("a.weight").to_floats());
}

TEST(gguf_file, survives_bit_flips_and_random_damage) {
  bool is_accepted = false;
  for (const std::string& content : gguf_seeds) {
    // Every bit of the smallest file, and some of all bytes of the others.
    const std::uint64_t tries = content.size() > 4000 ? 10 : 200;
    const std::size_t step = content.size() > 4000 ? 1009 : content.size() > 256 ? 11 : 1;
    for (std::size_t bit = 0; bit < 8 * content.size(); bit += step) {
      std::string flipped = content;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
      EXPECT_EQ(read_hostile_gguf(flipped, is_accepted), "") << bit;
    }
    for (std::uint64_t i = 0; i < tries; ++i) {
      std::string damaged = content;
      const auto bits = random_bits(content.size(), i);
      const char bytes[4] = {'\0', '\1', '\x7f', '\xff'};
      damaged[bits[0] % damaged.size()] = bytes[bits[1] % 4];
      damaged[bits[2] % damaged.size()] = bytes[bits[3] % 4];
      EXPECT_EQ(read_hostile_gguf(damaged, is_accepted), "") << i;
    }
    EXPECT_EQ(read_hostile_gguf(content, is_accepted), "");
    EXPECT_TRUE(is_accepted);
  }
}

}}  // namespace fewbit::io_gguf_test
