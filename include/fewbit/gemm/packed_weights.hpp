#pragma once
/// Weights in the order in which the micro-kernel reads them, packed once.
///
/// Weights are packed here; the loops are in gemm/micro_kernel.hpp and gemm/multiply.hpp. The order
/// is [panel][block of k][step][column][depth]: a panel is tile::cols rows of W side by side, the
/// last ones narrower; each block of k is padded with zeros to whole steps, and columns beyond n
/// are zero.

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
#include "fewbit/core/types.hpp"
#include "fewbit/gemm/kernel.hpp"
#include "fewbit/gemm/micro_kernel.hpp"
#include "fewbit/gemm/proof.hpp"

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
    codes_ = aligned_buffer<rhs_code>(padded_n() * layout.padded(), for_overwrite);
    sums_ = aligned_buffer<std::int32_t>(keeps_sums() ? padded_n() * layout.blocks() : 0);
    const index wide = wide_cols() / Kernel::tile::cols;
    executor.for_each(wide + (padded_n() - wide_cols()) / Kernel::narrow_cols, [&](index i) {
      pack_panel(
          w, i < wide ? i * Kernel::tile::cols : wide_cols() + (i - wide) * Kernel::narrow_cols);
    });
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

  /// Packs the panel that begins at column `first`, a chunk of k at a time: [step][column][depth]
  /// of a chunk lie side by side.
  void pack_panel(const Eigen::Ref<const row_matrix<std::int8_t>>& w, index first) noexcept {
    const index width = panel_cols(first), count = std::min(n_ - first, width);
    const index stride = w.outerStride();
    for (index block = 0; block < layout_.blocks(); ++block) {
      const std::int8_t* from = w.data() + first * stride + block * layout_.block_depth();
      rhs_code* to = codes_.data() + first * layout_.padded() + layout_.padded_begin(block) * width;
      std::int32_t* sums = keeps_sums() ? sums_.data() + block * padded_n() + first : nullptr;
      for (index k = 0; k < layout_.depth_of(block); k += chunk, to += chunk * width) {
        const index codes = std::min(chunk, layout_.depth_of(block) - k);
        spread(from + k, stride, count, codes, width, to);
        if (sums != nullptr) add_sums(to, codes, width, sums);
      }
    }
  }

  /// Spreads `codes` codes of `count` columns over their steps; what is missing is zero.
  static void spread(const std::int8_t* from, index stride, index count, index codes, index width,
                     rhs_code* to) noexcept {
    constexpr index depth = unit::depth, cols = Kernel::narrow_cols;
    if constexpr (steps_are_words) {
      if (codes == chunk && count == width) {
        for (index j = 0; j < width; ++j) arch::prefetch_to_l2(from + j * stride + packed_ahead);
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

  /// A chunk of narrow_cols columns: squares of words, each the codes of a column in one step.
  static void transpose_chunk(const std::int8_t* from, index stride, index width,
                              rhs_code* to) noexcept {
    constexpr int cols = Kernel::narrow_cols, depth = unit::depth;
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

  /// Adds sum over k of w(j, k) for each column j of a packed chunk: its product with ones.
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
      detail::sum_rows<dots, 1, Kernel::narrow_registers>(1, run, 0, nothing, sink);
    }
    for (index j = 0; j < width; ++j) sums[j] += chunk_sums[j];
  }

  static constexpr bool steps_are_words =
      (unit::depth * sizeof(rhs_code) == 4 || unit::depth * sizeof(rhs_code) == 8) &&
      std::has_single_bit(static_cast<unsigned>(Kernel::narrow_cols)) && Kernel::narrow_cols > 1;

  /// Codes of a column that are packed at a time: a cache line, or a square of words.
  static constexpr index chunk =
      index{unit::depth} * Kernel::narrow_cols *
      std::max(index{arch::cache_line} / (unit::depth * Kernel::narrow_cols), index{1});

  /// How far ahead of its use W is asked for: so many rows side by side are more than processors
  /// follow by themselves. 16384 x 16384 with AVX512-VNNI: 63 ms, without 128.
  static constexpr index packed_ahead = 512;

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
