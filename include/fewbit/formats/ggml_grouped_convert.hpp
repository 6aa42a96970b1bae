#pragma once
/// Conversion of the grouped blocks of ggml to quantized matrices that layers can multiply.
///
///     const auto q = to_quantized<q4_k>(rows, cols, blocks);       // blocks of the file, in place
///     const linear<scheme_of<q4_k>> layer(q);
///
/// | blocks         | quantized                                  | code, where scale >= 0 | scale < 0 |
/// |----------------|--------------------------------------------|------------------------|-----------|
/// | q4_k           | uint4_grouped_minimum<32>                  | q                      | refused   |
/// | q2_k           | scheme<uint2, grouped<16>, real_minimum>   | q                      | refused   |
/// | q5_k, q5_1     | scheme<uint8, grouped<32>, real_minimum>   | q                      | refused   |
/// | q3_k           | int4_grouped<16>                           | q                      | -q        |
/// | q6_k           | int8_grouped<16>                           | q                      | -q        |
/// | iq4_nl, iq4_xs | int8_grouped<32>                           | T[q]                   | -T[q]     |
/// | mxfp4          | int8_grouped<32>, scale 2^(e - 128)        | E[q]                   |           |
/// | tq1_0, tq2_0   | ternary_grouped<256>                       | q - 1                  | 1 - q     |
///
/// The scale of a group is d, a half of 11 significant bits, times s. Layers in groups and layers
/// with float inputs keep 12 bits of it; codes and minima are not rounded.
///
/// | blocks               | s          | significant bits of d s | error in a layer            |
/// |----------------------|------------|-------------------------|-----------------------------|
/// | q2_k                 | 0 to 15    | up to 15                | at most 2^-12 of d s        |
/// | q4_k, q5_k           | 0 to 63    | up to 17                | at most 2^-12 of d s        |
/// | q3_k, iq4_xs         | -32 to 31  | up to 16                | at most 2^-12 of d s        |
/// | q6_k                 | -128..127  | up to 18                | at most 2^-12 of d s        |
/// | q5_1, iq4_nl, tq1_0, | none       | up to 11                | none                        |
/// | tq2_0, mxfp4         |            |                         |                             |
///
/// Every value is kept, except for the sign of a zero; bytes are not: the scale of a group, d times
/// s, is one float, exact. Where it is 0, codes become 0 and the scale 2^-126, unless the scheme
/// has minima. A block is refused if one of its scales or minima is not finite, if its code is +2
/// (tq2_0), or if a scale is below 2^-126 (mxfp4 with e < 2).
/// Read next: ggml_convert.hpp (blocks of one scale, both ways), quant/quantized_matrix.hpp.

#include "fewbit/begin.hpp"

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "fewbit/config.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/formats/ggml_convert.hpp"
#include "fewbit/formats/ggml_grouped_blocks.hpp"
#include "fewbit/formats/ggml_k_blocks.hpp"
#include "fewbit/formats/ggml_table_blocks.hpp"
#include "fewbit/quant/quantized_matrix.hpp"
#include "fewbit/quant/scale.hpp"
#include "fewbit/quant/scheme.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

template <>
struct scheme_of_blocks<q2_k> {
  using type = scheme<uint2, grouped<16>, real_minimum>;
};
template <>
struct scheme_of_blocks<q3_k> {
  using type = int4_grouped<16>;
};
template <>
struct scheme_of_blocks<q4_k> {
  using type = uint4_grouped_minimum<32>;
};
template <>
struct scheme_of_blocks<q5_k> {
  using type = scheme<uint8, grouped<32>, real_minimum>;
};
template <>
struct scheme_of_blocks<q5_1> {
  using type = scheme<uint8, grouped<32>, real_minimum>;
};
template <>
struct scheme_of_blocks<q6_k> {
  using type = int8_grouped<16>;
};
template <>
struct scheme_of_blocks<iq4_nl> {
  using type = int8_grouped<32>;
};
template <>
struct scheme_of_blocks<iq4_xs> {
  using type = int8_grouped<32>;
};
template <>
struct scheme_of_blocks<mxfp4> {
  using type = int8_grouped<32>;
};
template <>
struct scheme_of_blocks<tq1_0> {
  using type = ternary_grouped<256>;
};
template <>
struct scheme_of_blocks<tq2_0> {
  using type = ternary_grouped<256>;
};

/// Makes the scale of a group with a minimum one of a quantized matrix. Returns nullptr, or the
/// flaw.
[[nodiscard]] inline const char* fit_scale(float& scale, float minimum) noexcept {
  if (!is_finite(scale)) return "a block with a scale that is not finite";
  if (!is_finite(minimum)) return "a block with a minimum that is not finite";
  if (scale < 0.0F) return "a block with a negative scale";
  scale = std::fabs(scale);
  return nullptr;
}

/// The same for a group of codes that may be negated.
template <Scheme S>
[[nodiscard]] const char* fit_codes(float& scale, std::span<std::int8_t> codes) noexcept {
  if (!is_finite(scale)) return "a block with a scale that is not finite";
  const int sign = scale < 0.0F ? -1 : scale == 0.0F ? 0 : 1;
  bool is_zero = true;
  for (std::int8_t& code : codes) {
    const int value = sign * code;
    if (value < S::code_min || value > S::code_max) return "a block with a code out of range";
    code = static_cast<std::int8_t>(value);
    is_zero = is_zero && value == 0;
  }
  scale = is_zero ? min_scale : std::fabs(scale);
  return scale < min_scale ? "a block with a scale below 2^-126" : nullptr;
}

/// Converts blocks that unpack_groups() unpacks to `Groups`. Calls fail(r, b, flaw), which does not
/// return, for the first block of row r that S cannot hold.
template <Scheme S, class Groups, class B, class Fail>
[[nodiscard]] quantized_matrix<S> quantized_of_groups(index rows, index cols,
                                                      std::span<const B> blocks, const Fail& fail) {
  constexpr std::size_t group = Groups().codes.size() / Groups::count;
  const index per_row = cols / static_cast<index>(group * Groups::count);
  row_matrix<typename S::code> codes(rows, cols);
  std::vector<float> scales, minima;
  scales.reserve(blocks.size() * Groups::count);
  if constexpr (S::has_minimum) minima.reserve(scales.capacity());
  typename S::code* to = codes.data();
  Groups groups;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    unpack_groups(blocks[i], groups);
    const auto expect_fit = [&](const char* flaw) {
      if (flaw != nullptr)
        fail(static_cast<index>(i) / per_row, static_cast<index>(i) % per_row, flaw);
    };
    for (std::size_t g = 0; g < groups.scales.size(); ++g) {
      if constexpr (S::has_minimum) {
        expect_fit(fit_scale(groups.scales[g], groups.minima[g]));
        minima.push_back(groups.minima[g]);
      } else {
        expect_fit(fit_codes<S>(groups.scales[g], {groups.codes.data() + g * group, group}));
      }
      scales.push_back(groups.scales[g]);
    }
    for (const std::int8_t code : groups.codes) *to++ = static_cast<typename S::code>(code);
  }
  if constexpr (S::has_minimum) {
    return quantized_matrix<S>(codes, scales, minima);
  } else {
    return quantized_matrix<S>(codes, scales);
  }
}

}  // namespace detail

/// Converts blocks to a quantized matrix of the same values.
///
/// @param rows    rows of `cols` weights, whole blocks
/// @param blocks  rows * cols / B::weights blocks, row by row
/// @throws fewbit::error if the sizes do not agree, or if a block is refused as the head of this
///         header says; the error names the first such block
template <GroupedBlock B>
[[nodiscard]] quantized_matrix<scheme_of<B>> to_quantized(index rows, index cols,
                                                          std::span<const B> blocks) {
  constexpr const char* function = "to_quantized";
  if (rows < 1 || cols < 1 || cols % B::weights != 0) {
    detail::fail(function, "shape", detail::shape_text(rows, cols),
                 "at least one row of whole blocks of " + detail::text(B::weights));
  }
  const auto count = static_cast<index>(blocks.size()), per_row = cols / B::weights;
  if (count % rows != 0 || count / rows != per_row) {
    detail::fail(function, "number of blocks", count,
                 detail::text(rows) + " rows of " + detail::text(per_row));
  }
  return detail::quantized_of_groups<scheme_of<B>, detail::groups_of<B>>(
      rows, cols, blocks, [](index r, index b, const char* flaw) {
        detail::fail(function, detail::block_name(r, b), flaw,
                     "a block whose values the scheme can hold");
      });
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
