// Rows of observers and searches.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

#include "fewbit/calib/histogram_observer.hpp"
#include "fewbit/calib/max_observer.hpp"
#include "fewbit/calib/threshold.hpp"
#include "fewbit/core/aligned_buffer.hpp"
#include "fewbit/core/random.hpp"
#include "support/counters.hpp"
#include "support/plain_entropy.hpp"
#include "support/reads.hpp"

namespace fewbit::benchmarks { namespace {

using tests::plain_entropy_search;
using row = Eigen::Map<const row_matrix<float>>;

constexpr index sixteen_mi = index{1} << 24;

/// Standard normal numbers; a block of them is repeated in large arrays.
const aligned_buffer<float>& numbers(index n) {
  static aligned_buffer<float> all;
  if (all.size() < n) {
    all = aligned_buffer<float>(n);
    const index block = std::min(n, sixteen_mi);
    for (index i = 0; i < block; ++i) all.data()[i] = normal(generator{1}, i);
    for (index i = block; i < n; ++i) all.data()[i] = all.data()[i - block];
  }
  return all;
}

/// Whether the counts of |x| equal those of a plain loop in long double.
bool has_plain_counts(const histogram_observer& o, const float* x, index n) {
  std::vector<std::uint64_t> want(static_cast<std::size_t>(o.bins()), 0);
  for (index i = 0; i < n; ++i) {
    const long double bins = std::abs(static_cast<long double>(x[i])) / o.width();
    ++want[static_cast<std::size_t>(bins)];
  }
  const histogram got = o.snapshot(clip::symmetric);
  want.resize(got.counts.size());
  return got.counts == want;
}

/// Writes the numbers and their counts to the folder FEWBIT_WRITE_HISTOGRAM, for
/// histogram_numpy.py.
void write_for_numpy(const histogram_observer& o, const float* x, index n) {
  const char* folder = std::getenv("FEWBIT_WRITE_HISTOGRAM");
  if (folder == nullptr) return;
  const auto write = [&](const char* name, const void* data, std::size_t bytes) {
    std::ofstream file(std::string(folder) + "/" + name, std::ios::binary);
    file.write(static_cast<const char*>(data), static_cast<std::streamsize>(bytes));
  };
  const histogram h = o.snapshot(clip::symmetric);
  const double end = h.width * static_cast<double>(h.bins());
  write("numbers.f32", x, sizeof(float) * static_cast<std::size_t>(n));
  write("counts.u64", h.counts.data(), sizeof(std::uint64_t) * h.counts.size());
  write("end.f64", &end, sizeof(end));
}

void run_max(benchmark::State& state, index n) {
  const float* x = numbers(n).data();
  max_observer first;
  first.observe(row(x, 1, n));
  const auto [lo, hi] = std::minmax_element(x, x + n);
  state.counters["exact"] = first.range() == range{*lo, *hi} ? 1 : 0;
  for (auto _ : state) {
    max_observer o;
    o.observe(row(x, 1, n));
    benchmark::DoNotOptimize(o);
  }
  state.counters["GBps"] = per_second(static_cast<double>(n) * 4e-9);
}

void run_histogram(benchmark::State& state, index n) {
  const float* x = numbers(n).data();
  histogram_observer first;
  first.observe(row(x, 1, n));
  state.counters["exact"] = has_plain_counts(first, x, n) ? 1 : 0;
  write_for_numpy(first, x, n);
  for (auto _ : state) {
    histogram_observer o;
    o.observe(row(x, 1, n));
    benchmark::DoNotOptimize(o);
  }
  state.counters["Geps"] = per_second(static_cast<double>(n) * 1e-9);
}

/// Magnitudes of normal numbers in 2048 bins, the last of which is not empty.
const histogram& bins_of_magnitudes() {
  static const histogram h = [] {
    const float* x = numbers(sixteen_mi).data();
    double largest = 0.0;
    for (index i = 0; i < sixteen_mi; ++i) largest = std::max(largest, std::abs(double{x[i]}));
    histogram made;
    made.counts.assign(2048, 0);
    made.width = largest / 2048;
    for (index i = 0; i < sixteen_mi; ++i) {
      const auto bin = static_cast<std::size_t>(std::abs(double{x[i]}) / made.width);
      ++made.counts[std::min<std::size_t>(bin, 2047)];
    }
    made.extremes = {static_cast<float>(-largest), static_cast<float>(largest)};
    return made;
  }();
  return h;
}

template <class Method>
void run_search(benchmark::State& state, const Method& method) {
  const histogram& h = bins_of_magnitudes();
  if constexpr (std::is_same_v<Method, by_entropy>) {
    const double want = h.edge(static_cast<index>(plain_entropy_search(h.counts, 128, 128)));
    state.counters["exact"] = method(h).hi == static_cast<float>(want) ? 1 : 0;
  }
  for (auto _ : state) benchmark::DoNotOptimize(method(h));
}

[[maybe_unused]] const bool added = [] {
  const auto add = [](const std::string& name, auto run) {
    benchmark::RegisterBenchmark(name.c_str(), run)->Unit(benchmark::kMillisecond);
  };
  for (const index n : {index{1} << 16, sixteen_mi, beyond_caches() / 4}) {
    add("observe/max/n:" + std::to_string(n), [n](benchmark::State& s) { run_max(s, n); });
  }
  for (const index n : {index{1} << 10, index{1} << 16, sixteen_mi}) {
    add("observe/histogram/n:" + std::to_string(n),
        [n](benchmark::State& s) { run_histogram(s, n); });
  }
  add("search/percentile/fewbit", [](benchmark::State& s) { run_search(s, by_percentile{99.99}); });
  add("search/entropy/fewbit", [](benchmark::State& s) { run_search(s, by_entropy{}); });
  add("search/entropy/plain", [](benchmark::State& s) {
    for (auto _ : s) {
      benchmark::DoNotOptimize(plain_entropy_search(bins_of_magnitudes().counts, 128, 128));
    }
  });
  add("search/mse/fewbit", [](benchmark::State& s) { run_search(s, by_mse{}); });
#if FEWBIT_HAS_AVX2
  add_read_rows();
#endif
  return true;
}();

}  // namespace
}  // namespace fewbit::benchmarks
