#pragma once
/// Benchmark rows of recorded products: all products of a network, one after the other.
///
///     recorded/u8_s8_s32/<implementation>/<network>/extremes:0   real activations
///     .../extremes:1   the same with activations that are 0 or 255 at random: almost no sum is
///                      proven then, and products are multiplied in int16

#include <benchmark/benchmark.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "support/counters.hpp"
#include "support/gemm_cases.hpp"
#include "support/gemm_rows.hpp"
#include "support/recorded_products.hpp"

namespace fewbit::benchmarks {

/// One recorded product.
struct recorded_case {
  using lhs = std::uint8_t;
  using rhs = std::int8_t;
  using out = std::int32_t;

  row_matrix<lhs> a;
  row_matrix<rhs> w;
  row_matrix<out> c;

  recorded_case(const recorded_product& p, bool are_extreme)
      : a(p.a), w(p.w), c(p.a.rows(), p.w.rows()) {
    if (!are_extreme) return;
    const auto& bits = random_codes<std::uint8_t>(a.rows(), a.cols(), 1, 1);
    a = bits.unaryExpr([](std::uint8_t bit) { return static_cast<std::uint8_t>(255 * bit); });
  }

  [[nodiscard]] bool is_exact() const {
    return equals_wide_sums(a, w, c, [](std::int64_t sum, index) { return static_cast<out>(sum); });
  }
};

template <class Product>
void run_recorded(benchmark::State& state, const std::string& network, bool are_extreme) {
  std::vector<std::unique_ptr<recorded_case>> layers;
  std::vector<std::unique_ptr<Product>> products;
  bool exact = true;
  double operations = 0;
  std::array<double, 3> work = {};
  for (const recorded_product& p : recorded_products(network)) {
    layers.push_back(std::make_unique<recorded_case>(p, are_extreme));
    products.push_back(std::make_unique<Product>(*layers.back()));
    exact = benchmarks::is_exact(*layers.back(), *products.back()) && exact;
    operations += 2.0 * static_cast<double>(p.a.rows() * p.w.size());
    if constexpr (requires { products.back()->count_work_by_proof(work); })
      products.back()->count_work_by_proof(work);
  }
  if (layers.empty()) return state.SkipWithError("left out: no data, or no nlohmann-json");
  for (auto _ : state) {
    for (const auto& product : products) (*product)();
    benchmark::ClobberMemory();
  }
  state.counters["exact"] = exact ? 1 : 0;
  state.counters["GOPS"] = per_second(operations * 1e-9);
  if (const double all = work[0] + work[1] + work[2]; all > 0) {
    state.counters["pairs"] = work[1] / all;
    state.counters["fours"] = work[2] / all;
  }
}

template <class Product>
void add_recorded_rows(const std::string& who) {
  for (const char* network : recorded_networks) {
    for (const bool are_extreme : {false, true}) {
      const std::string name = "recorded/u8_s8_s32/" + who + "/" + network +
                               (are_extreme ? "/extremes:1" : "/extremes:0");
      benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
        run_recorded<Product>(state, network, are_extreme);
      });
    }
  }
}

}  // namespace fewbit::benchmarks
