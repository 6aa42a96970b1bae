#pragma once
/// Rows in bit planes whose codes arrive in pieces, and sums of one row over a part of k.
///
/// A product that has only some KiB of scratch memory packs a row piece by piece (plane_writer). If
/// not even the planes of one row fit, it adds sums over some words of k (plane_partial_sums): plain
/// loops for any two formats. With a = a_0 + sum of f_p a_p, a_p the bits of plane p, and w the
/// same,
///
///     sum over k of a w = sum over k of a_0 w_0 + w_0 sum of f_p |a_p| + a_0 sum of g_q |w_q|
///                         + sum of f_p g_q |a_p & w_q|
///
/// where |x| is the number of ones. Read before: gemm/bit_planes/multiply.hpp,
/// gemm/lookup/weights.hpp (factors_of).

#include "fewbit/begin.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "fewbit/core/types.hpp"
#include "fewbit/gemm/bit_planes/lhs.hpp"
#include "fewbit/gemm/bit_planes/parities.hpp"
#include "fewbit/gemm/bit_planes/rules.hpp"
#include "fewbit/gemm/bit_planes/weights.hpp"
#include "fewbit/gemm/lookup/weights.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm::detail {

/// A group of up to Unit::rows rows of k codes of format F, as pack_groups writes it.
template <class F, class Unit>
class plane_writer {
 public:
  [[nodiscard]] static index bytes(index rows, index k) noexcept {
    return rows *
           (F::planes * words_of(k) * index{sizeof(std::uint64_t)} + index{sizeof(std::int32_t)});
  }

  /// @param memory  bytes(rows, k) of them, on a multiple of 8
  plane_writer(std::byte* memory, index rows, index k) noexcept
      : words_(reinterpret_cast<std::uint64_t*>(memory)),
        nonzeros_(reinterpret_cast<std::int32_t*>(words_ + rows * F::planes * words_of(k))),
        rows_(rows),
        k_(k) {
    std::fill_n(nonzeros_, rows, 0);
  }

  /// Codes first .. first + count - 1 of row r; `first` is a multiple of 64.
  void put(index r, index first, index count, const typename F::code* codes) noexcept {
    std::uint64_t* to = words_ + r + first / word_bits * rows_;
    pack_row<F, Unit, and_rule>(codes, count, to, words_of(k_) * rows_, rows_);
    for (index i = 0; i < count; ++i) nonzeros_[r] += codes[i] != 0 ? 1 : 0;
  }

  /// After the last code of all rows: words become parities where products read parities.
  void finish() noexcept {
    const index words = words_of(k_);
    const index parities = words_in_parities<Unit, lhs_rule<F>>(words);
    for (int p = 0; p < F::planes; ++p) {
      for (index r = 0; r < rows_; ++r)
        to_parities(words_ + r + p * words * rows_, parities, rows_);
    }
  }

  [[nodiscard]] const std::uint64_t* words() const noexcept { return words_; }
  [[nodiscard]] const std::int32_t* nonzeros() const noexcept { return nonzeros_; }

 private:
  std::uint64_t* words_;
  std::int32_t* nonzeros_;
  index rows_;
  index k_;
};

template <class A, class W, class Unit>
class plane_partial_sums {
  using weights = plane_weights<A, W, Unit>;
  using rule = typename weights::rule;
  static constexpr auto lhs = factors_of<A>();
  static constexpr auto rhs = factors_of<W>();

 public:
  /// sums[j - begin] += sum over 64 * `words` codes, or up to the end of k, from word `first` on,
  /// for columns begin .. end - 1.
  ///
  /// @param a  [plane][word], the `words` words of each plane side by side
  static void add(const std::uint64_t* a, index first, index words, const weights& w, index begin,
                  index end, std::int32_t* sums) noexcept {
    const index codes = std::min(words * word_bits, w.k() - first * word_bits);
    std::uint32_t shared =
        factor(lhs.offset) * factor(rhs.offset) * static_cast<std::uint32_t>(codes);
    for (int p = 0; p < A::planes; ++p) {
      std::uint32_t ones = 0;
      for (index i = 0; i < words; ++i) ones += count(a[p * words + i]);
      shared += factor(rhs.offset) * lhs_factor(p) * ones;
    }
    const bit_operands all = w.operands();
    const bit_panels<Unit> panels{all.n};
    for (index j = begin; j < end; ++j) {
      const index panel = panels.first_of(j), width = panels.cols(panel);
      const std::uint64_t* plane =
          all.words + panel * W::planes * all.words_per_plane + (j - panel);
      std::uint32_t sum = shared;
      for (int q = 0; q < W::planes; ++q, plane += all.words_per_plane * width)
        sum += rhs_factor(q) * of_plane(a, first, words, plane, width, all.words_per_plane);
      auto& to = sums[j - begin];
      to = static_cast<std::int32_t>(static_cast<std::uint32_t>(to) + sum);
    }
  }

 private:
  static std::uint32_t factor(std::int32_t f) noexcept { return static_cast<std::uint32_t>(f); }
  static std::uint32_t lhs_factor(int p) noexcept {
    return factor(lhs.factors[static_cast<std::size_t>(p)]);
  }
  static std::uint32_t rhs_factor(int q) noexcept {
    return factor(rhs.factors[static_cast<std::size_t>(q)]);
  }
  static std::uint32_t count(std::uint64_t word) noexcept {
    return static_cast<std::uint32_t>(std::popcount(word));
  }

  /// a_0 |w| + sum of f_p |a_p & w| of one plane of a column, whose words are `step` apart.
  static std::uint32_t of_plane(const std::uint64_t* a, index first, index words,
                                const std::uint64_t* w, index step, index all_words) noexcept {
    const index parities = words_in_parities<Unit, rule>(all_words);
    std::uint32_t ones = 0, common[A::planes] = {};
    for (index i = 0; i < words; ++i) {
      const index at = first + i;
      std::uint64_t word = w[at * step];
      if (at > 0 && at < parities) word ^= w[(at - 1) * step];
      ones += count(word);
      for (int p = 0; p < A::planes; ++p) common[p] += count(word & a[p * words + i]);
    }
    std::uint32_t sum = factor(lhs.offset) * ones;
    for (int p = 0; p < A::planes; ++p) sum += lhs_factor(p) * common[p];
    return sum;
  }
};

}}}  // namespace fewbit::gemm::detail

#include "fewbit/end.hpp"
