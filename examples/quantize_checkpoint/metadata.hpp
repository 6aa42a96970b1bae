#pragma once
/// Copies the metadata of a file to one of the same or of the other format.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fewbit/io/gguf.hpp"
#include "fewbit/io/gguf_writer.hpp"
#include "fewbit/io/safetensors.hpp"
#include "fewbit/io/safetensors_writer.hpp"
#include "json_text.hpp"
#include "source.hpp"

namespace fewbit::examples::checkpoint {

namespace metadata_detail {

template <class T>
std::string text_of(const T& value) {
  return detail::text(value);
}
inline std::string text_of(bool value) { return value ? "true" : "false"; }
inline std::string text_of(std::string_view value) { return std::string(value); }

template <class T>
std::string text_as(const gguf_value& value) {
  if (!value.is_array) return text_of(value.get<T>());
  std::string text = "[";
  const std::vector<T> elements = value.array<T>();
  for (std::size_t i = 0; i < elements.size(); ++i) {
    const T element = elements[i];
    if (i > 0) text += ", ";
    if constexpr (std::is_same_v<T, std::string_view>) {
      text += json_text(element);
    } else {
      text += text_of(element);
    }
  }
  return text + "]";
}

}  // namespace metadata_detail

/// A value of GGUF as text: a text itself, a number in digits, an array as in JSON.
[[nodiscard]] inline std::string text_of_value(const gguf_value& value) {
  using enum gguf_value_type;
  using metadata_detail::text_as;
  switch (value.type) {
    case u8:
      return text_as<std::uint8_t>(value);
    case i8:
      return text_as<std::int8_t>(value);
    case u16:
      return text_as<std::uint16_t>(value);
    case i16:
      return text_as<std::int16_t>(value);
    case u32:
      return text_as<std::uint32_t>(value);
    case i32:
      return text_as<std::int32_t>(value);
    case f32:
      return text_as<float>(value);
    case boolean:
      return text_as<bool>(value);
    case text:
      return text_as<std::string_view>(value);
    case u64:
      return text_as<std::uint64_t>(value);
    case i64:
      return text_as<std::int64_t>(value);
    case f64:
      return text_as<double>(value);
    case array:
      break;  // no type of a value
  }
  return {};
}

/// Whether a safetensors file can hold a value: texts must be UTF-8.
[[nodiscard]] inline bool fits_safetensors(const gguf_value& value) {
  return detail::is_utf8(value.key) && detail::is_utf8(text_of_value(value));
}

inline void copy_metadata(const source& in, safetensors_writer& out) {
  if (const safetensors_file* file = in.safetensors()) {
    for (index i = 0; i < file->metadata_size(); ++i) {
      const auto [key, value] = file->metadata_at(i);
      out.set_metadata(std::string(key), std::string(value));
    }
    return;
  }
  for (index i = 0; i < in.gguf()->values(); ++i) {
    const gguf_value value = in.gguf()->value(i);
    if (fits_safetensors(value)) out.set_metadata(std::string(value.key), text_of_value(value));
  }
}

inline void copy_metadata(const source& in, gguf_writer& out) {
  if (const gguf_file* file = in.gguf()) {
    for (index i = 0; i < file->values(); ++i) out.set(file->value(i));
    return;
  }
  const safetensors_file& file = *in.safetensors();
  for (index i = 0; i < file.metadata_size(); ++i) {
    const auto [key, value] = file.metadata_at(i);
    out.set(std::string(key), value);
  }
}

/// Keys of values that the other format cannot hold.
[[nodiscard]] inline std::vector<std::string> lost_metadata(const source& in, file_format to) {
  std::vector<std::string> lost;
  if (in.gguf() == nullptr || to != file_format::safetensors) return lost;
  for (index i = 0; i < in.gguf()->values(); ++i) {
    const gguf_value value = in.gguf()->value(i);
    if (!fits_safetensors(value)) lost.emplace_back(value.key);
  }
  return lost;
}

}  // namespace fewbit::examples::checkpoint
