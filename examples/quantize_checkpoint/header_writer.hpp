#pragma once
/// --emit header: the tensors of a result as constants of a C++ header.
///
///     // a.weight: int8 per_row symmetric real_scale nearest_even, [16, 32]
///     alignas(64) inline constexpr std::int8_t a_weight[] = {...};
///     alignas(64) inline constexpr float a_weight_scales[] = {...};
///
/// The names are those of the tensors, as identifiers (io/emit_header.hpp). Numbers of F16 and BF16
/// become floats of the same values.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "failure.hpp"
#include "fewbit/io/atomic_file.hpp"
#include "fewbit/io/emit_header.hpp"
#include "fewbit/io/tensor_view.hpp"
#include "plan.hpp"
#include "source.hpp"

namespace fewbit::examples::checkpoint {

/// A header that is being written. Tensors are held in memory until close().
class header_writer {
 public:
  /// @throws fewbit::error if the file cannot be created or `space` is no identifier
  header_writer(const std::string& path, const std::string& space)
      : file_(path, read_back::no, "emit_header"), space_(space) {
    append(detail::begin_of_header("Tensors as constants, written by fewbit.", space));
  }

  /// @param comment  what the numbers are; empty for none
  void declare(const std::string& name, dtype type, std::uint64_t bytes, const std::string& comment,
               std::span<const index> shape) {
    by_name_.emplace(name, arrays_.size());
    array added{name, type, {}, {}};
    added.bytes.resize(static_cast<std::size_t>(bytes));
    if (!comment.empty()) {
      added.comment =
          "// " + plain(name) + ": " + comment + ", " + detail::text_of_shape(shape) + "\n";
    }
    arrays_.push_back(std::move(added));
  }

  void write_part(const std::string& name, std::uint64_t at, std::span<const std::byte> bytes) {
    if (bytes.empty()) return;
    array& to = arrays_[by_name_.at(name)];
    std::memcpy(to.bytes.data() + at, bytes.data(), bytes.size());
  }

  /// @throws fewbit::error if writing fails, failure if a float is not finite
  void close() {
    for (const array& a : arrays_) {
      std::string text = a.bytes.empty() ? std::string() : a.comment;
      or_exit(exit_input, [&] { append_array(text, a); });
      append(text);
    }
    append(detail::end_of_header(space_));
    file_.commit();
  }

 private:
  struct array {
    std::string name;
    dtype type;
    std::string comment;
    std::vector<std::byte> bytes;
  };

  static section_type type_of(dtype type) {
    switch (type) {
      case dtype::i8:
        return section_type::int8;
      case dtype::i16:
        return section_type::int16;
      case dtype::i32:
        return section_type::int32;
      case dtype::i64:
        return section_type::int64;
      case dtype::f32:
        return section_type::float32;
      default:
        return section_type::uint8;
    }
  }

  void append_array(std::string& text, const array& a) const {
    const std::string identifier = detail::identifier_of(a.name);
    const auto place = [&](std::size_t byte) {
      return "byte " + std::to_string(byte) + " of tensor " + detail::name_text(a.name);
    };
    const dtype type = *plan_detail::constants_of(a.type);
    if (type == a.type) {
      return detail::append_array(text, identifier, type_of(type), a.bytes, place);
    }
    const index extents[] = {static_cast<index>(a.bytes.size()) / 2};
    const row_matrix<float> floats =
        tensor_view{a.name, a.type, extents, a.bytes, file_.path(), 0}.to_floats();
    const std::span<const float> numbers(floats.data(), static_cast<std::size_t>(floats.size()));
    detail::append_array(text, identifier, section_type::float32, std::as_bytes(numbers), place);
  }

  void append(const std::string& text) {
    file_.write(end_, std::as_bytes(std::span(text)));
    end_ += text.size();
  }

  atomic_file file_;
  std::string space_;
  std::uint64_t end_ = 0;
  std::vector<array> arrays_;
  std::unordered_map<std::string, std::size_t> by_name_;
};

}  // namespace fewbit::examples::checkpoint
