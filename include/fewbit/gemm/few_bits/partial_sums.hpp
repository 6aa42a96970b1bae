#pragma once
/// Sums of one row by weights of one to four bits over a part of k. Read before:
/// gemm/partial_sums.hpp (why and how), gemm/few_bits/few_rows.hpp (the formula).

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "fewbit/arch/stored_unit.hpp"
#include "fewbit/arch/vec.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/gemm/few_bits/weights.hpp"
#include "fewbit/gemm/partial_sums.hpp"
#include "fewbit/gemm/sum_of_codes.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm {

/// @tparam Lhs  std::int8_t or std::uint8_t
template <int Bits, class Arch, class Lhs>
class partial_sums<few_bit_weights<Bits, Arch>, Lhs> {
  using weights = few_bit_weights<Bits, Arch>;
  using unit = typename weights::unit;
  using ints = typename unit::accumulator;
  static constexpr int moved_by = std::is_unsigned_v<Lhs> ? 128 : 0;

 public:
  /// A call starts at a multiple of this many columns.
  static constexpr index cols = unit::cols;
  /// A chunk of k starts at a multiple of this many codes.
  static constexpr index depth = weights::chunk_codes;

  /// sums[j - begin] += sum over k .. k + count - 1 of a[k] * W(j, k), for columns begin ..
  /// col_end - 1, rounded up to a whole panel.
  ///
  /// @param a       `count` codes
  /// @param copies  room for `count` codes, rounded up to whole chunks
  static void add(const Lhs* a, const weights& w, index k, index count, index begin, index col_end,
                  std::int8_t* copies, std::int32_t* sums) noexcept {
    for (index i = 0; i < count; ++i) copies[i] = static_cast<std::int8_t>(a[i] - moved_by);
    const index chunks = (count + depth - 1) / depth;
    std::fill(copies + count, copies + chunks * depth, std::int8_t{0});
    const std::int32_t moved = sum_of_codes(a, count) - moved_by * static_cast<int>(count);
    const ints start(-w.zero_point() * moved);
    for (index col = begin; col < col_end; col += cols, sums += cols) {
      const std::uint8_t* from = w.panel(col / cols) + k / depth * weights::chunk_bytes;
      ints sum[1] = {start};
      for (index i = 0; i < chunks; ++i)
        unit::add_chunk(sum, copies + i * depth, from + i * weights::chunk_bytes);
      if constexpr (moved_by != 0) {
        if (k == 0) {
          const ints of_weights = ints::load(w.column_sums() + col);
          sum[0] = arch::add_wrapping(sum[0], arch::multiply_wrapping(of_weights, ints(moved_by)));
        }
      }
      arch::add_wrapping(ints::load(sums), sum[0]).store(sums);
    }
  }
};

}}}  // namespace fewbit::gemm

#include "fewbit/end.hpp"
