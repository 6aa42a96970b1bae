#pragma once
/// A tensor of a file: element type, shape, and elements in C order.
///
/// npy.hpp and safetensors.hpp read files into it.

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <vector>

#include "fewbit/core/error.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit::examples {

/// Element types, named as in safetensors. f16 and bf16 are returned as their 16 bits.
enum class element { boolean, u8, i8, u16, i16, f16, bf16, u32, i32, f32, u64, i64, f64 };

struct element_info {
  element type;
  std::string_view name;
  index bytes;
};

inline constexpr std::array<element_info, 13> elements = {{{element::boolean, "BOOL", 1},
                                                           {element::u8, "U8", 1},
                                                           {element::i8, "I8", 1},
                                                           {element::u16, "U16", 2},
                                                           {element::i16, "I16", 2},
                                                           {element::f16, "F16", 2},
                                                           {element::bf16, "BF16", 2},
                                                           {element::u32, "U32", 4},
                                                           {element::i32, "I32", 4},
                                                           {element::f32, "F32", 4},
                                                           {element::u64, "U64", 8},
                                                           {element::i64, "I64", 8},
                                                           {element::f64, "F64", 8}}};

inline const element_info& info(element type) { return elements[static_cast<std::size_t>(type)]; }

/// Whether elements of this type can be read as T.
template <class T>
constexpr bool holds(element type) {
  if constexpr (std::is_same_v<T, float>) return type == element::f32;
  if constexpr (std::is_same_v<T, double>) return type == element::f64;
  if constexpr (std::is_same_v<T, std::int8_t>) return type == element::i8;
  if constexpr (std::is_same_v<T, std::int16_t>) return type == element::i16;
  if constexpr (std::is_same_v<T, std::int32_t>) return type == element::i32;
  if constexpr (std::is_same_v<T, std::int64_t>) return type == element::i64;
  if constexpr (std::is_same_v<T, std::uint8_t>) {
    return type == element::u8 || type == element::boolean;
  }
  if constexpr (std::is_same_v<T, std::uint16_t>) {
    return type == element::u16 || type == element::f16 || type == element::bf16;
  }
  if constexpr (std::is_same_v<T, std::uint32_t>) return type == element::u32;
  if constexpr (std::is_same_v<T, std::uint64_t>) return type == element::u64;
  return false;
}

struct tensor {
  std::string name;
  element type = element::f32;
  std::vector<index> shape;
  std::vector<std::byte> bytes;  // in the byte order of this machine

  [[nodiscard]] index size() const { return static_cast<index>(bytes.size()) / info(type).bytes; }

  /// All elements in C order. Fails if the elements have another type.
  template <class T>
  [[nodiscard]] std::span<const T> as() const {
    if (!holds<T>(type)) {
      detail::fail("tensor", "the type of '" + name + "'", std::string(info(type).name),
                   "the type asked for");
    }
    return {reinterpret_cast<const T*>(bytes.data()), static_cast<std::size_t>(size())};
  }

  /// A view of the elements as shape[0] rows. All other dimensions together form the columns.
  template <class T>
  [[nodiscard]] Eigen::Map<const row_matrix<T>> matrix() const {
    const std::span<const T> all = as<T>();
    const index rows = shape.empty() ? 1 : shape[0];
    return {all.data(), rows, rows == 0 ? 0 : size() / rows};
  }
};

/// Number of bytes of a tensor of this shape, or -1 on overflow.
inline index bytes_of(element type, const std::vector<index>& shape) {
  index bytes = info(type).bytes;
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return 0;
  for (const index extent : shape) {
    if (extent > std::numeric_limits<index>::max() / bytes) return -1;
    bytes *= extent;
  }
  return bytes;
}

/// Changes elements from the byte order of files (low byte first) to that of this machine.
inline void to_own_byte_order(tensor& t) {
  if constexpr (std::endian::native != std::endian::little) {
    const index width = info(t.type).bytes;
    for (auto at = t.bytes.begin(); at != t.bytes.end(); at += width) std::reverse(at, at + width);
  }
}

inline std::vector<std::byte> read_file(const char* function, const std::string& path) {
  std::error_code failure;
  const std::uintmax_t size = std::filesystem::file_size(path, failure);
  std::ifstream file(path, std::ios::binary);
  if (failure || !file) detail::fail(function, path, "not readable", "a file");
  std::vector<std::byte> bytes(static_cast<std::size_t>(size));
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size));
  if (static_cast<std::uintmax_t>(file.gcount()) != size) {
    detail::fail(function, path, "cut short", std::to_string(size) + " bytes");
  }
  return bytes;
}

}  // namespace fewbit::examples
