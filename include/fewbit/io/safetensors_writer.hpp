#pragma once
/// Writes safetensors files, tensor by tensor, so that a file may be larger than memory.
///
///     safetensors_writer out("model.safetensors");
///     out.declare("w", dtype::i8, {4096, 4096});    // first all tensors: name, type, shape
///     out.declare("norm", dtype::f32, {4096});
///     out.write("w", w);                            // then their numbers, in any order
///     out.write("norm", norm);
///     out.close();                                  // now the file has its name
///
/// The header is at the start of a file and names every tensor, so it is written once they are all
/// known. A tensor that is written without having been declared is copied and kept in memory until
/// then: convenient for files that are small. Both ways give the same bytes: tensors are sorted by
/// type, wide ones first, then by name, so that all numbers are aligned. It is the order of the
/// reference program. The file replaces an old one atomically (atomic_file.hpp); without close()
/// there is no new file.
/// Read next: quantized.hpp (quantized matrices in files), atomic_file.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/io/atomic_file.hpp"
#include "fewbit/io/dtype.hpp"
#include "fewbit/io/file_error.hpp"
#include "fewbit/io/safetensors/header_text.hpp"
#include "fewbit/io/tensor_file_writer.hpp"
#include "fewbit/io/tensor_view.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// The types of tensors of numbers.
struct safetensors_numbers {
  template <class T>
  static constexpr bool is_number = FileScalar<T>;
  template <class T>
  static constexpr dtype type = dtype_of<T>;
};

}  // namespace detail

/// A safetensors file that is being written. One thread at a time may use it.
///
/// A name is UTF-8, and not "__metadata__". A shape without extents is that of one number. The
/// numbers of a tensor must fill whole bytes; they are little-endian and row-major.
class safetensors_writer
    : public detail::tensor_file_writer<safetensors_writer, dtype, detail::safetensors_numbers> {
  using base = detail::tensor_file_writer<safetensors_writer, dtype, detail::safetensors_numbers>;
  friend base;

 public:
  /// Creates the temporary file.
  ///
  /// @throws fewbit::error if that fails, or if the processor is big-endian
  explicit safetensors_writer(const std::string& path, read_back check = read_back::no)
      : base(path, check) {}

  /// Adds a string to __metadata__.
  ///
  /// @throws fewbit::error if there is a string of that key, if one of the two is no UTF-8, or
  ///         after the first write of a declared tensor
  void set_metadata(std::string key, std::string value) {
    expect_open("set_metadata", "key", key);
    expect_utf8("set_metadata", "key", key);
    expect_utf8("set_metadata", "value", value);
    if (metadata(key)) fail_twice("set_metadata", "key", key);
    metadata_.emplace(std::move(key), std::move(value));
  }

  /// The string of __metadata__ with that key, if there is one. Valid until the next call.
  [[nodiscard]] std::optional<std::string_view> metadata(const std::string& key) const {
    const auto at = metadata_.lower_bound({key, {}});
    if (at == metadata_.end() || at->first != key) return std::nullopt;
    return at->second;
  }

  /// Whether there is a tensor of that name.
  [[nodiscard]] bool contains(const std::string& name) const { return find(name) != names_.end(); }

  using base::declare;
  /// A tensor with the name, type and shape of one of another file.
  void declare(const tensor_view& tensor) {
    declare(std::string(tensor.name), tensor.type, tensor.shape);
  }

  using base::write;
  /// Writes a tensor of another file under its name.
  void write(const tensor_view& tensor) {
    write(std::string(tensor.name), tensor.type, tensor.shape, tensor.bytes);
  }

  /// Gives the file its name.
  ///
  /// @throws fewbit::error if a declared tensor has no numbers, or if writing fails
  void close() {
    for (const auto& [name, i] : names_) expect_written(records_[i]);
    commit();
  }

 private:
  static constexpr const char* function_name = "safetensors_writer";

  void expect_name(const std::string& name) const {
    expect_utf8("declare", "tensor", name);
    if (name == detail::metadata_key) {
      fail("declare", "tensor", name, "a name of the format", "another name");
    }
  }

  /// Gives each tensor its place and writes the header.
  void write_index() {
    std::vector<const std::pair<std::string, std::uint32_t>*> order;
    order.reserve(names_.size());
    for (const auto& name : names_) order.push_back(&name);
    std::stable_sort(order.begin(), order.end(), [&](const auto* a, const auto* b) {
      return records_[a->second].type > records_[b->second].type;
    });

    std::string text = "{";
    append_metadata(text);
    std::uint64_t end = 0;
    for (const auto* name : order) {
      record& r = records_[name->second];
      if (text.size() > 1) text += ',';
      r.offset = end;
      end += r.size;
      detail::append_header_entry(text, name->first, r.type, r.shape, r.offset, end);
    }
    text += '}';
    text.resize((text.size() + 7) / 8 * 8, ' ');
    if (text.size() > detail::largest_header) {
      detail::fail("safetensors_writer", "length of the header", text.size(),
                   "at most " + std::to_string(detail::largest_header));
    }
    std::byte length[8];
    for (std::size_t i = 0; i < 8; ++i) length[i] = static_cast<std::byte>(text.size() >> 8 * i);
    file_.write(0, length);
    file_.write(8, std::as_bytes(std::span(text)));
    data_at_ = 8 + text.size();
  }

  void append_metadata(std::string& text) const {
    if (metadata_.empty()) return;
    detail::append_json_string(text, detail::metadata_key);
    text += ":{";
    for (const auto& [key, value] : metadata_) {
      if (text.back() != '{') text += ',';
      detail::append_json_string(text, key);
      text += ':';
      detail::append_json_string(text, value);
    }
    text += '}';
  }

  /// Bytes of a tensor. Fails unless they are whole bytes and fit an index.
  [[nodiscard]] std::uint64_t bytes_of(const std::string& name, dtype type,
                                       std::span<const index> shape) const {
    for (const index extent : shape) {
      if (extent < 0) fail("declare", "extent of tensor", name, extent, "at least 0");
    }
    const index bits = detail::bits_of_tensor(type, shape);
    if (bits < 0 || bits % 8 != 0) {
      fail("declare", "shape of tensor", name, text_of(type, shape),
           bits < 0 ? "one of a size that fits" : "whole bytes");
    }
    return static_cast<std::uint64_t>(bits) / 8;
  }

  void expect_utf8(const char* call, const char* what, const std::string& text) const {
    if (!detail::is_utf8(text)) fail(call, what, text, "no UTF-8", "UTF-8");
  }

  [[noreturn]] void fail_twice(const char* call, const char* what, const std::string& name) const {
    fail(call, what, name, "there already", "a new one");
  }

  std::set<std::pair<std::string, std::string>> metadata_;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
