// Peak rates of the processor: fused multiply-adds and byte lookups on registers alone.
//
// The loops do not use the kernels of the library.

#include <benchmark/benchmark.h>

#include <utility>

#include "fewbit/config.hpp"

#if FEWBIT_HAS_AVX2
#include <immintrin.h>

namespace fewbit::benchmarks { namespace {

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

FEWBIT_ALWAYS_INLINE void look_up(vector& found, const vector& table) {
#if defined(__AVX512F__)
  asm volatile("vpshufb %1, %1, %0" : "=v"(found) : "v"(table));
#else
  asm volatile("vpshufb %1, %1, %0" : "=x"(found) : "x"(table));
#endif
}

template <int... i>
FEWBIT_ALWAYS_INLINE void look_up_all(vector (&found)[sums], const vector& table,
                                      std::integer_sequence<int, i...>) {
  (look_up(found[i], table), ...);
}

void run_lookups(benchmark::State& state) {
  constexpr int rounds = 4096;
  vector found[sums] = {};
  const vector table = {};
  for (auto _ : state) {
#pragma GCC unroll 4
    for (int i = 0; i < rounds; ++i) {
      look_up_all(found, table, std::make_integer_sequence<int, sums>{});
    }
  }
  state.counters["Gps"] = {1e-9 * sizeof(vector) * sums * rounds,
                           benchmark::Counter::kIsIterationInvariantRate};
}

[[maybe_unused]] const bool added = [] {
  benchmark::RegisterBenchmark("peak/fma", &run_fused);
  benchmark::RegisterBenchmark("peak/shuffle", &run_lookups);
  return true;
}();

}  // namespace
}  // namespace fewbit::benchmarks

#endif
