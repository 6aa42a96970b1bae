// Rows of gptq, and of the matrix work of the published algorithm by Eigen.

#include "fewbit/equalize/gptq.hpp"

#include <benchmark/benchmark.h>

#include <Eigen/Cholesky>
#include <algorithm>
#include <string>

#include "fewbit/core/random.hpp"

namespace fewbit::benchmarks { namespace {

constexpr index input_rows = 512;

row_matrix<float> normal_matrix(index rows, index cols, std::uint64_t seed) {
  row_matrix<float> m(rows, cols);
  for (index i = 0; i < m.size(); ++i) m.data()[i] = normal({seed, 0}, i);
  return m;
}

/// 1e9 operations: X^T X, two factors, an inverse, updates.
double work(index k) {
  const auto n = static_cast<double>(k);
  return 1e-9 * n * n * (double{input_rows} + 2.0 * n / 3.0 + 4.0 * n / 3.0 + n);
}

void set_rate(benchmark::State& state, index k) {
  state.counters["GFLOPS"] = {work(k), benchmark::Counter::kIsIterationInvariantRate};
}

template <class S>
void run_gptq(benchmark::State& state, index k) {
  const row_matrix<float> w = normal_matrix(k, k, 1), x = normal_matrix(input_rows, k, 2);
  double loss = 0.0;
  for (auto _ : state) {
    input_products h(k);
    h.add(x);
    const auto q = gptq<S>(w, h);
    loss = q.report.loss;
    benchmark::DoNotOptimize(loss);
  }
  if (!(loss > 0.0)) state.SkipWithError("no loss");
  set_rate(state, k);
}

void run_eigen(benchmark::State& state, index k) {
  const Eigen::MatrixXd x = normal_matrix(input_rows, k, 2).cast<double>();
  const Eigen::MatrixXd w = normal_matrix(k, k, 1).cast<double>();
  constexpr index block = 128;
  for (auto _ : state) {
    Eigen::MatrixXd h = Eigen::MatrixXd::Zero(k, k);
    h.selfadjointView<Eigen::Lower>().rankUpdate(x.transpose());
    h.diagonal().array() += 0.01 * h.diagonal().mean();
    const Eigen::LLT<Eigen::MatrixXd, Eigen::Lower> first(h);
    const Eigen::MatrixXd inverse = first.solve(Eigen::MatrixXd::Identity(k, k));
    const Eigen::LLT<Eigen::MatrixXd, Eigen::Upper> second(inverse);
    const Eigen::MatrixXd upper = second.matrixU();
    Eigen::MatrixXd copy = w;
    for (index first_column = 0; first_column + block < k; first_column += block) {
      const index rest = k - first_column - block;
      copy.rightCols(rest).noalias() -=
          copy.middleCols(first_column, block) * upper.block(first_column, k - rest, block, rest);
    }
    benchmark::DoNotOptimize(copy.data());
  }
  set_rate(state, k);
}

[[maybe_unused]] const bool added = [] {
  for (const index k : {1024, 2048, 4096}) {
    const std::string size = "/k:" + std::to_string(k);
    const auto add = [&](const std::string& name, auto run) {
      benchmark::RegisterBenchmark(("gptq/" + name + size).c_str(), run)
          ->Unit(benchmark::kMillisecond)
          ->Iterations(1);
    };
    add("int4_grouped128/fewbit",
        [k](benchmark::State& state) { run_gptq<int4_grouped<128>>(state, k); });
    add("int4_per_row/fewbit", [k](benchmark::State& state) { run_gptq<int4_per_row>(state, k); });
    add("matrix_work/eigen", [k](benchmark::State& state) { run_eigen(state, k); });
  }
  return true;
}();

}}  // namespace fewbit::benchmarks
