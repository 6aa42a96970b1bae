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
#include <initializer_list>
#include <limits>
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
#include "fewbit/io/tensor_view.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// A safetensors file that is being written. One thread at a time may use it.
class safetensors_writer {
 public:
  /// Creates the temporary file.
  ///
  /// @throws fewbit::error if that fails, or if the processor is big-endian
  explicit safetensors_writer(const std::string& path, read_back check = read_back::no)
      : file_(path, check, "safetensors_writer") {
    detail::expect_little_endian_files("safetensors_writer");
  }

  /// The name that the file will have.
  [[nodiscard]] const std::string& path() const noexcept { return file_.path(); }

  /// Adds a string to __metadata__.
  ///
  /// @throws fewbit::error if there is a string of that key, if one of the two is no UTF-8, or
  ///         after the first write of a declared tensor
  void set_metadata(std::string key, std::string value) {
    expect_open_header("set_metadata", "key", key);
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

  /// Adds a tensor, whose numbers follow later.
  ///
  /// @param name   UTF-8, without the name "__metadata__"
  /// @param shape  extents of at least 0, the one of neighbouring numbers last; empty: one number
  /// @throws fewbit::error if there is a tensor of that name, if an argument is not as above, if
  ///         the numbers do not fill whole bytes, or after the first write of a declared tensor
  void declare(const std::string& name, dtype type, std::span<const index> shape) {
    expect_open_header("declare", "tensor", name);
    expect_utf8("declare", "tensor", name);
    if (name == detail::metadata_key) {
      fail("declare", "tensor", name, "a name of the format", "another name");
    }
    if (contains(name)) fail_twice("declare", "tensor", name);
    const std::uint64_t size = bytes_of(name, type, shape);
    constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<index>::max());
    if (size > most - total_) {
      fail("declare", "shape of tensor", name, text_of(type, shape), "one of a size that fits");
    }
    record added{type, {shape.begin(), shape.end()}, size, 0, 0, {}};
    names_.emplace(name, static_cast<std::uint32_t>(records_.size()));
    records_.push_back(std::move(added));
    total_ += size;
  }
  void declare(const std::string& name, dtype type, std::initializer_list<index> shape) {
    declare(name, type, std::span<const index>(shape.begin(), shape.size()));
  }
  /// A tensor with the name, type and shape of one of another file.
  void declare(const tensor_view& tensor) {
    declare(std::string(tensor.name), tensor.type, tensor.shape);
  }

  /// Writes all numbers of a tensor. If it was not declared, it is declared now, and the numbers
  /// are copied.
  ///
  /// @param bytes  the numbers, little-endian, row-major, without gaps
  /// @throws fewbit::error if type or shape differ from the declared ones, if `bytes` has another
  ///         size than they give, if the tensor has numbers already, or if writing fails
  void write(const std::string& name, dtype type, std::span<const index> shape,
             std::span<const std::byte> bytes) {
    const auto found = find(name);
    if (found == names_.end()) {
      expect_size(name, bytes.size(), bytes_of(name, type, shape));
      declare(name, type, shape);
      records_.back().kept.assign(bytes.begin(), bytes.end());
      records_.back().written = bytes.size();
      return;
    }
    const record& declared = records_[found->second];
    if (declared.type != type || !std::ranges::equal(declared.shape, shape)) {
      fail("write", "tensor", name, text_of(type, shape), text_of(declared.type, declared.shape));
    }
    expect_size(name, bytes.size(), declared.size);
    if (declared.written != 0) fail("write", "tensor", name, "written already", "a new one");
    append(name, bytes);
  }
  void write(const std::string& name, dtype type, std::initializer_list<index> shape,
             std::span<const std::byte> bytes) {
    write(name, type, std::span<const index>(shape.begin(), shape.size()), bytes);
  }

  /// Writes a tensor of another file under its name.
  void write(const tensor_view& tensor) {
    write(std::string(tensor.name), tensor.type, tensor.shape, tensor.bytes);
  }

  /// Writes a matrix as rows x cols numbers, or a vector as size() numbers. An expression and a
  /// column-major matrix are evaluated into a copy.
  template <class Derived>
    requires FileScalar<typename Derived::Scalar>
  void write(const std::string& name, const Eigen::DenseBase<Derived>& matrix) {
    using scalar = typename Derived::Scalar;
    if constexpr (RowMajorDense<Derived, scalar>) {
      if (matrix.outerStride() == matrix.cols() || matrix.rows() <= 1) {
        return write_rows(name, matrix.derived().data(), matrix.rows(), matrix.cols(),
                          Derived::IsVectorAtCompileTime);
      }
    }
    const row_matrix<scalar> copy = matrix;
    write_rows(name, copy.data(), copy.rows(), copy.cols(), Derived::IsVectorAtCompileTime);
  }

  /// Writes the next bytes of a declared tensor. Use it for tensors that are larger than memory.
  ///
  /// @throws fewbit::error if the tensor was not declared, if it has fewer bytes left, or if
  ///         writing fails
  void append(const std::string& name, std::span<const std::byte> bytes) {
    const auto found = find(name);
    if (found == names_.end()) fail("append", "tensor", name, "unknown", "a declared tensor");
    record& to = records_[found->second];
    if (bytes.size() > to.size - to.written) {
      fail("append", "tensor", name, std::to_string(bytes.size()) + " further bytes",
           "at most " + std::to_string(to.size - to.written));
    }
    if (!has_header_) write_header();
    file_.write(data_at_ + to.begin + to.written, bytes);
    to.written += bytes.size();
  }

  /// Gives the file its name.
  ///
  /// @throws fewbit::error if a declared tensor has no numbers, or if writing fails
  void close() {
    for (const auto& [name, i] : names_) {
      const record& r = records_[i];
      if (r.written == r.size) continue;
      fail("close", "tensor", name, std::to_string(r.written) + " bytes", std::to_string(r.size));
    }
    if (!has_header_) write_header();
    file_.commit();
  }

 private:
  struct record {
    dtype type;
    std::vector<index> shape;
    std::uint64_t size;           // bytes
    std::uint64_t begin;          // in the data, once the header is written
    std::uint64_t written;        // bytes, or kept
    std::vector<std::byte> kept;  // until the header is written
  };
  using name_set = std::set<std::pair<std::string, std::uint32_t>>;

  [[nodiscard]] name_set::const_iterator find(const std::string& name) const {
    const auto at = names_.lower_bound({name, 0});
    return at != names_.end() && at->first == name ? at : names_.end();
  }

  template <class T>
  void write_rows(const std::string& name, const T* numbers, index rows, index cols,
                  bool is_vector) {
    const index shape[2] = {is_vector ? rows * cols : rows, cols};
    const std::size_t count = static_cast<std::size_t>(rows * cols);
    write(name, dtype_of<T>, std::span<const index>(shape, is_vector ? 1 : 2),
          std::as_bytes(std::span(numbers, count)));
  }

  /// Gives each tensor its place and writes the header, and the tensors that are kept.
  void write_header() {
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
      r.begin = end;
      end += r.size;
      detail::append_header_entry(text, name->first, r.type, r.shape, r.begin, end);
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
    has_header_ = true;
    for (record& r : records_) {
      file_.write(data_at_ + r.begin, r.kept);
      r.kept = {};
    }
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

  static std::string text_of(dtype type, std::span<const index> shape) {
    return std::string(name_of(type)) + " " + detail::text_of_shape(shape);
  }

  void expect_size(const std::string& name, std::uint64_t got, std::uint64_t want) const {
    if (got != want) fail("write", "size of tensor", name, std::to_string(got) + " bytes", want);
  }

  void expect_utf8(const char* call, const char* what, const std::string& text) const {
    if (!detail::is_utf8(text)) fail(call, what, text, "no UTF-8", "UTF-8");
  }

  /// Fails after the header has been written.
  void expect_open_header(const char* call, const char* what, const std::string& name) const {
    if (!has_header_) return;
    fail(call, what, name, "new after the first write of a declared tensor", "given before it");
  }

  [[noreturn]] void fail_twice(const char* call, const char* what, const std::string& name) const {
    fail(call, what, name, "there already", "a new one");
  }

  template <class Got, class Want>
  [[noreturn]] void fail(const char* call, const char* what, const std::string& name,
                         const Got& got, const Want& want) const {
    detail::fail((std::string("safetensors_writer::") + call).c_str(),
                 std::string(what) + " " + detail::name_text(name) + " in " +
                     detail::path_text(file_.path()),
                 got, want);
  }

  atomic_file file_;
  std::vector<record> records_;  // in the order in which they were declared
  name_set names_;               // name and position in records_
  std::set<std::pair<std::string, std::string>> metadata_;
  std::uint64_t total_ = 0;    // bytes of all tensors
  std::uint64_t data_at_ = 0;  // position of the data in the file
  bool has_header_ = false;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
