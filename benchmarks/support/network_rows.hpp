#pragma once
/// Benchmark rows of real networks: all matrices of a network, each multiplied by 128 rows of
/// random activations.
///
/// Weights come from the data directory of the build. A network without a file there has no row.
/// Float weights are quantized to int8 with one scale per row.

#include <benchmark/benchmark.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "fewbit/quant/quantize.hpp"
#include "fewbit/quant/scheme.hpp"
#include "support/gemm_cases.hpp"
#include "support/gemm_rows.hpp"

#if __has_include(<nlohmann/json.hpp>)
#include "safetensors.hpp"
#endif

namespace fewbit::benchmarks {

struct network {
  const char* name;
  const char* file;
};

inline constexpr network networks[] = {
    {"resnet20", "resnet/resnet20_cifar10_folded.safetensors"},
    {"resnet32", "resnet/resnet32_cifar10_folded.safetensors"},
    {"mobilenetv2", "mobilenetv2_int8/mobilenetv2_int8.safetensors"},
    {"stories260k", "stories260k/stories260k.safetensors"}};

inline std::filesystem::path file_of(const network& n) {
#if __has_include(<nlohmann/json.hpp>)
  return std::filesystem::path(FEWBIT_DATA_DIR) / n.file;
#else
  static_cast<void>(n);
  return {};
#endif
}

/// The matrices of a network, one row per output channel. Depthwise filters are left out.
inline std::vector<row_matrix<std::int8_t>> weights_of([[maybe_unused]] const network& n) {
  std::vector<row_matrix<std::int8_t>> all;
#if __has_include(<nlohmann/json.hpp>)
  for (const auto& [name, t] : examples::read_safetensors(file_of(n).string()).tensors) {
    if ((t.shape.size() != 2 && t.shape.size() != 4) || t.shape[0] == 1) continue;
    if (t.type == examples::element::f32)
      all.push_back(quantize<int8_per_row>(t.matrix<float>()).codes());
    if (t.type == examples::element::i8) all.push_back(t.matrix<std::int8_t>());
  }
#endif
  return all;
}

/// One matrix of a network, and u8 activations of `LhsBits` bits. LhsBits is passed to packing.
template <int LhsBits>
struct network_case {
  using lhs = std::uint8_t;
  using rhs = std::int8_t;
  using out = std::int32_t;
  static constexpr const char* kind = LhsBits == 8 ? "u8_s8_s32" : "u7_s8_s32";
  static constexpr index largest_activation = (1 << LhsBits) - 1;
  static constexpr index rows = 128;

  const row_matrix<lhs>& a;
  row_matrix<rhs> w;
  row_matrix<out> c;

  explicit network_case(const row_matrix<rhs>& weights)
      : a(random_codes<lhs>(rows, weights.cols(), 1, LhsBits)),
        w(weights),
        c(rows, weights.rows()) {}

  [[nodiscard]] bool is_exact() const {
    return equals_wide_sums(a, w, c, [](std::int64_t sum, index) { return static_cast<out>(sum); });
  }
};

/// Counts the fraction of weights that is summed in each way, if the product reports it.
template <class Product>
void count_proofs(benchmark::State& state, const std::vector<std::unique_ptr<Product>>& products) {
  if constexpr (requires(std::array<index, 3> counts) { products[0]->count_weights(counts); }) {
    std::array<index, 3> counts = {};
    for (const auto& p : products) p->count_weights(counts);
    const auto all = static_cast<double>(counts[0] + counts[1] + counts[2]);
    if (all == 0) return;
    state.counters["pairs"] = static_cast<double>(counts[1]) / all;
    state.counters["fours"] = static_cast<double>(counts[2]) / all;
  }
}

template <class Product>
void run_network(benchmark::State& state, const network& n) {
  using operands = typename Product::operands;
  std::vector<std::unique_ptr<operands>> layers;
  std::vector<std::unique_ptr<Product>> products;
  bool exact = true;
  double operations = 0;
  for (const auto& w : weights_of(n)) {
    layers.push_back(std::make_unique<operands>(w));
    products.push_back(std::make_unique<Product>(*layers.back()));
    exact = is_exact(*layers.back(), *products.back()) && exact;
    operations += 2.0 * static_cast<double>(operands::rows * w.size());
  }
  for (auto _ : state) {
    for (const auto& product : products) (*product)();
    benchmark::ClobberMemory();
  }
  state.counters["exact"] = exact ? 1 : 0;
  state.counters["GOPS"] = per_second(operations * 1e-9);
  count_proofs(state, products);
}

/// Adds the row network/<kind>/<who>/<network>.
template <class Product>
void add_network_rows(const std::string& who) {
  for (const network& n : networks) {
    if (!std::filesystem::exists(file_of(n))) continue;
    const std::string name =
        std::string("network/") + Product::operands::kind + "/" + who + "/" + n.name;
    benchmark::RegisterBenchmark(name.c_str(),
                                 [&n](benchmark::State& state) { run_network<Product>(state, n); });
  }
}

}  // namespace fewbit::benchmarks
