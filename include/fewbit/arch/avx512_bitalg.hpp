#pragma once
/// AVX512-VPOPCNTDQ counts the ones of eight words in one instruction. VBMI looks up bytes. GFNI
/// expands stored weights. There are 32 registers of 512 bits. The units are in arch/bitalg.hpp.
///
/// | instruction      | computes                                   | why here                              |
/// |------------------|--------------------------------------------|---------------------------------------|
/// | vpopcntq         | the ones of each of 8 words                | 512 bits at a time                    |
/// | vpaddq           | 8 sums                                     | 64-bit sums never overflow            |
/// | vpxorq, vpandq   | product of two planes                      | runs on both ports                    |
/// | vpternlogq       | (a ^ b) & mask                             | one instruction for ternary products  |
/// | vpternlogq       | sum bit or carry bit of a full adder       | one instruction for each bit          |
/// | vpbroadcastq m64 | a word of activations, copied to 8 columns | runs on a load port                   |
/// | vptestmb         | one bit of each of 64 bytes, as a word     | packs activations                     |
/// | vpermi2b         | 64 bytes from a table of 128               | lookups by 8-bit codes                |
/// | vpermb           | 64 bytes from a table of 64                | lookups by 4-bit codes                |
/// | vgf2p8affineqb   | each byte times a matrix of 8 x 8 bits     | a shift and a mask in one instruction |
///
/// Port bounds on Intel servers, where 512-bit operations run on ports 0 and 5, and vpopcntq on
/// port 5 only:
///
/// | 1024 operations of | instructions             | cycles |
/// |--------------------|--------------------------|--------|
/// | binary by binary   | 3: xor, vpopcntq, vpaddq | 1.5    |
/// | ternary by ternary | 6                        | 3      |
///
/// Adders over parities (gemm/bit_planes/parities.hpp) take 10 instructions for four words instead
/// of 12, but also three registers for each sum and 6 instructions at the end. On a Sapphire Rapids
/// they make (512,512,4096) 5 % faster and (1024,1024,1024) 7 % slower. Per cycle they gain 15 %,
/// but the clock frequency drops.
///
/// One row by 2048 columns, as a share of the port bound of plain counts:
///
/// | counts               | k    | share      |
/// |----------------------|------|------------|
/// | plain                | 1024 | 73 to 78 % |
/// | adders over parities | 4096 | 81 to 86 % |
///
/// At k = 4096 the next limit is L2: per 64 bytes, loads alone from 1 MiB take 1.33 to 1.41 cycles,
/// and the port bound is 1.27 cycles. Prefetching into L1 or L2 does not help; it only occupies
/// load slots.
///
/// Lookups: vpermb and vpshufb run on port 5 only, 64 bytes per cycle. vpermi2b occupies port 5 for
/// two cycles (measured). With q queries at once:
///
/// | codes | lookups | instructions                                                   | cycles, at least |
/// |-------|---------|----------------------------------------------------------------|------------------|
/// | 8-bit | 64      | 2 vpermi2b, 5 others                                           | 4                |
/// | 4-bit | 128     | 2 vpermb, 2 vpdpbusd, 3 for the indices, shared by all queries | 2 + 1.5 / q      |
///
/// Measured on a Sapphire Rapids with 4-bit codes, as a share of the lookups of vpshufb alone:
///
/// | what                                          | share |
/// |-----------------------------------------------|-------|
/// | sums of 32 parts, one query                   | 40 %  |
/// | sums of 32 parts, eight queries               | 67 %  |
/// | sums of 128 parts, eight queries              | 73 %  |
/// | registers only: vpermb and vpdpbusd alternate | 86 %  |
/// | ... and the indices of eight queries          | 82 %  |
/// | ... and the last permutation of 32 parts      | 75 %  |
///
/// In the first registers-only case, vpermb and vpdpbusd each keep their only port busy.

#include "fewbit/begin.hpp"

#include "fewbit/arch/avx512_vnni.hpp"
#include "fewbit/arch/bit_unit.hpp"
#include "fewbit/arch/bitalg.hpp"
#include "fewbit/arch/lookup_unit.hpp"
#include "fewbit/arch/table_unit.hpp"

#if FEWBIT_HAS_AVX512_BITALG
#include <immintrin.h>

#include <array>
#include <cstddef>
#include <cstdint>

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace arch {

struct avx512_bitalg_word : avx512_vnni_word {
  using fields = bitalg_fields<avx512_bitalg_word>;
  using bytes = vec<std::uint8_t, 64>;
  using quads = vec<std::uint32_t, 16>;
  using words = vec<std::uint64_t, 8>;

  FEWBIT_ALWAYS_INLINE static words add_ones(const words& sums, const words& v) noexcept {
    return as<words>(_mm512_add_epi64(as_register(sums), _mm512_popcnt_epi64(as_register(v))));
  }

  template <int Table>
  FEWBIT_ALWAYS_INLINE static words logic(const words& a, const words& b, const words& c) noexcept {
    return as<words>(
        _mm512_ternarylogic_epi64(as_register(a), as_register(b), as_register(c), Table));
  }

  FEWBIT_ALWAYS_INLINE static quads low_halves(const words& a, const words& b) noexcept {
    const __m512i even =
        _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    return as<quads>(_mm512_permutex2var_epi32(as_register(a), even, as_register(b)));
  }

  FEWBIT_ALWAYS_INLINE static std::uint64_t test(const std::uint8_t* p,
                                                 std::uint8_t mask) noexcept {
    return _mm512_test_epi8_mask(_mm512_loadu_si512(p), _mm512_set1_epi8(static_cast<char>(mask)));
  }

  FEWBIT_ALWAYS_INLINE static quads affine(const quads& w, std::uint64_t matrix) noexcept {
    return as<quads>(_mm512_gf2p8affine_epi64_epi8(
        as_register(w), _mm512_set1_epi64(static_cast<long long>(matrix)), 0));
  }

  FEWBIT_ALWAYS_INLINE static bytes shuffle(const std::uint8_t* table, const quads& i) noexcept {
    const __m128i entries = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
    return as<bytes>(_mm512_shuffle_epi8(_mm512_broadcast_i32x4(entries), as_register(i)));
  }

  using bits = __m512i;

  FEWBIT_ALWAYS_INLINE static bits zero() noexcept { return _mm512_setzero_si512(); }
  FEWBIT_ALWAYS_INLINE static bits load(const std::uint8_t* p) noexcept {
    return _mm512_loadu_si512(p);
  }

  FEWBIT_ALWAYS_INLINE static bits permute(bits table, bits i) noexcept {
    return _mm512_permutexvar_epi8(i, table);
  }
  FEWBIT_ALWAYS_INLINE static bits permute_two(bits first, bits second, bits i) noexcept {
    return _mm512_permutex2var_epi8(first, i, second);
  }
  FEWBIT_ALWAYS_INLINE static bits choose(bits i, bits second, bits first) noexcept {
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(i), first, second);
  }

  FEWBIT_ALWAYS_INLINE static bits add_pairs(bits a, bits b) noexcept {
    return _mm512_add_epi16(a, b);
  }
  FEWBIT_ALWAYS_INLINE static bits subtract_pairs(bits a, bits b) noexcept {
    return _mm512_sub_epi16(a, b);
  }
  template <int By>
  FEWBIT_ALWAYS_INLINE static bits pairs_right(bits v) noexcept {
    return _mm512_srli_epi16(v, By);
  }
  template <int By>
  FEWBIT_ALWAYS_INLINE static bits pairs_left(bits v) noexcept {
    return _mm512_slli_epi16(v, By);
  }

  FEWBIT_ALWAYS_INLINE static bits nibble_index(bits v) noexcept {
    return _mm512_ternarylogic_epi64(v, _mm512_set1_epi8(15), _mm512_set1_epi32(0x30201000), 0xEA);
  }
  FEWBIT_ALWAYS_INLINE static bits add_fours(bits sums, bits v) noexcept {
    return _mm512_dpbusd_epi32(sums, v, _mm512_set1_epi8(1));
  }

  FEWBIT_ALWAYS_INLINE static void store_alternating(bits even, bits odd,
                                                     std::uint16_t* out) noexcept {
    const __m512i first = _mm512_unpacklo_epi16(even, odd);  // within each quarter
    const __m512i second = _mm512_unpackhi_epi16(even, odd);
    const __m512i low = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
    const __m512i high = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    _mm512_storeu_si512(out, _mm512_permutex2var_epi64(first, low, second));
    _mm512_storeu_si512(out + 32, _mm512_permutex2var_epi64(first, high, second));
  }

  FEWBIT_ALWAYS_INLINE static void store_low_halves(bits first, bits second,
                                                    std::uint16_t* out) noexcept {
    alignas(64) static constexpr auto positions = [] {
      std::array<std::uint8_t, 64> of{};
      for (std::size_t i = 0; i < 64; ++i) of[i] = static_cast<std::uint8_t>(i / 2 * 4 + i % 2);
      return of;
    }();
    _mm512_storeu_si512(
        out, _mm512_permutex2var_epi8(first, _mm512_load_si512(positions.data()), second));
  }

 private:
  template <class V>
  FEWBIT_ALWAYS_INLINE static __m512i as_register(const V& v) noexcept {
    return reinterpret_cast<__m512i>(v.data);
  }
  template <class V>
  FEWBIT_ALWAYS_INLINE static V as(__m512i v) noexcept {
    return V::from(reinterpret_cast<typename V::storage>(v));
  }
};

template <int Bits>
struct stored_unit<avx512_bitalg, Bits> : avx512_vnni_stored<avx512_bitalg_word, Bits> {};

template <>
struct bit_unit<avx512_bitalg> {
  using type = bitalg_bits<avx512_bitalg_word>;
};

template <>
struct table_unit<avx512_bitalg> {
  using type = bitalg_table<avx512_bitalg_word>;
};

template <>
struct lookup_unit<avx512_bitalg, 8> {
  using type = bitalg_lookups8<avx512_bitalg_word>;
};

template <>
struct lookup_unit<avx512_bitalg, 4> {
  using type = bitalg_lookups4<avx512_bitalg_word>;
};

}}}  // namespace fewbit::arch

#endif

#include "fewbit/end.hpp"
