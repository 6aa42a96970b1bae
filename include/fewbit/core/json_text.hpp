#pragma once
/// Text for JSON: whether it is UTF-8, and strings with the escapes that JSON requires.

#include "fewbit/begin.hpp"

#include <cstddef>
#include <string>
#include <string_view>

#include "fewbit/config.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// The number of bytes of the UTF-8 character that starts the text, 0 if it is malformed:
/// truncated, longer than needed, a surrogate, or above U+10FFFF.
[[nodiscard]] constexpr std::size_t utf8_length(std::string_view text) noexcept {
  const auto byte = [&](std::size_t i) {
    return i < text.size() ? static_cast<unsigned>(static_cast<unsigned char>(text[i])) : 0U;
  };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t length = first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  if (length == 0 || first > 0xF4) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if (byte(i) >> 6 != 2) return 0;
  }
  const unsigned second = byte(1);
  if (first == 0xE0 && second < 0xA0) return 0;
  if (first == 0xED && second > 0x9F) return 0;
  if (first == 0xF0 && second < 0x90) return 0;
  if (first == 0xF4 && second > 0x8F) return 0;
  return length;
}

[[nodiscard]] constexpr bool is_utf8(std::string_view text) noexcept {
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

/// Appends a JSON string. Control characters, quotes and backslashes are escaped, all else is not.
inline void append_json_string(std::string& to, std::string_view text) {
  constexpr std::string_view plain = "\"\\\b\f\n\r\t", escaped = "\"\\bfnrt";
  constexpr const char* digits = "0123456789abcdef";
  to += '"';
  for (const char letter : text) {
    const auto byte = static_cast<unsigned char>(letter);
    if (const auto at = plain.find(letter); at != std::string_view::npos) {
      to += '\\';
      to += escaped[at];
    } else if (byte < 0x20) {
      to += "\\u00";
      to += digits[byte / 16];
      to += digits[byte % 16];
    } else {
      to += letter;
    }
  }
  to += '"';
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
