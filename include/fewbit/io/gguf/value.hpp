#pragma once
/// A value of the metadata of a GGUF file: a number, a bool, a text, or an array of these.
///
///     file.value("general.architecture").get<std::string_view>()
///     file.value("llama.context_length").integer()                // of any integer type
///     file.value("tokenizer.ggml.scores").array<float>()
///
/// The reference program refuses arrays of arrays, although the document of the format allows them.
/// So does this reader. Read next: table.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/index.hpp"
#include "fewbit/io/gguf/cursor.hpp"
#include "fewbit/io/gguf/types.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// Refers to the file that returned it; the file must outlive it.
struct gguf_value {
  std::string_view key;
  /// The type of each element, if it is an array.
  gguf_value_type type = gguf_value_type::u8;
  bool is_array = false;
  index count = 1;                   ///< elements of an array, 1 without
  std::span<const std::byte> bytes;  ///< as in the file; texts with their lengths
  std::string_view file;             ///< its name, for errors
  std::uint64_t byte = 0;            ///< position of `bytes` in the file

  /// Whether it is one value of type T.
  template <GgufScalar T>
  [[nodiscard]] bool is() const noexcept {
    return !is_array && type == gguf_value_type_of<T>;
  }

  /// The value.
  ///
  /// @throws fewbit::error unless is<T>()
  template <GgufScalar T>
  [[nodiscard]] T get() const {
    if (!is<T>()) fail("get", name_of(gguf_value_type_of<T>));
    detail::gguf_cursor in("gguf_value::get", file, bytes);
    return next<T>(in);
  }

  /// The value of an integer of any type.
  ///
  /// @throws fewbit::error if it is no integer, or above 2^63 - 1
  [[nodiscard]] std::int64_t integer() const {
    detail::gguf_cursor in("gguf_value::integer", file, bytes);
    if (is<std::uint8_t>()) return next<std::uint8_t>(in);
    if (is<std::int8_t>()) return next<std::int8_t>(in);
    if (is<std::uint16_t>()) return next<std::uint16_t>(in);
    if (is<std::int16_t>()) return next<std::int16_t>(in);
    if (is<std::uint32_t>()) return next<std::uint32_t>(in);
    if (is<std::int32_t>()) return next<std::int32_t>(in);
    if (is<std::int64_t>()) return next<std::int64_t>(in);
    if (!is<std::uint64_t>()) fail("integer", "an integer");
    const auto value = next<std::uint64_t>(in);
    if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      detail::fail_in_file("gguf_value::integer", subject("value"), place(), value,
                           "at most 2^63 - 1");
    }
    return static_cast<std::int64_t>(value);
  }

  /// The elements of an array, in memory of their own; texts refer to the file.
  ///
  /// @throws fewbit::error unless it is an array of T
  template <GgufScalar T>
  [[nodiscard]] std::vector<T> array() const {
    if (!is_array || type != gguf_value_type_of<T>) {
      fail("array", "an array of " + std::string(name_of(gguf_value_type_of<T>)));
    }
    detail::gguf_cursor in("gguf_value::array", file, bytes);
    std::vector<T> elements;
    elements.reserve(static_cast<std::size_t>(count));
    for (index i = 0; i < count; ++i) elements.push_back(next<T>(in));
    return elements;
  }

 private:
  template <class T>
  static T next(detail::gguf_cursor& in) {
    if constexpr (std::is_same_v<T, std::string_view>) {
      return in.read_text("text");
    } else if constexpr (std::is_same_v<T, bool>) {
      return in.read<std::uint8_t>("bool") != 0;
    } else {
      return in.read<T>("value");
    }
  }

  [[nodiscard]] std::string subject(const char* what) const {
    return std::string(what) + " of key " + detail::name_text(key);
  }
  [[nodiscard]] detail::file_place place() const {
    return {file, static_cast<std::int64_t>(byte), {}};
  }
  [[noreturn]] void fail(const char* call, std::string_view want) const {
    detail::fail_in_file((std::string("gguf_value::") + call).c_str(), subject("type"), place(),
                         (is_array ? "an array of " : "") + std::string(name_of(type)),
                         std::string(want));
  }
};

namespace detail {

[[nodiscard]] inline gguf_value_type read_gguf_value_type(gguf_cursor& in, std::string_view what) {
  const auto number = in.read<std::uint32_t>(what);
  if (number >= gguf_values.size()) in.fail(what, std::to_string(number), "0 to 12");
  return static_cast<gguf_value_type>(number);
}

/// Skips the elements of an array, or one value, and checks them.
inline void skip_gguf_values(gguf_cursor& in, gguf_value_type type, std::uint64_t count) {
  const auto size = static_cast<std::uint64_t>(bytes_of_value(type));
  if (type == gguf_value_type::text) {
    for (std::uint64_t i = 0; i < count; ++i) (void)in.read_text("length of a text");
    return;
  }
  const auto bytes = in.read_bytes(count * size, "value");
  if (type != gguf_value_type::boolean) return;
  for (const std::byte byte : bytes) {
    if (byte > std::byte{1}) in.fail("bool", std::to_string(std::to_integer<int>(byte)), "0 or 1");
  }
}

/// Reads a key and its value, and checks both. Errors after it still name the key.
///
/// @param whole  the bytes of the whole file
[[nodiscard]] inline gguf_value read_gguf_value(gguf_cursor& in, std::span<const std::byte> whole) {
  gguf_value value;
  in.name({}, {});
  value.key = in.read_text("length of a key");
  if (value.key.empty()) in.fail("key", "empty", "at least one character");
  in.name("key", value.key);
  value.file = in.file();
  value.type = read_gguf_value_type(in, "type");
  std::uint64_t count = 1;
  if (value.type == gguf_value_type::array) {
    value.is_array = true;
    value.type = read_gguf_value_type(in, "type of elements");
    if (value.type == gguf_value_type::array) {
      in.fail("type of elements", "array", "a number, a bool or a text");
    }
    count = in.read<std::uint64_t>("number of elements");
    const auto least = static_cast<std::uint64_t>(
        value.type == gguf_value_type::text ? 8 : bytes_of_value(value.type));
    const std::uint64_t most = std::min(longest_gguf_item, in.remaining() / least);
    if (count > most) {
      in.fail("number of elements", std::to_string(count),
              "at most " + std::to_string(most) +
                  (most == longest_gguf_item ? "" : ", the rest of the file"));
    }
  }
  value.count = static_cast<index>(count);
  value.byte = in.position();
  skip_gguf_values(in, value.type, count);
  value.bytes = whole.subspan(static_cast<std::size_t>(value.byte),
                              static_cast<std::size_t>(in.position() - value.byte));
  return value;
}

}  // namespace detail

}}  // namespace fewbit

#include "fewbit/end.hpp"
