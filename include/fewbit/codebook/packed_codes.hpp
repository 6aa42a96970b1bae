#pragma once
/// Codes of a product quantizer as a search reads them, and the loop that sums table lookups.
///
///     const packed_codes packed(pq, codes);
///     tables.set_squared_distances(query);          // codebook/distance_tables.hpp
///     const std::uint8_t* bytes = tables.byte_tables();
///     packed.sum_lookups(&bytes, 1, 0, packed.blocks(), sums, 0);
///
/// Rows of bytes as arch/lookup_unit.hpp describes them; a part that is missing from the last row
/// has tables of zeros.
///
/// Read next: codebook/find_nearest.hpp, codebook/pq_weights.hpp (more parts than these sums of 16
/// bits hold).

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

/// Parts whose table entries of a byte a 16-bit sum holds.
inline constexpr index most_summed_parts = 256;

namespace detail {

/// Tables in memory are a whole number of the widest row of any instruction set.
inline constexpr index table_padding = 8;
inline index padded_parts(index parts) noexcept {
  return (parts + table_padding - 1) / table_padding * table_padding;
}

/// How far ahead of its use codes are asked for: 4096 x 1024 of 4 bits are read from memory at 14.9
/// GB/s on a Sapphire Rapids, at 13.0 if they are not, 11.7 with twice the distance.
inline constexpr index code_prefetch_distance = 2048;

/// Where codes stand in memory, in rows of a unit: `groups` of them, of points that follow one
/// another, side by side, then the same of the next parts.
template <class Unit>
struct code_layout {
  /// Points of a block, in which sums are found.
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

  /// Writes codes, points x parts, into memory of bytes() zeros.
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

/// Sums over `rows` rows of `Groups` neighbouring groups of points for some queries, whose sums are
/// `out_stride` apart.
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

/// Queries that sum_block takes at most.
inline constexpr int most_queries_at_a_time = 8;

/// out[q * out_stride + i] = sum over `rows` rows of what the codes of point i of a block find in
/// tables[q], exactly.
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
  /// Queries that sum_lookups takes at most.
  static constexpr int most_queries = detail::most_queries_at_a_time;

  /// @param codes  n x pq.parts(), as pq.encode makes them; n may be 0
  /// @throws fewbit::error if pq has more than 256 parts, codes is not as wide as pq has parts, or
  ///         a code is not less than pq.code_count()
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

  /// The code of a part of a point, as it was given.
  [[nodiscard]] int code(index point, index part) const noexcept {
    return bits_ == 8 ? code_of<unit8>(point, part) : code_of<unit4>(point, part);
  }

  /// Points of a block, in which the sums are found.
  [[nodiscard]] index points_per_block() const noexcept {
    return bits_ == 8 ? detail::code_layout<unit8>::points_per_block
                      : detail::code_layout<unit4>::points_per_block;
  }
  [[nodiscard]] index blocks() const noexcept {
    return (points_ + points_per_block() - 1) / points_per_block();
  }

  /// How many blocks a caller does best to sum at a time, so that the sums stay in the first cache,
  /// and how far apart it puts those of different queries, so that they do not meet in its sets.
  [[nodiscard]] index blocks_at_a_time() const noexcept {
    return std::max<index>(1024 / points_per_block(), 1);
  }
  [[nodiscard]] index sums_stride() const noexcept {
    return blocks_at_a_time() * points_per_block() + 96;
  }

  /// out[q * out_stride + i] = sum over parts p of tables[q][p * codes + code(first * points_per_block() + i,
  /// p)] for the points i of `count` blocks, exactly; those beyond points() get any value. Each
  /// table has zeros up to a multiple of 8 parts; 1 to `queries` tables.
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
