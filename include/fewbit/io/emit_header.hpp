#pragma once
/// A packed file as a C++ header, for programs without files.
///
///     packed_writer out("model.fewbit");                     // on a computer
///     layer.save(out, "fc");
///     out.close();
///     emit_header(packed_file("model.fewbit"), "model.hpp", "model");
///
///     #include "model.hpp"                                   // on a microcontroller
///     constexpr fewbit::q7_linear fc(64, {model::fc_weights, model::fc_bias, {5, 7}});
///     const auto w = weights_type::view(std::as_bytes(std::span(model::conv_weights)));
///
/// Each section becomes a constant array aligned to 64 bytes, whose name is that of the section
/// with `_` for each character that no identifier has. Packed weights are bytes for `view`
/// (gemm/weights_image.hpp), tables are numbers of their type, the record of a layer is its numbers
/// in the order of visit_parts. Weights must be packed for the instruction set of the program, for
/// example linear<int8_per_row, dynamic_int8, arch::scalar>. Read before: io/packed_file.hpp.

#include "fewbit/begin.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "fewbit/core/archive.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/io/atomic_file.hpp"
#include "fewbit/io/file_error.hpp"
#include "fewbit/io/packed_file.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

[[nodiscard]] constexpr bool is_identifier_letter(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/// A name as an identifier: "fc.1/bias" becomes "fc_1_bias", "1" becomes "section_1".
[[nodiscard]] inline std::string identifier_of(std::string_view name) {
  std::string result;
  for (const char c : name) result += is_identifier_letter(c) ? c : '_';
  const char first = result.empty() ? '_' : result.front();
  return first == '_' || (first >= '0' && first <= '9') ? "section_" + result : result;
}

/// Appends the numbers of a section, some in a line.
template <class T>
void append_numbers(std::string& to, const packed_file& file, const packed_section& section,
                    std::span<const std::byte> bytes) {
  const std::size_t count = bytes.size() / sizeof(T);
  for (std::size_t i = 0; i < count; ++i) {
    T value;
    std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
    to += i % 16 == 0 ? "\n    " : " ";
    if constexpr (std::is_same_v<T, float>) {
      if (!is_finite(value))
        fail("emit_header", file.place(section.name, i * sizeof(T)), value, "a finite number");
      char text[40];
      std::snprintf(text, sizeof(text), "%aF", static_cast<double>(value));
      to += text;
    } else if constexpr (std::is_same_v<T, std::int64_t>) {
      // The least number has no literal.
      const bool is_least = value == std::numeric_limits<T>::min();
      to += is_least ? "-9223372036854775807 - 1" : std::to_string(value);
    } else {
      to += std::to_string(value);
    }
    to += ',';
  }
}

/// The C++ type of the elements of a section.
[[nodiscard]] constexpr const char* element_word(section_type type) noexcept {
  constexpr const char* words[section_types] = {"std::int64_t", "unsigned char", "std::int8_t",
                                                "std::uint8_t", "std::int16_t",  "std::int32_t",
                                                "std::int64_t", "float"};
  return words[static_cast<std::size_t>(type)];
}

/// The numbers of a record; fails if the section is none.
[[nodiscard]] inline std::span<const std::byte> numbers_of_record(const packed_file& file,
                                                                  const packed_section& section) {
  std::int64_t count = -1;
  if (section.bytes.size() >= 16) std::memcpy(&count, section.bytes.data(), sizeof(count));
  const auto room = static_cast<std::int64_t>(section.bytes.size()) / 8 - 2;
  if (count < 0 || count > room) {
    fail("emit_header", file.place(section.name, 0), count,
         "a number of numbers that are in the record");
  }
  return section.bytes.subspan(16, static_cast<std::size_t>(count) * 8);
}

inline void append_section(std::string& to, const packed_file& file, const packed_section& section,
                           const std::string& identifier) {
  std::string numbers;
  switch (section.type) {
    case section_type::record:
      append_numbers<std::int64_t>(numbers, file, section, numbers_of_record(file, section));
      break;
    case section_type::int8:
      append_numbers<std::int8_t>(numbers, file, section, section.bytes);
      break;
    case section_type::int16:
      append_numbers<std::int16_t>(numbers, file, section, section.bytes);
      break;
    case section_type::int32:
      append_numbers<std::int32_t>(numbers, file, section, section.bytes);
      break;
    case section_type::int64:
      append_numbers<std::int64_t>(numbers, file, section, section.bytes);
      break;
    case section_type::float32:
      append_numbers<float>(numbers, file, section, section.bytes);
      break;
    default:
      append_numbers<std::uint8_t>(numbers, file, section, section.bytes);
  }
  if (numbers.empty()) return;  // an array has one element or more
  numbers.pop_back();
  to += std::string("alignas(64) inline constexpr ") + element_word(section.type) + " " +
        identifier + "[] = {" + numbers + "};\n\n";
}

}  // namespace detail

/// The text of the header: all sections of `file` in namespace `space`. Sections without elements
/// are left out.
///
/// @throws fewbit::error if `space` is no identifier, if two sections would have one name, or if a
///         float is not finite
[[nodiscard]] inline std::string header_text(const packed_file& file, const std::string& space) {
  detail::expect(space == detail::identifier_of(space), "emit_header", "space", space,
                 "an identifier");
  std::string text = "// The sections of a packed file, written by fewbit for " +
                     std::string(file.arch()) +
                     ".\n\n#pragma once\n\n#include <cstdint>\n\nnamespace " + space + " {\n\n";
  std::set<std::string> names;
  for (const packed_section& section : file) {
    const std::string identifier = detail::identifier_of(section.name);
    if (!names.insert(identifier).second) {
      detail::fail("emit_header", file.place(section.name, 0), identifier,
                   "a name that no other section has");
    }
    detail::append_section(text, file, section, identifier);
  }
  return text + "}  // namespace " + space + "\n";
}

/// Writes the header to a file, which it replaces atomically.
///
/// @throws fewbit::error as header_text() does, or if writing fails
inline void emit_header(const packed_file& file, const std::string& path,
                        const std::string& space = "model") {
  const std::string text = header_text(file, space);
  atomic_file out(path, read_back::no, "emit_header");
  out.write(0, std::as_bytes(std::span(text)));
  out.commit();
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
