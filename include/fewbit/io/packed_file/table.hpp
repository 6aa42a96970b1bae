#pragma once
/// The header and the table of a packed file, and their checks.
///
/// | bytes      | header                                                       |
/// |------------|--------------------------------------------------------------|
/// | 0 .. 7     | "fewbit\0P"                                                  |
/// | 8 .. 11    | uint32: version of the format, 1                             |
/// | 12 .. 15   | uint32: number of sections, N                                |
/// | 16 .. 23   | uint64: bytes of the file                                    |
/// | 24 .. 31   | uint64: byte of the table                                    |
/// | 32 .. 55   | the instruction set of the program that wrote it, then zeros |
/// | 56 .. 71   | two_sums of the table                                        |
/// | 72 .. 87   | two_sums of the header, computed with 0 in this field        |
/// | 88 .. 127  | 0                                                            |
///
/// Sections begin at byte 128. Each begins at a multiple of 64 bytes, and zeros fill the bytes up
/// to the next one. The table follows the last section:
///
/// | bytes of an entry | for each of N sections, in the order of their bytes             |
/// |-------------------|-----------------------------------------------------------------|
/// | 0 .. 7            | uint64: first byte                                              |
/// | 8 .. 15           | uint64: bytes                                                   |
/// | 16 .. 31          | two_sums of these bytes and of the zeros behind them            |
/// | 32 .. 39          | uint64: where its name begins in the names                      |
/// | 40 .. 43          | uint32: bytes of its name                                       |
/// | 44 .. 47          | uint32: its section_type                                        |
/// | 48 .. 51          | uint32: for entry i, the section with the i-th name in order    |
/// | 52 .. 63          | 0                                                               |
///
/// The names follow, one after the other, then zeros up to a multiple of 64 bytes: the end of the
/// file. Numbers are little-endian. Read next: io/packed_file.hpp.

#include "fewbit/begin.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "fewbit/core/archive.hpp"
#include "fewbit/core/index.hpp"
#include "fewbit/io/checksum.hpp"
#include "fewbit/io/file_error.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

struct packed_header {
  std::array<char, 8> magic = {'f', 'e', 'w', 'b', 'i', 't', '\0', 'P'};
  std::uint32_t version = 1;
  std::uint32_t sections = 0;
  std::uint64_t bytes = 0;
  std::uint64_t table = 0;
  std::array<char, 24> arch = {};
  double_checksum of_table;
  double_checksum of_header;
  std::array<char, 40> rest = {};
};
static_assert(sizeof(packed_header) == 128);

struct packed_entry {
  std::uint64_t begin = 0;
  std::uint64_t bytes = 0;
  double_checksum sums;
  std::uint64_t name = 0;
  std::uint32_t name_bytes = 0;
  std::uint32_t type = 0;
  std::uint32_t by_name = 0;
  std::array<char, 12> rest = {};
};
static_assert(sizeof(packed_entry) == 64);

[[nodiscard]] constexpr std::uint64_t packed_aligned(std::uint64_t bytes) noexcept {
  return (bytes + 63) / 64 * 64;
}

[[nodiscard]] inline double_checksum sums_of_header(packed_header header) noexcept {
  header.of_header = {};
  std::byte bytes[sizeof(header)];
  std::memcpy(bytes, &header, sizeof(header));
  return two_sums(bytes);
}

/// "17 and 42", for sentences.
[[nodiscard]] inline std::string text_of(const double_checksum& sums) {
  return std::to_string(sums.sum) + " and " + std::to_string(sums.weighted);
}

/// The sections of a file, found in its bytes. Nothing is copied, so that the memory does not
/// depend on the number of sections.
class packed_table {
 public:
  packed_table() = default;

  /// Checks header and table.
  ///
  /// @throws fewbit::error with the byte of the first number that is wrong
  packed_table(const char* function, std::string_view file, std::span<const std::byte> bytes)
      : file_{function, file}, bytes_(bytes) {
    expect_little_endian_files(function);
    read_header();
    expect_table();
    std::uint64_t at = sizeof(packed_header), name = 0;
    for (index i = 0; i < size(); ++i) expect_entry(i, at, name);
    if (at != header_.table) file_.fail("byte of the table", 24, header_.table, at);
    const std::uint64_t end = names_at() + name;
    if (packed_aligned(end) != header_.bytes)
      file_.fail("number of bytes", 16, header_.bytes, packed_aligned(end));
    expect_zeros("bytes after the names", end, header_.bytes - end);
    expect_names();
  }

  [[nodiscard]] index size() const noexcept { return static_cast<index>(header_.sections); }
  [[nodiscard]] std::string_view arch() const noexcept {
    return {header_.arch.data(), ::strnlen(header_.arch.data(), header_.arch.size())};
  }
  [[nodiscard]] packed_entry entry(index i) const noexcept {
    packed_entry result;
    std::memcpy(&result, bytes_.data() + entry_at(i), sizeof(result));
    return result;
  }
  [[nodiscard]] std::string_view name(const packed_entry& e) const noexcept {
    return {reinterpret_cast<const char*>(bytes_.data() + names_at() + e.name), e.name_bytes};
  }
  [[nodiscard]] std::span<const std::byte> bytes(const packed_entry& e) const noexcept {
    return bytes_.subspan(static_cast<std::size_t>(e.begin), static_cast<std::size_t>(e.bytes));
  }
  /// The section of a name, or -1. Costs log2(size()) comparisons.
  [[nodiscard]] index find(std::string_view name_of_section) const noexcept {
    index low = 0, high = size();
    while (low < high) {
      const index middle = (low + high) / 2;
      if (name(sorted(middle)) < name_of_section) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    if (low == size() || name(sorted(low)) != name_of_section) return -1;
    return static_cast<index>(entry(low).by_name);
  }

  /// Fails if a byte of section i, or a zero behind it, has changed.
  void expect_sums(index i) const {
    const packed_entry e = entry(i);
    const double_checksum got = two_sums(bytes_.subspan(
        static_cast<std::size_t>(e.begin), static_cast<std::size_t>(packed_aligned(e.bytes))));
    if (got == e.sums) return;
    fail_in_file(file_.function, "checksum of section " + name_text(name(e)),
                 {file_.name, static_cast<std::int64_t>(e.begin)}, text_of(got), text_of(e.sums));
  }

 private:
  /// Fails with a byte of the file.
  struct place {
    const char* function = "";
    std::string_view name = {};

    template <class Got, class Want>
    [[noreturn]] void fail(std::string_view what, std::uint64_t byte, const Got& got,
                           const Want& want) const {
      fail_in_file(function, what, {name, static_cast<std::int64_t>(byte)}, got, want);
    }
  };

  void read_header() {
    if (bytes_.size() < sizeof(header_)) {
      file_.fail("size", 0, bytes_.size(), "at least " + std::to_string(sizeof(header_)));
    }
    std::memcpy(&header_, bytes_.data(), sizeof(header_));
    if (reinterpret_cast<std::uintptr_t>(bytes_.data()) % 64 != 0)
      file_.fail("address modulo 64", 0, "not 0", "0");
    if (header_.magic != packed_header{}.magic)
      file_.fail("start", 0, "another sequence of bytes", "\"fewbit\\0P\"");
    if (header_.version != packed_header{}.version)
      file_.fail("version of the format", 8, header_.version, packed_header{}.version);
    if (header_.of_header != sums_of_header(header_)) {
      file_.fail("checksum of the header", 72, text_of(header_.of_header),
                 text_of(sums_of_header(header_)));
    }
    if (header_.bytes != bytes_.size())
      file_.fail("number of bytes", 16, header_.bytes, bytes_.size());
    for (const char c : header_.rest) {
      if (c != '\0') file_.fail("end of the header", 88, "not 0", "0");
    }
  }

  /// Fails unless the table is in the file and has its checksum.
  void expect_table() const {
    const std::uint64_t most = header_.bytes;
    const bool is_inside = header_.table % 64 == 0 && header_.table >= sizeof(packed_header) &&
                           header_.table <= most &&
                           header_.sections <= (most - header_.table) / sizeof(packed_entry);
    if (!is_inside)
      file_.fail("byte of the table", 24, header_.table, "one whose entries are in the file");
    const double_checksum sums = two_sums(bytes_.subspan(static_cast<std::size_t>(header_.table)));
    if (sums != header_.of_table) {
      file_.fail("checksum of the table", header_.table, text_of(sums), text_of(header_.of_table));
    }
  }

  /// Fails unless section i begins at `at` and its name at `name`, and moves both behind them.
  void expect_entry(index i, std::uint64_t& at, std::uint64_t& name) const {
    const packed_entry e = entry(i);
    const std::uint64_t of_entry = entry_at(i), names = header_.bytes - names_at();
    if (e.begin != at) file_.fail("first byte of a section", of_entry, e.begin, at);
    if (e.bytes > header_.table - at)
      file_.fail("number of bytes of a section", of_entry + 8, e.bytes, header_.table - at);
    if (e.name != name) file_.fail("start of a name", of_entry + 32, e.name, name);
    if (e.name_bytes == 0 || e.name_bytes > names - name) {
      file_.fail("number of bytes of a name", of_entry + 40, e.name_bytes,
                 "1 to " + std::to_string(names - name));
    }
    if (e.type >= section_types) file_.fail("type of a section", of_entry + 44, e.type, "0 to 7");
    if (e.by_name >= header_.sections)
      file_.fail("section of a name", of_entry + 48, e.by_name, "one of the sections");
    for (const char c : e.rest) {
      if (c != '\0') file_.fail("end of an entry", of_entry + 52, "not 0", "0");
    }
    at += packed_aligned(e.bytes);  // not behind the table, which is at a multiple of 64 bytes, too
    name += e.name_bytes;
  }

  void expect_zeros(const char* what, std::uint64_t at, std::uint64_t count) const {
    for (std::uint64_t i = at; i < at + count; ++i) {
      if (bytes_[static_cast<std::size_t>(i)] != std::byte{0}) file_.fail(what, i, "not 0", "0");
    }
  }

  /// Fails unless names are in order by by_name; then all are different.
  void expect_names() const {
    for (index i = 1; i < size(); ++i) {
      if (name(sorted(i - 1)) < name(sorted(i))) continue;
      file_.fail("name " + name_text(name(sorted(i))), entry_at(i) + 48, "not after the one before",
                 "names in order, each once");
    }
  }

  [[nodiscard]] std::uint64_t entry_at(index i) const noexcept {
    return header_.table + static_cast<std::uint64_t>(i) * sizeof(packed_entry);
  }
  [[nodiscard]] std::uint64_t names_at() const noexcept { return entry_at(size()); }
  [[nodiscard]] packed_entry sorted(index i) const noexcept {
    return entry(static_cast<index>(entry(i).by_name));
  }

  place file_;
  std::span<const std::byte> bytes_;
  packed_header header_;
};

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
