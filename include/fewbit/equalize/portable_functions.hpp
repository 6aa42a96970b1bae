#pragma once
/// exp and powers with the same bits on every platform: those of the standard library differ in the
/// last bit. Read before: portable_log in core/random.hpp.

#include "fewbit/begin.hpp"

#include <cmath>

#include "fewbit/arch/vec.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/random.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// e^x, relative error below 1e-15: with x = n log 2 + r and |r| <= log(2) / 2, 2^n times the
/// Taylor series of e^r. 0 below -700, e^700 above 700.
inline double portable_exp(double x) noexcept {
  static constexpr double series[] = {1.0,
                                      1.0,
                                      1.0 / 2,
                                      1.0 / 6,
                                      1.0 / 24,
                                      1.0 / 120,
                                      1.0 / 720,
                                      1.0 / 5040,
                                      1.0 / 40320,
                                      1.0 / 362880,
                                      1.0 / 3628800,
                                      1.0 / 39916800,
                                      1.0 / 479001600,
                                      1.0 / 6227020800.0};
  if (!(x > -700.0)) return 0.0;
  if (x > 700.0) x = 700.0;
  constexpr double log_2_high = 0x1.62e42fee00000p-1, log_2_low = 0x1.a39ef35793c76p-33;
  const double n = std::nearbyint(x / 0.693147180559945309417);
  const double r = (x - arch::rounded(n * log_2_high)) - arch::rounded(n * log_2_low);
  return std::ldexp(polynomial(series, r), static_cast<int>(n));
}

/// x^y for a normal x > 0; 0 for x = 0 and y > 0.
inline double portable_pow(double x, double y) noexcept {
  return x > 0.0 ? portable_exp(arch::rounded(y * portable_log(x))) : 0.0;
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
