#pragma once
/// Codes of a product quantizer as a search reads them, and the loop that sums table lookups.
///
///     const packed_codes packed(pq, codes);
///     tables.set_squared_distances(query);          // codebook/distance_tables.hpp
///     const std::uint8_t* bytes = tables.bytes();
///     packed.sum_lookups(&bytes, 1, 0, packed.blocks(), sums, 0);
///
/// Rows of bytes as arch/lookup_unit.hpp describes them; `groups` of them, of points that follow
/// one another, stand side by side, then the same of the next parts. A part that is missing from
/// the last row has tables of zeros.
///
/// Read next: codebook/code_search.hpp.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "fewbit/arch/all.hpp"
#include "fewbit/arch/arch.hpp"
#include "fewbit/arch/lookup_unit.hpp"
#include "fewbit/codebook/product_quantizer.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit::inline FEWBIT_ARCH_NAMESPACE {

/// Parts whose table entries of a byte a 16-bit sum holds.
inline constexpr index most_summed_parts = 256;

namespace detail {

/// Tables in memory are a whole number of the widest row of any instruction set.
inline constexpr index tables_together = 8;
inline index padded_parts(index parts) noexcept {
  return (parts + tables_together - 1) / tables_together * tables_together;
}

/// Sums of `Groups` neighbouring groups of points for some queries. `rows` bytes of codes are
/// `stride` apart, a query's sums `sums_stride`.
template <class Unit, int Groups, int Queries>
void sum_groups(const std::uint8_t* const* tables, const std::uint8_t* codes, index rows,
                index stride, std::uint16_t* out, index out_stride) noexcept {
  typename Unit::sums sums[Queries][Groups] = {};
  for (index r = 0; r < rows; ++r, codes += stride) {
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
  static constexpr int queries = 8;

  /// @param codes  n x pq.parts(), as pq.encode makes them; n may be 0
  /// @throws fewbit::error if pq has more than 256 parts, codes is not as wide as pq has parts, or
  ///         a code is not less than pq.codes()
  packed_codes(const product_quantizer& pq, const Eigen::Ref<const row_matrix<std::uint8_t>>& codes)
      : points_(codes.rows()), parts_(pq.parts()), bits_(pq.bits()) {
    detail::expect(parts_ <= most_summed_parts, "packed_codes", "pq.parts()", parts_,
                   "at most " + std::to_string(most_summed_parts));
    pq.expect_codes("packed_codes", codes);
    if (bits_ == 8) {
      pack<unit8>(codes);
    } else {
      pack<unit4>(codes);
    }
  }

  [[nodiscard]] index points() const noexcept { return points_; }
  [[nodiscard]] index parts() const noexcept { return parts_; }
  [[nodiscard]] int bits() const noexcept { return bits_; }
  [[nodiscard]] index bytes() const noexcept { return memory_.size(); }

  /// The code of a part of a point, as it was given.
  [[nodiscard]] index code(index point, index part) const noexcept {
    const place at = bits_ == 8 ? place_of<unit8>(point, part) : place_of<unit4>(point, part);
    return memory_[at.byte] >> at.shift & (bits_ == 8 ? 255 : 15);
  }

  /// Points of a block, in which the sums are found.
  [[nodiscard]] index block() const noexcept {
    return bits_ == 8 ? index{unit8::groups} * unit8::points : index{unit4::groups} * unit4::points;
  }
  [[nodiscard]] index blocks() const noexcept { return (points_ + block() - 1) / block(); }

  /// How many blocks a caller does best to sum at a time, so that the sums stay in the first cache,
  /// and how far apart it puts those of different queries, so that they do not meet in its sets.
  [[nodiscard]] index blocks_together() const noexcept {
    return std::max<index>(1024 / block(), 1);
  }
  [[nodiscard]] index sums_together() const noexcept { return blocks_together() * block() + 96; }

  /// out[q * out_stride + i] = sum over parts p of tables[q][p * codes + code(first * block() + i,
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
  [[nodiscard]] index rows() const noexcept {
    return (parts_ + Unit::parts - 1) / Unit::parts;
  }
  template <class Unit>
  [[nodiscard]] index block_bytes() const noexcept {
    return rows<Unit>() * Unit::groups * Unit::row_bytes;
  }

  /// Where the code of a part of a point stands: in which byte, how far up.
  struct place {
    index byte;
    int shift;
  };
  template <class Unit>
  [[nodiscard]] place place_of(index point, index part) const noexcept {
    constexpr index quad = Unit::parts > 1 ? Unit::parts / 2 : 1;
    const index in_block = point % block();
    const index row = part / Unit::parts * Unit::groups + in_block / Unit::points;
    return {point / block() * block_bytes<Unit>() + row * Unit::row_bytes +
                Unit::byte_of(static_cast<int>(in_block % Unit::points)) + part % quad,
            part % Unit::parts >= quad ? 4 : 0};
  }

  template <class Unit>
  void pack(const Eigen::Ref<const row_matrix<std::uint8_t>>& codes) {
    memory_ = aligned_buffer<std::uint8_t>(blocks() * block_bytes<Unit>());
    for (index i = 0; i < points_; ++i) {
      for (index p = 0; p < parts_; ++p) {
        const place at = place_of<Unit>(i, p);
        memory_[at.byte] = static_cast<std::uint8_t>(memory_[at.byte] | codes(i, p) << at.shift);
      }
    }
  }

  template <class Unit>
  void sum_blocks(const std::uint8_t* const* tables, int count_of_tables, index first, index count,
                  std::uint16_t* out, index out_stride) const noexcept {
    for (index b = 0; b < count; ++b, out += block()) {
      const std::uint8_t* codes = memory_.data() + (first + b) * block_bytes<Unit>();
      int q = 0;
      if constexpr (Unit::queries > 1) {
        if constexpr (Unit::queries > 4) {
          for (; q + Unit::queries <= count_of_tables; q += Unit::queries) {
            sum_by_group<Unit, Unit::queries>(tables + q, codes, out + q * out_stride, out_stride);
          }
        }
        for (; q + 4 <= count_of_tables; q += 4) {
          sum_by_group<Unit, 4>(tables + q, codes, out + q * out_stride, out_stride);
        }
      }
      for (; q < count_of_tables; ++q) {
        detail::sum_groups<Unit, Unit::groups, 1>(tables + q, codes, rows<Unit>(),
                                                  Unit::groups * Unit::row_bytes,
                                                  out + q * out_stride, out_stride);
      }
    }
  }

  template <class Unit, int Queries>
  void sum_by_group(const std::uint8_t* const* tables, const std::uint8_t* codes,
                    std::uint16_t* out, index out_stride) const noexcept {
    for (index g = 0; g < Unit::groups; ++g) {
      detail::sum_groups<Unit, 1, Queries>(tables, codes + g * Unit::row_bytes, rows<Unit>(),
                                           Unit::groups * Unit::row_bytes, out + g * Unit::points,
                                           out_stride);
    }
  }

  index points_;
  index parts_;
  int bits_;
  aligned_buffer<std::uint8_t> memory_;
};

}  // namespace fewbit::inline FEWBIT_ARCH_NAMESPACE
