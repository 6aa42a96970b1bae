#pragma once
/// Makes rows of the quantization benchmark from an implementation.
///
/// An implementation is a class template over the case (support/quant_cases.hpp). Its constructor
/// takes the case and does all the work that can be done before the timed calls. Its call operator
/// writes the `out` of the case.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <string>

#include "support/counters.hpp"
#include "support/quant_cases.hpp"

namespace fewbit::benchmarks {

inline void count_numbers(benchmark::State& state, index n, double bytes_per_number) {
  const auto numbers = static_cast<double>(n);
  state.counters["Geps"] = per_second(numbers * 1e-9);
  state.counters["GBps"] = per_second(numbers * bytes_per_number * 1e-9);
}

template <class Case, class Work>
void run_numbers(benchmark::State& state, index n) {
  Case data(n);
  Work work(data);
  std::fill_n(data.out.data(), n, typename decltype(data.out)::value_type{3});
  work();
  state.counters["exact"] = data.is_exact() ? 1 : 0;
  for (auto _ : state) {
    work();
    benchmark::ClobberMemory();
  }
  count_numbers(state, n, Case::bytes_per_number);
}

/// Adds rows of all lengths, <kind>/<who>/n:N.
template <class Case, class Work>
void add_number_rows(const std::string& who) {
  for (const index n : array_lengths) {
    const std::string name = std::string(Case::kind) + "/" + who + "/n:" + std::to_string(n);
    benchmark::RegisterBenchmark(
        name.c_str(), [n](benchmark::State& state) { run_numbers<Case, Work>(state, n); });
  }
}

}  // namespace fewbit::benchmarks
