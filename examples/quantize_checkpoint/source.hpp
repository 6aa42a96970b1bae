#pragma once
/// A file of tensors that is read, in either format, and its rows as floats.

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "failure.hpp"
#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/io/gguf.hpp"
#include "fewbit/io/quantized.hpp"
#include "fewbit/io/safetensors.hpp"

namespace fewbit::examples::checkpoint {

/// Headers of C++ constants are written alone.
enum class file_format : std::uint8_t { safetensors, gguf, header };

[[nodiscard]] inline const char* name_of(file_format format) {
  constexpr const char* names[] = {"safetensors", "gguf", "header"};
  return names[static_cast<std::size_t>(format)];
}

/// The format of a new file: the one of that name, or without one GGUF if the path ends in ".gguf".
[[nodiscard]] inline file_format format_of_output(std::string_view name, std::string_view path) {
  for (const auto format : {file_format::safetensors, file_format::gguf, file_format::header}) {
    if (name == name_of(format)) return format;
  }
  return path.ends_with(".gguf") ? file_format::gguf : file_format::safetensors;
}

/// What a tensor consists of.
enum class content : std::uint8_t {
  floats,   ///< F32, F16, BF16 or F64
  blocks,   ///< quantized blocks of ggml
  numbers,  ///< anything else
  part,     ///< codes, scales and so on of a quantized matrix of fewbit
};

/// A tensor of a file.
struct source_tensor {
  std::string name;
  std::string type;
  std::vector<index> shape;  ///< extents, the one of neighbouring numbers last
  content kind = content::numbers;
  std::string owner;  ///< of a part: the name of its matrix
  std::variant<tensor_view, gguf_tensor> view;

  [[nodiscard]] std::span<const std::byte> bytes() const {
    return std::visit([](const auto& v) { return v.bytes; }, view);
  }
  [[nodiscard]] index size() const {
    index product = 1;
    for (const index extent : shape) product *= extent;
    return product;
  }
};

/// Rows and columns of a tensor as a matrix.
struct matrix_shape {
  index rows = 1;
  index cols = 1;
  [[nodiscard]] index size() const noexcept { return rows * cols; }
};

/// A quantized matrix of fewbit in a file.
struct source_matrix {
  std::string scheme;  ///< as scheme_text()
  matrix_shape shape;
};

namespace source_detail {

/// The formats of floats that to_floats() reads.
inline bool is_float(dtype type) {
  return type == dtype::f16 || type == dtype::bf16 || type == dtype::f32 || type == dtype::f64;
}
inline bool is_float(gguf_type type) {
  return type == gguf_type::f16 || type == gguf_type::bf16 || type == gguf_type::f32 ||
         type == gguf_type::f64;
}
inline bool is_block(gguf_type type) {
  return detail::visit_block(detail::gguf_blocks(), type, [](auto /*block*/) {});
}

inline std::vector<index> copied(std::span<const index> shape) {
  return {shape.begin(), shape.end()};
}

}  // namespace source_detail

/// An open file.
class source {
 public:
  /// Reads the index of the file. The first bytes tell the format.
  ///
  /// @throws failure if the file cannot be read or breaks a rule of its format
  explicit source(std::string path) : path_(std::move(path)) {
    or_exit(exit_input, [&] {
      if (starts_as_gguf()) {
        file_.emplace<gguf_file>(path_);
      } else {
        file_.emplace<safetensors_file>(path_);
        find_matrices();
      }
      list_tensors();
    });
    number_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  }
  source(const source&) = delete;
  source& operator=(const source&) = delete;
  ~source() {
    if (number_ >= 0) ::close(number_);
  }

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] file_format format() const noexcept {
    return gguf() != nullptr ? file_format::gguf : file_format::safetensors;
  }
  [[nodiscard]] const safetensors_file* safetensors() const noexcept {
    return std::get_if<safetensors_file>(&file_);
  }
  [[nodiscard]] const gguf_file* gguf() const noexcept { return std::get_if<gguf_file>(&file_); }

  /// In the order of the file.
  [[nodiscard]] const std::vector<source_tensor>& tensors() const noexcept { return tensors_; }
  /// The quantized matrices of fewbit, by name.
  [[nodiscard]] const std::unordered_map<std::string, source_matrix>& matrices() const noexcept {
    return matrices_;
  }
  [[nodiscard]] const source_tensor* find(std::string_view name) const {
    const auto found = by_name_.find(std::string(name));
    return found == by_name_.end() ? nullptr : &tensors_[found->second];
  }
  /// Reads bytes of a tensor, from byte `at` of it. Threads may call it at once.
  ///
  /// @throws failure if the file cannot be read or was shortened meanwhile
  void read(const source_tensor& t, std::uint64_t at, std::span<std::byte> to) const {
    std::uint64_t place = at + std::visit([](const auto& v) { return v.byte; }, t.view);
    while (!to.empty()) {
      const auto count = ::pread(number_, to.data(), to.size(), static_cast<off_t>(place));
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) {
        throw failure(exit_input, "tensor " + detail::name_text(t.name) + " at byte " +
                                      std::to_string(place) + " of " + detail::path_text(path_) +
                                      " is not readable, expected " + std::to_string(to.size()) +
                                      " more bytes");
      }
      place += static_cast<std::uint64_t>(count);
      to = to.subspan(static_cast<std::size_t>(count));
    }
  }

  /// Bytes of all tensors.
  [[nodiscard]] std::uint64_t bytes() const {
    std::uint64_t sum = 0;
    for (const source_tensor& t : tensors_) sum += t.bytes().size();
    return sum;
  }

 private:
  [[nodiscard]] bool starts_as_gguf() const {
    char magic[4] = {};
    std::ifstream file(path_, std::ios::binary);
    return file.read(magic, sizeof magic) && std::string_view(magic, 4) == "GGUF";
  }

  void find_matrices() {
    constexpr std::string_view prefix = "fewbit:";
    const safetensors_file& file = *safetensors();
    for (index i = 0; i < file.metadata_size(); ++i) {
      const std::string_view key = file.metadata_at(i).first;
      if (!key.starts_with(prefix)) continue;
      const auto stored = find_stored(file, key.substr(prefix.size()));
      matrices_.emplace(key.substr(prefix.size()),
                        source_matrix{std::string(stored->scheme), {stored->rows, stored->cols}});
    }
  }

  /// The matrix of fewbit that a tensor belongs to; empty if there is none.
  [[nodiscard]] std::string owner_of(std::string_view name) const {
    if (matrices_.contains(std::string(name))) return std::string(name);
    const std::size_t point = name.rfind('.');
    if (point == std::string_view::npos) return {};
    const std::string_view suffix = name.substr(point);
    for (const char* const known :
         {".scales", ".zero_points", ".minima", ".levels", ".negative_scales"}) {
      if (suffix != known) continue;
      const std::string owner(name.substr(0, point));
      return matrices_.contains(owner) ? owner : std::string();
    }
    return {};
  }

  void list_tensors() {
    using namespace source_detail;
    if (const safetensors_file* file = safetensors()) {
      for (const tensor_view t : *file) {
        std::string owner = owner_of(t.name);
        const content kind = !owner.empty()     ? content::part
                             : is_float(t.type) ? content::floats
                                                : content::numbers;
        add({std::string(t.name), std::string(fewbit::name_of(t.type)), copied(t.shape), kind,
             std::move(owner), t});
      }
    } else {
      for (const gguf_tensor t : *gguf()) {
        const content kind = is_float(t.type)   ? content::floats
                             : is_block(t.type) ? content::blocks
                                                : content::numbers;
        add({std::string(t.name),
             std::string(fewbit::name_of(t.type)),
             copied(t.shape()),
             kind,
             {},
             t});
      }
    }
  }

  void add(source_tensor&& t) {
    by_name_.emplace(t.name, tensors_.size());
    tensors_.push_back(std::move(t));
  }

  std::string path_;
  int number_ = -1;  // of the open file
  std::variant<std::monostate, safetensors_file, gguf_file> file_;
  std::vector<source_tensor> tensors_;
  std::unordered_map<std::string, std::size_t> by_name_;
  std::unordered_map<std::string, source_matrix> matrices_;
};

/// Memory that rows are read into, one chunk after the other. It grows to the largest chunk.
class read_memory {
 public:
  [[nodiscard]] std::span<std::byte> first(std::size_t bytes) {
    if (static_cast<std::size_t>(bytes_.size()) < bytes) {
      bytes_ = {};
      bytes_ = aligned_buffer<std::byte>(static_cast<index>(bytes), for_overwrite);
    }
    return {bytes_.data(), bytes};
  }

 private:
  aligned_buffer<std::byte> bytes_;
};

/// Rows of a tensor, read from its file. Reading into a buffer is several times faster than a first
/// use of mapped pages, and the pages of the file are not resident.
class row_bytes {
 public:
  /// @param memory  holds the rows; they are valid until it is used again
  row_bytes(read_memory& memory, const source& file, const source_tensor& t,
            const matrix_shape& shape, index first, index count) {
    const std::uint64_t row = t.bytes().size() / static_cast<std::uint64_t>(shape.rows);
    at_ = static_cast<std::uint64_t>(first) * row;
    bytes_ = memory.first(static_cast<std::size_t>(static_cast<std::uint64_t>(count) * row));
    file.read(t, at_, bytes_);
  }

  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }

  /// The rows as a tensor of the type of `t`; `extents` must outlive it.
  [[nodiscard]] tensor_view as(tensor_view t, const std::array<index, 2>& extents) const {
    t.shape = extents;
    t.byte += at_;
    t.bytes = bytes();
    return t;
  }
  [[nodiscard]] gguf_tensor as(gguf_tensor t, const std::array<index, 2>& extents) const {
    t.extents = {extents[0], extents[1], 1, 1};
    t.rank = 2;
    t.byte += at_;
    t.bytes = bytes();
    return t;
  }

 private:
  std::span<std::byte> bytes_;
  std::uint64_t at_ = 0;
};

/// Rows of a tensor as floats.
class float_rows {
 public:
  /// @param memory  as for row_bytes
  /// @param t       a tensor of floats or blocks
  float_rows(read_memory& memory, const source& file, const source_tensor& t,
             const matrix_shape& shape, index first, index count)
      : read_(memory, file, t, shape, first, count), rows_(count), cols_(shape.cols) {
    const std::array<index, 2> extents = {count, shape.cols};
    is_float32_ = t.type == "F32";
    if (is_float32_) return;
    converted_ =
        std::visit([&](const auto& v) { return read_.as(v, extents).to_floats(); }, t.view);
  }

  [[nodiscard]] Eigen::Map<const row_matrix<float>> matrix() const {
    const float* const data =
        is_float32_ ? reinterpret_cast<const float*>(read_.bytes().data()) : converted_.data();
    return {data, rows_, cols_};
  }

 private:
  row_bytes read_;
  index rows_;
  index cols_;
  bool is_float32_ = false;
  row_matrix<float> converted_;
};

/// A name without quotes, safe to print on a terminal.
[[nodiscard]] inline std::string plain(std::string_view name) {
  const std::string quoted = detail::name_text(name, std::string_view::npos);
  return quoted.substr(1, quoted.size() - 2);
}

/// The words of a scheme without those that most schemes share: "int4 grouped:32".
[[nodiscard]] inline std::string short_scheme(std::string text) {
  for (const std::string_view word : {" symmetric", " real_scale", " nearest_even"}) {
    const std::size_t at = text.find(word);
    const std::size_t end = at + word.size();
    if (at != std::string::npos && (end == text.size() || text[end] == ' ')) {
      text.erase(at, word.size());
    }
  }
  return text;
}

}  // namespace fewbit::examples::checkpoint
