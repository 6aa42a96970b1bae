#pragma once
/// The table of one part of a query: one entry per centroid of the part, in float and in bytes.
///
/// The byte of entry t of part p is the integer nearest to (t - min_p) / scale. min_p is the least
/// entry of the part. All parts share one scale, which maps the largest t - min_p to 255. So min_p
/// + scale * byte differs from the entry by at most scale * (1/2 + 2^-12): half a step, plus the
/// rounding of float divisions and products.
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

/// The size of a table, 16 or 256, is a multiple of these lanes.
using entry_lanes = arch::vec<float, 16>;

/// The largest difference of a byte entry from its float entry, in units of the scale.
inline constexpr double entry_error = 0.5 + 0x1p-12;

/// The least and the largest entry of a table.
struct entry_range {
  float least;
  float most;
};

/// values[j] = s_width, where s_0 = 0 and s_(t + 1) = step(query[t], columns[t * codes + j], s_t).
/// Returns the least and the largest value.
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

/// The scale of byte entries whose range in a part is at most `extent`: at least 2^-126, so that
/// its inverse is a float. Entries with a range below 2^-118 therefore use fewer than 8 bits.
[[nodiscard]] inline float entry_scale(float extent) noexcept {
  return std::max(extent / 255.0F, 0x1p-126F);
}

/// The byte entries of one part.
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
