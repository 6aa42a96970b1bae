#pragma once
/// A scheme: five independent choices that define how real numbers become codes.
///
/// `scheme<int8, per_row>` is an empty type. It is part of the type of the `quantized_matrix` that
/// `quantize<scheme<int8, per_row>>(w)` returns, so an operator for one scheme does not compile
/// with another. The end of this header names common schemes.
///
/// | storage          | zero point                        | scale                    | rounding |
/// |------------------|-----------------------------------|--------------------------|----------|
/// | int2 to int16    | symmetric, symmetric_full, affine | real_scale, power_of_two | any      |
/// | uint2 to uint8   | affine, real_minimum              | real_scale, power_of_two | any      |
/// | ternary, binary  | symmetric                         | real_scale               | none     |
/// | codebook<B>      | symmetric                         | real_scale               | none     |
///
/// Every granularity goes with every storage; real_minimum needs per_row or grouped<G>. Any other
/// mix does not compile.
/// Read next: params.hpp (range -> scale and zero point), quantized_matrix.hpp, quantize.hpp.

#include "fewbit/begin.hpp"

#include <concepts>
#include <type_traits>

#include "fewbit/config.hpp"
#include "fewbit/quant/granularity.hpp"
#include "fewbit/quant/rounding.hpp"
#include "fewbit/quant/scale.hpp"
#include "fewbit/quant/storage.hpp"
#include "fewbit/quant/zero_point.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// The members that a scheme derives from its storage and zero point. Empty if the arguments are
/// not a storage and a zero point, so that the compiler reports only the failed static_assert.
template <class St, class Zp>
struct scheme_codes {};

template <Storage St, ZeroPoint Zp>
struct scheme_codes<St, Zp> {
  static constexpr bool is_integer = St::is_integer;
  static constexpr bool is_affine = Zp::is_affine;
  static constexpr bool has_minimum = Zp::has_minimum;
  /// The first and the last code that quantization produces.
  static constexpr int code_min = CodebookStorage<St> ? St::min : Zp::template code_min<St>;
  static constexpr int code_max = Zp::template code_max<St>;
  /// One unpacked code.
  using code = typename St::code;

  static_assert(!CodebookStorage<St> || std::is_same_v<Zp, symmetric>,
                "fewbit: the levels of a codebook are fixed; its zero point must be symmetric");
  static_assert(!St::is_integer || St::is_signed || Zp::is_affine || Zp::has_minimum,
                "fewbit: an unsigned storage needs the affine zero point or real_minimum, because "
                "symmetric codes are as often negative as positive");
  static_assert(!Zp::has_minimum || (St::is_integer && !St::is_signed),
                "fewbit: real_minimum needs an unsigned storage (uint8, uint4, uint3, uint2), "
                "because codes count from the minimum");
  static_assert(St::is_integer || CodebookStorage<St> || std::is_same_v<Zp, symmetric>,
                "fewbit: ternary and binary codes are symmetric; they take no other zero point");
};

/// Granularities whose groups lie within one row.
template <class G>
inline constexpr bool is_within_row = std::is_same_v<G, per_row>;
template <index Size>
inline constexpr bool is_within_row<grouped<Size>> = true;

}  // namespace detail

/// How real numbers become codes, as the head of this file says; an empty type.
template <class StorageT, class GranularityT, class ZeroPointT = symmetric,
          class ScaleT = real_scale, class RoundingT = nearest_even>
struct scheme : detail::scheme_codes<StorageT, ZeroPointT> {
  static_assert(Storage<StorageT>,
                "fewbit: the first choice of a scheme is a storage: int8, uint8, int16, int4, "
                "uint4, int3, uint3, int2, uint2, ternary, binary or codebook<B>");
  static_assert(Granularity<GranularityT>,
                "fewbit: the second choice of a scheme is a granularity: per_tensor, per_row, "
                "per_col, grouped<G> or sub_tensor<G>");
  static_assert(ZeroPoint<ZeroPointT>,
                "fewbit: the third choice of a scheme is a zero point: symmetric, symmetric_full, "
                "affine or real_minimum");
  static_assert(!std::is_same_v<ZeroPointT, real_minimum> || detail::is_within_row<GranularityT>,
                "fewbit: real_minimum needs groups within a row: per_row or grouped<G>");
  static_assert(Scale<ScaleT>,
                "fewbit: the fourth choice of a scheme is a scale: real_scale or power_of_two");
  static_assert(Rounding<RoundingT>,
                "fewbit: the fifth choice of a scheme is a rounding: nearest_even, half_away, "
                "toward_zero or stochastic");
  static_assert(!CodebookStorage<StorageT> ||
                    (std::is_same_v<ScaleT, real_scale> && std::is_same_v<RoundingT, nearest_even>),
                "fewbit: a codebook takes real scales and the nearest level; it has no other scale "
                "and no rounding");
  static_assert(!Storage<StorageT> || IntegerStorage<StorageT> || CodebookStorage<StorageT> ||
                    std::is_same_v<ScaleT, real_scale>,
                "fewbit: ternary and binary scales are means of |w|; a power-of-two scale needs an "
                "integer storage");
  static_assert(
      !Storage<StorageT> || IntegerStorage<StorageT> || CodebookStorage<StorageT> ||
          std::is_same_v<RoundingT, nearest_even>,
      "fewbit: ternary and binary codes are chosen by sign and magnitude; they take no rounding");

  using storage = StorageT;
  using granularity = GranularityT;
  using zero_point = ZeroPointT;
  using scale = ScaleT;
  using rounding = RoundingT;
  static constexpr bool is_random = RoundingT::is_random;
};

namespace detail {

template <class T>
inline constexpr bool is_scheme = false;
template <class... Choices>
inline constexpr bool is_scheme<scheme<Choices...>> = true;

}  // namespace detail

template <class T>
concept Scheme = detail::is_scheme<T>;

/// A scheme whose codes are rounded quotients.
template <class T>
concept IntegerScheme = Scheme<T> && T::is_integer;

/// A scheme whose codes are places in a list of levels.
template <class T>
concept CodebookScheme = Scheme<T> && CodebookStorage<typename T::storage>;

using int8_per_tensor = scheme<int8, per_tensor>;
using int8_per_row = scheme<int8, per_row>;
using int8_per_col = scheme<int8, per_col>;
template <index G>
using int8_grouped = scheme<int8, grouped<G>>;
/// One power-of-two scale, as in the Qm.n fixed-point formats.
using int8_power_of_two = scheme<int8, per_tensor, symmetric, power_of_two>;
using int8_affine = scheme<int8, per_tensor, affine>;
using int8_affine_per_row = scheme<int8, per_row, affine>;
/// ONNX, PyTorch and TFLite use this one for activations.
using uint8_affine = scheme<uint8, per_tensor, affine>;
using uint8_affine_per_row = scheme<uint8, per_row, affine>;

using int16_per_tensor = scheme<int16, per_tensor>;
using int16_per_row = scheme<int16, per_row>;

using int4_per_row = scheme<int4, per_row>;
template <index G>
using int4_grouped = scheme<int4, grouped<G>>;
template <index G>
using uint4_grouped = scheme<uint4, grouped<G>, affine>;
/// A scale and a minimum for each group, as Q4_1 of ggml with G = 32.
template <index G>
using uint4_grouped_minimum = scheme<uint4, grouped<G>, real_minimum>;

using int3_per_row = scheme<int3, per_row>;
template <index G>
using int3_grouped = scheme<int3, grouped<G>>;

using int2_per_row = scheme<int2, per_row>;
template <index G>
using int2_grouped = scheme<int2, grouped<G>>;

using ternary_per_row = scheme<ternary, per_row>;
template <index G>
using ternary_grouped = scheme<ternary, grouped<G>>;

using binary_per_row = scheme<binary, per_row>;
template <index G>
using binary_grouped = scheme<binary, grouped<G>>;

template <int Bits>
using codebook_per_row = scheme<codebook<Bits>, per_row>;
template <int Bits, index G>
using codebook_grouped = scheme<codebook<Bits>, grouped<G>>;

}}  // namespace fewbit

#include "fewbit/end.hpp"
