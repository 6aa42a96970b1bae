#pragma once
/// Reads a GGUF file from front to back. Its errors name the key or the tensor that is being read,
/// and the byte of the field.
///
/// Read next: value.hpp, tensor.hpp, table.hpp.

#include "fewbit/begin.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "fewbit/config.hpp"
#include "fewbit/io/byte_reader.hpp"
#include "fewbit/io/file_error.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// The longest text and array. The reference program has the same limit.
inline constexpr std::uint64_t longest_gguf_item = std::uint64_t{1} << 30;

/// A position in a file, and the name of what is there.
class gguf_cursor {
 public:
  /// Starts at byte `at`, at most the size of the file.
  gguf_cursor(const char* function, std::string_view file, std::span<const std::byte> bytes,
              std::uint64_t at = 0)
      : function_(function), file_(file), in_(function, file, bytes) {
    (void)in_.read_bytes(at, "position");
  }

  [[nodiscard]] std::uint64_t position() const noexcept { return in_.position(); }
  [[nodiscard]] std::uint64_t remaining() const noexcept { return in_.remaining(); }
  [[nodiscard]] std::string_view file() const noexcept { return file_; }

  /// Errors from now on name this. `kind` is "key", "tensor" or empty.
  void name(std::string_view kind, std::string_view name) noexcept {
    kind_ = kind;
    name_ = name;
  }

  template <class T>
  [[nodiscard]] T read(std::string_view what) {
    expect_remaining(sizeof(T), what);
    return in_.template read<T>(what);
  }

  [[nodiscard]] std::span<const std::byte> read_bytes(std::uint64_t count, std::string_view what) {
    expect_remaining(count, what);
    return in_.read_bytes(count, what);
  }

  /// A length and that many bytes.
  [[nodiscard]] std::string_view read_text(std::string_view what,
                                           std::uint64_t most = longest_gguf_item) {
    const auto length = read<std::uint64_t>(what);
    if (length > most) {
      fail(what, std::to_string(length) + " bytes", "at most " + std::to_string(most));
    }
    if (length > in_.remaining()) fail_short(what, length);
    return in_.read_text(length, what);
  }

  /// Fails with the byte where the last read began.
  [[noreturn]] void fail(std::string_view what, const std::string& got,
                         const std::string& want) const {
    std::string subject(what);
    if (!kind_.empty()) subject.append(" of ").append(kind_).append(" ").append(name_text(name_));
    fail_in_file(function_, subject, {file_, static_cast<std::int64_t>(last_)}, got, want);
  }

 private:
  void expect_remaining(std::uint64_t count, std::string_view what) {
    last_ = in_.position();
    if (count > in_.remaining()) fail_short(what, count);
  }

  [[noreturn]] void fail_short(std::string_view what, std::uint64_t count) const {
    fail(what, std::to_string(count) + " bytes",
         "at most " + std::to_string(in_.remaining()) + ", the rest of the file");
  }

  const char* function_;
  std::string_view file_;
  byte_reader in_;
  std::uint64_t last_ = 0;
  std::string_view kind_;
  std::string_view name_;
};

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
