#pragma once
/// Instruction sets whose units take their instructions from support/emulated_words.hpp, for
/// programs of their own. They check packing, offsets, loops and epilogues of an instruction set on
/// every processor. The size of a tile, and all else that is no unit, is that of `base`.

#include "fewbit/arch/all.hpp"
#include "support/emulated_words.hpp"

namespace fewbit {

namespace tests {

struct emulated_avx_vnni {
  using base = arch::avx_vnni;
  static constexpr bool compiled = true;
  static constexpr const char* name = "emulated_avx_vnni";
};

struct emulated_avx512_vnni {
  using base = arch::avx512_vnni;
  static constexpr bool compiled = true;
  static constexpr const char* name = "emulated_avx512_vnni";
};

struct emulated_avx512_bitalg {
  using base = arch::avx512_bitalg;
  static constexpr bool compiled = true;
  static constexpr const char* name = "emulated_avx512_bitalg";
};

/// All, and those that the products with a kind of unit differ for.
using emulated_archs = arch::list<emulated_avx_vnni, emulated_avx512_vnni, emulated_avx512_bitalg>;
using emulated_dot_archs = arch::list<emulated_avx_vnni, emulated_avx512_vnni>;
using emulated_stored_archs = arch::list<emulated_avx_vnni, emulated_avx512_bitalg>;
using emulated_bit_archs = arch::list<emulated_avx512_bitalg>;

}  // namespace tests

template <class Lhs>
struct arch::dot_unit<tests::emulated_avx_vnni, Lhs>
    : arch::own_unit<arch::vnni_unit<tests::emulated_vnni_word<8>, Lhs>> {};
template <class Lhs>
struct arch::dot_unit<tests::emulated_avx512_vnni, Lhs>
    : arch::own_unit<arch::vnni_unit<tests::emulated_vnni_word<16>, Lhs>> {};
template <class Lhs>
struct arch::dot_unit<tests::emulated_avx512_bitalg, Lhs>
    : arch::dot_unit<tests::emulated_avx512_vnni, Lhs> {};

template <int Bits>
struct arch::stored_unit<tests::emulated_avx_vnni, Bits>
    : arch::avx_vnni_stored<tests::emulated_vnni_word<8>, Bits> {};
template <int Bits>
struct arch::stored_unit<tests::emulated_avx512_vnni, Bits>
    : arch::avx512_vnni_stored<tests::emulated_vnni_word<16>, Bits> {};
template <int Bits>
struct arch::stored_unit<tests::emulated_avx512_bitalg, Bits>
    : arch::avx512_vnni_stored<tests::emulated_bitalg_word, Bits> {};

template <>
struct arch::bit_unit<tests::emulated_avx512_bitalg> {
  using type = arch::bitalg_bits<tests::emulated_bitalg_word>;
};
template <>
struct arch::table_unit<tests::emulated_avx512_bitalg> {
  using type = arch::bitalg_table<tests::emulated_bitalg_word>;
};
template <>
struct arch::lookup_unit<tests::emulated_avx512_bitalg, 8> {
  using type = arch::bitalg_lookups8<tests::emulated_bitalg_word>;
};
template <>
struct arch::lookup_unit<tests::emulated_avx512_bitalg, 4> {
  using type = arch::bitalg_lookups4<tests::emulated_bitalg_word>;
};

}  // namespace fewbit
