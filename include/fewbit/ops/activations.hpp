#pragma once
/// Float activations to 8-bit codes inside an operator.
///
///     code = clamp(rne(x * (1 / scale)) + zero_point)
///
/// The reciprocal is rounded to float once, so that this differs from quantize(), which divides, at
/// and beside ties alone (and never for a power-of-two scale). This is the hot path: nothing
/// throws. A NaN becomes the zero point, an infinity the last code of its side, and neither counts
/// for the range of a row.

#include <bit>
#include <cstdint>
#include <limits>

#include "fewbit/arch/vec.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/quant/params.hpp"

namespace fewbit::inline FEWBIT_ARCH_NAMESPACE::detail {

/// x with NaN replaced by 0, by bit pattern.
template <class V>
FEWBIT_ALWAYS_INLINE V without_nan(const V& x) noexcept {
  using ints = arch::rebind<V, std::int32_t>;
  const ints magnitude = arch::bits_as<std::int32_t>(x) & ints(0x7FFFFFFF);
  return arch::select(magnitude > ints(0x7F800000), V(0.0F), x);
}

/// Bits of |x|, or 0 where x is not finite. As integers they are ordered like the numbers, so that
/// a maximum of them does not depend on the order in which it is taken.
template <class V>
FEWBIT_ALWAYS_INLINE arch::rebind<V, std::int32_t> finite_magnitude(const V& x) noexcept {
  using ints = arch::rebind<V, std::int32_t>;
  const ints magnitude = arch::bits_as<std::int32_t>(x) & ints(0x7FFFFFFF);
  return arch::select(magnitude < ints(0x7F800000), magnitude, ints(0));
}

/// max|x| of the finite values of a row; 0 if there are none.
[[nodiscard]] inline float finite_amax(const float* x, index n) noexcept {
  using vec = arch::vec<float, arch::native_lanes<float>>;
  arch::rebind<vec, std::int32_t> most(0);
  index i = 0;
  for (; i + vec::lanes <= n; i += vec::lanes) {
    most = arch::max(most, finite_magnitude(vec::load(x + i)));
  }
  std::int32_t largest = arch::max_of_lanes(most);
  for (; i < n; ++i) largest = arch::max(largest, finite_magnitude(x[i]));
  return std::bit_cast<float>(largest);
}

/// A scale as the hot path uses it.
template <class Code>
struct row_quantizer {
  float inverse_scale;
  std::int32_t zero_point;
  float lowest;  // of the code less the zero point
  float highest;

  row_quantizer(const quant_params& p, std::int32_t code_min, std::int32_t code_max) noexcept
      : inverse_scale(1.0F / p.scale),
        zero_point(p.zero_point),
        lowest(static_cast<float>(code_min - p.zero_point)),
        highest(static_cast<float>(code_max - p.zero_point)) {}

  template <class V>
  FEWBIT_ALWAYS_INLINE arch::rebind<V, Code> encode(const V& x) const noexcept {
    using ints = arch::rebind<V, std::int32_t>;
    const V quotient = arch::rounded(V(without_nan(x) * V(inverse_scale)));
    const ints code = arch::round_to_int(arch::clamp(quotient, V(lowest), V(highest)));
    return arch::convert<Code>(ints(code + ints(zero_point)));
  }

  void operator()(const float* x, index n, Code* codes) const noexcept {
    using vec = arch::vec<float, arch::native_lanes<float>>;
    index i = 0;
    for (; i + vec::lanes <= n; i += vec::lanes) encode(vec::load(x + i)).store(codes + i);
    for (; i < n; ++i) codes[i] = encode(x[i]);
  }
};

/// Scale of a row whose largest magnitude is amax and becomes the code `largest`.
[[nodiscard]] inline float dynamic_scale(float amax, int largest = 127) noexcept {
  if (amax == 0.0F) return 1.0F;
  const float scale = amax / static_cast<float>(largest);
  return scale < std::numeric_limits<float>::min() ? std::numeric_limits<float>::min() : scale;
}

}  // namespace fewbit::inline FEWBIT_ARCH_NAMESPACE::detail
