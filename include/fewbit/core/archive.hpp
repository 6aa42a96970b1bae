#pragma once
/// Named sections that a layer writes itself to and reads itself from, without knowing of files.
///
/// A section is a name, a type of elements, and bytes. `layer.save(writer, "fc")` writes the
/// section "fc", the numbers of the layer, and one section for each of its arrays, "fc/weights",
/// "fc/bias" ... `Layer::load(reader, "fc")` reads them. io/packed_file.hpp has a writer and a
/// reader of files. Those of a program, for example for memory, satisfy the concepts below. Read
/// next: ops/saved_layer.hpp.

#include "fewbit/begin.hpp"

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "fewbit/config.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// What the bytes of a section are. Numbers are little-endian.
enum class section_type : std::uint8_t {
  record,  ///< the numbers of a layer (ops/parts.hpp)
  image,   ///< packed weights (gemm/weights_image.hpp)
  int8,
  uint8,
  int16,
  int32,
  int64,
  float32
};
/// The number of types.
inline constexpr std::uint32_t section_types = 8;

/// Bytes of an element. 1 for records and images.
[[nodiscard]] constexpr std::size_t element_bytes(section_type type) noexcept {
  switch (type) {
    case section_type::int16:
      return 2;
    case section_type::int32:
    case section_type::float32:
      return 4;
    case section_type::int64:
      return 8;
    default:
      return 1;
  }
}

/// "int8", "record" ...
[[nodiscard]] constexpr const char* name_of(section_type type) noexcept {
  constexpr const char* names[section_types] = {"record", "image", "int8",  "uint8",
                                                "int16",  "int32", "int64", "float32"};
  return names[static_cast<std::size_t>(type)];
}

/// A section that was found. The bytes are aligned to 64 bytes, and stay as long as the reader.
struct section_view {
  section_type type = section_type::record;
  std::span<const std::byte> bytes = {};
};

/// Takes sections.
///
/// write(name, type, bytes)  adds a section; fails if there is one of that name
template <class W>
concept ArchiveWriter = requires(W& to, std::string_view name, section_type type,
                                 std::span<const std::byte> bytes) { to.write(name, type, bytes); };

/// Finds sections.
///
/// section(name)         the section of that name; fails if there is none
/// place(name, byte)     "section 'fc/bias' at byte 640 of 'x.fewbit'", for the sentences of
///                       errors: a byte of a section, and where it is
/// checks_contents()     whether layers compare the checksums of their weights
/// tell_repacked(name)   is called for each section whose weights were packed anew, because they
///                       were packed for another instruction set
template <class R>
concept ArchiveReader = requires(R& from, std::string_view name, std::size_t byte) {
  { from.section(name) } -> std::same_as<section_view>;
  { from.place(name, byte) } -> std::convertible_to<std::string>;
  { from.checks_contents() } -> std::convertible_to<bool>;
  from.tell_repacked(name);
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// The type of a section of T.
template <class T>
inline constexpr section_type section_type_of = section_type::record;
template <>
inline constexpr section_type section_type_of<std::int8_t> = section_type::int8;
template <>
inline constexpr section_type section_type_of<std::uint8_t> = section_type::uint8;
template <>
inline constexpr section_type section_type_of<std::int16_t> = section_type::int16;
template <>
inline constexpr section_type section_type_of<std::int32_t> = section_type::int32;
template <>
inline constexpr section_type section_type_of<std::int64_t> = section_type::int64;
template <>
inline constexpr section_type section_type_of<float> = section_type::float32;

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
