#pragma once
/// The types of tensors and of metadata in GGUF files: names, numbers and sizes.
///
/// A tensor consists of blocks: `weights` neighbouring numbers in `bytes` bytes. Blocks of one
/// number are plain numbers. Types that ggml removed (4, 5, 31 to 33, 36 to 38) are unknown here.
/// Source: https://github.com/ggml-org/ggml, docs/gguf.md.
/// Read next: value.hpp, tensor.hpp.

#include "fewbit/begin.hpp"

#include <array>
#include <concepts>
#include <cstdint>
#include <string_view>

#include "fewbit/config.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// The type of a tensor, with its number in the file.
enum class gguf_type : std::uint32_t {
  f32 = 0,
  f16 = 1,
  q4_0 = 2,
  q4_1 = 3,
  q5_0 = 6,
  q5_1 = 7,
  q8_0 = 8,
  q8_1 = 9,
  q2_k = 10,
  q3_k = 11,
  q4_k = 12,
  q5_k = 13,
  q6_k = 14,
  q8_k = 15,
  iq2_xxs = 16,
  iq2_xs = 17,
  iq3_xxs = 18,
  iq1_s = 19,
  iq4_nl = 20,
  iq3_s = 21,
  iq2_s = 22,
  iq4_xs = 23,
  i8 = 24,
  i16 = 25,
  i32 = 26,
  i64 = 27,
  f64 = 28,
  iq1_m = 29,
  bf16 = 30,
  tq1_0 = 34,
  tq2_0 = 35,
  mxfp4 = 39,
  nvfp4 = 40
};

/// The type of a value of the metadata, with its number in the file.
enum class gguf_value_type : std::uint32_t {
  u8 = 0,
  i8 = 1,
  u16 = 2,
  i16 = 3,
  u32 = 4,
  i32 = 5,
  f32 = 6,
  boolean = 7,
  text = 8,
  array = 9,
  u64 = 10,
  i64 = 11,
  f64 = 12
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

struct gguf_type_row {
  gguf_type type;
  std::string_view name;
  int weights;  // of a block
  int bytes;    // of a block
};

inline constexpr std::array<gguf_type_row, 33> gguf_types = {
    {{gguf_type::f32, "F32", 1, 4},
     {gguf_type::f16, "F16", 1, 2},
     {gguf_type::q4_0, "Q4_0", 32, 18},
     {gguf_type::q4_1, "Q4_1", 32, 20},
     {gguf_type::q5_0, "Q5_0", 32, 22},
     {gguf_type::q5_1, "Q5_1", 32, 24},
     {gguf_type::q8_0, "Q8_0", 32, 34},
     {gguf_type::q8_1, "Q8_1", 32, 36},
     {gguf_type::q2_k, "Q2_K", 256, 84},
     {gguf_type::q3_k, "Q3_K", 256, 110},
     {gguf_type::q4_k, "Q4_K", 256, 144},
     {gguf_type::q5_k, "Q5_K", 256, 176},
     {gguf_type::q6_k, "Q6_K", 256, 210},
     {gguf_type::q8_k, "Q8_K", 256, 292},
     {gguf_type::iq2_xxs, "IQ2_XXS", 256, 66},
     {gguf_type::iq2_xs, "IQ2_XS", 256, 74},
     {gguf_type::iq3_xxs, "IQ3_XXS", 256, 98},
     {gguf_type::iq1_s, "IQ1_S", 256, 50},
     {gguf_type::iq4_nl, "IQ4_NL", 32, 18},
     {gguf_type::iq3_s, "IQ3_S", 256, 110},
     {gguf_type::iq2_s, "IQ2_S", 256, 82},
     {gguf_type::iq4_xs, "IQ4_XS", 256, 136},
     {gguf_type::i8, "I8", 1, 1},
     {gguf_type::i16, "I16", 1, 2},
     {gguf_type::i32, "I32", 1, 4},
     {gguf_type::i64, "I64", 1, 8},
     {gguf_type::f64, "F64", 1, 8},
     {gguf_type::iq1_m, "IQ1_M", 256, 56},
     {gguf_type::bf16, "BF16", 1, 2},
     {gguf_type::tq1_0, "TQ1_0", 256, 54},
     {gguf_type::tq2_0, "TQ2_0", 256, 66},
     {gguf_type::mxfp4, "MXFP4", 32, 17},
     {gguf_type::nvfp4, "NVFP4", 64, 36}}};

/// The row of a type, or nullptr if it is unknown.
[[nodiscard]] constexpr const gguf_type_row* row_of_type(gguf_type type) noexcept {
  for (const gguf_type_row& row : gguf_types) {
    if (row.type == type) return &row;
  }
  return nullptr;
}

struct gguf_value_row {
  std::string_view name;
  int bytes;  // 0: varies
};

/// In the order of their numbers.
inline constexpr std::array<gguf_value_row, 13> gguf_values = {{{"u8", 1},
                                                                {"i8", 1},
                                                                {"u16", 2},
                                                                {"i16", 2},
                                                                {"u32", 4},
                                                                {"i32", 4},
                                                                {"f32", 4},
                                                                {"bool", 1},
                                                                {"text", 0},
                                                                {"array", 0},
                                                                {"u64", 8},
                                                                {"i64", 8},
                                                                {"f64", 8}}};

[[nodiscard]] constexpr int bytes_of_value(gguf_value_type type) noexcept {
  return gguf_values[static_cast<std::size_t>(type)].bytes;
}

template <class T>
inline constexpr int gguf_value_number = -1;
template <>
inline constexpr int gguf_value_number<std::uint8_t> = 0;
template <>
inline constexpr int gguf_value_number<std::int8_t> = 1;
template <>
inline constexpr int gguf_value_number<std::uint16_t> = 2;
template <>
inline constexpr int gguf_value_number<std::int16_t> = 3;
template <>
inline constexpr int gguf_value_number<std::uint32_t> = 4;
template <>
inline constexpr int gguf_value_number<std::int32_t> = 5;
template <>
inline constexpr int gguf_value_number<float> = 6;
template <>
inline constexpr int gguf_value_number<bool> = 7;
template <>
inline constexpr int gguf_value_number<std::string_view> = 8;
template <>
inline constexpr int gguf_value_number<std::uint64_t> = 10;
template <>
inline constexpr int gguf_value_number<std::int64_t> = 11;
template <>
inline constexpr int gguf_value_number<double> = 12;

}  // namespace detail

/// A type of C++ that a value of the metadata, or an element of an array, is read as.
template <class T>
concept GgufScalar = detail::gguf_value_number<T> >= 0;

/// The type of value that T stands for.
template <GgufScalar T>
inline constexpr gguf_value_type gguf_value_type_of =
    static_cast<gguf_value_type>(detail::gguf_value_number<T>);

/// "Q4_K"; "unknown" for a number that is no type.
[[nodiscard]] constexpr std::string_view name_of(gguf_type type) noexcept {
  const auto* const row = detail::row_of_type(type);
  return row == nullptr ? std::string_view("unknown") : row->name;
}

/// Neighbouring numbers in a block.
[[nodiscard]] constexpr int block_weights(gguf_type type) noexcept {
  return detail::row_of_type(type)->weights;
}

/// Bytes of a block.
[[nodiscard]] constexpr int block_bytes(gguf_type type) noexcept {
  return detail::row_of_type(type)->bytes;
}

/// "u32".
[[nodiscard]] constexpr std::string_view name_of(gguf_value_type type) noexcept {
  return detail::gguf_values[static_cast<std::size_t>(type)].name;
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
