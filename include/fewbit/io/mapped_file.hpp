#pragma once
/// A file that is read where it is: mapped into memory, nothing is copied.
///
///     const mapped_file file("model.safetensors");
///     file.bytes()                                  // read from the disk when they are first used
///
/// Use it for files of any size, also larger than memory. The readers of this folder hold one.
/// Another process must not shorten the file meanwhile: the system would end this process with
/// SIGBUS. To replace a file while others read it, write it with atomic_file.hpp.
/// Read next: byte_reader.hpp.

#include "fewbit/begin.hpp"

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <utility>

#include "fewbit/config.hpp"
#include "fewbit/core/index.hpp"
#include "fewbit/io/file_error.hpp"
#include "fewbit/io/posix.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// The bytes of a file, read-only. It can be moved; the bytes keep their address.
class mapped_file {
 public:
  /// No file, no bytes.
  mapped_file() noexcept = default;

  /// Maps the whole file. An empty file has no bytes.
  ///
  /// @param function  the name in the sentence of an error
  /// @throws fewbit::error with the reason of the system if the file cannot be read, if it is no
  ///         regular file, or on a system without POSIX files
  explicit mapped_file(std::string path, const char* function = "mapped_file")
      : path_(std::move(path)) {
    detail::expect_posix_files(function);
    const auto file = detail::open_file::to_read(path_);
    detail::file_status status;
    if (!file || !file.status(status)) fail(function, errno);
    if (!status.is_regular) {
      detail::fail(function, detail::path_text(path_), "a folder or a device", "a regular file");
    }
    if (status.size > static_cast<std::uint64_t>(std::numeric_limits<index>::max())) {
      fail(function, EFBIG);
    }
    size_ = static_cast<std::size_t>(status.size);
    if (size_ == 0) return;
    data_ = file.map(size_);
    if (data_ == nullptr) fail(function, errno);
  }

  mapped_file(mapped_file&& other) noexcept { swap(other); }
  mapped_file& operator=(mapped_file&& other) noexcept {
    mapped_file(std::move(other)).swap(*this);
    return *this;
  }
  mapped_file(const mapped_file&) = delete;
  mapped_file& operator=(const mapped_file&) = delete;
  ~mapped_file() {
    if (data_ != nullptr) detail::unmap(data_, size_);
  }

  void swap(mapped_file& other) noexcept {
    path_.swap(other.path_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  /// Valid as long as this object, or the one that it is moved to. Aligned to a page.
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }

  /// Removes the whole pages of `part`, a part of bytes(), from memory. Call it after the last use
  /// of a tensor to bound the memory of a program that reads a large file. The bytes stay valid:
  /// they are read from the disk again.
  static void forget(std::span<const std::byte> part) noexcept { detail::forget_mapped(part); }

 private:
  [[noreturn]] void fail(const char* function, int number) const {
    detail::fail_with_errno(function, path_, "readable", number, "a file that can be mapped");
  }

  std::string path_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
