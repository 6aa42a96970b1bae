// Upper bounds of the processor: dot instructions on registers, and reads from each level of
// memory.
//
// The loops do not use the library's kernels. Operations are counted as in gemm: two for each
// product of two codes.

#include <benchmark/benchmark.h>

#include <string>
#include <utility>

#include "fewbit/config.hpp"
#include "support/counters.hpp"
#include "support/reads.hpp"

#if FEWBIT_HAS_AVX2
#include <immintrin.h>

namespace fewbit::benchmarks { namespace {

// Each struct has `sums` independent accumulator registers. Either `dot` adds to each of them, or
// `multiply`, `widen` and `add` do, one after the other. The constraint "x" allows only registers
// that VEX instructions can use.

#if FEWBIT_HAS_AVX512_VNNI
struct vpdpbusd_zmm {
  using vector = __m512i;
  static constexpr int sums = 12;  // more than latency times instructions per cycle
  static constexpr int products = 64;
  FEWBIT_ALWAYS_INLINE static void dot(vector& sum, const vector& a, const vector& b) {
    asm volatile("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
  }
};

struct vpdpbusd_evex_ymm {
  using vector = __m256i;
  static constexpr int sums = 12;
  static constexpr int products = 32;
  FEWBIT_ALWAYS_INLINE static void dot(vector& sum, const vector& a, const vector& b) {
    asm volatile("%{evex%} vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
  }
};
#endif

#if FEWBIT_HAS_AVX_VNNI
struct vpdpbusd_ymm {
  using vector = __m256i;
  static constexpr int sums = 12;
  static constexpr int products = 32;
  FEWBIT_ALWAYS_INLINE static void dot(vector& sum, const vector& a, const vector& b) {
    asm volatile("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b));
  }
};
#endif

// In the next two chains, vpaddd uses the same ports as the products. On a Cascade Lake, six
// products followed by six additions are 4 % faster than alternating them. They reach 40 of the 48
// operations per cycle that the ports allow for vpmaddwd, and 51 of 64 for the other chain. No
// other order that was tried is more than 1 % faster.

/// Codes widened to 16 bits.
struct vpmaddwd_ymm {
  using vector = __m256i;
  static constexpr int sums = 6;
  static constexpr int products = 16;
  FEWBIT_ALWAYS_INLINE static void multiply(vector& pairs, const vector& a, const vector& b) {
    asm volatile("vpmaddwd %2, %1, %0" : "=x"(pairs) : "x"(a), "x"(b));
  }
  FEWBIT_ALWAYS_INLINE static void add(vector& sum, const vector& pairs) {
    asm volatile("vpaddd %1, %0, %0" : "+x"(sum) : "x"(pairs));
  }
};

/// u8 by s8, if 16 bits can hold the sum of two products.
struct vpmaddubsw_ymm {
  using vector = __m256i;
  static constexpr int sums = 6;
  static constexpr int products = 32;
  FEWBIT_ALWAYS_INLINE static void multiply(vector& pairs, const vector& a, const vector& b) {
    asm volatile("vpmaddubsw %2, %1, %0" : "=x"(pairs) : "x"(a), "x"(b));
  }
  FEWBIT_ALWAYS_INLINE static void widen(vector& pairs, const vector& ones) {
    asm volatile("vpmaddwd %1, %0, %0" : "+x"(pairs) : "x"(ones));
  }
  FEWBIT_ALWAYS_INLINE static void add(vector& sum, const vector& pairs) {
    vpmaddwd_ymm::add(sum, pairs);
  }
};

#if FEWBIT_HAS_AVX512_BITALG
/// Binary codes: 512 pairs of bits at a time.
struct xor_popcount {
  using vector = __m512i;
  static constexpr int sums = 12;
  static constexpr int products = 512;
  FEWBIT_ALWAYS_INLINE static void multiply(vector& bits, const vector& a, const vector& b) {
    asm volatile("vpxorq %2, %1, %0" : "=v"(bits) : "v"(a), "v"(b));
  }
  FEWBIT_ALWAYS_INLINE static void widen(vector& bits, const vector&) {
    asm volatile("vpopcntq %0, %0" : "+v"(bits));
  }
  FEWBIT_ALWAYS_INLINE static void add(vector& sum, const vector& ones) {
    asm volatile("vpaddq %1, %0, %0" : "+v"(sum) : "v"(ones));
  }
};
#endif

/// Adds once to every sum. It is not a loop, because g++ 12 would keep the sums in memory then.
template <class I, class Vector, int... i>
FEWBIT_ALWAYS_INLINE void add_to_all(Vector (&sum)[sizeof...(i)], const Vector& a, const Vector& b,
                                     std::integer_sequence<int, i...>) {
  if constexpr (requires { I::dot(sum[0], a, b); }) {
    (I::dot(sum[i], a, b), ...);
  } else {
    Vector pairs[sizeof...(i)];
    (I::multiply(pairs[i], a, b), ...);
    if constexpr (requires { I::widen(pairs[0], b); }) (I::widen(pairs[i], b), ...);
    (I::add(sum[i], pairs[i]), ...);
  }
}

template <class Instruction>
void run_peak(benchmark::State& state) {
  constexpr int rounds = 4096;
  using vector = typename Instruction::vector;
  constexpr std::make_integer_sequence<int, Instruction::sums> all;
  vector sum[Instruction::sums] = {};
  const vector a = {}, b = {1};  // different values, because x ^ x of one register takes no time
  for (auto _ : state) {
#pragma GCC unroll 4
    for (int i = 0; i < rounds; ++i) add_to_all<Instruction>(sum, a, b, all);
  }
  constexpr double steps = double{Instruction::sums} * rounds;
  state.counters["GOPS"] = per_second(2e-9 * Instruction::products * steps);
}

[[maybe_unused]] const bool added = [] {
  const auto add = [](const std::string& loop, auto run) {
    benchmark::RegisterBenchmark(("peak/" + loop).c_str(), run);
  };
#if FEWBIT_HAS_AVX512_VNNI
  add("vpdpbusd_zmm", &run_peak<vpdpbusd_zmm>);
#endif
#if FEWBIT_HAS_AVX512_BITALG
  add("xor_popcount", &run_peak<xor_popcount>);
#endif
#if FEWBIT_HAS_AVX_VNNI
  add("vpdpbusd_ymm", &run_peak<vpdpbusd_ymm>);
#elif FEWBIT_HAS_AVX512_VNNI
  add("vpdpbusd_evex_ymm", &run_peak<vpdpbusd_evex_ymm>);
#endif
  add("vpmaddubsw_ymm", &run_peak<vpmaddubsw_ymm>);
  add("vpmaddwd_ymm", &run_peak<vpmaddwd_ymm>);

  add_read_rows();
  return true;
}();

}  // namespace
}  // namespace fewbit::benchmarks

#endif
