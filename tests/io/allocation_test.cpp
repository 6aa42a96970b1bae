// Reading a file allocates no more than its size justifies, whatever the file says. Replaces
// operator new for all of its program.

#include <gtest/gtest.h>
#include <malloc.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>
#include <span>
#include <string>
#include <vector>

#include "fewbit/core/error.hpp"
#include "fewbit/io/gguf.hpp"
#include "fewbit/io/packed_file.hpp"
#include "fewbit/io/packed_writer.hpp"
#include "fewbit/io/safetensors.hpp"
#include "fewbit/ops/linear/grouped.hpp"
#include "fewbit/ops/linear/int8.hpp"
#include "io/gguf_cases.hpp"
#include "io/safetensors_cases.hpp"
#include "io/support.hpp"

namespace io_allocation_test {

std::atomic<std::size_t> used{0};
std::atomic<std::size_t> most{0};

void* take_if_possible(std::size_t size, std::size_t alignment) {
  void* const memory =
      std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  used += malloc_usable_size(memory);
  if (used > most) most = used.load();
  return memory;
}

void* take(std::size_t size, std::size_t alignment) {
  void* const memory = take_if_possible(size, alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void give_back(void* memory) {
  if (memory != nullptr) used -= malloc_usable_size(memory);
  std::free(memory);
}

}  // namespace io_allocation_test

void* operator new(std::size_t size) { return io_allocation_test::take(size, 16); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return io_allocation_test::take(size, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return io_allocation_test::take_if_possible(size, 16);
}
void operator delete(void* memory) noexcept { io_allocation_test::give_back(memory); }
void operator delete(void* memory, std::size_t) noexcept { io_allocation_test::give_back(memory); }
void operator delete(void* memory, std::align_val_t) noexcept {
  io_allocation_test::give_back(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  io_allocation_test::give_back(memory);
}

namespace io_allocation_test {

/// Reads a file and returns whether it was accepted. At no time are more than 10 bytes allocated
/// for each of its bytes, and 16 KiB. The parser needs 8 for a name that is as long as the file.
bool reads_within_bounds(const std::string& content, const std::string& what) {
  bool is_accepted = true;
  most = used.load();
  const std::size_t before = used;
  try {
    const fewbit::safetensors_file file(fewbit::tests::bytes_of(content), "x");
  } catch (const fewbit::error&) {
    is_accepted = false;
  }
  EXPECT_LE(most - before, 10 * content.size() + 16384) << what << " of " << content.size();
  return is_accepted;
}

/// `part(i)` for i < count with commas between, within braces.
template <class Part>
std::string header_of(int count, Part part) {
  std::string header = "{";
  for (int i = 0; i < count; ++i) header += (i == 0 ? "" : ",") + part(std::to_string(i));
  return header + "}";
}

using fewbit::tests::safetensors_of;

TEST(allocation, is_a_few_times_the_header_of_many_tensors) {
  const std::string empty = R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  const std::string header =
      header_of(20000, [&](const std::string& i) { return '"' + i + empty; });
  EXPECT_TRUE(reads_within_bounds(safetensors_of(header, ""), "small tensors"));
  std::string ones = "[0";
  for (int i = 0; i < 63; ++i) ones += ",1";
  const std::string wide = header_of(2000, [&](const std::string& i) {
    return '"' + i + R"(":{"dtype":"U8","shape":)" + ones + R"(],"data_offsets":[0,0]})";
  });
  EXPECT_TRUE(reads_within_bounds(safetensors_of(wide, ""), "wide shapes"));
  const std::string strings =
      R"({"__metadata__":)" +
      header_of(30000, [](const std::string& i) { return '"' + i + R"(":"")"; }) + "}";
  EXPECT_TRUE(reads_within_bounds(safetensors_of(strings, ""), "strings"));
}

TEST(allocation, does_not_follow_what_a_hostile_header_says) {
  const std::string most_index = std::to_string(std::numeric_limits<fewbit::index>::max());
  const auto refused = [](const std::string& header, const std::string& what) {
    EXPECT_FALSE(reads_within_bounds(safetensors_of(header, ""), what));
  };
  refused(R"({"t":{"dtype":"U8","shape":[)" + most_index + R"(],"data_offsets":[0,)" + most_index +
              "]}}",
          "huge tensor");
  refused(R"({"t":{"dtype":"U8","shape":[0,)" + most_index + R"(],"data_offsets":[0,0]},)" +
              std::string(200000, ' '),
          "spaces");
  refused("{" + std::string(200000, '['), "arrays");
  refused(R"({"t":)" + std::string(200000, '['), "arrays in a tensor");
  std::string objects;
  for (int i = 0; i < 50000; ++i) objects += R"({"t":)";
  refused(objects, "objects");
  refused("{\"" + std::string(200000, 'n'), "a name without end");
  refused("{\"" + std::string(200000, 'n') + "\n\"", "a name with a newline");
  std::string escapes;
  for (int i = 0; i < 30000; ++i) escapes += "\\u0001";
  refused("{\"" + escapes + "\":1}", "escapes");
  refused(R"({"t":{"shape":[)" + std::string(200000, '1'), "a number without end");
  std::string extents = R"({"t":{"shape":[1)";
  for (int i = 0; i < 100000; ++i) extents += ",1";
  refused(extents, "extents");
  bool is_accepted = true;
  most = used.load();
  const std::size_t before = used;
  for (const std::uint64_t length : {std::uint64_t{100000000}, ~std::uint64_t{0}}) {
    (void)fewbit::tests::read_hostile(fewbit::tests::little_endian(length, 8) + "{}", is_accepted);
    EXPECT_FALSE(is_accepted);
  }
  EXPECT_LE(most - before, 4096U);
}

/// Opens a GGUF file and returns whether it was accepted. At no time is more memory allocated than
/// the file has bytes, and 4 KiB for the sentence of an error.
bool opens_within_bounds(const std::string& content, const std::string& what) {
  bool is_accepted = true;
  most = used.load();
  const std::size_t before = used;
  try {
    const fewbit::gguf_file file(fewbit::tests::bytes_of(content), "x");
  } catch (const fewbit::error&) {
    is_accepted = false;
  }
  EXPECT_LE(most - before, content.size() + 4096) << what << " of " << content.size();
  return is_accepted;
}

TEST(allocation, is_less_than_a_gguf_file) {
  using namespace fewbit::tests;
  std::vector<std::string> pairs, entries;
  for (int i = 0; i < 20000; ++i) {
    pairs.push_back(gguf_pair(std::to_string(i), 0, "a"));
    entries.push_back(gguf_entry(std::to_string(i), {}, 24, static_cast<unsigned>(i)));
  }
  const std::string alignment = gguf_pair("general.alignment", 4, little_endian(1, 4));
  EXPECT_TRUE(opens_within_bounds(gguf_of(pairs, {}, ""), "values"));
  EXPECT_TRUE(
      opens_within_bounds(gguf_of({alignment}, entries, std::string(20000, '\1'), 1), "tensors"));
  const std::string many = little_endian(~0ULL, 8), half = little_endian(1ULL << 30, 8);
  for (const std::string& count : {many, half}) {
    const auto refused = [&](const std::string& content, const char* what) {
      EXPECT_FALSE(opens_within_bounds(content, what));
    };
    const std::string rest(100000, '\1'), start = "GGUF" + little_endian(3, 4);
    refused(start + count + little_endian(0, 8) + rest, "tensors");
    refused(start + little_endian(0, 8) + count + rest, "values");
    refused(gguf_of({count + rest}, {}, ""), "key");
    refused(gguf_of({gguf_pair("k", 8, count + rest)}, {}, ""), "text");
    refused(gguf_of({gguf_pair("k", 9, little_endian(8, 4) + count + rest)}, {}, ""), "texts");
    refused(gguf_of({gguf_pair("k", 9, little_endian(0, 4) + count + rest)}, {}, ""), "bytes");
    refused(gguf_of({}, {count + rest}, ""), "name");
    refused(gguf_of({}, {gguf_entry("t", {1ULL << 40}, 0, 0)}, rest), "extent");
  }
}

/// The most bytes that f() takes at one time.
template <class F>
std::size_t taken_by(const F& f) {
  most = used.load();
  const std::size_t before = used;
  f();
  return most - before;
}

TEST(allocation, of_a_packed_file_is_a_few_sentences) {
  const fewbit::tests::temporary_folder folder;
  const std::string path = folder / "a.fewbit";
  using rows = fewbit::linear<fewbit::int8_per_row>;
  using groups = fewbit::linear<fewbit::int4_grouped<32>>;
  const fewbit::row_matrix<float> w = fewbit::row_matrix<float>::Random(512, 1024);
  {
    fewbit::packed_writer out(path);
    rows(w, Eigen::VectorXf::Ones(512)).save(out, "rows");
    groups(w).save(out, "groups");
    for (int i = 0; i < 5000; ++i) out.write(std::to_string(i), fewbit::section_type::int8, {});
    out.close();
  }
  EXPECT_LE(taken_by([&] { (void)fewbit::packed_file(path, fewbit::packed_check::contents); }),
            1024U);
  fewbit::packed_file file(path);
  EXPECT_LE(taken_by([&] { (void)rows::load(file, "rows"); }), 2048U);
  EXPECT_LE(taken_by([&] { (void)groups::load(file, "groups"); }), 2048U);
  EXPECT_EQ(file.repacked(), 0);
}

TEST(allocation, does_not_follow_what_a_hostile_packed_file_says) {
  fewbit::aligned_buffer<std::byte> bytes(100 * 64);
  fewbit::detail::packed_header header;
  header.bytes = 100 * 64;
  header.table = 128;
  for (const std::uint32_t sections : {1U, 97U, ~0U}) {
    header.sections = sections;
    header.of_table = fewbit::two_sums(std::span<const std::byte>(bytes).subspan(128));
    header.of_header = fewbit::detail::sums_of_header(header);
    std::memcpy(bytes.data(), &header, sizeof(header));
    bool is_accepted = true;
    EXPECT_LE(taken_by([&] {
                try {
                  const fewbit::packed_file file(std::span<const std::byte>(bytes), "x");
                } catch (const fewbit::error&) {
                  is_accepted = false;
                }
              }),
              4096U);
    EXPECT_FALSE(is_accepted);
  }
}

}  // namespace io_allocation_test
