#pragma once
/// Weights of 8 bits in the order in which the micro-kernel reads them. They are packed once.
///
/// The order is [panel][block of k][step][column][depth]. A panel is tile::cols rows of W side by
/// side; the last panels are narrower. Each block of k is padded with zeros to whole steps. Columns
/// from n on are zero.
///
/// Example: W is 2 x 5, u8 activations, the scalar unit. A panel has 8 columns, a step has 2 codes
/// of k, so each step takes 16 bytes. Bytes that are not listed are 0.
///
///     W = |  1  2  3  4  5 |      byte    0  1  2  3 | 16 17 18 19 | 32 33 34 35
///         | -1 -2 -3 -4 -5 |      code    1  2 -1 -2 |  3  4 -3 -4 |  5  0 -5  0
///                                 column  0  0  1  1 |  0  0  1  1 |  0  0  1  1
///                                 k       0  1  0  1 |  2  3  2  3 |  4  -  4  -
///
/// Read next: gemm/int8/micro_kernel.hpp (the loop), gemm/int8/multiply.hpp (the product).

#include "fewbit/begin.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

#include "fewbit/arch/memory.hpp"
#include "fewbit/arch/transpose.hpp"
#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/stored_array.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/gemm/int8/kernel.hpp"
#include "fewbit/gemm/int8/micro_kernel.hpp"
#include "fewbit/gemm/int8/panel_layout.hpp"
#include "fewbit/gemm/int8/saturation_proof.hpp"
#include "fewbit/gemm/tuning.hpp"
#include "fewbit/gemm/weights_image.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm {

/// W (n x k, one output channel per row, codes -128..127) packed for activations of type Lhs.
///
/// Memory: n * k codes, padded to whole steps and registers, and one int32 per column.
///
/// On AVX2 the weights decide which instructions are exact (gemm/int8/saturation_proof.hpp). A
/// smaller `largest_activation` lets more panels take the fast instructions: with 127 almost all
/// weights, with 255 only small weights.
template <class Lhs, class Kernel = default_kernel<Lhs>>
class int8_weights : public viewable_weights<int8_weights<Lhs, Kernel>> {
 public:
  using kernel_type = Kernel;
  using unit = typename Kernel::unit;
  using rhs_code = typename unit::rhs_code;
  using layout_type = depth_layout<unit::depth>;

  /// The deepest sum that always fits int32.
  static constexpr index max_depth = Kernel::max_depth;

  int8_weights() noexcept = default;

  /// Packs W.
  ///
  /// @param w            n x k; an expression or a column-major matrix is evaluated once
  /// @param block_depth  number of codes of k in a block, for a block stage; 0: all of k is one
  ///                     block
  /// @param executor     packs the panels; the result does not depend on it
  /// @param largest_activation  multiply() accepts codes 0 .. largest_activation, or, if Lhs is
  ///                            signed, -largest_activation - 1 .. largest_activation; asserted
  ///                            there
  /// @throws fewbit::error if min(k, block_depth) is above Kernel::max_depth, where int32 could
  ///         overflow; if block_depth is negative; or if largest_activation is not a code of Lhs
  template <Executor E = inline_executor>
  explicit int8_weights(const Eigen::Ref<const row_matrix<std::int8_t>>& w, index block_depth = 0,
                        const E& executor = {}, index largest_activation = largest_code<Lhs>) {
    fewbit::detail::expect_data("pack_int8", "w", w);
    fewbit::detail::expect(block_depth >= 0, "pack_int8", "block_depth", block_depth, "0 or more");
    fewbit::detail::expect(largest_activation >= 0 && largest_activation <= largest_code<Lhs>,
                           "pack_int8", "largest_activation", largest_activation,
                           "0 to " + std::to_string(largest_code<Lhs>));
    const layout_type layout(w.cols(), block_depth);
    const index deepest = std::min(layout.block_depth(), w.cols());
    fewbit::detail::expect(deepest <= Kernel::max_depth, "pack_int8",
                           layout.blocks() == 1 ? "depth" : "block_depth", deepest,
                           "at most " + std::to_string(Kernel::max_depth));
    panels_ = panel_layout<Kernel>(w.rows());
    layout_ = layout;
    largest_activation_ = largest_activation;
    codes_ = aligned_buffer<rhs_code>(padded_n() * layout.padded(), for_overwrite);
    sums_ = aligned_buffer<std::int32_t>(number_of_sums());
    const index wide = wide_cols() / Kernel::tile::cols;
    executor.for_each(wide + (padded_n() - wide_cols()) / Kernel::edge_cols, [&](index i) {
      pack_panel(w,
                 i < wide ? i * Kernel::tile::cols : wide_cols() + (i - wide) * Kernel::edge_cols);
    });
    if constexpr (detail::Proving<unit>) prove(executor);
  }

  [[nodiscard]] index n() const noexcept { return panels_.n(); }
  [[nodiscard]] index k() const noexcept { return layout_.k(); }
  /// n rounded up to whole registers or tiles (panel_layout).
  [[nodiscard]] index padded_n() const noexcept { return panels_.padded_n(); }
  [[nodiscard]] const layout_type& layout() const noexcept { return layout_; }

  /// The largest activation code that multiply() may be given.
  [[nodiscard]] index largest_activation() const noexcept { return largest_activation_; }

  /// The proof of the panel whose first column is `col`.
  [[nodiscard]] saturation_proof proven(index col) const noexcept
    requires detail::Proving<unit>
  {
    return proofs_.data()[col / Kernel::edge_cols];
  }

  /// The limits of each block of proof_depth codes of k of the panel whose first column is `col`.
  /// With col = padded_n(): the smallest and the largest limits of pairs of all panels.
  [[nodiscard]] detail::panel_limits limits(index col) const noexcept
    requires detail::Proving<unit>
  {
    const std::uint8_t* pairs = limits_.data() + panel_number(col) * 2 * proof_blocks();
    return {pairs, pairs + proof_blocks()};
  }

  /// The sum over k of w(j, k) for each column j of C. Empty if k has several blocks.
  [[nodiscard]] std::span<const std::int32_t> column_sums() const noexcept {
    if (layout_.blocks() != 1) return {};
    return {sums_.data(), static_cast<std::size_t>(n())};
  }

  /// The sums of one block for the columns from `col` on, padded to whole registers. nullptr if the
  /// unit does not need them.
  [[nodiscard]] const std::int32_t* block_sums(index block, index col) const noexcept {
    if constexpr (unit::lhs_offset == 0) {
      return nullptr;
    } else {
      return sums_.data() + block * padded_n() + col;
    }
  }

  /// The codes of the panel whose first column is `col`.
  [[nodiscard]] const rhs_code* panel(index col) const noexcept {
    return codes_.data() + col * layout_.padded();
  }

  /// The number of columns of the panel that starts at `col`: tile::cols, or edge_cols near the
  /// end.
  [[nodiscard]] index panel_cols(index col) const noexcept { return panels_.panel_cols(col); }

  /// The number of columns in panels of tile::cols. Narrow panels follow.
  [[nodiscard]] index wide_cols() const noexcept { return panels_.wide_cols(); }

  /// Bytes held, or referred to by a view: codes and sums.
  [[nodiscard]] index bytes() const noexcept { return codes_.bytes() + sums_.bytes(); }
  /// Bytes beside them where units prove panels: a byte for each edge_cols columns, and two for
  /// each block of a panel.
  [[nodiscard]] index proof_bytes() const noexcept {
    if constexpr (detail::Proving<unit>) {
      return proofs_.bytes() + limits_.bytes();
    } else {
      return 0;
    }
  }

 private:
  friend class viewable_weights<int8_weights>;

  static constexpr detail::image_form form_of_image{
      "int8_weights",
      1,
      2,
      {{{"number of columns of a panel", Kernel::tile::cols},
        {"number of columns of a narrow panel", Kernel::edge_cols},
        {"number of codes of a step", unit::depth},
        {"number of bytes of a code", sizeof(rhs_code)},
        {"offset of the activations", unit::lhs_offset},
        {"number of codes of k that a proof covers",
         detail::Proving<unit> ? int{detail::proof_depth} : 0},
        {"largest code of the activations", std::int32_t{largest_code<Lhs>}}}}};

  [[nodiscard]] detail::image_parameters parameters_of_image() const noexcept {
    return {layout_.block_depth(), largest_activation_};
  }

  void read_parameters(const detail::image_reader& in) {
    const index block_depth = in.parameter(0, "block_depth", 1, in.k());
    in.expect_range(block_depth < in.k() ? "block_depth" : "depth", block_depth, 1, max_depth);
    largest_activation_ = in.parameter(1, "largest_activation", 0, largest_code<Lhs>);
    panels_ = panel_layout<Kernel>(in.n());
    layout_ = layout_type(in.k(), block_depth);
  }

  template <class Self, class F>
  static void for_each_array(Self& self, const F& f) {
    f(self.codes_, self.padded_n() * self.layout_.padded());
    f(self.sums_, self.number_of_sums());
    if constexpr (detail::Proving<unit>) {
      f(self.proofs_, self.number_of_proofs());
      f(self.limits_, self.number_of_limits());
    }
  }

  /// A proof that is none of the three would leave sums uninitialized.
  void expect_elements(const detail::image_reader& in) const
    requires detail::Proving<unit>
  {
    for (index i = 0; i < proofs_.size(); ++i) {
      if (proofs_.data()[i] <= saturation_proof::fours) continue;
      in.fail(fewbit::detail::item("proofs", i), static_cast<int>(proofs_.data()[i]), "0 to 2");
    }
  }

  [[nodiscard]] bool keeps_sums() const noexcept {
    return unit::lhs_offset != 0 || layout_.blocks() == 1;
  }
  [[nodiscard]] index number_of_sums() const noexcept {
    return keeps_sums() ? padded_n() * layout_.blocks() : 0;
  }
  [[nodiscard]] index number_of_proofs() const noexcept { return padded_n() / Kernel::edge_cols; }

  [[nodiscard]] index panel_number(index col) const noexcept {
    const index wide = std::min(col, wide_cols());
    return wide / Kernel::tile::cols + (col - wide) / Kernel::edge_cols;
  }
  [[nodiscard]] index proof_blocks() const noexcept {
    return (layout_.padded() + detail::proof_depth - 1) / detail::proof_depth;
  }
  [[nodiscard]] index number_of_limits() const noexcept {
    if (layout_.blocks() != 1) return 0;
    return (panel_number(padded_n()) + 1) * 2 * proof_blocks() + detail::compared_blocks;
  }

  /// Stores the limits of each block of each panel, and the strongest proof that holds for all
  /// activations of each panel. There are none if k has several blocks.
  template <class E>
  void prove(const E& executor) {
    proofs_ = aligned_buffer<saturation_proof>(number_of_proofs());
    limits_ = aligned_buffer<std::uint8_t>(number_of_limits());
    if (layout_.blocks() != 1) return;
    executor.for_each(number_of_proofs(), [&](index i) {
      const index col = i * Kernel::edge_cols;
      if (col < wide_cols() && col % Kernel::tile::cols != 0) return;
      proofs_.writable()[i] = prove_panel(col);
    });
    const index both = 2 * proof_blocks(), panels = panel_number(padded_n());
    std::uint8_t* least = limits_.writable() + panels * both;
    std::uint8_t* most = least + proof_blocks();
    std::fill_n(least, proof_blocks(), std::uint8_t{255});
    for (index p = 0; p < panels; ++p) {
      for (index i = 0; i < proof_blocks(); ++i) {
        const std::uint8_t limit = limits_.data()[p * both + i];
        least[i] = std::min(least[i], limit);
        most[i] = std::max(most[i], limit);
      }
    }
  }

  saturation_proof prove_panel(index col) noexcept {
    constexpr index most = detail::proof_depth / unit::depth;
    const index step_codes = panel_cols(col) * unit::depth, steps = layout_.steps(0);
    std::uint8_t* to = limits_.writable() + panel_number(col) * 2 * proof_blocks();
    detail::block_limits least;
    for (index step = 0; step < steps; step += most, ++to) {
      const detail::block_limits block = detail::limits_of(
          panel(col) + step * step_codes, std::min(most, steps - step), step_codes);
      to[0] = block.pairs;
      to[proof_blocks()] = block.fours;
      least.lower_to(block);
    }
    return least.proof(largest_activation_ + detail::unsigned_shift<Lhs>(largest_activation_));
  }

  /// Packs the panel that starts at column `first`, one chunk of k at a time. A chunk is
  /// contiguous: [step][column][depth].
  void pack_panel(const Eigen::Ref<const row_matrix<std::int8_t>>& w, index first) noexcept {
    const index width = panel_cols(first), count = std::min(n() - first, width);
    const index stride = w.outerStride();
    for (index block = 0; block < layout_.blocks(); ++block) {
      const std::int8_t* from = w.data() + first * stride + block * layout_.block_depth();
      rhs_code* to =
          codes_.writable() + first * layout_.padded() + layout_.padded_begin(block) * width;
      std::int32_t* sums = keeps_sums() ? sums_.writable() + block * padded_n() + first : nullptr;
      for (index k = 0; k < layout_.depth_of(block); k += chunk, to += chunk * width) {
        const index codes = std::min(chunk, layout_.depth_of(block) - k);
        spread(from + k, stride, count, codes, width, to);
        if (sums != nullptr) add_sums(to, codes, width, sums);
      }
    }
  }

  /// Writes `codes` codes of `count` columns to their steps. Missing codes and columns are zero.
  static void spread(const std::int8_t* from, index stride, index count, index codes, index width,
                     rhs_code* to) noexcept {
    constexpr index depth = unit::depth, cols = Kernel::edge_cols;
    if constexpr (steps_are_words) {
      if (codes == chunk && count == width) {
        for (index j = 0; j < width; ++j)
          arch::prefetch_to_l2(from + j * stride + detail::packed_ahead);
        for (index j = 0; j < width; j += cols)
          transpose_chunk(from + j * stride, stride, width, to + j * depth);
        return;
      }
    }
    std::fill_n(to, (codes + depth - 1) / depth * width * depth, rhs_code{0});
    for (index j = 0; j < count; ++j) {
      for (index k = 0; k < codes; ++k)
        to[(k / depth * width + j) * depth + k % depth] = from[j * stride + k];
    }
  }

  /// Transposes a chunk of edge_cols columns in squares of words. A word holds the codes of a
  /// column in one step.
  static void transpose_chunk(const std::int8_t* from, index stride, index width,
                              rhs_code* to) noexcept {
    constexpr int cols = Kernel::edge_cols, depth = unit::depth;
    using word = std::conditional_t<depth * sizeof(rhs_code) == 8, std::uint64_t, std::uint32_t>;
    for (index k = 0; k < chunk; k += cols * depth) {
      arch::vec<word, cols> words[cols];
#pragma GCC unroll 32
      for (int j = 0; j < cols; ++j) {
        const auto codes = arch::convert<rhs_code>(
            arch::vec<std::int8_t, cols * depth>::load(from + j * stride + k));
        std::memcpy(&words[j].data, &codes.data, sizeof(words[j]));
      }
      arch::transpose(words);
#pragma GCC unroll 32
      for (int step = 0; step < cols; ++step)
        std::memcpy(to + (k + step * depth) * width, &words[step].data, sizeof(words[step]));
    }
  }

  /// Adds the sum over k of w(j, k) for each column j of a packed chunk. Computed as a product with
  /// ones.
  static void add_sums(const rhs_code* packed, index codes, index width,
                       std::int32_t* sums) noexcept {
    using dots = typename unit::dots;
    using lhs_code = typename unit::lhs_code;
    static constexpr auto ones = [] {
      std::array<lhs_code, chunk * unit::rows> row;
      row.fill(lhs_code{1});
      return row;
    }();
    alignas(64) std::int32_t chunk_sums[unit::rows * Kernel::tile::cols];
    const index depth = (codes + unit::depth - 1) / unit::depth * unit::depth;
    const detail::tile_run<dots> run{ones.data(), 0, packed, 0, depth, nullptr, nullptr, 1, 1};
    const detail::store_sums<dots> sink{&chunk_sums[0], width};
    detail::prefetcher nothing;
    if (width == Kernel::tile::cols) {
      detail::sum_rows<dots, 1, Kernel::col_registers>(1, run, 0, nothing, sink);
    } else {
      detail::sum_rows<dots, 1, Kernel::edge_registers>(1, run, 0, nothing, sink);
    }
    for (index j = 0; j < width; ++j) sums[j] += chunk_sums[j];
  }

  static constexpr bool steps_are_words =
      (unit::depth * sizeof(rhs_code) == 4 || unit::depth * sizeof(rhs_code) == 8) &&
      std::has_single_bit(static_cast<unsigned>(Kernel::edge_cols)) && Kernel::edge_cols > 1;

  /// Number of codes of a column that are packed at a time: a cache line, or a square of words.
  static constexpr index chunk =
      index{unit::depth} * Kernel::edge_cols *
      std::max(index{arch::cache_line} / (unit::depth * Kernel::edge_cols), index{1});

  struct empty {};

  panel_layout<Kernel> panels_;
  layout_type layout_;
  stored_array<rhs_code> codes_;
  stored_array<std::int32_t> sums_;
  index largest_activation_ = largest_code<Lhs>;
  [[no_unique_address]] std::conditional_t<detail::Proving<unit>, stored_array<saturation_proof>,
                                           empty>
      proofs_;
  struct no_limits {};
  [[no_unique_address]] std::conditional_t<detail::Proving<unit>, stored_array<std::uint8_t>,
                                           no_limits>
      limits_;
};

/// Packs W for activations of type Lhs on an instruction set: `pack_int8<std::uint8_t>(w)`.
///
/// @param w            n x k codes, -128 .. 127
/// @param block_depth, largest_activation  as in the constructor of int8_weights
/// @param executor     packs the panels; the result does not depend on it
/// @throws fewbit::error if w has no rows or no columns, and as the constructor of int8_weights
template <class Lhs, class Arch = arch::native, Executor Workers = inline_executor>
[[nodiscard]] int8_weights<Lhs, default_kernel<Lhs, Arch>> pack_int8(
    const Eigen::Ref<const row_matrix<std::int8_t>>& w, index block_depth = 0,
    index largest_activation = largest_code<Lhs>, const Workers& executor = {}) {
  fewbit::detail::expect_elements("pack_int8", "w", w);
  return int8_weights<Lhs, default_kernel<Lhs, Arch>>(w, block_depth, executor, largest_activation);
}

}}}  // namespace fewbit::gemm

#include "fewbit/end.hpp"
