#pragma once
/// Weights of few bits as indices into tables of sums of activations. They are packed once.
///
/// Bit p of four neighbouring codes of k is an index into a table of 16 sums
/// (gemm/lookup/multiply.hpp). A byte holds the bits of eight codes of a column; its low half is
/// the index of the first four. The order is [block of k][panel][plane][byte of k][column]. A panel
/// has Unit::lanes columns. Column j of its first half is in byte 2 j, and column j of its second
/// half is in byte 2 j + 1, so sums of pairs of bytes are in the order of the columns. Columns from
/// n on and bits from k on are zero.
///
/// Example: W is 2 x 5 of unsigned_bits<2>, the scalar unit. A panel has 8 columns; one byte holds
/// all five codes of a plane. Bytes that are not listed are 0.
///
///     W = | 0 1 2 3 1 |      byte      0     2     8    10
///         | 3 2 1 0 2 |      plane     0     0     1     1
///                            column    0     1     0     1
///                            value    1A    05    0C    13      (1A: index 10, then index 1)
///
/// Read before: gemm/bit_planes/formats.hpp. Read next: gemm/lookup/multiply.hpp (the product).

#include "fewbit/begin.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <string>

#include "fewbit/arch/all.hpp"
#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/stored_array.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/gemm/bit_planes/formats.hpp"
#include "fewbit/gemm/bit_planes/lhs.hpp"
#include "fewbit/gemm/bit_planes/rules.hpp"
#include "fewbit/gemm/tuning.hpp"
#include "fewbit/gemm/weights_image.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm {

namespace detail {

template <class Arch>
struct table_unit_of {
  static_assert(Arch::compiled,
                "fewbit: this arch is not compiled in; add its -m flag, or use arch::native");
  using type = typename arch::table_unit<Arch>::type;
};

}  // namespace detail

/// The unit of an instruction set for products by table lookup.
template <class Arch = arch::native>
using default_table_unit = typename detail::table_unit_of<Arch>::type;

namespace detail {

/// A code of format W is offset + sum over planes p of factors[p] * bit p.
template <int Planes>
struct plane_factors {
  std::int32_t offset;
  std::array<std::int32_t, std::size_t{Planes}> factors;

  [[nodiscard]] constexpr std::int32_t sum() const noexcept {
    std::int32_t total = 0;
    for (const std::int32_t f : factors) total += f;
    return total;
  }
};

template <class W>
constexpr plane_factors<W::planes> factors_of() noexcept {
  plane_factors<W::planes> of{};
  for (int p = 0; p < W::planes; ++p) {
    auto& factor = of.factors[static_cast<std::size_t>(p)];
    if constexpr (TwosComplement<W>) {
      factor = W::is_signed && p == W::planes - 1 ? -(1 << p) : 1 << p;
    } else {
      factor = -(2 << p);
    }
  }
  if constexpr (!TwosComplement<W>) of.offset = W::largest;
  return of;
}

inline constexpr index codes_of_index = 4;
inline constexpr index codes_of_byte = 2 * codes_of_index;

}  // namespace detail

/// W (n x k codes of format W, one output channel per row) for activations of format A, which is a
/// two's complement format (int8 is signed_bits<8>).
///
/// Memory: W::planes * n * k / 8 bytes, k rounded up to 8 and n to whole panels.
template <TwosComplement A, BitFormat W, class Unit = default_table_unit<>>
class table_weights : public viewable_weights<table_weights<A, W, Unit>> {
 public:
  using lhs_format = A;
  using rhs_format = W;
  using unit = Unit;
  using code = typename W::code;

  /// The deepest k whose sums always fit int32.
  static constexpr index max_depth =
      std::numeric_limits<std::int32_t>::max() / (index{A::largest} * W::largest);

  table_weights() noexcept = default;

  /// Packs W.
  ///
  /// @param w  n x k codes; an expression or a column-major matrix is evaluated once
  /// @param executor  packs the panels; the result does not depend on it
  /// @throws fewbit::error if a code is not in the format (the sentence names its row and column),
  ///         or if k is above max_depth
  template <Executor E = inline_executor>
  explicit table_weights(const Eigen::Ref<const row_matrix<code>>& w, const E& executor = {})
      : n_(w.rows()), k_(w.cols()) {
    fewbit::detail::expect_data("pack_table", "w", w);
    fewbit::detail::expect(k_ <= max_depth, "pack_table", "depth", k_,
                           "at most " + std::to_string(max_depth));
    detail::expect_codes_of<W>("pack_table", "w", w);
    indices_ = aligned_buffer<std::uint8_t>(number_of_indices());
    // Panels share no byte.
    executor.for_each(panels(), [&](index panel) {
      for (index j = panel * Unit::lanes; j < std::min(n_, (panel + 1) * Unit::lanes); ++j)
        put_row(j, w.data() + j * w.outerStride());
    });
  }

  [[nodiscard]] index n() const noexcept { return n_; }
  [[nodiscard]] index k() const noexcept { return k_; }
  [[nodiscard]] index panels() const noexcept { return (n_ + Unit::lanes - 1) / Unit::lanes; }
  /// Number of bytes of a plane of a column.
  [[nodiscard]] index bytes_of_k() const noexcept {
    return (k_ + detail::codes_of_byte - 1) / detail::codes_of_byte;
  }

  /// The planes of a panel in the block of `bytes` bytes that starts at byte `first` of k.
  [[nodiscard]] const std::uint8_t* block(index first, index bytes, index panel) const noexcept {
    return indices_.data() + block_begin(first, bytes, panel);
  }

  /// Bytes held, or referred to by a view.
  [[nodiscard]] index bytes() const noexcept { return indices_.bytes(); }

 private:
  friend class viewable_weights<table_weights>;

  static constexpr detail::image_form form_of_image{
      "table_weights",
      5,
      0,
      {{{"number of planes of a weight", W::planes},
        {"largest magnitude of a weight", W::largest},
        {"number of the code of the format", detail::number_of_format<W>},
        {"number of columns of a panel", Unit::lanes},
        {"number of bytes of k of a block", detail::table_block}}}};

  [[nodiscard]] detail::image_parameters parameters_of_image() const noexcept { return {}; }

  void read_parameters(const detail::image_reader& in) {
    in.expect_range("depth", in.k(), 1, max_depth);
    n_ = in.n();
    k_ = in.k();
  }

  template <class Self, class F>
  static void for_each_array(Self& self, const F& f) {
    f(self.indices_, self.number_of_indices());
  }

  [[nodiscard]] index number_of_indices() const noexcept {
    return panels() * Unit::lanes * W::planes * bytes_of_k();
  }

  [[nodiscard]] index block_begin(index first, index bytes, index panel) const noexcept {
    return (first * panels() + panel * bytes) * W::planes * Unit::lanes;
  }

  /// Writes the codes of row j of W, a block of k at a time.
  void put_row(index j, const code* codes) noexcept {
    constexpr index half = Unit::lanes / 2, bytes_of_word = 8;
    constexpr index words = detail::table_block / bytes_of_word;
    static_assert(detail::table_block % bytes_of_word == 0);
    const index c = j % Unit::lanes, lane = c % half * 2 + c / half;
    for (index first = 0; first < bytes_of_k(); first += detail::table_block) {
      const index bytes = std::min(detail::table_block, bytes_of_k() - first);
      const index k = first * detail::codes_of_byte;
      std::uint64_t planes[W::planes * words];
      detail::pack_row<W, default_bit_unit<>, detail::and_rule>(
          codes + k, std::min(k_ - k, bytes * detail::codes_of_byte), &planes[0], words, 1);
      std::uint8_t* to = indices_.writable() + block_begin(first, bytes, j / Unit::lanes) + lane;
      for (int p = 0; p < W::planes; ++p) {
        for (index i = 0; i < bytes; ++i, to += Unit::lanes) {
          const std::uint64_t word = planes[p * words + i / bytes_of_word];
          *to = static_cast<std::uint8_t>(word >> i % bytes_of_word * 8);
        }
      }
    }
  }

  index n_ = 0;
  index k_ = 0;
  stored_array<std::uint8_t> indices_;
};

/// Packs W for activations of format A on an instruction set:
/// `pack_table<signed_bits<8>, ternary_bits>(w)`.
///
/// @param w         n x k codes of format W
/// @param executor  packs the panels; the result does not depend on it
/// @throws fewbit::error if w has no rows or no columns, and as the constructor of table_weights
template <TwosComplement A, BitFormat W, class Arch = arch::native,
          Executor Workers = inline_executor>
[[nodiscard]] table_weights<A, W, default_table_unit<Arch>> pack_table(
    const Eigen::Ref<const row_matrix<typename W::code>>& w, const Workers& executor = {}) {
  fewbit::detail::expect_elements("pack_table", "w", w);
  return table_weights<A, W, default_table_unit<Arch>>(w, executor);
}

}}}  // namespace fewbit::gemm

#include "fewbit/end.hpp"
