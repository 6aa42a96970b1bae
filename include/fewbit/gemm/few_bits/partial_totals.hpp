#pragma once
/// Totals of one row by weights in groups, some groups or a piece of one group at a time, for
/// products whose scratch memory does not hold all activations.
///
/// Groups are added in order, so totals have the same bits as multiply_grouped. Read before:
/// gemm/few_bits/multiply_grouped.hpp.

#include "fewbit/begin.hpp"

#include <cstdint>

#include "fewbit/arch/vec.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/gemm/few_bits/grouped_weights.hpp"
#include "fewbit/gemm/few_bits/multiply_grouped.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm {

/// Adds some groups, or a part of one group, to the totals of a panel.
///
/// @tparam Weights  grouped_weights
/// @tparam Affine   whether codes have zero points by group
/// @tparam Scaled   whether activations have a scale for each group
template <class Weights, bool Affine, bool Scaled>
class partial_totals {
  using unit = typename Weights::unit;
  using ends = detail::grouped_ends<Weights, 1>;
  using ints = typename ends::ints;
  using reals = typename ends::reals;

 public:
  static constexpr index cols = unit::cols;

  /// sums[j] += the product of some whole chunks of one group. The chunks of the panel start at
  /// `codes`.
  static void add_chunks(const std::int8_t* a, index chunks, const std::uint8_t* codes,
                         std::int32_t* sums) noexcept {
    ints sum[1] = {ints::load(sums)};
    for (index i = 0; i < chunks; ++i)
      unit::add_chunk(sum, a + i * Weights::chunk_codes, codes + i * Weights::chunk_bytes);
    sum[0].store(sums);
  }

  /// totals[j] += the scaled sums of a group.
  ///
  /// @param start      as grouped_lhs::starts()
  /// @param lhs_scale  of the group, if activations are scaled
  /// @param tail       points to the data after the codes of the group
  /// @param lhs_sum    sum of the activations of the group, if weights have minima
  static void end_group(const Weights& w, std::int32_t start, [[maybe_unused]] float lhs_scale,
                        const std::uint8_t* tail, const std::int32_t* sums, float* totals,
                        [[maybe_unused]] float lhs_sum = 0.0F) noexcept {
    ints sum[1];
    ends::template start<Affine>(w, tail, &start, sum);
    sum[0] = arch::add_wrapping(sum[0], ints::load(sums));
    const auto scaled = [&](int, const reals& product) {
      if constexpr (Scaled) {
        return arch::rounded(reals(product * reals(lhs_scale)));
      } else {
        return product;
      }
    };
    reals total[1] = {reals::load(totals)};
    ends::add_scaled(w, tail, sum, scaled, total);
    if constexpr (Weights::has_minimum) detail::add_minima(w, tail, &lhs_sum, scaled, total);
    total[0].store(totals);
  }

  /// Adds groups first .. end - 1 of one panel. Group `first` starts at `codes`.
  ///
  /// @param a           codes of the groups, each padded to whole chunks
  /// @param starts      of each of the groups
  /// @param lhs_scales  of each of the groups, if activations are scaled
  /// @param lhs_sums    sums of the activations of each group, if weights have minima
  static void add_groups(const Weights& w, index first, index end, const std::uint8_t* codes,
                         const std::int8_t* a, const std::int32_t* starts, const float* lhs_scales,
                         float* totals, [[maybe_unused]] const float* lhs_sums = nullptr) noexcept {
    reals total[1] = {reals::load(totals)};
    for (index g = first; g < end; ++g) {
      const index chunks = w.chunks_of(g);
      const std::uint8_t* tail = codes + chunks * Weights::chunk_bytes;
      ints sum[1];
      ends::template start<Affine>(w, tail, starts + (g - first), sum);
      for (index i = 0; i < chunks; ++i, a += Weights::chunk_codes)
        unit::add_chunk(sum, a, codes + i * Weights::chunk_bytes);
      const auto scaled = [&](int, const reals& product) {
        if constexpr (Scaled) {
          return arch::rounded(reals(product * reals(lhs_scales[g - first])));
        } else {
          return product;
        }
      };
      ends::add_scaled(w, tail, sum, scaled, total);
      if constexpr (Weights::has_minimum) {
        detail::add_minima(w, tail, lhs_sums + (g - first), scaled, total);
      }
      codes = tail + w.tail_bytes();
    }
    total[0].store(totals);
  }
};

}}}  // namespace fewbit::gemm

#include "fewbit/end.hpp"
