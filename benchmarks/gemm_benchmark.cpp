// Products of 8-bit codes on every compiled instruction set, beside the peak of the instruction
// they are made of and, with FEWBIT_BENCHMARK_RIVALS, beside oneDNN.
//
// Names: gemm/<lhs>_<rhs>_<out>/<implementation>/m:M/n:N/k:K and peak/<instruction>; an
// implementation is fewbit_<arch> or onednn. Counters: GOPS, 2 m n k operations per second; exact,
// whether elements spread over the result equalled 64-bit sums before it was timed. The label is
// the tile. Weights are packed ahead; what is done to activations is inside the time; one thread.
// Shapes: squares; BERT-large at 128 tokens; ResNet-50 as im2col and its 1x1; the 1x1 of
// MobileNetV2; decoding one, eight and sixteen tokens.

#include <benchmark/benchmark.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "fewbit/fewbit.hpp"
#if defined(FEWBIT_BENCHMARK_RIVALS)
#include "support/onednn.hpp"
#endif

namespace fewbit {
namespace {

struct shape {
  index m, n, k;
};

constexpr shape shapes[] = {
    {256, 256, 256},   {512, 512, 512},   {1024, 1024, 1024}, {2048, 2048, 2048}, {128, 1024, 1024},
    {128, 4096, 1024}, {128, 1024, 4096}, {3136, 64, 576},    {784, 128, 1152},   {196, 256, 2304},
    {49, 512, 4608},   {3136, 256, 64},   {3136, 144, 24},    {784, 192, 32},     {196, 576, 96},
    {49, 960, 160},    {49, 320, 960},    {1, 4096, 4096},    {1, 11008, 4096},   {8, 4096, 4096},
    {16, 4096, 4096}};

template <class T>
row_matrix<T> random_codes(index rows, index cols, std::uint64_t seed) {
  row_matrix<T> m(rows, cols);
  for (index i = 0; i < m.size(); ++i) {
    m.data()[i] = static_cast<T>(
        random_bits(seed, static_cast<std::uint64_t>(i / 4))[static_cast<std::size_t>(i % 4)]);
  }
  return m;
}

/// The element (i, j) of A W^T in 64 bits.
template <class Lhs>
std::int64_t sum_at(const row_matrix<Lhs>& a, const row_matrix<std::int8_t>& w, index i, index j) {
  std::int64_t sum = 0;
  for (index k = 0; k < a.cols(); ++k) sum += std::int64_t{a(i, k)} * w(j, k);
  return sum;
}

/// Some thousand elements spread over C, the last row and column among them.
template <class Lhs, class Out, class F>
bool equals_wide_sums(const row_matrix<Lhs>& a, const row_matrix<std::int8_t>& w,
                      const row_matrix<Out>& c, const F& finish) {
  const index row_step = c.rows() / 40 + 1, col_step = c.cols() / 40 + 1;
  for (index i = c.rows() - 1; i >= 0; i -= row_step) {
    for (index j = c.cols() - 1; j >= 0; j -= col_step) {
      if (c(i, j) != finish(sum_at(a, w, i, j), j)) return false;
    }
  }
  return true;
}

/// A product to int32: operands, result, and what the result must be.
template <class Lhs>
struct sums_case {
  row_matrix<Lhs> a;
  row_matrix<std::int8_t> w;
  row_matrix<std::int32_t> c;

  explicit sums_case(const shape& s)
      : a(random_codes<Lhs>(s.m, s.k, 1)), w(random_codes<std::int8_t>(s.n, s.k, 2)), c(s.m, s.n) {}

  [[nodiscard]] bool is_exact() const {
    return equals_wide_sums(a, w, c,
                            [](std::int64_t sum, index) { return static_cast<std::int32_t>(sum); });
  }
};

/// A product to uint8: bias, a factor per channel, zero point and clamp in the epilogue.
struct codes_case {
  static constexpr std::int32_t zero_point = 9;
  row_matrix<std::uint8_t> a;
  row_matrix<std::int8_t> w;
  row_matrix<std::uint8_t> c;
  std::vector<std::int32_t> bias;
  std::vector<float> factors;

  explicit codes_case(const shape& s)
      : a(random_codes<std::uint8_t>(s.m, s.k, 1)),
        w(random_codes<std::int8_t>(s.n, s.k, 2)),
        c(s.m, s.n),
        bias(static_cast<std::size_t>(s.n), 77) {
    for (index j = 0; j < s.n; ++j) factors.push_back(1e-4F * static_cast<float>(j % 7 + 1));
  }

  [[nodiscard]] bool is_exact() const {
    return equals_wide_sums(a, w, c, [&](std::int64_t sum, index j) {
      const float scaled = static_cast<float>(sum + 77) * factors[static_cast<std::size_t>(j)];
      const float clamped = std::fmin(std::fmax(scaled, -9.0F), 246.0F);
      return static_cast<std::uint8_t>(std::nearbyint(clamped) + 9.0F);
    });
  }
};

/// Runs the product once to see whether it is exact, then times it.
template <class Case, class F>
void time_product(benchmark::State& state, const Case& data, const F& product) {
  product();
  state.counters["exact"] = data.is_exact() ? 1 : 0;
  for (auto _ : state) {
    product();
    benchmark::ClobberMemory();
  }
  const double operations = 2.0 * static_cast<double>(data.c.size() * data.a.cols());
  state.counters["GOPS"] =
      benchmark::Counter(operations * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
}

template <class Kernel>
std::string tile_name() {
  using tile = typename Kernel::tile;
  return "tile " + std::to_string(tile::rows) + "x" + std::to_string(tile::cols) + "x" +
         std::to_string(tile::depth);
}

template <class Lhs, class Arch>
void fewbit_sums(benchmark::State& state, const shape& s) {
  sums_case<Lhs> data(s);
  const auto packed = gemm::pack<Lhs, Arch>(data.w);
  workspace scratch(gemm::scratch_bytes(packed));
  state.SetLabel(tile_name<gemm::default_kernel<Lhs, Arch>>());
  time_product(state, data, [&] { gemm::multiply(data.a, packed, data.c, gemm::raw{}, scratch); });
}

template <class Arch>
void fewbit_codes(benchmark::State& state, const shape& s) {
  codes_case data(s);
  const auto packed = gemm::pack<std::uint8_t, Arch>(data.w);
  workspace scratch(gemm::scratch_bytes(packed));
  const auto epilogue = gemm::add_bias(data.bias.data()) |
                        gemm::requantize<xnn_fp32>(data.factors) |
                        gemm::to_uint8{codes_case::zero_point};
  state.SetLabel(tile_name<gemm::default_kernel<std::uint8_t, Arch>>());
  time_product(state, data, [&] { gemm::multiply(data.a, packed, data.c, epilogue, scratch); });
}

#if defined(FEWBIT_BENCHMARK_RIVALS)
template <class Lhs>
void onednn_sums(benchmark::State& state, const shape& s) {
  sums_case<Lhs> data(s);
  benchmarks::onednn_product<Lhs, std::int32_t> product(data.a, data.w, data.c);
  time_product(state, data, [&] { product(); });
}

void onednn_codes(benchmark::State& state, const shape& s) {
  codes_case data(s);
  benchmarks::onednn_product<std::uint8_t, std::uint8_t> product(
      data.a, data.w, data.c, data.bias, data.factors, codes_case::zero_point);
  time_product(state, data, [&] { product(); });
}
#endif

#if defined(__x86_64__)
/// Dots of one unit on registers alone: no load, no store, no dependence shorter than the latency.
template <class Arch>
void peak(benchmark::State& state) {
  using unit = typename arch::dot_unit<Arch, std::uint8_t>::type;
  constexpr int independent = 12;
  constexpr int rounds = 4096;
  alignas(64) static const std::int8_t zeros[256] = {};
  typename unit::accumulator sums[independent];
#pragma GCC unroll 12
  for (int j = 0; j < independent; ++j) sums[j] = typename unit::accumulator(0);
  auto lhs = unit::load_lhs(reinterpret_cast<const typename unit::lhs_code*>(zeros));
  auto rhs = unit::load_rhs(reinterpret_cast<const typename unit::rhs_code*>(zeros));
  for (auto _ : state) {
    for (int i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
      for (int j = 0; j < independent; ++j) {
        auto sum = unit::dot(sums[j], lhs, rhs).data;
        // Nothing is known of them: no work moves out.
        asm volatile("" : "+v"(sum), "+v"(lhs.data), "+v"(rhs.data));
        sums[j] = unit::accumulator::from(sum);
      }
    }
  }
#pragma GCC unroll 12
  for (int j = 0; j < independent; ++j) benchmark::DoNotOptimize(sums[j]);
  const double operations = 2.0 * unit::rows * unit::cols * unit::depth * independent * rounds;
  state.counters["GOPS"] =
      benchmark::Counter(operations * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
}
#endif

/// An arch that inherits its unit runs the kernel of its base; the scalar one is no rival.
template <class Arch>
inline constexpr bool has_own_unit =
    !std::is_same_v<typename arch::dot_unit<Arch, std::uint8_t>::type,
                    typename arch::dot_unit<typename Arch::base, std::uint8_t>::type>;
template <>
inline constexpr bool has_own_unit<arch::scalar> = false;

void register_all() {
  const auto add = [](const std::string& kind, const std::string& who, const shape& s, auto run) {
    const std::string name = "gemm/" + kind + "/" + who + "/m:" + std::to_string(s.m) +
                             "/n:" + std::to_string(s.n) + "/k:" + std::to_string(s.k);
    benchmark::RegisterBenchmark(name.c_str(),
                                 [run, s](benchmark::State& state) { run(state, s); });
  };
  arch::compiled::for_each([&]<class Arch>() {
    if constexpr (has_own_unit<Arch>) {
      const std::string who = std::string("fewbit_") + Arch::name;
      for (const shape& s : shapes) {
        add("u8_s8_s32", who, s, &fewbit_sums<std::uint8_t, Arch>);
        add("s8_s8_s32", who, s, &fewbit_sums<std::int8_t, Arch>);
        add("u8_s8_u8", who, s, &fewbit_codes<Arch>);
      }
    }
  });
#if defined(FEWBIT_BENCHMARK_RIVALS)
  for (const shape& s : shapes) {
    add("u8_s8_s32", "onednn", s, &onednn_sums<std::uint8_t>);
    add("s8_s8_s32", "onednn", s, &onednn_sums<std::int8_t>);
    add("u8_s8_u8", "onednn", s, &onednn_codes);
  }
#endif
#if FEWBIT_HAS_AVX512_VNNI
  benchmark::RegisterBenchmark("peak/vpdpbusd_zmm", &peak<arch::avx512_vnni>);
#endif
#if FEWBIT_HAS_AVX_VNNI
  benchmark::RegisterBenchmark("peak/vpdpbusd_ymm", &peak<arch::avx_vnni>);
#endif
#if FEWBIT_HAS_AVX2
  benchmark::RegisterBenchmark("peak/vpmaddwd_ymm", &peak<arch::avx2>);
#endif
}

}  // namespace
}  // namespace fewbit

int main(int argc, char** argv) {
  fewbit::register_all();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
