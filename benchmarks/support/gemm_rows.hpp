#pragma once
/// Makes rows of the GEMM benchmark from a product.
///
/// A product is a class with a type `operands` (support/gemm_cases.hpp). Its constructor takes the
/// operands and does all the work that can be done before the timed calls. Its call operator writes
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

/// Number of bits that a weight takes in memory during the product.
template <class Case>
constexpr int weight_bits() {
  if constexpr (requires { Case::weight_bits; }) {
    return Case::weight_bits;
  } else {
    return 8 * int{sizeof(typename Case::rhs)};
  }
}

/// Counts GOPS, and GBps of weights for few rows, where most of the time goes into reading them.
template <class Case>
void count_work(benchmark::State& state, const Case& data) {
  const double weights = static_cast<double>(data.w.size());
  const double operations = 2.0 * static_cast<double>(data.c.rows()) * weights;
  state.counters["GOPS"] = per_second(operations * 1e-9);
  if (data.c.rows() == 1 || data.c.rows() == 8) {
    state.counters["GBps"] = per_second(weights * weight_bits<Case>() / 8 * 1e-9);
  }
}

/// Runs the product once and checks its result.
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

/// The same, alternating between more copies of the weights than the caches can hold.
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

/// Adds a row of one shape, gemm/<kind>/<who>/m:M/n:N/k:K.
template <class Product>
void add_shape(const std::string& who, const shape& s) {
  const std::string name = std::string("gemm/") + Product::operands::kind + "/" + who + dims(s);
  benchmark::RegisterBenchmark(name.c_str(),
                               [s](benchmark::State& state) { run_product<Product>(state, s); });
}

/// Adds rows of all shapes.
template <class Product>
void add_rows(const std::string& who) {
  for (const shape& s : shapes) add_shape<Product>(who, s);
}

/// Adds rows of the small shapes.
template <class Product>
void add_small_rows(const std::string& who) {
  for (const shape& s : shapes) {
    if (s.m * s.n * s.k <= 64 * 64 * 64) add_shape<Product>(who, s);
  }
}

/// Adds a row for one token with weights that are read from memory.
template <class Product>
void add_cold_row(const std::string& who) {
  static constexpr shape s = {1, 4096, 4096};
  const std::string name =
      std::string("gemm/") + Product::operands::kind + "/" + who + dims(s) + "/cold:1";
  benchmark::RegisterBenchmark(
      name.c_str(), [](benchmark::State& state) { run_cold_product<Product>(state, s); });
}

/// Adds a row that packs a large matrix. `pack(w)` returns the number of bytes of the packed
/// weights.
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
