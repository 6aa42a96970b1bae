#pragma once
/// AVX2: what arch/vec.hpp cannot say for 16 registers of 256 bits.
///
/// | instructions                 | compute                                   | exact for       |
/// |------------------------------|-------------------------------------------|-----------------|
/// | vpmaddwd, vpaddd             | 8 sums of 2 products of int16             | all 8-bit codes |
/// | vpmaddubsw, vpmaddwd, vpaddd | 8 sums of 4 products u8 x s8, int16 first | proven weights  |
/// | the same, with vpaddw        | 8 sums of 8 products u8 x s8, int16 first | proven weights  |
///
/// vpmaddubsw stops at the ends of int16: 255 * 127 + 255 * 127 does not fit. So it is left to
/// weights whose pairs, or fours, cannot get there with any activations
/// (gemm/int8/saturation_proof.hpp). All others are widened to int16: even bytes by two shifts, odd
/// bytes by one, so that no shuffle is needed; activations are copied in the order that follows, 0
/// 2 1 3. Many rows widen ahead of the sums, into a buffer: in the loop, shifts share the ports of
/// the sums.
///
/// Port bounds, vpmadd* on 2 and vpadd* on 3 ports: 48 operations per cycle by int16 operands, 64
/// by pairs, 77 by fours.

#include "fewbit/begin.hpp"

#include <cstddef>
#include <cstring>
#include <type_traits>

#include "fewbit/arch/dot_unit.hpp"
#include "fewbit/arch/stored_unit.hpp"

#if FEWBIT_HAS_AVX2
#include <immintrin.h>

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace arch {

/// Multiplication and addition with one rounding, which has a flag of its own.
struct avx2_floats {
#if defined(__FMA__)
  using floats = vec<float, 8>;

  FEWBIT_ALWAYS_INLINE static floats multiply_add(const floats& a, const floats& b,
                                                  const floats& c) noexcept {
    return floats::from(_mm256_fmadd_ps(a.data, b.data, c.data));
  }
#endif
};

/// What the units below share.
struct avx2_register {
  static constexpr int rows = 1;
  static constexpr int cols = 8;
  static constexpr int dots_in_flight = 1;  // a sum waits for vpaddd alone, one cycle

  using accumulator = vec<std::int32_t, cols>;

  FEWBIT_ALWAYS_INLINE static __m256i load(const void* p) noexcept {
    return _mm256_loadu_si256(static_cast<const __m256i*>(p));
  }

  /// Four bytes to all columns.
  FEWBIT_ALWAYS_INLINE static __m256i broadcast(const void* p) noexcept {
    std::int32_t bytes;
    std::memcpy(&bytes, p, sizeof(bytes));
    return _mm256_set1_epi32(bytes);
  }

  FEWBIT_ALWAYS_INLINE static accumulator add(const accumulator& sum, __m256i terms) noexcept {
    __m256i next = reinterpret_cast<__m256i>(sum.data);
    // To g++ the intrinsic is a plain sum, which it reorders over the steps of a turn until it runs
    // out of registers: 3 x 24 in its own order 0.95 of the chain's rate, as g++ 12 would have it
    // 0.53.
    asm("vpaddd %1, %0, %0" : "+x"(next) : "x"(terms));
    return accumulator::from(reinterpret_cast<accumulator::storage>(next));
  }

  /// Adds the two int16 of each column.
  FEWBIT_ALWAYS_INLINE static accumulator add_pairs(const accumulator& sum,
                                                    __m256i pairs) noexcept {
    return add(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }

  /// Bytes 0 and 2, or 1 and 3, of each column as int16.
  FEWBIT_ALWAYS_INLINE static __m256i even_bytes(__m256i codes) noexcept {
    return _mm256_srai_epi16(_mm256_slli_epi16(codes, 8), 8);
  }
  FEWBIT_ALWAYS_INLINE static __m256i odd_bytes(__m256i codes) noexcept {
    return _mm256_srai_epi16(codes, 8);
  }
};

/// Exact for all codes, weights widened in registers: for few rows, where reading the weights takes
/// longer than the sums.
struct avx2_dots : avx2_register {
  using lhs_code = std::int16_t;
  using rhs_code = std::int8_t;
  static constexpr int depth = 4;

  struct pair_of_registers {
    __m256i even;
    __m256i odd;
  };
  using lhs_vector = pair_of_registers;
  using rhs_vector = pair_of_registers;

  FEWBIT_ALWAYS_INLINE static lhs_vector load_lhs(const std::int16_t* p) noexcept {
    return {broadcast(p), broadcast(p + 2)};
  }

  /// Activations of a turn stay in memory: beside nine sums and a pair of weights there is no room
  /// for more than one register of them.
  FEWBIT_ALWAYS_INLINE static const std::int16_t* load_lhs_turn(const std::int16_t* p) noexcept {
    return p;
  }

  template <int Step>
  FEWBIT_ALWAYS_INLINE static accumulator dot_of_turn(const accumulator& sum, const std::int16_t* a,
                                                      const rhs_vector& w) noexcept {
    return dot(sum, load_lhs(a + Step * depth), w);
  }

  FEWBIT_ALWAYS_INLINE static rhs_vector load_rhs(const std::int8_t* p) noexcept {
    const __m256i codes = load(p);
    return {even_bytes(codes), odd_bytes(codes)};
  }

  FEWBIT_ALWAYS_INLINE static accumulator dot(const accumulator& sum, const lhs_vector& a,
                                              const rhs_vector& w) noexcept {
    return add(add(sum, _mm256_madd_epi16(a.even, w.even)), _mm256_madd_epi16(a.odd, w.odd));
  }
};

/// Exact for all codes, weights widened before: one step of avx2_dots is two of these, first its
/// even codes, then its odd ones.
struct avx2_widened : avx2_register {
  using lhs_code = std::int16_t;
  using rhs_code = std::int16_t;
  static constexpr int depth = 2;
  using lhs_vector = __m256i;
  using rhs_vector = __m256i;

  FEWBIT_ALWAYS_INLINE static lhs_vector load_lhs(const std::int16_t* p) noexcept {
    return broadcast(p);
  }
  FEWBIT_ALWAYS_INLINE static rhs_vector load_rhs(const std::int16_t* p) noexcept {
    return load(p);
  }
  FEWBIT_ALWAYS_INLINE static accumulator dot(const accumulator& sum, const lhs_vector& a,
                                              const rhs_vector& w) noexcept {
    return add(sum, _mm256_madd_epi16(a, w));
  }

  /// Widens `steps` steps of Registers registers each.
  template <int Registers>
  static void widen(const std::int8_t* from, std::ptrdiff_t steps, std::int16_t* to) noexcept {
    constexpr int codes = cols * avx2_dots::depth;  // of a register
    for (std::ptrdiff_t i = 0; i < steps; ++i) {
#pragma GCC unroll 4
      for (int j = 0; j < Registers; ++j) {
        const __m256i bytes = load(from + j * codes);
        store(even_bytes(bytes), to + j * codes / 2);
        store(odd_bytes(bytes), to + (Registers + j) * codes / 2);
      }
      from += Registers * codes;
      to += Registers * codes;
    }
  }

 private:
  FEWBIT_ALWAYS_INLINE static void store(__m256i v, std::int16_t* p) noexcept {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v);
  }
};

/// Exact where two products of any activations and neighbouring weights fit int16.
struct avx2_pairs : avx2_register {
  using lhs_code = std::uint8_t;
  using rhs_code = std::int8_t;
  static constexpr int depth = 4;
  using lhs_vector = __m256i;
  using rhs_vector = __m256i;

  FEWBIT_ALWAYS_INLINE static lhs_vector load_lhs(const std::uint8_t* p) noexcept {
    return broadcast(p);
  }
  FEWBIT_ALWAYS_INLINE static lhs_vector load_lhs_tail(const std::uint8_t* p, int count) noexcept {
    std::uint32_t quad = 0;
    for (int d = 0; d < count; ++d) quad |= std::uint32_t{p[d]} << (8 * d);
    return broadcast(&quad);
  }
  FEWBIT_ALWAYS_INLINE static rhs_vector load_rhs(const std::int8_t* p) noexcept { return load(p); }

  FEWBIT_ALWAYS_INLINE static accumulator dot(const accumulator& sum, const lhs_vector& a,
                                              const rhs_vector& w) noexcept {
    return add_pairs(sum, _mm256_maddubs_epi16(a, w));
  }
};

/// Exact where four products, two of one step and two of the next, fit int16.
struct avx2_fours : avx2_pairs {
  /// Two steps. Weights are operands from memory: six registers of them do not fit beside the sums.
  FEWBIT_ALWAYS_INLINE static accumulator dot_two(const accumulator& sum, const lhs_vector (&a)[2],
                                                  const std::int8_t* w0,
                                                  const std::int8_t* w1) noexcept {
    return add_pairs(sum, _mm256_add_epi16(multiply(a[0], w0), multiply(a[1], w1)));
  }

 private:
  FEWBIT_ALWAYS_INLINE static __m256i multiply(__m256i a, const std::int8_t* w) noexcept {
    __m256i pairs;
    asm("vpmaddubsw %2, %1, %0"
        : "=x"(pairs)
        : "x"(a), "m"(*reinterpret_cast<const __m256i_u*>(w)));
    return pairs;
  }
};

/// How the units of 16-bit sums want activations: u8 in place, s8 moved up until they are unsigned.
template <class Lhs>
struct avx2_bytes : avx2_pairs {
  using dots = avx2_pairs;
  static constexpr bool in_place = std::is_same_v<Lhs, std::uint8_t>;
  static constexpr int lhs_offset = in_place ? 0 : -128;
};

template <class Lhs>
struct avx2_unit : avx2_dots {
  using dots = avx2_dots;
  using widened = avx2_widened;
  using pairs = avx2_pairs;
  using fours = avx2_fours;
  using bytes = avx2_bytes<Lhs>;
  static constexpr int lhs_offset = 0;
  static constexpr bool in_place = false;

  /// Where code d of a step stands among its four.
  static constexpr int lhs_position[] = {0, 2, 1, 3};

  /// Copies activations of a row, in this order, and fills the last step with zeros.
  static void copy_lhs(const Lhs* from, std::ptrdiff_t count, std::int16_t* to) noexcept {
    const __m128i order = _mm_setr_epi8(0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15);
    std::ptrdiff_t k = 0;
    for (; k + 16 <= count; k += 16) {
      const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + k));
      const __m128i ordered = _mm_shuffle_epi8(codes, order);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + k), std::is_signed_v<Lhs>
                                                                  ? _mm256_cvtepi8_epi16(ordered)
                                                                  : _mm256_cvtepu8_epi16(ordered));
    }
    for (; k < count; k += depth) {
      for (int d = 0; d < depth; ++d)
        to[k + lhs_position[d]] = k + d < count ? std::int16_t{from[k + d]} : std::int16_t{0};
    }
  }
};

template <class Lhs>
struct dot_unit<avx2, Lhs> : own_unit<avx2_unit<Lhs>> {};

/// The pairs of a chunk are added in int16; arch/stored_unit.hpp says why they fit.
template <int Bits>
struct stored_unit<avx2, Bits> : avx2_register, avx2_floats {
  static constexpr int rows = 4;
  static constexpr int chains = 4;
  static constexpr int offset = Bits == 8 ? 128 : 0;

  template <int R>
  FEWBIT_ALWAYS_INLINE static void add_chunk(accumulator (&sums)[R], const std::int8_t* a,
                                             const std::uint8_t* w) noexcept {
    const stored_chunk<Bits, cols> chunk(w);
    __m256i pairs[R];
#pragma GCC unroll 8
    for (int i = 0; i < stored_layout<Bits>::steps; ++i) {
      const auto weights = reinterpret_cast<__m256i>(chunk.step(i).data);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const __m256i products = multiply(weights, broadcast(a + (i * R + r) * 4));
        pairs[r] = i == 0 ? products : _mm256_add_epi16(pairs[r], products);
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) sums[r] = add_pairs(sums[r], pairs[r]);
  }

 private:
  /// Of 8 bits |w| is the unsigned side, and its sign goes to the activation, which has one to give
  /// away because it is no -128: pairs are at most 2 * 128 * 127 = 32512.
  FEWBIT_ALWAYS_INLINE static __m256i multiply(__m256i w, __m256i a) noexcept {
    if constexpr (Bits == 8) {
      return _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(a, w));
    } else {
      return _mm256_maddubs_epi16(w, a);
    }
  }
};

}}}  // namespace fewbit::arch

#endif

#include "fewbit/end.hpp"
