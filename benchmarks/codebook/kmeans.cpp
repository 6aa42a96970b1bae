// Rows of the library's own k-means for every compiled instruction set.

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "fewbit/arch/arch.hpp"
#include "fewbit/codebook/kmeans.hpp"
#include "support/kmeans_rows.hpp"

namespace fewbit::benchmarks { namespace {

template <class Arch>
void run_assignment(benchmark::State& state, index d, index k) {
  const row_matrix<float>& points = points_to_cluster(d);
  const packed_centroids centroids(points.topRows(k), centering::of(points));
  const detail::point_panels panels(points, centroids.map(), inline_executor{});
  std::vector<std::int32_t> nearest(static_cast<std::size_t>(panels.panels() * panel_points));
  for (auto _ : state) {
    for (index p = 0; p < panels.panels(); ++p) {
      nearest_in_panel<Arch>(centroids, panels.panel(p), nearest.data() + p * panel_points);
    }
    benchmark::ClobberMemory();
  }
  for (index j = 0; j < k; ++j) {
    if (nearest[static_cast<std::size_t>(j)] != j) state.SkipWithError("not its own nearest");
  }
  const double distances = 1e-9 * static_cast<double>(points.rows() * k);
  constexpr auto rate = benchmark::Counter::kIsIterationInvariantRate;
  state.counters["Gps"] = {distances, rate};
  state.counters["GOPS"] = {2 * static_cast<double>(d) * distances, rate};
}

template <class Arch>
void add_assignment_rows(const std::string& implementation) {
  for (const index d : {4, 8, 64}) {
    for (const index k : {16, 256}) {
      benchmark::RegisterBenchmark(
          clustering_name("assign", implementation, d, k).c_str(),
          [=](benchmark::State& state) { run_assignment<Arch>(state, d, k); })
          ->Unit(benchmark::kMillisecond);
    }
  }
}

template <class Arch>
void add_all(const std::string& implementation) {
  add_clustering_rows(implementation, [](const row_matrix<float>& points, index k) {
    return kmeans<Arch>(points, k, {.iterations = clustering_iterations}).centroids;
  });
  add_assignment_rows<Arch>(implementation);
}

[[maybe_unused]] const bool added = [] {
  add_all<arch::native>("fewbit");
  arch::compiled::for_each(
      []<class Arch>() { add_all<Arch>(std::string("fewbit_") + Arch::name); });
  return true;
}();

}  // namespace
}  // namespace fewbit::benchmarks
