#pragma once
/// Counts the ones of x = a ^ w with fewer counts than words, by carry-save adders over running
/// parities.
///
/// Word i of a row is stored as p_i, the XOR of its words 0 to i. The parities of a ^ w are the
/// parities of a XOR the parities of w, so they cost as much as a ^ w. They are also the sum bits
/// of a chain of full adders: p_(i + 2) is the sum bit of p_i, x_(i + 1) and x_(i + 2). The carry
/// of that adder is
///
///     majority(p_i, x_(i + 1), x_(i + 2)) = p_(i + 1) ? ~p_(i + 2) : p_i
///
/// One more adder takes two carries of weight 2 and the sum of the carries before. Only its carry
/// is counted. Four words take 4 XORs, 2 carries, an adder and one count. The chain starts with
/// three words. Words after the last group of four are stored without parities. Words of a & w have
/// no such parities.
///
/// Read before: gemm/bit_planes/rules.hpp. Read next: gemm/bit_planes/tile.hpp.
/// Sources: Harley and Seal (carry-save counting, in Warren, "Hacker's Delight"); Mula, Kurz and
/// Lemire 2016, arXiv:1611.07612.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "fewbit/config.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/gemm/bit_planes/rules.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm::detail {

inline constexpr index words_of_start = 3;
inline constexpr index words_of_step = 4;

/// Whether a unit counts by parities for a rule, if there are enough words.
template <class Unit, class Rule>
inline constexpr bool uses_parities = std::is_same_v<Rule, xor_rule> && Unit::least_parities > 0;

/// The number of words that are stored as parities, of `words` words.
template <class Unit, class Rule>
constexpr index words_in_parities(index words) noexcept {
  static_assert(Unit::least_parities == 0 || Unit::least_parities >= words_of_start);
  if (!uses_parities<Unit, Rule> || words < Unit::least_parities) return 0;
  return words - (words - words_of_start) % words_of_step;
}

/// Replaces the first `count` words of a plane by parities.
inline void to_parities(std::uint64_t* plane, index count, index word_step) noexcept {
  for (index i = 1; i < count; ++i) plane[i * word_step] ^= plane[(i - 1) * word_step];
}

/// The start of register j of a tile. A panel starts `w_panel` words after the panel before.
template <class Unit>
constexpr index first_word_of(int j, index w_panel) noexcept {
  return j / Unit::registers * w_panel + j % Unit::registers * index{Unit::lanes};
}

/// The chains of a tile of Rows rows and Registers registers.
template <class Unit, int Rows, int Registers>
class parity_chains {
 public:
  using words = typename Unit::words;
  using counts = typename Unit::counts;

  /// Starts the chains with the first words. Words of a column are `w_word` words apart.
  FEWBIT_ALWAYS_INLINE parity_chains(const std::uint64_t* a, const std::uint64_t* w, index w_word,
                                     index w_panel) noexcept
      : a_(a), w_(w), w_word_(w_word), w_panel_(w_panel) {
    for_each_chain([&](chain& to, int r, int j) {
      const words first = product(0, r, j), second = product(1, r, j);
      to.parity = product(2, r, j);
      to.twos = Unit::carry(first, second, to.parity);
      to.fours = words(0);
    });
    advance(words_of_start);
  }

  /// Adds steps of four words each.
  FEWBIT_ALWAYS_INLINE void add_steps(index steps) noexcept {
    if constexpr (Unit::steps_per_fold == 0) {
      for (; steps > 0; --steps, advance(words_of_step)) {
        for_each_chain(
            [&](chain& to, int r, int j) { to.fours = Unit::add(to.fours, fours(to, r, j)); });
      }
    } else {
      for (index most; steps > 0; steps -= most) {
        most = std::min(index{Unit::steps_per_fold}, steps);
        counts partial[Rows][Registers] = {};
        for (index i = 0; i < most; ++i, advance(words_of_step)) {
          for_each_chain([&](chain& to, int r, int j) {
            partial[r][j] = Unit::add(partial[r][j], fours(to, r, j));
          });
        }
        for_each_chain(
            [&](chain& to, int r, int j) { to.fours = Unit::fold(to.fours, partial[r][j]); });
      }
    }
  }

  /// The number of ones of all words of a chain.
  [[nodiscard]] FEWBIT_ALWAYS_INLINE words ones(int r, int j) const noexcept {
    const chain& of = chains_[r][j];
    const words twos = of.fours + of.fours + ones_of(of.twos);
    return twos + twos + ones_of(of.parity);
  }

 private:
  /// The bits of weight 1 and 2 of the sum so far, and the number of carries of weight 4.
  struct chain {
    words parity;
    words twos;
    words fours;
  };

  template <class F>
  FEWBIT_ALWAYS_INLINE void for_each_chain(const F& f) noexcept {
#pragma GCC unroll 8
    for (int j = 0; j < Registers; ++j) {
#pragma GCC unroll 8
      for (int r = 0; r < Rows; ++r) f(chains_[r][j], r, j);
    }
  }

  FEWBIT_ALWAYS_INLINE words product(int word, int r, int j) const noexcept {
    return words::load(w_ + word * w_word_ + first_word_of<Unit>(j, w_panel_)) ^
           words(a_[word * Rows + r]);
  }

  /// The carry bits of weight 4 of a step.
  FEWBIT_ALWAYS_INLINE words fours(chain& to, int r, int j) const noexcept {
    const words first = product(0, r, j), second = product(1, r, j);
    const words low = Unit::carry(to.parity, first, second);
    const words third = product(2, r, j);
    to.parity = product(3, r, j);
    const words high = Unit::carry(second, third, to.parity);
    const words before = to.twos;
    to.twos = Unit::sum_of_three(before, low, high);
    return Unit::majority(before, low, high);
  }

  FEWBIT_ALWAYS_INLINE static words ones_of(const words& bits) noexcept {
    if constexpr (Unit::steps_per_fold == 0) {
      return Unit::add(words(0), bits);
    } else {
      return Unit::fold(words(0), Unit::add(counts{}, bits));
    }
  }

  FEWBIT_ALWAYS_INLINE void advance(index count) noexcept {
    a_ += count * Rows;
    w_ += count * w_word_;
  }

  const std::uint64_t* a_;
  const std::uint64_t* w_;
  index w_word_;
  index w_panel_;
  chain chains_[Rows][Registers];
};

}}}  // namespace fewbit::gemm::detail

#include "fewbit/end.hpp"
