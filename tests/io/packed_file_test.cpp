#include "fewbit/io/packed_file.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "fewbit/arch/all.hpp"
#include "fewbit/io/packed_writer.hpp"
#include "io/packed_hostile.hpp"
#include "io/support.hpp"
#include "support/sentence.hpp"

namespace fewbit { namespace io_packed_file_test {

using tests::bytes_of;
using tests::content_of;
using tests::hostile_floats;
using tests::temporary_folder;

using scalar_layer = linear<int8_per_row, dynamic_int8, arch::scalar>;

/// A small file: a linear layer in the order of plain loops, and one of a microcontroller.
std::string small_file() {
  const temporary_folder folder;
  packed_writer out(folder / "small.fewbit");
  row_matrix<float> w(2, 3);
  w << 1, -0.5F, 0.25F, 2, 0, -2;
  scalar_layer(w, Eigen::Vector2f(0.5F, -1), {true, {0.25F, -3}}).save(out, "fc");
  static const std::int8_t codes[6] = {1, -2, 3, -128, 127, 0};
  static const std::int8_t bias[2] = {3, -4};
  q7_linear(3, {codes, bias, {5, 7}, true}).save(out, "q7");
  out.close();
  return content_of(folder / "small.fewbit");
}

/// Memory as a mapped file has it.
struct aligned_file {
  aligned_buffer<std::byte> memory;
  std::size_t size;

  explicit aligned_file(const std::string& content)
      : memory(static_cast<index>(content.size())), size(content.size()) {
    std::memcpy(memory.data(), content.data(), size);
  }
  [[nodiscard]] std::span<const std::byte> get() const { return {memory.data(), size}; }
};

std::string sentence_of(const std::string& content, packed_check check = packed_check::contents) {
  const aligned_file file(content);
  return tests::sentence_of([&] { (void)packed_file(file.get(), "small.fewbit", check); });
}

TEST(packed_file, has_the_bytes_of_version_1) {
  if constexpr (std::endian::native == std::endian::little) {
    std::string folder = __FILE__;
    folder.resize(folder.rfind('/') + 1);
    std::string golden = content_of(folder + "packed_file_v1.fewbit");
    ASSERT_FALSE(golden.empty()) << folder;
    EXPECT_LT(golden.size(), 4096U);
    // Only the name of the instruction set and the checksum of the header may differ.
    std::string written = small_file();
    const aligned_file again(golden);
    packed_file file(again.get(), "golden", packed_check::contents);
    EXPECT_EQ(file.arch(), "avx512_bitalg");
    const auto layer = scalar_layer::load(file, "fc");
    Eigen::RowVector2f y;
    layer(Eigen::RowVector3f(1, 2, -1), y);
    EXPECT_EQ(file.repacked(), 0);
    EXPECT_GT(y(0), 0.0F);
    const auto q7 = q7_linear::load(file, "q7");
    const std::int8_t x[3] = {10, 20, 30};
    std::int8_t codes[2];
    q7(x, codes);
    EXPECT_EQ(codes[0], (3 * 32 + 64 + 10 - 40 + 90) >> 7);
    for (const std::size_t at : {std::size_t{32}, std::size_t{72}}) {
      const std::size_t size = at == 32 ? 24 : 16;
      golden.replace(at, size, size, 'x');
      written.replace(at, size, size, 'x');
    }
    EXPECT_TRUE(golden == written);
  }
}

TEST(packed_file, finds_every_changed_bit) {
  const std::string content = small_file();
  EXPECT_EQ(sentence_of(content), "no error");
  for (std::size_t at = 0; at < content.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string changed = content;
      changed[at] = static_cast<char>(changed[at] ^ 1 << bit);
      const std::string sentence = sentence_of(changed);
      ASSERT_NE(sentence.find(" at byte "), std::string::npos) << at << " " << sentence;
      ASSERT_NE(sentence.find("small.fewbit"), std::string::npos) << at << " " << sentence;
    }
  }
}

TEST(packed_file, finds_two_changed_bits_that_another_checksum_misses) {
  // Bits 34 and 63 of neighbouring words of a lane cancel in the checksum of images.
  std::string content = small_file();
  const aligned_file file(content);
  packed_file whole(file.get(), "x");
  const packed_section image = whole.at("fc/weights");
  const std::size_t first = image.byte + 128;
  ASSERT_GE(image.bytes.size(), 256U);
  content[first + 4] = static_cast<char>(content[first + 4] ^ 4);
  content[first + 64 + 7] = static_cast<char>(content[first + 64 + 7] ^ 128);
  const auto sum = [](const std::string& text, std::size_t at) {
    const aligned_file copy(text.substr(at, 128));
    return gemm::detail::image_checksum(copy.memory.data(), 128);
  };
  EXPECT_EQ(sum(content, first), sum(small_file(), first));
  EXPECT_NE(sentence_of(content).find("checksum of section 'fc/weights' at byte"),
            std::string::npos);
  EXPECT_EQ(sentence_of(content, packed_check::header), "no error");
}

TEST(packed_file, refuses_each_shorter_file) {
  const std::string content = small_file();
  for (std::size_t size = 0; size < content.size(); ++size) {
    const aligned_file file(content.substr(0, size));
    EXPECT_NE(tests::sentence_of([&] { (void)packed_file(file.get(), "x"); }), "no error") << size;
  }
  EXPECT_NE(sentence_of(content + std::string(64, '\0')), "no error");
}

/// The sentence about a file whose bytes f(file, header) changed. All checksums are right.
template <class F>
std::string sentence_of_changed(const F& f) {
  const std::string content = small_file();
  const auto bytes = bytes_of(content);
  std::vector<std::byte> file(bytes.begin(), bytes.end());
  detail::packed_header header;
  std::memcpy(&header, file.data(), sizeof(header));
  f(file, header);
  std::memcpy(file.data(), &header, sizeof(header));
  tests::repair(file);
  return sentence_of({reinterpret_cast<const char*>(file.data()), file.size()},
                     packed_check::header);
}

TEST(packed_file, names_the_byte_of_each_wrong_number_of_its_header) {
  using detail::packed_header;
  using bytes = std::vector<std::byte>;
  const auto fewbit = [](const std::string& sentence) {
    return "fewbit: packed_file: " + sentence;
  };
  packed_header good;
  EXPECT_EQ(sentence_of_changed([&](bytes&, packed_header& h) { good = h; }), "no error");
  EXPECT_EQ(sentence_of_changed([](bytes&, packed_header& h) { h.magic[6] = 'P'; }),
            fewbit("start at byte 0 of 'small.fewbit' is another sequence of bytes, expected "
                   "\"fewbit\\0P\""));
  EXPECT_EQ(sentence_of_changed([](bytes&, packed_header& h) { h.version = 2; }),
            fewbit("version of the format at byte 8 of 'small.fewbit' is 2, expected 1"));
  EXPECT_EQ(sentence_of_changed([](bytes&, packed_header& h) { h.rest[39] = 1; }),
            fewbit("end of the header at byte 88 of 'small.fewbit' is not 0, expected 0"));
  EXPECT_EQ(sentence_of_changed([](bytes&, packed_header& h) { ++h.bytes; }),
            fewbit("number of bytes at byte 16 of 'small.fewbit' is " +
                   std::to_string(good.bytes + 1) + ", expected " + std::to_string(good.bytes)));
  const std::string fewer = sentence_of_changed([](bytes& file, packed_header& h) {
    --h.sections;
    for (std::uint32_t i = 0; i < h.sections; ++i) {
      std::memcpy(file.data() + h.table + 64 * i + 48, &i, sizeof(i));  // by_name
    }
  });
  EXPECT_NE(fewer.find("byte of the table at byte 24 of 'small.fewbit' is " +
                       std::to_string(good.table) + ", expected"),
            std::string::npos)
      << fewer;
  EXPECT_EQ(sentence_of_changed([](bytes& file, packed_header& h) {
              file.resize(file.size() + 64);
              h.bytes += 64;
            }),
            fewbit("number of bytes at byte 16 of 'small.fewbit' is " +
                   std::to_string(good.bytes + 64) + ", expected " + std::to_string(good.bytes)));
  EXPECT_EQ(sentence_of_changed([](bytes& file, packed_header&) { file.back() = std::byte{1}; }),
            fewbit("bytes after the names at byte " + std::to_string(good.bytes - 1) +
                   " of 'small.fewbit' is not 0, expected 0"));
}

TEST(packed_file, names_the_byte_of_each_wrong_number_of_its_table) {
  using detail::packed_entry, detail::packed_header;
  std::uint64_t table = 0;
  const auto change = [&](const auto& f) {
    return sentence_of_changed([&](std::vector<std::byte>& file, packed_header& h) {
      table = h.table;
      packed_entry entries[2];
      std::memcpy(entries, file.data() + table, sizeof(entries));
      f(entries[0], entries[1]);
      std::memcpy(file.data() + table, entries, sizeof(entries));
    });
  };
  const auto expect = [&](const std::string& got, const char* what, std::uint64_t byte,
                          const std::string& is) {
    EXPECT_EQ(got.find("fewbit: packed_file: " + std::string(what) + " at byte " +
                       std::to_string(table + byte) + " of 'small.fewbit' is " + is + ", expected"),
              0U)
        << got;
  };
  using entry = packed_entry;
  expect(change([](entry& a, entry&) { a.begin += 64; }), "first byte of a section", 0, "192");
  expect(change([](entry& a, entry&) { a.bytes = std::uint64_t{1} << 40; }),
         "number of bytes of a section", 8, "1099511627776");
  expect(change([](entry& a, entry&) { a.bytes = ~std::uint64_t{0}; }),
         "number of bytes of a section", 8, "18446744073709551615");
  expect(change([](entry&, entry& b) { ++b.name; }), "start of a name", 64 + 32,
         std::to_string(std::string("fc/weights").size() + 1));
  expect(change([](entry& a, entry&) { a.name_bytes = 0; }), "number of bytes of a name", 40, "0");
  expect(change([](entry& a, entry&) { a.name_bytes = 65536; }), "number of bytes of a name", 40,
         "65536");
  expect(change([](entry& a, entry&) { a.type = 8; }), "type of a section", 44, "8");
  expect(change([](entry& a, entry&) { a.by_name = 1000; }), "section of a name", 48, "1000");
  expect(change([](entry& a, entry&) { a.rest[11] = 1; }), "end of an entry", 52, "not 0");
  const std::string order = change([](entry& a, entry& b) { std::swap(a.by_name, b.by_name); });
  EXPECT_NE(order.find("is not after the one before, expected names in order, each once"),
            std::string::npos)
      << order;
}

TEST(packed_file, refuses_bytes_that_are_not_aligned) {
  const aligned_file file(std::string(8, ' ') + small_file());
  const std::string sentence =
      tests::sentence_of([&] { (void)packed_file(file.get().subspan(8), "x"); });
  EXPECT_NE(sentence.find("address modulo 64 at byte 0 of 'x' is not 0"), std::string::npos)
      << sentence;
}

TEST(packed_file, checks_the_contents_of_a_path_if_asked) {
  const temporary_folder folder;
  std::string content = small_file();
  content[sizeof(detail::packed_header)] ^= 1;
  tests::write_content(folder / "a", content);
  EXPECT_NE(tests::sentence_of([&] {
              (void)packed_file(folder / "a", packed_check::contents);
            }).find("checksum of section"),
            std::string::npos);
  EXPECT_EQ(tests::sentence_of([&] { (void)packed_file(folder / "a"); }), "no error");
}

TEST(packed_file, never_reads_outside_of_a_changed_file) {
  const std::vector<std::byte> seed = tests::hostile_seed();
  ASSERT_EQ(tests::load_hostile(seed, packed_check::contents), 12);
  // Each bit of headers and records, with right checksums.
  int refused = 0;
  const tests::exact_bytes memory(seed);
  const packed_file whole(memory.get(), "x");
  std::vector<std::size_t> places;
  for (std::size_t at = 0; at < 128; ++at) places.push_back(at);
  for (const packed_section& s : whole) {
    const std::size_t some = s.type == section_type::record  ? s.bytes.size()
                             : s.type == section_type::image ? std::size_t{128}
                                                             : std::size_t{8};
    for (std::size_t i = 0; i < std::min(some, s.bytes.size()); ++i) places.push_back(s.byte + i);
  }
  for (std::size_t i = 0; i < places.size(); ++i) {
    std::vector<std::byte> changed = seed;
    changed[places[i]] ^= std::byte{1} << static_cast<int>(i * 5 % 8);
    tests::repair(changed);
    refused += tests::load_hostile(changed, packed_check::header) < 12;
  }
  EXPECT_GT(refused, static_cast<int>(places.size()) * 2 / 3);
  std::uint32_t random = 1;
  const auto next = [&] { return random = random * 1664525U + 1013904223U, random >> 24; };
  for (int i = 0; i < 500; ++i) {
    std::vector<std::uint8_t> changes;
    for (std::uint32_t count = 1 + 3 * (next() % 4 + 1); count > 0; --count)
      changes.push_back(static_cast<std::uint8_t>(next()));
    (void)tests::load_changed(seed, changes);
  }
}

TEST(packed_file, errors_name_section_and_byte) {
  const temporary_folder folder;
  const std::string path = folder / "a.fewbit";
  packed_writer out(path);
  const scalar_layer layer(hostile_floats(2, 3), Eigen::Vector2f(0.5F, -1));
  layer.save(out, "fc");
  EXPECT_NE(tests::sentence_of([&] {
              layer.save(out, "fc");
            }).find("packed_writer: section 'fc/weights' of '"),
            std::string::npos);
  EXPECT_EQ(tests::sentence_of([&] { scalar_layer().save(out, "empty"); }),
            "fewbit: int8_weights::write_image: number of rows is 0, expected at least 1");
  const float wrong[2] = {1, std::numeric_limits<float>::quiet_NaN()};
  out.write("nan", section_type::record, std::as_bytes(std::span(wrong)));
  EXPECT_NE(tests::sentence_of([&] { out.write("", section_type::int8, {}); }).find("1 to 65535"),
            std::string::npos);
  out.close();
  packed_file file(path);
  EXPECT_EQ(file.name(), path);
  EXPECT_TRUE(file.contains("fc/bias"));
  EXPECT_FALSE(file.contains("fc/bia"));
  EXPECT_FALSE(file.contains("zz"));
  EXPECT_EQ(tests::sentence_of([&] { (void)scalar_layer::load(file, "fd"); }),
            "fewbit: packed_file: section 'fd' of '" + path +
                "' is missing, expected one of its 5 sections");
  const std::string at = std::to_string(file.at("fc").byte);
  EXPECT_EQ(tests::sentence_of([&] { (void)linear<int4_per_row>::load(file, "fc"); }),
            "fewbit: load: section 'fc' at byte " + at + " of '" + path +
                "': type of the layer is 'linear int8 per_row symmetric real_scale nearest_even, "
                "dynamic_int8', expected 'linear int4 per_row symmetric real_scale nearest_even, "
                "dynamic_int8'");
  EXPECT_NE(tests::sentence_of([&] {
              (void)scalar_layer::load(file, "fc/bias");
            }).find("type is float32, expected record"),
            std::string::npos);
  EXPECT_NE(
      tests::sentence_of([&] { (void)scalar_layer::load(file, "nan"); }).find("size of the record"),
      std::string::npos);
}

TEST(packed_file, names_the_byte_of_a_number_out_of_range) {
  std::string content = small_file();
  const aligned_file before(content);
  const packed_file whole(before.get(), "x");
  const std::size_t scales = whole.at("fc/scales").byte;
  const float wrong = -1.0F;
  std::memcpy(content.data() + scales + 4, &wrong, sizeof(wrong));
  const auto* from = reinterpret_cast<const std::byte*>(content.data());
  std::vector<std::byte> changed(from, from + content.size());
  tests::repair(changed);
  const tests::exact_bytes after(changed);
  packed_file file(after.get(), "x.fewbit", packed_check::contents);
  EXPECT_EQ(tests::sentence_of([&] { (void)scalar_layer::load(file, "fc"); }),
            "fewbit: load: section 'fc/scales' at byte " + std::to_string(scales + 4) +
                " of 'x.fewbit': scales[1] is -1, expected a finite number of at least 0");
}

}}  // namespace fewbit::io_packed_file_test
