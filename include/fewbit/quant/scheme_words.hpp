#pragma once
/// The text of a scheme: its five choices, each one word.
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
/// words do not change with the version of the library. Read next: io/scheme_text.hpp.

#include "fewbit/begin.hpp"

#include <string>

#include "fewbit/core/index.hpp"
#include "fewbit/quant/granularity.hpp"
#include "fewbit/quant/scheme.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

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

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
