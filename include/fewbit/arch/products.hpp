#pragma once
/// Products of integers that need more bits than their factors.
///
/// | function                    | AVX2, AVX512             | SSE2      | NEON                  |
/// |-----------------------------|--------------------------|-----------|-----------------------|
/// | rounded_high_product, int32 | two vpmuldq, blend       | int64     | vmull_s32, vrshrn_n   |
/// | high_half_product, uint16   | vpmulhuw                 | pmulhuw   | vmull_u16, vshrn_n    |
/// | high_half_product, int16    | vpmulhw                  | int32     | int32                 |
/// | add_pair_products, int16    | vpmaddwd and vpaddd      | pmaddwd   | vmull_s16, vpaddq_s32 |
///
/// g++ 12 does not find these instructions in the products of arch/vec.hpp.

#include "fewbit/begin.hpp"

#include <cstdint>
#include <type_traits>

#include "fewbit/arch/vec.hpp"
#include "fewbit/config.hpp"

#if defined(__SSE2__) && FEWBIT_HAS_VECTOR_TYPES
#include <immintrin.h>
#elif FEWBIT_HAS_NEON
#include <arm_neon.h>
#endif

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace arch {

/// floor(a * b / 2^31 + 1/2), modulo 2^32.
template <class V>
FEWBIT_ALWAYS_INLINE V rounded_high_product(const V& a, const V& b) noexcept {
  static_assert(std::is_same_v<lane<V>, std::int32_t>);
  if constexpr (is_vec<V>) {
#if FEWBIT_HAS_AVX512_VNNI
    if constexpr (V::is_native && sizeof(V) == 64) {
      const auto x = reinterpret_cast<__m512i>(a.data), y = reinterpret_cast<__m512i>(b.data);
      const __m512i half = _mm512_set1_epi64(1LL << 30);
      const __m512i even = _mm512_add_epi64(_mm512_mul_epi32(x, y), half);
      const __m512i odd = _mm512_add_epi64(
          _mm512_mul_epi32(_mm512_srli_epi64(x, 32), _mm512_srli_epi64(y, 32)), half);
      return V::from(reinterpret_cast<typename V::storage>(
          _mm512_mask_blend_epi32(0xAAAA, _mm512_srli_epi64(even, 31), _mm512_slli_epi64(odd, 1))));
    }
#endif
#if FEWBIT_HAS_AVX2
    if constexpr (V::is_native && sizeof(V) == 32) {
      const auto x = reinterpret_cast<__m256i>(a.data), y = reinterpret_cast<__m256i>(b.data);
      const __m256i half = _mm256_set1_epi64x(1LL << 30);
      const __m256i even = _mm256_add_epi64(_mm256_mul_epi32(x, y), half);
      const __m256i odd = _mm256_add_epi64(
          _mm256_mul_epi32(_mm256_srli_epi64(x, 32), _mm256_srli_epi64(y, 32)), half);
      return V::from(reinterpret_cast<typename V::storage>(
          _mm256_blend_epi32(_mm256_srli_epi64(even, 31), _mm256_slli_epi64(odd, 1), 0xAA)));
    }
#elif FEWBIT_HAS_NEON
    if constexpr (V::is_native && sizeof(V) == 16) {
      const auto x = reinterpret_cast<int32x4_t>(a.data), y = reinterpret_cast<int32x4_t>(b.data);
      return V::from(reinterpret_cast<typename V::storage>(
          vcombine_s32(vrshrn_n_s64(vmull_s32(vget_low_s32(x), vget_low_s32(y)), 31),
                       vrshrn_n_s64(vmull_s32(vget_high_s32(x), vget_high_s32(y)), 31))));
    }
#endif
  }
  using wide = rebind<V, std::int64_t>;
  const wide product = convert<std::int64_t>(a) * convert<std::int64_t>(b);
  return convert<std::int32_t>(wide((product + wide(std::int64_t{1} << 30)) >> wide(31)));
}

/// floor(a * b / 2^16) of 16-bit numbers.
template <class V>
FEWBIT_ALWAYS_INLINE V high_half_product(const V& a, const V& b) noexcept {
  using half = lane<V>;
  static_assert(std::is_same_v<half, std::uint16_t> || std::is_same_v<half, std::int16_t>);
  if constexpr (is_vec<V> && std::is_signed_v<half>) {
#if FEWBIT_HAS_AVX512_VNNI
    if constexpr (V::is_native && sizeof(V) == 64) {
      return V::from(reinterpret_cast<typename V::storage>(_mm512_mulhi_epi16(
          reinterpret_cast<__m512i>(a.data), reinterpret_cast<__m512i>(b.data))));
    }
#endif
#if FEWBIT_HAS_AVX2
    if constexpr (V::is_native && sizeof(V) == 32) {
      return V::from(reinterpret_cast<typename V::storage>(_mm256_mulhi_epi16(
          reinterpret_cast<__m256i>(a.data), reinterpret_cast<__m256i>(b.data))));
    }
#endif
  } else if constexpr (is_vec<V>) {
#if FEWBIT_HAS_AVX512_VNNI
    if constexpr (V::is_native && sizeof(V) == 64) {
      return V::from(reinterpret_cast<typename V::storage>(_mm512_mulhi_epu16(
          reinterpret_cast<__m512i>(a.data), reinterpret_cast<__m512i>(b.data))));
    }
#endif
#if FEWBIT_HAS_AVX2
    if constexpr (V::is_native && sizeof(V) == 32) {
      return V::from(reinterpret_cast<typename V::storage>(_mm256_mulhi_epu16(
          reinterpret_cast<__m256i>(a.data), reinterpret_cast<__m256i>(b.data))));
    }
#endif
#if defined(__SSE2__) && FEWBIT_HAS_VECTOR_TYPES
    if constexpr (V::is_native && sizeof(V) == 16) {
      return V::from(reinterpret_cast<typename V::storage>(
          _mm_mulhi_epu16(reinterpret_cast<__m128i>(a.data), reinterpret_cast<__m128i>(b.data))));
    }
#elif FEWBIT_HAS_NEON
    if constexpr (V::is_native && sizeof(V) == 16) {
      const auto x = reinterpret_cast<uint16x8_t>(a.data), y = reinterpret_cast<uint16x8_t>(b.data);
      return V::from(reinterpret_cast<typename V::storage>(
          vcombine_u16(vshrn_n_u32(vmull_u16(vget_low_u16(x), vget_low_u16(y)), 16),
                       vshrn_n_u32(vmull_u16(vget_high_u16(x), vget_high_u16(y)), 16))));
    }
#endif
  }
  using number = std::conditional_t<std::is_signed_v<half>, std::int32_t, std::uint32_t>;
  using wide = rebind<V, number>;
  const wide product = convert<number>(a) * convert<number>(b);
  return convert<half>(wide(product >> wide(16)));
}

/// sum[i] + a[2 i] * b[2 i] + a[2 i + 1] * b[2 i + 1], modulo 2^32.
template <int N>
FEWBIT_ALWAYS_INLINE vec<std::int32_t, N> add_pair_products(
    const vec<std::int32_t, N>& sum, const vec<std::int16_t, 2 * N>& a,
    const vec<std::int16_t, 2 * N>& b) noexcept {
  using sums = vec<std::int32_t, N>;
  [[maybe_unused]] const auto as_sums = [](auto bits) {
    return sums::from(reinterpret_cast<typename sums::storage>(bits));
  };
#if FEWBIT_HAS_AVX512_VNNI
  if constexpr (N == 16) {
    return as_sums(_mm512_dpwssd_epi32(reinterpret_cast<__m512i>(sum.data),
                                       reinterpret_cast<__m512i>(a.data),
                                       reinterpret_cast<__m512i>(b.data)));
  } else
#endif
#if FEWBIT_HAS_AVX2
      if constexpr (N == 8) {
    return sum + as_sums(_mm256_madd_epi16(reinterpret_cast<__m256i>(a.data),
                                           reinterpret_cast<__m256i>(b.data)));
  } else
#endif
#if defined(__SSE2__) && FEWBIT_HAS_VECTOR_TYPES
      if constexpr (N == 4) {
    return sum + as_sums(_mm_madd_epi16(reinterpret_cast<__m128i>(a.data),
                                        reinterpret_cast<__m128i>(b.data)));
  } else
#elif FEWBIT_HAS_NEON
  if constexpr (N == 4) {
    const auto x = reinterpret_cast<int16x8_t>(a.data), y = reinterpret_cast<int16x8_t>(b.data);
    return sum + as_sums(vpaddq_s32(vmull_s16(vget_low_s16(x), vget_low_s16(y)),
                                    vmull_s16(vget_high_s16(x), vget_high_s16(y))));
  } else
#endif
  {
    sums r;
    for (int i = 0; i < N; ++i) {
      const std::int32_t even = a[2 * i] * b[2 * i], odd = a[2 * i + 1] * b[2 * i + 1];
      r.set(i, add_wrapping(add_wrapping(sum[i], even), odd));
    }
    return r;
  }
}

}}}  // namespace fewbit::arch

#include "fewbit/end.hpp"
