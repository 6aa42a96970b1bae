#pragma once
/// What io/ needs of the operating system: files by their descriptors, and their mapping.
///
/// It is the only header with system calls. On a system without POSIX files every program compiles,
/// and the first call fails with a sentence. Read next: mapped_file.hpp, atomic_file.hpp.

#include "fewbit/begin.hpp"

#if defined(__unix__) || (defined(__APPLE__) && defined(__MACH__))
#define FEWBIT_HAS_POSIX_FILES 1
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#else
#define FEWBIT_HAS_POSIX_FILES 0
#endif

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <span>
#include <string>
#include <utility>

#include "fewbit/config.hpp"
#include "fewbit/io/file_error.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// What stands at a path.
struct file_status {
  bool exists = false;
  bool is_regular = false;
  unsigned permissions = 0;
  std::uint64_t size = 0;
};

/// Fails on systems without POSIX files.
inline void expect_posix_files([[maybe_unused]] const char* function) {
#if !FEWBIT_HAS_POSIX_FILES
  fail(function, "operating system", "no POSIX system", "one with mmap and fsync");
#endif
}

#if FEWBIT_HAS_POSIX_FILES

/// An open file; closed by the destructor. Functions that can fail return whether they did not, and
/// leave the reason in errno.
class open_file {
 public:
  open_file() noexcept = default;
  open_file(open_file&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  open_file& operator=(open_file&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  open_file(const open_file&) = delete;
  open_file& operator=(const open_file&) = delete;
  ~open_file() {
    if (number_ >= 0) ::close(number_);
  }

  [[nodiscard]] static open_file to_read(const std::string& path) noexcept {
    return open_file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  }
  /// A new file for reading and writing; fails if there is one.
  [[nodiscard]] static open_file create(const std::string& path) noexcept {
    return open_file(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  }

  [[nodiscard]] explicit operator bool() const noexcept { return number_ >= 0; }

  [[nodiscard]] bool status(file_status& result) const noexcept {
    struct stat status = {};
    if (::fstat(number_, &status) != 0) return false;
    result = {true, S_ISREG(status.st_mode), static_cast<unsigned>(status.st_mode & 07777U),
              static_cast<std::uint64_t>(status.st_size)};
    return true;
  }
  [[nodiscard]] bool set_permissions(unsigned permissions) const noexcept {
    return ::fchmod(number_, static_cast<mode_t>(permissions)) == 0;
  }

  /// Writes all bytes at position `at`.
  [[nodiscard]] bool write_at(std::uint64_t at, std::span<const std::byte> bytes) const noexcept {
    constexpr std::size_t most = std::size_t{1} << 30;  // Linux writes less than 2^31 at once
    while (!bytes.empty()) {
      const auto written =
          ::pwrite(number_, bytes.data(), std::min(bytes.size(), most), static_cast<off_t>(at));
      if (written < 0 && errno == EINTR) continue;
      if (written == 0) errno = EIO;  // no progress and no reason
      if (written <= 0) return false;
      at += static_cast<std::uint64_t>(written);
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
    return true;
  }

  /// Lets the system begin to write the bytes to the disk, and does not wait for it.
  void start_writing_back() const noexcept {
#if defined(__linux__) && defined(SYNC_FILE_RANGE_WRITE)
    (void)::sync_file_range(number_, 0, 0, SYNC_FILE_RANGE_WRITE);
#endif
  }

  /// Returns when the bytes are on the disk.
  [[nodiscard]] bool synchronize() const noexcept {
    while (::fsync(number_) != 0) {
      if (errno != EINTR) return false;
    }
    return true;
  }

  /// Removes the pages of the file from memory, so that it is next read from the disk. They must be
  /// on the disk.
  void forget_pages() const noexcept {
#if defined(POSIX_FADV_DONTNEED)
    (void)::posix_fadvise(number_, 0, 0, POSIX_FADV_DONTNEED);
#endif
  }

  /// Maps `size` bytes, at least 1, for reading; nullptr if that fails.
  [[nodiscard]] const std::byte* map(std::size_t size) const noexcept {
    void* const memory = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, number_, 0);
    return memory == MAP_FAILED ? nullptr : static_cast<const std::byte*>(memory);
  }

 private:
  explicit open_file(int number) noexcept : number_(number) {}

  int number_ = -1;
};

inline void unmap(const std::byte* memory, std::size_t size) noexcept {
  ::munmap(const_cast<std::byte*>(memory), size);
}

/// Removes whole pages of a mapping from memory; they are read again when they are used again.
inline void forget_mapped(std::span<const std::byte> bytes) noexcept {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto first = reinterpret_cast<std::uintptr_t>(bytes.data());
  const std::uintptr_t begin = (first + page - 1) / page * page;
  const std::uintptr_t end = (first + bytes.size()) / page * page;
  if (begin >= end) return;
  auto* const memory = const_cast<std::byte*>(bytes.data() + (begin - first));
  (void)::madvise(memory, end - begin, MADV_DONTNEED);
}

[[nodiscard]] inline file_status status_of(const std::string& path) noexcept {
  struct stat status = {};
  if (::stat(path.c_str(), &status) != 0) return {};
  return {true, S_ISREG(status.st_mode), static_cast<unsigned>(status.st_mode & 07777U),
          static_cast<std::uint64_t>(status.st_size)};
}

/// The path behind symbolic links, or `path` itself if nothing is there.
[[nodiscard]] inline std::string resolved(const std::string& path) {
  char* const real = ::realpath(path.c_str(), nullptr);
  if (real == nullptr) return path;
  std::string result = real;
  std::free(real);
  return result;
}

[[nodiscard]] inline bool rename_file(const std::string& from, const std::string& to) noexcept {
  return std::rename(from.c_str(), to.c_str()) == 0;
}

inline void remove_file(const std::string& path) noexcept { ::unlink(path.c_str()); }

[[nodiscard]] inline std::uint64_t process_number() noexcept {
  return static_cast<std::uint64_t>(::getpid());
}

#else

/// Takes the place of the class above. No call reaches it, because expect_posix_files() fails.
class open_file {
 public:
  [[nodiscard]] static open_file to_read(const std::string& /*path*/) noexcept { return {}; }
  [[nodiscard]] static open_file create(const std::string& /*path*/) noexcept { return {}; }
  [[nodiscard]] explicit operator bool() const noexcept { return false; }
  [[nodiscard]] bool status(file_status& /*result*/) const noexcept { return false; }
  [[nodiscard]] bool set_permissions(unsigned /*permissions*/) const noexcept { return false; }
  [[nodiscard]] bool write_at(std::uint64_t /*at*/,
                              std::span<const std::byte> /*bytes*/) const noexcept {
    return false;
  }
  void start_writing_back() const noexcept {}
  [[nodiscard]] bool synchronize() const noexcept { return false; }
  void forget_pages() const noexcept {}
  [[nodiscard]] const std::byte* map(std::size_t /*size*/) const noexcept { return nullptr; }
};

inline void unmap(const std::byte* /*memory*/, std::size_t /*size*/) noexcept {}
inline void forget_mapped(std::span<const std::byte> /*bytes*/) noexcept {}
[[nodiscard]] inline file_status status_of(const std::string& /*path*/) noexcept { return {}; }
[[nodiscard]] inline std::string resolved(const std::string& path) { return path; }
[[nodiscard]] inline bool rename_file(const std::string& /*from*/,
                                      const std::string& /*to*/) noexcept {
  return false;
}
inline void remove_file(const std::string& /*path*/) noexcept {}
[[nodiscard]] inline std::uint64_t process_number() noexcept { return 0; }

#endif

/// "models" of "models/a.safetensors", "." of "a.safetensors", "/" of "/a.safetensors".
[[nodiscard]] inline std::string folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
