#pragma once
/// How two formats of bit planes are multiplied: the pairs of planes, and what a pair of words
/// adds.
///
/// | activations      | weights          | sum over k of a w                                      |
/// |------------------|------------------|--------------------------------------------------------|
/// | sign_bits<M>     | sign_bits<N>     | k (2^M - 1) (2^N - 1) - 2 sum of 2^(i + j) |a_i ^ w_j| |
/// | ternary_bits     | ternary_bits     | |m| - 2 |(s ^ t) & m|, m = mask_a & mask_w             |
/// | ternary_bits     | binary_bits      | |mask_a| - 2 |(s ^ w) & mask_a|                        |
/// | two's complement | two's complement | sum of +-2^(i + j) |a_i & w_j|                         |
///
/// |x| is the number of ones. Sums run over the pairs of planes i and j. s and t are the sign planes. Binary codes give k - 2 |a ^ w|. Padding is zero in both operands and adds no ones; k is the length without padding.
///
/// Pairs of planes are counted in passes of decreasing weight. Between two weights the sums are
/// doubled. Where the sign of the pairs changes, the sums are negated. So a pass only counts.
/// Sources: XNOR-Net, arXiv:1603.05279; TBN, Wan et al. 2018, "Ternary-Binary Network", ECCV (its
/// product of ternary activations and binary weights); DoReFa-Net, arXiv:1606.06160.

#include "fewbit/begin.hpp"

#include <array>
#include <cstdint>

#include "fewbit/config.hpp"
#include "fewbit/gemm/bit_planes/formats.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm::detail {

/// The initial value of a sum: zero, a constant of k (depth), or the number of nonzero codes of the
/// row. Each rule below adds one word of `lhs_planes` planes of a row and one register of
/// `rhs_planes` planes of weights to `counts` counts.
enum class sum_start { zero, depth, nonzeros };

struct xor_rule {
  static constexpr int lhs_planes = 1, rhs_planes = 1, counts = 1;
  static constexpr sum_start starts_from = sum_start::depth;

  template <class Unit, class Words, class Counts>
  FEWBIT_ALWAYS_INLINE static void add(const Words (&a)[1], const Words (&w)[1],
                                       Counts (&to)[1]) noexcept {
    to[0] = Unit::add(to[0], a[0] ^ w[0]);
  }

  /// The sum, from its initial value and from count(i) of all columns.
  template <class Ints, class Counts>
  FEWBIT_ALWAYS_INLINE static Ints total(std::int32_t start, const Counts& count) noexcept {
    const Ints ones = count(0);
    return Ints(static_cast<std::uint32_t>(start)) - ones - ones;
  }
};

struct and_rule {
  static constexpr int lhs_planes = 1, rhs_planes = 1, counts = 1;
  static constexpr sum_start starts_from = sum_start::zero;

  template <class Unit, class Words, class Counts>
  FEWBIT_ALWAYS_INLINE static void add(const Words (&a)[1], const Words (&w)[1],
                                       Counts (&to)[1]) noexcept {
    to[0] = Unit::add(to[0], a[0] & w[0]);
  }

  /// The sum, from its initial value and from count(i) of all columns.
  template <class Ints, class Counts>
  FEWBIT_ALWAYS_INLINE static Ints total(std::int32_t, const Counts& count) noexcept {
    return count(0);
  }
};

struct ternary_rule {
  static constexpr int lhs_planes = 2, rhs_planes = 2, counts = 2;
  static constexpr sum_start starts_from = sum_start::zero;

  template <class Unit, class Words, class Counts>
  FEWBIT_ALWAYS_INLINE static void add(const Words (&a)[2], const Words (&w)[2],
                                       Counts (&to)[2]) noexcept {
    const Words mask = a[0] & w[0];
    to[0] = Unit::add(to[0], mask);
    to[1] = Unit::add(to[1], Unit::masked_xor(a[1], w[1], mask));
  }

  /// The sum, from its initial value and from count(i) of all columns.
  template <class Ints, class Counts>
  FEWBIT_ALWAYS_INLINE static Ints total(std::int32_t, const Counts& count) noexcept {
    const Ints differing = count(1);
    return count(0) - differing - differing;
  }
};

struct ternary_by_binary_rule {
  static constexpr int lhs_planes = 2, rhs_planes = 1, counts = 1;
  static constexpr sum_start starts_from = sum_start::nonzeros;

  template <class Unit, class Words, class Counts>
  FEWBIT_ALWAYS_INLINE static void add(const Words (&a)[2], const Words (&w)[1],
                                       Counts (&to)[1]) noexcept {
    to[0] = Unit::add(to[0], Unit::masked_xor(a[1], w[0], a[0]));
  }

  /// The sum, from its initial value and from count(i) of all columns.
  template <class Ints, class Counts>
  FEWBIT_ALWAYS_INLINE static Ints total(std::int32_t start, const Counts& count) noexcept {
    const Ints ones = count(0);
    return Ints(static_cast<std::uint32_t>(start)) - ones - ones;
  }
};

template <class A, class W>
struct rule_of {
  static_assert(TwosComplement<A> && TwosComplement<W>,
                "fewbit: sign_bits are multiplied by sign_bits, binary ones also by ternary_bits");
  using type = and_rule;
};
template <int M, int N>
struct rule_of<sign_bits<M>, sign_bits<N>> {
  using type = xor_rule;
};
template <>
struct rule_of<ternary_bits, ternary_bits> {
  using type = ternary_rule;
};
template <>
struct rule_of<ternary_bits, binary_bits> {
  using type = ternary_by_binary_rule;
};

/// A pair of planes. Before it is counted, sums may be doubled or negated.
struct plane_pass {
  std::uint8_t lhs_plane;
  std::uint8_t rhs_plane;
  bool doubles;
  bool negates;
};

template <int Most>
struct pass_list {
  std::array<plane_pass, std::size_t{Most}> passes;
  int count;
  bool ends_negated;
};

template <class F>
constexpr bool counts_negative(int plane) noexcept {
  if constexpr (TwosComplement<F>) {
    return F::is_signed && plane == F::planes - 1;
  } else {
    return false;
  }
}

/// All pairs of planes, highest weight first. Pairs of one weight are ordered by sign, first the
/// sign of the pair before.
template <class A, class W>
constexpr auto pairs_of_planes() noexcept {
  pass_list<A::planes * W::planes> list{};
  bool negative = false;
  for (int weight = A::planes + W::planes - 2; weight >= 0; --weight) {
    bool first = list.count > 0;
    const bool begin = negative;
    for (const bool sign : {begin, !begin}) {
      for (int i = 0; i < A::planes; ++i) {
        const int j = weight - i;
        if (j < 0 || j >= W::planes) continue;
        if ((counts_negative<A>(i) != counts_negative<W>(j)) != sign) continue;
        list.passes[static_cast<std::size_t>(list.count++)] = {
            static_cast<std::uint8_t>(i), static_cast<std::uint8_t>(j), first, sign != negative};
        first = false;
        negative = sign;
      }
    }
  }
  list.ends_negated = negative;
  return list;
}

/// The passes of a product. Rules that use several planes at once have one pass.
template <class A, class W>
constexpr auto passes_of() noexcept {
  using rule = typename rule_of<A, W>::type;
  if constexpr (rule::lhs_planes > 1) {
    return pass_list<1>{{{{0, 0, false, false}}}, 1, false};
  } else {
    return pairs_of_planes<A, W>();
  }
}

}}}  // namespace fewbit::gemm::detail

#include "fewbit/end.hpp"
