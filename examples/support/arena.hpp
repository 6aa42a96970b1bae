#pragma once
/// Places the buffers of a network in one block of memory: buffers that are never in use at the
/// same time share bytes.

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <span>
#include <vector>

#include "fewbit/core/types.hpp"

namespace fewbit::examples {

/// A buffer, and the first and last step that use it.
struct buffer_life {
  index bytes = 0;
  index first = 0;
  index last = -1;  ///< less than `first`: never used

  [[nodiscard]] bool is_used() const { return bytes > 0 && last >= first; }
  [[nodiscard]] bool meets(const buffer_life& other) const {
    return is_used() && other.is_used() && first <= other.last && other.first <= last;
  }
};

struct arena_plan {
  std::vector<index> offsets;  ///< of each buffer, multiples of 64; 0 if never used
  index bytes = 0;             ///< of the arena: the peak
};

/// First fit, large buffers first: each buffer gets the lowest offset at which it overlaps no
/// placed buffer of a common step.
inline arena_plan plan_arena(std::span<const buffer_life> buffers) {
  const auto rounded = [](index bytes) { return (bytes + 63) / 64 * 64; };
  std::vector<std::size_t> order(buffers.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return buffers[a].bytes > buffers[b].bytes;
  });
  arena_plan plan{std::vector<index>(buffers.size(), 0), 0};
  std::vector<std::size_t> placed;  // in the order of offsets
  for (const std::size_t i : order) {
    if (!buffers[i].is_used()) continue;
    index at = 0;
    for (const std::size_t other : placed) {
      if (!buffers[i].meets(buffers[other])) continue;
      if (at + buffers[i].bytes <= plan.offsets[other]) break;
      at = std::max(at, plan.offsets[other] + rounded(buffers[other].bytes));
    }
    plan.offsets[i] = at;
    plan.bytes = std::max(plan.bytes, at + rounded(buffers[i].bytes));
    placed.insert(std::upper_bound(placed.begin(), placed.end(), i,
                                   [&](std::size_t a, std::size_t b) {
                                     return plan.offsets[a] < plan.offsets[b];
                                   }),
                  i);
  }
  return plan;
}

}  // namespace fewbit::examples
