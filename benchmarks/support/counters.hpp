#pragma once
/// Counters of rates.

#include <benchmark/benchmark.h>

namespace fewbit::benchmarks {

/// `count` of something for each iteration, as a rate.
inline benchmark::Counter per_second(double count) {
  return {count, benchmark::Counter::kIsIterationInvariantRate};
}

}  // namespace fewbit::benchmarks
