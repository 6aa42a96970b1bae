#pragma once
/// The product of codes and weights of few bits by table lookup: C = epilogue(A W^T), exact in
/// int32 for every k.
///
/// Every four neighbouring activations of a row have a table of 16 partial sums,
///
///     table[i] = sum over d of a[d] * (bit d of i)        d = 0 .. 3
///
/// and four bits of a plane of weights are an index into it. One lookup replaces four products of
/// one column. The sums of a plane are multiplied by the value of its bits
/// (gemm/bit_planes/formats.hpp). A constant is added to all entries so that none is negative; it
/// is subtracted at the end. Entries with too many bits for sums in bytes are cut in two parts, and
/// each part has its own table.
///
/// | activations                    | bits of an entry | parts | sums of a byte |
/// |--------------------------------|------------------|-------|----------------|
/// | unsigned_bits<2>, signed ones  | 4                | 1     | 21             |
/// | unsigned_bits<4>, signed ones  | 6                | 1     | 4              |
/// | signed_bits<8>, unsigned ones  | 10               | 2     | 8              |
///
/// Use it for one or a few rows of int8 (most_bits_by_table), and for two bits by two bits if no
/// instruction counts the ones of words (table_beats_planes).
///
/// Read before: gemm/lookup/weights.hpp.
/// Source: Wei et al. 2024, arXiv:2407.00088 (T-MAC). T-MAC rounds its tables; these are exact.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "fewbit/arch/memory.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/operands.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/core/workspace.hpp"
#include "fewbit/gemm/epilogue.hpp"
#include "fewbit/gemm/epilogue_rows.hpp"
#include "fewbit/gemm/lookup/weights.hpp"
#include "fewbit/gemm/parts.hpp"
#include "fewbit/gemm/tuning.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm {

namespace detail {

/// How table entries for activations of format A are stored.
template <class A>
struct table_entries {
  static constexpr int bits = A::planes + 2;
  /// The constant that is added to an entry so that none is negative.
  static constexpr int moved_by = A::is_signed ? int{codes_of_index} * A::largest : 0;
  static constexpr int largest = int{codes_of_index} * ((1 << A::planes) - 1);

  static constexpr int parts = 2 * largest > 255 ? 2 : 1;
  static constexpr int bits_of_part = (bits + parts - 1) / parts;
  static constexpr int mask = (1 << bits_of_part) - 1;
  static constexpr int largest_part = parts == 1 ? largest : mask;
  /// Number of bytes of weights (two entries each) whose sum of parts fits a byte.
  static constexpr index bytes_per_fold = 255 / largest_part / 2;
  static_assert(2 * table_block * largest_part < 65536, "fewbit: a block overflows its sums");

  static constexpr index size = 16;
  using entries = arch::vec<std::uint16_t, 16>;

  /// Writes the parts of the table of `count` activations, at most four. Missing activations are 0.
  FEWBIT_ALWAYS_INLINE static void write(const typename A::code* a, index count,
                                         std::uint8_t* to) noexcept {
    entries table(static_cast<std::uint16_t>(moved_by));
    for (int d = 0; d < count; ++d) {
      table += entries(static_cast<std::uint16_t>(a[d])) &
               entries::load(masks[static_cast<std::size_t>(d)].data());
    }
    for (int p = 0; p < parts; ++p) {
      const entries part =
          (table >> entries(static_cast<std::uint16_t>(p * bits_of_part))) & entries(mask);
      arch::convert<std::uint8_t>(part).store(to + p * size);
    }
  }

 private:
  /// Mask d has all bits of entry i set if bit d of i is one.
  static constexpr auto masks_of() noexcept {
    std::array<std::array<std::uint16_t, 16>, 4> of{};
    for (std::size_t d = 0; d < 4; ++d) {
      for (std::size_t i = 0; i < 16; ++i) of[d][i] = (i >> d & 1) != 0 ? 0xFFFF : 0;
    }
    return of;
  }
  static constexpr auto masks = masks_of();
};

/// The sums of Rows rows and a panel in one plane.
template <class Unit, class Entries, int Rows>
struct table_tile {
  using bytes = typename Unit::bytes;
  using pairs = typename Unit::pairs;
  static constexpr int parts = Entries::parts;
  static constexpr index bytes_of_index = Rows * parts * Entries::size;

  /// Adds factor times the sums to `sums`. Tables are in the order [index][row][part].
  static void add(const std::uint8_t* tables, const std::uint8_t* w, index count,
                  std::int32_t factor, std::uint32_t* sums) noexcept {
    table_tile tile;
    while (count > 0) {
      if constexpr (Rows == 1) prefetch(w + lookup_ahead);
      const index most = std::min(count, Entries::bytes_per_fold);
      tile.look_up(tables, w, most);
      tables += most * 2 * bytes_of_index;
      w += most * Unit::lanes;
      count -= most;
    }
    tile.store(static_cast<std::uint32_t>(factor), sums);
  }

 private:
  /// `all`: sums of pairs of bytes. `second`: sums of their second bytes. The sums of the first
  /// bytes are the difference.
  struct halves {
    pairs all;
    pairs second;
  };
  halves sums_[Rows][parts];

  /// Weights of a single row are not in the first caches and are read once.
  FEWBIT_ALWAYS_INLINE static void prefetch(const std::uint8_t* w) noexcept {
#pragma GCC unroll 16
    for (index i = 0; i < Entries::bytes_per_fold * Unit::lanes; i += arch::cache_line)
      arch::prefetch_to_l1(w + i);
  }

  FEWBIT_ALWAYS_INLINE table_tile() noexcept {
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
      for (int p = 0; p < parts; ++p) sums_[r][p] = {pairs(0), pairs(0)};
    }
  }

  FEWBIT_ALWAYS_INLINE void look_up(const std::uint8_t* tables, const std::uint8_t* w,
                                    index count) noexcept {
    bytes found[Rows][parts];
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
      for (int p = 0; p < parts; ++p) found[r][p] = bytes(0);
    }
    for (; count > 0; --count, w += Unit::lanes, tables += 2 * bytes_of_index) {
      const auto indices = Unit::load(w);
#pragma GCC unroll 4
      for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
        for (int p = 0; p < parts; ++p) {
          const std::uint8_t* table = tables + (r * parts + p) * Entries::size;
          found[r][p] += Unit::lookup(table, indices.low);
          found[r][p] += Unit::lookup(table + bytes_of_index, indices.high);
        }
      }
    }
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
      for (int p = 0; p < parts; ++p) {
        const pairs both = Unit::as_pairs(found[r][p]);
        sums_[r][p].all += both;
        sums_[r][p].second += both >> pairs(8);
      }
    }
  }

  FEWBIT_ALWAYS_INLINE void store(std::uint32_t factor, std::uint32_t* sums) const noexcept {
    constexpr int half = Unit::lanes / 2;
    using words = arch::vec<std::uint32_t, half>;
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r) {
      words first(0), second(0);
#pragma GCC unroll 2
      for (int p = parts - 1; p >= 0; --p) {
        const halves& of = sums_[r][p];
        const words scale(std::uint32_t{1} << Entries::bits_of_part);
        first =
            first * scale + arch::convert<std::uint32_t>(pairs(of.all - (of.second << pairs(8))));
        second = second * scale + arch::convert<std::uint32_t>(of.second);
      }
      std::uint32_t* to = sums + r * Unit::lanes;
      (words::load(to) + first * words(factor)).store(to);
      (words::load(to + half) + second * words(factor)).store(to + half);
    }
  }
};

/// Bytes of the tables of a block of k, for a tile of up to `rows` rows.
template <class A, class Unit>
[[nodiscard]] constexpr index table_bytes(index rows) noexcept {
  return 2 * table_block * std::min(rows, index{Unit::rows}) * table_entries<A>::parts *
         table_entries<A>::size;
}

template <class A, class W, class Unit, class Out, class E>
struct table_product {
  using weights = table_weights<A, W, Unit>;
  using entries = table_entries<A>;
  static constexpr auto factors = factors_of<W>();
  /// Whether sums are written to C directly, without an epilogue.
  static constexpr bool is_raw = std::is_same_v<E, raw> && std::is_same_v<Out, std::int32_t>;

  const typename A::code* a;
  index a_stride;
  index m;
  const weights& w;
  Out* c;
  index c_stride;
  const E& epilogue;

  /// Part `part` of `parts` equal parts of C, which are tiles of rows. If there are few rows, the
  /// parts are panels, and each part makes the tables.
  void run(index part, index parts, std::byte* scratch) const noexcept {
    const auto [row, row_end, col, col_end] =
        part_by_rows({m, Unit::rows}, {w.n(), Unit::lanes}, part, parts);
    if (col == col_end) return;
    for (index first = row; first < row_end; first += Unit::rows)
      tile(first, std::min(index{Unit::rows}, row_end - first), col, col_end, scratch);
  }

 private:
  /// The sums of some rows of C, columns col .. col_end - 1.
  struct tile_sums {
    std::int32_t* data;
    index stride;
    index col, col_end;
  };

  void tile(index row, index rows, index col, index col_end, std::byte* scratch) const noexcept {
    if constexpr (is_raw) {
      sum_tile(row, rows, {c + row * c_stride, c_stride, col, col_end}, scratch);
    } else {
      const index stride = w.panels() * Unit::lanes;
      auto* sums = reinterpret_cast<std::int32_t*>(scratch + table_bytes<A, Unit>(m));
      sum_tile(row, rows, {sums, stride, col, col_end}, scratch);
      apply_epilogue_to_rows<arch::native_lanes<std::int32_t>>(
          sums + col, stride, output_rectangle<Out>{c, c_stride, row, col, rows, col_end - col},
          epilogue);
    }
  }

  void sum_tile(index row, index rows, const tile_sums& to, std::byte* scratch) const noexcept {
    auto* tables = reinterpret_cast<std::uint8_t*>(scratch);
    for (index r = 0; r < rows; ++r)
      std::fill_n(to.data + r * to.stride + to.col, to.col_end - to.col, start(row + r));
    with_height<Unit::rows>(rows, [&](auto height) {
      for (index first = 0; first < w.bytes_of_k(); first += table_block) {
        const index bytes = std::min(table_block, w.bytes_of_k() - first);
        write_tables<decltype(height)::value>(row, first, bytes, tables);
        for (index col = to.col; col < to.col_end; col += Unit::lanes)
          add_panel<decltype(height)::value>(tables, first, bytes, to, col);
      }
    });
  }

  /// The initial value of all sums of a row.
  [[nodiscard]] std::int32_t start(index row) const noexcept {
    std::uint32_t sum = 0;
    const auto* codes = a + row * a_stride;
    for (index k = 0; k < w.k(); ++k) sum += static_cast<std::uint32_t>(codes[k]);
    const auto moved = static_cast<std::uint32_t>(2 * w.bytes_of_k() * entries::moved_by);
    return static_cast<std::int32_t>(static_cast<std::uint32_t>(factors.offset) * sum -
                                     static_cast<std::uint32_t>(factors.sum()) * moved);
  }

  template <int Rows>
  void write_tables(index row, index first, index bytes, std::uint8_t* to) const noexcept {
    for (index i = 0; i < 2 * bytes; ++i) {
      const index k = first * codes_of_byte + i * codes_of_index;
      const index count = std::clamp(w.k() - k, index{0}, codes_of_index);
      for (int r = 0; r < Rows; ++r, to += entries::parts * entries::size) {
        const auto* codes = a + (row + r) * a_stride + k;
        if (count == codes_of_index) {
          entries::write(codes, codes_of_index, to);
        } else {
          entries::write(codes, count, to);
        }
      }
    }
  }

  template <int Rows>
  void add_panel(const std::uint8_t* tables, index first, index bytes, const tile_sums& to,
                 index col) const noexcept {
    alignas(64) std::uint32_t sums[Rows * Unit::lanes] = {};
    const std::uint8_t* plane = w.block(first, bytes, col / Unit::lanes);
    for (const std::int32_t factor : factors.factors) {
      table_tile<Unit, entries, Rows>::add(tables, plane, bytes, factor, &sums[0]);
      plane += bytes * Unit::lanes;
    }
    const index cols = std::min(index{Unit::lanes}, w.n() - col);
    for (index r = 0; r < Rows; ++r) {
      std::int32_t* row = to.data + r * to.stride + col;
      const std::uint32_t* from = &sums[r * Unit::lanes];
      for (index j = 0; j < cols; ++j)
        row[j] = static_cast<std::int32_t>(static_cast<std::uint32_t>(row[j]) + from[j]);
    }
  }
};

}  // namespace detail

/// Scratch bytes that one worker needs for products of up to `rows` rows.
template <class A, class W, class Unit>
[[nodiscard]] index scratch_bytes(const table_weights<A, W, Unit>& w, index rows) noexcept {
  const index height = std::min(rows, index{Unit::rows});
  const index sums = height * w.panels() * Unit::lanes + arch::native_lanes<std::int32_t>;
  return detail::table_bytes<A, Unit>(rows) + sums * index{sizeof(std::int32_t)};
}

/// Scratch bytes that one worker needs for products of any number of rows.
template <class A, class W, class Unit>
[[nodiscard]] index scratch_bytes(const table_weights<A, W, Unit>& w) noexcept {
  return scratch_bytes(w, Unit::rows);
}

/// C(i, j) = epilogue(sum over k of A(i, k) * W(j, k)), exact in int32. Does not allocate and does
/// not throw. If the executor throws, std::terminate is called.
///
/// @param a         m x k codes, row-major, of the format that w was packed for; asserted, because
///                  sums of other codes are wrong
/// @param w         n x k weights
/// @param c         m x n, row-major, of what the epilogue returns
/// @param epilogue  applied to each element (gemm/epilogue.hpp)
/// @param scratch   at least scratch_bytes(w) per slot; C is cut into one part per slot
/// @param executor  runs the parts; results do not depend on it
/// If shapes do not fit or scratch memory is too small, the error handler is called and the program
/// terminates (core/operands.hpp).
template <class A, class W, class Unit, class Codes, class C, class E,
          Executor Workers = inline_executor>
  requires ProductEpilogue<C, E, std::int32_t>
void multiply(const Codes& a, const table_weights<A, W, Unit>& w, C&& c, const E& epilogue,
              workspace& scratch, const Workers& executor = {}) noexcept {
  const auto run = [&](const auto& from, auto& to) {
    assert(detail::first_foreign_code<A>(from).row < 0);
    const detail::table_product<A, W, Unit, scalar_of<C>, E> p{
        from.data(), from.outerStride(), from.rows(), w, to.data(), to.outerStride(), epilogue};
    detail::run_in_parts(p, scratch, executor);
  };
  detail::with_checked_operands<typename A::code>(a, w, c, scratch, run);
}

/// The same for one call in one thread: scratch memory is allocated.
template <class A, class W, class Unit, class Codes, class C, class E = raw>
  requires ProductEpilogue<C, E, std::int32_t>
void multiply(const Codes& a, const table_weights<A, W, Unit>& w, C&& c, const E& epilogue = {}) {
  workspace scratch(scratch_bytes(w));
  multiply(a, w, c, epilogue, scratch);
}

}}}  // namespace fewbit::gemm

#include "fewbit/end.hpp"
