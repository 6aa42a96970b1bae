#pragma once
/// AVX512-VPOPCNTDQ counts the ones of eight words in one instruction. VBMI looks up bytes. GFNI
/// expands stored weights. There are 32 registers of 512 bits.
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
#include "fewbit/arch/lookup_unit.hpp"
#include "fewbit/arch/table_unit.hpp"

#if FEWBIT_HAS_AVX512_BITALG
#include <immintrin.h>

#include <array>
#include <cstddef>
#include <cstdint>

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace arch {

struct avx512_bits : bit_words<8, 6, 4> {
  using counts = words;
  static constexpr int steps_per_fold = 0;
  /// One row by 2048 columns on a Sapphire Rapids: two panels are faster than one by 17 to 20 % at
  /// k = 1024, and by 2 to 5 % at k = 4096, where parities take 24 registers. Four panels need too
  /// many registers.
  static constexpr int streams = 2;
  static constexpr int least_parities = 32;

  FEWBIT_ALWAYS_INLINE static counts add(const counts& sum, const words& bits) noexcept {
    return from(_mm512_add_epi64(as_register(sum), _mm512_popcnt_epi64(as_register(bits))));
  }

  FEWBIT_ALWAYS_INLINE static words masked_xor(const words& a, const words& b,
                                               const words& mask) noexcept {
    return logic<0x60>(mask, a, b);
  }

  FEWBIT_ALWAYS_INLINE static words sum_of_three(const words& a, const words& b,
                                                 const words& c) noexcept {
    return logic<0x96>(a, b, c);
  }
  FEWBIT_ALWAYS_INLINE static words majority(const words& a, const words& b,
                                             const words& c) noexcept {
    return logic<0xE8>(a, b, c);
  }
  FEWBIT_ALWAYS_INLINE static words carry(const words& before, const words& at,
                                          const words& after) noexcept {
    return logic<0x3A>(at, after, before);
  }

  /// The low halves of the lanes of a, then of b.
  FEWBIT_ALWAYS_INLINE static vec<std::uint32_t, 16> low_halves(const words& a,
                                                                const words& b) noexcept {
    const __m512i even =
        _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    using ints = vec<std::uint32_t, 16>;
    return ints::from(reinterpret_cast<ints::storage>(
        _mm512_permutex2var_epi32(as_register(a), even, as_register(b))));
  }

  FEWBIT_ALWAYS_INLINE static std::uint64_t plane(const std::uint8_t* codes, int bit) noexcept {
    const __m512i mask = _mm512_set1_epi8(static_cast<char>(1 << bit));
    return _mm512_test_epi8_mask(_mm512_loadu_si512(codes), mask);
  }

 private:
  /// For each bit of a, b and c: bit number 4 a + 2 b + c of Table.
  template <int Table>
  FEWBIT_ALWAYS_INLINE static words logic(const words& a, const words& b, const words& c) noexcept {
    return from(_mm512_ternarylogic_epi64(as_register(a), as_register(b), as_register(c), Table));
  }
  FEWBIT_ALWAYS_INLINE static __m512i as_register(const words& v) noexcept {
    return reinterpret_cast<__m512i>(v.data);
  }
  FEWBIT_ALWAYS_INLINE static words from(__m512i v) noexcept {
    return words::from(reinterpret_cast<words::storage>(v));
  }
};

template <>
struct bit_unit<avx512_bitalg> {
  using type = avx512_bits;
};

/// Expands a step of stored weights in one instruction; the first step needs only a mask. Bit i of
/// a result byte is the parity of the source byte masked by byte 7 - i of the matrix.
struct avx512_fields {
  template <std::uint8_t Mask, class Words>
  FEWBIT_ALWAYS_INLINE static Words of(const Words& w, int by) noexcept {
    if (by == 0) return shifted_fields::of<Mask>(w, 0);
    constexpr std::uint64_t identity = 0x0102040810204080;
    const std::uint64_t moved = by > 0 ? identity << 8 * by : identity >> -8 * by;
    const __m512i matrix = _mm512_set1_epi64(static_cast<long long>(moved & rows<Mask>));
    return Words::from(reinterpret_cast<typename Words::storage>(
        _mm512_gf2p8affine_epi64_epi8(reinterpret_cast<__m512i>(w.data), matrix, 0)));
  }

 private:
  /// Mask over the bytes of a matrix: 0xFF in each byte that produces a bit of Mask.
  template <std::uint8_t Mask>
  static constexpr std::uint64_t rows = [] {
    std::uint64_t bytes = 0;
    for (int i = 0; i < 8; ++i) {
      if ((Mask >> i & 1) != 0) bytes |= std::uint64_t{0xFF} << 8 * (7 - i);
    }
    return bytes;
  }();
};

struct avx512_bitalg_word : avx512_vnni_word {
  using fields = avx512_fields;
};

template <int Bits>
struct stored_unit<avx512_bitalg, Bits> : vnni_stored<avx512_bitalg_word, 12, 16, Bits> {};

struct avx512_table : table_bytes<64, 4> {
  FEWBIT_ALWAYS_INLINE static bytes lookup(const std::uint8_t* table, const quads& i) noexcept {
    const __m128i entries = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
    return bytes::from(reinterpret_cast<bytes::storage>(
        _mm512_shuffle_epi8(_mm512_broadcast_i32x4(entries), reinterpret_cast<__m512i>(i.data))));
  }
};

template <>
struct table_unit<avx512_bitalg> {
  using type = avx512_table;
};

/// 8-bit codes. The lower seven bits look up a byte in each of two tables of 128; the highest bit
/// selects one of the two bytes.
struct avx512_lookups8 {
  static constexpr int points = 64;
  static constexpr int parts = 1;
  static constexpr int row_bytes = 64;
  static constexpr int table_bytes = 256;
  static constexpr int groups = 4;
  static constexpr int queries = 1;
  static constexpr int byte_of(int point) noexcept { return point; }

  struct sums {
    __m512i both = _mm512_setzero_si512();  // sums of pairs of bytes as 16-bit numbers, modulo 2^16
    __m512i high = _mm512_setzero_si512();  // sums of the higher bytes of the pairs
  };
  struct tables {
    __m512i of[4];
  };
  using codes = __m512i;

  FEWBIT_ALWAYS_INLINE static tables load_tables(const std::uint8_t* p) noexcept {
    return {{_mm512_loadu_si512(p), _mm512_loadu_si512(p + 64), _mm512_loadu_si512(p + 128),
             _mm512_loadu_si512(p + 192)}};
  }
  FEWBIT_ALWAYS_INLINE static codes load_codes(const std::uint8_t* p) noexcept {
    return _mm512_loadu_si512(p);
  }

  FEWBIT_ALWAYS_INLINE static void add(sums& s, const tables& t, const codes& c) noexcept {
    const __m512i below = _mm512_permutex2var_epi8(t.of[0], c, t.of[1]);
    const __m512i above = _mm512_permutex2var_epi8(t.of[2], c, t.of[3]);
    const __m512i found = _mm512_mask_blend_epi8(_mm512_movepi8_mask(c), below, above);
    s.both = _mm512_add_epi16(s.both, found);
    s.high = _mm512_add_epi16(s.high, _mm512_srli_epi16(found, 8));
  }

  FEWBIT_ALWAYS_INLINE static void store(const sums& s, std::uint16_t* out) noexcept {
    const __m512i even = _mm512_sub_epi16(s.both, _mm512_slli_epi16(s.high, 8));
    const __m512i first = _mm512_unpacklo_epi16(even, s.high);  // within each quarter
    const __m512i second = _mm512_unpackhi_epi16(even, s.high);
    const __m512i low = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
    const __m512i high = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    _mm512_storeu_si512(out, _mm512_permutex2var_epi64(first, low, second));
    _mm512_storeu_si512(out + 32, _mm512_permutex2var_epi64(first, high, second));
  }
};

template <>
struct lookup_unit<avx512_bitalg, 8> {
  using type = avx512_lookups8;
};

/// 4-bit codes. Byte 4 i + j of an index register is 16 j + the code of part j of point i. It
/// selects a byte from four tables of 16 that follow one another.
struct avx512_lookups4 {
  static constexpr int points = 32;
  static constexpr int parts = 8;
  static constexpr int row_bytes = 128;
  static constexpr int table_bytes = 128;
  static constexpr int groups = 2;
  static constexpr int queries = 8;
  static constexpr int byte_of(int point) noexcept { return 4 * point; }

  struct sums {
    __m512i first = _mm512_setzero_si512();   // int32 sums of points 0 .. 15
    __m512i second = _mm512_setzero_si512();  // int32 sums of points 16 .. 31
  };
  using tables = const std::uint8_t*;
  struct codes {
    __m512i low[2];
    __m512i high[2];
  };

  FEWBIT_ALWAYS_INLINE static tables load_tables(const std::uint8_t* p) noexcept { return p; }
  FEWBIT_ALWAYS_INLINE static codes load_codes(const std::uint8_t* p) noexcept {
    const __m512i first = _mm512_loadu_si512(p);
    const __m512i second = _mm512_loadu_si512(p + 64);
    return {{index(first), index(second)},
            {index(_mm512_srli_epi16(first, 4)), index(_mm512_srli_epi16(second, 4))}};
  }

  FEWBIT_ALWAYS_INLINE static void add(sums& s, tables t, const codes& c) noexcept {
    const __m512i low = _mm512_loadu_si512(t);
    const __m512i high = _mm512_loadu_si512(t + 64);
    s.first = add_quads(s.first, _mm512_permutexvar_epi8(c.low[0], low));
    s.second = add_quads(s.second, _mm512_permutexvar_epi8(c.low[1], low));
    s.first = add_quads(s.first, _mm512_permutexvar_epi8(c.high[0], high));
    s.second = add_quads(s.second, _mm512_permutexvar_epi8(c.high[1], high));
  }

  FEWBIT_ALWAYS_INLINE static void store(const sums& s, std::uint16_t* out) noexcept {
    alignas(64) static constexpr auto low_halves = [] {
      std::array<std::uint8_t, 64> bytes{};
      for (std::size_t i = 0; i < 64; ++i) {
        bytes[i] = static_cast<std::uint8_t>(i / 2 * 4 + i % 2);
      }
      return bytes;
    }();
    _mm512_storeu_si512(
        out, _mm512_permutex2var_epi8(s.first, _mm512_load_si512(low_halves.data()), s.second));
  }

 private:
  /// Byte j of each four becomes (byte & 15) | 16 j.
  FEWBIT_ALWAYS_INLINE static __m512i index(__m512i nibbles) noexcept {
    return _mm512_ternarylogic_epi64(nibbles, _mm512_set1_epi8(15), _mm512_set1_epi32(0x30201000),
                                     0xEA);
  }
  FEWBIT_ALWAYS_INLINE static __m512i add_quads(__m512i sum, __m512i bytes) noexcept {
    return _mm512_dpbusd_epi32(sum, bytes, _mm512_set1_epi8(1));
  }
};

template <>
struct lookup_unit<avx512_bitalg, 4> {
  using type = avx512_lookups4;
};

}}}  // namespace fewbit::arch

#endif

#include "fewbit/end.hpp"
