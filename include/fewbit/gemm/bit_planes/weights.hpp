#pragma once
/// Weights as bit planes in the order in which the loop reads them. They are packed once.
///
/// The order is [panel][plane][word of k][column]. A panel is Unit::registers registers of columns
/// side by side; the last panels have one register. Columns from n on and bits from k on are zero,
/// except in words that are stored as parities: these continue the parity
/// (gemm/bit_planes/parities.hpp).
///
/// Example: W is 2 x 5 of unsigned_bits<2>, the scalar unit. A panel has 2 columns; a word has 64
/// codes of k. Bit k of a word belongs to code k.
///
///     W = | 0 1 2 3 1 |      word     0          1          2          3
///         | 3 2 1 0 2 |      plane    0          0          1          1
///                            column   0          1          0          1
///                            value    0b11010    0b00101    0b01100    0b10011
///
/// Read before: gemm/bit_planes/formats.hpp. Read next: gemm/bit_planes/multiply.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>
#include <string>

#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/stored_array.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/gemm/bit_planes/formats.hpp"
#include "fewbit/gemm/bit_planes/lhs.hpp"
#include "fewbit/gemm/bit_planes/parities.hpp"
#include "fewbit/gemm/bit_planes/rules.hpp"
#include "fewbit/gemm/weights_image.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm {

namespace detail {

/// How n columns are cut into panels.
template <class Unit>
struct bit_panels {
  static constexpr index tile_cols = index{Unit::lanes} * Unit::registers;

  index n = 0;

  /// n rounded up to whole registers.
  [[nodiscard]] index padded() const noexcept {
    return (n + Unit::lanes - 1) / Unit::lanes * Unit::lanes;
  }
  /// Number of columns of the panel that starts at `col`: a full panel, or one register near the
  /// end.
  [[nodiscard]] index cols(index col) const noexcept {
    return padded() - col >= tile_cols ? tile_cols : index{Unit::lanes};
  }
  /// The first column of the panel that column j belongs to.
  [[nodiscard]] index first_of(index j) const noexcept {
    const index first = j / tile_cols * tile_cols;
    return cols(first) == tile_cols ? first : j / Unit::lanes * Unit::lanes;
  }
};

/// Packs rows begin .. end - 1 of W into memory that is zero.
template <class W, class Rule, class Unit>
void pack_panels(const typename W::code* codes, index stride, index k,
                 const bit_panels<Unit>& panels, index begin, index end,
                 std::uint64_t* to) noexcept {
  if (k == 0) return;
  const index words = words_of(k);
  for (index j = begin; j < end; ++j) {
    const index first = panels.first_of(j), width = panels.cols(first);
    pack_row<W, Unit, Rule>(codes + j * stride, k, to + first * W::planes * words + (j - first),
                            words * width, width);
  }
}

/// Weights as the loop reads them, without their formats: passes, extents, words.
struct bit_operands {
  std::span<const plane_pass> passes;
  bool ends_negated;
  index lhs_planes;
  index rhs_planes;
  const std::uint64_t* words;
  index words_per_plane;  // of a column or a row
  index n;
  std::int32_t start;
};

}  // namespace detail

/// W (n x k codes of format W, one output channel per row) for activations of format A.
///
/// Memory: W::planes * n * k / 8 bytes, k rounded up to 64 and n to whole registers.
template <BitFormat A, BitFormat W, class Unit = default_bit_unit<>>
class plane_weights : public viewable_weights<plane_weights<A, W, Unit>> {
 public:
  using lhs_format = A;
  using rhs_format = W;
  using unit = Unit;
  using rule = typename detail::rule_of<A, W>::type;
  using code = typename W::code;

  /// The deepest k whose sums always fit int32.
  static constexpr index max_depth =
      std::numeric_limits<std::int32_t>::max() / (index{A::largest} * W::largest);

  plane_weights() noexcept = default;

  /// Packs W.
  ///
  /// @param w  n x k codes; an expression or a column-major matrix is evaluated once
  /// @param executor  packs the panels; the result does not depend on it
  /// @throws fewbit::error if a code is not in the format (the sentence names its row and column),
  ///         or if k is above max_depth
  template <Executor E = inline_executor>
  explicit plane_weights(const Eigen::Ref<const row_matrix<code>>& w, const E& executor = {})
      : panels_{w.rows()}, k_(w.cols()) {
    fewbit::detail::expect_data("pack_planes", "w", w);
    fewbit::detail::expect(k_ <= max_depth, "pack_planes", "depth", k_,
                           "at most " + std::to_string(max_depth));
    detail::expect_codes_of<W>("pack_planes", "w", w);
    words_ = aligned_buffer<std::uint64_t>(number_of_words());
    // Each piece is one full panel or all narrow panels. Panels share no word.
    constexpr index tile_cols = detail::bit_panels<Unit>::tile_cols;
    executor.for_each((n() + tile_cols - 1) / tile_cols, [&](index piece) {
      const index begin = piece * tile_cols, end = std::min(n(), begin + tile_cols);
      detail::pack_panels<W, rule>(w.data(), w.outerStride(), k_, panels_, begin, end,
                                   words_.writable());
    });
  }

  [[nodiscard]] index n() const noexcept { return panels_.n; }
  [[nodiscard]] index k() const noexcept { return k_; }

  /// Bytes held, or referred to by a view.
  [[nodiscard]] index bytes() const noexcept { return words_.bytes(); }

  /// The weights as the loop reads them.
  [[nodiscard]] detail::bit_operands operands() const noexcept {
    static constexpr auto pairs = detail::passes_of<A, W>();
    constexpr bool from_depth = rule::starts_from == detail::sum_start::depth;
    const index start = from_depth ? k_ * A::largest * W::largest : 0;
    return {{pairs.passes.data(), static_cast<std::size_t>(pairs.count)},
            pairs.ends_negated,
            A::planes,
            W::planes,
            words_.data(),
            detail::words_of(k_),
            n(),
            static_cast<std::int32_t>(start)};
  }

 private:
  friend class viewable_weights<plane_weights>;

  static constexpr detail::image_form form_of_image{
      "plane_weights",
      4,
      0,
      {{{"number of planes of a weight", W::planes},
        {"largest magnitude of a weight", W::largest},
        {"number of the code of the format", detail::number_of_format<W>},
        {"number of columns of a register", Unit::lanes},
        {"number of registers of a panel", Unit::registers},
        {"least number of words that are stored as parities",
         detail::uses_parities<Unit, rule> ? Unit::least_parities : 0}}}};

  [[nodiscard]] detail::image_parameters parameters_of_image() const noexcept { return {}; }

  void read_parameters(const detail::image_reader& in) {
    in.expect_range("depth", in.k(), 1, max_depth);
    panels_ = {in.n()};
    k_ = in.k();
  }

  template <class Self, class F>
  static void for_each_array(Self& self, const F& f) {
    f(self.words_, self.number_of_words());
  }

  [[nodiscard]] index number_of_words() const noexcept {
    return panels_.padded() * W::planes * detail::words_of(k_);
  }

  detail::bit_panels<Unit> panels_;
  index k_ = 0;
  stored_array<std::uint64_t> words_;
};

/// Packs W for activations of format A on an instruction set:
/// `pack_planes<binary_bits, binary_bits>(w)`.
///
/// @param w         n x k codes of format W
/// @param executor  packs the panels; the result does not depend on it
/// @throws fewbit::error if w has no rows or no columns, and as the constructor of plane_weights
template <BitFormat A, BitFormat W, class Arch = arch::native, Executor Workers = inline_executor>
[[nodiscard]] plane_weights<A, W, default_bit_unit<Arch>> pack_planes(
    const Eigen::Ref<const row_matrix<typename W::code>>& w, const Workers& executor = {}) {
  fewbit::detail::expect_elements("pack_planes", "w", w);
  return plane_weights<A, W, default_bit_unit<Arch>>(w, executor);
}

}}}  // namespace fewbit::gemm

#include "fewbit/end.hpp"
