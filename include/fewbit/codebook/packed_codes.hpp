#pragma once
/// The codes of a product quantizer in the memory order of a search, and the loop that sums table
/// lookups.
///
///     const packed_codes packed(pq, codes);
///     tables.set_squared_distances(query);          // codebook/distance_tables.hpp
///     const std::uint8_t* bytes = tables.byte_tables();
///     packed.sum_lookups(&bytes, 1, 0, packed.blocks(), sums, 0);
///
/// Example: the vector of codebook/product_quantizer.hpp, 8 numbers in 2 parts, has the 4-bit codes
/// 3 and 12.
///
///     as floats        32 bytes
///     pq.encode        2 bytes: 3, 12
///     packed_codes     1 byte: 3 | 12 << 4 = 195    (without AVX512-VBMI)
///     sum_lookups      tables[3] + tables[16 + 12]  (16 bytes of table for each part)
///
/// The bytes of points are interleaved as arch/lookup_unit.hpp describes. With AVX512-VBMI the two
/// codes of a byte belong to parts p and p + 4, elsewhere to parts p and p + 1. If the parts do not
/// fill the last row, the missing parts have code 0 and tables of zeros.
///
/// Read next: codebook/find_nearest.hpp, codebook/pq_weights.hpp (more parts than a 16-bit sum
/// holds).

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "fewbit/arch/all.hpp"
#include "fewbit/arch/arch.hpp"
#include "fewbit/arch/lookup_unit.hpp"
#include "fewbit/arch/memory.hpp"
#include "fewbit/codebook/product_quantizer.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// A 16-bit sum holds the table bytes of this many parts: 256 * 255 < 2^16.
inline constexpr index most_summed_parts = 256;

namespace detail {

/// Tables are padded to a multiple of this many parts: the widest row of any instruction set.
inline constexpr index table_padding = 8;
inline index padded_parts(index parts) noexcept {
  return (parts + table_padding - 1) / table_padding * table_padding;
}

/// Codes are prefetched this many bytes early. Measured on a Sapphire Rapids, 4096 x 1024 codes of
/// 4 bits read from memory: 14.9 GB/s; 13.0 GB/s without prefetch; 11.7 GB/s with twice the
/// distance.
inline constexpr index code_prefetch_distance = 2048;

/// The order of codes in memory. `groups` rows of a unit are neighbours: they hold the same parts
/// of consecutive groups of points. The rows of the next parts follow.
template <class Unit>
struct code_layout {
  /// The points whose rows are neighbours. Sums are computed for whole blocks.
  static constexpr index points_per_block = index{Unit::groups} * Unit::points;
  static constexpr index stride = index{Unit::groups} * Unit::row_bytes;

  [[nodiscard]] static constexpr index rows(index parts) noexcept {
    return (parts + Unit::parts - 1) / Unit::parts;
  }
  [[nodiscard]] static constexpr index block_bytes(index parts) noexcept {
    return rows(parts) * stride;
  }

  [[nodiscard]] static constexpr index bytes(index points, index parts) noexcept {
    return (points + points_per_block - 1) / points_per_block * block_bytes(parts);
  }

  /// Writes codes, points x parts, to zeroed memory of bytes() bytes.
  static void pack(const Eigen::Ref<const row_matrix<std::uint8_t>>& codes,
                   std::uint8_t* memory) noexcept {
    for (index i = 0; i < codes.rows(); ++i) {
      std::uint8_t* block_codes = memory + i / points_per_block * block_bytes(codes.cols());
      for (index p = 0; p < codes.cols(); ++p) {
        const position at = position_of(i % points_per_block, p);
        block_codes[at.byte] =
            static_cast<std::uint8_t>(block_codes[at.byte] | codes(i, p) << at.shift);
      }
    }
  }

  /// The code of part p of point i of a block.
  [[nodiscard]] static int code(const std::uint8_t* block_codes, index i, index p) noexcept {
    const position at = position_of(i, p);
    return block_codes[at.byte] >> at.shift & (Unit::parts > 1 ? 15 : 255);
  }

 private:
  struct position {
    index byte;
    int shift;
  };
  static constexpr position position_of(index i, index p) noexcept {
    constexpr index half = Unit::parts > 1 ? Unit::parts / 2 : 1;
    const index row = p / Unit::parts * Unit::groups + i / Unit::points;
    const index byte = Unit::byte_of(static_cast<int>(i % Unit::points));
    return {row * Unit::row_bytes + byte + p % half, p % Unit::parts >= half ? 4 : 0};
  }
};

/// Sums over `rows` rows for `Groups` neighbouring groups of points and `Queries` queries. The sums
/// of two queries are `out_stride` apart.
template <class Unit, int Groups, int Queries>
void sum_groups(const std::uint8_t* const* tables, const std::uint8_t* codes, index rows,
                std::uint16_t* out, index out_stride) noexcept {
  typename Unit::sums sums[Queries][Groups] = {};
  for (index r = 0; r < rows; ++r, codes += code_layout<Unit>::stride) {
#pragma GCC unroll 4
    for (index line = 0; line < Groups * Unit::row_bytes; line += arch::cache_line) {
      arch::prefetch_to_l1(arch::beyond(codes, code_prefetch_distance + line));
    }
    if constexpr (Queries == 1) {
      const auto table = Unit::load_tables(tables[0] + r * Unit::table_bytes);
#pragma GCC unroll 4
      for (int g = 0; g < Groups; ++g) {
        Unit::add(sums[0][g], table, Unit::load_codes(codes + g * Unit::row_bytes));
      }
    } else {
      static_assert(Groups == 1);
      const auto code = Unit::load_codes(codes);
#pragma GCC unroll 8
      for (int q = 0; q < Queries; ++q) {
        Unit::add(sums[q][0], Unit::load_tables(tables[q] + r * Unit::table_bytes), code);
      }
    }
  }
#pragma GCC unroll 8
  for (int q = 0; q < Queries; ++q) {
#pragma GCC unroll 4
    for (int g = 0; g < Groups; ++g) {
      Unit::store(sums[q][g], out + q * out_stride + g * Unit::points);
    }
  }
}

/// The largest number of queries in a call of sum_block.
inline constexpr int most_queries_at_a_time = 8;

/// out[q * out_stride + i] = sum over `rows` rows of the entries of tables[q] that the codes of
/// point i select. Exact.
template <class Unit>
void sum_block(const std::uint8_t* const* tables, int queries, const std::uint8_t* codes,
               index rows, std::uint16_t* out, index out_stride) noexcept {
  int q = 0;
  const auto sum_several = [&]<int Queries>() {
    for (; q + Queries <= queries; q += Queries) {
      std::uint16_t* to = out + q * out_stride;
      for (index g = 0; g < Unit::groups; ++g) {
        sum_groups<Unit, 1, Queries>(tables + q, codes + g * Unit::row_bytes, rows,
                                     to + g * Unit::points, out_stride);
      }
    }
  };
  if constexpr (Unit::queries > 4) sum_several.template operator()<Unit::queries>();
  if constexpr (Unit::queries > 1) sum_several.template operator()<4>();
  for (; q < queries; ++q) {
    sum_groups<Unit, Unit::groups, 1>(tables + q, codes, rows, out + q * out_stride, out_stride);
  }
}

}  // namespace detail

/// n vectors as their codes, for one instruction set.
template <class Arch = arch::native>
class packed_codes {
  static_assert(Arch::compiled,
                "fewbit: this arch is not compiled in; add its -m flag, or use arch::native");
  using unit8 = typename arch::lookup_unit<Arch, 8>::type;
  using unit4 = typename arch::lookup_unit<Arch, 4>::type;

 public:
  /// The largest number of queries in a call of sum_lookups.
  static constexpr int most_queries = detail::most_queries_at_a_time;

  /// @param codes  n x pq.parts(), from pq.encode; n may be 0
  /// @throws fewbit::error if pq has more than 256 parts, codes is not pq.parts() wide, or a code
  ///         is not less than pq.code_count()
  packed_codes(const product_quantizer& pq, const Eigen::Ref<const row_matrix<std::uint8_t>>& codes)
      : points_(codes.rows()), parts_(pq.parts()), bits_(pq.bits()) {
    detail::expect(parts_ <= most_summed_parts, "packed_codes", "pq.parts()", parts_,
                   "at most " + std::to_string(most_summed_parts));
    pq.expect_codes("packed_codes", codes);
    if (bits_ == 8) {
      pack<detail::code_layout<unit8>>(codes);
    } else {
      pack<detail::code_layout<unit4>>(codes);
    }
  }

  [[nodiscard]] index points() const noexcept { return points_; }
  [[nodiscard]] index parts() const noexcept { return parts_; }
  [[nodiscard]] int bits() const noexcept { return bits_; }
  [[nodiscard]] index bytes() const noexcept { return memory_.size(); }

  /// The code of a part of a point, as it was passed to the constructor.
  [[nodiscard]] int code(index point, index part) const noexcept {
    return bits_ == 8 ? code_of<unit8>(point, part) : code_of<unit4>(point, part);
  }

  /// Sums are computed for whole blocks of this many points.
  [[nodiscard]] index points_per_block() const noexcept {
    return bits_ == 8 ? detail::code_layout<unit8>::points_per_block
                      : detail::code_layout<unit4>::points_per_block;
  }
  [[nodiscard]] index blocks() const noexcept {
    return (points_ + points_per_block() - 1) / points_per_block();
  }

  /// The number of blocks to sum per call, so that the sums stay in L1.
  [[nodiscard]] index blocks_at_a_time() const noexcept {
    return std::max<index>(1024 / points_per_block(), 1);
  }
  /// The distance between the sums of two queries for that many blocks. The 96 extra sums place the
  /// queries in different cache sets.
  [[nodiscard]] index sums_stride() const noexcept {
    return blocks_at_a_time() * points_per_block() + 96;
  }

  /// out[q * out_stride + i] = sum over parts p of tables[q][p * code_count + code(point, p)],
  /// exactly, where point = first * points_per_block() + i and i runs over the points of `count`
  /// blocks. Sums of points from points() on have arbitrary values.
  ///
  /// @param tables  1 to `most_queries` tables, each padded with zeros to a multiple of 8 parts
  void sum_lookups(const std::uint8_t* const* tables, int count_of_tables, index first, index count,
                   std::uint16_t* out, index out_stride) const noexcept {
    if (bits_ == 8) {
      sum_blocks<unit8>(tables, count_of_tables, first, count, out, out_stride);
    } else {
      sum_blocks<unit4>(tables, count_of_tables, first, count, out, out_stride);
    }
  }

 private:
  template <class Unit>
  [[nodiscard]] int code_of(index point, index part) const noexcept {
    using layout = detail::code_layout<Unit>;
    const index at = point / layout::points_per_block * layout::block_bytes(parts_);
    return layout::code(memory_.data() + at, point % layout::points_per_block, part);
  }

  template <class Layout>
  void pack(const Eigen::Ref<const row_matrix<std::uint8_t>>& codes) {
    memory_ = aligned_buffer<std::uint8_t>(Layout::bytes(points_, parts_));
    Layout::pack(codes, memory_.data());
  }

  template <class Unit>
  void sum_blocks(const std::uint8_t* const* tables, int count_of_tables, index first, index count,
                  std::uint16_t* out, index out_stride) const noexcept {
    using layout = detail::code_layout<Unit>;
    for (index b = first; b < first + count; ++b, out += layout::points_per_block) {
      detail::sum_block<Unit>(tables, count_of_tables,
                              memory_.data() + b * layout::block_bytes(parts_),
                              layout::rows(parts_), out, out_stride);
    }
  }

  index points_;
  index parts_;
  int bits_;
  aligned_buffer<std::uint8_t> memory_;
};

}}  // namespace fewbit

#include "fewbit/end.hpp"
