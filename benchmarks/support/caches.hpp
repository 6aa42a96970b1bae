#pragma once
/// Sizes of this machine's caches, by which buffers are chosen that fit one or overflow all.

#include <benchmark/benchmark.h>

#include <algorithm>

#include "fewbit/core/types.hpp"

namespace fewbit::benchmarks {

/// Bytes of the data or unified cache of a level, or `otherwise` where the system does not say.
inline index cache_bytes(int level, index otherwise) {
  for (const auto& cache : benchmark::CPUInfo::Get().caches) {
    if (cache.level == level && cache.type != "Instruction") return index{cache.size};
  }
  return otherwise;
}

inline index second_level_bytes() { return cache_bytes(2, index{1} << 20); }

/// The third level, or the second where there is no third.
inline index last_level_bytes() {
  return std::max(cache_bytes(3, index{32} << 20), second_level_bytes());
}

/// What must be touched in turn so that next to nothing is found in a cache: four times the last
/// level, but at most 1 GiB.
inline index beyond_caches() { return std::min(4 * last_level_bytes(), index{1} << 30); }

}  // namespace fewbit::benchmarks
