#pragma once
/// The basic step, in portable form, of products whose weights stay in their stored form of one to
/// eight bits.
///
/// A step is four codes along k for each of `cols` columns. A chunk is the smallest number of steps
/// that fills whole registers. A stored unit adds the products of one chunk to the sums of R rows:
///
///     sums[r][c] += sum over steps i, d = 0 .. 3 of a[i][r][d] * w[i][c][d]
///
/// Byte [c][d] of a register holds the code [c][d] of each of its steps, the first step in the
/// lowest bits. A shift and a mask expand one step, once for all rows:
///
/// | bits | steps | registers of a chunk              | a step expands to                    |
/// |------|-------|-----------------------------------|--------------------------------------|
/// | 8    | 1     | one                               | the register                         |
/// | 4    | 2     | one                               | w >> 4i & 15                         |
/// | 3    | 8     | two of low bits, one of high bits | low >> 2i & 3, or high >> i << 2 & 4 |
/// | 2    | 4     | one                               | w >> 2i & 3                          |
/// | 1    | 8     | one                               | w >> i << 1 & 2                      |
///
/// Codes are unsigned, 0 .. 2^bits - 1. A 1-bit code means 0 or 2; after the zero point 1 is
/// subtracted it is -1 or 1. Codes are stored minus `offset`, which makes 8-bit codes signed for
/// units that multiply signed bytes. The caller adds offset * (sum of the activations). Activations
/// are -127 .. 127; -128 is excluded so that the sums of pairs below are exact.
///
/// | arch         | up to 4 bits                               | 8 bits                               |
/// |--------------|--------------------------------------------|--------------------------------------|
/// | *_vnni       | vpdpbusd; codes are the unsigned side      | the same                             |
/// | avx2         | vpmaddubsw; sums of pairs in int16         | vpmaddubsw of abs(w) and a * sign(w) |
/// | neon_dotprod | sdot; codes are below 128                  | sdot; codes are stored minus 128     |
/// | neon         | smull, smlal, addp; sums of pairs in int16 | the same                             |
///
/// The sums of pairs fit int16. The largest is 2 * 8 * 7 * 127 = 14224 with up to 4 bits (at 3
/// bits), and 2 * 128 * 127 = 32512 with 8 bits.
///
/// A unit that sums pairs may add several chunks in int16 before it widens: chunks_together
/// (optional), add_chunks. avx2 adds all of 32 codes: 2 * 8 * 15 * 127 = 30480 with 4 bits, 2 * 8 *
/// 3 * 127 = 6096 with 2 bits.
///
/// `rows` is the number of rows that the loop processes at once. `chains` is the number of
/// independent sums if there are fewer rows. These sums fit the registers together with a float
/// total for each row, weights and scales. `multiply_add(a, b, c)` is optional: a * b + c of floats
/// with one rounding, on processors that have it. `stored_unit<Arch, Bits>` falls back to the base
/// of Arch. The loop is gemm/few_bits/multiply_grouped.hpp.

#include "fewbit/begin.hpp"

#include <cstdint>
#include <cstring>

#include "fewbit/arch/arch.hpp"
#include "fewbit/arch/vec.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace arch {

/// Layout of codes of `Bits` bits in a chunk.
template <int Bits>
struct stored_layout {
  static_assert((Bits >= 1 && Bits <= 4) || Bits == 8,
                "fewbit: weights are stored in 1, 2, 3, 4 or 8 bits");
  static constexpr int steps = Bits == 3 ? 8 : 8 / Bits;
  static constexpr int registers = steps * Bits / 8;

  /// Writes a code, already minus the offset of the unit, to byte `at` of a step. Its bits must be
  /// 0 before.
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

  /// The value of a code in the sums.
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

/// Extracts the bits `Mask` of every byte after a shift right by `by` (left if negative). Shifts
/// whole words; the mask removes bits that came from the neighbouring byte.
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

/// A chunk in registers of `Lanes` int32. `Fields` expands codes, with the interface of
/// shifted_fields.
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

  /// The codes of step i, one in each byte.
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

/// Four activations of a row as one int32.
FEWBIT_ALWAYS_INLINE std::int32_t quad_of(const std::int8_t* p) noexcept {
  std::int32_t quad;
  std::memcpy(&quad, p, sizeof(quad));
  return quad;
}

/// The unit of an instruction set. An arch without a specialization uses the unit of its base.
template <class Arch, int Bits>
struct stored_unit : stored_unit<typename Arch::base, Bits> {};

/// Plain loops for the scalar arch.
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
