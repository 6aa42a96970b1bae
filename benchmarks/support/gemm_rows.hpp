#pragma once
/// Registers the rows of a product in the GEMM benchmark.
///
/// A product is a class with the type `operands` (support/gemm_cases.hpp). Its constructor takes
/// operands and does all work that is possible before the call. Its call operator writes
/// operands::c.

#include <benchmark/benchmark.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "support/caches.hpp"
#include "support/counters.hpp"
#include "support/gemm_cases.hpp"

namespace fewbit::benchmarks {

inline std::string dims(const shape& s) {
  return "/m:" + std::to_string(s.m) + "/n:" + std::to_string(s.n) + "/k:" + std::to_string(s.k);
}

/// Bits of a weight in memory.
template <class Case>
constexpr int weight_bits() {
  if constexpr (requires { Case::weight_bits; }) {
    return Case::weight_bits;
  } else {
    return 8 * int{sizeof(typename Case::rhs)};
  }
}

/// Sets GOPS, and GBps of weights if reading them is most of the work.
template <class Case>
void count_work(benchmark::State& state, const Case& data) {
  const double weights = static_cast<double>(data.w.size());
  const double operations = 2.0 * static_cast<double>(data.c.rows()) * weights;
  state.counters["GOPS"] = per_second(operations * 1e-9);
  if (data.c.rows() == 1 || data.c.rows() == 8) {
    state.counters["GBps"] = per_second(weights * weight_bits<Case>() / 8 * 1e-9);
  }
}

/// Runs the product once and returns whether C is exact.
template <class Case, class Product>
bool is_exact(Case& data, Product& product) {
  data.c.setConstant(1);
  product();
  return data.is_exact();
}

template <class Product>
void run_product(benchmark::State& state, const shape& s) {
  typename Product::operands data(s);
  Product product(data);
  state.counters["exact"] = is_exact(data, product) ? 1 : 0;
  if constexpr (requires { Product::label(); }) state.SetLabel(Product::label());
  for (auto _ : state) {
    product();
    benchmark::ClobberMemory();
  }
  count_work(state, data);
}

/// The same with copies of the weights in turn, more than any cache can hold.
template <class Product>
void run_cold_product(benchmark::State& state, const shape& s) {
  typename Product::operands data(s);
  std::vector<std::unique_ptr<Product>> copies;
  bool exact = true;
  for (index bytes = 0; bytes < beyond_caches(); bytes += s.n * s.k) {
    copies.push_back(std::make_unique<Product>(data));
    exact = exact && is_exact(data, *copies.back());
  }
  state.counters["exact"] = exact ? 1 : 0;
  std::size_t next = 0;
  for (auto _ : state) {
    (*copies[next])();
    benchmark::ClobberMemory();
    next = next + 1 == copies.size() ? 0 : next + 1;
  }
  count_work(state, data);
}

/// Adds rows for all shapes: gemm/<kind>/<who>/m:M/n:N/k:K.
template <class Product>
void add_rows(const std::string& who) {
  for (const shape& s : shapes) {
    const std::string name = std::string("gemm/") + Product::operands::kind + "/" + who + dims(s);
    benchmark::RegisterBenchmark(name.c_str(),
                                 [s](benchmark::State& state) { run_product<Product>(state, s); });
  }
}

/// Adds the row of one token with weights from memory.
template <class Product>
void add_cold_row(const std::string& who) {
  static constexpr shape s = {1, 4096, 4096};
  const std::string name =
      std::string("gemm/") + Product::operands::kind + "/" + who + dims(s) + "/cold:1";
  benchmark::RegisterBenchmark(
      name.c_str(), [](benchmark::State& state) { run_cold_product<Product>(state, s); });
}

/// Adds the row that packs a large matrix. `pack(w)` returns the bytes of packed weights.
template <class Pack>
void add_packing_row(const std::string& who, const Pack& pack) {
  const auto run = [pack](benchmark::State& state) {
    const row_matrix<std::int8_t> w = large_weights();
    index bytes = 0;
    for (auto _ : state) {
      bytes = pack(w);
      benchmark::ClobberMemory();
    }
    const double weights = static_cast<double>(w.size());
    state.counters["GBps"] = per_second(weights * 1e-9);
    state.counters["bytes_per_weight"] = static_cast<double>(bytes) / weights;
  };
  benchmark::RegisterBenchmark(("pack/s8/" + who + "/n:16384/k:16384").c_str(), run);
}

}  // namespace fewbit::benchmarks
