#pragma once
/// aarch64 Advanced SIMD and its extensions dotprod and i8mm: 32 registers of 128 bits.
///
/// | instruction   | arch         | computes                                               | operations |
/// |---------------|--------------|--------------------------------------------------------|------------|
/// | smull, sadalp | neon         | 8 products s8 x s8 in int16, added in pairs to 4 int32 | 16         |
/// | sdot          | neon_dotprod | 4 sums of 4 products s8 x s8, added in int32           | 32         |
/// | smmla         | neon_i8mm    | 2x8 by 8x2 product of s8, added in int32               | 64         |
/// | usmmla        | neon_i8mm    | the same, u8 x s8                                      | 64         |
///
/// Port bounds of one iteration of the loop over the full tile, in the processor models of llvm-mca
/// 19, and the cycles that llvm-mca computes for the code of g++ 12:
///
/// | arch         | model       | products | instructions | bound, cycles | cycles | limit              |
/// |--------------|-------------|----------|--------------|---------------|--------|--------------------|
/// | neon         | neoverse-n1 | 384      | 136          | 54            | 54.2   | both vector ports  |
/// | neon_dotprod | neoverse-n1 | 1280     | 113          | 40            | 40.1   | sdot, both ports   |
/// | neon_dotprod | neoverse-v1 | 1280     | 113          | 20            | 20.1   | sdot, all 4 ports  |
/// | neon_i8mm    | neoverse-v1 | 2048     | 104          | 17            | 17.1   | smmla, all 4 ports |
///
/// smlal could add a second product to the int16 result of smull and save every second instruction.
/// The sum can overflow, however: -128 * -128 * 2 = 32768. Therefore each smull is followed by its
/// own sadalp. neon and neon_dotprod have no u8 x s8 instruction. They therefore read a copy of u8
/// activations, which contains a - 128.

#include "fewbit/begin.hpp"

#include "fewbit/arch/dot_unit.hpp"
#include "fewbit/arch/stored_unit.hpp"

#if FEWBIT_HAS_NEON
#include <arm_neon.h>

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace arch {

/// Operands of the units of neon and neon_dotprod: four columns per register, one row, `Depth` s8
/// activations repeated for each column.
template <int Depth>
struct neon_operands {
  using lhs_code = std::int8_t;
  using rhs_code = std::int8_t;
  static constexpr int rows = 1;
  static constexpr int cols = 4;
  static constexpr int depth = Depth;

  using accumulator = vec<std::int32_t, cols>;
  using lhs_vector = vec<std::int8_t, cols * Depth>;
  using rhs_vector = vec<std::int8_t, cols * Depth>;
  using step = std::conditional_t<Depth == 4, std::uint32_t, std::uint16_t>;

  FEWBIT_ALWAYS_INLINE static lhs_vector load_lhs(const std::int8_t* p) noexcept {
    step codes;
    std::memcpy(&codes, p, sizeof(codes));
    return repeat(codes);
  }

  FEWBIT_ALWAYS_INLINE static lhs_vector load_lhs_tail(const std::int8_t* p, int count) noexcept {
    std::uint32_t codes = 0;
    for (int d = 0; d < count; ++d) {
      codes |= std::uint32_t{static_cast<std::uint8_t>(p[d])} << (8 * d);
    }
    return repeat(static_cast<step>(codes));
  }

  FEWBIT_ALWAYS_INLINE static rhs_vector load_rhs(const std::int8_t* p) noexcept {
    return rhs_vector::load(p);
  }

 private:
  FEWBIT_ALWAYS_INLINE static lhs_vector repeat(step codes) noexcept {
    const vec<step, cols> repeated(codes);
    return lhs_vector::from(reinterpret_cast<typename lhs_vector::storage>(repeated.data));
  }
};

/// s8 activations are read in place; u8 activations are copied as a - 128.
template <class Dots, class Lhs>
struct neon_unit : Dots {
  using dots = Dots;
  static constexpr bool in_place = std::is_same_v<Lhs, std::int8_t>;
  static constexpr int lhs_offset = in_place ? 0 : 128;
};

struct neon_dots : neon_operands<2> {
  FEWBIT_ALWAYS_INLINE static accumulator dot(const accumulator& sum, const lhs_vector& a,
                                              const rhs_vector& w) noexcept {
    const int16x8_t products =
        vmull_s8(reinterpret_cast<int8x8_t>(a.data), reinterpret_cast<int8x8_t>(w.data));
    const int32x4_t next = vpadalq_s16(reinterpret_cast<int32x4_t>(sum.data), products);
    return accumulator::from(reinterpret_cast<accumulator::storage>(next));
  }
};

template <class Lhs>
struct dot_unit<neon, Lhs> : own_unit<neon_unit<neon_dots, Lhs>> {};

/// Common part of the units of stored weights. 8-bit codes are stored minus 128, as signed bytes.
template <int Bits>
struct neon_stored {
  static constexpr int rows = 8;
  static constexpr int chains = 8;
  static constexpr int cols = 4;
  static constexpr int offset = Bits == 8 ? 128 : 0;

  using accumulator = vec<std::int32_t, cols>;

 protected:
  FEWBIT_ALWAYS_INLINE static int8x16_t broadcast(const std::int8_t* a) noexcept {
    return vreinterpretq_s8_s32(vdupq_n_s32(quad_of(a)));
  }
  FEWBIT_ALWAYS_INLINE static accumulator from(int32x4_t v) noexcept {
    return accumulator::from(reinterpret_cast<accumulator::storage>(v));
  }
};

/// Adds the pairs of a chunk in int16; arch/stored_unit.hpp proves that they fit.
template <int Bits>
struct stored_unit<neon, Bits> : neon_stored<Bits> {
  using base = neon_stored<Bits>;
  using typename base::accumulator;

  template <int R>
  FEWBIT_ALWAYS_INLINE static void add_chunk(accumulator (&sums)[R], const std::int8_t* a,
                                             const std::uint8_t* w) noexcept {
    constexpr int steps = stored_layout<Bits>::steps;
    const stored_chunk<Bits, base::cols> chunk(w);
    int8x16_t weights[steps];
#pragma GCC unroll 8
    for (int i = 0; i < steps; ++i) weights[i] = reinterpret_cast<int8x16_t>(chunk.step(i).data);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const int8x16_t first = base::broadcast(a + r * 4);
      int16x8_t low = vmull_s8(vget_low_s8(first), vget_low_s8(weights[0]));
      int16x8_t high = vmull_high_s8(first, weights[0]);
#pragma GCC unroll 8
      for (int i = 1; i < steps; ++i) {
        const int8x16_t x = base::broadcast(a + (i * R + r) * 4);
        low = vmlal_s8(low, vget_low_s8(x), vget_low_s8(weights[i]));
        high = vmlal_high_s8(high, x, weights[i]);
      }
      sums[r] =
          base::from(vpadalq_s16(reinterpret_cast<int32x4_t>(sums[r].data), vpaddq_s16(low, high)));
    }
  }
};

#if FEWBIT_HAS_NEON_DOTPROD
struct neon_dotprod_dots : neon_operands<4> {
  /// Loads 16 activations of a row, four for each step of an iteration. sdot can use any four of
  /// them for all columns, so they are not repeated.
  FEWBIT_ALWAYS_INLINE static lhs_vector load_lhs_turn(const std::int8_t* p) noexcept {
    return lhs_vector::load(p);
  }

  template <int Step>
  FEWBIT_ALWAYS_INLINE static accumulator dot_of_turn(const accumulator& sum, const lhs_vector& a,
                                                      const rhs_vector& w) noexcept {
    const int32x4_t next =
        vdotq_laneq_s32(reinterpret_cast<int32x4_t>(sum.data), reinterpret_cast<int8x16_t>(w.data),
                        reinterpret_cast<int8x16_t>(a.data), Step);
    return accumulator::from(reinterpret_cast<accumulator::storage>(next));
  }

  FEWBIT_ALWAYS_INLINE static accumulator dot(const accumulator& sum, const lhs_vector& a,
                                              const rhs_vector& w) noexcept {
    const int32x4_t next =
        vdotq_s32(reinterpret_cast<int32x4_t>(sum.data), reinterpret_cast<int8x16_t>(a.data),
                  reinterpret_cast<int8x16_t>(w.data));
    return accumulator::from(reinterpret_cast<accumulator::storage>(next));
  }
};

template <class Lhs>
struct dot_unit<neon_dotprod, Lhs> : own_unit<neon_unit<neon_dotprod_dots, Lhs>> {};

template <int Bits>
struct stored_unit<neon_dotprod, Bits> : neon_stored<Bits> {
  using base = neon_stored<Bits>;
  using typename base::accumulator;

  template <int R>
  FEWBIT_ALWAYS_INLINE static void add_chunk(accumulator (&sums)[R], const std::int8_t* a,
                                             const std::uint8_t* w) noexcept {
    const stored_chunk<Bits, base::cols> chunk(w);
#pragma GCC unroll 8
    for (int i = 0; i < stored_layout<Bits>::steps; ++i) {
      const auto weights = reinterpret_cast<int8x16_t>(chunk.step(i).data);
      if constexpr (R % 4 == 0) {
#pragma GCC unroll 4
        for (int r = 0; r < R; r += 4)
          add_four_rows(sums + r, vld1q_s8(a + (i * R + r) * 4), weights);
      } else {
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r)
          sums[r] =
              base::from(vdotq_s32(of(sums[r]), weights, base::broadcast(a + (i * R + r) * 4)));
      }
    }
  }

 private:
  FEWBIT_ALWAYS_INLINE static int32x4_t of(const accumulator& sum) noexcept {
    return reinterpret_cast<int32x4_t>(sum.data);
  }

  /// Adds a step to four rows. sdot can use any four activations of a register for all columns.
  FEWBIT_ALWAYS_INLINE static void add_four_rows(accumulator* sums, int8x16_t a,
                                                 int8x16_t w) noexcept {
    sums[0] = base::from(vdotq_laneq_s32(of(sums[0]), w, a, 0));
    sums[1] = base::from(vdotq_laneq_s32(of(sums[1]), w, a, 1));
    sums[2] = base::from(vdotq_laneq_s32(of(sums[2]), w, a, 2));
    sums[3] = base::from(vdotq_laneq_s32(of(sums[3]), w, a, 3));
  }
};
#endif

#if FEWBIT_HAS_NEON_I8MM
/// Two rows by two columns by eight codes. Activations are copied so that the eight codes of two
/// rows lie side by side.
template <class Lhs>
struct neon_i8mm_unit {
  using dots = neon_i8mm_unit;
  static constexpr bool lhs_is_unsigned = std::is_same_v<Lhs, std::uint8_t>;
  using lhs_code = Lhs;
  using rhs_code = std::int8_t;
  static constexpr int rows = 2;
  static constexpr int cols = 2;
  static constexpr int depth = 8;
  static constexpr int lhs_offset = 0;
  static constexpr bool in_place = false;

  using accumulator = vec<std::int32_t, 4>;
  using lhs_vector = vec<Lhs, 16>;
  using rhs_vector = vec<std::int8_t, 16>;

  FEWBIT_ALWAYS_INLINE static lhs_vector load_lhs(const Lhs* p) noexcept {
    return lhs_vector::load(p);
  }

  FEWBIT_ALWAYS_INLINE static rhs_vector load_rhs(const std::int8_t* p) noexcept {
    return rhs_vector::load(p);
  }

  FEWBIT_ALWAYS_INLINE static accumulator dot(const accumulator& sum, const lhs_vector& a,
                                              const rhs_vector& w) noexcept {
    const auto s = reinterpret_cast<int32x4_t>(sum.data);
    const auto b = reinterpret_cast<int8x16_t>(w.data);
    if constexpr (lhs_is_unsigned) {
      return from(vusmmlaq_s32(s, reinterpret_cast<uint8x16_t>(a.data), b));
    } else {
      return from(vmmlaq_s32(s, reinterpret_cast<int8x16_t>(a.data), b));
    }
  }

 private:
  FEWBIT_ALWAYS_INLINE static accumulator from(int32x4_t v) noexcept {
    return accumulator::from(reinterpret_cast<accumulator::storage>(v));
  }
};

template <class Lhs>
struct dot_unit<neon_i8mm, Lhs> : own_unit<neon_i8mm_unit<Lhs>> {};
#endif

}}}  // namespace fewbit::arch

#endif

#include "fewbit/end.hpp"
