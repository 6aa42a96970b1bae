#pragma once
/// A file that is written wholly or not at all.
///
///     atomic_file file("model.safetensors");
///     file.write(0, header);              // parts in any order
///     file.write(header.size(), data);
///     file.commit();                      // now it has its name
///
/// The bytes go to a new file beside the old one, `<path>.<process>-<number>.part`. commit() writes
/// them to the disk (fsync), gives the new file the name of the old one (rename), and writes the
/// folder to the disk. At each moment the name belongs to the old file or to the whole new one, for
/// readers, after the end of the process and after a power failure. Without commit() the destructor
/// removes the new file, and so does each error. A killed process leaves it behind.
/// Read next: safetensors_writer.hpp.

#include "fewbit/begin.hpp"

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/io/checksum.hpp"
#include "fewbit/io/file_error.hpp"
#include "fewbit/io/mapped_file.hpp"
#include "fewbit/io/posix.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// Whether a written file is read again before it gets its name.
enum class read_back : std::uint8_t {
  no,
  /// Reads the file from the disk and compares the checksum of each part that was written. It costs
  /// a checksum while writing, and 24 bytes of memory for each call of write().
  compare
};

/// The new content of a file, as the head of this header says. It can be moved.
class atomic_file {
 public:
  /// Creates the temporary file. A symbolic link at `path` stays: the file that it names is
  /// replaced. The new file has the permissions of the old one, if there is one.
  ///
  /// @param function  the name in the sentence of an error
  /// @throws fewbit::error with the reason of the system if the file cannot be created, if `path`
  ///         is a folder or a device, or on a system without POSIX files
  explicit atomic_file(const std::string& path, read_back check = read_back::no,
                       const char* function = "atomic_file")
      : function_(function), checks_(check == read_back::compare) {
    detail::expect_posix_files(function);
    path_ = detail::resolved(path);
    const detail::file_status old = detail::status_of(path_);
    if (old.exists && !old.is_regular) {
      detail::fail(function, detail::path_text(path_), "a folder or a device",
                   "a regular file or a new name");
    }
    create();
    if (old.exists && !file_.set_permissions(old.permissions)) fail();
  }

  atomic_file(atomic_file&& other) noexcept
      : path_(std::move(other.path_)),
        part_(std::exchange(other.part_, {})),
        function_(other.function_),
        checks_(other.checks_),
        file_(std::move(other.file_)),
        waiting_(other.waiting_),
        writes_(std::move(other.writes_)) {}
  atomic_file& operator=(atomic_file&&) = delete;
  atomic_file(const atomic_file&) = delete;
  atomic_file& operator=(const atomic_file&) = delete;
  ~atomic_file() { remove(); }

  /// The name that commit() gives to the file.
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  /// The name until then; empty after commit() and after an error.
  [[nodiscard]] const std::string& temporary_path() const noexcept { return part_; }

  /// Writes `bytes` at position `at`. Parts may come in any order; with read_back::compare they
  /// must not overlap. Bytes between parts are zero.
  ///
  /// @throws fewbit::error with the reason of the system, for example a full disk. The temporary
  ///         file is then removed.
  void write(std::uint64_t at, std::span<const std::byte> bytes) {
    expect_open();
    if (!file_.write_at(at, bytes)) fail();
    waiting_ += bytes.size();
    if (waiting_ >= write_back_step) {
      file_.start_writing_back();
      waiting_ = 0;
    }
    if (checks_ && !bytes.empty()) writes_.push_back({at, bytes.size(), checksum(bytes)});
  }

  /// Replaces the file of the name by the one that was written.
  ///
  /// @throws fewbit::error with the reason of the system, or if a part that is read back has
  ///         changed. The old file then stays, unless the folder alone could not be written to the
  ///         disk.
  void commit() {
    expect_open();
    if (!file_.synchronize()) fail();
    if (checks_) compare();
    if (!detail::rename_file(part_, path_)) fail();
    part_.clear();
    file_ = {};
    const std::string folder = detail::folder_of(path_);
    const auto opened = detail::open_file::to_read(folder);
    // Some file systems cannot synchronize a folder. The file is then as safe as it can be.
    if (!opened || (!opened.synchronize() && errno != EINVAL)) {
      detail::fail_with_errno(function_, folder, "synchronized", errno, "a folder on a disk");
    }
  }

 private:
  struct written_part {
    std::uint64_t at;
    std::uint64_t size;
    std::uint64_t sum;
  };

  /// The disk works while further parts are computed, so that commit() waits for the last ones
  /// alone. Without it, Linux keeps bytes in memory for seconds.
  static constexpr std::uint64_t write_back_step = std::uint64_t{8} << 20;

  /// The number in the name differs for all files of this process. Numbers of a former process of
  /// the same number are skipped.
  void create() {
    static std::atomic<std::uint32_t> last{0};
    constexpr int most_names = 10000;
    for (int i = 0; i < most_names; ++i) {
      part_ = path_ + "." + std::to_string(detail::process_number()) + "-" +
              std::to_string(++last) + ".part";
      file_ = detail::open_file::create(part_);
      if (file_ || errno != EEXIST) break;
    }
    if (file_) return;
    part_.clear();
    fail();
  }

  void expect_open() const {
    if (part_.empty()) {
      detail::fail(function_, detail::path_text(path_), "closed already", "an open file");
    }
  }

  void compare() {
    file_.forget_pages();
    const mapped_file again(part_, function_);
    constexpr std::uint64_t most_resident = std::uint64_t{16} << 20;
    std::uint64_t resident = 0;
    for (const auto& [at, size, sum] : writes_) {
      const bool is_there = at <= again.bytes().size() && size <= again.bytes().size() - at;
      const bool is_equal = is_there && checksum(again.bytes().subspan(at, size)) == sum;
      resident += size;
      if (resident >= most_resident) {
        mapped_file::forget(again.bytes());
        resident = 0;
      }
      if (is_equal) continue;
      remove();
      detail::fail_in_file(function_, std::to_string(size) + " bytes",
                           {path_, static_cast<std::int64_t>(at)}, "changed when it was read back",
                           "what was written");
    }
  }

  void remove() noexcept {
    if (part_.empty()) return;
    detail::remove_file(part_);
    part_.clear();
    file_ = {};
  }

  [[noreturn]] void fail() {
    const int number = errno;
    remove();
    detail::fail_with_errno(function_, path_, "writable", number,
                            "a file in a folder with permission and space");
  }

  std::string path_;
  std::string part_;
  const char* function_;
  bool checks_;
  detail::open_file file_;
  std::uint64_t waiting_ = 0;  // bytes since the system last began to write
  std::vector<written_part> writes_;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
