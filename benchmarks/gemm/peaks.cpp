// Peak rates of the processor: dot instructions on registers only, and reads from each level of
// memory.
//
// The loops do not use the kernels of the library. The product of two codes counts as two
// operations, as in a matrix product.

#include <benchmark/benchmark.h>

#include <string>
#include <utility>

#include "fewbit/config.hpp"
#include "support/counters.hpp"
#include "support/reads.hpp"

#if FEWBIT_HAS_AVX2
#include <immintrin.h>

namespace fewbit::benchmarks { namespace {

// Each loop adds to `sums` independent registers, either by one instruction (`dot`), or by the
// chain `multiply`, `widen`, `add`. The constraint "x" limits VEX instructions to registers they
// can encode.

#if FEWBIT_HAS_AVX512_VNNI
struct vpdpbusd_zmm {
  using vector = __m512i;
  static constexpr int sums = 12;  // more than latency * instructions per cycle
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

// In the two chains below, vpaddd and the products use the same ports. Six products followed by six
// additions are 4 % faster than alternating. Other orders gain at most another 1 %.
//
// | Cascade Lake | operations per cycle | limit of ports |
// |--------------|----------------------|----------------|
// | vpmaddwd     | 40                   | 48             |
// | vpmaddubsw   | 51                   | 64             |

/// s8 by s8, with codes widened to 16 bits.
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

/// u8 by s8, for codes whose sum of two products fits into 16 bits.
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
/// Binary codes, 512 pairs of bits per instruction.
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

/// Adds once to every sum. It is not a loop, because g++ 12 would keep the sums in memory.
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
  const vector a = {}, b = {1};  // two registers: x ^ x would need no execution unit
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
