#pragma once
/// Writes GGUF files of version 3, tensor by tensor, so that a file may be larger than memory.
///
///     gguf_writer out("model.gguf");
///     out.set("general.architecture", "llama");               // first the metadata,
///     out.set("llama.context_length", std::uint32_t{4096});
///     out.declare("w", gguf_type::q4_0, {4096, 4096});     // and all tensors: name, type, shape
///     out.declare("norm", gguf_type::f32, {4096});
///     out.write("w", quantize_blocks<q4_0>(w));               // then their data, in any order
///     out.write("norm", norm);
///     out.close();                                            // now the file has its name
///
/// Values and tensors are in the file in the order of these calls. The index is at the start of the
/// file, so it is written once all tensors are known. A tensor that is written without having been
/// declared is copied and kept in memory until then. Set "general.alignment" to align tensors to
/// another number of bytes than 32. The file replaces an old one atomically (atomic_file.hpp);
/// without close() there is no new file.
/// Read next: gguf.hpp (reading), formats/ggml_quantize.hpp (floats to blocks).

#include "fewbit/begin.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/formats/ggml_blocks.hpp"
#include "fewbit/io/atomic_file.hpp"
#include "fewbit/io/file_error.hpp"
#include "fewbit/io/gguf/table.hpp"
#include "fewbit/io/gguf/tensor.hpp"
#include "fewbit/io/gguf/types.hpp"
#include "fewbit/io/gguf/value.hpp"
#include "fewbit/io/tensor_view.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// Appends a number, low byte first.
template <class T>
void append_little_endian(std::string& to, T value) {
  std::uint64_t bits = 0;
  if constexpr (std::is_same_v<T, float>) {
    bits = std::bit_cast<std::uint32_t>(value);
  } else if constexpr (std::is_same_v<T, double>) {
    bits = std::bit_cast<std::uint64_t>(value);
  } else {
    bits = static_cast<std::uint64_t>(value);
  }
  for (std::size_t i = 0; i < sizeof(T); ++i) to += static_cast<char>(bits >> 8 * i & 0xFF);
}

/// A length and the text.
inline void append_gguf(std::string& to, std::string_view text) {
  append_little_endian(to, std::uint64_t{text.size()});
  to += text;
}

/// A number or a bool.
template <class T>
  requires std::is_arithmetic_v<T>
void append_gguf(std::string& to, T value) {
  append_little_endian(to, value);
}

}  // namespace detail

/// A GGUF file that is being written. One thread at a time may use it.
class gguf_writer {
 public:
  /// Creates the temporary file.
  ///
  /// @throws fewbit::error if that fails, or if the processor is big-endian
  explicit gguf_writer(const std::string& path, read_back check = read_back::no)
      : file_(path, check, "gguf_writer") {
    detail::expect_little_endian_files("gguf_writer");
  }

  /// The name that the file will have.
  [[nodiscard]] const std::string& path() const noexcept { return file_.path(); }

  /// Adds a value to the metadata. The type of the value is the type of T.
  ///
  /// @param key  1 to 65535 bytes
  /// @throws fewbit::error if there is a value of that key, if `key` is not as above, if the key is
  ///         "general.alignment" and the value no u32, or no power of two from 8 to 2^20, or after
  ///         the first write of a declared tensor
  template <GgufScalar T>
  void set(const std::string& key, const T& value) {
    if (key == detail::alignment_key) take_alignment(key, value);
    add_key(key);
    append_type(gguf_value_type_of<T>);
    detail::append_gguf(values_, value);
  }
  /// A text.
  void set(const std::string& key, const char* text) { set(key, std::string_view(text)); }
  void set(const std::string& key, const std::string& text) { set(key, std::string_view(text)); }

  /// Adds an array to the metadata.
  ///
  /// @throws fewbit::error as set()
  template <GgufScalar T>
  void set_array(const std::string& key, std::span<const T> elements) {
    add_array(key, gguf_value_type_of<T>, elements);
  }
  template <GgufScalar T>
  void set_array(const std::string& key, const std::vector<T>& elements) {
    add_array(key, gguf_value_type_of<T>, elements);
  }
  /// An array of texts.
  void set_array(const std::string& key, const std::vector<std::string>& elements) {
    add_array(key, gguf_value_type::text, elements);
  }

  /// Adds a value of another file, under its key.
  ///
  /// @throws fewbit::error as set()
  void set(const gguf_value& value) {
    const std::string key(value.key);
    if (key == detail::alignment_key) return set(key, value.get<std::uint32_t>());
    add_key(key);
    if (value.is_array) append_type(gguf_value_type::array);
    append_type(value.type);
    if (value.is_array) {
      detail::append_little_endian(values_, static_cast<std::uint64_t>(value.count));
    }
    values_.append(reinterpret_cast<const char*>(value.bytes.data()), value.bytes.size());
  }

  /// Adds a tensor, whose data follow later.
  ///
  /// @param name   at most 63 bytes
  /// @param shape  at most 4 extents of at least 0, the one of neighbouring numbers last, which
  ///               must be a multiple of the weights of a block
  /// @throws fewbit::error if there is a tensor of that name, if an argument is not as above, or
  ///         after the first write of a declared tensor
  void declare(const std::string& name, gguf_type type, std::span<const index> shape) {
    expect_open_index("declare", "tensor", name);
    if (name.size() > detail::longest_tensor_name) {
      fail("declare", "name of tensor", name, std::to_string(name.size()) + " bytes",
           "at most " + std::to_string(detail::longest_tensor_name));
    }
    if (find(name) != names_.end()) fail("declare", "tensor", name, "there already", "a new one");
    const std::uint64_t size = bytes_of(name, type, shape);
    constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<index>::max());
    if (size > most - total_) {
      fail("declare", "shape of tensor", name, text_of(type, shape), "one of a size that fits");
    }
    total_ += size;
    names_.emplace(name, static_cast<std::uint32_t>(records_.size()));
    records_.push_back({name, type, {shape.begin(), shape.end()}, size, 0, 0, {}});
  }
  void declare(const std::string& name, gguf_type type, std::initializer_list<index> shape) {
    declare(name, type, std::span<const index>(shape.begin(), shape.size()));
  }
  /// A tensor with the name, type and shape of one of another file.
  void declare(const gguf_tensor& tensor) {
    declare(std::string(tensor.name), tensor.type, tensor.shape());
  }

  /// Writes all data of a tensor. If it was not declared, it is declared now, and the data are
  /// copied.
  ///
  /// @param bytes  numbers or blocks, row by row, without gaps
  /// @throws fewbit::error if type or shape differ from the declared ones, if `bytes` has another
  ///         size than they give, if the tensor has data already, or if writing fails
  void write(const std::string& name, gguf_type type, std::span<const index> shape,
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
  void write(const std::string& name, gguf_type type, std::initializer_list<index> shape,
             std::span<const std::byte> bytes) {
    write(name, type, std::span<const index>(shape.begin(), shape.size()), bytes);
  }

  /// Writes a tensor of another file under its name.
  void write(const gguf_tensor& tensor) {
    write(std::string(tensor.name), tensor.type, tensor.shape(), tensor.bytes);
  }

  /// Writes blocks as a matrix of rows x cols weights.
  template <GgmlBlock B>
  void write(const std::string& name, const block_matrix<B>& blocks) {
    write(name, detail::gguf_type_of_block<B>, {blocks.rows(), blocks.cols()},
          std::as_bytes(blocks.bytes()));
  }

  /// Writes a matrix as rows x cols numbers, or a vector as size() numbers. An expression and a
  /// column-major matrix are evaluated into a copy.
  template <class Derived>
    requires GgufNumber<typename Derived::Scalar>
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
    if (!has_index_) write_index();
    file_.write(data_at_ + to.offset + to.written, bytes);
    to.written += bytes.size();
  }

  /// Gives the file its name.
  ///
  /// @throws fewbit::error if a declared tensor has no data, or if writing fails
  void close() {
    for (const record& r : records_) {
      if (r.written == r.size) continue;
      fail("close", "tensor", r.name, std::to_string(r.written) + " bytes", std::to_string(r.size));
    }
    if (!has_index_) write_index();
    file_.commit();
  }

 private:
  struct record {
    std::string name;
    gguf_type type;
    std::vector<index> shape;
    std::uint64_t size;           // bytes
    std::uint64_t offset;         // in the data, once the index is written
    std::uint64_t written;        // bytes, or kept
    std::vector<std::byte> kept;  // until the index is written
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
    write(name, detail::gguf_type_of_number<T>, std::span<const index>(shape, is_vector ? 1 : 2),
          std::as_bytes(std::span(numbers, count)));
  }

  template <class T>
  void take_alignment(const std::string& key, const T& value) {
    if constexpr (std::is_same_v<T, std::uint32_t>) {
      if (!std::has_single_bit(value) || value < 8 || value > detail::largest_gguf_alignment) {
        fail("set", "value of key", key, value,
             "a power of two from 8 to " + std::to_string(detail::largest_gguf_alignment));
      }
      expect_open_index("set", "key", key);
      alignment_ = value;
    } else {
      fail("set", "type of key", key, std::string(name_of(gguf_value_type_of<T>)), "u32");
    }
  }

  /// Begins a value.
  void add_key(const std::string& key) {
    constexpr std::size_t longest = 65535;
    expect_open_index("set", "key", key);
    if (key.empty() || key.size() > longest) {
      fail("set", "length of key", key, key.size(), "1 to " + std::to_string(longest));
    }
    if (!keys_.insert(key).second) fail("set", "key", key, "there already", "a new one");
    detail::append_gguf(values_, std::string_view(key));
  }

  void append_type(gguf_value_type type) {
    detail::append_little_endian(values_, static_cast<std::uint32_t>(type));
  }

  template <class Elements>
  void add_array(const std::string& key, gguf_value_type type, const Elements& elements) {
    if (key == detail::alignment_key) fail("set_array", "type of key", key, "an array", "u32");
    if (elements.size() > detail::longest_gguf_item) {
      fail("set_array", "length of key", key, elements.size(), detail::longest_gguf_item);
    }
    add_key(key);
    append_type(gguf_value_type::array);
    append_type(type);
    detail::append_little_endian(values_, std::uint64_t{elements.size()});
    for (auto&& element : elements) {
      if constexpr (std::is_convertible_v<decltype(element), std::string_view>) {
        detail::append_gguf(values_, std::string_view(element));
      } else {
        using value = typename Elements::value_type;
        detail::append_gguf(values_, static_cast<value>(element));
      }
    }
  }

  /// Gives each tensor its place and writes the index, the padding of the last tensor, and the
  /// tensors that are kept.
  void write_index() {
    std::string text(detail::gguf_magic);
    detail::append_little_endian(text, std::uint32_t{3});
    detail::append_little_endian(text, std::uint64_t{records_.size()});
    detail::append_little_endian(text, std::uint64_t{keys_.size()});
    text += values_;
    std::uint64_t used = 0, end = 0;
    for (record& r : records_) {
      r.offset = end;
      if (r.size > 0) used = end + r.size;
      end = detail::padded(end + r.size, alignment_);
      append_record(text, r);
    }
    text.resize(static_cast<std::size_t>(detail::padded(text.size(), alignment_)), '\0');
    file_.write(0, std::as_bytes(std::span(text)));
    data_at_ = text.size();
    has_index_ = true;
    const std::vector<std::byte> zeros(static_cast<std::size_t>(end - used));
    file_.write(data_at_ + used, zeros);
    for (record& r : records_) {
      file_.write(data_at_ + r.offset, r.kept);
      r.kept = {};
    }
  }

  static void append_record(std::string& text, const record& r) {
    detail::append_gguf(text, std::string_view(r.name));
    detail::append_little_endian(text, static_cast<std::uint32_t>(r.shape.size()));
    for (std::size_t i = r.shape.size(); i-- > 0;) {
      detail::append_little_endian(text, static_cast<std::uint64_t>(r.shape[i]));
    }
    detail::append_little_endian(text, static_cast<std::uint32_t>(r.type));
    detail::append_little_endian(text, r.offset);
  }

  /// Bytes of a tensor. Fails unless they are whole blocks and fit an index.
  [[nodiscard]] std::uint64_t bytes_of(const std::string& name, gguf_type type,
                                       std::span<const index> shape) const {
    if (detail::row_of_type(type) == nullptr) {
      fail("declare", "type of tensor", name, static_cast<std::uint32_t>(type), "a type of GGUF");
    }
    if (shape.size() > 4) {
      fail("declare", "number of extents of tensor", name, shape.size(), "0 to 4");
    }
    for (const index extent : shape) {
      if (extent < 0) fail("declare", "extent of tensor", name, extent, "at least 0");
    }
    const index size = detail::bytes_of_gguf_tensor(type, shape);
    if (size < 0) {
      fail("declare", "shape of tensor", name, text_of(type, shape),
           size == -2 ? "one of a size that fits"
                      : "rows of whole blocks of " + std::to_string(block_weights(type)));
    }
    return static_cast<std::uint64_t>(size);
  }

  static std::string text_of(gguf_type type, std::span<const index> shape) {
    return std::string(name_of(type)) + " " + detail::text_of_shape(shape);
  }

  void expect_size(const std::string& name, std::uint64_t got, std::uint64_t want) const {
    if (got != want) fail("write", "size of tensor", name, std::to_string(got) + " bytes", want);
  }

  /// Fails after the index has been written.
  void expect_open_index(const char* call, const char* what, const std::string& name) const {
    if (!has_index_) return;
    fail(call, what, name, "new after the first write of a declared tensor", "given before it");
  }

  template <class Got, class Want>
  [[noreturn]] void fail(const char* call, const char* what, const std::string& name,
                         const Got& got, const Want& want) const {
    detail::fail((std::string("gguf_writer::") + call).c_str(),
                 std::string(what) + " " + detail::name_text(name) + " in " +
                     detail::path_text(file_.path()),
                 got, want);
  }

  atomic_file file_;
  std::string values_;  // as in the file
  std::set<std::string> keys_;
  std::vector<record> records_;  // in the order in which they were declared
  name_set names_;               // name and position in records_
  std::uint32_t alignment_ = detail::default_gguf_alignment;
  std::uint64_t total_ = 0;    // bytes of all tensors
  std::uint64_t data_at_ = 0;  // position of the data in the file
  bool has_index_ = false;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
