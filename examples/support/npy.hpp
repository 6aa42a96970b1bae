#pragma once
/// Reads NumPy's .npy files, format version 1: uint8, int8, int16, int32 and float32 in C order.
///
/// The file is untrusted: every number in it is checked before use.

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "tensor.hpp"

namespace fewbit::examples {

namespace npy {

/// Reads the Python dictionary of the header: {'descr': '<f4', 'fortran_order': False,
/// 'shape': (3, 4), }.
class header_parser {
 public:
  header_parser(std::string_view text, const std::string& name) : text_(text), name_(name) {}

  [[nodiscard]] tensor parse() {
    tensor result;
    result.name = name_;
    bool has_type = false;
    bool has_order = false;
    bool has_shape = false;
    take('{');
    while (!skip('}')) {
      const std::string_view key = quoted();
      take(':');
      if (key == "descr" && !std::exchange(has_type, true)) {
        result.type = type(quoted());
      } else if (key == "fortran_order" && !std::exchange(has_order, true)) {
        take_word("False");
      } else if (key == "shape" && !std::exchange(has_shape, true)) {
        result.shape = tuple();
      } else {
        bad("key '" + std::string(key) + "'", "descr, fortran_order and shape, each once");
      }
      if (!skip(',')) {
        take('}');
        break;
      }
    }
    blanks();
    if (at_ != text_.size()) bad("more text after the dictionary", "spaces only");
    if (!has_type || !has_order || !has_shape) {
      bad("incomplete", "descr, fortran_order and shape");
    }
    return result;
  }

 private:
  [[noreturn]] void bad(const std::string& got, const std::string& want) const {
    detail::fail("read_npy", "the header of " + name_, got, want);
  }

  void blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }

  bool skip(char wanted) {
    blanks();
    if (at_ == text_.size() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }

  void take(char wanted) {
    if (!skip(wanted)) {
      bad("unreadable at byte " + std::to_string(at_), std::string("'") + wanted + "'");
    }
  }

  void take_word(std::string_view word) {
    blanks();
    if (text_.substr(at_, word.size()) != word) {
      bad("unreadable at byte " + std::to_string(at_), std::string(word) + " (C order)");
    }
    at_ += word.size();
  }

  std::string_view quoted() {
    take('\'');
    const std::size_t end = text_.find('\'', at_);
    if (end == std::string_view::npos) bad("an open string", "a closing quote");
    const std::string_view inside = text_.substr(at_, end - at_);
    at_ = end + 1;
    return inside;
  }

  [[nodiscard]] element type(std::string_view descr) const {
    if (descr == "|u1") return element::u8;
    if (descr == "|i1") return element::i8;
    if (descr == "<i2") return element::i16;
    if (descr == "<i4") return element::i32;
    if (descr == "<f4") return element::f32;
    bad("descr '" + std::string(descr) + "'", "|u1, |i1, <i2, <i4 or <f4");
  }

  index number() {
    blanks();
    constexpr index most = std::numeric_limits<index>::max();
    const std::size_t first = at_;
    index value = 0;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
      const index digit = text_[at_] - '0';
      if (value > (most - digit) / 10)
        bad("an extent of too many digits", "at most " + std::to_string(most));
      value = value * 10 + digit;
    }
    if (at_ == first) bad("unreadable at byte " + std::to_string(at_), "a number");
    return value;
  }

  std::vector<index> tuple() {
    std::vector<index> extents;
    take('(');
    while (!skip(')')) {
      extents.push_back(number());
      if (!skip(',')) {
        take(')');
        break;
      }
    }
    return extents;
  }

  std::string_view text_;
  const std::string& name_;
  std::size_t at_ = 0;
};

}  // namespace npy

/// Reads the bytes of a .npy file. Error sentences contain `name`.
inline tensor parse_npy(std::span<const std::byte> file, const std::string& name) {
  constexpr std::size_t fixed = 10;  // magic, version, and two bytes for the length of the header
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  if (file.size() < fixed || text.substr(0, 6) != "\x93NUMPY") {
    detail::fail("read_npy", name, "something else", "a .npy file");
  }
  const auto byte = [&](std::size_t i) { return std::to_integer<std::size_t>(file[i]); };
  if (byte(6) != 1 || byte(7) != 0) {
    detail::fail("read_npy", "the version of " + name, std::to_string(byte(6)), "1");
  }
  const std::size_t length = byte(8) | byte(9) << 8;
  if (length > file.size() - fixed) {
    detail::fail("read_npy", "the header length of " + name, length,
                 "at most " + std::to_string(file.size() - fixed));
  }
  tensor result = npy::header_parser(text.substr(fixed, length), name).parse();
  const std::span<const std::byte> data = file.subspan(fixed + length);
  const index wanted = bytes_of(result.type, result.shape);
  if (wanted < 0 || static_cast<std::size_t>(wanted) != data.size()) {
    detail::fail("read_npy", "the data of " + name, std::to_string(data.size()) + " bytes",
                 wanted < 0 ? "less than its shape asks for" : std::to_string(wanted) + " bytes");
  }
  result.bytes.assign(data.begin(), data.end());
  to_own_byte_order(result);
  return result;
}

/// Reads a .npy file.
/// @throws fewbit::error if it cannot be read or is malformed.
inline tensor read_npy(const std::string& path) {
  return parse_npy(read_file("read_npy", path), path);
}

}  // namespace fewbit::examples
