#pragma once
/// How columns of C are cut into panels, and k into blocks and steps: the shape of weights in the
/// order of a kernel, independent of their storage. gemm/int8/weights.hpp packs in this order,
/// gemm/few_bits/expanded_weights.hpp expands into it.

#include "fewbit/begin.hpp"

#include <algorithm>

#include "fewbit/core/types.hpp"
#include "fewbit/gemm/int8/kernel.hpp"
#include "fewbit/gemm/int8/saturation_proof.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm {

/// How n columns are cut: panels of tile::cols, then panels of edge_cols.
template <class Kernel>
class panel_layout {
 public:
  panel_layout() noexcept = default;
  explicit panel_layout(index n) noexcept
      : n_(n),
        padded_n_(padded(n)),
        wide_cols_(padded_n_ / Kernel::tile::cols * Kernel::tile::cols) {}

  [[nodiscard]] index n() const noexcept { return n_; }
  /// n rounded up to whole registers, or to whole tiles if the unit has proofs and this wastes
  /// little. On a Sapphire Rapids, narrow tiles among wide ones slow both down, (128,1024,1024) by
  /// a fifteenth.
  [[nodiscard]] index padded_n() const noexcept { return padded_n_; }
  /// The number of columns of the panel that starts at `col`: tile::cols, or edge_cols near the
  /// end.
  [[nodiscard]] index panel_cols(index col) const noexcept {
    return col < wide_cols_ ? index{Kernel::tile::cols} : index{Kernel::edge_cols};
  }
  /// The number of columns in panels of tile::cols. Narrow panels follow.
  [[nodiscard]] index wide_cols() const noexcept { return wide_cols_; }

 private:
  static index padded(index n) noexcept {
    const auto to_whole = [n](index cols) { return (n + cols - 1) / cols * cols; };
    const index registers = to_whole(Kernel::edge_cols), tiles = to_whole(Kernel::tile::cols);
    return detail::Proving<typename Kernel::unit> && tiles - registers <= n / 32 ? tiles
                                                                                 : registers;
  }

  index n_ = 0;
  index padded_n_ = 0;
  index wide_cols_ = 0;
};

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
  /// k with each block rounded up to whole steps: number of packed codes of one column.
  [[nodiscard]] index padded() const noexcept { return padded_; }
  /// The first packed code of a block in one column.
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

}}}  // namespace fewbit::gemm

#include "fewbit/end.hpp"
