#pragma once
/// Rows in bit planes whose codes arrive in pieces, and sums of one row over a part of k.
///
/// plane_rows packs rows piece by piece, for callers with some KiB of scratch memory. If not even
/// the planes of one row fit, partial_sums adds sums over some words of k, in plain loops for any
/// two formats. Let a = a_0 + sum of f_p a_p, where a_p are the bits of plane
/// p, and let w be the same with g_q and w_q. Then
///
///     sum over k of a w = sum over k of a_0 w_0 + w_0 sum of f_p |a_p| + a_0 sum of g_q |w_q|
///                         + sum of f_p g_q |a_p & w_q|
///
/// where |x| is the number of ones. Read before: gemm/partial_sums.hpp,
/// gemm/bit_planes/multiply.hpp, gemm/lookup/weights.hpp (factors_of).

#include "fewbit/begin.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "fewbit/core/types.hpp"
#include "fewbit/gemm/bit_planes/lhs.hpp"
#include "fewbit/gemm/bit_planes/multiply.hpp"
#include "fewbit/gemm/bit_planes/parities.hpp"
#include "fewbit/gemm/bit_planes/rules.hpp"
#include "fewbit/gemm/bit_planes/weights.hpp"
#include "fewbit/gemm/lookup/weights.hpp"
#include "fewbit/gemm/partial_sums.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm {

/// Up to Unit::rows rows of k codes of format F as bit planes, in memory of the caller. The words
/// are in the order that gemm/bit_planes/lhs.hpp describes.
template <class F, class Unit>
class plane_rows {
 public:
  /// Bytes of memory for up to `rows` rows.
  [[nodiscard]] static index bytes(index rows, index k) noexcept {
    return rows * (F::planes * detail::words_of(k) * index{sizeof(std::uint64_t)} +
                   index{sizeof(std::int32_t)});
  }

  /// @param memory  bytes(rows, k) bytes, aligned to 8
  plane_rows(std::byte* memory, index rows, index k) noexcept
      : words_(reinterpret_cast<std::uint64_t*>(memory)),
        nonzeros_(reinterpret_cast<std::int32_t*>(words_ + rows * F::planes * detail::words_of(k))),
        rows_(rows),
        k_(k) {
    std::fill_n(nonzeros_, rows, 0);
  }

  /// Packs codes first .. first + count - 1 of row r. `first` is a multiple of 64.
  void put(index r, index first, index count, const typename F::code* codes) noexcept {
    std::uint64_t* to = words_ + r + first / detail::word_bits * rows_;
    detail::pack_row<F, Unit, detail::and_rule>(codes, count, to, detail::words_of(k_) * rows_,
                                                rows_);
    for (index i = 0; i < count; ++i) nonzeros_[r] += codes[i] != 0 ? 1 : 0;
  }

  /// Call it after the last code of all rows. Words become parities if products read parities.
  void finish() noexcept {
    const index words = detail::words_of(k_);
    const index parities = detail::words_in_parities<Unit, detail::lhs_rule<F>>(words);
    for (int p = 0; p < F::planes; ++p) {
      for (index r = 0; r < rows_; ++r)
        detail::to_parities(words_ + r + p * words * rows_, parities, rows_);
    }
  }

  /// C = epilogue(sums over k), for these rows and all of the weights. Rows of C are `stride`
  /// numbers apart. Call it after finish().
  template <class W, class Out, class E>
  void multiply(const plane_weights<F, W, Unit>& w, Out* c, index stride,
                const E& epilogue) const noexcept {
    using rule = typename plane_weights<F, W, Unit>::rule;
    const detail::bit_product<Unit, rule, Out, E> p{w.operands(), c, stride, epilogue};
    p.run({words_, nonzeros_, rows_}, 0, 0, detail::bit_panels<Unit>{w.n()}.padded());
  }

  [[nodiscard]] const std::uint64_t* words() const noexcept { return words_; }

 private:
  std::uint64_t* words_;
  std::int32_t* nonzeros_;
  index rows_;
  index k_;
};

template <BitFormat A, BitFormat W, class Unit>
class partial_sums<plane_weights<A, W, Unit>> {
  using weights = plane_weights<A, W, Unit>;
  using rule = typename weights::rule;
  static constexpr auto lhs = detail::factors_of<A>();
  static constexpr auto rhs = detail::factors_of<W>();

 public:
  /// sums[j - begin] += sum over k .. k + count - 1 of a[k] * W(j, k), for columns begin ..
  /// col_end - 1. `k` is a multiple of 64.
  ///
  /// @param a  the codes as planes, before plane_rows::finish()
  static void add(const plane_rows<A, Unit>& a, const weights& w, index k, index count, index begin,
                  index col_end, std::int32_t* sums) noexcept {
    add(a.words(), w, k / detail::word_bits, count, begin, col_end, sums);
  }

 private:
  /// @param a  [plane][word]; the words of each plane are contiguous
  static void add(const std::uint64_t* a, const weights& w, index first, index codes, index begin,
                  index end, std::int32_t* sums) noexcept {
    const index words = detail::words_of(codes);
    std::uint32_t shared =
        factor(lhs.offset) * factor(rhs.offset) * static_cast<std::uint32_t>(codes);
    for (int p = 0; p < A::planes; ++p) {
      std::uint32_t ones = 0;
      for (index i = 0; i < words; ++i) ones += count(a[p * words + i]);
      shared += factor(rhs.offset) * lhs_factor(p) * ones;
    }
    const detail::bit_operands all = w.operands();
    const detail::bit_panels<Unit> panels{all.n};
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

  /// a_0 |w| + sum of f_p |a_p & w| for one plane of a column. Words of the column are `step`
  /// apart.
  static std::uint32_t of_plane(const std::uint64_t* a, index first, index words,
                                const std::uint64_t* w, index step, index all_words) noexcept {
    const index parities = detail::words_in_parities<Unit, rule>(all_words);
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

}}}  // namespace fewbit::gemm

#include "fewbit/end.hpp"
