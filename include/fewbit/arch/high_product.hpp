#pragma once
/// The high half of a product of int32, rounded: floor(a * b / 2^31 + 1/2).
///
/// | instructions                               | lanes | operations |
/// |--------------------------------------------|-------|------------|
/// | 2 vpmuldq, 3 vpaddq, 3 shifts, 1 blend     | 8, 16 | 9          |
/// | sqrdmulh, and a correction of its overflow | 4     | 3          |
///
/// The shift of b to the odd lanes is shared by all products with the same b. A product of int64
/// lanes would take more than 30 operations with AVX2.

#include "fewbit/begin.hpp"

#include <cstdint>

#include "fewbit/arch/vec.hpp"

#if FEWBIT_HAS_AVX2
#include <immintrin.h>
#elif FEWBIT_HAS_NEON
#include <arm_neon.h>
#endif

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace arch {

/// floor(a * b / 2^31 + 1/2), wrapping: only the smallest integer times itself does not fit.
template <class V>
FEWBIT_ALWAYS_INLINE V high_product(const V& a, const V& b) noexcept {
  static_assert(std::is_same_v<lane<V>, std::int32_t>);
#if FEWBIT_HAS_AVX512_VNNI
  if constexpr (is_vec<V> && sizeof(V) == 64) {
    const auto x = reinterpret_cast<__m512i>(a.data), y = reinterpret_cast<__m512i>(b.data);
    const __m512i half = _mm512_set1_epi64(1LL << 30);
    const __m512i even = _mm512_add_epi64(_mm512_mul_epi32(x, y), half);
    const __m512i odd = _mm512_add_epi64(
        _mm512_mul_epi32(_mm512_srli_epi64(x, 32), _mm512_srli_epi64(y, 32)), half);
    return V::from(reinterpret_cast<typename V::storage>(
        _mm512_mask_blend_epi32(0xAAAA, _mm512_srli_epi64(even, 31), _mm512_add_epi64(odd, odd))));
  } else
#endif
#if FEWBIT_HAS_AVX2
      if constexpr (is_vec<V> && sizeof(V) == 32) {
    const auto x = reinterpret_cast<__m256i>(a.data), y = reinterpret_cast<__m256i>(b.data);
    const __m256i half = _mm256_set1_epi64x(1LL << 30);
    const __m256i even = _mm256_add_epi64(_mm256_mul_epi32(x, y), half);
    const __m256i odd = _mm256_add_epi64(
        _mm256_mul_epi32(_mm256_srli_epi64(x, 32), _mm256_srli_epi64(y, 32)), half);
    return V::from(reinterpret_cast<typename V::storage>(
        _mm256_blend_epi32(_mm256_srli_epi64(even, 31), _mm256_add_epi64(odd, odd), 0xAA)));
  } else
#elif FEWBIT_HAS_NEON && FEWBIT_HAS_VECTOR_TYPES
  if constexpr (is_vec<V> && sizeof(V) == 16) {
    const auto x = reinterpret_cast<int32x4_t>(a.data), y = reinterpret_cast<int32x4_t>(b.data);
    const int32x4_t high = vqrdmulhq_s32(x, y);  // the only negative product of equal signs wraps
    const uint32x4_t overflows =
        vandq_u32(vceqq_s32(x, vdupq_n_s32(INT32_MIN)), vceqq_s32(y, vdupq_n_s32(INT32_MIN)));
    return V::from(
        reinterpret_cast<typename V::storage>(vbslq_s32(overflows, vdupq_n_s32(INT32_MIN), high)));
  } else
#endif
  {
    using wide = rebind<V, std::int64_t>;
    const wide product = convert<std::int64_t>(a) * convert<std::int64_t>(b);
    return convert<std::int32_t>(wide((product + wide(1LL << 30)) >> wide(31)));
  }
}

}}}  // namespace fewbit::arch

#include "fewbit/end.hpp"
