#pragma once
/// The units for 32 registers of 512 bits with BITALG, VBMI and GFNI: bit planes, tables, lookups
/// by codes, and the expansion of stored weights.
///
/// `Word` provides the instructions. arch/avx512_bitalg.hpp has them as intrinsics, and says why
/// they were chosen.
///
/// | function                           | computes                                                      |
/// |------------------------------------|---------------------------------------------------------------|
/// | add_ones(sums, v)                  | each of 8 sums plus the ones of its word                      |
/// | logic<Table>(a, b, c)              | for each bit of a, b and c: bit number 4 a + 2 b + c of Table |
/// | low_halves(a, b)                   | the low halves of the lanes of a, then of b                   |
/// | test(p, mask)                      | a word: bit i is set if p[i] and mask share a bit             |
/// | affine(w, matrix)                  | each byte of w times a matrix of 8 x 8 bits                   |
/// | shuffle(table, i)                  | table[i], 16 entries in memory; i is 0 .. 15                  |
///
/// `Word::bits` is a register of the lookups by codes:
///
/// | function                           | computes                                                      |
/// |------------------------------------|---------------------------------------------------------------|
/// | zero(), load(p)                    | zeros, or 64 bytes of memory                                  |
/// | permute(table, i)                  | table[i % 64] for each byte i                                 |
/// | permute_two(first, second, i)      | the same in two tables that follow one another: i % 128       |
/// | choose(i, second, first)           | the byte of `second` where i >= 128, else the byte of `first` |
/// | add_pairs, subtract_pairs (a, b)   | 32 sums or differences modulo 2^16                            |
/// | pairs_right, pairs_left <By>(v)    | 32 numbers of 16 bits, shifted                                |
/// | nibble_index(v)                    | byte j of each four becomes (byte & 15) + 16 j                |
/// | add_fours(sums, v)                 | each of 16 int32 sums plus its four bytes                     |
/// | store_alternating(even, odd, out)  | even[0], odd[0], even[1], odd[1] ... of 16 bits               |
/// | store_low_halves(first, second, p) | the low halves of the int32 of both                           |
///
/// Bit i of a byte of affine(w, matrix) is the parity of the byte of w masked by byte 7 - i of the
/// matrix.

#include "fewbit/begin.hpp"

#include <cstdint>

#include "fewbit/arch/bit_unit.hpp"
#include "fewbit/arch/stored_unit.hpp"
#include "fewbit/arch/table_unit.hpp"
#include "fewbit/arch/vec.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace arch {

template <class Word>
struct bitalg_bits : bit_words<8, 6, 4> {
  using counts = words;
  static constexpr int steps_per_fold = 0;
  /// One row by 2048 columns on a Sapphire Rapids: two panels are faster than one by 17 to 20 % at
  /// k = 1024, and by 2 to 5 % at k = 4096, where parities take 24 registers. Four panels need too
  /// many registers.
  static constexpr int streams = 2;
  static constexpr int least_parities = 32;

  FEWBIT_ALWAYS_INLINE static counts add(const counts& sum, const words& bits) noexcept {
    return Word::add_ones(sum, bits);
  }

  FEWBIT_ALWAYS_INLINE static words masked_xor(const words& a, const words& b,
                                               const words& mask) noexcept {
    return Word::template logic<0x60>(mask, a, b);
  }

  FEWBIT_ALWAYS_INLINE static words sum_of_three(const words& a, const words& b,
                                                 const words& c) noexcept {
    return Word::template logic<0x96>(a, b, c);
  }
  FEWBIT_ALWAYS_INLINE static words majority(const words& a, const words& b,
                                             const words& c) noexcept {
    return Word::template logic<0xE8>(a, b, c);
  }
  FEWBIT_ALWAYS_INLINE static words carry(const words& before, const words& at,
                                          const words& after) noexcept {
    return Word::template logic<0x3A>(at, after, before);
  }

  /// The low halves of the lanes of a, then of b.
  FEWBIT_ALWAYS_INLINE static vec<std::uint32_t, 16> low_halves(const words& a,
                                                                const words& b) noexcept {
    return Word::low_halves(a, b);
  }

  FEWBIT_ALWAYS_INLINE static std::uint64_t plane(const std::uint8_t* codes, int bit) noexcept {
    return Word::test(codes, static_cast<std::uint8_t>(1 << bit));
  }
};

/// Expands a step of stored weights in one instruction; the first step needs only a mask.
template <class Word>
struct bitalg_fields {
  template <std::uint8_t Mask, class Words>
  FEWBIT_ALWAYS_INLINE static Words of(const Words& w, int by) noexcept {
    if (by == 0) return shifted_fields::of<Mask>(w, 0);
    constexpr std::uint64_t identity = 0x0102040810204080;
    const std::uint64_t moved = by > 0 ? identity << 8 * by : identity >> -8 * by;
    return Word::affine(w, moved & rows<Mask>);
  }

 private:
  /// Mask over the bytes of a matrix: 0xFF in each byte that produces a bit of Mask.
  template <std::uint8_t Mask>
  static constexpr std::uint64_t rows = [] {
    std::uint64_t bytes = 0;
    for (int i = 0; i < 8; ++i) {
      if ((Mask >> i & 1) != 0) bytes |= std::uint64_t{0xFF} << 8 * (7 - i);
    }
    return bytes;
  }();
};

template <class Word>
struct bitalg_table : table_bytes<64, 4> {
  FEWBIT_ALWAYS_INLINE static bytes lookup(const std::uint8_t* table, const quads& i) noexcept {
    return Word::shuffle(table, i);
  }
};

/// 8-bit codes. The lower seven bits look up a byte in each of two tables of 128; the highest bit
/// selects one of the two bytes.
template <class Word>
struct bitalg_lookups8 {
  static constexpr int points = 64;
  static constexpr int parts = 1;
  static constexpr int row_bytes = 64;
  static constexpr int table_bytes = 256;
  static constexpr int groups = 4;
  static constexpr int queries = 1;
  static constexpr int byte_of(int point) noexcept { return point; }

  using bits = typename Word::bits;
  struct sums {
    bits both = Word::zero();  // sums of pairs of bytes as 16-bit numbers, modulo 2^16
    bits high = Word::zero();  // sums of the higher bytes of the pairs
  };
  struct tables {
    bits of[4];
  };
  using codes = bits;

  FEWBIT_ALWAYS_INLINE static tables load_tables(const std::uint8_t* p) noexcept {
    return {{Word::load(p), Word::load(p + 64), Word::load(p + 128), Word::load(p + 192)}};
  }
  FEWBIT_ALWAYS_INLINE static codes load_codes(const std::uint8_t* p) noexcept {
    return Word::load(p);
  }

  FEWBIT_ALWAYS_INLINE static void add(sums& s, const tables& t, const codes& c) noexcept {
    const bits below = Word::permute_two(t.of[0], t.of[1], c);
    const bits above = Word::permute_two(t.of[2], t.of[3], c);
    const bits found = Word::choose(c, above, below);
    s.both = Word::add_pairs(s.both, found);
    s.high = Word::add_pairs(s.high, Word::template pairs_right<8>(found));
  }

  FEWBIT_ALWAYS_INLINE static void store(const sums& s, std::uint16_t* out) noexcept {
    const bits even = Word::subtract_pairs(s.both, Word::template pairs_left<8>(s.high));
    Word::store_alternating(even, s.high, out);
  }
};

/// 4-bit codes. Byte 4 i + j of an index register is 16 j + the code of part j of point i. It
/// selects a byte from four tables of 16 that follow one another.
template <class Word>
struct bitalg_lookups4 {
  static constexpr int points = 32;
  static constexpr int parts = 8;
  static constexpr int row_bytes = 128;
  static constexpr int table_bytes = 128;
  static constexpr int groups = 2;
  static constexpr int queries = 8;
  static constexpr int byte_of(int point) noexcept { return 4 * point; }

  using bits = typename Word::bits;
  struct sums {
    bits first = Word::zero();   // int32 sums of points 0 .. 15
    bits second = Word::zero();  // int32 sums of points 16 .. 31
  };
  using tables = const std::uint8_t*;
  struct codes {
    bits low[2];
    bits high[2];
  };

  FEWBIT_ALWAYS_INLINE static tables load_tables(const std::uint8_t* p) noexcept { return p; }
  FEWBIT_ALWAYS_INLINE static codes load_codes(const std::uint8_t* p) noexcept {
    const bits first = Word::load(p);
    const bits second = Word::load(p + 64);
    return {{Word::nibble_index(first), Word::nibble_index(second)},
            {Word::nibble_index(Word::template pairs_right<4>(first)),
             Word::nibble_index(Word::template pairs_right<4>(second))}};
  }

  FEWBIT_ALWAYS_INLINE static void add(sums& s, tables t, const codes& c) noexcept {
    const bits low = Word::load(t);
    const bits high = Word::load(t + 64);
    s.first = Word::add_fours(s.first, Word::permute(low, c.low[0]));
    s.second = Word::add_fours(s.second, Word::permute(low, c.low[1]));
    s.first = Word::add_fours(s.first, Word::permute(high, c.high[0]));
    s.second = Word::add_fours(s.second, Word::permute(high, c.high[1]));
  }

  FEWBIT_ALWAYS_INLINE static void store(const sums& s, std::uint16_t* out) noexcept {
    Word::store_low_halves(s.first, s.second, out);
  }
};

}}}  // namespace fewbit::arch

#include "fewbit/end.hpp"
