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

/// The keywords of C++20, with a space on both sides of each.
inline constexpr std::string_view keywords =
    " alignas alignof and and_eq asm auto bitand bitor bool break case catch char char8_t char16_t "
    "char32_t class compl concept const consteval constexpr constinit const_cast continue co_await "
    "co_return co_yield decltype default delete do double dynamic_cast else enum explicit export "
    "extern false float for friend goto if inline int long mutable namespace new noexcept not "
    "not_eq nullptr operator or or_eq private protected public register reinterpret_cast requires "
    "return short signed sizeof static static_assert static_cast struct switch template this "
    "thread_local throw true try typedef typeid typename union unsigned using virtual void "
    "volatile wchar_t while xor xor_eq std ";

/// A name as an identifier: "fc.1/bias" becomes "fc_1_bias", "1" becomes "section_1", "new" becomes
/// "section_new".
[[nodiscard]] inline std::string identifier_of(std::string_view name) {
  std::string result;
  for (const char c : name) result += is_identifier_letter(c) ? c : '_';
  const char first = result.empty() ? '_' : result.front();
  const bool is_none = first == '_' || (first >= '0' && first <= '9') ||
                       keywords.find(" " + result + " ") != std::string_view::npos;
  return is_none ? "section_" + result : result;
}

/// Appends numbers, some in a line. place(byte) names a byte of them in an error.
template <class T, class Place>
void append_numbers(std::string& to, std::span<const std::byte> bytes, const Place& place) {
  const std::size_t count = bytes.size() / sizeof(T);
  for (std::size_t i = 0; i < count; ++i) {
    T value;
    std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
    to += i % 16 == 0 ? "\n    " : " ";
    if constexpr (std::is_same_v<T, float>) {
      if (!is_finite(value)) fail("emit_header", place(i * sizeof(T)), value, "a finite number");
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

/// Appends an array of the numbers in `bytes`; nothing if there are none.
template <class Place>
void append_array(std::string& to, const std::string& identifier, section_type type,
                  std::span<const std::byte> bytes, const Place& place) {
  std::string numbers;
  switch (type) {
    case section_type::record:
    case section_type::int64:
      append_numbers<std::int64_t>(numbers, bytes, place);
      break;
    case section_type::int8:
      append_numbers<std::int8_t>(numbers, bytes, place);
      break;
    case section_type::int16:
      append_numbers<std::int16_t>(numbers, bytes, place);
      break;
    case section_type::int32:
      append_numbers<std::int32_t>(numbers, bytes, place);
      break;
    case section_type::float32:
      append_numbers<float>(numbers, bytes, place);
      break;
    default:
      append_numbers<std::uint8_t>(numbers, bytes, place);
  }
  if (numbers.empty()) return;  // an array has one element or more
  numbers.pop_back();
  to += std::string("alignas(64) inline constexpr ") + element_word(type) + " " + identifier +
        "[] = {" + numbers + "};\n\n";
}

/// The lines before the arrays, and those behind them.
[[nodiscard]] inline std::string begin_of_header(std::string_view comment,
                                                 const std::string& space) {
  expect(space == identifier_of(space), "emit_header", "space", space, "an identifier");
  return "// " + std::string(comment) + "\n\n#pragma once\n\n#include <cstdint>\n\nnamespace " +
         space + " {\n\n";
}
[[nodiscard]] inline std::string end_of_header(const std::string& space) {
  return "}  // namespace " + space + "\n";
}

}  // namespace detail

/// The text of the header: all sections of `file` in namespace `space`. Sections without elements
/// are left out.
///
/// @throws fewbit::error if `space` is no identifier, if two sections would have one name, or if a
///         float is not finite
[[nodiscard]] inline std::string header_text(const packed_file& file, const std::string& space) {
  std::string text = detail::begin_of_header(
      "The sections of a packed file, written by fewbit for " + std::string(file.arch()) + ".",
      space);
  std::set<std::string> names;
  for (const packed_section& section : file) {
    const std::string identifier = detail::identifier_of(section.name);
    if (!names.insert(identifier).second) {
      detail::fail("emit_header", file.place(section.name, 0), identifier,
                   "a name that no other section has");
    }
    const bool is_record = section.type == section_type::record;
    detail::append_array(text, identifier, section.type,
                         is_record ? detail::numbers_of_record(file, section) : section.bytes,
                         [&](std::size_t byte) { return file.place(section.name, byte); });
  }
  return text + detail::end_of_header(space);
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
