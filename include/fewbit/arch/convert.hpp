#pragma once
/// Conversions that have an instruction of their own: float to the nearest integer, int32 sums to
/// 8-bit codes with saturation, 8 and 16 bits to 32.
///
/// | instruction                    | computes                           | ports of Cascade Lake  |
/// |--------------------------------|------------------------------------|------------------------|
/// | vcvtps2dq, fcvtns              | nearest int32, ties to even        | 1 of 2 (p05)           |
/// | vpackssdw, vpackuswb, vpermd   | 4 registers of int32 to 1 of codes | 1 of 2 per register    |
/// | sqxtn, sqxtun                  | the same, 128 bits                 |                        |
/// | vpmovzxwd, vpmovsxbd ...       | 16 or 8 bits as 32                 | p5                     |
///
/// vpmovsdb and its variants are not used: each takes two operations on p5 per register.

#include "fewbit/begin.hpp"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "fewbit/arch/vec.hpp"

#if defined(__SSE2__) && FEWBIT_HAS_VECTOR_TYPES
#include <immintrin.h>
#elif FEWBIT_HAS_NEON
#include <arm_neon.h>
#endif

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace arch {

/// Nearest integer, ties to even, for x < 2^31. Values below -2^31 become -2^31. On x86, x >= 2^31
/// and NaN become -2^31. On Arm, x >= 2^31 becomes 2^31 - 1, and NaN becomes 0.
template <class V>
FEWBIT_ALWAYS_INLINE rebind<V, std::int32_t> nearest_int(const V& x) noexcept {
  static_assert(std::is_same_v<lane<V>, float>);
  using integers = rebind<V, std::int32_t>;
  if constexpr (!is_vec<V>) {
    const bool fits = x >= -0x1p31F && x < 0x1p31F;
    return fits ? static_cast<std::int32_t>(std::nearbyint(x))
                : std::numeric_limits<std::int32_t>::min();
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

/// `positive` with the sign of x. Uses an intrinsic because g++ 12 does not merge `and` and `or`
/// into one vpternlogd.
template <class V>
FEWBIT_ALWAYS_INLINE V with_sign_of(const V& x, const V& positive) noexcept {
  using integers = rebind<V, std::int32_t>;
  const integers sign(std::numeric_limits<std::int32_t>::min());
#if FEWBIT_HAS_AVX512_VNNI
  if constexpr (is_vec<V>) {
    if constexpr (V::is_native && sizeof(V) == 64) {
      constexpr int a_and_b_or_c = 0xEA;
      return V::from(reinterpret_cast<typename V::storage>(_mm512_ternarylogic_epi32(
          reinterpret_cast<__m512i>(sign.data), reinterpret_cast<__m512i>(x.data),
          reinterpret_cast<__m512i>(positive.data), a_and_b_or_c)));
    }
  }
#endif
  const integers bits = bits_as<std::int32_t>(x) & sign;
  return bits_as<float>(integers(bits | bits_as<std::int32_t>(positive)));
}

/// Nearest integer, ties away from zero, for |x| <= 2^22. Adds the largest float below 0.5 with the
/// sign of x, then truncates. Adding 0.5 itself would turn the largest float below 0.5 into 1.
template <class V>
FEWBIT_ALWAYS_INLINE rebind<V, std::int32_t> nearest_int_half_away(const V& x) noexcept {
  static_assert(std::is_same_v<lane<V>, float>);
  const V value = rounded(x);
  return convert<std::int32_t>(V(value + with_sign_of(value, V(0.49999997F))));
}

namespace detail {

/// No instruction narrows registers of this width; `narrowed` then uses a loop.
template <class Code, class Values, class F>
void narrow_by_packs(const Values&, const F&) = delete;

#if FEWBIT_HAS_AVX512_VNNI
template <class Code, class F>
FEWBIT_ALWAYS_INLINE vec<Code, 64> narrow_by_packs(const vec<std::int32_t, 16> (&v)[4],
                                                   const F& f) noexcept {
  using half = vec<std::int16_t, 32>;
  const auto packed = [&](int i) {
    const __m512i both = _mm512_packs_epi32(reinterpret_cast<__m512i>(v[i].data),
                                            reinterpret_cast<__m512i>(v[i + 1].data));
    const half changed = f(half::from(reinterpret_cast<half::storage>(both)));
    return reinterpret_cast<__m512i>(changed.data);
  };
  const __m512i low = packed(0), high = packed(2);
  const __m512i codes =
      std::is_signed_v<Code> ? _mm512_packs_epi16(low, high) : _mm512_packus_epi16(low, high);
  // Pack instructions work within 128 bits, so dword 4 i + j now holds four codes of register j.
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i sorted = _mm512_permutexvar_epi32(order, codes);
  return vec<Code, 64>::from(reinterpret_cast<typename vec<Code, 64>::storage>(sorted));
}
#endif

#if FEWBIT_HAS_AVX2
template <class Code, class F>
FEWBIT_ALWAYS_INLINE vec<Code, 32> narrow_by_packs(const vec<std::int32_t, 8> (&v)[4],
                                                   const F& f) noexcept {
  using half = vec<std::int16_t, 16>;
  const auto packed = [&](int i) {
    const __m256i both = _mm256_packs_epi32(reinterpret_cast<__m256i>(v[i].data),
                                            reinterpret_cast<__m256i>(v[i + 1].data));
    const half changed = f(half::from(reinterpret_cast<half::storage>(both)));
    return reinterpret_cast<__m256i>(changed.data);
  };
  const __m256i low = packed(0), high = packed(2);
  const __m256i codes =
      std::is_signed_v<Code> ? _mm256_packs_epi16(low, high) : _mm256_packus_epi16(low, high);
  const __m256i sorted =
      _mm256_permutevar8x32_epi32(codes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  return vec<Code, 32>::from(reinterpret_cast<typename vec<Code, 32>::storage>(sorted));
}
#endif

#if defined(__SSE2__) && FEWBIT_HAS_VECTOR_TYPES
template <class Code, class F>
FEWBIT_ALWAYS_INLINE vec<Code, 16> narrow_by_packs(const vec<std::int32_t, 4> (&v)[4],
                                                   const F& f) noexcept {
  using half = vec<std::int16_t, 8>;
  const auto packed = [&](int i) {
    const __m128i both = _mm_packs_epi32(reinterpret_cast<__m128i>(v[i].data),
                                         reinterpret_cast<__m128i>(v[i + 1].data));
    const half changed = f(half::from(reinterpret_cast<half::storage>(both)));
    return reinterpret_cast<__m128i>(changed.data);
  };
  const __m128i low = packed(0), high = packed(2);
  const __m128i codes =
      std::is_signed_v<Code> ? _mm_packs_epi16(low, high) : _mm_packus_epi16(low, high);
  return vec<Code, 16>::from(reinterpret_cast<typename vec<Code, 16>::storage>(codes));
}
#elif FEWBIT_HAS_NEON
template <class Code, class F>
FEWBIT_ALWAYS_INLINE vec<Code, 16> narrow_by_packs(const vec<std::int32_t, 4> (&v)[4],
                                                   const F& f) noexcept {
  using half = vec<std::int16_t, 8>;
  const auto packed = [&](int i) {
    const auto first = reinterpret_cast<int32x4_t>(v[i].data);
    const auto second = reinterpret_cast<int32x4_t>(v[i + 1].data);
    const int16x8_t both = vcombine_s16(vqmovn_s32(first), vqmovn_s32(second));
    const half changed = f(half::from(reinterpret_cast<half::storage>(both)));
    return reinterpret_cast<int16x8_t>(changed.data);
  };
  using codes = vec<Code, 16>;
  if constexpr (std::is_signed_v<Code>) {
    return codes::from(reinterpret_cast<typename codes::storage>(
        vcombine_s8(vqmovn_s16(packed(0)), vqmovn_s16(packed(2)))));
  } else {
    return codes::from(reinterpret_cast<typename codes::storage>(
        vcombine_u8(vqmovun_s16(packed(0)), vqmovun_s16(packed(2)))));
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

/// a + b of int16, saturated.
template <class V>
FEWBIT_ALWAYS_INLINE V add_saturating(const V& a, const V& b) noexcept {
  static_assert(std::is_same_v<lane<V>, std::int16_t>);
#if FEWBIT_HAS_AVX512_VNNI
  if constexpr (V::is_native && sizeof(V) == 64) {
    return V::from(reinterpret_cast<typename V::storage>(
        _mm512_adds_epi16(reinterpret_cast<__m512i>(a.data), reinterpret_cast<__m512i>(b.data))));
  }
#endif
#if FEWBIT_HAS_AVX2
  if constexpr (V::is_native && sizeof(V) == 32) {
    return V::from(reinterpret_cast<typename V::storage>(
        _mm256_adds_epi16(reinterpret_cast<__m256i>(a.data), reinterpret_cast<__m256i>(b.data))));
  }
#endif
#if defined(__SSE2__) && FEWBIT_HAS_VECTOR_TYPES
  if constexpr (V::is_native && sizeof(V) == 16) {
    return V::from(reinterpret_cast<typename V::storage>(
        _mm_adds_epi16(reinterpret_cast<__m128i>(a.data), reinterpret_cast<__m128i>(b.data))));
  }
#elif FEWBIT_HAS_NEON
  if constexpr (V::is_native && sizeof(V) == 16) {
    return V::from(reinterpret_cast<typename V::storage>(
        vqaddq_s16(reinterpret_cast<int16x8_t>(a.data), reinterpret_cast<int16x8_t>(b.data))));
  }
#endif
  using ints = rebind<V, std::int32_t>;
  using limits = std::numeric_limits<std::int16_t>;
  const ints sum = convert<std::int32_t>(a) + convert<std::int32_t>(b);
  return convert<std::int16_t>(clamp(sum, ints(limits::min()), ints(limits::max())));
}

/// Narrows four consecutive vectors to 8-bit codes: saturates each value to int16, applies f, and
/// saturates the result to a code. f maps a vec<std::int16_t, 2 N> lane by lane. It is called
/// twice. The processor determines which values each call gets, and in which lanes.
template <class Code, int N, class F>
FEWBIT_ALWAYS_INLINE vec<Code, 4 * N> narrowed(const vec<std::int32_t, N> (&values)[4],
                                               const F& f) noexcept {
  if constexpr (requires { detail::narrow_by_packs<Code>(values, f); }) {
    return detail::narrow_by_packs<Code>(values, f);
  } else {
    vec<Code, 4 * N> codes;
    for (int first = 0; first < 4; first += 2) {
      vec<std::int16_t, 2 * N> half;
      for (int i = 0; i < 2 * N; ++i) {
        half.set(i,
                 static_cast<std::int16_t>(clamp(values[first + i / N][i % N], -0x8000, 0x7FFF)));
      }
      half = f(half);
      for (int i = 0; i < 2 * N; ++i) {
        codes.set(first * N + i, saturated<Code>(std::int32_t{half[i]}, 0));
      }
    }
    return codes;
  }
}

/// value + offset, saturated to codes, for four consecutive vectors.
template <class Code, int N>
FEWBIT_ALWAYS_INLINE vec<Code, 4 * N> saturated(const vec<std::int32_t, N> (&values)[4],
                                                std::int32_t offset) noexcept {
  using half = vec<std::int16_t, 2 * N>;
  const half zero(static_cast<std::int16_t>(offset));
  return narrowed<Code>(values, [&](const half& v) { return add_saturating(v, zero); });
}

/// Integers of 8 or 16 bits, extended to 32 bits. Uses intrinsics because g++ 12 converts half
/// registers, with several instructions.
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

}}}  // namespace fewbit::arch

#include "fewbit/end.hpp"
