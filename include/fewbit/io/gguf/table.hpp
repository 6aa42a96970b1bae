#pragma once
/// Reads and checks the index of a GGUF file: where its values and its tensors are.
///
/// | part of the file  | content                                                             |
/// |-------------------|---------------------------------------------------------------------|
/// | 24 bytes          | "GGUF", u32 version, u64 number of tensors, u64 number of values     |
/// | values            | key, u32 type, value; an array has u32 type of elements, u64 number  |
/// | tensors           | name, u32 number of extents, u64 extents, u32 type, u64 offset       |
/// | data              | from the next multiple of the alignment on                           |
///
/// Keys, names and texts are a u64 length and that many bytes. The alignment is the u32 value
/// "general.alignment", 32 without. Each tensor begins where the one before it ends, rounded up to
/// the alignment; the data of the last are followed by that padding, too, or end the file without
/// any. Bytes behind the padding are ignored. The file is untrusted. The table holds 12 bytes for
/// each value and tensor, less than the file does; the rest is read from the file at each access,
/// with the same checks.
/// Source: https://github.com/ggml-org/ggml, docs/gguf.md.
/// Read next: gguf.hpp, which uses the table.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/io/file_error.hpp"
#include "fewbit/io/gguf/cursor.hpp"
#include "fewbit/io/gguf/tensor.hpp"
#include "fewbit/io/gguf/value.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

inline constexpr std::string_view gguf_magic = "GGUF";
inline constexpr std::string_view alignment_key = "general.alignment";
inline constexpr std::uint32_t default_gguf_alignment = 32;
inline constexpr std::uint32_t largest_gguf_alignment = std::uint32_t{1} << 20;

/// Positions of records in a file: in its order, and which of them are there in the order of names.
struct gguf_positions {
  std::vector<std::uint64_t> at;
  std::vector<std::uint32_t> by_name;
};

/// What the index says, after all checks.
struct gguf_table {
  std::vector<char> file;  // the name of the file; views of it stay valid when it is moved
  std::uint32_t version = 0;
  std::uint32_t alignment = default_gguf_alignment;
  std::uint64_t data_at = 0;
  gguf_positions values;
  gguf_positions tensors;

  [[nodiscard]] std::string_view file_name() const noexcept { return {file.data(), file.size()}; }
};

[[nodiscard]] constexpr std::uint64_t padded(std::uint64_t size, std::uint32_t alignment) noexcept {
  return (size + alignment - 1) & ~(std::uint64_t{alignment} - 1);
}

/// The name at a position, which was checked: a length and that many bytes.
[[nodiscard]] inline std::string_view gguf_name_at(std::string_view file,
                                                   std::span<const std::byte> bytes,
                                                   std::uint64_t at) {
  return gguf_cursor("gguf_file", file, bytes, at).read_text("name");
}

/// Fails unless the file has a version that can be read.
[[nodiscard]] inline std::uint32_t read_gguf_version(gguf_cursor& in) {
  const auto magic = in.read_bytes(gguf_magic.size(), "start");
  const std::string_view text(reinterpret_cast<const char*>(magic.data()), magic.size());
  if (text != gguf_magic) in.fail("start", name_text(text), "'GGUF'");
  const auto version = in.read<std::uint32_t>("version");
  if (version != 0 && (version & 0xFFFFU) == 0) {
    in.fail("byte order", "big-endian", "little-endian; convert the file");
  }
  if (version == 1) {
    in.fail("version", "1, whose lengths have 32 bits", "2 or 3; convert the file");
  }
  if (version != 2 && version != 3) in.fail("version", std::to_string(version), "2 or 3");
  return version;
}

[[nodiscard]] inline std::uint64_t read_gguf_count(gguf_cursor& in, std::string_view what,
                                                   std::uint64_t least_bytes) {
  const auto count = in.read<std::uint64_t>(what);
  const std::uint64_t most = std::min<std::uint64_t>(in.remaining() / least_bytes,
                                                     std::numeric_limits<std::int32_t>::max());
  if (count > most) {
    in.fail(what, std::to_string(count), "at most " + std::to_string(most) + " in this file");
  }
  return count;
}

/// Sorts positions by their names. Fails if two names are equal.
inline void sort_gguf_names(const char* kind, std::string_view file,
                            std::span<const std::byte> bytes, gguf_positions& records) {
  auto& order = records.by_name;
  order.resize(records.at.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::uint32_t>(i);
  const auto name = [&](std::uint32_t i) { return gguf_name_at(file, bytes, records.at[i]); };
  std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    const int sign = name(a).compare(name(b));
    return sign < 0 || (sign == 0 && a < b);
  });
  const auto twice =
      std::adjacent_find(order.begin(), order.end(),
                         [&](std::uint32_t a, std::uint32_t b) { return name(a) == name(b); });
  if (twice == order.end()) return;
  const std::uint64_t first = records.at[*twice], second = records.at[*(twice + 1)];
  fail_in_file("gguf_file", std::string(kind) + " " + name_text(name(*twice)),
               {file, static_cast<std::int64_t>(second), {}},
               "there already at byte " + std::to_string(first), "there once");
}

[[nodiscard]] inline std::uint32_t alignment_of(const gguf_value& value, gguf_cursor& in) {
  if (!value.is<std::uint32_t>()) in.fail("type", std::string(name_of(value.type)), "u32");
  const auto alignment = value.get<std::uint32_t>();
  if (!std::has_single_bit(alignment) || alignment > largest_gguf_alignment) {
    in.fail("value", std::to_string(alignment),
            "a power of two up to " + std::to_string(largest_gguf_alignment));
  }
  return alignment;
}

/// Fails unless the data of every tensor, with their padding, are within the file. Some writers
/// omit the padding of the last tensor. The offsets have been checked, and no sum overflows.
///
/// @param index_end  the position behind the index
inline void expect_gguf_data(std::string_view file, std::span<const std::byte> bytes,
                             const gguf_table& table, std::uint64_t index_end) {
  for (const std::uint64_t at : table.tensors.at) {
    gguf_cursor in("gguf_file", file, bytes, at);
    const gguf_record record = read_gguf_record(in);
    const std::uint64_t begin = table.data_at + record.offset;
    if (record.size == 0 || begin + padded(record.size, table.alignment) <= bytes.size()) continue;
    if (begin + record.size == bytes.size()) continue;
    fail_in_file("gguf_file", "data", {file, static_cast<std::int64_t>(begin), record.tensor.name},
                 std::to_string(bytes.size() - std::min<std::uint64_t>(begin, bytes.size())) +
                     " bytes, the rest of the file",
                 std::to_string(padded(record.size, table.alignment)) +
                     " bytes with their padding, behind the index that ends at byte " +
                     std::to_string(index_end));
  }
}

/// Reads the index of `bytes`, a whole file.
///
/// @throws fewbit::error with the file, the key or tensor, and the byte of the first broken rule
[[nodiscard]] inline gguf_table read_gguf_table(std::string_view file,
                                                std::span<const std::byte> bytes) {
  gguf_table table;
  table.file.assign(file.begin(), file.end());
  gguf_cursor in("gguf_file", file, bytes);
  table.version = read_gguf_version(in);
  const auto tensors = read_gguf_count(in, "number of tensors", least_tensor_record);
  const auto values = read_gguf_count(in, "number of values", least_value_record);

  table.values.at.reserve(static_cast<std::size_t>(values));
  for (std::uint64_t i = 0; i < values; ++i) {
    table.values.at.push_back(in.position());
    const gguf_value value = read_gguf_value(in, bytes);
    if (value.key == alignment_key) table.alignment = alignment_of(value, in);
  }
  sort_gguf_names("key", file, bytes, table.values);

  std::uint64_t end = 0;  // at most the sum of all sizes that fit an index, with padding
  table.tensors.at.reserve(static_cast<std::size_t>(tensors));
  for (std::uint64_t i = 0; i < tensors; ++i) {
    table.tensors.at.push_back(in.position());
    const gguf_record record = read_gguf_record(in);
    if (record.offset != end) {
      in.fail("offset", std::to_string(record.offset),
              std::to_string(end) + ", the padded end of the tensor before");
    }
    if (record.size > bytes.size() || end > bytes.size() - record.size) {
      in.fail("data",
              std::to_string(record.size) + " bytes from byte " + std::to_string(end) +
                  " of the data on",
              "within the " + std::to_string(bytes.size()) + " bytes of the file");
    }
    end = padded(end + record.size, table.alignment);
  }
  sort_gguf_names("tensor", file, bytes, table.tensors);

  table.data_at = padded(in.position(), table.alignment);
  expect_gguf_data(file, bytes, table, in.position());
  return table;
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
