// Benchmarks of this library's ggml blocks, which the umbrella header does not include.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "fewbit/arch/arch.hpp"
#include "fewbit/core/random.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/formats/ggml_quantize.hpp"

namespace fewbit::benchmarks { namespace {

/// The volatile store prevents a fused multiply-add.
float product(float a, float b) {
  volatile float result = a * b;
  return result;
}

float first_of_largest_magnitude(const float* x) {
  float largest = 0.0F;
  for (int j = 0; j < 32; ++j) {
    if (std::fabs(largest) < std::fabs(x[j])) largest = x[j];
  }
  return largest;
}

/// Computes the expected block code by code with the formulas of ggml_quantize.hpp.
template <class Mode>
q8_0 plain_block(const float* x, q8_0 b) {
  constexpr bool is_ref = std::is_same_v<Mode, ggml_ref>, is_x86 = std::is_same_v<Mode, ggml_x86>;
  const float amax = std::fabs(first_of_largest_magnitude(x));
  const float d = amax / 127.0F;
  const float id = is_x86 ? 127.0F / amax : 1.0F / d;
  for (int j = 0; j < 32; ++j) {
    const float t = product(x[j], id);
    b.qs[j] = static_cast<std::int8_t>(is_ref ? std::round(t) : std::nearbyint(t));
  }
  return b;
}

template <class Mode>
q4_0 plain_block(const float* x, q4_0 b) {
  const float d = first_of_largest_magnitude(x) / -8.0F;
  const float id = 1.0F / d;
  const auto code = [&](int j) { return std::min(15, static_cast<int>(product(x[j], id) + 8.5F)); };
  for (int j = 0; j < 16; ++j) {
    b.qs[j] = static_cast<std::uint8_t>(code(j) | code(j + 16) << 4);
  }
  return b;
}

/// The scale of a block as a float. The test of core/half.hpp checks the conversion from a half.
template <class B>
float plain_scale(const float* x) {
  const float largest = first_of_largest_magnitude(x);
  return std::is_same_v<B, q8_0> ? std::fabs(largest) / 127.0F : largest / -8.0F;
}

template <class B, class Mode>
bool is_exact(const std::vector<float>& x, const std::vector<B>& blocks) {
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const float* first = x.data() + 32 * i;
    B expected = plain_block<Mode>(first, B{});
    const std::uint16_t half = to_half(plain_scale<B>(first));
    expected.d[0] = static_cast<std::uint8_t>(half & 255);
    expected.d[1] = static_cast<std::uint8_t>(half >> 8);
    if (!(blocks[i] == expected)) return false;
  }
  return true;
}

template <class B, class Mode>
void run_blocks(benchmark::State& state, index n) {
  std::vector<float> x(static_cast<std::size_t>(n));
  for (index i = 0; i < n; ++i) {
    x[static_cast<std::size_t>(i)] = 2.0F * uniform(generator{7}, i % 262397) - 1.0F;
  }
  std::vector<B> blocks(static_cast<std::size_t>(n / 32));
  quantize_row<B, Mode>(x.data(), n / 32, blocks.data());
  state.counters["exact"] = is_exact<B, Mode>(x, blocks) ? 1 : 0;
  for (auto _ : state) {
    quantize_row<B, Mode>(x.data(), n / 32, blocks.data());
    benchmark::ClobberMemory();
  }
  const double bytes_per_number = 4.0 + sizeof(B) / 32.0;
  const auto rate = [&](double count) {
    return benchmark::Counter(count, benchmark::Counter::kIsIterationInvariantRate);
  };
  state.counters["Geps"] = rate(static_cast<double>(n) * 1e-9);
  state.counters["GBps"] = rate(static_cast<double>(n) * bytes_per_number * 1e-9);
}

/// quantize/f32_<block>/fewbit_<arch>_<mode>/n:N
template <class B, class Mode>
void add_block_rows() {
  for (const index n : {index{1} << 18, index{1} << 26}) {
    const std::string name = std::string("quantize/f32_") + B::name + "/fewbit_" +
                             arch::native::name + "_" + Mode::name + "/n:" + std::to_string(n);
    benchmark::RegisterBenchmark(name.c_str(),
                                 [n](benchmark::State& state) { run_blocks<B, Mode>(state, n); });
  }
}

[[maybe_unused]] const bool added = [] {
  add_block_rows<q8_0, ggml_ref>();
  add_block_rows<q8_0, ggml_x86>();
  add_block_rows<q8_0, ggml_neon>();
  add_block_rows<q4_0, ggml_ref>();
  return true;
}();

}  // namespace
}  // namespace fewbit::benchmarks
