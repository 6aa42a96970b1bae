#pragma once
/// Proves which products can be summed in 16 bits before the sums are widened to 32.
///
/// vpmaddubsw adds two u8 * s8 products and saturates to int16. Let activations be 0 .. L. The sum
/// cannot saturate if, among the weights that are added in one int16, the positive ones add up to
/// at most 32767 / L and the negative ones to at least -32768 / L:
///
/// | L   | positive sum at most | negative sum at least | note                   |
/// |-----|----------------------|-----------------------|------------------------|
/// | 255 | 128                  | -128                  |                        |
/// | 127 | 258                  | -258                  | any two weights pass   |
/// | 64  | 511                  | -512                  | any four weights pass  |
///
/// There are two proofs. Packing proves panels for all activations that may come. For the other
/// panels it stores, for each block of proof_depth codes of k, the largest L that the weights allow
/// (block_limits). A product finds the largest activation of each row tile in each block, which is
/// L, and compares it. Where neither holds, instructions that are exact for all codes are used: no
/// kernel ever saturates. Read next: gemm/int8/lhs_by_proof.hpp (finds L), gemm/int8/
/// dots_by_block.hpp (compares), gemm/int8/walk_by_proof.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "fewbit/arch/vec.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm {

/// What fits int16. `pairs`: the sum of the products of two neighbouring codes of k. `fours`: the
/// sum of a pair and the pair of the next step. Fours imply pairs.
enum class saturation_proof : std::uint8_t { none, pairs, fours };

/// The largest activation code of a type.
template <class Lhs>
inline constexpr index largest_code = std::numeric_limits<Lhs>::max();

namespace detail {

/// A dot unit that has faster dots for weights with a proof.
template <class Unit>
concept Proving = requires {
  typename Unit::bytes;
  typename Unit::widened;
  typename Unit::pairs;
  typename Unit::fours;
};

/// The number that is added to activations of at most `largest` to make them unsigned. Signed
/// activations are at least -largest - 1.
template <class Lhs>
[[nodiscard]] constexpr index unsigned_shift(index largest) noexcept {
  return std::is_signed_v<Lhs> ? largest + 1 : 0;
}

/// Whether all activations are in the range given at packing.
template <class A>
[[nodiscard]] bool are_at_most(const A& a, index largest) noexcept {
  if (largest == largest_code<typename A::Scalar> || a.size() == 0) return true;
  return a.maxCoeff() <= largest && a.minCoeff() >= -largest - 1;
}

/// The largest unsigned activations for which the sums of a block of weights fit int16.
struct block_limits {
  std::uint8_t pairs = 255;
  std::uint8_t fours = 255;

  /// For the largest sums of the weights that are added in one int16, in magnitude.
  static std::uint8_t limit(index positive, index negative) noexcept {
    return static_cast<std::uint8_t>(std::min(
        {index{255}, 32767 / std::max(positive, index{1}), 32768 / std::max(negative, index{1})}));
  }
  void lower_to(const block_limits& other) noexcept {
    pairs = std::min(pairs, other.pairs);
    fours = std::min(fours, other.fours);
  }
  /// What holds for unsigned activations of at most `largest`.
  [[nodiscard]] saturation_proof proof(index largest) const noexcept {
    return largest <= fours   ? saturation_proof::fours
           : largest <= pairs ? saturation_proof::pairs
                              : saturation_proof::none;
  }
};

/// The limits of the blocks of a panel.
struct panel_limits {
  const std::uint8_t* pairs;
  const std::uint8_t* fours;
};

/// Numbers of blocks are compared with limits this many at a time. Arrays of them are as long that
/// all of them may be read.
inline constexpr int compared_blocks = 16;

/// For each int16: the sum of its positive and the sum of its negative weights, in magnitude.
struct weight_sums {
  using words = arch::vec<std::int16_t, 16>;

  words positive{0};
  words negative{0};

  /// For pairs of neighbouring weights.
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

  [[nodiscard]] std::uint8_t limit() const noexcept {
    return block_limits::limit(arch::max_of_lanes(positive), arch::max_of_lanes(negative));
  }
};

/// The limits of `steps` steps of `step_codes` codes, four of each column. Fours are steps 0 and 1,
/// 2 and 3 and so on. If the number of steps is odd, the last step is alone.
[[nodiscard]] inline block_limits limits_of(const std::int8_t* codes, index steps,
                                            index step_codes) noexcept {
  constexpr index register_codes = 2 * weight_sums::words::lanes;
  weight_sums pairs, fours;
  for (index step = 0; step < steps; step += 2) {
    const std::int8_t* from = codes + step * step_codes;
    for (index i = 0; i < step_codes; i += register_codes) {
      const weight_sums one = weight_sums::of_pairs(from + i);
      const weight_sums next =
          step + 1 < steps ? weight_sums::of_pairs(from + step_codes + i) : weight_sums{};
      pairs.raise_to(one);
      pairs.raise_to(next);
      fours.raise_to(one.plus(next));
    }
  }
  return {pairs.limit(), fours.limit()};
}

}  // namespace detail
}}}  // namespace fewbit::gemm

#include "fewbit/end.hpp"
