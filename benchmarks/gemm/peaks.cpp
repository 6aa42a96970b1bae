// What the processor can do at most: dot instructions on registers alone, reading from each level.
//
// The loops do not depend on the library's kernels. Operations are counted as in a product, two per
// product of two codes.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstddef>
#include <string>

#include "fewbit/config.hpp"
#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/types.hpp"
#include "support/caches.hpp"
#include "support/gemm_rows.hpp"

#if FEWBIT_HAS_AVX2
#include <immintrin.h>

namespace fewbit::benchmarks {
namespace {

// A step multiplies two registers and adds to a third. Constraint "x" keeps VEX instructions on
// their 16 registers, where an assembler could choose the longer EVEX form.

#if FEWBIT_HAS_AVX512_VNNI
struct vpdpbusd_zmm {
  using vector = __m512i;
  static constexpr int products = 64;
  FEWBIT_ALWAYS_INLINE static void step(vector& sum, const vector& a, const vector& b) {
    asm volatile("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
  }
};

struct vpdpbusd_evex_ymm {
  using vector = __m256i;
  static constexpr int products = 32;
  FEWBIT_ALWAYS_INLINE static void step(vector& sum, const vector& a, const vector& b) {
    asm volatile("%{evex%} vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
  }
};
#endif

#if FEWBIT_HAS_AVX_VNNI
struct vpdpbusd_ymm {
  using vector = __m256i;
  static constexpr int products = 32;
  FEWBIT_ALWAYS_INLINE static void step(vector& sum, const vector& a, const vector& b) {
    asm volatile("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b));
  }
};
#endif

/// vpmaddubsw, vpmaddwd by ones, vpaddd: how u8 by s8 is summed where 16 bits can hold the pairs.
struct vpmaddubsw_ymm {
  using vector = __m256i;
  static constexpr int products = 32;
  FEWBIT_ALWAYS_INLINE static void step(vector& sum, const vector& a, const vector& b) {
    vector pairs;
    asm volatile(
        "vpmaddubsw %3, %2, %1\n\t"
        "vpmaddwd %2, %1, %1\n\t"
        "vpaddd %1, %0, %0"
        : "+x"(sum), "=&x"(pairs)
        : "x"(a), "x"(b));
  }
};

/// vpmaddwd, vpaddd: codes widened to 16 bits.
struct vpmaddwd_ymm {
  using vector = __m256i;
  static constexpr int products = 16;
  FEWBIT_ALWAYS_INLINE static void step(vector& sum, const vector& a, const vector& b) {
    vector pairs;
    asm volatile(
        "vpmaddwd %3, %2, %1\n\t"
        "vpaddd %1, %0, %0"
        : "+x"(sum), "=&x"(pairs)
        : "x"(a), "x"(b));
  }
};

/// Twelve sums that wait for none of the others: more than latency times instructions per cycle.
template <class Instruction>
void run_peak(benchmark::State& state) {
  constexpr int independent = 12;
  constexpr int rounds = 1024;
  constexpr int unrolled = 4;
  using vector = typename Instruction::vector;
  vector sums[independent] = {};
  const vector a = {}, b = {};
  for (auto _ : state) {
    for (int i = 0; i < rounds; ++i) {
#pragma GCC unroll 4
      for (int u = 0; u < unrolled; ++u) {
#pragma GCC unroll 12
        for (int j = 0; j < independent; ++j) Instruction::step(sums[j], a, b);
      }
    }
  }
  constexpr double steps = double{independent} * rounds * unrolled;
  state.counters["GOPS"] = per_second(2e-9 * Instruction::products * steps);
}

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

/// Reads a buffer as several streams side by side, each line asked for `ahead` bytes before its
/// turn.
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

[[maybe_unused]] const bool added = [] {
  const auto add = [](const std::string& loop, auto run) {
    benchmark::RegisterBenchmark(("peak/" + loop).c_str(), run);
  };
#if FEWBIT_HAS_AVX512_VNNI
  add("vpdpbusd_zmm", &run_peak<vpdpbusd_zmm>);
#endif
#if FEWBIT_HAS_AVX_VNNI
  add("vpdpbusd_ymm", &run_peak<vpdpbusd_ymm>);
#elif FEWBIT_HAS_AVX512_VNNI
  add("vpdpbusd_evex_ymm", &run_peak<vpdpbusd_evex_ymm>);
#endif
  add("vpmaddubsw_ymm", &run_peak<vpmaddubsw_ymm>);
  add("vpmaddwd_ymm", &run_peak<vpmaddwd_ymm>);

  // The fastest of 1 to 16 streams and 0 to 4096 bytes ahead on a Cascade Lake: the second level
  // gains 29 % by a second stream and loses by prefetching, the third gains 9 % and memory 12 % over
  // one stream without prefetching.
  add("read_l2", [](benchmark::State& state) { run_read<2, 0>(state, second_level_bytes() / 2); });
  add("read_l3", [](benchmark::State& state) {
    run_read<2, 1024>(state, std::max(last_level_bytes() / 3, 2 * second_level_bytes()));
  });
  add("read_dram", [](benchmark::State& state) { run_read<8, 1024>(state, beyond_caches()); });
  return true;
}();

}  // namespace
}  // namespace fewbit::benchmarks

#endif
