#pragma once
/// Some columns of narrow weights as packed_weights would have them, in scratch memory.
///
/// The walks over C (gemm/product.hpp, gemm/product_by_proof.hpp) take a window of expanded columns
/// for packed weights: positions are those of all columns, extents those of the window.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "fewbit/arch/memory.hpp"
#include "fewbit/arch/stored_unit.hpp"
#include "fewbit/arch/vec.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/gemm/kernel.hpp"
#include "fewbit/gemm/narrow_weights.hpp"
#include "fewbit/gemm/panel_layout.hpp"
#include "fewbit/gemm/proof.hpp"

namespace fewbit::inline FEWBIT_ARCH_NAMESPACE::gemm::detail {

/// Columns that are expanded together fill this many bytes, of L2, or one panel: activations that
/// are copied for a kernel are copied anew for each window.
inline constexpr index expanded_bytes = 512 * 1024;

template <class Lhs, int Bits, class Arch>
class expanded_weights {
 public:
  using kernel_type = default_kernel<Lhs, Arch>;
  using unit = typename kernel_type::unit;
  using rhs_code = typename unit::rhs_code;
  using layout_type = depth_layout<unit::depth>;

 private:
  using narrow = narrow_weights<Bits, Arch>;
  using tile = typename kernel_type::tile;
  static constexpr int cols = narrow::unit::cols;
  static_assert(cols == kernel_type::narrow_cols, "fewbit: a stored panel is a narrow one");

 public:
  /// No column yet. `memory` is for bytes(w), or never used.
  expanded_weights(const narrow& w, std::byte* memory) noexcept
      : narrow_(w),
        layout_(w.k(), 0),
        codes_(reinterpret_cast<rhs_code*>(memory)),
        end_(std::min(w.panels().padded_n(), most_cols(layout_))) {}

  /// Bytes of memory for the largest window.
  [[nodiscard]] static index bytes(const narrow& w) noexcept {
    const index codes = expanded_weights(w, nullptr).bytes();
    return (codes + arch::cache_line - 1) / arch::cache_line * arch::cache_line;
  }

  /// Expands whole panels from column `first` on, up to column `last`, and returns the column behind
  /// them.
  index expand(index first, index last) noexcept {
    first_ = first;
    end_ = first;
    while (end_ < last && end_ - first < most_cols(layout_)) {
      const index width = panel_cols(end_);
      expand_panel(end_, width);
      end_ += width;
    }
    return end_;
  }

  [[nodiscard]] const layout_type& layout() const noexcept { return layout_; }
  /// Columns of the window.
  [[nodiscard]] index n() const noexcept { return end_ - first_; }
  [[nodiscard]] index padded_n() const noexcept { return end_ - first_; }
  [[nodiscard]] index bytes() const noexcept {
    return n() * layout_.padded() * index{sizeof(rhs_code)};
  }

  [[nodiscard]] index wide_cols() const noexcept { return narrow_.panels().wide_cols(); }
  [[nodiscard]] index panel_cols(index col) const noexcept {
    return narrow_.panels().panel_cols(col);
  }
  [[nodiscard]] const rhs_code* panel(index col) const noexcept {
    return codes_ + (col - first_) * layout_.padded();
  }
  [[nodiscard]] const std::int32_t* block_sums(index, index col) const noexcept {
    return unit::lhs_offset == 0 ? nullptr : narrow_.column_sums() + col;
  }
  [[nodiscard]] std::span<const std::int32_t> column_sums() const noexcept {
    return {narrow_.column_sums(), static_cast<std::size_t>(narrow_.panels().padded_n())};
  }

  /// Four weights of at most 16 in magnitude add up to 64 at most: always.
  [[nodiscard]] proof proven(index) const noexcept { return proof::fours; }
  [[nodiscard]] index largest_activation() const noexcept { return largest_code<Lhs>; }

 private:
  /// Columns of the largest window, in whole tiles.
  static index most_cols(const layout_type& layout) noexcept {
    const index tile_bytes = std::max(layout.padded(), index{1}) * tile::cols;
    return std::max(expanded_bytes / tile_bytes, index{1}) * tile::cols;
  }

  using stored_chunk = arch::stored_chunk<Bits, cols>;
  using codes_of_step = arch::vec<std::uint8_t, 4 * cols>;

  void expand_panel(index col, index width) const noexcept {
    rhs_code* to = codes_ + (col - first_) * layout_.padded();
    if (width == tile::cols) {
      expand_registers<tile::cols / cols>(narrow_.panel(col / cols), to);
    } else {
      expand_registers<1>(narrow_.panel(col / cols), to);
    }
  }

  /// A panel of Registers stored ones. What the loop needs is copied: stores of bytes could change
  /// whatever is referred to.
  template <int Registers>
  void expand_registers(const std::uint8_t* from, rhs_code* to) const noexcept {
    constexpr int steps = arch::stored_layout<Bits>::steps;
    const index padded = layout_.padded(), stride = narrow_.panel_bytes();
    const codes_of_step zero_point(static_cast<std::uint8_t>(narrow_.zero_point()));
    index k = 0;
    for (; k + steps * 4 <= padded; k += steps * 4) {
#pragma GCC unroll 4
      for (int j = 0; j < Registers; ++j) {
        const stored_chunk chunk(from + j * stride);
#pragma GCC unroll 8
        for (int i = 0; i < steps; ++i) place<Registers>(chunk.step(i), zero_point, i, j, 4, to);
      }
      from += narrow::chunk_bytes;
      to += steps * 4 * Registers * cols;
    }
    for (int j = 0; j < Registers && k < padded; ++j) {
      const stored_chunk chunk(from + j * stride);
      for (int i = 0; k + i * 4 < padded; ++i)
        place<Registers>(chunk.step(i), zero_point, i, j, padded - k - i * 4, to);
    }
  }

  /// The first `count` of the four codes of each column of register j, less the zero point, to their
  /// places as step i of a chunk that begins at `to`.
  template <int Registers>
  FEWBIT_ALWAYS_INLINE static void place(const typename stored_chunk::words& step,
                                         const codes_of_step& zero_point, int i, int j, index count,
                                         rhs_code* to) noexcept {
    constexpr int depth = unit::depth, width = Registers * cols;
    codes_of_step codes;
    std::memcpy(&codes.data, &step.data, sizeof(codes));
    codes = codes - zero_point;
    if constexpr (depth == 4) {
      std::memcpy(to + (i * width + j * cols) * 4, &codes.data, sizeof(codes));
    } else {
      constexpr int piece = std::min(depth, 4);  // neighbouring codes of a column here and there
      std::uint8_t lanes[4 * cols];
      codes.store(lanes);
      for (int d = 0; d < 4 && d < count; d += piece) {
        const int k = i * 4 + d;
        rhs_code* at = to + (k / depth * width + j * cols) * depth + k % depth;
#pragma GCC unroll 16
        for (int c = 0; c < cols; ++c) std::memcpy(at + c * depth, lanes + c * 4 + d, piece);
      }
    }
  }

  const narrow& narrow_;
  layout_type layout_;
  rhs_code* codes_;
  index first_ = 0;
  index end_;
};

}  // namespace fewbit::inline FEWBIT_ARCH_NAMESPACE::gemm::detail
