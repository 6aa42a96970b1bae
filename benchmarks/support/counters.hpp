#pragma once
/// Counters of rates.

#include <benchmark/benchmark.h>

namespace fewbit::benchmarks {

/// A counter that shows `count` per iteration as a rate per second.
inline benchmark::Counter per_second(double count) {
  return {count, benchmark::Counter::kIsIterationInvariantRate};
}

}  // namespace fewbit::benchmarks
