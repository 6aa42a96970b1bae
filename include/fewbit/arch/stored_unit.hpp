#pragma once
/// The step of a product whose weights stay as they are stored, one to eight bits each.
///
/// A step is four codes of k for `cols` columns. As many steps as fill whole registers make a
/// chunk; a stored unit adds one to the sums of R rows:
///
///     sums[r][c] += sum over steps i, d = 0 .. 3 of a[i][r][d] * w[i][c][d]
///
/// Byte [c][d] of a register holds that code of each of its steps, the first in the lowest bits, so
/// that a step is expanded by a shift and a mask for all rows:
///
/// | bits | steps | registers of a chunk                 | a step becomes                       |
/// |------|-------|--------------------------------------|--------------------------------------|
/// | 8    | 1     | one                                  | the register                         |
/// | 4    | 2     | one                                  | w >> 4i & 15                         |
/// | 3    | 8     | two of low bits as of 2, one of high | low >> 2i & 3, or high >> i << 2 & 4 |
/// | 2    | 4     | one                                  | w >> 2i & 3                          |
/// | 1    | 8     | one                                  | w >> i << 1 & 2                      |
///
/// Codes are unsigned, 0 .. 2^bits - 1, but a code of one bit stands for 0 or 2: less a zero point
/// of 1 it is -1 or 1. Each is stored less `offset`, which makes 8 bits signed for a unit that
/// multiplies signed bytes; the caller adds offset * (sum of the activations). Activations are
/// -127..127, -128 excluded, which is what makes the sums of pairs below exact.
///
/// | arch         | up to 4 bits                            | 8 bits                           |
/// |--------------|-----------------------------------------|----------------------------------|
/// | *_vnni       | vpdpbusd, the codes unsigned            | the same                         |
/// | avx2         | vpmaddubsw, a chunk's pairs in int16    | of abs, sign: 2 * 128 * 127 fits |
/// | neon_dotprod | sdot, the codes below 128               | sdot, the codes less 128         |
/// | neon         | smull, smlal, addp: a chunk's pairs too | the same: 2 * 128 * 127 does too |
///
/// The pairs of a chunk fit int16: at most 2 * 8 * 7 * 127 = 14224, of 3 bits.
///
/// `rows` says how many rows the loop takes at once, and `chains` how many sums where rows are
/// fewer: beside a float total for each row, weights and scales they fit the registers. A unit
/// whose processor has it offers `multiply_add(a, b, c)` of floats, a * b + c with one rounding.
/// `stored_unit<Arch, Bits>` falls back to the base of Arch. The loop is
/// gemm/few_bits/multiply_grouped.hpp.

#include "fewbit/begin.hpp"

#include <cstdint>
#include <cstring>

#include "fewbit/arch/arch.hpp"
#include "fewbit/arch/vec.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace arch {

/// How codes of `Bits` bits stand in a chunk.
template <int Bits>
struct stored_layout {
  static_assert((Bits >= 1 && Bits <= 4) || Bits == 8,
                "fewbit: weights are stored in 1, 2, 3, 4 or 8 bits");
  static constexpr int steps = Bits == 3 ? 8 : 8 / Bits;
  static constexpr int registers = steps * Bits / 8;

  /// Writes a code, less the offset of the unit, to byte `at` of a step; what it replaces is 0.
  ///
  /// @param size  bytes of a register
  static void put(std::uint8_t* chunk, int size, int step, int at, std::uint8_t code) noexcept {
    if constexpr (Bits == 3) {
      put_bits(chunk[step / 4 * size + at], code & 3, step % 4 * 2);
      put_bits(chunk[2 * size + at], code >> 2, step);
    } else {
      put_bits(chunk[at], code, step * Bits);
    }
  }

  /// What the code stands for in the sums.
  FEWBIT_ALWAYS_INLINE static int get(const std::uint8_t* chunk, int size, int step,
                                      int at) noexcept {
    if constexpr (Bits == 8) {
      return chunk[at];
    } else if constexpr (Bits == 3) {
      const int low = chunk[step / 4 * size + at] >> (step % 4 * 2) & 3;
      return low | (chunk[2 * size + at] >> step & 1) << 2;
    } else if constexpr (Bits == 1) {
      return (chunk[at] >> step & 1) << 1;
    } else {
      return chunk[at] >> (step * Bits) & ((1 << Bits) - 1);
    }
  }

 private:
  static void put_bits(std::uint8_t& byte, int bits, int shift) noexcept {
    byte = static_cast<std::uint8_t>(byte | bits << shift);
  }
};

/// Some bits of every byte of a register, moved down by `by`, up if it is negative: a shift of
/// words and a mask, which drops what came from the byte beside.
struct shifted_fields {
  template <std::uint8_t Mask, class Words>
  FEWBIT_ALWAYS_INLINE static Words of(const Words& w, int by) noexcept {
    const Words mask(Mask * 0x01010101U);
    if (by == 0) return w & mask;
    return (by > 0 ? w >> Words(static_cast<std::uint32_t>(by))
                   : w << Words(static_cast<std::uint32_t>(-by))) &
           mask;
  }
};

/// A chunk in registers of `Lanes` int32. `Fields` is shifted_fields or as that.
template <int Bits, int Lanes, class Fields = shifted_fields>
struct stored_chunk {
  using words = vec<std::uint32_t, Lanes>;
  static constexpr int registers = stored_layout<Bits>::registers;

  words stored[registers];

  FEWBIT_ALWAYS_INLINE explicit stored_chunk(const std::uint8_t* p) noexcept {
#pragma GCC unroll 4
    for (int i = 0; i < registers; ++i) {
      std::memcpy(&stored[i].data, p + sizeof(words) * static_cast<unsigned>(i), sizeof(words));
      stored[i] = loaded_once(stored[i]);
    }
  }

  /// The bytes of a step.
  FEWBIT_ALWAYS_INLINE words step(int i) const noexcept {
    if constexpr (Bits == 8) {
      return stored[i];
    } else if constexpr (Bits == 3) {
      return Fields::template of<3>(stored[i / 4], i % 4 * 2) |
             Fields::template of<4>(stored[2], i - 2);
    } else if constexpr (Bits == 1) {
      return Fields::template of<2>(stored[0], i - 1);
    } else {
      return Fields::template of<(1 << Bits) - 1>(stored[0], i * Bits);
    }
  }
};

/// Four activations of a row as one number.
FEWBIT_ALWAYS_INLINE std::int32_t quad_of(const std::int8_t* p) noexcept {
  std::int32_t quad;
  std::memcpy(&quad, p, sizeof(quad));
  return quad;
}

/// The unit of an instruction set; one that has none of its own takes its base's.
template <class Arch, int Bits>
struct stored_unit : stored_unit<typename Arch::base, Bits> {};

/// Plain loops.
template <int Bits>
struct stored_unit<scalar, Bits> {
  static constexpr int rows = 4;
  static constexpr int chains = 4;
  static constexpr int cols = 8;
  static constexpr int offset = 0;

  using accumulator = vec<std::int32_t, cols>;

  template <int R>
  FEWBIT_ALWAYS_INLINE static void add_chunk(accumulator (&sums)[R], const std::int8_t* a,
                                             const std::uint8_t* w) noexcept {
    for (int i = 0; i < stored_layout<Bits>::steps; ++i) {
      for (int c = 0; c < cols; ++c) {
        for (int d = 0; d < 4; ++d) {
          const int weight = stored_layout<Bits>::get(w, cols * 4, i, c * 4 + d);
          for (int r = 0; r < R; ++r) {
            const auto product = static_cast<std::uint32_t>(a[(i * R + r) * 4 + d] * weight);
            sums[r].set(
                c, static_cast<std::int32_t>(static_cast<std::uint32_t>(sums[r][c]) + product));
          }
        }
      }
    }
  }
};

}}}  // namespace fewbit::arch

#include "fewbit/end.hpp"
