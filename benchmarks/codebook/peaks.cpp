// What the processor can do at most: fused multiply-adds on registers alone.
//
// The loop does not depend on the library's kernels.

#include <benchmark/benchmark.h>

#include <utility>

#include "fewbit/config.hpp"

#if FEWBIT_HAS_AVX2
#include <immintrin.h>

namespace fewbit::benchmarks {
namespace {

#if defined(__AVX512F__)
using vector = __m512;
#else
using vector = __m256;
#endif
constexpr int sums = 12;  // more than latency times instructions per cycle

FEWBIT_ALWAYS_INLINE void fuse(vector& sum, const vector& a, const vector& b) {
#if defined(__AVX512F__)
  asm volatile("vfmadd231ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
#else
  asm volatile("vfmadd231ps %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b));
#endif
}

template <int... i>
FEWBIT_ALWAYS_INLINE void fuse_all(vector (&sum)[sums], const vector& a, const vector& b,
                                   std::integer_sequence<int, i...>) {
  (fuse(sum[i], a, b), ...);
}

void run_fused(benchmark::State& state) {
  constexpr int rounds = 4096;
  vector sum[sums] = {};
  const vector a = {}, b = {1};
  for (auto _ : state) {
#pragma GCC unroll 4
    for (int i = 0; i < rounds; ++i) fuse_all(sum, a, b, std::make_integer_sequence<int, sums>{});
  }
  constexpr double lanes = sizeof(vector) / sizeof(float);
  state.counters["GOPS"] = {2e-9 * lanes * sums * rounds,
                            benchmark::Counter::kIsIterationInvariantRate};
}

[[maybe_unused]] const bool added = [] {
  benchmark::RegisterBenchmark("peak/fma", &run_fused);
  return true;
}();

}  // namespace
}  // namespace fewbit::benchmarks

#endif
