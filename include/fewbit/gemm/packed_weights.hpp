#pragma once
/// Weights in the order in which the micro-kernel reads them, packed once.
///
/// Weights are packed here; the loops are in gemm/micro_kernel.hpp and gemm/multiply.hpp. The order
/// is [panel][block of k][step][column][depth]: a panel is tile::cols rows of W side by side, the
/// last ones narrower; each block of k is padded with zeros to whole steps, and columns beyond n
/// are zero.

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>

#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/gemm/kernel.hpp"
#include "fewbit/gemm/proof.hpp"
#include "fewbit/gemm/sum_of_codes.hpp"

namespace fewbit::inline FEWBIT_ARCH_NAMESPACE::gemm {

/// How k is cut: `blocks` blocks of `block_depth` (the last may be shorter), each padded to whole
/// steps of `Depth`.
template <int Depth>
class depth_layout {
 public:
  depth_layout() noexcept = default;
  depth_layout(index k, index block_depth) noexcept
      : k_(k),
        block_depth_(block_depth > 0 && block_depth < k ? block_depth : std::max(k, index{1})),
        blocks_(std::max((k + block_depth_ - 1) / block_depth_, index{1})),
        padded_((blocks_ - 1) * padded_block() + steps(blocks_ - 1) * Depth) {}

  [[nodiscard]] index k() const noexcept { return k_; }
  [[nodiscard]] index block_depth() const noexcept { return block_depth_; }
  [[nodiscard]] index blocks() const noexcept { return blocks_; }
  [[nodiscard]] index depth_of(index block) const noexcept {
    return std::min(block_depth_, k_ - block * block_depth_);
  }
  [[nodiscard]] index steps(index block) const noexcept {
    return (depth_of(block) + Depth - 1) / Depth;
  }
  /// k rounded up block by block: packed codes of one column.
  [[nodiscard]] index padded() const noexcept { return padded_; }
  /// Where a block begins in the packed codes of one column.
  [[nodiscard]] index padded_begin(index block) const noexcept { return block * padded_block(); }

 private:
  [[nodiscard]] index padded_block() const noexcept {
    return (block_depth_ + Depth - 1) / Depth * Depth;
  }

  index k_ = 0;
  index block_depth_ = 1;
  index blocks_ = 1;
  index padded_ = 0;
};

/// W (n x k, one output channel per row, codes -128..127) packed for activations of type Lhs.
///
/// Memory: n * k codes, padded to whole steps and registers, and one int32 per column.
///
/// On AVX2 weights decide how fast a product is (gemm/proof.hpp). Who knows that activations stay
/// small may say so: with `largest_activation` 127 almost all weights take the fast ways, with 255
/// those that are small themselves.
template <class Lhs, class Kernel = default_kernel<Lhs>>
class packed_weights {
 public:
  using kernel_type = Kernel;
  using unit = typename Kernel::unit;
  using rhs_code = typename unit::rhs_code;
  using layout_type = depth_layout<unit::depth>;

  packed_weights() noexcept = default;

  /// Packs W.
  ///
  /// @param w            n x k; an expression or a column-major matrix is evaluated once
  /// @param block_depth  codes of k that a block stage gets the sums of; 0: all of k is one block
  /// @param largest_activation  multiply() will get codes of 0 to this, or, where they are signed,
  ///         from -this - 1 on; asserted there
  /// @throws fewbit::error if the depth of one sum, min(k, block_depth), is above
  ///         Kernel::max_depth, where int32 could overflow, if block_depth is negative, or if
  ///         largest_activation is no code of Lhs
  template <Executor E = inline_executor>
  explicit packed_weights(const Eigen::Ref<const row_matrix<std::int8_t>>& w, index block_depth = 0,
                          const E& executor = {}, index largest_activation = largest_code<Lhs>) {
    fewbit::detail::expect(block_depth >= 0, "pack", "block_depth", block_depth, "0 or more");
    fewbit::detail::expect(largest_activation >= 0 && largest_activation <= largest_code<Lhs>,
                           "pack", "largest_activation", largest_activation,
                           "0 to " + std::to_string(largest_code<Lhs>));
    const layout_type layout(w.cols(), block_depth);
    const index deepest = std::min(layout.block_depth(), w.cols());
    fewbit::detail::expect(deepest <= Kernel::max_depth, "pack",
                           layout.blocks() == 1 ? "depth" : "block_depth", deepest,
                           "at most " + std::to_string(Kernel::max_depth));
    n_ = w.rows();
    layout_ = layout;
    largest_activation_ = largest_activation;
    codes_ = aligned_buffer<rhs_code>(padded_n() * layout.padded());
    sums_ = aligned_buffer<std::int32_t>(keeps_sums() ? padded_n() * layout.blocks() : 0);
    executor.for_each(padded_n() / Kernel::narrow_cols,
                      [&](index i) { pack_columns(w, i * Kernel::narrow_cols); });
    if constexpr (detail::Proving<unit>) prove(executor);
  }

  [[nodiscard]] index n() const noexcept { return n_; }
  [[nodiscard]] index k() const noexcept { return layout_.k(); }
  /// n in whole registers, or in whole tiles where a unit with proofs wastes little by it: on a
  /// Sapphire Rapids, narrow tiles among wide ones slow both down, (128,1024,1024) by a fifteenth.
  [[nodiscard]] index padded_n() const noexcept {
    const auto padded_to = [&](index cols) { return (n_ + cols - 1) / cols * cols; };
    const index registers = padded_to(Kernel::narrow_cols), tiles = padded_to(Kernel::tile::cols);
    return detail::Proving<unit> && tiles - registers <= n_ / 32 ? tiles : registers;
  }
  [[nodiscard]] const layout_type& layout() const noexcept { return layout_; }

  /// The largest activation code that multiply() may be given.
  [[nodiscard]] index largest_activation() const noexcept { return largest_activation_; }

  /// What is proven of the panel whose first column is `col`.
  [[nodiscard]] proof proven(index col) const noexcept requires detail::Proving<unit> {
    return proofs_[col / Kernel::narrow_cols];
  }

  /// sum over k of w(j, k) for each column j of C; empty when k is cut into several blocks.
  [[nodiscard]] std::span<const std::int32_t> column_sums() const noexcept {
    if (layout_.blocks() != 1) return {};
    return {sums_.data(), static_cast<std::size_t>(n_)};
  }

  /// Sums of one block for the columns from `col` on, padded to whole registers; nullptr where the
  /// unit does not need them.
  [[nodiscard]] const std::int32_t* block_sums(index block, index col) const noexcept {
    if constexpr (unit::lhs_offset == 0) {
      return nullptr;
    } else {
      return sums_.data() + block * padded_n() + col;
    }
  }

  /// Codes of the panel whose first column is `col`.
  [[nodiscard]] const rhs_code* panel(index col) const noexcept {
    return codes_.data() + col * layout_.padded();
  }

  /// Columns of the panel that begins at `col`: tile::cols, or narrow_cols near the end.
  [[nodiscard]] index panel_cols(index col) const noexcept {
    return padded_n() - col >= Kernel::tile::cols ? index{Kernel::tile::cols}
                                                  : index{Kernel::narrow_cols};
  }

  /// Columns in panels of tile::cols, before the narrow ones.
  [[nodiscard]] index wide_cols() const noexcept {
    return padded_n() / Kernel::tile::cols * Kernel::tile::cols;
  }

  /// Bytes held: codes and sums.
  [[nodiscard]] index bytes() const noexcept {
    return codes_.size() * index{sizeof(rhs_code)} + sums_.size() * index{sizeof(std::int32_t)};
  }

 private:
  [[nodiscard]] bool keeps_sums() const noexcept {
    return unit::lhs_offset != 0 || layout_.blocks() == 1;
  }

  /// Proves each panel what can be proven; blocks of k are summed one by one without a proof.
  template <class E>
  void prove(const E& executor) {
    const detail::proof_bounds bounds(largest_activation_ +
                                      detail::unsigned_shift<Lhs>(largest_activation_));
    proofs_ = detail::panel_proofs(padded_n() / Kernel::narrow_cols);
    if (layout_.blocks() != 1) return;
    executor.for_each(padded_n() / Kernel::narrow_cols, [&](index i) {
      const index col = i * Kernel::narrow_cols;
      if (col < wide_cols() && col % Kernel::tile::cols != 0) return;
      proofs_.set(
          i, detail::proof_of(panel(col), layout_.steps(0), panel_cols(col) * unit::depth, bounds));
    });
  }

  /// Packs narrow_cols columns that begin at `first`; a full panel is packed by several such calls.
  void pack_columns(const Eigen::Ref<const row_matrix<std::int8_t>>& w, index first) {
    const index panel_first =
        first < wide_cols() ? first / Kernel::tile::cols * Kernel::tile::cols : first;
    const index width = panel_cols(panel_first);
    rhs_code* codes = codes_.data() + panel_first * layout_.padded();
    const index count = std::min(n_ - first, index{Kernel::narrow_cols});
    for (index block = 0; block < layout_.blocks(); ++block) {
      rhs_code* to =
          codes + layout_.padded_begin(block) * width + (first - panel_first) * unit::depth;
      std::int32_t* sums = keeps_sums() ? sums_.data() + block * padded_n() + first : nullptr;
      const std::int8_t* from = w.data() + first * w.outerStride() + block * layout_.block_depth();
      for (index k = 0; k < layout_.depth_of(block); k += chunk) {
        const index codes_left = std::min(chunk, layout_.depth_of(block) - k);
        pack_chunk(from + k, w.outerStride(), count, codes_left, width, to + k * width, sums);
      }
    }
  }

  /// Spreads up to `chunk` codes of `count` columns over their steps. They are gathered in a buffer
  /// first: rows of W may lie a power of two apart, and only 8 such lines fit the L1 cache.
  static void pack_chunk(const std::int8_t* from, index stride, index count, index codes,
                         index width, rhs_code* to, std::int32_t* sums) {
    alignas(64) std::int8_t gathered[Kernel::narrow_cols * chunk];
    for (index j = 0; j < count; ++j) {
      std::int8_t* row = gathered + j * chunk;
      if (codes < chunk) std::fill(row + codes, row + chunk, std::int8_t{0});
      std::copy_n(from + j * stride, codes, row);
      if (sums != nullptr) sums[j] += sum_of_codes(row, codes);
    }
    for (index k = 0; k < codes; k += unit::depth, to += width * unit::depth) {
      for (index j = 0; j < count; ++j)
        std::copy_n(gathered + j * chunk + k, unit::depth, to + j * unit::depth);
    }
  }

  /// Codes of a column that are packed at a time: whole steps, about a cache line.
  static constexpr index chunk = std::max(64 / unit::depth, 1) * unit::depth;

  struct empty {};

  index n_ = 0;
  layout_type layout_;
  aligned_buffer<rhs_code> codes_;
  aligned_buffer<std::int32_t> sums_;
  index largest_activation_ = largest_code<Lhs>;
  [[no_unique_address]] std::conditional_t<detail::Proving<unit>, detail::panel_proofs, empty>
      proofs_;
};

/// Packs W for activations of type Lhs on an instruction set: `pack<std::uint8_t>(w)`.
/// @throws fewbit::error as the constructor of packed_weights does
template <class Lhs, class Arch = arch::native>
[[nodiscard]] packed_weights<Lhs, default_kernel<Lhs, Arch>> pack(
    const Eigen::Ref<const row_matrix<std::int8_t>>& w, index block_depth = 0,
    index largest_activation = largest_code<Lhs>) {
  return packed_weights<Lhs, default_kernel<Lhs, Arch>>(w, block_depth, inline_executor{},
                                                        largest_activation);
}

}  // namespace fewbit::inline FEWBIT_ARCH_NAMESPACE::gemm
