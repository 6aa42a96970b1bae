#pragma once
/// Activations as bit planes. They are packed in advance, or block by block while they are
/// multiplied.
///
/// Rows are packed in groups of Unit::rows; the last group is smaller. A group has the order
/// [plane][word of k][row], so a tile reads contiguous words. The last word of a row is padded with
/// zero bits. Words of sign_bits are stored as parities if counting is faster then
/// (gemm/bit_planes/parities.hpp). Read before: gemm/bit_planes/formats.hpp. Read next:
/// gemm/bit_planes/weights.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>

#include "fewbit/arch/all.hpp"
#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/gemm/bit_planes/formats.hpp"
#include "fewbit/gemm/bit_planes/parities.hpp"
#include "fewbit/gemm/bit_planes/rules.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm {

namespace detail {

template <class Arch>
struct bit_unit_of {
  static_assert(Arch::compiled,
                "fewbit: this arch is not compiled in; add its -m flag, or use arch::native");
  using type = typename arch::bit_unit<Arch>::type;
};

}  // namespace detail

/// The unit of an instruction set for products of bit planes.
template <class Arch = arch::native>
using default_bit_unit = typename detail::bit_unit_of<Arch>::type;

namespace detail {

inline constexpr index word_bits = 64;

/// Number of words of a plane of k codes.
constexpr index words_of(index k) noexcept { return k / word_bits + (k % word_bits != 0 ? 1 : 0); }

/// Packs a row. Bit d of word i of plane p, at to[p * plane_step + i * word_step], is bit p of
/// stored code 64 i + d. Words become parities if products with Rule read parities.
template <class F, class Unit, class Rule>
void pack_row(const typename F::code* codes, index k, std::uint64_t* to, index plane_step,
              index word_step) noexcept {
  std::uint64_t* const planes = to;
  for (index first = 0; first < k; first += word_bits, to += word_step) {
    alignas(64) std::uint8_t stored[word_bits];
    if (k - first >= word_bits) {
      for (index i = 0; i < word_bits; ++i) stored[i] = F::stored(codes[first + i]);
    } else {
      std::fill_n(&stored[0], word_bits, std::uint8_t{0});
      for (index i = 0; first + i < k; ++i) stored[i] = F::stored(codes[first + i]);
    }
#pragma GCC unroll 8
    for (int p = 0; p < F::planes; ++p) to[p * plane_step] = Unit::plane(&stored[0], p);
  }
  const index parities = words_in_parities<Unit, Rule>(words_of(k));
  for (int p = 0; p < F::planes; ++p) to_parities(planes + p * plane_step, parities, word_step);
}

/// The rule that decides how activations of a format are stored.
template <class F>
using lhs_rule = typename rule_of<F, F>::type;

/// Packs rows in groups, in the order described above.
template <class F, class Unit>
void pack_groups(const typename F::code* codes, index stride, index rows, index k,
                 std::uint64_t* to) noexcept {
  using rule = lhs_rule<F>;
  if (k == 0) return;
  const index words = words_of(k);
  for (index first = 0; first < rows; first += Unit::rows) {
    const index height = std::min(index{Unit::rows}, rows - first);
    std::uint64_t* group = to + first * F::planes * words;
    for (index r = 0; r < height; ++r)
      pack_row<F, Unit, rule>(codes + (first + r) * stride, k, group + r, words * height, height);
  }
}

/// Counts the codes of each row that are not 0.
template <class Code>
void count_nonzeros(const Code* codes, index stride, index rows, index k,
                    std::int32_t* counts) noexcept {
  for (index r = 0; r < rows; ++r) {
    const Code* row = codes + r * stride;
    std::int32_t count = 0;
    for (index i = 0; i < k; ++i) count += row[i] != 0 ? 1 : 0;
    counts[r] = count;
  }
}

/// Row and column of the first code that is not in F, or {-1, -1}.
struct position {
  index row;
  index col;
};
template <class F, class Codes>
position first_foreign_code(const Codes& codes) noexcept {
  for (index r = 0; r < codes.rows(); ++r) {
    const auto* row = codes.data() + r * codes.outerStride();
    for (index c = 0; c < codes.cols(); ++c) {
      if (!F::takes(row[c])) return {r, c};
    }
  }
  return {-1, -1};
}

/// Fails if a code of the matrix `name` is not in F.
template <class F, class Codes>
void expect_codes_of(const char* function, const char* name, const Codes& codes) {
  const auto [r, c] = first_foreign_code<F>(codes);
  if (r < 0) return;
  fewbit::detail::fail(function, fewbit::detail::element(name, r, c),
                       static_cast<int>(codes.data()[r * codes.outerStride() + c]), F::expected());
}

}  // namespace detail

/// A (m x k codes of format F) in planes.
///
/// Memory: F::planes * m * k / 8 bytes, k rounded up to 64. ternary_bits takes four more bytes
/// per row.
template <BitFormat F, class Unit = default_bit_unit<>>
class plane_lhs {
 public:
  using format = F;
  using unit = Unit;
  using code = typename F::code;

  plane_lhs() noexcept = default;

  /// Packs A.
  ///
  /// @param a  m x k codes; an expression or a column-major matrix is evaluated once
  /// @throws fewbit::error if a code is not in F; the sentence names its row and column
  explicit plane_lhs(const Eigen::Ref<const row_matrix<code>>& a) : m_(a.rows()), k_(a.cols()) {
    fewbit::detail::expect_data("to_planes", "a", a);
    detail::expect_codes_of<F>("to_planes", "a", a);
    words_ = aligned_buffer<std::uint64_t>(m_ * F::planes * detail::words_of(k_), for_overwrite);
    detail::pack_groups<F, Unit>(a.data(), a.outerStride(), m_, k_, words_.data());
    if constexpr (counts_nonzeros) {
      nonzeros_ = aligned_buffer<std::int32_t>(m_, for_overwrite);
      detail::count_nonzeros(a.data(), a.outerStride(), m_, k_, nonzeros_.data());
    }
  }

  [[nodiscard]] index m() const noexcept { return m_; }
  [[nodiscard]] index k() const noexcept { return k_; }

  /// The words from row `row` on, which is the first of a group.
  [[nodiscard]] const std::uint64_t* group(index row) const noexcept {
    return words_.data() + row * F::planes * detail::words_of(k_);
  }

  /// The number of nonzero codes of each row, from row `row` on. nullptr if no product needs it.
  [[nodiscard]] const std::int32_t* nonzeros(index row) const noexcept {
    return counts_nonzeros ? nonzeros_.data() + row : nullptr;
  }

  /// Bytes held.
  [[nodiscard]] index bytes() const noexcept {
    return words_.size() * index{sizeof(std::uint64_t)} +
           nonzeros_.size() * index{sizeof(std::int32_t)};
  }

 private:
  static constexpr bool counts_nonzeros = std::is_same_v<F, ternary_bits>;

  index m_ = 0;
  index k_ = 0;
  aligned_buffer<std::uint64_t> words_;
  aligned_buffer<std::int32_t> nonzeros_;
};

/// Packs A as planes of format F for an instruction set: `to_planes<binary_bits>(a)`.
/// A may have no rows, because a batch may be empty.
/// @throws fewbit::error if a has no columns, and as the constructor of plane_lhs
template <BitFormat F, class Arch = arch::native>
[[nodiscard]] plane_lhs<F, default_bit_unit<Arch>> to_planes(
    const Eigen::Ref<const row_matrix<typename F::code>>& a) {
  fewbit::detail::expect(a.cols() > 0, "to_planes", "number of columns of a", a.cols(),
                         "at least 1");
  return plane_lhs<F, default_bit_unit<Arch>>(a);
}

}}}  // namespace fewbit::gemm

#include "fewbit/end.hpp"
