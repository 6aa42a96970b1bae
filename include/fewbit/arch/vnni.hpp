#pragma once
/// The dot unit that AVX-VNNI and AVX512-VNNI share: vpdpbusd at two register widths.
///
/// vpdpbusd adds four products of an unsigned byte and a signed byte to each int32 lane. u8
/// activations are multiplied by s8 weights directly. s8 activations are copied as a + 128, a block
/// of rows at a time, and each sum starts at -128 * (column sum of the weights), which is computed
/// when weights are packed. The loop therefore needs no extra instruction. (The alternative,
/// weights as w + 128 and activations in place, needs the sum of each row of activations, which
/// takes longer at small k.)

#include "fewbit/begin.hpp"

#include <cstring>
#include <type_traits>

#include "fewbit/arch/dot_unit.hpp"
#include "fewbit/arch/stored_unit.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace arch {

/// `Word` provides lanes (int32 per register), broadcast(four bytes) and dpbusd(sum, unsigned
/// bytes, signed bytes).
template <class Word>
struct vnni_dots {
  using lhs_code = std::uint8_t;
  using rhs_code = std::int8_t;
  static constexpr int rows = 1;
  static constexpr int cols = Word::lanes;
  static constexpr int depth = 4;

  using accumulator = vec<std::int32_t, cols>;
  using lhs_vector = vec<std::int32_t, cols>;
  using rhs_vector = vec<std::int32_t, cols>;

  FEWBIT_ALWAYS_INLINE static lhs_vector load_lhs(const std::uint8_t* p) noexcept {
    std::int32_t quad;
    std::memcpy(&quad, p, sizeof(quad));
    return Word::broadcast(quad);
  }

  FEWBIT_ALWAYS_INLINE static lhs_vector load_lhs_tail(const std::uint8_t* p, int count) noexcept {
    std::uint32_t quad = 0;
    for (int d = 0; d < count; ++d) quad |= std::uint32_t{p[d]} << byte_shift<std::uint32_t>(d);
    return Word::broadcast(static_cast<std::int32_t>(quad));
  }

  FEWBIT_ALWAYS_INLINE static rhs_vector load_rhs(const std::int8_t* p) noexcept {
    rhs_vector v;
    std::memcpy(&v.data, p, sizeof(v.data));
    return v;
  }

  FEWBIT_ALWAYS_INLINE static accumulator dot(const accumulator& sum, const lhs_vector& a,
                                              const rhs_vector& w) noexcept {
    return Word::dpbusd(sum, a, w);
  }
};

template <class Word, class Lhs>
struct vnni_unit : vnni_dots<Word> {
  using dots = vnni_dots<Word>;
  static constexpr bool in_place = std::is_same_v<Lhs, std::uint8_t>;
  static constexpr int lhs_offset = in_place ? 0 : -128;
};

/// Stored weights are the unsigned operand. Activations are the signed operand and are read in
/// place. `Word` also provides dpbusd_quad(sum, unsigned bytes, four signed bytes in memory) and
/// `fields`, which expands codes if there is only one row. With more rows `fields` is no faster
/// than shifted_fields, and at 3 bits its operands need too many registers.
template <class Word, int Rows, int Chains, int Bits>
struct vnni_stored : Word {
  static constexpr int rows = Rows;
  static constexpr int chains = Chains;
  static constexpr int cols = Word::lanes;
  static constexpr int offset = 0;

  using accumulator = vec<std::int32_t, cols>;

  template <int R>
  FEWBIT_ALWAYS_INLINE static void add_chunk(accumulator (&sums)[R], const std::int8_t* a,
                                             const std::uint8_t* w) noexcept {
    using fields = std::conditional_t<R == 1, typename Word::fields, shifted_fields>;
    const stored_chunk<Bits, cols, fields> chunk(w);
#pragma GCC unroll 8
    for (int i = 0; i < stored_layout<Bits>::steps; ++i) {
      const auto weights = bits_as<std::int32_t>(chunk.step(i));
      if constexpr (R == 1) {  // panels side by side share this broadcast
        sums[0] = Word::dpbusd(sums[0], weights, Word::broadcast(quad_of(a + i * 4)));
      } else {
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r)
          sums[r] = Word::dpbusd_quad(sums[r], weights, a + (i * R + r) * 4);
      }
    }
  }
};

/// The stored units for 16 registers and for 32.
template <class Word, int Bits>
using avx_vnni_stored = vnni_stored<Word, 4, 4, Bits>;
template <class Word, int Bits>
using avx512_vnni_stored = vnni_stored<Word, 12, 16, Bits>;

}}}  // namespace fewbit::arch

#include "fewbit/end.hpp"
