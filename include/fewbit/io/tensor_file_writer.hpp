#pragma once
/// What the writers of tensor files share: tensors are declared, then written in any order, while
/// the index at the start of the file is written once, before the first data.
/// Read before: atomic_file.hpp. Read next: safetensors_writer.hpp, gguf_writer.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/io/atomic_file.hpp"
#include "fewbit/io/file_error.hpp"
#include "fewbit/io/tensor_view.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// The tensors of a file that is being written. Errors begin with Writer::function_name.
///
/// @tparam Writer   the writer of a format, which derives from this class and has
///                 expect_name(name)            fails unless the format has such names
///                 bytes_of(name, type, shape)  bytes of a tensor; fails if there is none
///                 write_index()                places the tensors, sets data_at_, writes the index
/// @tparam Type     the type of a tensor; name_of(type) is its text
/// @tparam Numbers  has is_number<T>, whether the format has numbers T, and type<T>, their Type
template <class Writer, class Type, class Numbers>
class tensor_file_writer {
 public:
  /// The name that the file will have.
  [[nodiscard]] const std::string& path() const noexcept { return file_.path(); }

  /// Adds a tensor, whose data follow later.
  ///
  /// @param shape  extents of at least 0, the one of neighbouring numbers last
  /// @throws fewbit::error if there is a tensor of that name, if the format has no such name, type
  ///         or shape, or after the first write of a declared tensor
  void declare(const std::string& name, Type type, std::span<const index> shape) {
    expect_open("declare", "tensor", name);
    writer().expect_name(name);
    if (find(name) != names_.end()) fail("declare", "tensor", name, "there already", "a new one");
    const std::uint64_t size = writer().bytes_of(name, type, shape);
    constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<index>::max());
    if (size > most - total_) {
      fail("declare", "shape of tensor", name, text_of(type, shape), "one of a size that fits");
    }
    record added{nullptr, type, {shape.begin(), shape.end()}, size, 0, 0, {}};
    const auto at = names_.emplace(name, static_cast<std::uint32_t>(records_.size())).first;
    added.name = &at->first;
    records_.push_back(std::move(added));
    total_ += size;
  }
  void declare(const std::string& name, Type type, std::initializer_list<index> shape) {
    declare(name, type, std::span<const index>(shape.begin(), shape.size()));
  }

  /// Writes all data of a tensor. If it was not declared, it is declared now, and the data are
  /// copied.
  ///
  /// @param bytes  numbers or blocks as in the file, row by row, without gaps
  /// @throws fewbit::error if type or shape differ from the declared ones, if `bytes` has another
  ///         size than they give, if the tensor has data already, or if writing fails
  void write(const std::string& name, Type type, std::span<const index> shape,
             std::span<const std::byte> bytes) {
    const auto found = find(name);
    if (found == names_.end()) {
      expect_size(name, bytes.size(), writer().bytes_of(name, type, shape));
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
  void write(const std::string& name, Type type, std::initializer_list<index> shape,
             std::span<const std::byte> bytes) {
    write(name, type, std::span<const index>(shape.begin(), shape.size()), bytes);
  }

  /// Writes a matrix as rows x cols numbers, or a vector as size() numbers. An expression and a
  /// column-major matrix are evaluated into a copy.
  template <class Derived>
    requires(Numbers::template is_number<typename Derived::Scalar>)
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
    record& to = declared("append", name);
    if (bytes.size() > to.size - to.written) {
      fail("append", "tensor", name, std::to_string(bytes.size()) + " further bytes",
           "at most " + std::to_string(to.size - to.written));
    }
    write_at(to, to.written, bytes);
  }

  /// Writes bytes of a declared tensor, from byte `at` of it. Use it for parts that are computed in
  /// any order. Parts must not overlap, and append() must not write to the same tensor.
  ///
  /// @throws fewbit::error if the tensor was not declared, if the part or the parts together have
  ///         more bytes than it, or if writing fails
  void write_part(const std::string& name, std::uint64_t at, std::span<const std::byte> bytes) {
    record& to = declared("write_part", name);
    if (at > to.size || bytes.size() > to.size - at) {
      fail("write_part", "tensor", name,
           std::to_string(bytes.size()) + " bytes from byte " + std::to_string(at),
           "a part of its " + std::to_string(to.size) + " bytes");
    }
    if (bytes.size() > to.size - to.written) {
      fail("write_part", "tensor", name, std::to_string(bytes.size()) + " further bytes",
           "at most " + std::to_string(to.size - to.written));
    }
    write_at(to, at, bytes);
  }

 protected:
  struct record {
    const std::string* name;  // in names_
    Type type;
    std::vector<index> shape;
    std::uint64_t size;           // bytes
    std::uint64_t offset;         // in the data, once the index is written
    std::uint64_t written;        // bytes, or kept
    std::vector<std::byte> kept;  // until the index is written
  };
  using name_set = std::set<std::pair<std::string, std::uint32_t>>;

  tensor_file_writer(const std::string& path, read_back check)
      : file_(path, check, Writer::function_name) {
    expect_little_endian_files(Writer::function_name);
  }

  [[nodiscard]] typename name_set::const_iterator find(const std::string& name) const {
    const auto at = names_.lower_bound({name, 0});
    return at != names_.end() && at->first == name ? at : names_.end();
  }

  /// Fails unless all data of a tensor have been written. For close().
  void expect_written(const record& r) const {
    if (r.written == r.size) return;
    fail("close", "tensor", *r.name, std::to_string(r.written) + " bytes", std::to_string(r.size));
  }

  /// Gives the file its name. For close().
  void commit() {
    begin_data();
    file_.commit();
  }

  /// Fails after the index has been written.
  void expect_open(const char* call, const char* what, const std::string& name) const {
    if (!has_index_) return;
    fail(call, what, name, "new after the first write of a declared tensor", "given before it");
  }

  static std::string text_of(Type type, std::span<const index> shape) {
    return std::string(name_of(type)) + " " + text_of_shape(shape);
  }

  template <class Got, class Want>
  [[noreturn]] void fail(const char* call, const char* what, const std::string& name,
                         const Got& got, const Want& want) const {
    detail::fail((std::string(Writer::function_name) + "::" + call).c_str(),
                 std::string(what) + " " + name_text(name) + " in " + path_text(file_.path()), got,
                 want);
  }

  atomic_file file_;
  std::vector<record> records_;  // in the order in which they were declared
  name_set names_;               // name and position in records_
  std::uint64_t data_at_ = 0;    // position of the data in the file

 private:
  [[nodiscard]] record& declared(const char* call, const std::string& name) {
    const auto found = find(name);
    if (found == names_.end()) fail(call, "tensor", name, "unknown", "a declared tensor");
    return records_[found->second];
  }

  void write_at(record& to, std::uint64_t at, std::span<const std::byte> bytes) {
    begin_data();
    file_.write(data_at_ + to.offset + at, bytes);
    to.written += bytes.size();
  }

  [[nodiscard]] Writer& writer() noexcept { return static_cast<Writer&>(*this); }

  /// Writes the index, unless it is there, and then the tensors that are kept.
  void begin_data() {
    if (has_index_) return;
    writer().write_index();
    has_index_ = true;
    for (record& r : records_) {
      file_.write(data_at_ + r.offset, r.kept);
      r.kept = {};
    }
  }

  template <class T>
  void write_rows(const std::string& name, const T* numbers, index rows, index cols,
                  bool is_vector) {
    const index shape[2] = {is_vector ? rows * cols : rows, cols};
    const std::size_t count = static_cast<std::size_t>(rows * cols);
    write(name, Numbers::template type<T>, std::span<const index>(shape, is_vector ? 1 : 2),
          std::as_bytes(std::span(numbers, count)));
  }

  void expect_size(const std::string& name, std::uint64_t got, std::uint64_t want) const {
    if (got != want) fail("write", "size of tensor", name, std::to_string(got) + " bytes", want);
  }

  std::uint64_t total_ = 0;  // bytes of all tensors
  bool has_index_ = false;
};

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
