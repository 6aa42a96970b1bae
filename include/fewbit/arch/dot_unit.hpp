#pragma once
/// The step every 8-bit matrix product is made of, in portable form.
///
/// A dot unit multiplies `rows x depth` activations by `cols x depth` weights and adds the products
/// to an accumulator of rows x cols int32 values:
///
///     accumulator[r][c] += sum over d of lhs[r][d] * rhs[c][d]        d = 0 .. depth - 1
///
/// Codes of one unit step stand in memory as [c][d] (weights) and [r][d] (activations). A unit says
/// how it wants its operands:
///
/// - lhs_code, rhs_code: C++ types of activations and weights as the unit reads them.
/// - lhs_offset: the unit multiplies a - lhs_offset in place of a, as an instruction that wants one
///   unsigned or two signed sides asks; the caller adds lhs_offset * (column sums of the weights).
/// - in_place: activations are read from the caller's matrix (rows = 1, lhs_offset = 0), else they
///   are copied as lhs_code less the offset, interleaved by rows.
/// - accumulator, lhs_vector, rhs_vector: what load_lhs, load_rhs, dot and, in units that may read
///   in place, load_lhs_tail work on.
/// - lhs_position, copy_lhs (optional): where code d of a step stands in a copy, and the copy, for
///   a unit that wants them in another order.
/// - load_lhs_turn, dot_of_turn; dot_two (optional): activations for several steps at once; the
///   dots of two steps together.
/// - bytes, widened, pairs, fours (optional): units for the same weights, by what is proven of them
///   (gemm/int8/saturation_proof.hpp).
/// - dots: the unit without what it says of the caller's type: units of u8 and s8 activations that
///   multiply alike name the same, and share one loop.
///
/// Additions are modulo 2^32 in every unit, so that a sum whose true value fits int32 is exact
/// whatever the intermediate values were. `dot_unit<Arch, Lhs>` for Lhs = std::uint8_t or
/// std::int8_t falls back to the base of Arch. Read next: arch/avx512_vnni.hpp, arch/neon.hpp; the
/// loop around the step is gemm/int8/micro_kernel.hpp.

#include "fewbit/begin.hpp"

#include <array>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "fewbit/arch/arch.hpp"
#include "fewbit/arch/vec.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace arch {

/// Plain loops for any shape: the scalar arch, and with odd shapes and offsets the test of
/// everything around a unit.
template <class Lhs, int Rows, int Cols, int Depth, int LhsOffset = 0>
struct reference_unit {
  using dots = reference_unit;
  using lhs_code = std::conditional_t<LhsOffset == 0, Lhs, std::int16_t>;
  using rhs_code = std::int8_t;
  static constexpr int rows = Rows;
  static constexpr int cols = Cols;
  static constexpr int depth = Depth;
  static constexpr int lhs_offset = LhsOffset;
  static constexpr bool in_place = Rows == 1 && LhsOffset == 0;

  using accumulator = vec<std::int32_t, Rows * Cols>;
  using lhs_vector = std::array<lhs_code, std::size_t{Rows * Depth}>;
  using rhs_vector = std::array<rhs_code, std::size_t{Cols * Depth}>;

  /// Rows x depth activations from memory.
  FEWBIT_ALWAYS_INLINE static lhs_vector load_lhs(const lhs_code* p) noexcept {
    lhs_vector v;
    std::memcpy(v.data(), p, sizeof(v));
    return v;
  }

  /// The first `count` of depth activations of one row, as at the end of a row; the rest is zero.
  FEWBIT_ALWAYS_INLINE static lhs_vector load_lhs_tail(const lhs_code* p, int count) noexcept {
    lhs_vector v{};
    for (int d = 0; d < count; ++d) v[static_cast<std::size_t>(d)] = p[d];
    return v;
  }

  FEWBIT_ALWAYS_INLINE static rhs_vector load_rhs(const rhs_code* p) noexcept {
    rhs_vector v;
    std::memcpy(v.data(), p, sizeof(v));
    return v;
  }

  FEWBIT_ALWAYS_INLINE static accumulator dot(const accumulator& sum, const lhs_vector& a,
                                              const rhs_vector& w) noexcept {
    accumulator next = sum;
    for (int r = 0; r < Rows; ++r) {
      for (int c = 0; c < Cols; ++c) {
        auto total = static_cast<std::uint32_t>(sum[r * Cols + c]);
        for (int d = 0; d < Depth; ++d) {
          const int x = a[static_cast<std::size_t>(r * Depth + d)];
          total += static_cast<std::uint32_t>(x * w[static_cast<std::size_t>(c * Depth + d)]);
        }
        next.set(r * Cols + c, static_cast<std::int32_t>(total));
      }
    }
    return next;
  }
};

/// The unit of an instruction set; one that has none of its own takes its base's.
template <class Arch, class Lhs>
struct dot_unit : dot_unit<typename Arch::base, Lhs> {};

/// `type` of a unit is itself, so that two archs with the same unit share one kernel.
template <class Unit>
struct own_unit : Unit {
  using type = Unit;
};

template <class Lhs>
struct dot_unit<scalar, Lhs> : own_unit<reference_unit<Lhs, 1, 8, 2>> {};

}}}  // namespace fewbit::arch

#include "fewbit/end.hpp"
