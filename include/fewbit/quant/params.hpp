#pragma once
/// From a range to a scale and a zero point.
///
/// x_hat = (code - zero_point) * scale. One function, `choose_params`, holds the formulas of every
/// scheme; computation is in double and rounded once to float.
/// Read next: quantize.hpp, which applies them.

#include "fewbit/begin.hpp"

#include <cmath>
#include <cstdint>

#include "fewbit/config.hpp"
#include "fewbit/quant/range.hpp"
#include "fewbit/quant/scheme.hpp"

namespace fewbit::inline FEWBIT_VERSION_NAMESPACE {

/// Value of a code: (code - zero_point) * scale.
struct quant_params {
  float scale = 1.0F;
  std::int32_t zero_point = 0;

  friend constexpr bool operator==(const quant_params&, const quant_params&) = default;
};

}  // namespace fewbit::inline FEWBIT_VERSION_NAMESPACE

namespace fewbit::inline FEWBIT_ARCH_NAMESPACE {

/// Parameters that cover `r`, which must be finite with lo <= hi.
///
/// symmetric, symmetric_full:  scale = amax / steps, zero_point = 0
/// affine:                     r is first widened to hold 0;
///                             scale = (hi - lo) / (max - min),
///                             zero_point = clamp(rne(min - lo / scale), min, max)
///
/// where rne rounds to nearest, ties to even, and scale is already the rounded one (a power of two,
/// or a float), so that x_hat(zero_point) = 0 exactly. The range [0, 0] gets scale 1 and zero point
/// 0; a scale is never below 2^-126.
///
/// Sources: Jacob et al. 2018, arXiv:1712.05877; Wu et al. 2020, arXiv:2004.09602.
template <IntegerStorage St, ZeroPoint Zp, Scale Sc>
[[nodiscard]] quant_params choose_params(const range& r) {
  static_assert(St::is_signed || Zp::is_affine,
                "fewbit: an unsigned storage needs the affine zero point, because symmetric codes "
                "are as often negative as positive");
  detail::expect_valid_range("choose_params", r);
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
  return params;
}

/// The same for the choices of a scheme.
template <IntegerScheme S>
[[nodiscard]] quant_params choose_params(const range& r) {
  return choose_params<typename S::storage, typename S::zero_point, typename S::scale>(r);
}

}  // namespace fewbit::inline FEWBIT_ARCH_NAMESPACE

#include "fewbit/end.hpp"
