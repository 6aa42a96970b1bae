#pragma once
/// What some coordinates of a query make with all centroids of their part: entries of a table, in
/// float and in bytes.
///
/// The byte of an entry t of part p is the integer nearest to (t - min_p) / scale, where min_p is
/// the least entry of the part and the scale, one for all parts, sends the largest t - min_p to
/// 255. So an entry is min_p + scale * byte within scale * (1/2 + 2^-12): half a step, and what
/// divisions and products lose in float.
///
/// Read next: codebook/distance_tables.hpp (for searches), codebook/pq_weights.hpp (for products).

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>

#include "fewbit/arch/fused.hpp"
#include "fewbit/arch/vec.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// A multiple of which, 16 and 256, is a table.
using entry_lanes = arch::vec<float, 16>;

/// How far an entry of a byte is from its float at most, in scales.
inline constexpr double entry_error = 0.5 + 0x1p-12;

/// The extremes of a table.
struct entry_range {
  float least;
  float most;
};

/// values[j] = step of query[0] and columns[j], then of query[1] and columns[codes + j] and so on,
/// beginning with 0.
template <class F>
entry_range fill_entries(const float* query, index width, const float* columns, index codes,
                         float* values, const F& step) noexcept {
  entry_lanes least(std::numeric_limits<float>::infinity());
  entry_lanes most = entry_lanes(0.0F) - least;
  for (index j = 0; j < codes; j += entry_lanes::lanes) {
    entry_lanes sum(0.0F);
    for (index t = 0; t < width; ++t) {
      sum = step(entry_lanes(query[t]), entry_lanes::load(columns + t * codes + j), sum);
    }
    sum.store(values + j);
    least = arch::min(sum, least);
    most = arch::max(sum, most);
  }
  return {-arch::max_of_lanes(entry_lanes(entry_lanes(0.0F) - least)), arch::max_of_lanes(most)};
}

/// The scale of the bytes of entries that spread by `extent` at most: at least 2^-126, whose inverse
/// is a float. So bytes of products below 2^-118 have fewer than 8 bits.
[[nodiscard]] inline float entry_scale(float extent) noexcept {
  return std::max(extent / 255.0F, 0x1p-126F);
}

/// Bytes of the entries of one part.
inline void entries_to_bytes(const float* values, index codes, float least, float scale,
                             std::uint8_t* bytes) noexcept {
  const entry_lanes inverse(1.0F / scale);
  for (index j = 0; j < codes; j += entry_lanes::lanes) {
    const entry_lanes above = entry_lanes::load(values + j) - entry_lanes(least);
    const auto code =
        arch::round_to_int(arch::min(entry_lanes(above * inverse), entry_lanes(255.0F)));
    arch::convert<std::uint8_t>(code).store(bytes + j);
  }
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
