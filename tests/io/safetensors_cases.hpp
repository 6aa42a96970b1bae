#pragma once
/// Files for the tests and the fuzz target of safetensors, and what must hold for each file.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "fewbit/io/quantized.hpp"

namespace fewbit::tests {

/// A file: the length of the header, the header, the data.
inline std::string safetensors_of(std::string_view header, std::string_view data) {
  std::string file;
  for (int i = 0; i < 8; ++i) file += static_cast<char>(header.size() >> (8 * i) & 0xFF);
  return file.append(header).append(data);
}

/// Inputs of the fuzz target: a header, a newline, the data. Other inputs are whole files.
inline constexpr std::string_view header_mark = "w";
inline const std::array<std::string, 13> safetensors_seeds = {
    R"(w{})",
    "w{\"w\":{\"dtype\":\"I8\",\"shape\":[2,3],\"data_offsets\":[0,6]}}\n\1\2\3\377\376\375",
    "w{\"__metadata__\":{\"format\":\"pt\"},\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\""
    ":[0,4]}}   \nabcd",
    R"(w{"\u00e4\ud83d\ude00\"\\":{"shape":[0,7],"dtype":"F64","data_offsets":[0,0]}})",
    "w{\"b\":{\"dtype\":\"F4\",\"shape\":[2,3],\"data_offsets\":[1,4]},\"a\":{\"dtype\":\"BOOL\","
    "\"shape\":[1],\"data_offsets\":[0,1]}}\n\1abc",
    R"(w{"a":{"dtype":"U8","shape":[1e3],"data_offsets":[-1,1.5]},"a":null,"b":[[[[true]]]]})",
    "w{\"__metadata__\":{\"fewbit\":\"1 low_bits_first\",\"fewbit:w\":\"int4 per_row symmetric "
    "real_scale nearest_even 1 3\"},\"w.scales\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\""
    ":[0,4]},\"w\":{\"dtype\":\"U8\",\"shape\":[1,2],\"data_offsets\":[4,6]}}\n" +
        std::string("\0\0\200\77\x21\3", 6),
    "w{\"__metadata__\":{\"fewbit\":\"1 low_bits_first\",\"fewbit:w\":\"uint4 grouped:2 affine "
    "real_scale nearest_even 1 "
    "3\"},\"w.scales\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\""
    ":[0,8]},\"w\":{\"dtype\":\"U8\",\"shape\":[1,2],\"data_offsets\":[8,10]},\"w.zero_points\":{"
    "\"dtype\":\"U8\",\"shape\":[1,2],\"data_offsets\":[10,12]}}\n" +
        std::string("\0\0\200\77\0\0\200\77\x21\3\1\2", 12),
    "w{\"__metadata__\":{\"fewbit\":\"1 low_bits_first\",\"fewbit:w\":\"codebook:2 per_row "
    "symmetric real_scale nearest_even 1 3\"},\"w.scales\":{\"dtype\":\"F32\",\"shape\":[1],"
    "\"data_offsets\":[0,4]},\"w.levels\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[4,20]}"
    ",\"w\":{\"dtype\":\"U8\",\"shape\":[1,1],\"data_offsets\":[20,21]}}\n" +
        std::string("\0\0\200\77\0\0\0\277\0\0\0\0\0\0\0\77\0\0\200\77\x24", 21),
    "w{\"__metadata__\":{\"fewbit\":\"1 low_bits_first\",\"fewbit:w\":\"uint2 per_row "
    "real_minimum power_of_two nearest_even 1 3\"},\"w.scales\":{\"dtype\":\"F32\",\"shape\":[1],"
    "\"data_offsets\":[0,4]},\"w.minima\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}"
    ",\"w\":{\"dtype\":\"U8\",\"shape\":[1,1],\"data_offsets\":[8,9]}}\n" +
        std::string("\0\0\200\77\0\0\0\277\x24", 9),
    "w{\"__metadata__\":{\"fewbit\":\"1 low_bits_first\",\"fewbit:w\":\"ternary per_row symmetric "
    "two_scales nearest_even 1 3\"},\"w.scales\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\""
    ":[0,4]},\"w.negative_scales\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]},\"w\":{"
    "\"dtype\":\"U8\",\"shape\":[1,1],\"data_offsets\":[8,9]}}\n" +
        std::string("\0\0\200\77\0\0\200\77\x13", 9),
    R"(w{"__metadata__":{"fewbit":"1 low_bits_first","fewbit:w":"uint4 grouped:2 affine )"
    R"(real_scale nearest_even 9000000000 9000000000"}})",
    std::string("\2\0\0\0\0\0\0\0{}", 10),
};

/// The file that an input stands for.
inline std::string file_of_input(std::string_view input) {
  if (!input.starts_with(header_mark)) return std::string(input);
  input.remove_prefix(header_mark.size());
  const std::size_t end = std::min(input.find('\n'), input.size());
  return safetensors_of(input.substr(0, end), input.substr(std::min(end + 1, input.size())));
}

/// A few schemes, one of each kind of parts.
using fuzzed_schemes =
    scheme_list<int8_per_tensor, scheme<int4, per_row>, scheme<uint4, grouped<2>, affine>,
                scheme<uint2, per_row, real_minimum, power_of_two>, codebook_per_row<2>,
                binary_per_row, scheme<int3, sub_tensor<2>, symmetric_full>, int8_per_col,
                int16_per_row, two_scale_ternary>;

/// Whether every code is one of the scheme.
template <class Q>
bool has_legal_codes(const Q& q) {
  int lo = -1, hi = 1;
  if constexpr (requires { typename Q::scheme; }) {
    lo = Q::scheme::code_min;
    hi = Q::scheme::code_max;
  }
  for (index r = 0; r < q.rows(); ++r) {
    for (index c = 0; c < q.cols(); ++c) {
      if (q.code(r, c) < lo || q.code(r, c) > hi) return false;
    }
  }
  return true;
}

/// What does not hold for the tensors of an accepted file, or "".
inline std::string broken_rule_of(const safetensors_file& file, std::span<const std::byte> bytes) {
  std::size_t total = 0;
  for (index i = 0; i < file.size(); ++i) {
    const tensor_view t = file[i];
    const auto found = file.find(t.name);
    if (!found || found->bytes.data() != t.bytes.data()) return "a tensor is not found by name";
    if (t.byte > bytes.size() || t.bytes.size() > bytes.size() - t.byte ||
        t.bytes.data() != bytes.data() + t.byte) {
      return "a tensor is outside of the file";
    }
    index bits = bits_of(t.type);
    for (const index extent : t.shape) bits *= extent;
    if (static_cast<std::size_t>(bits) != 8 * t.bytes.size()) return "a tensor has another size";
    if (t.rows() * t.cols() * bits_of(t.type) != bits) return "a matrix has another size";
    total += t.bytes.size();
  }
  const std::size_t header = file.size() == 0 ? bytes.size() : file[0].byte;
  return header + total == bytes.size() ? "" : "tensors do not cover the data";
}

/// Reads hostile bytes: they are refused by a fewbit::error, or all rules hold. Returns the broken
/// rule, or "". The bytes are in memory of exact size, so that a sanitizer finds reads outside.
inline std::string read_hostile(std::string_view content, bool& is_accepted) {
  const auto memory = std::make_unique<std::byte[]>(content.size());
  std::memcpy(memory.get(), content.data(), content.size());
  const std::span<const std::byte> bytes(memory.get(), content.size());
  is_accepted = false;
  try {
    const safetensors_file file(bytes, "x");
    is_accepted = true;
    if (std::string rule = broken_rule_of(file, bytes); !rule.empty()) return rule;
    for (index i = 0; i < file.metadata_size(); ++i) {
      const auto [key, value] = file.metadata_at(i);
      if (file.metadata(key) != value) return "a string is not found by its key";
      if (!key.starts_with("fewbit:")) continue;
      const bool is_good = visit<fuzzed_schemes>(file, key.substr(7), [](const auto& q) {
        return q.rows() >= 1 && q.cols() >= 1 && has_legal_codes(q);
      });
      if (!is_good) return "a quantized matrix has a code that its scheme has not";
    }
  } catch (const error&) {
  }
  return "";
}

}  // namespace fewbit::tests
