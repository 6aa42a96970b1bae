#pragma once
/// AVX2: what arch/vec.hpp cannot say for 16 registers of 256 bits.
///
/// | instruction      | computes                                      | why here                  |
/// |------------------|-----------------------------------------------|---------------------------|
/// | vpmaddwd, vpaddd | 8 sums of 2 products of int16, added in int32 | exact for all 8-bit codes |
/// | vpbroadcastd     | a pair of int16 activations to all columns    | on a load port            |
///
/// Weights are stored as int16: from int8, vpmovsxbw would put a third instruction on the ports of
/// the sums, and the large shapes lose a tenth.
///
/// vpmaddubsw would need one instruction less and saturates: 255 * 127 + 255 * 127 does not fit
/// int16. Port bound: vpmaddwd on 2 and vpaddd on 3 ports, 1.5 dots or 48 operations per cycle.

#include "fewbit/arch/dot_unit.hpp"

#if FEWBIT_HAS_AVX2
#include <immintrin.h>

namespace fewbit::inline FEWBIT_ARCH_NAMESPACE::arch {

/// The same for u8 and s8: both become int16.
struct avx2_unit {
  using dots = avx2_unit;
  using lhs_code = std::int16_t;
  using rhs_code = std::int16_t;
  static constexpr int rows = 1;
  static constexpr int cols = 8;
  static constexpr int depth = 2;
  static constexpr int lhs_offset = 0;
  static constexpr bool in_place = false;

  using accumulator = vec<std::int32_t, 8>;
  using lhs_vector = vec<std::int16_t, 16>;
  using rhs_vector = vec<std::int16_t, 16>;

  FEWBIT_ALWAYS_INLINE static lhs_vector load_lhs(const std::int16_t* p) noexcept {
    std::int32_t pair;
    std::memcpy(&pair, p, sizeof(pair));
    return bits_as_int16(_mm256_set1_epi32(pair));
  }

  FEWBIT_ALWAYS_INLINE static rhs_vector load_rhs(const std::int16_t* p) noexcept {
    return rhs_vector::load(p);
  }

  FEWBIT_ALWAYS_INLINE static accumulator dot(const accumulator& sum, const lhs_vector& a,
                                              const rhs_vector& w) noexcept {
    const __m256i pairs =
        _mm256_madd_epi16(reinterpret_cast<__m256i>(a.data), reinterpret_cast<__m256i>(w.data));
    __m256i next = reinterpret_cast<__m256i>(sum.data);
    // To g++ the intrinsic is a plain sum, which it reorders over the steps of a turn until it runs
    // out of registers: 3 x 24 in its own order 0.95 of the chain's rate, as g++ 12 would have it
    // 0.53.
    asm("vpaddd %1, %0, %0" : "+x"(next) : "x"(pairs));
    return accumulator::from(reinterpret_cast<accumulator::storage>(next));
  }

 private:
  FEWBIT_ALWAYS_INLINE static vec<std::int16_t, 16> bits_as_int16(__m256i v) noexcept {
    using lanes = vec<std::int16_t, 16>;
    return lanes::from(reinterpret_cast<lanes::storage>(v));
  }
};

template <class Lhs>
struct dot_unit<avx2, Lhs> : own_unit<avx2_unit> {};

}  // namespace fewbit::inline FEWBIT_ARCH_NAMESPACE::arch

#endif
