#pragma once
/// AVX512-VPOPCNTDQ: the ones of eight words in one instruction, 32 registers of 512 bits.
///
/// | instruction      | computes                             | why here                          |
/// |------------------|--------------------------------------|-----------------------------------|
/// | vpopcntq         | the ones of 8 words                  | 512 bits at a time                |
/// | vpaddq           | 8 sums                               | 64-bit sums never overflow        |
/// | vpxorq, vpandq   | products of a plane by a plane       | on both ports                     |
/// | vpternlogq       | (a ^ b) & mask                       | products of ternary codes, in one |
/// | vpbroadcastq m64 | a word of activations to all columns | on a load port                    |
/// | vpternlogq       | both bits of a full adder            | in one each                       |
/// | vptestmb         | a bit of 64 bytes as a word          | packs activations                 |
/// | vpermi2b         | 64 bytes of a table of 128           | lookups by 8-bit codes            |
/// | vpermb           | 64 bytes of a table of 64            | lookups by 4-bit codes            |
/// | vgf2p8affineqb   | bits of each byte by a matrix        | a shift and a mask in one         |
///
/// Port bounds on Intel servers, where 512-bit operations go to ports 0 and 5, vpopcntq to port 5
/// alone: xor, vpopcntq and vpaddq are 3 on 2 ports, so 1024 operations of binary codes take 1.5
/// cycles; ternary by ternary takes 6, in 3 cycles. Adders over parities
/// (gemm/bit_planes/parities.hpp) take 10 for four words in place of 12, but three registers for
/// each sum, and 6 at the end. On a Sapphire Rapids (512,512,4096) gains 5 % by them and
/// (1024,1024,1024) loses 7 %; per cycle it is 15 %, but the processor slows down. One row by 2048
/// columns: plain counts reach 73 to 78 % of their bound at k = 1024, adders 81 to 86 % of the same
/// bound at k = 4096. There L2 is next: loads alone take 1.33 to 1.41 cycles for 64 bytes from 1
/// MiB, the ports 1.27. Requests ahead of the loads, into L1 or L2, only take slots.
///
/// Lookups: vpermb and vpshufb go to port 5 alone, 64 bytes per cycle; vpermi2b keeps it for two
/// cycles (measured). With 8-bit codes 64 lookups take 2 vpermi2b and 5 operations more, at least 4
/// cycles. With 4-bit codes 128 lookups take 2 vpermb, as many vpdpbusd, and 3 operations that only
/// prepare indices: with q queries at once that is at least 2 + 1.5 / q cycles. On a Sapphire
/// Rapids sums of 32 parts reach 40 % of the lookups of vpshufb alone with one query and 67 % with
/// eight, of 128 parts 73 %. On registers alone vpermb and vpdpbusd in turns reach 86 %, each
/// keeping its only port busy, with eight queries' indices 82 %, and with the last permutation of
/// 32 parts 75 %.

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
  /// One row by 2048 columns on a Sapphire Rapids: against one panel, two gain 17 to 20 % at k =
  /// 1024 and 2 to 5 % at k = 4096, where parities take 24 registers. Four run out of registers.
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
  /// Bit 4 a + 2 b + c of Table, for each bit.
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

/// One instruction for each step of stored weights but the first. Bit i of a byte becomes the sum
/// modulo 2 of its bits that byte 7 - i of the matrix names.
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
  /// The bytes of a matrix that make the bits of Mask.
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

/// 8-bit codes: two tables of 128 bytes by the lower seven bits, one of them by the highest.
struct avx512_lookups8 {
  static constexpr int points = 64;
  static constexpr int parts = 1;
  static constexpr int row_bytes = 64;
  static constexpr int table_bytes = 256;
  static constexpr int groups = 4;
  static constexpr int queries = 1;
  static constexpr int byte_of(int point) noexcept { return point; }

  struct sums {
    __m512i both = _mm512_setzero_si512();  // of pairs of bytes as 16-bit numbers that wrap around
    __m512i high = _mm512_setzero_si512();  // of their higher bytes
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
    const __m512i first = _mm512_unpacklo_epi16(even, s.high);  // of each quarter
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

/// 4-bit codes: byte 4 i + j of a register of indices is 16 j + the code of part j of point i,
/// which finds its byte in four tables of 16.
struct avx512_lookups4 {
  static constexpr int points = 32;
  static constexpr int parts = 8;
  static constexpr int row_bytes = 128;
  static constexpr int table_bytes = 128;
  static constexpr int groups = 2;
  static constexpr int queries = 8;
  static constexpr int byte_of(int point) noexcept { return 4 * point; }

  struct sums {
    __m512i first = _mm512_setzero_si512();  // of 16 points, in 32 bits
    __m512i second = _mm512_setzero_si512();
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
  /// (codes & 15) | 16 j in byte j of each four.
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
