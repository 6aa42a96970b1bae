#pragma once
/// Some columns of weights of few bits, expanded in scratch memory to the order of int8_weights.
///
/// The walks over C (gemm/int8/walk.hpp, gemm/int8/walk_by_proof.hpp) use a window of expanded
/// columns like packed weights. Positions are columns of W. Extents are numbers of columns of the
/// window.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "fewbit/arch/memory.hpp"
#include "fewbit/arch/stored_unit.hpp"
#include "fewbit/arch/vec.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/gemm/few_bits/weights.hpp"
#include "fewbit/gemm/int8/kernel.hpp"
#include "fewbit/gemm/int8/panel_layout.hpp"
#include "fewbit/gemm/int8/saturation_proof.hpp"
#include "fewbit/gemm/tuning.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm::detail {

/// A window on the columns of W. Its type does not depend on the number of bits, so products of all
/// widths share one walk.
template <class Lhs, class Arch>
class expanded_weights {
 public:
  using kernel_type = default_kernel<Lhs, Arch>;
  using unit = typename kernel_type::unit;
  using rhs_code = typename unit::rhs_code;
  using layout_type = depth_layout<unit::depth>;

 private:
  using panels_type = panel_layout<default_kernel<std::uint8_t, Arch>>;
  using tile = typename kernel_type::tile;

 public:
  /// A window without columns. `memory` has bytes_for(w) bytes, or expand() is never called.
  template <int Bits>
  expanded_weights(const few_bit_weights<Bits, Arch>& w, std::byte* memory) noexcept
      : panels_(w.panels()),
        layout_(w.k(), 0),
        sums_(w.column_sums()),
        codes_(reinterpret_cast<rhs_code*>(memory)),
        end_(std::min(panels_.padded_n(), most_cols())) {}

  /// Bytes of memory of the largest window.
  template <int Bits>
  [[nodiscard]] static index bytes_for(const few_bit_weights<Bits, Arch>& w) noexcept {
    const index codes = expanded_weights(w, nullptr).bytes();
    return (codes + arch::cache_line - 1) / arch::cache_line * arch::cache_line;
  }

  /// Expands whole panels from column `first` on, up to column `last`. Returns the column after
  /// them.
  template <int Bits>
  index expand(const few_bit_weights<Bits, Arch>& w, index first, index last) noexcept {
    first_ = first;
    end_ = first;
    while (end_ < last && end_ - first < most_cols()) {
      const index width = panel_cols(end_);
      expand_panel(w, end_, width);
      end_ += width;
    }
    return end_;
  }

  /// Expands `depth` codes of k from code `k` on, which is the first of a stored chunk, of the full
  /// panel that starts at `col`.
  template <int Bits>
  void expand_chunk(const few_bit_weights<Bits, Arch>& w, index col, index k, index depth,
                    rhs_code* to) const noexcept {
    using weights = few_bit_weights<Bits, Arch>;
    const std::uint8_t* from =
        w.panel(col / cols) + k / weights::chunk_codes * weights::chunk_bytes;
    expand_registers<tile::cols / cols>(w, from, depth, to);
  }

  /// Number of columns of the largest window, in whole tiles.
  [[nodiscard]] index most_cols() const noexcept {
    const index tile_bytes = std::max(layout_.padded(), index{1}) * tile::cols;
    return std::max(expanded_bytes / tile_bytes, index{1}) * tile::cols;
  }

  [[nodiscard]] const layout_type& layout() const noexcept { return layout_; }
  /// Number of columns of the window.
  [[nodiscard]] index n() const noexcept { return end_ - first_; }
  [[nodiscard]] index padded_n() const noexcept { return end_ - first_; }
  [[nodiscard]] index bytes() const noexcept {
    return n() * layout_.padded() * index{sizeof(rhs_code)};
  }

  [[nodiscard]] index wide_cols() const noexcept { return panels_.wide_cols(); }
  [[nodiscard]] index panel_cols(index col) const noexcept { return panels_.panel_cols(col); }
  [[nodiscard]] const rhs_code* panel(index col) const noexcept {
    return codes_ + (col - first_) * layout_.padded();
  }
  [[nodiscard]] const std::int32_t* block_sums(index, index col) const noexcept {
    return unit::lhs_offset == 0 ? nullptr : sums_ + col;
  }
  [[nodiscard]] std::span<const std::int32_t> column_sums() const noexcept {
    return {sums_, static_cast<std::size_t>(panels_.padded_n())};
  }

  /// The proof always holds: four weights of at most 16 in magnitude add up to at most 64.
  [[nodiscard]] saturation_proof proven(index) const noexcept { return saturation_proof::fours; }
  [[nodiscard]] detail::panel_limits limits(index) const noexcept { return {}; }
  [[nodiscard]] index largest_activation() const noexcept { return largest_code<Lhs>; }

 private:
  static constexpr int cols = kernel_type::edge_cols;
  using step_codes = arch::vec<std::uint8_t, 4 * cols>;

  template <int Bits>
  void expand_panel(const few_bit_weights<Bits, Arch>& w, index col, index width) const noexcept {
    static_assert(few_bit_weights<Bits, Arch>::unit::cols == cols,
                  "fewbit: a stored panel has the width of a narrow panel");
    rhs_code* to = codes_ + (col - first_) * layout_.padded();
    if (width == tile::cols) {
      expand_registers<tile::cols / cols>(w, w.panel(col / cols), layout_.padded(), to);
    } else {
      expand_registers<1>(w, w.panel(col / cols), layout_.padded(), to);
    }
  }

  /// Expands `count` codes of k of a panel of Registers stored panels. Arguments are copies,
  /// because the compiler must assume that stores of bytes change referenced memory.
  template <int Registers, int Bits>
  void expand_registers(const few_bit_weights<Bits, Arch>& w, const std::uint8_t* from, index count,
                        rhs_code* to) const noexcept {
    using stored_chunk = arch::stored_chunk<Bits, cols>;
    constexpr int steps = arch::stored_layout<Bits>::steps;
    const index stride = w.panel_bytes();
    const step_codes zero_point(static_cast<std::uint8_t>(w.zero_point()));
    index k = 0;
    for (; k + steps * 4 <= count; k += steps * 4) {
#pragma GCC unroll 4
      for (int j = 0; j < Registers; ++j) {
        const stored_chunk chunk(from + j * stride);
#pragma GCC unroll 8
        for (int i = 0; i < steps; ++i)
          place<Registers>(less(chunk.step(i), zero_point), i, j, 4, to);
      }
      from += few_bit_weights<Bits, Arch>::chunk_bytes;
      to += steps * 4 * Registers * cols;
    }
    for (int j = 0; j < Registers && k < count; ++j) {
      const stored_chunk chunk(from + j * stride);
      for (int i = 0; k + i * 4 < count; ++i)
        place<Registers>(less(chunk.step(i), zero_point), i, j, count - k - i * 4, to);
    }
  }

  /// The bytes of a step minus the zero point.
  template <class Words>
  FEWBIT_ALWAYS_INLINE static step_codes less(const Words& step,
                                              const step_codes& zero_point) noexcept {
    step_codes codes;
    std::memcpy(&codes.data, &step.data, sizeof(codes));
    return codes - zero_point;
  }

  /// Writes the first `count` of the four codes of each column of register j, as step i of the
  /// chunk at `to`.
  template <int Registers>
  FEWBIT_ALWAYS_INLINE static void place(const step_codes& codes, int i, int j, index count,
                                         rhs_code* to) noexcept {
    constexpr int depth = unit::depth, width = Registers * cols;
    if constexpr (depth == 4) {
      std::memcpy(to + (i * width + j * cols) * 4, &codes.data, sizeof(codes));
    } else {
      // Codes of a column that are contiguous in both orders.
      constexpr int piece = std::min(depth, 4);
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

  panels_type panels_;
  layout_type layout_;
  const std::int32_t* sums_;
  rhs_code* codes_;
  index first_ = 0;
  index end_;
};

}}}  // namespace fewbit::gemm::detail

#include "fewbit/end.hpp"
