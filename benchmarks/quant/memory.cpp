// Limits by memory: copies with the same traffic, and reads alone.

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstring>
#include <string>

#include "fewbit/config.hpp"
#include "fewbit/core/aligned_buffer.hpp"
#include "support/quant_rows.hpp"
#include "support/reads.hpp"

namespace fewbit::benchmarks { namespace {

void run_memcpy(benchmark::State& state, index n) {
  const index bytes = 5 * n / 2;
  aligned_buffer<std::byte> from(bytes), to(bytes);
  std::memset(from.data(), 1, static_cast<std::size_t>(bytes));
  std::memset(to.data(), 2, static_cast<std::size_t>(bytes));
  for (auto _ : state) {
    std::memcpy(to.data(), from.data(), static_cast<std::size_t>(bytes));
    benchmark::ClobberMemory();
  }
  count_numbers(state, n, 5);
}

[[maybe_unused]] const bool added = [] {
  for (const index n : array_lengths) {
    benchmark::RegisterBenchmark(("memcpy/n:" + std::to_string(n)).c_str(),
                                 [n](benchmark::State& state) { run_memcpy(state, n); });
  }
#if FEWBIT_HAS_AVX2
  add_read_rows();
#endif
  return true;
}();

}  // namespace
}  // namespace fewbit::benchmarks
