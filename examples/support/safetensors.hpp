#pragma once
/// Reads safetensors files: eight bytes with the header length, a JSON header, then the data.
///
/// The file is untrusted: types, shapes, offsets, gaps and overlaps are checked before any data is
/// read.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tensor.hpp"

namespace fewbit::examples {

struct safetensors {
  std::map<std::string, tensor> tensors;
  std::map<std::string, std::string> metadata;

  /// Returns the tensor of that name, or fails if the file has none.
  const tensor& operator[](const std::string& name) const {
    const auto found = tensors.find(name);
    if (found == tensors.end())
      detail::fail("safetensors", "'" + name + "'", "missing", "a tensor");
    return found->second;
  }
};

namespace safetensors_detail {

using json = nlohmann::json;

/// Position of a tensor in the data.
struct extent {
  std::uint64_t begin;
  std::uint64_t end;
};

[[noreturn]] inline void bad(const std::string& what, const std::string& got,
                             const std::string& want) {
  detail::fail("read_safetensors", what, got, want);
}

inline json member(const json& entry, const char* key, const std::string& name) {
  if (!entry.is_object() || !entry.contains(key))
    bad("'" + name + "'", "without " + std::string(key), "dtype, shape and data_offsets");
  return entry[key];
}

inline element type_of(const json& entry, const std::string& name) {
  const json dtype = member(entry, "dtype", name);
  const auto found = std::find_if(elements.begin(), elements.end(), [&](const element_info& e) {
    return dtype.is_string() && dtype.get_ref<const std::string&>() == e.name;
  });
  if (found == elements.end()) bad("the dtype of '" + name + "'", "unknown", "BOOL, U8 to F64");
  return found->type;
}

inline std::vector<index> shape_of(const json& entry, const std::string& name) {
  const json shape = member(entry, "shape", name);
  std::vector<index> extents;
  bool good = shape.is_array();
  for (std::size_t i = 0; good && i < shape.size(); ++i) {
    good = shape[i].is_number_unsigned() &&
           shape[i].get<std::uint64_t>() <=
               static_cast<std::uint64_t>(std::numeric_limits<index>::max());
    if (good) extents.push_back(shape[i].get<index>());
  }
  if (!good) bad("the shape of '" + name + "'", "malformed", "an array of extents");
  return extents;
}

inline extent extent_of(const json& entry, const std::string& name, std::uint64_t data_size) {
  const json offsets = member(entry, "data_offsets", name);
  if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
      !offsets[1].is_number_unsigned()) {
    bad("data_offsets of '" + name + "'", "malformed", "two numbers");
  }
  const extent result{offsets[0].get<std::uint64_t>(), offsets[1].get<std::uint64_t>()};
  if (result.begin > result.end || result.end > data_size) {
    bad("data_offsets of '" + name + "'",
        std::to_string(result.begin) + " to " + std::to_string(result.end),
        "inside the " + std::to_string(data_size) + " bytes of data");
  }
  return result;
}

inline json parse_header(std::span<const std::byte> file, std::uint64_t length,
                         const std::string& name) {
  const char* text = reinterpret_cast<const char*>(file.data()) + 8;
  json header = json::parse(text, text + length, nullptr, false);
  if (header.is_discarded() || !header.is_object())
    bad("the header of " + name, "malformed", "a JSON object");
  return header;
}

inline void read_metadata(const json& entry, safetensors& result, const std::string& name) {
  if (!entry.is_object()) bad("__metadata__ of " + name, "malformed", "an object");
  for (const auto& [key, value] : entry.items()) {
    if (!value.is_string()) bad("__metadata__ of " + name, "malformed", "strings only");
    result.metadata[key] = value.get<std::string>();
  }
}

/// Checks that the tensors cover every byte of the data exactly once, as the format requires.
inline void check_cover(std::vector<extent> extents, std::uint64_t data_size,
                        const std::string& name) {
  std::sort(extents.begin(), extents.end(), [](const extent& a, const extent& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  std::uint64_t covered = 0;
  for (const extent& e : extents) {
    if (e.begin != covered) {
      bad("the data of " + name,
          e.begin < covered ? "used twice at byte " + std::to_string(e.begin)
                            : "unused at byte " + std::to_string(covered),
          "covered once");
    }
    covered = e.end;
  }
  if (covered != data_size) {
    bad("the data of " + name, "unused at byte " + std::to_string(covered), "covered once");
  }
}

}  // namespace safetensors_detail

/// Reads the bytes of a safetensors file. Error sentences contain `name`.
inline safetensors parse_safetensors(std::span<const std::byte> file, const std::string& name) {
  using namespace safetensors_detail;
  if (file.size() < 8) bad(name, std::to_string(file.size()) + " bytes long", "at least 8");
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < 8; ++i) length |= std::to_integer<std::uint64_t>(file[i]) << (8 * i);
  if (length > file.size() - 8) {
    bad("the header length of " + name, std::to_string(length),
        "at most " + std::to_string(file.size() - 8));
  }
  const json header = parse_header(file, length, name);
  const std::span<const std::byte> data = file.subspan(8 + static_cast<std::size_t>(length));
  std::vector<extent> extents;
  safetensors result;
  for (const auto& [key, entry] : header.items()) {
    if (key == "__metadata__") {
      read_metadata(entry, result, name);
      continue;
    }
    tensor t{key, type_of(entry, key), shape_of(entry, key), {}};
    const extent where = extent_of(entry, key, data.size());
    const index wanted = bytes_of(t.type, t.shape);
    if (wanted < 0 || static_cast<std::uint64_t>(wanted) != where.end - where.begin) {
      bad("the data of '" + key + "'", std::to_string(where.end - where.begin) + " bytes",
          wanted < 0 ? "less than its shape asks for" : std::to_string(wanted) + " bytes");
    }
    extents.push_back(where);
    const auto bytes = data.subspan(static_cast<std::size_t>(where.begin),
                                    static_cast<std::size_t>(where.end - where.begin));
    t.bytes.assign(bytes.begin(), bytes.end());
    to_own_byte_order(t);
    result.tensors.emplace(key, std::move(t));
  }
  check_cover(std::move(extents), data.size(), name);
  return result;
}

/// Reads a safetensors file.
/// @throws fewbit::error if it cannot be read or is malformed.
inline safetensors read_safetensors(const std::string& path) {
  return parse_safetensors(read_file("read_safetensors", path), path);
}

}  // namespace fewbit::examples
