#pragma once
/// AVX2, AVX-VNNI and AVX512-VNNI: the tap units (arch/tap_unit.hpp).
///
/// | unit             | channels | instruction       | taps | products of a step |
/// |------------------|----------|-------------------|------|--------------------|
/// | avx2_taps        | 16       | vpmaddwd, vpaddd  | 2    | 32                 |
/// | vnni_taps<256>   | 32       | vpdpbusd          | 4    | 128                |
/// | avx512_vnni_taps | 64       | vpdpbusd          | 4    | 256                |
///
/// The bytes or words of the taps are interleaved by unpack instructions, which work within 128
/// bits. Pack instructions undo that order, so codes leave in the natural order.
///
/// vpmaddubsw would multiply twice as many taps as vpmaddwd, but it saturates: 255 * 127 * 2 does
/// not fit int16. Weights in two parts of four bits would fit and need as many instructions as
/// vpmaddwd.

#include "fewbit/begin.hpp"

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "fewbit/arch/avx2.hpp"
#include "fewbit/arch/tap_unit.hpp"

#if FEWBIT_HAS_AVX2
#include <immintrin.h>

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace arch {

/// Two taps as int16, for all codes and differences of codes.
template <class Code>
struct avx2_taps : wide_taps {
  using code = Code;
  using smaller = void;
  using wide = avx2_taps;
  static constexpr int lanes = 8;
  static constexpr int registers = 2;
  static constexpr int channels = 16;
  static constexpr int depth = 2;
  static constexpr int pixels = 4;
  static constexpr int input_offset = 0;

  using accumulator = vec<std::int32_t, lanes>;
  struct column {
    __m256i taps[registers];
  };

  static constexpr int channel_of(int i, int lane) noexcept {
    return lane / 4 * 8 + i * 4 + lane % 4;
  }

  FEWBIT_ALWAYS_INLINE static column load(const Code* const* taps, std::ptrdiff_t c) noexcept {
    const __m256i first = widened(taps[0] + c), second = widened(taps[1] + c);
    return {{_mm256_unpacklo_epi16(first, second), _mm256_unpackhi_epi16(first, second)}};
  }

  template <int i>
  FEWBIT_ALWAYS_INLINE static accumulator add(const accumulator& sum, const column& x,
                                              const weight* w) noexcept {
    __m256i products;
    // Weights stay in memory: the sums and a column leave no registers for them.
    asm("vpmaddwd %2, %1, %0"
        : "=x"(products)
        : "x"(x.taps[i]), "m"(*reinterpret_cast<const __m256i_u*>(w)));
    return avx2_register::add(sum, products);
  }

  template <class Out>
  FEWBIT_ALWAYS_INLINE static vec<Out, channels> narrow(const accumulator (&sums)[registers],
                                                        std::int32_t offset) noexcept {
    using words = vec<std::int16_t, channels>;
    const auto both = words::from(reinterpret_cast<words::storage>(_mm256_packs_epi32(
        reinterpret_cast<__m256i>(sums[0].data), reinterpret_cast<__m256i>(sums[1].data))));
    const auto moved = reinterpret_cast<__m256i>(
        add_saturating(both, words(static_cast<std::int16_t>(offset))).data);
    const __m128i low = _mm256_castsi256_si128(moved), high = _mm256_extracti128_si256(moved, 1);
    const __m128i codes =
        std::is_signed_v<Out> ? _mm_packs_epi16(low, high) : _mm_packus_epi16(low, high);
    return vec<Out, channels>::from(reinterpret_cast<typename vec<Out, channels>::storage>(codes));
  }

 private:
  FEWBIT_ALWAYS_INLINE static __m256i widened(const Code* p) noexcept {
    const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return std::is_signed_v<Code> ? _mm256_cvtepi8_epi16(codes) : _mm256_cvtepu8_epi16(codes);
  }
};

template <class Code>
struct tap_unit<avx2, Code> {
  using type = avx2_taps<Code>;
};

/// What vpdpbusd units of all widths share: signed codes are read as x + 128.
template <class Code>
struct vnni_tap_codes {
  using code = Code;
  using weight = std::int8_t;
  using wide = avx2_taps<Code>;
  static constexpr int weight_min = -128;
  static constexpr int weight_max = 127;
  static constexpr int registers = 4;
  static constexpr int depth = 4;
  static constexpr int input_offset = std::is_signed_v<Code> ? 128 : 0;

  /// Unpack instructions give register i the channels 4 i .. 4 i + 3 of each 128 bits.
  static constexpr int channel_of(int i, int lane) noexcept {
    return lane / 4 * 16 + i * 4 + lane % 4;
  }
};

#if FEWBIT_HAS_AVX_VNNI || FEWBIT_HAS_AVX512_VNNI
/// Registers of 256 bits. `Dot` is vpdpbusd in the encoding of the arch.
template <class Code, class Dot>
struct vnni_taps : vnni_tap_codes<Code> {
  using smaller = avx2_taps<Code>;
  using weight = std::int8_t;
  static constexpr int lanes = 8;
  static constexpr int registers = 4;
  static constexpr int channels = 32;
  static constexpr int pixels = Dot::pixels;

  using accumulator = vec<std::int32_t, lanes>;
  struct column {
    __m256i taps[registers];
  };

  FEWBIT_ALWAYS_INLINE static column load(const Code* const* taps, std::ptrdiff_t c) noexcept {
    const __m256i a = unsigned_codes(taps[0] + c), b = unsigned_codes(taps[1] + c);
    const __m256i low = _mm256_unpacklo_epi8(a, b), high = _mm256_unpackhi_epi8(a, b);
    const __m256i d = unsigned_codes(taps[2] + c), e = unsigned_codes(taps[3] + c);
    const __m256i low2 = _mm256_unpacklo_epi8(d, e), high2 = _mm256_unpackhi_epi8(d, e);
    return {{_mm256_unpacklo_epi16(low, low2), _mm256_unpackhi_epi16(low, low2),
             _mm256_unpacklo_epi16(high, high2), _mm256_unpackhi_epi16(high, high2)}};
  }

  template <int i>
  FEWBIT_ALWAYS_INLINE static accumulator add(const accumulator& sum, const column& x,
                                              const weight* w) noexcept {
    const __m256i weights = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w));
    return accumulator::from(reinterpret_cast<accumulator::storage>(
        Dot::dot(reinterpret_cast<__m256i>(sum.data), x.taps[i], weights)));
  }

  template <class Out>
  FEWBIT_ALWAYS_INLINE static vec<Out, channels> narrow(const accumulator (&sums)[registers],
                                                        std::int32_t offset) noexcept {
    const __m256i low = packed(sums[0], sums[1], offset), high = packed(sums[2], sums[3], offset);
    const __m256i codes =
        std::is_signed_v<Out> ? _mm256_packs_epi16(low, high) : _mm256_packus_epi16(low, high);
    return vec<Out, channels>::from(reinterpret_cast<typename vec<Out, channels>::storage>(codes));
  }

 private:
  FEWBIT_ALWAYS_INLINE static __m256i unsigned_codes(const Code* p) noexcept {
    const __m256i codes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return std::is_signed_v<Code> ? _mm256_xor_si256(codes, _mm256_set1_epi8(-128)) : codes;
  }
  FEWBIT_ALWAYS_INLINE static __m256i packed(const accumulator& a, const accumulator& b,
                                             std::int32_t offset) noexcept {
    using words = vec<std::int16_t, 16>;
    const auto both = words::from(reinterpret_cast<words::storage>(
        _mm256_packs_epi32(reinterpret_cast<__m256i>(a.data), reinterpret_cast<__m256i>(b.data))));
    return reinterpret_cast<__m256i>(
        add_saturating(both, words(static_cast<std::int16_t>(offset))).data);
  }
};
#endif

#if FEWBIT_HAS_AVX_VNNI
struct avx_vnni_dot {
  static constexpr int pixels = 2;
  FEWBIT_ALWAYS_INLINE static __m256i dot(__m256i sum, __m256i x, __m256i w) noexcept {
    return _mm256_dpbusd_avx_epi32(sum, x, w);
  }
};

template <class Code>
struct tap_unit<avx_vnni, Code> {
  using type = vnni_taps<Code, avx_vnni_dot>;
};
#endif

#if FEWBIT_HAS_AVX512_VNNI
struct avx512_vnni_dot256 {
  static constexpr int pixels = 4;
  FEWBIT_ALWAYS_INLINE static __m256i dot(__m256i sum, __m256i x, __m256i w) noexcept {
    return _mm256_dpbusd_epi32(sum, x, w);
  }
};

/// Registers of 512 bits.
template <class Code>
struct avx512_vnni_taps : vnni_tap_codes<Code> {
  using smaller = vnni_taps<Code, avx512_vnni_dot256>;
  using weight = std::int8_t;
  static constexpr int lanes = 16;
  static constexpr int registers = 4;
  static constexpr int channels = 64;
  static constexpr int pixels = 4;

  using accumulator = vec<std::int32_t, lanes>;
  struct column {
    __m512i taps[registers];
  };

  FEWBIT_ALWAYS_INLINE static column load(const Code* const* taps, std::ptrdiff_t c) noexcept {
    const __m512i a = unsigned_codes(taps[0] + c), b = unsigned_codes(taps[1] + c);
    const __m512i low = _mm512_unpacklo_epi8(a, b), high = _mm512_unpackhi_epi8(a, b);
    const __m512i d = unsigned_codes(taps[2] + c), e = unsigned_codes(taps[3] + c);
    const __m512i low2 = _mm512_unpacklo_epi8(d, e), high2 = _mm512_unpackhi_epi8(d, e);
    return {{_mm512_unpacklo_epi16(low, low2), _mm512_unpackhi_epi16(low, low2),
             _mm512_unpacklo_epi16(high, high2), _mm512_unpackhi_epi16(high, high2)}};
  }

  template <int i>
  FEWBIT_ALWAYS_INLINE static accumulator add(const accumulator& sum, const column& x,
                                              const weight* w) noexcept {
    return accumulator::from(reinterpret_cast<accumulator::storage>(_mm512_dpbusd_epi32(
        reinterpret_cast<__m512i>(sum.data), x.taps[i], _mm512_loadu_si512(w))));
  }

  template <class Out>
  FEWBIT_ALWAYS_INLINE static vec<Out, channels> narrow(const accumulator (&sums)[registers],
                                                        std::int32_t offset) noexcept {
    const __m512i low = packed(sums[0], sums[1], offset), high = packed(sums[2], sums[3], offset);
    const __m512i codes =
        std::is_signed_v<Out> ? _mm512_packs_epi16(low, high) : _mm512_packus_epi16(low, high);
    return vec<Out, channels>::from(reinterpret_cast<typename vec<Out, channels>::storage>(codes));
  }

 private:
  FEWBIT_ALWAYS_INLINE static __m512i unsigned_codes(const Code* p) noexcept {
    const __m512i codes = _mm512_loadu_si512(p);
    return std::is_signed_v<Code> ? _mm512_xor_si512(codes, _mm512_set1_epi8(-128)) : codes;
  }
  FEWBIT_ALWAYS_INLINE static __m512i packed(const accumulator& a, const accumulator& b,
                                             std::int32_t offset) noexcept {
    using words = vec<std::int16_t, 32>;
    const auto both = words::from(reinterpret_cast<words::storage>(
        _mm512_packs_epi32(reinterpret_cast<__m512i>(a.data), reinterpret_cast<__m512i>(b.data))));
    return reinterpret_cast<__m512i>(
        add_saturating(both, words(static_cast<std::int16_t>(offset))).data);
  }
};

template <class Code>
struct tap_unit<avx512_vnni, Code> {
  using type = avx512_vnni_taps<Code>;
};
#endif

}}}  // namespace fewbit::arch

#endif

#include "fewbit/end.hpp"
