// Rows of products whose weights are codes of a product quantizer and, for comparison, 4-bit
// weights in groups of 32.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "fewbit/core/random.hpp"
#include "fewbit/ops/linear.hpp"
#include "fewbit/ops/linear/pq.hpp"
#include "support/caches.hpp"

namespace fewbit::benchmarks { namespace {

struct gemv_shape {
  index m, n, k;
};

row_matrix<float> random_matrix(index rows, index cols, std::uint64_t seed) {
  row_matrix<float> x(rows, cols);
  for (index i = 0; i < x.size(); ++i) x.data()[i] = uniform({seed}, i) - 0.5F;
  return x;
}

/// Random codebooks and codes. The time of a product does not depend on their values.
template <index Width, int Bits>
struct coded_weights {
  explicit coded_weights(const gemv_shape& s)
      : quantizer(codebooks(s.k / Width)), codes(s.n, s.k / Width) {
    for (index i = 0; i < codes.size(); ++i) {
      codes.data()[i] = static_cast<std::uint8_t>(uniform({3}, i) * float{1 << Bits});
    }
  }

  static product_quantizer codebooks(index parts) {
    std::vector<row_matrix<float>> all;
    for (index p = 0; p < parts; ++p) {
      const std::uint64_t seed = Bits == 8 ? 0 : static_cast<std::uint64_t>(p);
      all.push_back(random_matrix(index{1} << Bits, Width, seed));
    }
    return product_quantizer(std::move(all));
  }

  product_quantizer quantizer;
  row_matrix<std::uint8_t> codes;
};

template <index Width, int Bits>
struct coded_layer {
  template <class Arch>
  using type = linear<pq<Width, Bits>, dynamic_int8, Arch>;

  template <class Arch>
  static type<Arch> make(const gemv_shape& s) {
    const coded_weights<Width, Bits> w(s);
    return {w.quantizer, w.codes};
  }

  /// Compares some outputs with sums in double over the centroids. The errors of bytes are nearly
  /// independent. Their sum exceeds six standard deviations once in 500 million cases.
  template <class Layer>
  static bool is_right(const Layer& layer, const row_matrix<float>& x, const row_matrix<float>& y) {
    const auto& w = layer.weights();
    double spread = 0.0;
    for (index p = 0; p < w.parts(); ++p) {
      double norm = 0.0;
      for (index t = 0; t < Width; ++t) norm += std::abs(double{x(0, p * Width + t)});
      spread = std::max(spread, 2 * norm * double{w.largest_magnitude()});
    }
    const double bound = 6 * spread / 255 * std::sqrt(static_cast<double>(w.parts()) / 12);
    for (index j = y.cols() - 1; j >= 0; j -= y.cols() / 40 + 1) {
      double sum = 0.0;
      for (index c = 0; c < w.k(); ++c) {
        const index p = c / Width;
        sum += double{x(0, c)} * double{w.columns(p)[c % Width * w.centroids + w.code(j, p)]};
      }
      if (!(std::abs(double{y(0, j)} - sum) <= bound)) return false;
    }
    return true;
  }
};

struct grouped_layer {
  template <class Arch>
  using type = linear<int4_grouped<32>, dynamic_int8, Arch>;

  template <class Arch>
  static type<Arch> make(const gemv_shape& s) {
    return type<Arch>(random_matrix(s.n, s.k, 3));
  }

  template <class Layer>
  static bool is_right(const Layer&, const row_matrix<float>&, const row_matrix<float>&) {
    return true;  // the rows of the gemm benchmark check it
  }
};

/// If is_cold, uses more copies of the weights than any cache holds, in turn. Otherwise one copy.
template <class Kind, class Arch>
void run_gemv(benchmark::State& state, const gemv_shape& s, bool is_cold) {
  using layer_type = typename Kind::template type<Arch>;
  const layer_type layer = Kind::template make<Arch>(s);
  const index copies = is_cold ? beyond_caches() / layer.bytes() + 1 : 1;
  const std::vector<layer_type> layers(static_cast<std::size_t>(copies), layer);
  const row_matrix<float> x = random_matrix(s.m, s.k, 4);
  row_matrix<float> y(s.m, s.n);
  linear_scratch scratch = layer.make_scratch();
  layer(x, y, scratch);
  if (!Kind::is_right(layer, x, y)) {
    state.SkipWithError("wrong products");
    return;
  }
  std::size_t next = 0;
  for (auto _ : state) {
    layers[next](x, y, scratch);
    benchmark::ClobberMemory();
    next = next + 1 == layers.size() ? 0 : next + 1;
  }
  constexpr auto rate = benchmark::Counter::kIsIterationInvariantRate;
  state.counters["GBps"] = {1e-9 * static_cast<double>(layer.bytes()), rate};
  state.counters["Geps"] = {1e-9 * static_cast<double>(s.m * s.n * s.k), rate};
}

template <class Kind, class Arch>
void add(const std::string& name, const gemv_shape& s, bool is_cold) {
  const std::string dims = "/m:" + std::to_string(s.m) + "/n:" + std::to_string(s.n) +
                           "/k:" + std::to_string(s.k) + "/cold:" + (is_cold ? "1" : "0");
  benchmark::RegisterBenchmark(("gemv/" + name + dims).c_str(), [=](benchmark::State& state) {
    run_gemv<Kind, Arch>(state, s, is_cold);
  })->Unit(benchmark::kMicrosecond);
}

template <class Kind>
void add_all(const std::string& kind, const std::string& choice) {
  arch::compiled::for_each([&]<class Arch>() {
    const std::string name = kind + "/fewbit_" + Arch::name + choice;
    if (!std::is_same_v<Arch, arch::scalar>) add<Kind, Arch>(name, {1, 4096, 4096}, true);
  });
  const std::string name = kind + "/fewbit" + choice;
  for (const index m : {1, 2, 3, 4, 8, 16, 32})
    add<Kind, arch::native>(name, {m, 4096, 4096}, true);
  add<Kind, arch::native>(name, {1, 4096, 4096}, false);
  for (const index size : {256, 512, 1024, 2048}) {
    add<Kind, arch::native>(name, {1, size, size}, true);
    add<Kind, arch::native>(name, {1, size, size}, false);
  }
}

template <index Width, int Bits>
void add_coded() {
  add_all<coded_layer<Width, Bits>>(
      "pq", "/width:" + std::to_string(Width) + "/bits:" + std::to_string(Bits));
}

[[maybe_unused]] const bool added = [] {
  add_coded<4, 4>();
  add_coded<8, 8>();
  add_coded<2, 4>();
  add_coded<4, 8>();
  add_coded<1, 4>();
  add_coded<2, 8>();
  add_all<grouped_layer>("w4g32", "");
  return true;
}();

}  // namespace
}  // namespace fewbit::benchmarks
