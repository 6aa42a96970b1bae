#pragma once
/// The basic step of sums of table lookups in portable form. Search by product-quantized codes uses
/// it.
///
/// A row of codes holds `parts` codes for each of `points` points, one code for each part. The code
/// of part p is looked up in table p of the row. The unit adds the results exactly, in 16 bits or
/// more. The loop reads `groups` rows side by side for one query, or one row for `queries` queries.
///
/// | arch          | 8-bit codes: a row is 1 part of 64 points, a table 256 bytes                   |
/// |---------------|--------------------------------------------------------------------------------|
/// | any           | a byte at a time                                                               |
/// | avx512_bitalg | two vpermi2b, each on a table of 128 bytes; the highest bit selects one result |
///
/// | arch          | 4-bit codes: two in a byte, a table 16 bytes                                   |
/// |---------------|--------------------------------------------------------------------------------|
/// | any           | 2 parts of one register of points, with the lookup of arch/table_unit.hpp      |
/// | avx512_bitalg | 8 parts of 32 points: vpermb looks up four parts of each point in four tables, |
/// |               | and vpdpbusd adds the four in one instruction                                  |
///
/// In a row of 4-bit codes, byte byte_of(i) + j holds part j of point i in its low half and part
/// parts / 2 + j in its high half. Sums of 16 bits are exact for at most 257 parts.
///
/// `lookup_unit<Arch, Bits>` falls back to the base of Arch. Units of instruction sets are in
/// arch/avx2_bits.hpp, arch/avx512_bitalg.hpp and arch/neon_bits.hpp. The loop is
/// codebook/packed_codes.hpp.

#include "fewbit/begin.hpp"

#include <cstdint>

#include "fewbit/arch/arch.hpp"
#include "fewbit/arch/table_unit.hpp"
#include "fewbit/arch/vec.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace arch {

/// 8-bit codes, looked up with plain loads.
struct plain_lookups8 {
  static constexpr int points = 64;
  static constexpr int parts = 1;
  static constexpr int row_bytes = 64;
  static constexpr int table_bytes = 256;  // for all parts of a row
  static constexpr int groups = 1;
  static constexpr int queries = 1;

  struct sums {
    std::uint16_t of[points] = {};
  };
  using tables = const std::uint8_t*;
  using codes = const std::uint8_t*;

  /// Position in a row of the first code of a point.
  static constexpr int byte_of(int point) noexcept { return point; }

  FEWBIT_ALWAYS_INLINE static tables load_tables(const std::uint8_t* p) noexcept { return p; }
  FEWBIT_ALWAYS_INLINE static codes load_codes(const std::uint8_t* p) noexcept { return p; }

  FEWBIT_ALWAYS_INLINE static void add(sums& s, tables t, codes c) noexcept {
    for (int i = 0; i < points; ++i) {
      s.of[i] = static_cast<std::uint16_t>(s.of[i] + t[c[i]]);
    }
  }

  FEWBIT_ALWAYS_INLINE static void store(const sums& s, std::uint16_t* out) noexcept {
    for (int i = 0; i < points; ++i) out[i] = s.of[i];
  }
};

/// 4-bit codes, with the byte lookup of `Table`. `both` sums pairs of bytes as 16-bit numbers
/// modulo 2^16, and `high` sums their higher bytes. Subtracting 256 * high from `both` at the end
/// leaves the sums of the lower bytes. The lower bytes belong to the first half of the points, so
/// sums are stored without reordering. Four queries fill 16 registers.
template <class Table>
struct paired_lookups4 {
  static constexpr int points = Table::lanes;
  static constexpr int parts = 2;
  static constexpr int row_bytes = points;
  static constexpr int table_bytes = 32;
  static constexpr int groups = 64 / points;
  static constexpr int queries = 4;
  static_assert(64 % points == 0);

  using pairs = typename Table::pairs;
  struct sums {
    pairs both = pairs(std::uint16_t{0});
    pairs high = pairs(std::uint16_t{0});
  };
  using tables = const std::uint8_t*;
  using codes = typename Table::indices;

  static constexpr int byte_of(int point) noexcept {
    constexpr int half = points / 2;
    return point < half ? 2 * point : 2 * (point - half) + 1;
  }

  FEWBIT_ALWAYS_INLINE static tables load_tables(const std::uint8_t* p) noexcept { return p; }
  FEWBIT_ALWAYS_INLINE static codes load_codes(const std::uint8_t* p) noexcept {
    return Table::load(p);
  }

  FEWBIT_ALWAYS_INLINE static void add(sums& s, tables t, const codes& c) noexcept {
    const pairs low = Table::as_pairs(Table::lookup(t, c.low));
    const pairs high = Table::as_pairs(Table::lookup(t + 16, c.high));
    const pairs eight(std::uint16_t{8});
    s.both += low + high;
    s.high += (low >> eight) + (high >> eight);
  }

  FEWBIT_ALWAYS_INLINE static void store(const sums& s, std::uint16_t* out) noexcept {
    pairs(s.both - (s.high << pairs(std::uint16_t{8}))).store(out);
    s.high.store(out + pairs::lanes);
  }
};

/// The unit of an instruction set. An arch without a specialization uses the unit of its base.
template <class Arch, int Bits>
struct lookup_unit : lookup_unit<typename Arch::base, Bits> {};

template <>
struct lookup_unit<scalar, 8> {
  using type = plain_lookups8;
};

template <>
struct lookup_unit<scalar, 4> {
  using type = paired_lookups4<typename table_unit<scalar>::type>;
};

}}}  // namespace fewbit::arch

#include "fewbit/end.hpp"
