#pragma once
/// Codes of 1 to 8 bits packed into bytes.
///
/// Element i of width b starts in byte i*b/8 at bit (i*b)%8, counted from the least significant
/// bit. Elements of 3, 5, 6 or 7 bits may continue in the lowest bits of the next byte. A row fills
/// whole bytes; the padding bits of its last byte are zero. The same functions take codes of 16
/// bits (low byte first), so generic code needs no special case.
///
///     4 bits:  byte 0 = | element 1 | element 0 |     byte 1 = | element 3 | element 2 | ...
///
/// This is the order of storage. Kernels have their own orders, in gemm/.

#include "fewbit/begin.hpp"

#include <concepts>
#include <cstdint>
#include <type_traits>

#include "fewbit/config.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// The integer type that holds a code of `Bits` bits: int8_t, uint8_t, int16_t or uint16_t.
template <int Bits, bool Signed>
using code_type =
    std::conditional_t<(Bits <= 8), std::conditional_t<Signed, std::int8_t, std::uint8_t>,
                       std::conditional_t<Signed, std::int16_t, std::uint16_t>>;

/// Bytes that n codes occupy.
template <int Bits>
[[nodiscard]] constexpr index packed_bytes(index n) noexcept {
  static_assert((Bits >= 1 && Bits <= 8) || Bits == 16, "fewbit: codes have 1 to 8 bits, or 16");
  return n / 8 * Bits + (n % 8 * Bits + 7) / 8;
}

namespace detail {

/// Element i as an unsigned number.
template <int Bits>
[[nodiscard]] constexpr unsigned field_of(const std::uint8_t* bytes, index i) noexcept {
  constexpr unsigned mask = (1U << Bits) - 1;
  if constexpr (8 % Bits != 0) {
    const index bit = i % 8 * Bits;
    const std::uint8_t* first = bytes + i / 8 * Bits + bit / 8;
    const unsigned next = bit % 8 > 8 - Bits ? first[1] : 0U;
    return (first[0] | next << 8) >> (bit % 8) & mask;
  } else {
    constexpr index per_byte = 8 / Bits;
    return bytes[i / per_byte] >> (i % per_byte * Bits) & mask;
  }
}

}  // namespace detail

/// Element i of packed codes: two's complement if Signed, else unsigned. A 1-bit code is 0 or 1 in
/// both cases; quant/ defines which sign it means.
template <int Bits, bool Signed>
[[nodiscard]] constexpr code_type<Bits, Signed> extract_bits(const std::uint8_t* bytes,
                                                             index i) noexcept {
  using code = code_type<Bits, Signed>;
  if constexpr (Bits == 16) {
    return static_cast<code>(bytes[2 * i] | bytes[2 * i + 1] << 8);
  } else {
    const unsigned field = detail::field_of<Bits>(bytes, i);
    if constexpr (Signed && Bits > 1) {
      constexpr unsigned sign = 1U << (Bits - 1);
      return static_cast<code>(static_cast<int>(field ^ sign) - static_cast<int>(sign));
    } else {
      return static_cast<code>(field);
    }
  }
}

/// Packs the low Bits bits of each of n codes into packed_bytes<Bits>(n) bytes.
template <int Bits, std::integral Code>
constexpr void pack_bits(const Code* codes, index n, std::uint8_t* bytes) noexcept {
  if constexpr (Bits == 16) {
    for (index i = 0; i < n; ++i) {
      const auto bits = static_cast<std::uint16_t>(codes[i]);
      bytes[2 * i] = static_cast<std::uint8_t>(bits & 0xFF);
      bytes[2 * i + 1] = static_cast<std::uint8_t>(bits >> 8);
    }
  } else {
    // A run is the smallest number of codes that fills whole bytes.
    constexpr index run = 8 % Bits != 0 ? 8 : 8 / Bits;
    constexpr unsigned mask = (1U << Bits) - 1;
    for (index first = 0; first < n; first += run) {
      const index count = n - first < run ? n - first : run;
      std::conditional_t<(run * Bits <= 32), std::uint32_t, std::uint64_t> packed = 0;
      for (index j = 0; j < count; ++j) {
        packed |= (static_cast<decltype(packed)>(codes[first + j]) & mask) << (j * Bits);
      }
      for (index byte = 0; byte < packed_bytes<Bits>(count); ++byte, packed >>= 8)
        *bytes++ = static_cast<std::uint8_t>(packed & 0xFF);
    }
  }
}

/// Unpacks n codes, each with the value that `extract_bits` returns.
template <int Bits, bool Signed, std::integral Code>
constexpr void unpack_bits(const std::uint8_t* bytes, index n, Code* codes) noexcept {
  for (index i = 0; i < n; ++i) {
    codes[i] = static_cast<Code>(extract_bits<Bits, Signed>(bytes, i));
  }
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
