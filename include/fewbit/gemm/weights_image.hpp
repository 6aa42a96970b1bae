#pragma once
/// Images: packed weights as one block of bytes, which is read in place.
///
/// An image is written once, for example into a file or a C array. `view` makes weights that read
/// it where it is: in flash, in a mapped file, in an arena. Nothing is copied and nothing is
/// allocated. All forms of weights have the same calls:
///
///     std::vector<std::byte> image(w.image_bytes());        // bytes of any alignment
///     w.write_image(image);                                 // once
///     const auto v = decltype(w)::view(bytes_of_the_file);  // aligned to 64 bytes
///     gemm::multiply(a, v, c, epilogue, scratch);           // same results, same speed
///
/// An image is a header of 128 bytes and the arrays of the form, each at a multiple of 64 bytes.
/// The bytes between them are zero. It is little-endian and has no address in it, so it may be
/// anywhere. The same weights give the same bytes.
///
/// | bytes      | header                                                          |
/// |------------|-----------------------------------------------------------------|
/// | 0 .. 7     | "fewbit\0W"                                                     |
/// | 8 .. 11    | uint32: version of the format, 1                                |
/// | 12 .. 15   | uint32: form, 1 to 5 (detail::image_form)                       |
/// | 16 .. 23   | int64: bytes of the image                                       |
/// | 24 .. 31   | uint64: checksum of the header, computed with 0 in this field   |
/// | 32 .. 39   | uint64: checksum of all bytes behind the header                 |
/// | 40 .. 55   | int64: n, k                                                     |
/// | 56 .. 95   | int64: 5 parameters of the form (parameters_of_image), unused 0 |
/// | 96 .. 127  | int32: 8 numbers of the layout (form_of_image), unused 0        |
///
/// The layout depends on the instruction set: an image is read by the form, types and layout that
/// wrote it, and refused by all others. Keep one image for each instruction set, or pack at the
/// start. The checksums find damage. They do not find a forged image.
///
/// Read next: the weights of a form, for example gemm/int8/weights.hpp.

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
#include "fewbit/core/stored_array.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm {

/// What `view` reads to check an image.
enum class image_check : std::uint8_t {
  /// The header and the checksum of the arrays: all bytes are read once.
  contents,
  /// The header, and the proofs of int8_weights: the other bytes are not read. Use it for a large
  /// mapped file that was checked before. Damaged arrays give wrong results, but no product reads
  /// outside the image.
  header
};

namespace detail {

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

/// The header of an image, after all checks that do not depend on the form.
class image_reader {
 public:
  /// Checks size, alignment, checksum and layout, and that n x k codes are not more than the bits
  /// of the image.
  image_reader(std::span<const std::byte> image, const image_form& form)
      : image_(image), form_(form) {
    expect_little_endian(form.name, "view");
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
    expect_form();
    if (header_.bytes < index{sizeof(image_header)} || header_.bytes > size) {
      fail("size of the image", size, "at least " + std::to_string(header_.bytes));
    }
    expect_extents();
  }

  [[nodiscard]] index n() const noexcept { return static_cast<index>(header_.n); }
  [[nodiscard]] index k() const noexcept { return static_cast<index>(header_.k); }

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

  /// Fails unless the extents and parameters give an image of the size that the header states.
  void expect_bytes(index bytes) const {
    if (header_.bytes == bytes) return;
    fail("number of bytes in the header", header_.bytes, std::to_string(bytes));
  }

  /// Fails if a byte behind the header has changed. Call it after expect_bytes.
  void expect_contents() const {
    const std::uint64_t sum =
        image_checksum(image_.data() + sizeof(header_),
                       static_cast<index>(header_.bytes) - index{sizeof(header_)});
    if (sum != header_.arrays_checksum) {
      fail("checksum of the arrays", sum, std::to_string(header_.arrays_checksum));
    }
  }

  template <class Got>
  [[noreturn]] void fail(const std::string& argument, const Got& got,
                         const std::string& want) const {
    fail_image(form_.name, "view", argument, got, want);
  }

 private:
  void expect_form() const {
    if (header_.form != form_.code) {
      fail("form of the weights", header_.form, std::to_string(form_.code));
    }
    for (std::size_t i = 0; i < form_.layout.size(); ++i) {
      const auto& [name, value] = form_.layout[i];
      if (header_.layout[i] == value) continue;
      fail(name == nullptr ? "number of the layout without a meaning" : name, header_.layout[i],
           std::to_string(value) + " for this type and instruction set");
    }
    for (std::size_t i = form_.parameters; i < header_.parameters.size(); ++i) {
      if (header_.parameters[i] != 0) fail("unused parameter", header_.parameters[i], "0");
    }
  }

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
  const image_form& form_;
  image_header header_;
};

}  // namespace detail

/// What all forms of weights share: images, and views of them. W derives from it.
///
/// W has these private members:
///
/// - form_of_image: a constant detail::image_form
/// - parameters_of_image(): its parameters beside n and k
/// - read_parameters(in): checks the parameters of a detail::image_reader and takes n, k and them
/// - for_each_array(weights, f): calls f(array, size) for each of its arrays in order; `size` is
///   the number of elements that the extents give
/// - expect_elements(in), optional: checks elements that no product could use
template <class W>
class viewable_weights {
 public:
  /// Bytes of the image, a multiple of 64.
  [[nodiscard]] index image_bytes() const noexcept { return bytes_of_image(self()); }

  /// Writes the image: image_bytes() bytes at the start of `to`. The same weights give the same
  /// bytes.
  ///
  /// @throws fewbit::error if `to` has fewer bytes, if the weights have no rows or no columns or
  ///         were moved from, or if the processor is big-endian
  void write_image(std::span<std::byte> to) const {
    const auto fail = [](const char* argument, const auto& got, const std::string& want) {
      detail::fail_image(W::form_of_image.name, "write_image", argument, got, want);
    };
    detail::expect_little_endian(W::form_of_image.name, "write_image");
    if (self().n() < 1) fail("number of rows", self().n(), "at least 1");
    if (self().k() < 1) fail("number of columns", self().k(), "at least 1");
    W::for_each_array(self(), [&](const auto& array, index size) {
      if (array.size() != size) fail("number of elements", array.size(), std::to_string(size));
    });
    const index bytes = image_bytes();
    if (to.size() < static_cast<std::size_t>(bytes)) {
      fail("size of the image", to.size(), "at least " + std::to_string(bytes));
    }
    index at = sizeof(detail::image_header);
    W::for_each_array(self(), [&](const auto& array, index) {
      if (array.bytes() == 0) return;
      const index end = at + detail::image_aligned(array.bytes());
      std::memcpy(to.data() + at, array.data(), static_cast<std::size_t>(array.bytes()));
      std::memset(to.data() + at + array.bytes(), 0,
                  static_cast<std::size_t>(end - at - array.bytes()));
      at = end;
    });
    write_header(to.data(), bytes);
  }

  /// Weights that read the first bytes of `image` in place. The memory must outlive the weights and
  /// their copies, and must not change. Nothing is allocated.
  ///
  /// @param image  what write_image() wrote, aligned to 64 bytes; bytes behind it are not read
  /// @param check  whether the checksum of the arrays is compared, which reads all bytes
  /// @throws fewbit::error if the image is shorter than its header says, misaligned, damaged, of
  ///         another form, version or layout (instruction set); if an extent or a parameter is out
  ///         of the range that packing has; or if the processor is big-endian. Nothing outside
  ///         `image` is read.
  [[nodiscard]] static W view(std::span<const std::byte> image,
                              image_check check = image_check::contents) {
    const detail::image_reader in(image, W::form_of_image);
    W weights;
    weights.read_parameters(in);
    in.expect_bytes(bytes_of_image(weights));
    if (check == image_check::contents) in.expect_contents();
    index at = sizeof(detail::image_header);
    W::for_each_array(weights, [&]<class T>(stored_array<T>& array, index size) {
      const auto* from = reinterpret_cast<const T*>(image.data() + at);
      array = stored_array<T>::view({from, static_cast<std::size_t>(size)});
      at += detail::image_aligned(array.bytes());
    });
    if constexpr (requires { weights.expect_elements(in); }) weights.expect_elements(in);
    return weights;
  }

  /// Whether the weights hold their memory: true after packing, false for a view.
  [[nodiscard]] bool owns_memory() const noexcept {
    bool owns = true;
    W::for_each_array(self(), [&](const auto& array, index) { owns = owns && array.owns(); });
    return owns;
  }

 protected:
  viewable_weights() noexcept = default;

 private:
  [[nodiscard]] const W& self() const noexcept { return static_cast<const W&>(*this); }

  static index bytes_of_image(const W& weights) noexcept {
    index bytes = sizeof(detail::image_header);
    W::for_each_array(weights, [&]<class T>(const stored_array<T>&, index size) {
      bytes += detail::image_aligned(size * index{sizeof(T)});
    });
    return bytes;
  }

  void write_header(std::byte* to, index bytes) const noexcept {
    detail::image_header header;
    header.form = W::form_of_image.code;
    header.bytes = bytes;
    header.n = self().n();
    header.k = self().k();
    header.parameters = self().parameters_of_image();
    for (std::size_t i = 0; i < header.layout.size(); ++i)
      header.layout[i] = W::form_of_image.layout[i].value;
    header.arrays_checksum =
        detail::image_checksum(to + sizeof(header), bytes - index{sizeof(header)});
    header.header_checksum = detail::checksum_of_header(header);
    std::memcpy(to, &header, sizeof(header));
  }
};

}}}  // namespace fewbit::gemm

#include "fewbit/end.hpp"
