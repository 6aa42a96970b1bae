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

#include <bit>
#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
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
#include "fewbit/io/tensor_file_writer.hpp"

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

/// The types of tensors of numbers.
struct gguf_numbers {
  template <class T>
  static constexpr bool is_number = GgufNumber<T>;
  template <class T>
  static constexpr gguf_type type = gguf_type_of_number<T>;
};

}  // namespace detail

/// A GGUF file that is being written. One thread at a time may use it.
///
/// A name has at most 63 bytes, a shape at most 4 extents. The last one, that of neighbouring
/// numbers, is a multiple of the weights of a block.
class gguf_writer
    : public detail::tensor_file_writer<gguf_writer, gguf_type, detail::gguf_numbers> {
  using base = detail::tensor_file_writer<gguf_writer, gguf_type, detail::gguf_numbers>;
  friend base;

 public:
  /// Creates the temporary file.
  ///
  /// @throws fewbit::error if that fails, or if the processor is big-endian
  explicit gguf_writer(const std::string& path, read_back check = read_back::no)
      : base(path, check) {}

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

  using base::declare;
  /// A tensor with the name, type and shape of one of another file.
  void declare(const gguf_tensor& tensor) {
    declare(std::string(tensor.name), tensor.type, tensor.shape());
  }

  using base::write;
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

  /// Gives the file its name.
  ///
  /// @throws fewbit::error if a declared tensor has no data, or if writing fails
  void close() {
    for (const record& r : records_) expect_written(r);
    commit();
  }

 private:
  static constexpr const char* function_name = "gguf_writer";

  void expect_name(const std::string& name) const {
    if (name.size() <= detail::longest_tensor_name) return;
    fail("declare", "name of tensor", name, std::to_string(name.size()) + " bytes",
         "at most " + std::to_string(detail::longest_tensor_name));
  }

  template <class T>
  void take_alignment(const std::string& key, const T& value) {
    if constexpr (std::is_same_v<T, std::uint32_t>) {
      if (!std::has_single_bit(value) || value < 8 || value > detail::largest_gguf_alignment) {
        fail("set", "value of key", key, value,
             "a power of two from 8 to " + std::to_string(detail::largest_gguf_alignment));
      }
      expect_open("set", "key", key);
      alignment_ = value;
    } else {
      fail("set", "type of key", key, std::string(name_of(gguf_value_type_of<T>)), "u32");
    }
  }

  /// Begins a value.
  void add_key(const std::string& key) {
    constexpr std::size_t longest = 65535;
    expect_open("set", "key", key);
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

  /// Gives each tensor its place and writes the index and the padding of the last tensor.
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
    const std::vector<std::byte> zeros(static_cast<std::size_t>(end - used));
    file_.write(data_at_ + used, zeros);
  }

  static void append_record(std::string& text, const record& r) {
    detail::append_gguf(text, std::string_view(*r.name));
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

  std::string values_;  // as in the file
  std::set<std::string> keys_;
  std::uint32_t alignment_ = detail::default_gguf_alignment;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
