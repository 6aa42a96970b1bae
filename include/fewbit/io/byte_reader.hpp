#pragma once
/// Reads numbers and texts of a file one after the other, and never outside of it.
///
///     byte_reader in("gguf_file", path, bytes);
///     const auto version = in.read<std::uint32_t>("version");
///     const std::string_view key = in.read_text(in.read<std::uint64_t>("length of key"), "key");
///
/// Numbers are little-endian, on every processor, at any address. Each read names what is read, for
/// the sentence of an error. Read next: safetensors.hpp.

#include "fewbit/begin.hpp"

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "fewbit/config.hpp"
#include "fewbit/io/file_error.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// A position in the bytes of a file. The bytes, the name of the file and the name of the function
/// must outlive it.
class byte_reader {
 public:
  /// @param function  the name in the sentence of an error
  /// @param file      the name of the file in it
  byte_reader(const char* function, std::string_view file,
              std::span<const std::byte> bytes) noexcept
      : function_(function), file_(file), bytes_(bytes) {}

  /// Bytes that were read.
  [[nodiscard]] std::uint64_t position() const noexcept { return position_; }
  /// Bytes that follow.
  [[nodiscard]] std::uint64_t remaining() const noexcept { return bytes_.size() - position_; }

  /// The next `count` bytes, in place.
  ///
  /// @throws fewbit::error if fewer follow
  [[nodiscard]] std::span<const std::byte> read_bytes(std::uint64_t count, std::string_view what) {
    if (count > remaining()) {
      fail(what, std::to_string(count) + " bytes",
           "at most " + std::to_string(remaining()) + ", the rest of the file");
    }
    const auto result = bytes_.subspan(position_, static_cast<std::size_t>(count));
    position_ += static_cast<std::size_t>(count);
    return result;
  }

  /// The next `count` bytes as text, in place.
  ///
  /// @throws fewbit::error if fewer follow
  [[nodiscard]] std::string_view read_text(std::uint64_t count, std::string_view what) {
    const auto text = read_bytes(count, what);
    return {reinterpret_cast<const char*>(text.data()), text.size()};
  }

  /// The next number.
  ///
  /// @throws fewbit::error if fewer bytes follow than it has
  template <class T>
    requires std::integral<T> || std::floating_point<T>
  [[nodiscard]] T read(std::string_view what) {
    static_assert(sizeof(T) <= 8);
    std::uint64_t bits = 0;
    int shift = 0;
    for (const std::byte byte : read_bytes(sizeof(T), what)) {
      bits |= std::to_integer<std::uint64_t>(byte) << shift;
      shift += 8;
    }
    if constexpr (std::same_as<T, float>) {
      return std::bit_cast<float>(static_cast<std::uint32_t>(bits));
    } else if constexpr (std::same_as<T, double>) {
      return std::bit_cast<double>(bits);
    } else {
      return static_cast<T>(bits);
    }
  }

  /// Fails with the position before the last read that failed, or after the last that did not.
  template <class Got, class Want>
  [[noreturn]] void fail(std::string_view what, const Got& got, const Want& want) const {
    detail::fail_in_file(function_, what, {file_, static_cast<std::int64_t>(position_)}, got, want);
  }

 private:
  const char* function_;
  std::string_view file_;
  std::span<const std::byte> bytes_;
  std::size_t position_ = 0;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
