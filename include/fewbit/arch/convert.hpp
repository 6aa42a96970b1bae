#pragma once
/// Conversions that one instruction does and vec.hpp cannot say: float to the nearest integer,
/// int32 sums to 8-bit codes with saturation, 8 and 16 bits to 32.
///
/// | instruction                    | computes                           | ports of Cascade Lake  |
/// |--------------------------------|------------------------------------|------------------------|
/// | vcvtps2dq, fcvtns              | nearest int32, ties to even        | 1 of 2 (p05)           |
/// | vpackssdw, vpackuswb, vpermd   | 4 registers of int32 to 1 of codes | 1 of 2 per register    |
/// | sqxtn, sqxtun                  | the same, 128 bits                 |                        |
/// | vpmovzxwd, vpmovsxbd ...       | 16 or 8 bits as 32                 | p5                     |
///
/// vpmovsdb and its kin would take 2 of p5 for each register.

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "fewbit/arch/vec.hpp"

#if defined(__SSE2__) && FEWBIT_HAS_VECTOR_TYPES
#include <immintrin.h>
#elif FEWBIT_HAS_NEON
#include <arm_neon.h>
#endif

namespace fewbit::inline FEWBIT_ARCH_NAMESPACE::arch {

/// Nearest integer, ties to even, for x < 2^31; what is below -2^31 becomes -2^31.
template <class V>
FEWBIT_ALWAYS_INLINE rebind<V, std::int32_t> nearest_int(const V& x) noexcept {
  static_assert(std::is_same_v<lane<V>, float>);
  using integers = rebind<V, std::int32_t>;
  if constexpr (!is_vec<V>) {
    return x < -0x1p31F ? std::numeric_limits<std::int32_t>::min()
                        : static_cast<std::int32_t>(std::nearbyint(x));
  } else {
#if FEWBIT_HAS_AVX512_VNNI
    if constexpr (V::lanes == 16) {
      return integers::from(reinterpret_cast<typename integers::storage>(
          _mm512_cvtps_epi32(reinterpret_cast<__m512>(x.data))));
    }
#endif
#if FEWBIT_HAS_AVX2
    if constexpr (V::lanes == 8) {
      return integers::from(reinterpret_cast<typename integers::storage>(
          _mm256_cvtps_epi32(reinterpret_cast<__m256>(x.data))));
    }
#endif
#if defined(__SSE2__) && FEWBIT_HAS_VECTOR_TYPES
    if constexpr (V::lanes == 4) {
      return integers::from(reinterpret_cast<typename integers::storage>(
          _mm_cvtps_epi32(reinterpret_cast<__m128>(x.data))));
    }
#elif FEWBIT_HAS_NEON
    if constexpr (V::lanes == 4) {
      return integers::from(reinterpret_cast<typename integers::storage>(
          vcvtnq_s32_f32(reinterpret_cast<float32x4_t>(x.data))));
    }
#endif
    integers r;
    for (int i = 0; i < V::lanes; ++i) r.set(i, nearest_int(x[i]));
    return r;
  }
}

namespace detail {

/// Where no instruction narrows registers of this width.
template <class Code, class Values>
void narrow_by_packs(const Values&, std::int16_t) = delete;

#if FEWBIT_HAS_AVX512_VNNI
template <class Code>
FEWBIT_ALWAYS_INLINE vec<Code, 64> narrow_by_packs(const vec<std::int32_t, 16> (&v)[4],
                                                   std::int16_t offset) noexcept {
  const auto bits = [&](int i) { return reinterpret_cast<__m512i>(v[i].data); };
  const __m512i zero = _mm512_set1_epi16(offset);
  const __m512i low = _mm512_adds_epi16(_mm512_packs_epi32(bits(0), bits(1)), zero);
  const __m512i high = _mm512_adds_epi16(_mm512_packs_epi32(bits(2), bits(3)), zero);
  const __m512i codes =
      std::is_signed_v<Code> ? _mm512_packs_epi16(low, high) : _mm512_packus_epi16(low, high);
  // Packs work on 128 bits: dword 4 i + j holds four codes of register j.
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i sorted = _mm512_permutexvar_epi32(order, codes);
  return vec<Code, 64>::from(reinterpret_cast<typename vec<Code, 64>::storage>(sorted));
}
#endif

#if FEWBIT_HAS_AVX2
template <class Code>
FEWBIT_ALWAYS_INLINE vec<Code, 32> narrow_by_packs(const vec<std::int32_t, 8> (&v)[4],
                                                   std::int16_t offset) noexcept {
  const auto bits = [&](int i) { return reinterpret_cast<__m256i>(v[i].data); };
  const __m256i zero = _mm256_set1_epi16(offset);
  const __m256i low = _mm256_adds_epi16(_mm256_packs_epi32(bits(0), bits(1)), zero);
  const __m256i high = _mm256_adds_epi16(_mm256_packs_epi32(bits(2), bits(3)), zero);
  const __m256i codes =
      std::is_signed_v<Code> ? _mm256_packs_epi16(low, high) : _mm256_packus_epi16(low, high);
  const __m256i sorted =
      _mm256_permutevar8x32_epi32(codes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  return vec<Code, 32>::from(reinterpret_cast<typename vec<Code, 32>::storage>(sorted));
}
#endif

#if FEWBIT_HAS_NEON
template <class Code>
FEWBIT_ALWAYS_INLINE vec<Code, 16> narrow_by_packs(const vec<std::int32_t, 4> (&v)[4],
                                                   std::int16_t offset) noexcept {
  const auto half = [&](int i) {
    const auto first = reinterpret_cast<int32x4_t>(v[i].data);
    const auto second = reinterpret_cast<int32x4_t>(v[i + 1].data);
    return vqaddq_s16(vcombine_s16(vqmovn_s32(first), vqmovn_s32(second)), vdupq_n_s16(offset));
  };
  using codes = vec<Code, 16>;
  if constexpr (std::is_signed_v<Code>) {
    return codes::from(reinterpret_cast<typename codes::storage>(
        vcombine_s8(vqmovn_s16(half(0)), vqmovn_s16(half(2)))));
  } else {
    return codes::from(reinterpret_cast<typename codes::storage>(
        vcombine_u8(vqmovun_s16(half(0)), vqmovun_s16(half(2)))));
  }
}
#endif

}  // namespace detail

/// value + offset, saturated to the range of an 8-bit code; |offset| <= 255.
template <class Code, class V>
FEWBIT_ALWAYS_INLINE rebind<V, Code> saturated(const V& value, std::int32_t offset) noexcept {
  const V lo(std::numeric_limits<Code>::min() - offset);
  const V hi(std::numeric_limits<Code>::max() - offset);
  return convert<Code>(V(clamp(value, lo, hi) + V(offset)));
}

/// The same for four vectors that follow one another.
template <class Code, int N>
FEWBIT_ALWAYS_INLINE vec<Code, 4 * N> saturated(const vec<std::int32_t, N> (&values)[4],
                                                std::int32_t offset) noexcept {
  const auto zero = static_cast<std::int16_t>(offset);
  if constexpr (requires { detail::narrow_by_packs<Code>(values, zero); }) {
    return detail::narrow_by_packs<Code>(values, zero);
  } else {
    vec<Code, 4 * N> codes;
    for (int i = 0; i < 4 * N; ++i) codes.set(i, saturated<Code>(values[i / N][i % N], offset));
    return codes;
  }
}

/// Integers of 8 or 16 bits as those of 32. Of their conversion g++ 12 makes several instructions,
/// by halves.
template <class V>
FEWBIT_ALWAYS_INLINE auto widened(const V& v) noexcept {
  constexpr bool is_signed = std::is_signed_v<lane<V>>;
  using words = rebind<V, std::conditional_t<is_signed, std::int32_t, std::uint32_t>>;
  static_assert(sizeof(lane<V>) == 1 || (sizeof(lane<V>) == 2 && !is_signed));
  if constexpr (is_vec<V>) {
    [[maybe_unused]] const auto from = [](auto bits) {
      return words::from(reinterpret_cast<typename words::storage>(bits));
    };
#if FEWBIT_HAS_AVX512_VNNI
    if constexpr (V::lanes == 16 && sizeof(lane<V>) == 2) {
      return from(_mm512_cvtepu16_epi32(reinterpret_cast<__m256i>(v.data)));
    } else if constexpr (V::lanes == 16) {
      const auto bits = reinterpret_cast<__m128i>(v.data);
      return from(is_signed ? _mm512_cvtepi8_epi32(bits) : _mm512_cvtepu8_epi32(bits));
    } else
#endif
#if FEWBIT_HAS_AVX2
        if constexpr (V::lanes == 8 && sizeof(lane<V>) == 2) {
      return from(_mm256_cvtepu16_epi32(reinterpret_cast<__m128i>(v.data)));
    } else if constexpr (V::lanes == 8) {
      const __m128i bits = _mm_cvtsi64_si128(std::bit_cast<std::int64_t>(v.data));
      return from(is_signed ? _mm256_cvtepi8_epi32(bits) : _mm256_cvtepu8_epi32(bits));
    } else
#endif
    {
      return convert<lane<words>>(v);
    }
  } else {
    return static_cast<words>(v);
  }
}

}  // namespace fewbit::inline FEWBIT_ARCH_NAMESPACE::arch
