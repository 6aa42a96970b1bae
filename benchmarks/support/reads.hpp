#pragma once
/// Read bandwidth of each level of memory: rows peak/read_l2, peak/read_l3, peak/read_dram.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstddef>
#include <string>

#include "fewbit/config.hpp"
#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/types.hpp"
#include "support/caches.hpp"
#include "support/counters.hpp"

#if FEWBIT_HAS_AVX2
#include <immintrin.h>

namespace fewbit::benchmarks {

#if defined(__AVX512F__)
using line_part = __m512i;
#else
using line_part = __m256i;
#endif

FEWBIT_ALWAYS_INLINE void read_line(const std::byte* p) {
  constexpr int parts = 64 / sizeof(line_part);
#pragma GCC unroll 2
  for (int i = 0; i < parts; ++i) {
    const line_part part = reinterpret_cast<const line_part*>(p)[i];
    asm volatile("" : : "x"(part));
  }
}

/// Reads a buffer as several parallel streams. Each cache line is prefetched `ahead` bytes early.
template <int streams, index ahead>
void run_read(benchmark::State& state, index bytes) {
  constexpr index page = 4096;
  const index stride = bytes / streams / page * page;
  const aligned_buffer<std::byte> buffer(streams * stride + ahead);
  for (auto _ : state) {
    for (index at = 0; at < stride; at += 64) {
#pragma GCC unroll 16
      for (int s = 0; s < streams; ++s) {
        const std::byte* p = buffer.data() + s * stride + at;
        if constexpr (ahead > 0) __builtin_prefetch(p + ahead);
        read_line(p);
      }
    }
  }
  state.counters["GBps"] = per_second(static_cast<double>(streams * stride) * 1e-9);
}

inline void add_read_rows() {
  const auto add = [](const std::string& loop, auto run) {
    benchmark::RegisterBenchmark(("peak/" + loop).c_str(), run);
  };
  // The fastest choice among 1 to 16 streams and prefetch distances of 0 to 4096 bytes on a Cascade
  // Lake:
  //
  // | level  | compared with one stream without prefetch                 |
  // |--------|-----------------------------------------------------------|
  // | second | 29 % faster with two streams; prefetching makes it slower |
  // | third  | 9 % faster                                                |
  // | memory | 12 % faster                                               |
  add("read_l2", [](benchmark::State& state) { run_read<2, 0>(state, second_level_bytes() / 2); });
  // As many bytes as the weights of (1,4096,4096), if the last level is large. On a Sapphire Rapids
  // with a cache of 480 MiB, reading ten times as many bytes has two thirds of the rate.
  add("read_l3", [](benchmark::State& state) {
    const index bytes = std::min(index{4096} * 4096, last_level_bytes() / 3);
    run_read<2, 1024>(state, std::max(bytes, 2 * second_level_bytes()));
  });
  add("read_dram", [](benchmark::State& state) { run_read<8, 1024>(state, beyond_caches()); });
}

}  // namespace fewbit::benchmarks

#endif
