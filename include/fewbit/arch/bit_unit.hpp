#pragma once
/// The basic step of bit-plane products in portable form: counting the ones of words.
///
/// A bit unit holds one 64-bit word along k for each of `lanes` columns in a register. It counts
/// ones per column, so no sum runs across the lanes of a register:
///
///     counts[c] += popcount(bits[c])        c = 0 .. lanes - 1
///
/// - rows, registers: the largest tile: rows of A, and registers of columns of W.
/// - streams: number of panels, of `registers` registers each, that one row reads side by side.
/// - words: type of a register with one word along k for each column. counts: type of the sums that
///   `add` computes.
/// - steps_per_fold: largest number of calls of `add` before `fold` must add the counts to 64-bit
///   sums; 0 if counts are 64-bit sums themselves.
/// - masked_xor: (a ^ b) & mask. sum_of_three, majority: sum bit and carry bit of a full adder.
///   carry(a, a ^ b, a ^ b ^ c): the same carry bit, computed from parities.
/// - least_parities: number of words along k from which such adders are faster
///   (gemm/bit_planes/parities.hpp), at least three; 0 if they never are.
/// - low_halves (optional): the low halves of the lanes of two registers, as int32.
/// - plane: bit `bit` of each of 64 bytes, as a word; the first byte gives the lowest bit.
///
/// `bit_unit<Arch>` falls back to the base of Arch. Read next: arch/avx512_bitalg.hpp,
/// arch/avx2_bits.hpp, arch/neon_bits.hpp; the loop around the step is gemm/bit_planes/tile.hpp.

#include "fewbit/begin.hpp"

#include <bit>
#include <cstdint>

#include "fewbit/arch/arch.hpp"
#include "fewbit/arch/vec.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace arch {

/// Common part of units with `Lanes` words per register and tiles of at most Rows x Registers.
template <int Lanes, int Rows, int Registers>
struct bit_words {
  static constexpr int lanes = Lanes;
  static constexpr int rows = Rows;
  static constexpr int registers = Registers;
  static constexpr int streams = 1;
  static constexpr int least_parities = 0;
  using words = vec<std::uint64_t, Lanes>;

  FEWBIT_ALWAYS_INLINE static words masked_xor(const words& a, const words& b,
                                               const words& mask) noexcept {
    return (a ^ b) & mask;
  }

  FEWBIT_ALWAYS_INLINE static words sum_of_three(const words& a, const words& b,
                                                 const words& c) noexcept {
    return a ^ b ^ c;
  }

  FEWBIT_ALWAYS_INLINE static words majority(const words& a, const words& b,
                                             const words& c) noexcept {
    return (a & b) | ((a ^ b) & c);
  }

  /// at ? ~after : before.
  FEWBIT_ALWAYS_INLINE static words carry(const words& before, const words& at,
                                          const words& after) noexcept {
    return before ^ (at & (before ^ after ^ words(~std::uint64_t{0})));
  }

  /// Takes eight bytes at a time: a multiplication collects one bit of each in its highest byte.
  static std::uint64_t plane(const std::uint8_t* codes, int bit) noexcept {
    std::uint64_t bits = 0;
    for (int i = 0; i < 64; i += 8) {
      std::uint64_t bytes = 0;
      for (int j = 0; j < 8; ++j) bytes |= std::uint64_t{codes[i + j]} << (8 * j);
      const std::uint64_t ones = bytes >> bit & 0x0101010101010101U;
      bits |= (ones * 0x0102040810204080U) >> 56 << i;
    }
    return bits;
  }
};

/// Plain loops for any shape. They are the unit of the scalar arch. Tests use them with odd shapes
/// to check the code around a unit.
template <int Lanes, int Rows, int Registers>
struct reference_bits : bit_words<Lanes, Rows, Registers> {
  using words = typename bit_words<Lanes, Rows, Registers>::words;
  using counts = words;
  static constexpr int steps_per_fold = 0;
  static constexpr int least_parities = 3;

  FEWBIT_ALWAYS_INLINE static counts add(const counts& sum, const words& bits) noexcept {
    counts next;
    for (int i = 0; i < Lanes; ++i)
      next.set(i, sum[i] + static_cast<std::uint64_t>(std::popcount(bits[i])));
    return next;
  }
};

/// The unit of an instruction set. An arch without a specialization uses the unit of its base.
template <class Arch>
struct bit_unit : bit_unit<typename Arch::base> {};

template <>
struct bit_unit<scalar> {
  using type = reference_bits<1, 2, 2>;
};

}}}  // namespace fewbit::arch

#include "fewbit/end.hpp"
