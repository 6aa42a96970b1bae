#pragma once
/// The header of an image of packed weights, and its checks. Read before: gemm/weights_image.hpp.

#include "fewbit/begin.hpp"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <type_traits>

#include "fewbit/core/error.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm { namespace detail {

/// A number of the layout, and its name in an error. An unused number has no name.
struct image_number {
  const char* name = nullptr;
  std::int32_t value = 0;
};

/// What all images of a type of weights have in common.
struct image_form {
  const char* name;    // of the class
  std::uint32_t code;  // 1 int8, 2 few bits, 3 groups, 4 planes, 5 tables
  std::size_t parameters;
  std::array<image_number, 8> layout;
};

/// The parameters of weights beside n and k. Unused ones are 0.
using image_parameters = std::array<std::int64_t, 5>;

struct image_header {
  std::array<char, 8> magic = {'f', 'e', 'w', 'b', 'i', 't', '\0', 'W'};
  std::uint32_t version = 1;
  std::uint32_t form = 0;
  std::int64_t bytes = 0;
  std::uint64_t header_checksum = 0;
  std::uint64_t arrays_checksum = 0;
  std::int64_t n = 0;
  std::int64_t k = 0;
  image_parameters parameters = {};
  std::array<std::int32_t, 8> layout = {};
};
static_assert(sizeof(image_header) == 128 && std::is_trivially_copyable_v<image_header>);

inline constexpr index image_alignment = 64;

[[nodiscard]] constexpr index image_aligned(index bytes) noexcept {
  return (bytes + image_alignment - 1) / image_alignment * image_alignment;
}

/// A number that changes if any one word of 64 bits changes. `bytes` is a multiple of 64.
[[nodiscard]] inline std::uint64_t image_checksum(const std::byte* from, index bytes) noexcept {
  constexpr int lanes = 8;  // independent multiplications
  // Each step is a bijection of the sum for any word, and of the word for any sum.
  const auto add = [](std::uint64_t sum, std::uint64_t word) {
    return std::rotl(sum ^ word, 29) * 0x9E3779B97F4A7C15U;
  };
  std::uint64_t sums[lanes];
  for (int i = 0; i < lanes; ++i) sums[i] = static_cast<std::uint64_t>(i) + 1;
  for (index first = 0; first < bytes; first += lanes * 8) {
    std::uint64_t words[lanes];
    std::memcpy(words, from + first, sizeof(words));
    for (int i = 0; i < lanes; ++i) sums[i] = add(sums[i], words[i]);
  }
  std::uint64_t sum = 0;
  for (const std::uint64_t lane : sums) sum = add(sum, lane);
  return sum ^ sum >> 32;
}

[[nodiscard]] inline std::uint64_t checksum_of_header(image_header header) noexcept {
  header.header_checksum = 0;
  std::byte bytes[sizeof(header)];
  std::memcpy(bytes, &header, sizeof(header));
  return image_checksum(bytes, sizeof(header));
}

/// Fails with "fewbit: <form>::<call>: ...".
template <class Got>
[[noreturn]] void fail_image(const char* form, const char* call, const std::string& argument,
                             const Got& got, const std::string& want) {
  fewbit::detail::fail((std::string(form) + "::" + call).c_str(), argument, got, want);
}

inline void expect_little_endian(const char* form, const char* call) {
  if constexpr (std::endian::native != std::endian::little) {
    fail_image(form, call, "byte order of the processor", "big-endian", "little-endian");
  }
}

/// The header of an image of any form and layout, after all checks that do not depend on them.
class any_image {
 public:
  /// Checks size, alignment and checksum of the header, and that n x k codes are not more than the
  /// bits of the image.
  ///
  /// @param form      the class of the weights, for error sentences
  /// @param function  the start of error sentences, instead of the class; or nullptr
  any_image(std::span<const std::byte> image, const char* form, const char* function)
      : image_(image), form_(form), function_(function) {
    const auto size = static_cast<std::int64_t>(image.size());
    if (size < index{sizeof(image_header)}) {
      fail("size of the image", size, "at least " + std::to_string(sizeof(image_header)));
    }
    const auto misaligned =
        reinterpret_cast<std::uintptr_t>(image.data()) % std::uintptr_t{image_alignment};
    if (misaligned != 0) {
      fail("address of the image modulo " + std::to_string(image_alignment), misaligned, "0");
    }
    std::memcpy(&header_, image.data(), sizeof(header_));
    if (header_.magic != image_header{}.magic) {
      fail("start of the image", "another sequence of bytes", "\"fewbit\\0W\"");
    }
    if (header_.version != image_header{}.version) {
      fail("version of the format", header_.version, std::to_string(image_header{}.version));
    }
    if (header_.header_checksum != checksum_of_header(header_)) {
      fail("checksum of the header", header_.header_checksum,
           std::to_string(checksum_of_header(header_)));
    }
    if (header_.bytes < index{sizeof(image_header)} || header_.bytes > size) {
      fail("size of the image", size, "at least " + std::to_string(header_.bytes));
    }
    expect_extents();
  }

  [[nodiscard]] const image_header& header() const noexcept { return header_; }
  [[nodiscard]] index n() const noexcept { return static_cast<index>(header_.n); }
  [[nodiscard]] index k() const noexcept { return static_cast<index>(header_.k); }
  /// The bytes behind the header.
  [[nodiscard]] std::span<const std::byte> arrays() const noexcept {
    return image_.subspan(sizeof(header_),
                          static_cast<std::size_t>(header_.bytes) - sizeof(header_));
  }

  /// Parameter i.
  /// @throws fewbit::error unless it is least .. most
  [[nodiscard]] index parameter(std::size_t i, const char* name, index least, index most) const {
    expect_range(name, header_.parameters[i], least, most);
    return static_cast<index>(header_.parameters[i]);
  }
  void expect_range(const char* name, std::int64_t got, index least, index most) const {
    if (got >= least && got <= most) return;
    fail(name, got, std::to_string(least) + " to " + std::to_string(most));
  }

  /// Whether the image has this form and layout.
  [[nodiscard]] bool has(const image_form& form) const noexcept {
    for (std::size_t i = 0; i < form.layout.size(); ++i) {
      if (header_.layout[i] != form.layout[i].value) return false;
    }
    return header_.form == form.code;
  }

  /// Fails if a byte behind the header has changed.
  void expect_contents() const {
    const std::uint64_t sum = image_checksum(arrays().data(), static_cast<index>(arrays().size()));
    if (sum != header_.arrays_checksum) {
      fail("checksum of the arrays", sum, std::to_string(header_.arrays_checksum));
    }
  }

  template <class Got>
  [[noreturn]] void fail(const std::string& argument, const Got& got,
                         const std::string& want) const {
    if (function_ == nullptr) fail_image(form_, "view", argument, got, want);
    fewbit::detail::fail(function_, argument, got, want);
  }

 private:
  /// Products of extents then fit an index: a code takes at most 32 bytes with its padding and
  /// scales, and at most 255 columns pad n.
  void expect_extents() const {
    constexpr std::int64_t largest_image = std::int64_t{1} << 40;
    constexpr std::int64_t bytes_of_code = 32, padding = 255;
    static_assert((8 * largest_image + padding) <=
                  std::numeric_limits<std::int64_t>::max() / (bytes_of_code * (padding + 1)));
    const std::int64_t n = header_.n, k = header_.k;
    if (n < 1) fail("number of rows", n, "at least 1");
    if (k < 1) fail("number of columns", k, "at least 1");
    if (header_.bytes > largest_image) {
      fail("number of bytes in the header", header_.bytes,
           "at most " + std::to_string(largest_image));
    }
    const std::int64_t codes = 8 * header_.bytes;
    constexpr std::int64_t most = std::numeric_limits<index>::max() / bytes_of_code;
    if (n <= codes && k <= codes / n && k <= most / (n + padding)) return;
    fail("shape", fewbit::detail::shape_text(n, k),
         "at most " + std::to_string(codes) + " codes in " + std::to_string(header_.bytes) +
             " bytes");
  }

  std::span<const std::byte> image_;
  const char* form_;
  const char* function_;
  image_header header_;
};

/// The same for an image of one form and layout.
class image_reader : public any_image {
 public:
  /// @throws fewbit::error also if form or layout differ
  image_reader(std::span<const std::byte> image, const image_form& form, const char* function)
      : any_image(image, form.name, function) {
    if (header().form != form.code) {
      fail("form of the weights", header().form, std::to_string(form.code));
    }
    for (std::size_t i = 0; i < form.layout.size(); ++i) {
      const auto& [name, value] = form.layout[i];
      if (header().layout[i] == value) continue;
      fail(name == nullptr ? "number of the layout without a meaning" : name, header().layout[i],
           std::to_string(value) + " for this type and instruction set");
    }
    for (std::size_t i = form.parameters; i < header().parameters.size(); ++i) {
      if (header().parameters[i] != 0) fail("unused parameter", header().parameters[i], "0");
    }
  }

  /// Fails unless the extents and parameters give an image of the size that the header states.
  void expect_bytes(index bytes) const {
    if (header().bytes == bytes) return;
    fail("number of bytes in the header", header().bytes, std::to_string(bytes));
  }
};

}  // namespace detail

}}}  // namespace fewbit::gemm

#include "fewbit/end.hpp"
