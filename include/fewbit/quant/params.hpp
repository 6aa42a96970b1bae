#pragma once
/// Turns a range into a scale and a zero point, or a scale and a minimum.
///
///     const quant_params p = choose_params<uint8_affine>(r);
///     const minimum_params m = choose_params<uint4_grouped_minimum<32>>(r);
///
/// `choose_params` has the formulas of every scheme. It computes in double and rounds once to
/// float.
/// Read next: quantize.hpp, which applies the parameters.

#include "fewbit/begin.hpp"

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "fewbit/config.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/finite.hpp"
#include "fewbit/quant/range.hpp"
#include "fewbit/quant/scheme.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// Value of a code: (code - zero_point) * scale.
struct quant_params {
  float scale = 1.0F;
  std::int32_t zero_point = 0;

  friend constexpr bool operator==(const quant_params&, const quant_params&) = default;
};

/// Value of a code under real_minimum: code * scale + minimum.
struct minimum_params {
  float scale = 1.0F;
  float minimum = 0.0F;

  friend constexpr bool operator==(const minimum_params&, const minimum_params&) = default;
};

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// The parameters of a group under a zero point: quant_params, or minimum_params of real_minimum.
template <ZeroPoint Zp>
using params_of_zero_point = std::conditional_t<Zp::has_minimum, minimum_params, quant_params>;

/// The parameters of a group of a scheme.
template <Scheme S>
using params_of = params_of_zero_point<typename S::zero_point>;

namespace detail {

/// Fails unless `scale` is a finite number of at least 2^-126. Does not allocate unless it fails.
template <class Argument>
void expect_positive_scale(const char* function, const Argument& argument, float scale) {
  if (!is_finite(scale) || !(scale > 0.0F)) {
    fail(function, argument, scale, "a finite positive number");
  }
  if (scale < min_scale) fail(function, argument, scale, "at least 2^-126");
}

template <class Argument>
void expect_zero_point(const char* function, const Argument& argument, std::int32_t zero, int lo,
                       int hi) {
  if (zero < lo || zero > hi) fail(function, argument, zero, interval(lo, hi));
}

/// The largest scale for which reach * scale is a finite float.
template <Scale Sc>
[[nodiscard]] float largest_scale(int reach) noexcept {
  return Sc::round_down(double{std::numeric_limits<float>::max()} / reach);
}

/// The distance from the zero point to the farthest code.
template <Storage St, ZeroPoint Zp>
[[nodiscard]] constexpr int farthest_code(int zero_point) noexcept {
  const int above = Zp::template code_max<St> - zero_point;
  const int below = zero_point - Zp::template code_min<St>;
  return above > below ? above : below;
}

/// Whether scales are limited so that every code stands for a finite float. For powers of two that
/// are not symmetric, the limit could halve the range; they have none, and dequantize() saturates.
template <ZeroPoint Zp, Scale Sc>
inline constexpr bool keeps_codes_finite =
    std::is_same_v<Sc, real_scale> || std::is_same_v<Zp, symmetric>;

/// The scale of a range of one value is 0: the minimum is that value, and every code stands for it.
template <IntegerStorage St, ZeroPoint Zp, Scale Sc>
[[nodiscard]] minimum_params choose_minimum(const range& r) noexcept {
  const double covered = double{r.hi} - double{r.lo};
  const float scale = covered == 0.0 ? 0.0F : Sc::round_step(covered / Zp::template steps<St>);
  return {scale, without_minus_zero(r.lo)};
}

template <IntegerStorage St, ZeroPoint Zp, Scale Sc>
[[nodiscard]] quant_params choose_zero_point(const range& r) noexcept {
  const double lo = r.lo < 0.0F ? r.lo : 0.0;
  const double hi = r.hi > 0.0F ? r.hi : 0.0;
  const double covered = Zp::is_affine ? hi - lo : double{r.amax()};
  if (covered == 0.0) return {};

  quant_params params{Sc::round_step(covered / Zp::template steps<St>), 0};
  if constexpr (Zp::is_affine) {
    const double zero = std::nearbyint(St::min - lo / double{params.scale});
    params.zero_point = zero < St::min   ? St::min
                        : zero > St::max ? St::max
                                         : static_cast<std::int32_t>(zero);
  }
  if constexpr (keeps_codes_finite<Zp, Sc>) {
    const int reach = farthest_code<St, Zp>(params.zero_point);
    if (double{params.scale} * reach > double{std::numeric_limits<float>::max()}) {
      params.scale = largest_scale<Sc>(reach);
    }
  }
  return params;
}

}  // namespace detail

/// Parameters that cover `r`, which must be finite with lo <= hi.
///
/// symmetric, symmetric_full:  scale = amax / steps, zero_point = 0
/// affine:                     r is first widened to hold 0;
///                             scale = (hi - lo) / (max - min),
///                             zero_point = clamp(rne(min - lo / scale), min, max)
/// real_minimum:               scale = (hi - lo) / (max - min), minimum = lo; 0 and lo if hi = lo
///
/// where rne rounds to nearest, ties to even, and `scale` is already rounded to a float or a power
/// of two. So x_hat(zero_point) = 0 exactly. The range [0, 0] gets scale 1 and zero point 0, or
/// scale 0 under real_minimum. Every other scale is at least 2^-126.
///
/// Near the largest float the scale is limited, so that every code stands for a finite float. If
/// the scale is real or the zero point symmetric, the scale is at most
///
///     FLT_MAX / max(code_max - zero_point, zero_point - code_min)
///
/// rounded down. The zero point is computed before the limit applies. real_minimum has no limit:
/// dequantize() saturates instead.
///
/// Sources: Jacob et al. 2018, arXiv:1712.05877; Wu et al. 2020, arXiv:2004.09602.
template <IntegerStorage St, ZeroPoint Zp, Scale Sc>
[[nodiscard]] params_of_zero_point<Zp> choose_params(const range& r) {
  static_assert(St::is_signed || Zp::is_affine || Zp::has_minimum,
                "fewbit: an unsigned storage needs the affine zero point or real_minimum, because "
                "symmetric codes are as often negative as positive");
  detail::expect_valid_range("choose_params", r);
  if constexpr (Zp::has_minimum) {
    return detail::choose_minimum<St, Zp, Sc>(r);
  } else {
    return detail::choose_zero_point<St, Zp, Sc>(r);
  }
}

/// The same for the choices of a scheme.
template <IntegerScheme S>
[[nodiscard]] params_of<S> choose_params(const range& r) {
  return choose_params<typename S::storage, typename S::zero_point, typename S::scale>(r);
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
