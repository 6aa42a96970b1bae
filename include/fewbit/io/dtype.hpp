#pragma once
/// The types of numbers in files, named as in safetensors, and those of C++ that hold them.
///
/// | dtype                         | bits | C++                                        |
/// |-------------------------------|------|--------------------------------------------|
/// | BOOL                          | 8    | bool                                       |
/// | U8, U16, U32, U64             |      | std::uint8_t ... std::uint64_t             |
/// | I8, I16, I32, I64             |      | std::int8_t ... std::int64_t               |
/// | F16, BF16                     | 16   | Eigen::half, Eigen::bfloat16               |
/// | F32, F64                      |      | float, double                              |
/// | C64                           | 64   | std::complex<float>                        |
/// | F8_E5M2, F8_E4M3, F8_E8M0     | 8    | bytes alone                                |
/// | F6_E2M3, F6_E3M2, F4          | 6, 4 | bytes alone; the tensor fills whole bytes  |
///
/// F8, F6 and F4 are the formats of OCP Microscaling (MX) v1.0. Read next: tensor_view.hpp.

#include "fewbit/begin.hpp"

#include <array>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "fewbit/config.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// In the order in which safetensors files have their tensors, from last to first.
enum class dtype : std::uint8_t {
  boolean,
  f4,
  f6_e2m3,
  f6_e3m2,
  u8,
  i8,
  f8_e5m2,
  f8_e4m3,
  f8_e8m0,
  i16,
  u16,
  f16,
  bf16,
  i32,
  u32,
  f32,
  c64,
  f64,
  i64,
  u64
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

struct dtype_row {
  std::string_view name;
  int bits;
};

inline constexpr std::array<dtype_row, 20> dtype_table = {
    {{"BOOL", 8}, {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"U8", 8},
     {"I8", 8},   {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"I16", 16},
     {"U16", 16}, {"F16", 16},    {"BF16", 16},   {"I32", 32},    {"U32", 32},
     {"F32", 32}, {"C64", 64},    {"F64", 64},    {"I64", 64},    {"U64", 64}}};

template <class T>
inline constexpr int dtype_number_of = -1;
template <>
inline constexpr int dtype_number_of<bool> = static_cast<int>(dtype::boolean);
template <>
inline constexpr int dtype_number_of<std::uint8_t> = static_cast<int>(dtype::u8);
template <>
inline constexpr int dtype_number_of<std::int8_t> = static_cast<int>(dtype::i8);
template <>
inline constexpr int dtype_number_of<std::uint16_t> = static_cast<int>(dtype::u16);
template <>
inline constexpr int dtype_number_of<std::int16_t> = static_cast<int>(dtype::i16);
template <>
inline constexpr int dtype_number_of<Eigen::half> = static_cast<int>(dtype::f16);
template <>
inline constexpr int dtype_number_of<Eigen::bfloat16> = static_cast<int>(dtype::bf16);
template <>
inline constexpr int dtype_number_of<std::uint32_t> = static_cast<int>(dtype::u32);
template <>
inline constexpr int dtype_number_of<std::int32_t> = static_cast<int>(dtype::i32);
template <>
inline constexpr int dtype_number_of<float> = static_cast<int>(dtype::f32);
template <>
inline constexpr int dtype_number_of<std::complex<float>> = static_cast<int>(dtype::c64);
template <>
inline constexpr int dtype_number_of<double> = static_cast<int>(dtype::f64);
template <>
inline constexpr int dtype_number_of<std::int64_t> = static_cast<int>(dtype::i64);
template <>
inline constexpr int dtype_number_of<std::uint64_t> = static_cast<int>(dtype::u64);

}  // namespace detail

/// "F32".
[[nodiscard]] constexpr std::string_view name_of(dtype type) noexcept {
  return detail::dtype_table[static_cast<std::size_t>(type)].name;
}

/// Bits of a number.
[[nodiscard]] constexpr int bits_of(dtype type) noexcept {
  return detail::dtype_table[static_cast<std::size_t>(type)].bits;
}

/// A type of C++ that a dtype is read as.
template <class T>
concept FileScalar = detail::dtype_number_of<T> >= 0;

/// The dtype of a type of C++.
template <FileScalar T>
inline constexpr dtype dtype_of = static_cast<dtype>(detail::dtype_number_of<T>);

}}  // namespace fewbit

#include "fewbit/end.hpp"
