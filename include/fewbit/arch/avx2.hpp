#pragma once
/// AVX2: the dot units and stored units for 16 registers of 256 bits.
///
/// | instructions                 | compute                                                | exact for       | operations per cycle |
/// |------------------------------|--------------------------------------------------------|-----------------|----------------------|
/// | vpmaddwd, vpaddd             | 8 int32 sums of 2 products of int16                    | all 8-bit codes | 48                   |
/// | vpmaddubsw, vpmaddwd, vpaddd | 8 int32 sums of 4 products u8 x s8; sums of 2 in int16 | see below       | 64                   |
/// | the same and vpaddw          | 8 int32 sums of 8 products u8 x s8; sums of 4 in int16 | see below       | 77                   |
/// | the same for halves of u8    | 8 int32 sums of 32 products u4 x s8, 16 times of u4    | all 8-bit codes | 45                   |
///
/// The last column is the port bound: vpmadd* runs on 2 ports, vpadd* on 3.
///
/// vpmaddubsw adds two products and saturates to int16, but 255 * 127 + 255 * 127 does not fit
/// int16. It is used for whole activations only if no pair (or four) of products can overflow with
/// the given weights and the largest activation (gemm/int8/saturation_proof.hpp). All other weights
/// are multiplied in one of two ways:
///
/// - A few rows: activations are cut in halves of four bits, which never overflow. Weights are read
///   as they are stored, so one row from memory is limited by memory. From L2 it is limited by the
///   three ports of vpaddw, two of which are those of vpmaddubsw.
/// - Many rows: weights are widened to int16 in a buffer before the loop: even bytes by two shifts,
///   odd bytes by one. Widening needs no shuffle, because activations are copied in the matching
///   order 0 2 1 3.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "fewbit/arch/dot_unit.hpp"
#include "fewbit/arch/memory.hpp"
#include "fewbit/arch/stored_unit.hpp"

#if FEWBIT_HAS_AVX2
#include <immintrin.h>

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace arch {

/// a * b + c with one rounding. FMA has a compiler flag of its own, separate from AVX2.
struct avx2_floats {
#if defined(__FMA__)
  using floats = vec<float, 8>;

  FEWBIT_ALWAYS_INLINE static floats multiply_add(const floats& a, const floats& b,
                                                  const floats& c) noexcept {
    return floats::from(_mm256_fmadd_ps(a.data, b.data, c.data));
  }
#endif
};

/// Loads, broadcasts and sums of the units below.
struct avx2_register {
  static constexpr int rows = 1;
  static constexpr int cols = 8;
  static constexpr int dots_in_flight = 1;  // the next sum waits for vpaddd only: one cycle
  static constexpr bool points_to_rows = true;

  using accumulator = vec<std::int32_t, cols>;

  FEWBIT_ALWAYS_INLINE static __m256i load(const void* p) noexcept {
    return _mm256_loadu_si256(static_cast<const __m256i*>(p));
  }

  /// Copies four bytes to every column.
  FEWBIT_ALWAYS_INLINE static __m256i broadcast(const void* p) noexcept {
    std::int32_t bytes;
    std::memcpy(&bytes, p, sizeof(bytes));
    return _mm256_set1_epi32(bytes);
  }

  /// The codes of a step of four, or the last `count` codes and zeros. Codes that are stored one by
  /// one could not be loaded together before they are in the cache.
  template <class Lhs>
  FEWBIT_ALWAYS_INLINE static __m128i load_step(const Lhs* codes, std::ptrdiff_t count) noexcept {
    std::uint32_t step = 0;
    if (count >= 4) {
      std::memcpy(&step, codes, 4);
    } else {
      for (std::ptrdiff_t i = 0; i < count; ++i)
        step |= std::uint32_t{static_cast<std::uint8_t>(codes[i])} << (8 * i);
    }
    return _mm_cvtsi32_si128(static_cast<int>(step));
  }

  FEWBIT_ALWAYS_INLINE static accumulator add(const accumulator& sum, __m256i terms) noexcept {
    __m256i next = reinterpret_cast<__m256i>(sum.data);
    // g++ treats the intrinsic as a plain sum and reorders it across the steps of an iteration
    // until no register is left. A tile of 3 x 24 reaches 0.95 of the rate of its chain of
    // instructions in the order written here, and 0.53 in the order that g++ 12 chooses.
    asm("vpaddd %1, %0, %0" : "+x"(next) : "x"(terms));
    return accumulator::from(reinterpret_cast<accumulator::storage>(next));
  }

  /// Adds the two int16 of each column.
  FEWBIT_ALWAYS_INLINE static accumulator add_pairs(const accumulator& sum,
                                                    __m256i pairs) noexcept {
    return add(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }

  /// The products of u8 by s8 of the bytes of each int16, added. add_words adds such sums.
  ///
  /// The order of these two is the order in which they are written. g++ 12 moves intrinsics across
  /// unrolled steps until no register is left. Rate relative to the chain of vpmaddwd, in this
  /// order and in that of g++: one row of (1,24,512) 0.92 and 0.70. 4-bit weights in groups of 32,
  /// m = 8, rate of this order relative to that of g++: 1.12.
  FEWBIT_ALWAYS_INLINE static __m256i multiply_bytes(__m256i a, __m256i w) noexcept {
    __m256i pairs;
    asm volatile("vpmaddubsw %2, %1, %0" : "=x"(pairs) : "x"(a), "x"(w));
    return pairs;
  }
  FEWBIT_ALWAYS_INLINE static __m256i add_words(__m256i sum, __m256i terms) noexcept {
    asm volatile("vpaddw %1, %0, %0" : "+x"(sum) : "x"(terms));
    return sum;
  }

  /// even_bytes: bytes 0 and 2 of each column as int16. odd_bytes: bytes 1 and 3.
  FEWBIT_ALWAYS_INLINE static __m256i even_bytes(__m256i codes) noexcept {
    return _mm256_srai_epi16(_mm256_slli_epi16(codes, 8), 8);
  }
  FEWBIT_ALWAYS_INLINE static __m256i odd_bytes(__m256i codes) noexcept {
    return _mm256_srai_epi16(codes, 8);
  }
};

/// Exact for all codes. Widens weights in registers. Used for a few rows and blocks of k, whose
/// weights have no column sums.
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

  /// Leaves the activations of an iteration in memory: nine sums and a pair of weights leave room
  /// for only one register of activations.
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

/// Exact for all codes. Weights are widened before the loop. One step of avx2_dots becomes two
/// steps here: first the even codes, then the odd codes.
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

  /// Position of code d among the four codes of a step of avx2_dots.
  static constexpr int lhs_position[] = {0, 2, 1, 3};

  /// Copies `count` activations of a row, a multiple of 16, in the order of lhs_position.
  template <class Lhs>
  FEWBIT_ALWAYS_INLINE static void copy_whole(const Lhs* from, std::ptrdiff_t count,
                                              std::int16_t* to) noexcept {
    const __m128i order = _mm_setr_epi8(0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15);
    for (std::ptrdiff_t k = 0; k < count; k += 16) {
      const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + k));
      const __m128i ordered = _mm_shuffle_epi8(codes, order);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + k), std::is_signed_v<Lhs>
                                                                  ? _mm256_cvtepi8_epi16(ordered)
                                                                  : _mm256_cvtepu8_epi16(ordered));
    }
  }

  /// The same for 16 activations in registers.
  FEWBIT_ALWAYS_INLINE static void copy_ints(const accumulator& low, const accumulator& high,
                                             std::int16_t* to) noexcept {
    const __m256i order = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15));
    const __m256i words = _mm256_packs_epi32(reinterpret_cast<__m256i>(low.data),
                                             reinterpret_cast<__m256i>(high.data));
    store(_mm256_permute4x64_epi64(_mm256_shuffle_epi8(words, order), 0xD8), to);
  }

  /// Copies any number of activations and fills the last step with zeros.
  template <class Lhs>
  static void copy_lhs(const Lhs* from, std::ptrdiff_t count, std::int16_t* to) noexcept {
    std::ptrdiff_t k = count & ~std::ptrdiff_t{15};
    copy_whole(from, k, to);
    const __m128i order = _mm_cvtsi32_si128(0x03010200);
    for (; k < count; k += avx2_dots::depth) {
      const __m128i ordered = _mm_shuffle_epi8(load_step(from + k, count - k), order);
      _mm_storel_epi64(reinterpret_cast<__m128i*>(to + k), std::is_signed_v<Lhs>
                                                               ? _mm_cvtepi8_epi16(ordered)
                                                               : _mm_cvtepu8_epi16(ordered));
    }
  }

  /// Widens `steps` steps of Registers registers each.
  template <int Registers>
  static void widen(const std::int8_t* from, std::ptrdiff_t steps, std::int16_t* to) noexcept {
    constexpr int codes = cols * avx2_dots::depth;  // in one register
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

/// Exact for all codes. Activations are u8, given as their low and their high four bits, so that
/// eight pairs of products fit int16: 8 * 2 * 15 * 128 = 30720. A turn of eight steps adds its
/// pairs in int16 and widens the sums once. The codes of a step lie in memory as four low halves
/// and four high halves.
///
/// 32 weights take 2 vpmaddubsw, 7/8 of 2 vpaddw and 1/8 of 2 vpmaddwd and 2 vpaddd. Weights are
/// not expanded, so the rows of a tile would share nothing: a turn has one row.
struct avx2_halves : avx2_register {
  using lhs_code = std::uint16_t;  // both halves of a code
  using rhs_code = std::int8_t;
  static constexpr int depth = 4;
  static constexpr int turn_steps = 8;

  struct halves {
    __m256i low;
    __m256i high;
  };
  using lhs_vector = halves;
  using rhs_vector = __m256i;

  FEWBIT_ALWAYS_INLINE static lhs_vector load_lhs(const std::uint16_t* p) noexcept {
    return {broadcast(p), broadcast(p + 2)};
  }
  FEWBIT_ALWAYS_INLINE static rhs_vector load_rhs(const std::int8_t* p) noexcept { return load(p); }

  FEWBIT_ALWAYS_INLINE static accumulator dot(const accumulator& sum, const lhs_vector& a,
                                              const rhs_vector& w) noexcept {
    return add_halves(sum, {multiply_bytes(a.low, w), multiply_bytes(a.high, w)});
  }

  /// Adds the dots of turn_steps steps of one row and C registers of columns.
  template <int C>
  FEWBIT_ALWAYS_INLINE static void add_turn(accumulator (&sums)[C], const std::uint16_t* a,
                                            const std::int8_t* w) noexcept {
    halves pairs[C];
#pragma GCC unroll 8
    for (int step = 0; step < turn_steps; ++step) {
      const halves codes = load_lhs(a + step * depth);
      halves products[C];
#pragma GCC unroll 4
      for (int j = 0; j < C; ++j) {
        const rhs_vector weights = load_rhs(w + (step * C + j) * cols * depth);
        products[j] = {multiply_bytes(codes.low, weights), multiply_bytes(codes.high, weights)};
      }
#pragma GCC unroll 4
      for (int j = 0; j < C; ++j) {
        if (step == 0) {
          pairs[j] = products[j];
        } else {
          pairs[j] = {add_words(pairs[j].low, products[j].low),
                      add_words(pairs[j].high, products[j].high)};
        }
      }
    }
#pragma GCC unroll 4
    for (int j = 0; j < C; ++j) sums[j] = add_halves(sums[j], pairs[j]);
  }

 private:
  FEWBIT_ALWAYS_INLINE static accumulator add_halves(const accumulator& sum,
                                                     const halves& pairs) noexcept {
    return add(add_pairs(sum, pairs.low), _mm256_madd_epi16(pairs.high, _mm256_set1_epi16(16)));
  }
};

/// Exact if the sum of two products of neighbouring weights with any activations fits int16.
struct avx2_pairs : avx2_register {
  using lhs_code = std::uint8_t;
  using rhs_code = std::int8_t;
  static constexpr int depth = 4;
  using lhs_vector = __m256i;
  using rhs_vector = __m256i;

  FEWBIT_ALWAYS_INLINE static lhs_vector load_lhs(const std::uint8_t* p) noexcept {
    return broadcast(p);
  }
  FEWBIT_ALWAYS_INLINE static rhs_vector load_rhs(const std::int8_t* p) noexcept { return load(p); }

  FEWBIT_ALWAYS_INLINE static accumulator dot(const accumulator& sum, const lhs_vector& a,
                                              const rhs_vector& w) noexcept {
    return add_pairs(sum, _mm256_maddubs_epi16(a, w));
  }
};

/// Exact if the sum of four products fits int16: two products of one step and two of the next.
struct avx2_fours : avx2_pairs {
  /// Two steps at once. Weights are memory operands, because six registers of weights do not fit
  /// next to the sums.
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

/// What chooses among the dots, and the dots.
struct avx2_by_proof {
  static constexpr int cols = avx2_register::cols;
  static constexpr int depth = avx2_pairs::depth;
  using widened = avx2_widened;
  using pairs = avx2_pairs;
  using fours = avx2_fours;

  /// The largest of 32 bytes. vphminposuw finds the smallest of eight uint16.
  FEWBIT_ALWAYS_INLINE static std::uint8_t largest(const vec<std::uint8_t, 32>& v) noexcept {
    const auto all = reinterpret_cast<__m256i>(v.data);
    const __m128i half =
        _mm_max_epu8(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
    const __m128i words = _mm_max_epu8(half, _mm_srli_epi16(half, 8));  // in the low byte
    const __m128i inverse = _mm_andnot_si128(words, _mm_set1_epi16(255));
    return static_cast<std::uint8_t>(255 - _mm_cvtsi128_si32(_mm_minpos_epu16(inverse)));
  }

  /// Bit i is 1 where byte i of `codes` is above that of `limits`, for 16 bytes.
  FEWBIT_ALWAYS_INLINE static std::uint32_t above(const std::uint8_t* codes,
                                                  const std::uint8_t* limits) noexcept {
    const __m128i c = _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes));
    const __m128i l = _mm_loadu_si128(reinterpret_cast<const __m128i*>(limits));
    const int within = _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_max_epu8(c, l), l));
    return static_cast<std::uint32_t>(within) ^ 0xFFFF;
  }
};

/// Activations of the units with int16 sums: u8 is read in place; s8 is copied as a + 128, which is
/// unsigned.
template <class Lhs>
struct avx2_bytes : avx2_pairs {
  using dots = avx2_pairs;
  static constexpr bool in_place = std::is_same_v<Lhs, std::uint8_t>;
  static constexpr int lhs_offset = in_place ? 0 : -128;
};

/// Activations of avx2_halves: u8 codes, or s8 codes plus an offset, cut in halves.
template <class Lhs>
struct avx2_half_codes : avx2_halves {
  using dots = avx2_halves;
  static constexpr bool in_place = false;
  static constexpr int lhs_offset = std::is_same_v<Lhs, std::uint8_t> ? 0 : -128;

  /// Copies `count` activations of a row, a multiple of 16, minus `offset`.
  FEWBIT_ALWAYS_INLINE static void copy_whole(const Lhs* from, std::ptrdiff_t count, int offset,
                                              std::uint16_t* to) noexcept {
    const __m128i mask = _mm_set1_epi8(15), less = _mm_set1_epi8(static_cast<char>(offset));
    for (std::ptrdiff_t k = 0; k < count; k += 16) {
      const __m128i loaded = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + k));
      const __m128i bytes = _mm_sub_epi8(loaded, less);
      const __m128i low = _mm_and_si128(bytes, mask);
      const __m128i high = _mm_and_si128(_mm_srli_epi16(bytes, 4), mask);
      auto* out = reinterpret_cast<__m128i*>(to + k);
      _mm_storeu_si128(out, _mm_unpacklo_epi32(low, high));
      _mm_storeu_si128(out + 1, _mm_unpackhi_epi32(low, high));
    }
  }

  /// The same for 16 activations in registers, minus lhs_offset.
  FEWBIT_ALWAYS_INLINE static void copy_ints(const accumulator& low_ints,
                                             const accumulator& high_ints,
                                             std::uint16_t* to) noexcept {
    const __m256i words = _mm256_packs_epi32(reinterpret_cast<__m256i>(low_ints.data),
                                             reinterpret_cast<__m256i>(high_ints.data));
    const __m256i bytes = _mm256_sub_epi16(words, _mm256_set1_epi16(lhs_offset));
    const __m256i low = _mm256_and_si256(bytes, _mm256_set1_epi16(15));
    const __m256i high = _mm256_srli_epi16(bytes, 4);
    // Four low halves, four high halves; pack instructions work within 128 bits.
    const __m256i cut = _mm256_shuffle_epi32(_mm256_packus_epi16(low, high), 0xD8);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_permute4x64_epi64(cut, 0xD8));
  }

  /// Copies any number of activations and fills the last step with zeros.
  static void copy_lhs(const Lhs* from, std::ptrdiff_t count, int offset,
                       std::uint16_t* to) noexcept {
    std::ptrdiff_t k = count & ~std::ptrdiff_t{15};
    copy_whole(from, k, offset, to);
    const __m128i mask = _mm_set1_epi8(15), less = _mm_set1_epi8(static_cast<char>(offset));
    for (; k < count; k += depth) {
      const std::ptrdiff_t missing = std::max(k + depth - count, std::ptrdiff_t{0});
      const __m128i kept = _mm_cvtsi32_si128(static_cast<int>(0xFFFFFFFFU >> (8 * missing)));
      const __m128i loaded = load_step(from + k, count - k);
      const __m128i bytes = _mm_and_si128(_mm_sub_epi8(loaded, less), kept);
      const __m128i low = _mm_and_si128(bytes, mask);
      const __m128i high = _mm_and_si128(_mm_srli_epi16(bytes, 4), mask);
      _mm_storel_epi64(reinterpret_cast<__m128i*>(to + k), _mm_unpacklo_epi32(low, high));
    }
  }
};

template <class Lhs>
struct avx2_unit : avx2_dots {
  using dots = avx2_dots;
  using widened = avx2_widened;
  using halves = avx2_half_codes<Lhs>;
  using pairs = avx2_pairs;
  using fours = avx2_fours;
  using bytes = avx2_bytes<Lhs>;
  using by_proof = avx2_by_proof;
  static constexpr int lhs_offset = 0;
  static constexpr bool in_place = false;

  static constexpr auto& lhs_position = widened::lhs_position;

  FEWBIT_ALWAYS_INLINE static void copy_whole(const Lhs* from, std::ptrdiff_t count, int /*offset*/,
                                              std::int16_t* to) noexcept {
    widened::copy_whole(from, count, to);
  }
  FEWBIT_ALWAYS_INLINE static void copy_ints(const accumulator& low, const accumulator& high,
                                             std::int16_t* to) noexcept {
    widened::copy_ints(low, high, to);
  }
  static void copy_lhs(const Lhs* from, std::ptrdiff_t count, std::int16_t* to) noexcept {
    widened::copy_lhs(from, count, to);
  }
};

template <class Lhs>
struct dot_unit<avx2, Lhs> : own_unit<avx2_unit<Lhs>> {};

/// Adds the pairs of one chunk or of a few in int16; arch/stored_unit.hpp proves that they fit.
template <int Bits>
struct stored_unit<avx2, Bits> : avx2_register, avx2_floats {
  static constexpr int rows = 4;
  static constexpr int chains = 4;
  static constexpr int offset = Bits == 8 ? 128 : 0;
  static constexpr int chunks_together = Bits == 4 ? 4 : Bits == 2 ? 2 : 1;

  template <int R>
  FEWBIT_ALWAYS_INLINE static void add_chunk(accumulator (&sums)[R], const std::int8_t* a,
                                             const std::uint8_t* w) noexcept {
    add_chunks<1>(sums, a, w);
  }

  /// Adds `Chunks` chunks, at most chunks_together.
  template <int Chunks, int R>
  FEWBIT_ALWAYS_INLINE static void add_chunks(accumulator (&sums)[R], const std::int8_t* a,
                                              const std::uint8_t* w) noexcept {
    constexpr int steps = stored_layout<Bits>::steps;
    __m256i pairs[R];
#pragma GCC unroll 4
    for (int n = 0; n < Chunks; ++n) {
      const stored_chunk<Bits, cols> chunk(w + n * stored_layout<Bits>::registers * cols * 4);
#pragma GCC unroll 8
      for (int i = 0; i < steps; ++i) {
        const auto weights = reinterpret_cast<__m256i>(chunk.step(i).data);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
          const __m256i products = multiply(weights, broadcast(a + ((n * steps + i) * R + r) * 4));
          pairs[r] = n + i == 0 ? products : add_words(pairs[r], products);
        }
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) sums[r] = add_pairs(sums[r], pairs[r]);
  }

 private:
  /// With 8 bits, |w| is the unsigned operand, and the activation is negated where w is negative.
  /// Negation is exact because no activation is -128. A pair is at most 2 * 128 * 127 = 32512.
  FEWBIT_ALWAYS_INLINE static __m256i multiply(__m256i w, __m256i a) noexcept {
    if constexpr (Bits == 8) {
      return _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(a, w));
    } else {
      return multiply_bytes(w, a);
    }
  }
};

}}}  // namespace fewbit::arch

#endif

#include "fewbit/end.hpp"
