#pragma once
/// Two registers of 8-bit codes become pairs of 16-bit numbers, and sums of pairs become codes.
///
/// | x86                        | NEON               | computes                                    |
/// |----------------------------|--------------------|---------------------------------------------|
/// | vpunpcklbw, vpunpckhbw     | zip1, zip2, ushll  | the pairs (a[i], b[i])                      |
/// | vpackssdw, vpackuswb       | sqxtn, sqxtun      | saturated codes, in the order of the inputs |
/// | vpmaddubsw                 | -                  | sums of two products of bytes in int16      |
///
/// Unpack and pack instructions of x86 work within 128 bits. One undoes the order of the other, so
/// no instruction crosses 128 bits. Read next: arch/products.hpp (add_pair_products).

#include "fewbit/begin.hpp"

#include <cstdint>
#include <type_traits>

#include "fewbit/arch/convert.hpp"
#include "fewbit/arch/vec.hpp"
#include "fewbit/config.hpp"

#if defined(__SSE2__) && FEWBIT_HAS_VECTOR_TYPES
#include <immintrin.h>
#elif FEWBIT_HAS_NEON
#include <arm_neon.h>
#endif

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace arch {

/// What is added to a code so that the pairs of map_pairs are 0 to 255.
template <class T>
inline constexpr int pair_offset = std::is_signed_v<T> ? 128 : 0;

namespace detail {

/// No instructions for registers of this type; map_pairs then uses a loop.
template <bool Signed, class Bits, class F>
Bits map_pairs_in_register(Bits, Bits, const F&) = delete;

#if FEWBIT_HAS_AVX512_VNNI
template <bool Signed, class F>
FEWBIT_ALWAYS_INLINE __m512i map_pairs_in_register(__m512i a, __m512i b, const F& f) noexcept {
  using half = vec<std::int16_t, 32>;
  const auto of = [&](__m512i pairs) {
    return reinterpret_cast<__m512i>(f(half::from(reinterpret_cast<half::storage>(pairs))).data);
  };
  const __m512i zero = _mm512_setzero_si512();
  const __m512i low = _mm512_unpacklo_epi8(a, b), high = _mm512_unpackhi_epi8(a, b);
  const __m512i first =
      _mm512_packs_epi32(of(_mm512_unpacklo_epi8(low, zero)), of(_mm512_unpackhi_epi8(low, zero)));
  const __m512i second = _mm512_packs_epi32(of(_mm512_unpacklo_epi8(high, zero)),
                                            of(_mm512_unpackhi_epi8(high, zero)));
  return Signed ? _mm512_packs_epi16(first, second) : _mm512_packus_epi16(first, second);
}
#endif

#if FEWBIT_HAS_AVX2
template <bool Signed, class F>
FEWBIT_ALWAYS_INLINE __m256i map_pairs_in_register(__m256i a, __m256i b, const F& f) noexcept {
  using half = vec<std::int16_t, 16>;
  const auto of = [&](__m256i pairs) {
    return reinterpret_cast<__m256i>(f(half::from(reinterpret_cast<half::storage>(pairs))).data);
  };
  const __m256i zero = _mm256_setzero_si256();
  const __m256i low = _mm256_unpacklo_epi8(a, b), high = _mm256_unpackhi_epi8(a, b);
  const __m256i first =
      _mm256_packs_epi32(of(_mm256_unpacklo_epi8(low, zero)), of(_mm256_unpackhi_epi8(low, zero)));
  const __m256i second = _mm256_packs_epi32(of(_mm256_unpacklo_epi8(high, zero)),
                                            of(_mm256_unpackhi_epi8(high, zero)));
  return Signed ? _mm256_packs_epi16(first, second) : _mm256_packus_epi16(first, second);
}
#endif

#if defined(__SSE2__) && FEWBIT_HAS_VECTOR_TYPES
template <bool Signed, class F>
FEWBIT_ALWAYS_INLINE __m128i map_pairs_in_register(__m128i a, __m128i b, const F& f) noexcept {
  using half = vec<std::int16_t, 8>;
  const auto of = [&](__m128i pairs) {
    return reinterpret_cast<__m128i>(f(half::from(reinterpret_cast<half::storage>(pairs))).data);
  };
  const __m128i zero = _mm_setzero_si128();
  const __m128i low = _mm_unpacklo_epi8(a, b), high = _mm_unpackhi_epi8(a, b);
  const __m128i first =
      _mm_packs_epi32(of(_mm_unpacklo_epi8(low, zero)), of(_mm_unpackhi_epi8(low, zero)));
  const __m128i second =
      _mm_packs_epi32(of(_mm_unpacklo_epi8(high, zero)), of(_mm_unpackhi_epi8(high, zero)));
  return Signed ? _mm_packs_epi16(first, second) : _mm_packus_epi16(first, second);
}
#elif FEWBIT_HAS_NEON
template <bool Signed, class F>
FEWBIT_ALWAYS_INLINE uint8x16_t map_pairs_in_register(uint8x16_t a, uint8x16_t b,
                                                      const F& f) noexcept {
  using half = vec<std::int16_t, 8>;
  const auto of = [&](uint8x8_t pairs) {
    const uint16x8_t wide = vmovl_u8(pairs);
    return vqmovn_s32(
        reinterpret_cast<int32x4_t>(f(half::from(reinterpret_cast<half::storage>(wide))).data));
  };
  const uint8x16_t low = vzip1q_u8(a, b), high = vzip2q_u8(a, b);
  const int16x8_t first = vcombine_s16(of(vget_low_u8(low)), of(vget_high_u8(low)));
  const int16x8_t second = vcombine_s16(of(vget_low_u8(high)), of(vget_high_u8(high)));
  if constexpr (Signed) {
    return vreinterpretq_u8_s8(vcombine_s8(vqmovn_s16(first), vqmovn_s16(second)));
  } else {
    return vcombine_u8(vqmovun_s16(first), vqmovun_s16(second));
  }
}
#endif

}  // namespace detail

/// The codes sat(f(a[i] + offset, b[i] + offset)), offset = pair_offset<T>.
///
/// f maps a vec<std::int16_t, 2 N> of pairs, all 0 to 255, to a vec<std::int32_t, N>. It is called
/// for a quarter of the lanes at a time; results saturate to int16 and then to T.
template <class T, int Lanes, class F>
FEWBIT_ALWAYS_INLINE vec<T, Lanes> map_pairs(const vec<T, Lanes>& a, const vec<T, Lanes>& b,
                                             const F& f) noexcept {
  static_assert(sizeof(T) == 1);
  using codes = vec<T, Lanes>;
#if FEWBIT_HAS_NEON || (defined(__SSE2__) && FEWBIT_HAS_VECTOR_TYPES)
  [[maybe_unused]] constexpr bool is_signed = std::is_signed_v<T>;
  [[maybe_unused]] const auto run = [&](auto zero) {
    using bits = decltype(zero);
    const vec<std::uint8_t, Lanes> flip(std::uint8_t{pair_offset<T>});
    const auto x = bits_as<std::uint8_t>(a) ^ flip, y = bits_as<std::uint8_t>(b) ^ flip;
    return codes::from(
        reinterpret_cast<typename codes::storage>(detail::map_pairs_in_register<is_signed>(
            reinterpret_cast<bits>(x.data), reinterpret_cast<bits>(y.data), f)));
  };
#endif
#if FEWBIT_HAS_AVX512_VNNI
  if constexpr (Lanes == 64) {
    return run(__m512i{});
  } else
#endif
#if FEWBIT_HAS_AVX2
      if constexpr (Lanes == 32) {
    return run(__m256i{});
  } else
#endif
#if defined(__SSE2__) && FEWBIT_HAS_VECTOR_TYPES
      if constexpr (Lanes == 16) {
    return run(__m128i{});
  } else
#elif FEWBIT_HAS_NEON
  if constexpr (Lanes == 16) {
    return run(uint8x16_t{});
  } else
#endif
  {
    codes r;
    for (int first = 0; first < Lanes; first += Lanes / 4) {
      vec<std::int16_t, Lanes / 2> pairs;
      for (int i = 0; i < Lanes / 4; ++i) {
        pairs.set(2 * i, static_cast<std::int16_t>(a[first + i] + pair_offset<T>));
        pairs.set(2 * i + 1, static_cast<std::int16_t>(b[first + i] + pair_offset<T>));
      }
      const vec<std::int32_t, Lanes / 4> sums = f(pairs);
      for (int i = 0; i < Lanes / 4; ++i) r.set(first + i, saturated<T>(sums[i], 0));
    }
    return r;
  }
}

/// Whether map_byte_pairs and pair_sums are instructions for registers of the native arch.
inline constexpr bool has_byte_pairs = FEWBIT_HAS_AVX2;

/// sums[i] = digits[2 i] * codes[2 i] + digits[2 i + 1] * codes[2 i + 1]. The sums must fit int16:
/// digits[2 i] + digits[2 i + 1] <= 255 suffices.
template <int N>
FEWBIT_ALWAYS_INLINE vec<std::int16_t, N / 2> pair_sums(const vec<std::uint8_t, N>& digits,
                                                        const vec<std::int8_t, N>& codes) noexcept {
  using sums = vec<std::int16_t, N / 2>;
#if FEWBIT_HAS_AVX512_VNNI
  if constexpr (N == 64) {
    return sums::from(reinterpret_cast<typename sums::storage>(_mm512_maddubs_epi16(
        reinterpret_cast<__m512i>(digits.data), reinterpret_cast<__m512i>(codes.data))));
  } else
#endif
#if FEWBIT_HAS_AVX2
      if constexpr (N == 32) {
    return sums::from(reinterpret_cast<typename sums::storage>(_mm256_maddubs_epi16(
        reinterpret_cast<__m256i>(digits.data), reinterpret_cast<__m256i>(codes.data))));
  } else
#endif
  {
    sums r;
    for (int i = 0; i < N / 2; ++i) {
      r.set(i, static_cast<std::int16_t>(digits[2 * i] * codes[2 * i] +
                                         digits[2 * i + 1] * codes[2 * i + 1]));
    }
    return r;
  }
}

/// The codes sat(f(a[i], b[i])). f maps a vec<std::int8_t, N> of pairs, twice for half of the
/// lanes, to a vec<std::int16_t, N / 2>.
template <int N, class F>
FEWBIT_ALWAYS_INLINE vec<std::int8_t, N> map_byte_pairs(const vec<std::int8_t, N>& a,
                                                        const vec<std::int8_t, N>& b,
                                                        const F& f) noexcept {
  using codes = vec<std::int8_t, N>;
  [[maybe_unused]] const auto as_codes = [](auto bits) {
    return codes::from(reinterpret_cast<typename codes::storage>(bits));
  };
#if FEWBIT_HAS_AVX512_VNNI
  if constexpr (N == 64) {
    const auto x = reinterpret_cast<__m512i>(a.data), y = reinterpret_cast<__m512i>(b.data);
    return as_codes(_mm512_packs_epi16(
        reinterpret_cast<__m512i>(f(as_codes(_mm512_unpacklo_epi8(x, y))).data),
        reinterpret_cast<__m512i>(f(as_codes(_mm512_unpackhi_epi8(x, y))).data)));
  } else
#endif
#if FEWBIT_HAS_AVX2
      if constexpr (N == 32) {
    const auto x = reinterpret_cast<__m256i>(a.data), y = reinterpret_cast<__m256i>(b.data);
    return as_codes(_mm256_packs_epi16(
        reinterpret_cast<__m256i>(f(as_codes(_mm256_unpacklo_epi8(x, y))).data),
        reinterpret_cast<__m256i>(f(as_codes(_mm256_unpackhi_epi8(x, y))).data)));
  } else
#endif
  {
    codes r;
    for (int first = 0; first < N; first += N / 2) {
      codes pairs;
      for (int i = 0; i < N / 2; ++i) {
        pairs.set(2 * i, a[first + i]);
        pairs.set(2 * i + 1, b[first + i]);
      }
      const vec<std::int16_t, N / 2> sums = f(pairs);
      for (int i = 0; i < N / 2; ++i)
        r.set(first + i, saturated<std::int8_t>(std::int32_t{sums[i]}, 0));
    }
    return r;
  }
}

}}}  // namespace fewbit::arch

#include "fewbit/end.hpp"
