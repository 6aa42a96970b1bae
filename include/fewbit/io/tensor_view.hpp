#pragma once
/// A tensor of a file: its name, type and shape, and its bytes in the file.
///
///     const tensor_view t = file.at("model.norm.weight");
///     t.matrix<float>()          // an Eigen::Map of the file, if t.type is F32
///     t.to_floats()              // a matrix of floats, from F16, BF16, F32 or F64
///
/// Read next: safetensors.hpp, which returns it.

#include "fewbit/begin.hpp"

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "fewbit/config.hpp"
#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/io/dtype.hpp"
#include "fewbit/io/file_error.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// "[2, 3]". Long shapes are cut.
[[nodiscard]] inline std::string text_of_shape(std::span<const index> shape) {
  constexpr std::size_t most = 8;
  std::string result = "[";
  for (std::size_t i = 0; i < shape.size() && i < most; ++i) {
    result += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  }
  return result + (shape.size() > most ? ", ...]" : "]");
}

/// The number of bits of a tensor, or -1 if it does not fit an index. Extents of 0 do not hide an
/// overflow of the others. No extent is negative.
[[nodiscard]] inline index bits_of_tensor(dtype type, std::span<const index> shape) noexcept {
  index bits = bits_of(type);
  bool is_empty = false;
  for (const index extent : shape) {
    if (extent == 0) {
      is_empty = true;
    } else if (bits > std::numeric_limits<index>::max() / extent) {
      return -1;
    } else {
      bits *= extent;
    }
  }
  return is_empty ? 0 : bits;
}

}  // namespace detail

/// A row-major matrix of numbers in a file: an Eigen::Map of the file. If the numbers of the file
/// are not aligned to their size, it is a Map of a copy that it holds. Can be moved, not copied.
template <class T>
class file_matrix : public Eigen::Map<const row_matrix<T>> {
  using map = Eigen::Map<const row_matrix<T>>;

 public:
  /// @param bytes  rows * cols numbers
  file_matrix(std::span<const std::byte> bytes, index rows, index cols)
      : file_matrix(copied_if_needed(bytes), bytes, rows, cols) {}
  file_matrix(file_matrix&& other) noexcept
      : map(other.data(), other.rows(), other.cols()), copy_(std::move(other.copy_)) {}
  file_matrix(const file_matrix&) = delete;
  file_matrix& operator=(const file_matrix&) = delete;
  file_matrix& operator=(file_matrix&&) = delete;
  ~file_matrix() = default;

  /// Whether it reads the file in place.
  [[nodiscard]] bool is_mapped() const noexcept { return copy_.empty(); }

 private:
  file_matrix(aligned_buffer<std::byte>&& copy, std::span<const std::byte> bytes, index rows,
              index cols)
      : map(reinterpret_cast<const T*>(copy.empty() ? bytes.data() : copy.data()), rows, cols),
        copy_(std::move(copy)) {}

  static aligned_buffer<std::byte> copied_if_needed(std::span<const std::byte> bytes) {
    if (bytes.empty() || reinterpret_cast<std::uintptr_t>(bytes.data()) % alignof(T) == 0) {
      return {};
    }
    aligned_buffer<std::byte> copy(static_cast<index>(bytes.size()), for_overwrite);
    std::memcpy(copy.data(), bytes.data(), bytes.size());
    return copy;
  }

  aligned_buffer<std::byte> copy_;
};

/// Refers to the object that returned it, and to its file; both must outlive it.
struct tensor_view {
  std::string_view name;
  dtype type = dtype::f32;
  /// Extents, the one of neighbouring numbers last. Empty: one number.
  std::span<const index> shape;
  /// The numbers, little-endian, row-major. Fewer than 8 bits: packed without gaps.
  std::span<const std::byte> bytes;
  std::string_view file;   ///< its name, for errors
  std::uint64_t byte = 0;  ///< position of the numbers in the file

  /// The first extent; 1 without extents.
  [[nodiscard]] index rows() const noexcept { return shape.empty() ? 1 : shape[0]; }
  /// The product of the other extents.
  [[nodiscard]] index cols() const noexcept {
    index product = 1;
    for (std::size_t i = 1; i < shape.size(); ++i) product *= shape[i];
    return product;
  }

  /// The numbers as a matrix of rows() x cols(), in the file.
  ///
  /// @throws fewbit::error if T is not the C++ type of `type`
  template <FileScalar T>
  [[nodiscard]] file_matrix<T> matrix() const {
    detail::expect_little_endian_files("tensor_view::matrix");
    if (type != dtype_of<T>) {
      fail("matrix", "type", name_of(type), name_of(dtype_of<T>));
    }
    if constexpr (std::same_as<T, bool>) expect_booleans();
    return {bytes, rows(), cols()};
  }

  /// The numbers as floats, rows() x cols(). F64 is rounded to nearest; the others keep their
  /// values.
  ///
  /// @throws fewbit::error unless `type` is F16, BF16, F32 or F64
  [[nodiscard]] row_matrix<float> to_floats() const {
    switch (type) {
      case dtype::f16:
        return matrix<Eigen::half>().template cast<float>();
      case dtype::bf16:
        return matrix<Eigen::bfloat16>().template cast<float>();
      case dtype::f32:
        return matrix<float>();
      case dtype::f64:
        return matrix<double>().template cast<float>();
      default:
        fail("to_floats", "type", name_of(type), "F16, BF16, F32 or F64");
    }
  }

 private:
  [[noreturn]] void fail(const char* call, std::string_view what, std::string_view got,
                         std::string_view want) const {
    detail::fail_in_file((std::string("tensor_view::") + call).c_str(), what,
                         {file, static_cast<std::int64_t>(byte), name}, std::string(got),
                         std::string(want));
  }

  /// A bool of C++ is 0 or 1, and nothing else may be read as one.
  void expect_booleans() const {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      const auto value = std::to_integer<unsigned>(bytes[i]);
      if (value > 1) fail("matrix", "byte " + std::to_string(i), std::to_string(value), "0 or 1");
    }
  }
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
