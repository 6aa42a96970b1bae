#pragma once
/// Sentences of errors in files: they name the file, the tensor and the byte.
///
///     fewbit: safetensors_file: shape of tensor 'w' at byte 40 of 'model.safetensors' is [2, 3],
///     expected ...
///
/// Names come from files that may be hostile. In a sentence they are cut to 80 bytes, and control
/// characters are written as \x00. Read next: byte_reader.hpp.

#include "fewbit/begin.hpp"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>

#include "fewbit/config.hpp"
#include "fewbit/core/error.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// A name in quotes, without control characters; at most `most` bytes of it, whole characters.
[[nodiscard]] inline std::string name_text(std::string_view name, std::size_t most = 80) {
  constexpr const char* digits = "0123456789abcdef";
  while (most > 0 && most < name.size() && (name[most] & 0xC0) == 0x80) --most;
  std::string result = "'";
  for (const char letter : name.substr(0, most)) {
    const auto byte = static_cast<unsigned char>(letter);
    if (byte < 0x20 || byte == 0x7F) {
      result += "\\x";
      result += digits[byte / 16];
      result += digits[byte % 16];
    } else {
      result += letter;
    }
  }
  if (name.size() > most) result += "...";
  return result + '\'';
}

/// The path of a file in quotes, whole.
[[nodiscard]] inline std::string path_text(std::string_view path) {
  return name_text(path, std::string_view::npos);
}

/// Where something is in a file. An empty tensor name is left out, and so is a negative byte.
struct file_place {
  std::string_view file;
  std::int64_t byte = -1;
  std::string_view tensor = {};
};

/// "shape of tensor 'w' at byte 40 of 'model.safetensors'".
[[nodiscard]] inline std::string in_file(std::string_view what, const file_place& place) {
  std::string result(what);
  if (!place.tensor.empty()) result += " of tensor " + name_text(place.tensor);
  if (place.byte >= 0) result += " at byte " + std::to_string(place.byte);
  result += place.byte < 0 && !place.tensor.empty() ? " in " : " of ";
  return result + path_text(place.file);
}

/// Fails with "fewbit: <function>: <what> of tensor ... at byte ... of ... is <got>, expected
/// <want>".
template <class Got, class Want>
[[noreturn]] void fail_in_file(const char* function, std::string_view what, const file_place& place,
                               const Got& got, const Want& want) {
  fail(function, in_file(what, place), got, want);
}

/// Fails with "fewbit: <function>: '<path>' is not <could> (<text of errno>), expected <want>".
[[noreturn]] inline void fail_with_errno(const char* function, std::string_view path,
                                         const char* could, int number, const char* want) {
  const std::string reason = std::error_code(number, std::generic_category()).message();
  fail(function, path_text(path), std::string("not ") + could + " (" + reason + ")", want);
}

/// Fails on a big-endian processor: files are little-endian, and their numbers are read in place.
inline void expect_little_endian_files(const char* function) {
  if constexpr (std::endian::native != std::endian::little) {
    fail(function, "byte order of the processor", "big-endian", "little-endian, as in the file");
  }
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
