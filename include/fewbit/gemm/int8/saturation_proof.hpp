#pragma once
/// Which panels of weights may be summed in 16 bits on the way to 32.
///
/// vpmaddubsw adds two products u8 x s8 in int16 and stops at its ends. With activations of 0 to L
/// no sum gets there if, of the weights that meet in one int16, the positive ones add up to at most
/// 32767 / L and the negative ones to at least -32768 / L: 128 and -128 for L = 255, 258 and -258
/// for L = 127, where any two weights pass. Weights are known when they are packed, so each panel
/// is proven there once, and one that fails takes the kernel that is exact for all weights: no
/// kernel ever saturates. Read next: gemm/int8/walk_by_proof.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "fewbit/arch/vec.hpp"
#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm {

/// What an int16 is proven to hold: `pairs`, the products of two neighbouring codes of k; `fours`,
/// those and their likes of the next step. Fours imply pairs.
enum class saturation_proof : std::uint8_t { none, pairs, fours };

/// The largest activation code of a type.
template <class Lhs>
inline constexpr index largest_code = std::numeric_limits<Lhs>::max();

namespace detail {

/// A dot unit that comes with others for weights with a proof.
template <class Unit>
concept Proving = requires {
  typename Unit::bytes;
  typename Unit::widened;
  typename Unit::pairs;
  typename Unit::fours;
};

/// What is added to activations of at most `largest` to make them unsigned. Signed ones are at
/// least -largest - 1.
template <class Lhs>
[[nodiscard]] constexpr index unsigned_shift(index largest) noexcept {
  return std::is_signed_v<Lhs> ? largest + 1 : 0;
}

/// Whether all activations are what packing was told.
template <class A>
[[nodiscard]] bool are_at_most(const A& a, index largest) noexcept {
  if (largest == largest_code<typename A::Scalar> || a.size() == 0) return true;
  return a.maxCoeff() <= largest && a.minCoeff() >= -largest - 1;
}

/// The most that weights meeting in one int16 may add up to, in magnitude.
struct proof_bounds {
  std::int16_t positive;
  std::int16_t negative;

  /// For unsigned activations of at most `largest`.
  explicit proof_bounds(index largest) noexcept
      : positive(static_cast<std::int16_t>(32767 / std::max(largest, index{2}))),
        negative(static_cast<std::int16_t>(32768 / std::max(largest, index{2}))) {}
};

/// The positive and the negative weights that meet in each int16 added up, in magnitude.
struct weight_sums {
  using words = arch::vec<std::int16_t, 16>;

  words positive{0};
  words negative{0};

  /// Of pairs of neighbouring weights.
  static weight_sums of_pairs(const std::int8_t* weights) noexcept {
    words both;
    std::memcpy(&both.data, weights, sizeof(both.data));
    const words zero(0), low = both << words(8) >> words(8), high = both >> words(8);
    return {arch::max(low, zero) + arch::max(high, zero),
            zero - arch::min(low, zero) - arch::min(high, zero)};
  }

  [[nodiscard]] weight_sums plus(const weight_sums& other) const noexcept {
    return {positive + other.positive, negative + other.negative};
  }

  void raise_to(const weight_sums& other) noexcept {
    positive = arch::max(positive, other.positive);
    negative = arch::max(negative, other.negative);
  }

  [[nodiscard]] bool within(const proof_bounds& bounds) const noexcept {
    return arch::max_of_lanes(positive) <= bounds.positive &&
           arch::max_of_lanes(negative) <= bounds.negative;
  }
};

/// What holds for a panel of `steps` steps of `step_codes` codes, four of each column. Fours are of
/// steps 0 and 1, 2 and 3 and so on; the last of an odd number stands alone.
[[nodiscard]] inline saturation_proof saturation_proof_of(const std::int8_t* codes, index steps,
                                                          index step_codes,
                                                          const proof_bounds& bounds) noexcept {
  constexpr index register_codes = 2 * weight_sums::words::lanes;
  constexpr index steps_between_looks = 32;
  weight_sums pairs, fours;
  for (index first = 0; first < steps; first += steps_between_looks) {
    const index end = std::min(first + steps_between_looks, steps);
    for (index step = first; step < end; step += 2) {
      const std::int8_t* from = codes + step * step_codes;
      for (index i = 0; i < step_codes; i += register_codes) {
        const weight_sums one = weight_sums::of_pairs(from + i);
        const weight_sums next =
            step + 1 < end ? weight_sums::of_pairs(from + step_codes + i) : weight_sums{};
        pairs.raise_to(one);
        pairs.raise_to(next);
        fours.raise_to(one.plus(next));
      }
    }
    if (!pairs.within(bounds)) return saturation_proof::none;
  }
  return fours.within(bounds) ? saturation_proof::fours : saturation_proof::pairs;
}

/// The proofs of all panels.
class panel_proofs {
 public:
  panel_proofs() noexcept = default;
  explicit panel_proofs(index panels) : proofs_(panels) {}

  [[nodiscard]] saturation_proof operator[](index panel) const noexcept {
    return proofs_.data()[panel];
  }
  void set(index panel, saturation_proof p) noexcept { proofs_.data()[panel] = p; }
  [[nodiscard]] index bytes() const noexcept { return proofs_.size(); }

 private:
  aligned_buffer<saturation_proof> proofs_;
};

}  // namespace detail
}}}  // namespace fewbit::gemm

#include "fewbit/end.hpp"
