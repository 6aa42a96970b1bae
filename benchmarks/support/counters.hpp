#pragma once
/// Counters of rates.

#include <benchmark/benchmark.h>

namespace fewbit::benchmarks {

/// A rate counter that adds `count` in each iteration.
inline benchmark::Counter per_second(double count) {
  return {count, benchmark::Counter::kIsIterationInvariantRate};
}

}  // namespace fewbit::benchmarks
