#pragma once
/// The basic step of products by table lookup in portable form: 4-bit indices select bytes of a
/// table of 16.
///
/// A table unit holds the indices of `lanes` columns in a register, one in each byte:
///
///     lookup(table, i)[c] = table[i[c]]        c = 0 .. lanes - 1, i[c] = 0 .. 15
///
/// | arch          | lookup                                                                   | lanes |
/// |---------------|--------------------------------------------------------------------------|-------|
/// | avx2          | vpshufb, the table broadcast to both halves                              | 32    |
/// | avx512_bitalg | vpshufb, the table broadcast to four quarters; runs on one port, not two | 64    |
/// | neon          | tbl                                                                      | 16    |
///
/// `rows` is the number of rows that the loop processes at once: the same indices are looked up in
/// that many tables. `table_unit<Arch>` falls back to the base of Arch. Units of instruction sets
/// are in arch/avx2_bits.hpp, arch/avx512_bitalg.hpp and arch/neon_bits.hpp. The loop is
/// gemm/lookup/multiply.hpp.

#include "fewbit/begin.hpp"

#include <cstdint>
#include <cstring>

#include "fewbit/arch/arch.hpp"
#include "fewbit/arch/vec.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace arch {

/// Common part of units with `Lanes` bytes per register, a multiple of four, and tiles of at most
/// Rows rows.
template <int Lanes, int Rows>
struct table_bytes {
  static constexpr int lanes = Lanes;
  static constexpr int rows = Rows;
  using bytes = vec<std::uint8_t, Lanes>;
  using pairs = vec<std::uint16_t, Lanes / 2>;
  using quads = vec<std::uint32_t, Lanes / 4>;

  /// Indices from the low halves and from the high halves of `Lanes` bytes.
  struct indices {
    quads low;
    quads high;
  };
  FEWBIT_ALWAYS_INLINE static indices load(const std::uint8_t* p) noexcept {
    quads both;
    std::memcpy(&both.data, p, Lanes);
    const quads mask(0x0F0F0F0FU);
    return {both & mask, (both >> quads(4U)) & mask};
  }

  /// v[2 i] + 256 v[2 i + 1].
  FEWBIT_ALWAYS_INLINE static pairs as_pairs(const bytes& v) noexcept {
    pairs r;
    std::memcpy(&r.data, &v.data, Lanes);
    if constexpr (!low_byte_first) r = (r << pairs(8)) | (r >> pairs(8));
    return r;
  }
};

/// Plain loops for any shape. They are the unit of the scalar arch. Tests use them with odd shapes
/// to check the code around a unit.
template <int Lanes, int Rows>
struct reference_table : table_bytes<Lanes, Rows> {
  using typename table_bytes<Lanes, Rows>::bytes;
  using typename table_bytes<Lanes, Rows>::quads;

  FEWBIT_ALWAYS_INLINE static bytes lookup(const std::uint8_t* table, const quads& i) noexcept {
    bytes found;
    for (int c = 0; c < Lanes; ++c)
      found.set(c, table[i[c / 4] >> byte_shift<std::uint32_t>(c % 4) & 15]);
    return found;
  }
};

/// The unit of an instruction set. An arch without a specialization uses the unit of its base.
template <class Arch>
struct table_unit : table_unit<typename Arch::base> {};

template <>
struct table_unit<scalar> {
  using type = reference_table<8, 2>;
};

}}}  // namespace fewbit::arch

#include "fewbit/end.hpp"
