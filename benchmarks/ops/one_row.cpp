// Benchmarks of this library: linear layers at one row, beside Eigen's product in float.

#include <benchmark/benchmark.h>

#include <cstdint>
#include <string>
#include <utility>

#include "fewbit/ops/linear.hpp"
#include "support/op_cases.hpp"

namespace fewbit::benchmarks { namespace {

using layer_of_floats = linear<int8_per_row>;
using layer_of_codes = linear<int8_per_row, static_int8>;

constexpr quant_params input_params{1.0F / 127.0F, 0};

/// The operands of n x n layers, all of them random in -1 to 1.
struct operands {
  row_matrix<float> w, x, y;
  Eigen::VectorXf bias;
  explicit operands(index n)
      : w(row_matrix<float>::Random(n, n)),
        x(row_matrix<float>::Random(1, n)),
        y(1, n),
        bias(Eigen::VectorXf::Random(n)) {}
};

/// Times `call`, which writes `y`.
template <class Call>
void time(benchmark::State& state, float* y, index heap_bytes, const Call& call) {
  for (auto _ : state) {
    call();
    benchmark::DoNotOptimize(y);
    benchmark::ClobberMemory();
  }
  state.counters["heap_bytes"] = static_cast<double>(heap_bytes);
}

void eigen_float(benchmark::State& state, index n) {
  const operands o(n);
  const Eigen::MatrixXf w = o.w;  // column-major, as Eigen stores matrices by default
  const Eigen::VectorXf x = o.x.row(0).transpose();
  Eigen::VectorXf y(n);
  time(state, y.data(), (w.size() + n) * index{sizeof(float)}, [&] {
    y.noalias() = w * x;
    y += o.bias;
  });
}

void floats(benchmark::State& state, index n) {
  operands o(n);
  const layer_of_floats layer(o.w, o.bias);
  time(state, o.y.data(), layer.bytes(), [&] { layer(o.x, o.y); });
}

void static_inputs(benchmark::State& state, index n) {
  operands o(n);
  const layer_of_codes layer(o.w, o.bias, input_params);
  time(state, o.y.data(), layer.bytes(), [&] { layer(o.x, o.y); });
}

void codes(benchmark::State& state, index n) {
  operands o(n);
  const layer_of_codes layer(o.w, o.bias, input_params);
  const row_matrix<std::int8_t> x = random_codes<std::int8_t>(1, n);
  time(state, o.y.data(), layer.bytes(), [&] { layer(x, o.y); });
}

/// Three layers that read one input, quantized once, as the gates of a recurrent cell do.
void three_gates(benchmark::State& state, index n) {
  operands o(n);
  const layer_of_floats a(o.w, o.bias), b(o.w * 0.5F, o.bias), c(o.w * 0.25F, o.bias);
  row_matrix<float> yb(1, n), yc(1, n);
  layer_scratch scratch;
  time(state, o.y.data(), 3 * a.bytes(), [&] {
    const auto x = a.prepare(o.x, scratch);
    a(x, o.y);
    b(x, yb);
    c(x, yc);
  });
}

const bool added = [] {
  for (const index n : {8, 16, 32, 64, 128}) {
    const std::string size = "one_row/" + std::to_string(n) + "/";
    const std::string who = size + "fewbit_" + arch::native::name + "_";
    using function = void (*)(benchmark::State&, index);
    for (const auto& [name, run] :
         {std::pair<std::string, function>{size + "eigen_float", eigen_float},
          {who + "floats", floats},
          {who + "static", static_inputs},
          {who + "codes", codes},
          {who + "three_gates", three_gates}}) {
      benchmark::RegisterBenchmark(name.c_str(),
                                   [run = run, n](benchmark::State& s) { run(s, n); });
    }
  }
  return true;
}();

}}  // namespace fewbit::benchmarks
