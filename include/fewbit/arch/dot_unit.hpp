#pragma once
/// The basic step of 8-bit matrix products in portable form.
///
/// A dot unit multiplies `rows x depth` activations by `cols x depth` weights and adds the products
/// to an accumulator of rows x cols int32 values:
///
///     accumulator[r][c] += sum over d of lhs[r][d] * rhs[c][d]        d = 0 .. depth - 1
///
/// Codes of one step lie in memory as [c][d] (weights) and [r][d] (activations). Members of a unit:
///
/// - lhs_code, rhs_code: types of activations and weights in memory, as the unit reads them.
/// - lhs_offset: the unit multiplies a - lhs_offset instead of a, because its instruction needs one
///   unsigned operand or two signed operands. The caller adds lhs_offset * (column sums of the
///   weights).
/// - in_place: if true, activations are read from the caller's matrix (rows = 1, lhs_offset = 0).
///   If false, they are copied as lhs_code, minus the offset, with the rows interleaved.
/// - accumulator, lhs_vector, rhs_vector: operand types of load_lhs, load_rhs, dot and, in units
///   that may read in place, load_lhs_tail.
/// - lhs_position, copy_lhs (optional): the position of code d of a step in a copy, and the
///   function that copies, for a unit that needs another order or form of codes. If copy_lhs takes
///   an offset, it subtracts it.
/// - turn_steps, add_turn (optional): add_turn adds the dots of turn_steps steps of one row. Such a
///   unit has tiles of one row.
/// - load_lhs_turn, dot_of_turn (optional): load_lhs_turn loads the activations of all steps in one
///   iteration of the loop; dot_of_turn uses those of one step. dot_two (optional): the dots of two
///   steps together.
/// - points_to_rows (optional): the loop keeps a pointer to each row of activations.
/// - bytes, widened, halves, pairs, fours (optional): further units for the same weights. Which of
///   them are exact depends on the weights and the activations (gemm/int8/saturation_proof.hpp).
///   by_proof has widened, pairs, fours and what chooses among them.
/// - dots: the part of the unit that does not depend on Lhs. Units of u8 and s8 activations that
///   multiply alike name the same type, so they share one loop.
///
/// Every unit adds modulo 2^32. A sum whose true value fits int32 is therefore exact, even if
/// intermediate values do not fit. `dot_unit<Arch, Lhs>` for Lhs = std::uint8_t or std::int8_t
/// falls back to the base of Arch. Read next: arch/avx512_vnni.hpp, arch/neon.hpp; the loop around
/// the step is gemm/int8/micro_kernel.hpp.

#include "fewbit/begin.hpp"

#include <array>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "fewbit/arch/arch.hpp"
#include "fewbit/arch/vec.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace arch {

/// Plain loops for any shape. They are the unit of the scalar arch. Tests use them with odd shapes
/// and offsets to check the code around a unit.
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

  /// The first `count` of `depth` activations at the end of a row; the others are zero.
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

/// The unit of an instruction set. An arch without a specialization uses the unit of its base.
template <class Arch, class Lhs>
struct dot_unit : dot_unit<typename Arch::base, Lhs> {};

/// Adds a member `type` that names the unit, so that two archs with the same unit share one kernel.
template <class Unit>
struct own_unit : Unit {
  using type = Unit;
};

template <class Lhs>
struct dot_unit<scalar, Lhs> : own_unit<reference_unit<Lhs, 1, 8, 2>> {};

}}}  // namespace fewbit::arch

#include "fewbit/end.hpp"
