#pragma once
/// AVX2: counts the ones of words with a table of nibbles; 16 registers of 256 bits.
///
/// | instruction | computes                             | use                                  |
/// |-------------|--------------------------------------|--------------------------------------|
/// | vpshufb     | the ones of 32 nibbles, from a table | twice per step of 256 bits           |
/// | vpaddb      | 32 counts of bytes                   | twice per step, for at most 31 steps |
/// | vpsadbw     | 4 sums of 8 counts                   | once per 31 steps                    |
/// | vpmovmskb   | the highest bit of each of 32 bytes  | packs activations                    |
///
/// Port bound: with vpxor, vpsrlw and two vpand a step is 8 instructions on 3 ports, so 512
/// operations of binary codes take 2.7 cycles. With adders over parities
/// (gemm/bit_planes/parities.hpp) four steps take 22 instructions instead of 32. Gain on a Sapphire
/// Rapids:
///
/// | m, n, k          | gain |
/// |------------------|------|
/// | 512, 512, 4096   | 30 % |
/// | 1024, 1024, 1024 | 15 % |
///
/// Sums of lookups (arch/lookup_unit.hpp): 64 lookups take 2 vpshufb, 6 instructions that add, and
/// 3 that prepare the indices. All queries share the indices, so with q queries, on 3 ports, 64
/// lookups of one query take 2.7 + 1/q cycles.
/// Source: Mula, Kurz and Lemire 2016, arXiv:1611.07612.

#include "fewbit/begin.hpp"

#include "fewbit/arch/bit_unit.hpp"
#include "fewbit/arch/lookup_unit.hpp"
#include "fewbit/arch/table_unit.hpp"

#if FEWBIT_HAS_AVX2
#include <immintrin.h>

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace arch {

struct avx2_bits : bit_words<4, 4, 4> {
  using counts = vec<std::uint8_t, 32>;
  static constexpr int steps_per_fold = 31;  // each adds at most 8 to a byte
  static constexpr int least_parities = 7;

  FEWBIT_ALWAYS_INLINE static counts add(const counts& sum, const words& bits) noexcept {
    const __m256i table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,  //
                                           0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    const __m256i nibble = _mm256_set1_epi8(15);
    const auto all = reinterpret_cast<__m256i>(bits.data);
    const __m256i low = _mm256_and_si256(all, nibble);
    const __m256i high = _mm256_and_si256(_mm256_srli_epi16(all, 4), nibble);
    __m256i next = reinterpret_cast<__m256i>(sum.data);
    next = _mm256_add_epi8(next, _mm256_shuffle_epi8(table, low));
    next = _mm256_add_epi8(next, _mm256_shuffle_epi8(table, high));
    return counts::from(reinterpret_cast<counts::storage>(next));
  }

  FEWBIT_ALWAYS_INLINE static words carry(const words& before, const words& at,
                                          const words& after) noexcept {
    const auto changed = reinterpret_cast<__m256i>((before ^ after).data);
    const __m256i other = _mm256_andnot_si256(changed, reinterpret_cast<__m256i>(at.data));
    return before ^ words::from(reinterpret_cast<words::storage>(other));
  }

  FEWBIT_ALWAYS_INLINE static words fold(const words& sums, const counts& bytes) noexcept {
    const auto count = reinterpret_cast<__m256i>(bytes.data);
    const __m256i totals = _mm256_sad_epu8(count, _mm256_setzero_si256());
    return sums + words::from(reinterpret_cast<words::storage>(totals));
  }

  FEWBIT_ALWAYS_INLINE static std::uint64_t plane(const std::uint8_t* codes, int bit) noexcept {
    const __m128i to_highest = _mm_cvtsi32_si128(7 - bit);
    const auto half = [&](const std::uint8_t* p) {
      const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
      return static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_sll_epi16(bytes, to_highest)));
    };
    return std::uint64_t{half(codes + 32)} << 32 | half(codes);
  }
};

template <>
struct bit_unit<avx2> {
  using type = avx2_bits;
};

struct avx2_table : table_bytes<32, 4> {
  FEWBIT_ALWAYS_INLINE static bytes lookup(const std::uint8_t* table, const quads& i) noexcept {
    const __m128i entries = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
    return bytes::from(reinterpret_cast<bytes::storage>(_mm256_shuffle_epi8(
        _mm256_broadcastsi128_si256(entries), reinterpret_cast<__m256i>(i.data))));
  }
};

template <>
struct table_unit<avx2> {
  using type = avx2_table;
};

template <>
struct lookup_unit<avx2, 4> {
  using type = paired_lookups4<avx2_table>;
};

}}}  // namespace fewbit::arch

#endif

#include "fewbit/end.hpp"
