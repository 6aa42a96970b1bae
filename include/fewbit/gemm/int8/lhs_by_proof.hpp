#pragma once
/// Activations of a block of rows for products by proof: u8 codes, the largest of each block of k,
/// and int16 copies of the blocks that some weights need. A few rows are cut in halves instead.
///
/// The smallest activation of a row tile is subtracted from its rows. Activations around a zero
/// point in the middle of their codes then become small, and more sums fit int16. The column sums
/// of the weights give the difference back. u8 activations with a zero among them are read in
/// place. Read next: gemm/int8/dots_by_block.hpp (reads them).

#include "fewbit/begin.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "fewbit/arch/vec.hpp"
#include "fewbit/gemm/int8/lhs.hpp"
#include "fewbit/gemm/int8/panel_layout.hpp"
#include "fewbit/gemm/int8/row_tiles.hpp"
#include "fewbit/gemm/int8/saturation_proof.hpp"
#include "fewbit/gemm/tuning.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm::detail {

/// The rows of a tile as unsigned codes: a - offset, whole steps of them. Without codes, the rows
/// are in int16 alone.
struct unsigned_rows {
  const std::uint8_t* codes;
  index stride;
  std::int32_t offset;
};

/// Whether the blocks of k of a row tile may have different dots. Lower tiles are rare: they are
/// multiplied in int16 if one of their blocks has no proof.
[[nodiscard]] constexpr bool mixes_dots(index height) noexcept { return height == 3; }

template <class Kernel>
class lhs_by_proof {
  using lhs = typename Kernel::lhs;
  using unit = typename Kernel::unit;
  using by_proof = typename unit::by_proof;
  using widened = typename unit::widened;
  using tile = typename Kernel::tile;
  using layout_type = depth_layout<unit::depth>;
  template <class Unit>
  using copied_for = int8_lhs<
      kernel<lhs, Unit, Kernel::row_registers, Kernel::col_registers, Kernel::edge_registers>,
      row_tiles_by_proof>;
  using in_words = int8_lhs<Kernel, row_tiles_by_proof>;
  using in_halves = copied_for<typename unit::halves>;
  using in_bytes = copied_for<typename unit::bytes>;
  static constexpr int lanes = 32;
  using some_codes = arch::vec<lhs, lanes>;
  using bytes = arch::vec<std::uint8_t, lanes>;

 public:
  static constexpr index max_rows = in_words::max_rows;

  /// Scratch bytes for `rows` rows.
  static index scratch_bytes(const layout_type& layout, index rows) noexcept {
    const index most = std::min(rows, max_rows);
    return line(in_words::block_bytes(layout, most)) + line(in_bytes::block_bytes(layout, most)) +
           line(tiles_of(most) * index{sizeof(unsigned_rows)}) +
           (rows <= few_rows ? 0 : line((tiles_of(most) + 1) * padded(blocks_of(layout))));
  }

  lhs_by_proof(const layout_type& layout, index rows, std::byte* scratch) noexcept
      : layout_(layout), blocks_(padded(blocks_of(layout))) {
    const index most = std::min(rows, max_rows);
    words_ = reinterpret_cast<std::int16_t*>(scratch);
    scratch += line(in_words::block_bytes(layout, most));
    copy_ = reinterpret_cast<std::uint8_t*>(scratch);
    scratch += line(in_bytes::block_bytes(layout, most));
    tiles_ = reinterpret_cast<unsigned_rows*>(scratch);
    scratch += line(tiles_of(most) * index{sizeof(unsigned_rows)});
    largest_ = reinterpret_cast<std::uint8_t*>(scratch);
    most_ = largest_ + tiles_of(most) * blocks_;
  }

  /// Prepares rows a[0] .. a[rows - 1] as unsigned codes, for weights with a proof for all
  /// activations. `shift` makes activations unsigned.
  void make_unsigned(const lhs* a, index stride, index rows, int shift) const noexcept {
    for_each_tile(rows, [&](index i, index first, index height) {
      tiles_[i] = unsigned_rows_of(a + first * stride, stride, first, height, -shift);
    });
  }

  /// Cuts rows a[0] .. a[rows - 1] in halves, for weights without a proof. `shift` makes
  /// activations unsigned.
  void make_halves(const lhs* a, index stride, index rows, int shift) const noexcept {
    const in_halves copy(a, stride, rows, layout_, reinterpret_cast<std::byte*>(words_), -shift);
  }

  /// Copies rows a[0] .. a[rows - 1] to int16.
  void make_words(const lhs* a, index stride, index rows) const noexcept {
    take_as_words(a, stride, 0, 0, rows);
  }

  /// Prepares rows a[0] .. a[rows - 1] as unsigned codes and finds the largest of each block of k.
  /// Blocks whose activations are above `least` get a copy in int16. If searched_in_vain
  /// neighbouring tiles are not useful, the tiles after them are not searched: they are in int16
  /// alone.
  ///
  /// @param is_useful  is_useful(*this, largest codes of the blocks of k of a tile)
  /// @param useless    the number of tiles that are not, just before these rows; becomes that at
  ///                   their end
  /// @return  the number of tiles that have codes; 0 if no tile is useful
  template <class F>
  index make_proven(const lhs* a, index stride, index rows, const std::uint8_t* least,
                    const F& is_useful, index& useless) const noexcept {
    std::fill_n(most_, blocks_, std::uint8_t{0});
    useless = std::min(useless, searched_in_vain - 1);
    index coded = 0;
    bool any = false;
    for_each_tile(rows, [&](index i, index first, index height) {
      if (useless == searched_in_vain) return;
      std::uint8_t* largest = largest_ + i * blocks_;
      const lhs* from = a + first * stride;
      const int offset = find_extremes(from, stride, height, largest);
      useless = is_useful(*this, largest) ? 0 : useless + 1;
      any = any || useless == 0;
      if (useless == searched_in_vain && !any) return take_as_words(a, stride, 0, 0, rows);
      tiles_[i] = unsigned_rows_of(from, stride, first, height, offset);
      copy_words(tiles_[i], first, height, largest, least);
      coded = i + 1;
      if (useless == searched_in_vain) take_as_words(a, stride, i + 1, first + height, rows);
    });
    return any || useless < searched_in_vain ? coded : 0;
  }

  /// The number of blocks of k of a tile whose largest codes are not above `limits`.
  [[nodiscard]] index blocks_within(const std::uint8_t* largest,
                                    const std::uint8_t* limits) const noexcept {
    const index all = blocks_of(layout_);
    index within = 0;
    for (index b = 0; b < all; b += compared_blocks)
      within += std::popcount(~by_proof::above(largest + b, limits + b) & bits(all - b));
    return within;
  }
  /// The number of blocks of k.
  [[nodiscard]] index all_blocks() const noexcept { return blocks_of(layout_); }

  /// The row tiles of the block. Those in int16 alone have no codes.
  [[nodiscard]] const unsigned_rows* tiles() const noexcept { return tiles_; }
  /// The largest code of each block of k of tile 0. The next tile is blocks() numbers away.
  [[nodiscard]] const std::uint8_t* largest() const noexcept { return largest_; }
  /// The largest code of each block of k of all tiles.
  [[nodiscard]] const std::uint8_t* largest_of_all() const noexcept { return most_; }
  [[nodiscard]] index blocks() const noexcept { return blocks_; }
  /// Row 0 in int16. The next row is words_stride() codes away.
  [[nodiscard]] const std::int16_t* words() const noexcept { return words_; }
  /// Rows of make_halves, in the memory of the words.
  [[nodiscard]] lhs_view<std::uint16_t> halves() const noexcept {
    return {reinterpret_cast<const std::uint16_t*>(words_), words_stride(), 0};
  }
  /// Rows of make_unsigned.
  [[nodiscard]] lhs_view<std::uint8_t> codes() const noexcept {
    return {tiles_[0].codes, tiles_[0].stride, 0};
  }
  [[nodiscard]] index words_stride() const noexcept {
    return in_words::block_bytes(layout_, 1) / index{sizeof(std::int16_t)};
  }

 private:
  static index padded(index blocks) noexcept {
    return (blocks + compared_blocks - 1) / compared_blocks * compared_blocks;
  }
  static index line(index n) noexcept { return (n + 63) / 64 * 64; }
  static index blocks_of(const layout_type& layout) noexcept {
    return (layout.padded() + proof_depth - 1) / proof_depth;
  }
  static index tiles_of(index rows) noexcept { return (rows + tile::rows - 1) / tile::rows; }

  /// Calls f(tile, first row, height).
  template <class F>
  static void for_each_tile(index rows, const F& f) noexcept {
    index i = 0;
    for_each_height<Kernel>(rows, [&](index first, index height, index count) {
      for (index t = 0; t < count; ++t) f(i++, first + t * height, height);
    });
  }

  /// Subtracts `offset` from rows, unless they can be read in place.
  unsigned_rows unsigned_rows_of(const lhs* a, index stride, index first, index height,
                                 int offset) const noexcept {
    const index k = layout_.k(), padded_k = layout_.padded();
    if constexpr (!std::is_signed_v<lhs>) {
      if (offset == 0 && k == padded_k) return {a, stride, 0};
    }
    const index copy_stride = in_bytes::block_bytes(layout_, 1);
    std::uint8_t* copy = copy_ + first * copy_stride;
    if (stride == k && copy_stride == k) {
      copy_bytes(a, height * k, offset, copy);
    } else {
      for (index r = 0; r < height; ++r) {
        std::uint8_t* to = copy + r * copy_stride;
        std::memset(to + padded_k - unit::depth, 0, unit::depth);
        copy_bytes(a + r * stride, k, offset, to);
      }
    }
    return {copy, copy_stride, offset};
  }

  static void copy_bytes(const lhs* from, index count, int offset, std::uint8_t* to) noexcept {
    const auto copy = [&]<int Lanes>(std::integral_constant<int, Lanes>) {
      using part = arch::vec<std::uint8_t, Lanes>;
      const part minus(static_cast<std::uint8_t>(offset));
      for (index i = 0;; i += Lanes) {
        const index at = std::min(i, count - Lanes);
        (arch::bits_as<std::uint8_t>(arch::vec<lhs, Lanes>::load(from + at)) - minus)
            .store(to + at);
        if (at == count - Lanes) return;
      }
    };
    if (count >= lanes) {
      copy(std::integral_constant<int, lanes>{});
    } else if (count >= 8) {
      copy(std::integral_constant<int, 8>{});
    } else {
      for (index i = 0; i < count; ++i) to[i] = static_cast<std::uint8_t>(from[i] - offset);
    }
  }

  /// Rows first .. rows - 1, of the tiles from `begin` on, are multiplied in int16.
  void take_as_words(const lhs* a, index stride, index begin, index first,
                     index rows) const noexcept {
    const index end = row_tiles<Kernel>(rows);
    std::fill(tiles_ + begin, tiles_ + end, unsigned_rows{nullptr, 0, 0});
    std::fill(largest_ + begin * blocks_, largest_ + end * blocks_, std::uint8_t{255});
    std::fill_n(most_, blocks_, std::uint8_t{255});
    copy_to_words(a + first * stride, stride, layout_.k(), rows - first,
                  words_ + first * words_stride());
  }

  template <class T>
  void copy_to_words(const T* a, index stride, index count, index rows,
                     std::int16_t* to) const noexcept {
    const index to_stride = words_stride();
    if (stride == count && to_stride == count) return widened::copy_lhs(a, rows * count, to);
    for (index r = 0; r < rows; ++r) widened::copy_lhs(a + r * stride, count, to + r * to_stride);
  }

  /// A bit for each of `blocks` blocks, at most compared_blocks.
  static std::uint32_t bits(index blocks) noexcept {
    return (std::uint32_t{1} << std::min(blocks, index{compared_blocks})) - 1;
  }

  /// Copies the blocks of k whose activations are above `least`, and raises the largest of all
  /// tiles.
  void copy_words(const unsigned_rows& from, index first, index height, const std::uint8_t* largest,
                  const std::uint8_t* least) const noexcept {
    using some = arch::vec<std::uint8_t, compared_blocks>;
    const index all = blocks_of(layout_), padded_k = layout_.padded();
    for (index b = 0; b < all; b += compared_blocks)
      arch::max(some::load(most_ + b), some::load(largest + b)).store(most_ + b);
    for (index b = 0; b < all; b += compared_blocks) {
      std::uint32_t above = by_proof::above(largest + b, least + b) & bits(all - b);
      if (above != 0 && !mixes_dots(height)) return copy_rows_to_words(from, first, height);
      while (above != 0) {
        const std::uint32_t rest = above + (above & (0 - above));  // without its lowest ones
        const index k = (b + std::countr_zero(above)) * proof_depth;
        const index end = std::min((b + std::countr_zero(rest)) * proof_depth, padded_k);
        if (end - k == padded_k) {
          copy_rows_to_words(from, first, height);
        } else {
          for (index r = 0; r < height; ++r) {
            widened::copy_lhs(from.codes + r * from.stride + k, end - k,
                              words_ + (first + r) * words_stride() + k);
          }
        }
        above &= rest;
      }
    }
  }

  void copy_rows_to_words(const unsigned_rows& from, index first, index height) const noexcept {
    copy_to_words(from.codes, from.stride, layout_.padded(), height,
                  words_ + first * words_stride());
  }

  /// The smallest and the largest activation so far.
  struct extremes {
    some_codes smallest{std::numeric_limits<lhs>::max()};
    some_codes largest{std::numeric_limits<lhs>::min()};

    void take(const some_codes& values) noexcept {
      smallest = arch::min(smallest, values);
      largest = arch::max(largest, values);
    }
    /// Takes `count` neighbouring codes, some of them twice.
    void take(const lhs* a, index count) noexcept {
      if (count >= lanes) {
        index i = 0;
        for (; i + lanes <= count; i += lanes) take(some_codes::load(a + i));
        if (i < count) take(some_codes::load(a + count - lanes));
        return;
      }
      lhs all[lanes];
      const auto repeat = [&]<index Size>(std::integral_constant<index, Size>) {
        for (index i = 0; i < lanes; i += 2 * Size) {
          std::memcpy(&all[i], a, Size);
          std::memcpy(&all[i + Size], a + count - Size, Size);
        }
      };
      if (count >= 16) {
        repeat(std::integral_constant<index, 16>{});
      } else if (count >= 8) {
        repeat(std::integral_constant<index, 8>{});
      } else {
        for (index i = 0; i < lanes; ++i) all[i] = a[i % count];
      }
      take(some_codes::load(&all[0]));
    }
    /// In unsigned form: s8 plus 128.
    [[nodiscard]] std::uint8_t largest_code() const noexcept {
      return by_proof::largest(unsigned_form(largest));
    }
    [[nodiscard]] std::uint8_t smallest_code() const noexcept {
      return static_cast<std::uint8_t>(255 -
                                       by_proof::largest(bytes(255) - unsigned_form(smallest)));
    }

   private:
    static bytes unsigned_form(const some_codes& values) noexcept {
      const auto all = arch::bits_as<std::uint8_t>(values);
      return std::is_signed_v<lhs> ? all + bytes(128) : all;
    }
  };

  /// Returns the smallest of all activations. largest[b] becomes the largest of block b, minus the
  /// smallest of all.
  int find_extremes(const lhs* a, index stride, index height,
                    std::uint8_t* largest) const noexcept {
    const index k = layout_.k(), all = blocks_of(layout_);
    extremes seen;
    if (all == 1 && stride == k) {
      seen.take(a, height * k);
      largest[0] = seen.largest_code();
    } else {
      for (index b = 0; b < all; ++b) {
        seen.largest = some_codes(std::numeric_limits<lhs>::min());
        const index first = std::min(b * proof_depth, std::max(k - lanes, index{0}));
        const lhs* row = a + first;
        if (k - first >= proof_depth) {
          for (index r = 0; r < height; ++r, row += stride) {
            seen.take(some_codes::load(row));
            seen.take(some_codes::load(row + lanes));
          }
        } else {
          for (index r = 0; r < height; ++r, row += stride) seen.take(row, k - first);
        }
        largest[b] = seen.largest_code();
      }
    }
    const int least = seen.smallest_code();
    if (least != 0) {
      using some = arch::vec<std::uint8_t, compared_blocks>;
      const some minus(static_cast<std::uint8_t>(least));
      for (index b = 0; b < all; b += compared_blocks)
        (some::load(largest + b) - minus).store(largest + b);
    }
    return least + std::numeric_limits<lhs>::min();
  }

  const layout_type& layout_;
  index blocks_;
  std::int16_t* words_;
  std::uint8_t* copy_;
  unsigned_rows* tiles_;
  std::uint8_t* largest_;
  std::uint8_t* most_;
};

}}}  // namespace fewbit::gemm::detail

#include "fewbit/end.hpp"
