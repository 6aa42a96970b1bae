#pragma once
/// The step every product of bit planes is made of, in portable form: counting the ones of words.
///
/// A bit unit holds one 64-bit word of k of `lanes` columns in a register, and counts per column,
/// so that nothing is ever summed across a register:
///
///     counts[c] += popcount(bits[c])        c = 0 .. lanes - 1
///
/// - rows, registers: the largest tile, in rows of A and in registers of columns of W.
/// - streams: panels of `registers` registers that one row reads side by side.
/// - words: a word of k of each column. counts: what `add` adds to.
/// - steps_per_fold: how often `add` may be called before `fold` takes the counts into 64-bit sums;
///   0 where counts are such sums themselves.
/// - masked_xor: (a ^ b) & mask. sum_of_three, majority: the bits of a full adder. carry: its
///   second bit where parities before, at and behind its second operand are known.
/// - least_parities: from how many words of k on such adders pay (gemm/bit_planes/parities.hpp), at
///   least three; 0 where they never do.
/// - low_halves (optional): the low halves of the lanes of two registers as int32.
/// - plane: bit `bit` of 64 bytes as a word, the first byte the least significant.
///
/// `bit_unit<Arch>` falls back to the base of Arch. Read next: arch/avx512_bitalg.hpp,
/// arch/avx2_bits.hpp, arch/neon_bits.hpp; the loop around the step is gemm/bit_planes/tile.hpp.

#include "fewbit/begin.hpp"

#include <bit>
#include <cstdint>

#include "fewbit/arch/arch.hpp"
#include "fewbit/arch/vec.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace arch {

/// What units share: `Lanes` words side by side, tiles of at most Rows x Registers.
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

  /// Eight bytes at a time: a product moves their bits side by side into its highest byte.
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

/// Plain loops for any shape: the scalar arch, and with odd shapes the test of everything around a
/// unit.
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

/// The unit of an instruction set; one that has none of its own takes its base's.
template <class Arch>
struct bit_unit : bit_unit<typename Arch::base> {};

template <>
struct bit_unit<scalar> {
  using type = reference_bits<1, 2, 2>;
};

}}}  // namespace fewbit::arch

#include "fewbit/end.hpp"
