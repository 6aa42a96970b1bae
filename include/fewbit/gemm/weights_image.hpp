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
/// start: load_weights (gemm/weights_image/load.hpp) packs the codes of an image anew. Checksums
/// find damage, but not every damage of two words. They do not find a forged image.
///
/// Read next: the weights of a form, for example gemm/int8/weights.hpp.

#include "fewbit/begin.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

#include "fewbit/core/stored_array.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/gemm/weights_image/header.hpp"

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
    detail::expect_little_endian(W::form_of_image.name, "view");
    return view(image, check, nullptr);
  }

  /// The same. Error sentences begin with `function`, or with that of this class if it is nullptr.
  [[nodiscard]] static W view(std::span<const std::byte> image, image_check check,
                              const char* function) {
    const detail::image_reader in(image, W::form_of_image, function);
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

  /// Whether an image has the form and the layout of W, so that view() takes it.
  [[nodiscard]] static bool fits(const detail::any_image& image) noexcept {
    return image.has(W::form_of_image);
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
