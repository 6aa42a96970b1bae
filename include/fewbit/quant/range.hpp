#pragma once
/// The interval of real values that codes must cover.
///
/// An observer (calib/) returns a range. `choose_params` (params.hpp) turns it into a scale and a
/// zero point. A range does not depend on the bits of a code: the same range serves int8 and int4.

#include "fewbit/begin.hpp"

#include <bit>
#include <cstdint>
#include <type_traits>

#include "fewbit/config.hpp"
#include "fewbit/core/error.hpp"

namespace fewbit { inline namespace FEWBIT_VERSION_NAMESPACE {

/// [lo, hi] with lo <= hi, both finite.
struct range {
  float lo = 0.0F;
  float hi = 0.0F;

  /// max(|lo|, |hi|): the largest magnitude.
  [[nodiscard]] FEWBIT_ALWAYS_INLINE constexpr float amax() const noexcept {
    const float below = lo < 0.0F ? -lo : lo;
    const float above = hi < 0.0F ? -hi : hi;
    return below > above ? below : above;
  }

  friend constexpr bool operator==(const range&, const range&) = default;
};

/// The smallest range that holds both.
[[nodiscard]] FEWBIT_ALWAYS_INLINE constexpr range hull(const range& a, const range& b) noexcept {
  return {a.lo < b.lo ? a.lo : b.lo, a.hi > b.hi ? a.hi : b.hi};
}

}}  // namespace fewbit

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// Fails unless both ends are finite and in order.
inline void expect_valid_range(const char* function, const range& r) {
  if (!is_finite(r.lo)) fail(function, "range.lo", r.lo, "a finite number");
  if (!is_finite(r.hi)) fail(function, "range.hi", r.hi, "a finite number");
  if (r.lo > r.hi) fail(function, "range.lo", r.lo, "at most range.hi, " + text(r.hi));
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
