// Rows of products with weights of 2, 3, 4 and 8 bits in groups of 32: floats in, quantized inside
// the call, floats out.

#include <benchmark/benchmark.h>

#include <cstddef>
#include <string>
#include <type_traits>
#include <vector>

#include "fewbit/fewbit.hpp"
#include "support/caches.hpp"
#include "support/gemm_rows.hpp"
#include "support/grouped.hpp"

namespace fewbit::benchmarks {
namespace {

/// With `is_cold`, as many copies of the weights, used in turn, as no cache holds.
template <class Case, class Layer>
void run_grouped(benchmark::State& state, const shape& s, bool is_cold) {
  Case data(s);
  const Layer layer = [&] {
    if constexpr (requires { Layer(data.w); }) {
      return Layer(data.w);
    } else {
      return Layer(data);
    }
  }();
  const index copies = is_cold ? beyond_caches() / layer.weights().bytes() + 1 : 1;
  const std::vector<Layer> layers(static_cast<std::size_t>(copies), layer);
  workspace scratch = layer.make_scratch();
  layer(data.a, data.c, scratch);
  state.counters["exact"] = data.is_exact() ? 1 : 0;
  std::size_t next = 0;
  for (auto _ : state) {
    layers[next](data.a, data.c, scratch);
    benchmark::ClobberMemory();
    next = next + 1 == layers.size() ? 0 : next + 1;
  }
  const double products = static_cast<double>(s.m * s.n * s.k);
  state.counters["GOPS"] = per_second(2e-9 * products);
  state.counters["GBps"] = per_second(1e-9 * static_cast<double>(layer.weights().bytes()));
}

/// gemm/<kind>/<who>/m:M/n:N/k:K/cold:0 or 1
template <class Case, class Layer, class Arch>
void add_grouped_rows(const std::string& kind) {
  const auto add = [&](const shape& s, bool is_cold) {
    const std::string name = "gemm/" + kind + "/fewbit_" + Arch::name + dims(s) +
                             "/cold:" + std::to_string(int{is_cold});
    benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
      run_grouped<Case, Layer>(state, s, is_cold);
    });
  };
  for (const index m : {1, 8, 128}) add({m, 4096, 4096}, false);
  add({1, 4096, 4096}, true);
}

template <class Arch>
constexpr bool has_own_stored_unit() {
  if constexpr (std::is_same_v<Arch, arch::scalar> || std::is_same_v<Arch, arch::avx512_bitalg> ||
                std::is_same_v<Arch, arch::neon_i8mm>) {
    return false;
  } else {
    return true;
  }
}

[[maybe_unused]] const bool added = [] {
  arch::compiled::for_each([]<class Arch>() {
    if constexpr (has_own_stored_unit<Arch>()) {
      add_grouped_rows<grouped_codes_case<2>, grouped_codes_layer<2, Arch>, Arch>("f32_w2g32_f32");
      add_grouped_rows<grouped_codes_case<3>, grouped_codes_layer<3, Arch>, Arch>("f32_w3g32_f32");
      add_grouped_rows<grouped_case<int4_grouped<32>>, grouped_linear<int4_grouped<32>, Arch>,
                       Arch>("f32_w4g32_f32");
      add_grouped_rows<grouped_case<int8_grouped<32>>, grouped_linear<int8_grouped<32>, Arch>,
                       Arch>("f32_w8g32_f32");
    }
  });
  return true;
}();

}  // namespace
}  // namespace fewbit::benchmarks
