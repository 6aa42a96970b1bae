#pragma once
/// Operands of operators on codes: one size each.

#include <benchmark/benchmark.h>

#include <cstdint>
#include <random>
#include <string>

#include "fewbit/core/types.hpp"
#include "fewbit/ops/window2d.hpp"
#include "support/counters.hpp"

namespace fewbit::benchmarks {

template <class Code>
row_matrix<Code> random_codes(index rows, index cols) {
  std::mt19937 random(11);
  row_matrix<Code> codes(rows, cols);
  for (index i = 0; i < codes.size(); ++i) codes.data()[i] = static_cast<Code>(random() >> 9);
  return codes;
}

inline constexpr image_extents added_image{56, 56, 256};
inline constexpr image_extents averaged_image{56, 56, 128};
inline constexpr image_extents maximum_image{112, 112, 64};
inline constexpr index softmax_rows = 128;
inline constexpr index softmax_classes = 1024;

/// Registers op/<name>/<implementation>; make() returns a function of no arguments that writes
/// `outputs` elements.
template <class Make>
void add_op_row(const std::string& name, const std::string& implementation, double outputs,
                Make make) {
  benchmark::RegisterBenchmark(("op/" + name + "/" + implementation).c_str(),
                               [=](benchmark::State& state) {
                                 auto run = make();
                                 run();
                                 for (auto _ : state) {
                                   run();
                                   benchmark::ClobberMemory();
                                 }
                                 state.counters["Geps"] = per_second(outputs * 1e-9);
                               });
}

}  // namespace fewbit::benchmarks
