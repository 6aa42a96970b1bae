#pragma once
/// aarch64 Advanced SIMD and its extensions dotprod and i8mm: 32 registers of 128 bits.
///
/// | instruction   | arch         | computes                                               | op |
/// |---------------|--------------|--------------------------------------------------------|----|
/// | smull, sadalp | neon         | 8 products s8 x s8 in int16, added in pairs to 4 int32 | 16 |
/// | sdot          | neon_dotprod | 4 sums of 4 products s8 x s8, added in int32           | 32 |
/// | smmla         | neon_i8mm    | 2x8 by 8x2 product of s8, added in int32               | 64 |
/// | usmmla        | neon_i8mm    | the same, u8 x s8                                      | 64 |
///
/// Port bounds of one turn of the full tile, as llvm-mca 19 models the processors, and what it
/// gives for the code of g++ 12:
///
/// | arch         | model       | products | instructions | bound, cycles | cycles | limit               |
/// |--------------|-------------|----------|--------------|---------------|--------|---------------------|
/// | neon         | neoverse-n1 | 384      | 136          | 54            | 54.2   | both vector ports   |
/// | neon_dotprod | neoverse-n1 | 1280     | 113          | 40            | 40.1   | sdot, both ports    |
/// | neon_dotprod | neoverse-v1 | 1280     | 113          | 20            | 20.1   | sdot, all 4 ports   |
/// | neon_i8mm    | neoverse-v1 | 2048     | 104          | 17            | 17.1   | smmla, all 4 ports  |
///
/// smlal into the int16 of smull would save one instruction in two and overflow: -128 * -128 * 2 =
/// 32768. So each smull is followed by its own sadalp. Without u8 x s8 instructions, u8 activations
/// are copied as a - 128.

#include "fewbit/arch/dot_unit.hpp"
#include "fewbit/arch/stored_unit.hpp"

#if FEWBIT_HAS_NEON
#include <arm_neon.h>

namespace fewbit::inline FEWBIT_ARCH_NAMESPACE::arch {

/// What the units of baseline and dotprod share: four columns per register, one row, `Depth` s8
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

/// s8 activations are read in place, u8 ones copied as a - 128.
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

/// What the units of stored weights share; 8-bit codes are stored less 128, as signed ones.
template <int Bits>
struct neon_stored {
  static constexpr int rows = 8;
  static constexpr int cols = 4;
  static constexpr int offset = Bits == 4 ? 0 : 128;

  using accumulator = vec<std::int32_t, cols>;
  using weights = two_steps<int8x16_t>;

  FEWBIT_ALWAYS_INLINE static weights load(const std::uint8_t* p) noexcept {
    const uint8x16_t codes = vld1q_u8(p);
    if constexpr (Bits == 4) {
      return {vreinterpretq_s8_u8(vandq_u8(codes, vdupq_n_u8(15))),
              vreinterpretq_s8_u8(vshrq_n_u8(codes, 4))};
    } else {
      return {vreinterpretq_s8_u8(codes), vreinterpretq_s8_u8(vld1q_u8(p + 16))};
    }
  }

 protected:
  FEWBIT_ALWAYS_INLINE static int8x16_t broadcast(const std::int8_t* a) noexcept {
    return vreinterpretq_s8_s32(vdupq_n_s32(quad_of(a)));
  }
  FEWBIT_ALWAYS_INLINE static accumulator from(int32x4_t v) noexcept {
    return accumulator::from(reinterpret_cast<accumulator::storage>(v));
  }
};

template <int Bits>
struct stored_unit<neon, Bits> : neon_stored<Bits> {
  using base = neon_stored<Bits>;
  using typename base::accumulator;
  using typename base::weights;

  FEWBIT_ALWAYS_INLINE static accumulator dot(const accumulator& sum, const std::int8_t* a0,
                                              const std::int8_t* a1, const weights& w) noexcept {
    const int32x4_t first = vpadalq_s16(reinterpret_cast<int32x4_t>(sum.data), pairs(a0, w.first));
    return base::from(vpadalq_s16(first, pairs(a1, w.second)));
  }

 private:
  /// Two sums of two products for each column.
  FEWBIT_ALWAYS_INLINE static int16x8_t pairs(const std::int8_t* a, int8x16_t w) noexcept {
    const int8x16_t x = base::broadcast(a);
    return vpaddq_s16(vmull_s8(vget_low_s8(x), vget_low_s8(w)), vmull_high_s8(x, w));
  }
};

#if FEWBIT_HAS_NEON_DOTPROD
struct neon_dotprod_dots : neon_operands<4> {
  /// 16 activations of a row, four for each step of a turn: sdot takes any four of them for all its
  /// columns, so that nothing is repeated.
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
  using typename base::weights;

  FEWBIT_ALWAYS_INLINE static accumulator dot(const accumulator& sum, const std::int8_t* a0,
                                              const std::int8_t* a1, const weights& w) noexcept {
    const int32x4_t first =
        vdotq_s32(reinterpret_cast<int32x4_t>(sum.data), w.first, base::broadcast(a0));
    return base::from(vdotq_s32(first, w.second, base::broadcast(a1)));
  }
};
#endif

#if FEWBIT_HAS_NEON_I8MM
/// Two rows by two columns by eight: activations are copied so that the eight codes of two rows
/// stand side by side.
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

}  // namespace fewbit::inline FEWBIT_ARCH_NAMESPACE::arch

#endif
