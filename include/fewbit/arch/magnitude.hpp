#pragma once
/// The larger of two magnitudes.
///
/// | instruction     | computes             | ports          |
/// |-----------------|----------------------|----------------|
/// | vrangeps        | max(\|a\|, \|b\|)    | 1 of 2 (p05)   |
/// | vandps, vpmaxsd | the same on integers | 2              |

#include "fewbit/begin.hpp"

#include <cstdint>
#include <type_traits>

#include "fewbit/arch/vec.hpp"

#if FEWBIT_HAS_AVX512_VNNI
#include <immintrin.h>
#endif

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace arch {

/// Bits of |x|. Compared as integers, they have the order of the magnitudes; NaN is above infinity.
template <class V>
FEWBIT_ALWAYS_INLINE rebind<V, std::int32_t> magnitude_bits(const V& x) noexcept {
  static_assert(std::is_same_v<lane<V>, float>);
  return bits_as<std::int32_t>(x) & rebind<V, std::int32_t>(0x7FFFFFFF);
}

/// max(|a|, |b|) for a >= 0; infinities are allowed. The result for a NaN is unspecified.
template <class V>
FEWBIT_ALWAYS_INLINE V larger_magnitude(const V& a, const V& b) noexcept {
#if FEWBIT_HAS_AVX512_VNNI && defined(__AVX512DQ__)
  if constexpr (V::is_native && sizeof(V) == 64) {
    constexpr int larger_without_sign = 0b1011;
    return V::from(reinterpret_cast<typename V::storage>(_mm512_range_ps(
        reinterpret_cast<__m512>(a.data), reinterpret_cast<__m512>(b.data), larger_without_sign)));
  }
#endif
  return bits_as<float>(max(bits_as<std::int32_t>(a), magnitude_bits(b)));
}

}}}  // namespace fewbit::arch

#include "fewbit/end.hpp"
