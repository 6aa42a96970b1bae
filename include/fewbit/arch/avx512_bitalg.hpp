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
///
/// Port bounds on Intel servers, where 512-bit operations go to ports 0 and 5, vpopcntq to port 5
/// alone: xor, vpopcntq and vpaddq are 3 on 2 ports, so 1024 operations of binary codes take 1.5
/// cycles; ternary by ternary takes 6, in 3 cycles. Adders over parities (gemm/bit_parities.hpp)
/// take 10 for four words in place of 12, but three registers for each sum, and 6 at the end. On a
/// Sapphire Rapids (512,512,4096) gains 5 % by them and (1024,1024,1024) loses 7 %; per cycle it is
/// 15 %, but the processor slows down.

#include "fewbit/arch/bit_unit.hpp"
#include "fewbit/arch/table_unit.hpp"

#if FEWBIT_HAS_AVX512_BITALG
#include <immintrin.h>

namespace fewbit::inline FEWBIT_ARCH_NAMESPACE::arch {

struct avx512_bits : bit_words<8, 6, 4> {
  using counts = words;
  static constexpr int steps_per_fold = 0;
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

}  // namespace fewbit::inline FEWBIT_ARCH_NAMESPACE::arch

#endif
