// Benchmarks of this library: products on every compiled instruction set, weights read from memory,
// several threads, packing.

#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>

#include "fewbit/fewbit.hpp"
#include "support/fewbit.hpp"
#include "support/gemm_rows.hpp"
#include "support/network_rows.hpp"
#include "support/thread_pool.hpp"

namespace fewbit::benchmarks { namespace {

/// Splits a product into one part for each thread of a pool. The pool is created once.
template <class Arch>
void run_threads(benchmark::State& state, const shape& s, int threads) {
  sums_case<std::uint8_t> data(s);
  const auto packed = gemm::pack_int8<std::uint8_t, Arch>(data.w);
  workspace scratch(gemm::scratch_bytes(packed), threads);
  thread_pool pool(threads);
  auto product = [&] {
    gemm::multiply(data.a, packed, data.c, gemm::raw{}, scratch, pool_executor{&pool});
  };
  state.counters["exact"] = is_exact(data, product) ? 1 : 0;
  for (auto _ : state) {
    product();
    benchmark::ClobberMemory();
  }
  count_work(state, data);
}

template <class Arch>
void add_thread_rows(const std::string& who) {
  for (const index size : {1024, 2048}) {
    for (const int threads : {1, 2}) {
      const shape s = {size, size, size};
      const std::string name =
          "gemm/u8_s8_s32/" + who + "_threads" + dims(s) + "/threads:" + std::to_string(threads);
      benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
        run_threads<Arch>(state, s, threads);
      })->UseRealTime();
    }
  }
}

template <class Arch>
index pack_anew(const row_matrix<std::int8_t>& w) {
  return gemm::pack_int8<std::uint8_t, Arch>(w).bytes();
}

/// A copy to compare packing with. `fresh`: into newly allocated memory, as for packed weights;
/// otherwise into memory that was written before.
void run_memcpy(benchmark::State& state, bool fresh) {
  const row_matrix<std::int8_t> w = large_weights();
  row_matrix<std::int8_t> copy = w;
  for (auto _ : state) {
    if (fresh) {
      copy.resize(0, 0);
      copy.resize(w.rows(), w.cols());
    }
    std::memcpy(copy.data(), w.data(), static_cast<std::size_t>(w.size()));
    benchmark::ClobberMemory();
  }
  state.counters["GBps"] = per_second(static_cast<double>(w.size()) * 1e-9);
}

/// False for an arch that only inherits the kernel of its base, and for the scalar arch.
template <class Arch>
constexpr bool has_own_unit() {
  if constexpr (std::is_same_v<Arch, arch::scalar>) {
    return false;
  } else {
    using unit = typename arch::dot_unit<Arch, std::uint8_t>::type;
    return !std::is_same_v<unit, typename arch::dot_unit<typename Arch::base, std::uint8_t>::type>;
  }
}

template <class Arch>
void add_arch() {
  const std::string who = std::string("fewbit_") + Arch::name;
  add_rows<fewbit_product<sums_case<std::uint8_t>, Arch>>(who);
  add_rows<fewbit_product<sums_case<std::int8_t>, Arch>>(who);
  add_rows<fewbit_product<codes_case<std::uint8_t>, Arch>>(who);
  add_rows<fewbit_product<codes_case<std::int8_t>, Arch>>(who);
  add_rows<fewbit_product<small_sums_case<7, 7>, Arch>>(who);
  add_rows<fewbit_product<small_sums_case<7, 8>, Arch>>(who);
  add_rows<fewbit_product<small_sums_case<8, 7>, Arch>>(who);
  add_network_rows<fewbit_product<network_case<8>, Arch>>(who);
  add_network_rows<fewbit_product<network_case<7>, Arch>>(who);
  add_cold_row<fewbit_product<sums_case<std::uint8_t>, Arch>>(who);
  add_cold_row<fewbit_product<sums_case<std::int8_t>, Arch>>(who);
  add_thread_rows<Arch>(who);
  add_packing_row(who, &pack_anew<Arch>);
}

[[maybe_unused]] const bool added = [] {
  arch::compiled::for_each([]<class Arch>() {
    if constexpr (has_own_unit<Arch>()) add_arch<Arch>();
  });
  benchmark::RegisterBenchmark("memcpy/n:16384/k:16384",
                               [](benchmark::State& state) { run_memcpy(state, false); });
  benchmark::RegisterBenchmark("memcpy_fresh/n:16384/k:16384",
                               [](benchmark::State& state) { run_memcpy(state, true); });
  return true;
}();

}  // namespace
}  // namespace fewbit::benchmarks
