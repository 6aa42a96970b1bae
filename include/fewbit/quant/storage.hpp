#pragma once
/// How a code is stored: its width, its smallest and largest value. First choice of a scheme.
///
/// | storage     | bits | codes             | one unpacked code |
/// |-------------|------|-------------------|-------------------|
/// | int8, uint8 | 8    | -128..127, 0..255 | int8_t, uint8_t   |
/// | int16       | 16   | -32768..32767     | int16_t           |
/// | int4, uint4 | 4    | -8..7, 0..15      | int8_t, uint8_t   |
/// | int3, uint3 | 3    | -4..3, 0..7       | int8_t, uint8_t   |
/// | int2, uint2 | 2    | -2..1, 0..3       | int8_t, uint8_t   |
/// | ternary     | 2    | -1, 0, 1          | int8_t            |
/// | binary      | 1    | -1, 1             | int8_t            |
/// | codebook<B> | B    | 0..2^B - 1        | uint8_t           |
///
/// A code of an integer storage is a rounded quotient x / scale. Ternary and binary codes are signs
/// (magnitude_rule.hpp). A code of a codebook is a place in a list of levels (level_rule.hpp).
/// Read next: granularity.hpp.

#include "fewbit/begin.hpp"

#include <concepts>
#include <cstdint>

#include "fewbit/config.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// Codes -128 to 127.
struct int8 {
  using code = std::int8_t;
  static constexpr int bits = 8;
  static constexpr int min = -128;
  static constexpr int max = 127;
  static constexpr bool is_signed = true;
  static constexpr bool is_integer = true;
  static constexpr const char* name = "int8";
};

/// Codes 0 to 255.
struct uint8 {
  using code = std::uint8_t;
  static constexpr int bits = 8;
  static constexpr int min = 0;
  static constexpr int max = 255;
  static constexpr bool is_signed = false;
  static constexpr bool is_integer = true;
  static constexpr const char* name = "uint8";
};

/// Codes -32768 to 32767.
struct int16 {
  using code = std::int16_t;
  static constexpr int bits = 16;
  static constexpr int min = -32768;
  static constexpr int max = 32767;
  static constexpr bool is_signed = true;
  static constexpr bool is_integer = true;
  static constexpr const char* name = "int16";
};

/// Codes -8 to 7.
struct int4 {
  using code = std::int8_t;
  static constexpr int bits = 4;
  static constexpr int min = -8;
  static constexpr int max = 7;
  static constexpr bool is_signed = true;
  static constexpr bool is_integer = true;
  static constexpr const char* name = "int4";
};

/// Codes 0 to 15.
struct uint4 {
  using code = std::uint8_t;
  static constexpr int bits = 4;
  static constexpr int min = 0;
  static constexpr int max = 15;
  static constexpr bool is_signed = false;
  static constexpr bool is_integer = true;
  static constexpr const char* name = "uint4";
};

/// Codes -4 to 3.
struct int3 {
  using code = std::int8_t;
  static constexpr int bits = 3;
  static constexpr int min = -4;
  static constexpr int max = 3;
  static constexpr bool is_signed = true;
  static constexpr bool is_integer = true;
  static constexpr const char* name = "int3";
};

/// Codes 0 to 7.
struct uint3 {
  using code = std::uint8_t;
  static constexpr int bits = 3;
  static constexpr int min = 0;
  static constexpr int max = 7;
  static constexpr bool is_signed = false;
  static constexpr bool is_integer = true;
  static constexpr const char* name = "uint3";
};

/// Codes -2 to 1.
struct int2 {
  using code = std::int8_t;
  static constexpr int bits = 2;
  static constexpr int min = -2;
  static constexpr int max = 1;
  static constexpr bool is_signed = true;
  static constexpr bool is_integer = true;
  static constexpr const char* name = "int2";
};

struct uint2 {
  using code = std::uint8_t;
  static constexpr int bits = 2;
  static constexpr int min = 0;
  static constexpr int max = 3;
  static constexpr bool is_signed = false;
  static constexpr bool is_integer = true;
  static constexpr const char* name = "uint2";
};

/// -1, 0 and 1 in two bits, two's complement. Li et al. 2016, arXiv:1605.04711.
struct ternary {
  using code = std::int8_t;
  static constexpr int bits = 2;
  static constexpr int min = -1;
  static constexpr int max = 1;
  static constexpr bool is_signed = true;
  static constexpr bool is_integer = false;
  static constexpr const char* name = "ternary";
};

/// -1 and 1 in one bit. The stored bit is 1 for -1, so a dot product of length n is
/// n - 2 popcount(a ^ b). Rastegari et al. 2016, arXiv:1603.05279.
struct binary {
  using code = std::int8_t;
  static constexpr int bits = 1;
  static constexpr int min = -1;
  static constexpr int max = 1;
  static constexpr bool is_signed = true;
  static constexpr bool is_integer = false;
  static constexpr const char* name = "binary";
};

/// A code is a place in a list of 2^Bits levels and stands for level * scale. Levels are floats in
/// [-1, 1] in ascending order. Each matrix has one list.
template <int Bits>
struct codebook {
  static_assert(Bits >= 1 && Bits <= 8, "fewbit: the codes of a codebook have 1 to 8 bits");
  using code = std::uint8_t;
  static constexpr int bits = Bits;
  static constexpr int min = 0;
  static constexpr int max = (1 << Bits) - 1;
  static constexpr bool is_signed = false;
  static constexpr bool is_integer = false;
  static constexpr const char* name = "codebook";
};

template <class T>
concept Storage = requires {
  typename T::code;
  requires std::integral<typename T::code>;
  { T::bits } -> std::convertible_to<int>;
  { T::min } -> std::convertible_to<int>;
  { T::max } -> std::convertible_to<int>;
  { T::is_signed } -> std::convertible_to<bool>;
  { T::is_integer } -> std::convertible_to<bool>;
  { T::name } -> std::convertible_to<const char*>;
};

/// Storages whose code is a rounded quotient.
template <class T>
concept IntegerStorage = Storage<T> && T::is_integer;

namespace detail {

template <class T>
inline constexpr bool is_codebook = false;
template <int Bits>
inline constexpr bool is_codebook<codebook<Bits>> = true;

}  // namespace detail

/// Storages whose codes are places in a list of levels.
template <class T>
concept CodebookStorage = Storage<T> && detail::is_codebook<T>;

}}  // namespace fewbit

#include "fewbit/end.hpp"
