#pragma once
/// The text of a scheme in files and on command lines: its five choices, each one word.
///
///     int4 grouped:32 symmetric real_scale nearest_even
///
/// | word        | one of                                                              |
/// |-------------|---------------------------------------------------------------------|
/// | storage     | int8 uint8 int16 int4 uint4 int3 uint3 int2 uint2 ternary binary codebook:B |
/// | granularity | per_tensor per_row per_col grouped:G sub_tensor:G                   |
/// | zero point  | symmetric symmetric_full affine real_minimum                        |
/// | scale       | real_scale power_of_two two_scales                                  |
/// | rounding    | nearest_even half_away toward_zero stochastic                       |
///
/// `two_scales` is the scale of two_scale_ternary, which is no scheme but stored like one. The
/// words do not change with the version of the library. Read next: quantized.hpp.

#include "fewbit/begin.hpp"

#include <concepts>
#include <string>

#include "fewbit/config.hpp"
#include "fewbit/core/index.hpp"
#include "fewbit/quant/granularity.hpp"
#include "fewbit/quant/quantized_matrix.hpp"
#include "fewbit/quant/scheme.hpp"
#include "fewbit/quant/two_scale_ternary.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// What can be in a file: a scheme, or two_scale_ternary.
template <class S>
concept StoredScheme = Scheme<S> || std::same_as<S, two_scale_ternary>;

namespace detail {

template <class S>
struct quantized_type {
  using type = two_scale_ternary;
};
template <Scheme S>
struct quantized_type<S> {
  using type = quantized_matrix<S>;
};

/// The words of a scheme. A parameter of 0 means none.
struct scheme_words {
  const char* storage;
  int bits;  // of a codebook
  const char* granularity;
  index group;
  const char* zero_point;
  const char* scale;
  const char* rounding;
};

/// The G of grouped<G> and sub_tensor<G>; 0 for others.
template <Granularity G>
inline constexpr index group_size = 0;
template <index Size>
inline constexpr index group_size<grouped<Size>> = Size;
template <index Size>
inline constexpr index group_size<sub_tensor<Size>> = Size;

template <class S>
inline constexpr scheme_words words_of = {"ternary",     0, "per_row", 0, "symmetric", "two_scales",
                                          "nearest_even"};
template <Scheme S>
inline constexpr scheme_words words_of<S> = {
    S::storage::name,     CodebookScheme<S> ? S::storage::bits : 0,
    S::granularity::name, group_size<typename S::granularity>,
    S::zero_point::name,  S::scale::name,
    S::rounding::name};

[[nodiscard]] inline std::string text_of_words(const scheme_words& words) {
  std::string text = words.storage;
  if (words.bits > 0) text += ":" + std::to_string(words.bits);
  text += std::string(" ") + words.granularity;
  if (words.group > 0) text += ":" + std::to_string(words.group);
  return text + " " + words.zero_point + " " + words.scale + " " + words.rounding;
}

}  // namespace detail

/// The matrix of S: quantized_matrix<S>, or two_scale_ternary.
template <StoredScheme S>
using quantized = typename detail::quantized_type<S>::type;

/// The words of S with one space between them.
template <StoredScheme S>
[[nodiscard]] std::string scheme_text() {
  return detail::text_of_words(detail::words_of<S>);
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
