#pragma once
/// Reads and checks the header of a safetensors file: the table of its tensors.
///
/// | part of the file | content                                                              |
/// |------------------|----------------------------------------------------------------------|
/// | 8 bytes          | n, the length of the header; at most 10^8 and the rest of the file   |
/// | n bytes          | JSON object, padded with spaces: an entry for each tensor            |
/// | rest             | the data of the tensors, one after the other, without gaps           |
///
///     "w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}      an entry
///     "__metadata__":{"format":"pt"}                               strings of the file, optional
///
/// The header is untrusted. Every rule of the format is checked, and these beyond the reference
/// program: the header begins with '{', has no NUL, no name twice and no other keys; extents fit an
/// index, at most 64 of them. The table takes a few times the bytes of the header.
/// Source: https://github.com/huggingface/safetensors, README.md (Format).
/// Read next: header_parser.hpp; safetensors.hpp, which uses the table.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/io/byte_reader.hpp"
#include "fewbit/io/file_error.hpp"
#include "fewbit/io/safetensors/header_parser.hpp"
#include "fewbit/io/safetensors/header_text.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// Fails unless the tensors use every byte of the data once. Sorts them.
inline void expect_covered(const char* function, std::string_view file, safetensors_table& table,
                           std::uint64_t data_size) {
  const auto place = [](const safetensors_entry& e) {
    return std::tuple(e.begin, e.end, e.header_byte);
  };
  std::sort(table.entries.begin(), table.entries.end(),
            [&](const auto& a, const auto& b) { return place(a) < place(b); });
  std::uint64_t covered = 0;
  const auto byte = [&](std::uint64_t at) { return static_cast<std::int64_t>(table.data_at + at); };
  for (const safetensors_entry& entry : table.entries) {
    if (entry.begin < covered) {
      fail_in_file(function, "data", {file, byte(entry.begin), table.text(entry.name)},
                   "data of another tensor, too", "data of one tensor");
    }
    if (entry.begin > covered) {
      fail_in_file(function, "gap", {file, byte(covered)},
                   std::to_string(entry.begin - covered) + " bytes", "no byte without a tensor");
    }
    covered = entry.end;
  }
  if (covered != data_size) {
    fail_in_file(function, "rest behind the last tensor", {file, byte(covered)},
                 std::to_string(data_size - covered) + " bytes", "the end of the file");
  }
}

/// Sorts `items` by the texts of name(item). Fails if two are equal.
template <class T, class Name, class Fail>
void sort_by_name(std::vector<T>& items, const Name& name, const Fail& fail) {
  std::sort(items.begin(), items.end(), [&](const T& a, const T& b) { return name(a) < name(b); });
  const auto twice = std::adjacent_find(items.begin(), items.end(),
                                        [&](const T& a, const T& b) { return name(a) == name(b); });
  if (twice != items.end()) fail(*twice, *(twice + 1));
}

/// Reads the table of `bytes`, a whole file.
///
/// @throws fewbit::error with the file, the tensor and the byte of the first rule that is broken
[[nodiscard]] inline safetensors_table read_safetensors_table(const char* function,
                                                              std::string_view file,
                                                              std::span<const std::byte> bytes) {
  byte_reader in(function, file, bytes);
  const auto length = in.read<std::uint64_t>("length of the header");
  if (length > largest_header) {
    fail_in_file(function, "length of the header", {file, 0}, length,
                 "at most " + std::to_string(largest_header));
  }
  const std::string_view header = in.read_text(length, "length of the header");
  safetensors_table table;
  table.texts.assign(file.begin(), file.end());
  table.file.size = static_cast<std::uint32_t>(file.size());
  table.data_at = in.position();
  header_parser(function, file, header, in.remaining(), table).parse();
  expect_covered(function, file, table, in.remaining());

  table.by_name.resize(table.entries.size());
  for (std::size_t i = 0; i < table.by_name.size(); ++i) {
    table.by_name[i] = static_cast<std::uint32_t>(i);
  }
  sort_by_name(
      table.by_name, [&](std::uint32_t i) { return table.text(table.entries[i].name); },
      [&](std::uint32_t a, std::uint32_t b) {
        const auto& [first, second] =
            std::minmax(table.entries[a].header_byte, table.entries[b].header_byte);
        fail_in_file(function, "entry", {file, second, table.text(table.entries[a].name)},
                     "there already at byte " + std::to_string(first), "a name for each tensor");
      });
  sort_by_name(
      table.metadata, [&](const safetensors_string& s) { return table.text(s.key); },
      [&](const safetensors_string& a, const safetensors_string& /*b*/) {
        fail_in_file(function, "key " + name_text(table.text(a.key)) + " of __metadata__", {file},
                     "there twice", "there once");
      });
  return table;
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
