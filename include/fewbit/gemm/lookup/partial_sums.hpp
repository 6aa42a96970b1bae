#pragma once
/// Sums of one row by table lookup over a part of k. Read before: gemm/partial_sums.hpp,
/// gemm/lookup/multiply.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstdint>

#include "fewbit/core/types.hpp"
#include "fewbit/gemm/lookup/multiply.hpp"
#include "fewbit/gemm/lookup/weights.hpp"
#include "fewbit/gemm/partial_sums.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm {

template <TwosComplement A, BitFormat W, class Unit>
class partial_sums<table_weights<A, W, Unit>> {
  using weights = table_weights<A, W, Unit>;
  using entries = detail::table_entries<A>;
  static constexpr auto factors = detail::factors_of<W>();
  static constexpr index bytes = detail::table_block / 2;

 public:
  /// A call starts at a multiple of this many columns.
  static constexpr index cols = Unit::lanes;
  /// The largest number of codes of a call. Each part of k starts at a multiple of it.
  static constexpr index depth = bytes * detail::codes_of_byte;
  /// Bytes of the tables of a call.
  static constexpr index table_bytes = bytes * 2 * entries::parts * entries::size;

  /// sums[j - begin] += sum over k .. k + count - 1 of a[k] * W(j, k), for columns begin ..
  /// col_end - 1, rounded up to a whole panel.
  ///
  /// @param count  depth, or the remaining codes of k
  static void add(const typename A::code* a, const weights& w, index k, index count, index begin,
                  index col_end, std::uint8_t* tables, std::uint32_t* sums) noexcept {
    std::uint32_t sum = 0;
    for (index i = 0; i < count; ++i) sum += static_cast<std::uint32_t>(a[i]);
    const index first = k / detail::codes_of_byte;
    const index block = first / detail::table_block * detail::table_block;
    const index of_block = std::min(detail::table_block, w.bytes_of_k() - block);
    const index taken = (count + detail::codes_of_byte - 1) / detail::codes_of_byte;
    std::uint8_t* to = tables;
    for (index i = 0; i < 2 * taken; ++i, to += entries::parts * entries::size) {
      const index at = i * detail::codes_of_index;
      entries::write(a + std::min(at, count),
                     std::clamp(count - at, index{0}, index{detail::codes_of_index}), to);
    }
    const auto moved = static_cast<std::uint32_t>(2 * taken * entries::moved_by);
    const std::uint32_t start = static_cast<std::uint32_t>(factors.offset) * sum -
                                static_cast<std::uint32_t>(factors.sum()) * moved;
    for (index col = begin; col < col_end; col += cols, sums += cols) {
      for (index j = 0; j < cols; ++j) sums[j] += start;
      const std::uint8_t* plane =
          w.block(block, of_block, col / cols) + (first - block) * Unit::lanes;
      for (const std::int32_t factor : factors.factors) {
        detail::table_tile<Unit, entries, 1>::add(tables, plane, taken, factor, sums);
        plane += of_block * Unit::lanes;
      }
    }
  }
};

}}}  // namespace fewbit::gemm

#include "fewbit/end.hpp"
