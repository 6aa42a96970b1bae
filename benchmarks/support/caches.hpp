#pragma once
/// Sizes of the caches. Benchmarks use them to choose buffers that fit a cache or overflow all.

#include <benchmark/benchmark.h>

#include <algorithm>

#include "fewbit/core/types.hpp"

namespace fewbit::benchmarks {

/// Bytes of the data or unified cache of a level, or `otherwise` if the system does not report it.
inline index cache_bytes(int level, index otherwise) {
  for (const auto& cache : benchmark::CPUInfo::Get().caches) {
    if (cache.level == level && cache.type != "Instruction") return index{cache.size};
  }
  return otherwise;
}

inline index second_level_bytes() { return cache_bytes(2, index{1} << 20); }

/// Bytes of the third level, or of the second level if that is larger.
inline index last_level_bytes() {
  return std::max(cache_bytes(3, index{32} << 20), second_level_bytes());
}

/// Size of memory to read again and again so that almost no read hits a cache: four times the last
/// level, at most 1 GiB.
inline index beyond_caches() { return std::min(4 * last_level_bytes(), index{1} << 30); }

}  // namespace fewbit::benchmarks
