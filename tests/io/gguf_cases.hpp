#pragma once
/// Files for the tests and the fuzz target of GGUF, and what must hold for each file.

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "fewbit/io/gguf_quantized.hpp"
#include "io/support.hpp"

namespace fewbit::tests {

/// A u64 length and the text.
inline std::string gguf_text(const std::string& text) {
  return little_endian(text.size(), 8) + text;
}

/// A value: key, type, bytes.
inline std::string gguf_pair(const std::string& key, unsigned type, const std::string& bytes) {
  return gguf_text(key) + little_endian(type, 4) + bytes;
}

inline std::string gguf_array(unsigned type, std::uint64_t count, const std::string& elements) {
  return little_endian(type, 4) + little_endian(count, 8) + elements;
}

/// The record of a tensor; extents in the order of the file.
inline std::string gguf_entry(const std::string& name, const std::vector<std::uint64_t>& extents,
                              unsigned type, std::uint64_t offset) {
  std::string entry = gguf_text(name) + little_endian(extents.size(), 4);
  for (const std::uint64_t extent : extents) entry += little_endian(extent, 8);
  return entry + little_endian(type, 4) + little_endian(offset, 8);
}

inline std::string zeros_to(std::string text, std::size_t alignment) {
  text.resize((text.size() + alignment - 1) / alignment * alignment, '\0');
  return text;
}

/// A whole file of version 3. `data` have their padding already.
inline std::string gguf_of(const std::vector<std::string>& pairs,
                           const std::vector<std::string>& entries, const std::string& data,
                           std::size_t alignment = 32) {
  std::string file = "GGUF" + little_endian(3, 4) + little_endian(entries.size(), 8) +
                     little_endian(pairs.size(), 8);
  for (const std::string& pair : pairs) file += pair;
  for (const std::string& entry : entries) file += entry;
  return zeros_to(file, alignment) + data;
}

inline std::string float_text(float value) {
  return little_endian(std::bit_cast<std::uint32_t>(value), 4);
}

/// Two blocks of Q4_0: d = 0.5 with bytes 0 to 15, d = -1 with bytes 16 to 31.
inline std::string two_q4_0_blocks() {
  std::string blocks = little_endian(0x3800, 2);
  for (int i = 0; i < 16; ++i) blocks += static_cast<char>(i);
  blocks += little_endian(0xBC00, 2);
  for (int i = 16; i < 32; ++i) blocks += static_cast<char>(i);
  return blocks;
}

/// 256 bytes: "a.weight", Q4_0 of 2 x 32, and "b", three floats.
inline std::string golden_gguf() {
  return gguf_of(
      {gguf_pair("general.alignment", 4, little_endian(32, 4))},
      {gguf_entry("a.weight", {32, 2}, 2, 0), gguf_entry("b", {3}, 0, 64)},
      zeros_to(zeros_to(two_q4_0_blocks(), 32) + float_text(1) + float_text(2) + float_text(3),
               32));
}

/// A value of every type, and arrays of each.
inline std::string metadata_gguf() {
  std::vector<std::string> pairs;
  constexpr std::array<unsigned, 11> types = {0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12};
  constexpr std::array<int, 11> sizes = {1, 1, 2, 2, 4, 4, 4, 1, 8, 8, 8};
  for (std::size_t i = 0; i < types.size(); ++i) {
    const std::string one = types[i] == 6    ? float_text(-1.5F)
                            : types[i] == 7  ? std::string("\1", 1)
                            : types[i] == 12 ? little_endian(std::bit_cast<std::uint64_t>(0.1), 8)
                                             : little_endian(0xFFFFFFFFFFFFFF80U, sizes[i]);
    const std::string zero(static_cast<std::size_t>(sizes[i]), '\0');
    pairs.push_back(gguf_pair("k" + std::to_string(types[i]), types[i], one));
    pairs.push_back(
        gguf_pair("a" + std::to_string(types[i]), 9, gguf_array(types[i], 2, one + zero)));
  }
  pairs.push_back(gguf_pair("text", 8, gguf_text("llama")));
  pairs.push_back(
      gguf_pair("texts", 9, gguf_array(8, 3, gguf_text("a") + gguf_text("") + gguf_text("bc"))));
  pairs.push_back(gguf_pair("none", 9, gguf_array(12, 0, "")));
  return gguf_of(pairs, {gguf_entry("empty", {0, 7}, 0, 0), gguf_entry("number", {}, 24, 0)},
                 zeros_to("\5", 32));
}

/// A tensor of one block of every type that is decoded; its bytes are 1, 2, 3 ...
inline std::string blocks_gguf() {
  std::vector<std::string> entries;
  std::string data;
  for (const auto& row : fewbit::detail::gguf_types) {
    entries.push_back(gguf_entry(std::string(row.name), {static_cast<std::uint64_t>(row.weights)},
                                 static_cast<unsigned>(row.type), data.size()));
    for (int i = 0; i < row.bytes; ++i) data += static_cast<char>(i + 1);
    data = zeros_to(data, 32);
  }
  return gguf_of({}, entries, data);
}

/// Inputs of the fuzz target.
inline const std::array<std::string, 5> gguf_seeds = {
    golden_gguf(), metadata_gguf(), blocks_gguf(), gguf_of({}, {}, ""),
    gguf_of({gguf_pair("general.alignment", 4, little_endian(8, 4))},
            {gguf_entry("x", {32, 1, 1, 2}, 8, 0), gguf_entry("y", {2, 2}, 30, 72)},
            zeros_to(std::string(68, '\1'), 8) + std::string(8, '\2'), 8)};

/// Reads every element of a value. Returns whether there are as many as it says.
template <class T>
bool reads_value(const gguf_value& value) {
  if (value.is_array) return static_cast<index>(value.array<T>().size()) == value.count;
  return value.is<T>() && (static_cast<void>(value.get<T>()), true);
}

inline bool reads_value(const gguf_value& value) {
  switch (value.type) {
    case gguf_value_type::u8:
      return reads_value<std::uint8_t>(value);
    case gguf_value_type::i8:
      return reads_value<std::int8_t>(value);
    case gguf_value_type::u16:
      return reads_value<std::uint16_t>(value);
    case gguf_value_type::i16:
      return reads_value<std::int16_t>(value);
    case gguf_value_type::u32:
      return reads_value<std::uint32_t>(value);
    case gguf_value_type::i32:
      return reads_value<std::int32_t>(value);
    case gguf_value_type::f32:
      return reads_value<float>(value);
    case gguf_value_type::boolean:
      return reads_value<bool>(value);
    case gguf_value_type::text:
      return reads_value<std::string_view>(value);
    case gguf_value_type::u64:
      return reads_value<std::uint64_t>(value);
    case gguf_value_type::i64:
      return reads_value<std::int64_t>(value);
    case gguf_value_type::f64:
      return reads_value<double>(value);
    default:
      return false;
  }
}

/// What does not hold for an accepted file, or "".
inline std::string broken_rule_of(const gguf_file& file, std::span<const std::byte> bytes) {
  for (index i = 0; i < file.values(); ++i) {
    const gguf_value value = file.value(i);
    const auto found = file.find_value(value.key);
    if (!found || found->byte != value.byte) return "a value is not found by its key";
    if (!reads_value(value)) return "a value is not read";
  }
  for (index i = 0; i < file.size(); ++i) {
    const gguf_tensor t = file[i];
    const auto found = file.find(t.name);
    if (!found || found->bytes.data() != t.bytes.data()) return "a tensor is not found by name";
    if (t.bytes.empty()) {
      if (t.rows() != 0 && t.cols() != 0) return "a tensor has no data";
      continue;
    }
    if (t.byte > bytes.size() || t.bytes.size() > bytes.size() - t.byte ||
        t.bytes.data() != bytes.data() + t.byte) {
      return "a tensor is outside of the file";
    }
    if (t.byte % static_cast<std::uint64_t>(file.alignment()) != 0) return "a tensor is unaligned";
    const index blocks = t.rows() * t.cols() / block_weights(t.type);
    if (static_cast<std::size_t>(blocks * block_bytes(t.type)) != t.bytes.size()) {
      return "a tensor has another size";
    }
    try {
      const row_matrix<float> w = t.to_floats();
      if (w.rows() != t.rows() || w.cols() != t.cols()) return "a matrix has another shape";
      const bool is_same = visit(t, [&](const auto& q) {
        return q.rows() == t.rows() && q.cols() == t.cols() &&
               q.code(0, 0) >= std::remove_cvref_t<decltype(q)>::scheme::code_min;
      });
      if (!is_same) return "a quantized matrix is not that of its tensor";
    } catch (const error&) {
    }
  }
  return "";
}

/// Reads hostile bytes: they are refused by a fewbit::error, or all rules hold. Returns the broken
/// rule, or "". The bytes are in memory of exact size, so that a sanitizer finds reads outside.
inline std::string read_hostile_gguf(std::string_view content, bool& is_accepted) {
  const auto memory = std::make_unique<std::byte[]>(content.size());
  std::memcpy(memory.get(), content.data(), content.size());
  const std::span<const std::byte> bytes(memory.get(), content.size());
  is_accepted = false;
  try {
    const gguf_file file(bytes, "x");
    is_accepted = true;
    return broken_rule_of(file, bytes);
  } catch (const error&) {
  }
  return "";
}

}  // namespace fewbit::tests
