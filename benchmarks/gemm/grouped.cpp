// Benchmarks of layers with weights of 2, 3, 4 and 8 bits in groups of 32, and with 4-bit weights
// with a scale for each row. Inputs and outputs are floats; inputs are quantized in the call or
// stay floats.

#include <benchmark/benchmark.h>

#include <cstddef>
#include <string>
#include <type_traits>
#include <vector>

#include "fewbit/fewbit.hpp"
#include "support/caches.hpp"
#include "support/gemm_rows.hpp"
#include "support/grouped.hpp"

namespace fewbit::benchmarks { namespace {

/// If `is_cold`, the calls alternate between more copies of the weights than the caches can hold.
template <class S, class Inputs, class Arch>
void run_grouped(benchmark::State& state, const shape& s, bool is_cold) {
  using layer_type = linear<S, Inputs, Arch>;
  constexpr bool quantizes = std::is_same_v<Inputs, dynamic_int8>;
  grouped_case<S> data(s);
  const layer_type layer(data.w);
  const index copies = is_cold ? beyond_caches() / layer.bytes() + 1 : 1;
  const std::vector<layer_type> layers(static_cast<std::size_t>(copies), layer);
  linear_scratch scratch;
  if constexpr (quantizes) layer.reserve(scratch);
  const auto call = [&](const layer_type& of) {
    if constexpr (quantizes) {
      of(data.a, data.c, scratch);
    } else {
      of(data.a, data.c);
    }
  };
  call(layer);
  state.counters["exact"] = (quantizes ? data.is_exact() : data.is_exact_in_floats()) ? 1 : 0;
  std::size_t next = 0;
  for (auto _ : state) {
    call(layers[next]);
    benchmark::ClobberMemory();
    next = next + 1 == layers.size() ? 0 : next + 1;
  }
  const double products = static_cast<double>(s.m * s.n * s.k);
  state.counters["GOPS"] = per_second(2e-9 * products);
  state.counters["GBps"] = per_second(1e-9 * static_cast<double>(layer.bytes()));
}

/// gemm/<kind>/<who>/m:M/n:N/k:K/cold:0 or 1
template <class S, class Inputs, class Arch>
void add_grouped_rows(const std::string& kind) {
  const auto add = [&](const shape& s, bool is_cold) {
    const std::string name = "gemm/" + kind + "/fewbit_" + Arch::name + dims(s) +
                             "/cold:" + std::to_string(int{is_cold});
    benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
      run_grouped<S, Inputs, Arch>(state, s, is_cold);
    });
  };
  for (const index m : {1, 8, 128}) add({m, 4096, 4096}, false);
  add({1, 4096, 4096}, true);
}

template <class Arch>
constexpr bool has_own_stored_unit =
    !std::is_same_v<Arch, arch::scalar> && !std::is_same_v<Arch, arch::neon_i8mm>;

[[maybe_unused]] const bool added = [] {
  arch::compiled::for_each([]<class Arch>() {
    if constexpr (has_own_stored_unit<Arch>) {
      add_grouped_rows<int2_grouped<32>, dynamic_int8, Arch>("f32_w2g32_f32");
      add_grouped_rows<int3_grouped<32>, dynamic_int8, Arch>("f32_w3g32_f32");
      add_grouped_rows<int4_grouped<32>, dynamic_int8, Arch>("f32_w4g32_f32");
      add_grouped_rows<int8_grouped<32>, dynamic_int8, Arch>("f32_w8g32_f32");
      add_grouped_rows<int4_per_row, dynamic_int8, Arch>("f32_w4_f32");
    }
  });
  add_grouped_rows<int4_grouped<32>, float_inputs, arch::native>("f32_w4g32f_f32");
  add_grouped_rows<int2_grouped<32>, float_inputs, arch::native>("f32_w2g32f_f32");
  return true;
}();

}  // namespace
}  // namespace fewbit::benchmarks
