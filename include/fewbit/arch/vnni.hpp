#pragma once
/// The dot unit that AVX-VNNI and AVX512-VNNI share: vpdpbusd at two register widths.
///
/// vpdpbusd adds, to each int32 lane, four products of an unsigned by a signed byte. u8 activations
/// meet s8 weights as they are. For s8 activations the weights become the unsigned side, w + 128,
/// so that activations are read in place: no instruction is added to the loop, and 128 * (row sum
/// of the activations) comes off at the end.

#include <cstddef>
#include <type_traits>

#include "fewbit/arch/dot_unit.hpp"

namespace fewbit::inline FEWBIT_ARCH_NAMESPACE::arch {

/// `Word` supplies lanes (int32 per register), broadcast(four bytes), load_first(bytes, how many of
/// a register's, the rest 0) and dpbusd(sum, unsigned bytes, signed bytes).
template <class Word, class Lhs>
struct vnni_unit {
  static constexpr bool lhs_is_unsigned = std::is_same_v<Lhs, std::uint8_t>;
  using lhs_code = Lhs;
  using rhs_code = std::conditional_t<lhs_is_unsigned, std::int8_t, std::uint8_t>;
  static constexpr int rows = 1;
  static constexpr int cols = Word::lanes;
  static constexpr int depth = 4;
  static constexpr int lhs_offset = 0;
  static constexpr int rhs_offset = lhs_is_unsigned ? 0 : 128;
  static constexpr bool in_place = true;

  using accumulator = vec<std::int32_t, cols>;
  using lhs_vector = vec<std::int32_t, cols>;
  using rhs_vector = vec<std::int32_t, cols>;

  FEWBIT_ALWAYS_INLINE static lhs_vector load_lhs(const Lhs* p) noexcept {
    std::int32_t quad;
    std::memcpy(&quad, p, sizeof(quad));
    return Word::broadcast(quad);
  }

  FEWBIT_ALWAYS_INLINE static lhs_vector load_lhs_tail(const Lhs* p, int count) noexcept {
    std::int32_t quad = 0;
    for (int d = 0; d < count; ++d) {
      quad |= static_cast<std::int32_t>(static_cast<std::uint32_t>(static_cast<std::uint8_t>(p[d]))
                                        << (8 * d));
    }
    return Word::broadcast(quad);
  }

  FEWBIT_ALWAYS_INLINE static rhs_vector load_rhs(const rhs_code* p) noexcept {
    rhs_vector v;
    std::memcpy(&v.data, p, sizeof(v.data));
    return v;
  }

  /// The sum of `count` codes: dots with ones, 4 * cols codes at a time.
  static std::int32_t sum_codes(const Lhs* p, std::ptrdiff_t count) noexcept {
    constexpr std::ptrdiff_t bytes = 4 * cols;
    const rhs_vector ones(0x01010101);
    accumulator sums(0);
    std::ptrdiff_t k = 0;
    for (; k + bytes <= count; k += bytes) {
      lhs_vector codes;
      std::memcpy(&codes.data, p + k, sizeof(codes.data));
      sums = dot(sums, codes, ones);
    }
    if (k < count) sums = dot(sums, Word::load_first(p + k, count - k), ones);
    return sum_of_lanes(sums);
  }

  FEWBIT_ALWAYS_INLINE static accumulator dot(const accumulator& sum, const lhs_vector& a,
                                              const rhs_vector& w) noexcept {
    if constexpr (lhs_is_unsigned) {
      return Word::dpbusd(sum, a, w);
    } else {
      return Word::dpbusd(sum, w, a);
    }
  }
};

}  // namespace fewbit::inline FEWBIT_ARCH_NAMESPACE::arch
