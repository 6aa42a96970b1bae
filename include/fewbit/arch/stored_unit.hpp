#pragma once
/// The step of a product whose weights stay as they are stored, four or eight bits each.
///
/// A stored unit takes two steps of four codes of k at a time, for `cols` columns and one row:
///
///     sum[c] += sum over d of a[d] * w[c][d]        d = 0 .. 7
///
/// Weights are unsigned codes of `Bits` bits. With 4 bits a register holds both steps, the first in
/// the low halves of its bytes: two operations on 2 x cols x 4 codes expand it. With 8 bits a
/// register holds one. Bytes stand as [c][d], each less `offset`, which makes them signed for a
/// unit that multiplies signed bytes; the caller adds offset * (sum of the activations).
/// Activations are -127..127, -128 excluded, which is what makes the sums of pairs below exact.
///
/// | arch          | one step, 4 bits                          | one step, 8 bits                 |
/// |---------------|-------------------------------------------|----------------------------------|
/// | *_vnni        | vpdpbusd, the codes unsigned              | the same                         |
/// | avx2          | vpmaddubsw: 2 * 2 * 15 * 127 fits int16   | of abs, sign: 2 * 128 * 127 too  |
/// | neon_dotprod  | sdot, the codes below 128                 | sdot, the codes less 128         |
/// | neon          | smull, addp: 2 * 15 * 127 fits int16      | the same: 2 * 128 * 127 does too |
///
/// `rows` says how many rows the loop takes at once: that many sums and float totals, weights and
/// scales fit the registers. `stored_unit<Arch, Bits>` falls back to the base of Arch. The loop is
/// gemm/multiply_grouped.hpp.

#include <cstdint>
#include <cstring>

#include "fewbit/arch/arch.hpp"
#include "fewbit/arch/vec.hpp"

namespace fewbit::inline FEWBIT_ARCH_NAMESPACE::arch {

/// Two steps of expanded weights.
template <class Register>
struct two_steps {
  Register first;
  Register second;
};

/// The halves of each byte of `Lanes` int32, as bytes.
template <int Lanes>
FEWBIT_ALWAYS_INLINE two_steps<vec<std::uint32_t, Lanes>> split_halves(
    const std::uint8_t* p) noexcept {
  using words = vec<std::uint32_t, Lanes>;
  words both;
  std::memcpy(&both.data, p, sizeof(both.data));
  const words mask(0x0F0F0F0FU);
  return {both & mask, (both >> words(4U)) & mask};
}

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
  static_assert(Bits == 4 || Bits == 8, "fewbit: weights are stored in 4 or 8 bits");
  static constexpr int rows = 4;
  static constexpr int cols = 8;
  static constexpr int offset = 0;

  using accumulator = vec<std::int32_t, cols>;
  using weights = const std::uint8_t*;

  FEWBIT_ALWAYS_INLINE static weights load(const std::uint8_t* p) noexcept { return p; }

  FEWBIT_ALWAYS_INLINE static accumulator dot(const accumulator& sum, const std::int8_t* a0,
                                              const std::int8_t* a1, weights w) noexcept {
    accumulator next = sum;
    for (int c = 0; c < cols; ++c) {
      auto total = static_cast<std::uint32_t>(sum[c]);
      for (int d = 0; d < 4; ++d) {
        const int byte = w[c * 4 + d];
        const int first = Bits == 4 ? byte & 15 : byte;
        const int second = Bits == 4 ? byte >> 4 : w[(cols + c) * 4 + d];
        total += static_cast<std::uint32_t>(a0[d] * first + a1[d] * second);
      }
      next.set(c, static_cast<std::int32_t>(total));
    }
    return next;
  }
};

}  // namespace fewbit::inline FEWBIT_ARCH_NAMESPACE::arch
