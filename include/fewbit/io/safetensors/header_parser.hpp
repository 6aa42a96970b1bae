#pragma once
/// Parses the JSON header of a safetensors file event by event. This one and report_file.hpp
/// are the headers that need nlohmann-json.
///
/// Each event must be one that the format allows at that place, so no nesting is deeper than three.
/// Read next: table.hpp, which checks what one entry alone cannot show.

#include "fewbit/begin.hpp"

#if __has_include(<nlohmann/json.hpp>)
#include <nlohmann/json.hpp>
#else
#error "fewbit/io/safetensors.hpp needs nlohmann/json.hpp (nlohmann-json 3, nlohmann-json3-dev)"
#endif

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/index.hpp"
#include "fewbit/io/dtype.hpp"
#include "fewbit/io/file_error.hpp"
#include "fewbit/io/safetensors/header_text.hpp"
#include "fewbit/io/tensor_view.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// A part of safetensors_table::texts.
struct text_range {
  std::uint32_t at = 0;
  std::uint32_t size = 0;
};

/// A tensor of the table.
struct safetensors_entry {
  std::uint64_t begin = 0;  // in the data
  std::uint64_t end = 0;
  text_range name;
  std::uint32_t first_extent = 0;  // in safetensors_table::extents
  std::uint32_t header_byte = 0;   // of the file, where the entry ends
  std::uint8_t rank = 0;
  dtype type = dtype::u8;
};

struct safetensors_string {
  text_range key;
  text_range value;
};

/// What the header says, after all checks. Views of it stay valid when it is moved.
struct safetensors_table {
  std::vector<char> texts;
  text_range file;  // the name of the file
  std::vector<index> extents;
  std::vector<safetensors_entry> entries;    // in the order of their data
  std::vector<std::uint32_t> by_name;        // positions in entries
  std::vector<safetensors_string> metadata;  // in the order of their keys
  std::uint64_t data_at = 0;                 // position of the data in the file

  [[nodiscard]] std::string_view text(text_range range) const noexcept {
    return {texts.data() + range.at, range.size};
  }
  [[nodiscard]] std::span<const index> shape(const safetensors_entry& entry) const noexcept {
    return {extents.data() + entry.first_extent, entry.rank};
  }
};

/// Iterates over the header and tells how far the parser has read.
class header_iterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  header_iterator(const char* at, const char** read) noexcept : at_(at), read_(read) {}
  reference operator*() const noexcept { return *at_; }
  header_iterator& operator++() noexcept {
    *read_ = ++at_;
    return *this;
  }
  header_iterator operator++(int) noexcept {
    header_iterator old = *this;
    ++*this;
    return old;
  }
  friend bool operator==(const header_iterator& a, const header_iterator& b) noexcept {
    return a.at_ == b.at_;
  }
  friend bool operator!=(const header_iterator& a, const header_iterator& b) noexcept {
    return a.at_ != b.at_;
  }

 private:
  const char* at_;
  const char** read_;
};

/// Fills a safetensors_table from the events of nlohmann::json::sax_parse, which calls the public
/// functions by their names. Each event that the format does not allow fails.
class header_parser {
 public:
  header_parser(const char* function, std::string_view file, std::string_view header,
                std::uint64_t data_size, safetensors_table& table) noexcept
      : function_(function),
        file_(file),
        first_(header.data()),
        last_(header.data() + header.size()),
        read_(header.data()),
        data_size_(data_size),
        table_(table) {}

  void parse() {
    if (first_ == last_ || *first_ != '{') {
      fail("start of the header", first_ == last_ ? "its end" : name_text({first_, 1}), "'{'");
    }
    if (const char* const zero = std::find(first_, last_, '\0'); zero != last_) {
      read_ = zero;
      fail("header", "a NUL byte", "JSON, which programs must pad with spaces and not with NUL");
    }
    nlohmann::json::sax_parse(header_iterator(first_, &read_), header_iterator(last_, &read_),
                              this);
  }

  bool start_object(std::size_t /*count*/) {
    switch (state_) {
      case state::before:
        return go(state::names);
      case state::metadata:
        return go(state::metadata_keys);
      case state::tensor:
        return go(state::tensor_keys);
      default:
        unexpected("an object");
    }
  }

  bool end_object() {
    switch (state_) {
      case state::tensor_keys:
        finish_tensor();
        return go(state::names);
      case state::metadata_keys:
        return go(state::names);
      default:
        return go(state::after);
    }
  }

  bool start_array(std::size_t /*count*/) {
    if (state_ == state::shape) {
      tensor_.first_extent = static_cast<std::uint32_t>(table_.extents.size());
      return go(state::extents);
    }
    if (state_ == state::offsets) return go(state::begin);
    unexpected("an array");
  }

  bool end_array() {
    if (state_ == state::extents || state_ == state::end_of_offsets) return go(state::tensor_keys);
    unexpected("the end of an array");
  }

  bool key(std::string& name) {
    switch (state_) {
      case state::names:
        return name == metadata_key ? start_metadata() : start_tensor(name);
      case state::metadata_keys:
        string_.key = keep(name);
        return go(state::metadata_value);
      default:
        return start_member(name);
    }
  }

  bool string(std::string& value) {
    if (state_ == state::metadata_value) {
      string_.value = keep(value);
      table_.metadata.push_back(string_);
      return go(state::metadata_keys);
    }
    if (state_ != state::type) unexpected("a string");
    const auto found = std::find_if(dtype_table.begin(), dtype_table.end(),
                                    [&](const dtype_row& row) { return row.name == value; });
    if (found == dtype_table.end()) {
      fail("dtype", name_text(value), "BOOL, U8, F32 ..., see io/dtype.hpp");
    }
    tensor_.type = static_cast<dtype>(found - dtype_table.begin());
    return go(state::tensor_keys);
  }

  bool number_unsigned(std::uint64_t value) {
    switch (state_) {
      case state::extents:
        add_extent(value);
        return true;
      case state::begin:
        tensor_.begin = value;
        return go(state::end);
      case state::end:
        tensor_.end = value;
        return go(state::end_of_offsets);
      default:
        unexpected(std::to_string(value));
    }
  }

  bool number_integer(std::int64_t value) { unexpected(std::to_string(value)); }
  bool number_float(double /*value*/, const std::string& text) { unexpected(name_text(text)); }
  bool boolean(bool value) { unexpected(value ? "true" : "false"); }
  bool null() { unexpected("null"); }
  bool binary(nlohmann::json::binary_t& /*value*/) { unexpected("binary"); }

  bool parse_error(std::size_t position, const std::string& token,
                   const nlohmann::json::exception& /*reason*/) {
    read_ = first_ + std::min(position, static_cast<std::size_t>(last_ - first_));
    fail("header", "malformed near " + name_text(token), "JSON");
  }

 private:
  /// What comes next: `tensor` is the object of a tensor, `type` the value of "dtype".
  enum class state : std::uint8_t {
    before,
    names,
    metadata,
    metadata_keys,
    metadata_value,
    tensor,
    tensor_keys,
    type,
    shape,
    extents,
    offsets,
    begin,
    end,
    end_of_offsets,
    after
  };

  static constexpr std::size_t most_extents = 64;

  bool go(state next) noexcept {
    state_ = next;
    return true;
  }

  [[nodiscard]] static const char* wanted(state now) noexcept {
    switch (now) {
      case state::before:
        return "an object";
      case state::metadata:
        return "an object of strings";
      case state::metadata_value:
        return "a string";
      case state::tensor:
        return "an object with dtype, shape and data_offsets";
      case state::type:
        return "a string";
      case state::shape:
        return "an array of extents";
      case state::extents:
        return "an extent, a whole number of at least 0";
      case state::offsets:
        return "an array of two positions";
      case state::begin:
      case state::end:
        return "a position, a whole number of at least 0";
      default:
        return "the end of an array of two positions";
    }
  }

  bool start_metadata() {
    if (has_metadata_) fail("__metadata__", "there twice", "there once");
    has_metadata_ = true;
    return go(state::metadata);
  }

  bool start_tensor(const std::string& name) {
    tensor_ = {};
    tensor_.name = keep(name);
    has_type_ = has_shape_ = has_offsets_ = false;
    return go(state::tensor);
  }

  bool start_member(const std::string& name) {
    if (name == "dtype") return start_member(has_type_, state::type, name);
    if (name == "shape") return start_member(has_shape_, state::shape, name);
    if (name == "data_offsets") return start_member(has_offsets_, state::offsets, name);
    fail("key", name_text(name), "dtype, shape or data_offsets");
  }

  bool start_member(bool& is_there, state next, const std::string& name) {
    if (is_there) fail(name, "there twice", "there once");
    is_there = true;
    return go(next);
  }

  void add_extent(std::uint64_t value) {
    constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<index>::max());
    if (value > most) fail("extent", std::to_string(value), "at most " + std::to_string(most));
    if (tensor_.rank == most_extents) {
      fail("number of extents", "65 or more", "at most " + std::to_string(most_extents));
    }
    ++tensor_.rank;
    table_.extents.push_back(static_cast<index>(value));
  }

  void finish_tensor() {
    if (!has_type_ || !has_shape_ || !has_offsets_) {
      fail("entry",
           std::string("without ") + (!has_type_    ? "dtype"
                                      : !has_shape_ ? "shape"
                                                    : "data_offsets"),
           "one with dtype, shape and data_offsets");
    }
    const auto shape = table_.shape(tensor_);
    const index bits = bits_of_tensor(tensor_.type, shape);
    if (bits < 0) fail("shape", text_of_shape(shape), "one of a size that fits memory");
    if (bits % 8 != 0) {
      fail("shape", text_of_shape(shape), "whole bytes of " + std::string(name_of(tensor_.type)));
    }
    if (tensor_.begin > tensor_.end || tensor_.end > data_size_) {
      fail("data_offsets", offsets_text(),
           "ascending, at most " + std::to_string(data_size_) + ", the bytes behind the header");
    }
    if (tensor_.end - tensor_.begin != static_cast<std::uint64_t>(bits) / 8) {
      fail("data_offsets", offsets_text(),
           std::to_string(bits / 8) + " bytes for " + std::string(name_of(tensor_.type)) + " " +
               text_of_shape(shape));
    }
    tensor_.header_byte = static_cast<std::uint32_t>(byte());
    table_.entries.push_back(tensor_);
  }

  [[nodiscard]] std::string offsets_text() const {
    return "[" + std::to_string(tensor_.begin) + ", " + std::to_string(tensor_.end) + "]";
  }

  text_range keep(const std::string& text) {
    const auto at = static_cast<std::uint32_t>(table_.texts.size());
    table_.texts.insert(table_.texts.end(), text.begin(), text.end());
    return {at, static_cast<std::uint32_t>(text.size())};
  }

  /// The byte of the file that follows what was read.
  [[nodiscard]] std::int64_t byte() const noexcept { return 8 + (read_ - first_); }

  [[noreturn]] void fail(std::string_view what, const std::string& got,
                         const std::string& want) const {
    const bool in_tensor = state_ >= state::tensor && state_ < state::after;
    fail_in_file(function_, what,
                 {file_, byte(), in_tensor ? table_.text(tensor_.name) : std::string_view()}, got,
                 want);
  }

  [[noreturn]] void unexpected(const std::string& got) const { fail("value", got, wanted(state_)); }

  const char* function_;
  std::string_view file_;
  const char* first_;
  const char* last_;
  const char* read_;
  std::uint64_t data_size_;
  safetensors_table& table_;
  state state_ = state::before;
  safetensors_entry tensor_;
  safetensors_string string_;
  bool has_metadata_ = false;
  bool has_type_ = false;
  bool has_shape_ = false;
  bool has_offsets_ = false;
};

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
