#pragma once
/// Clustering rows of the codebook benchmark.
///
/// An implementation is a callable (points, k) -> centroids that runs 25 iterations.

#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <limits>
#include <map>
#include <string>

#include "fewbit/core/random.hpp"
#include "fewbit/core/types.hpp"

namespace fewbit::benchmarks {

inline constexpr index clustered_points = 65536;
inline constexpr index clustering_iterations = 25;

/// The points, the same for every implementation. If the environment variable FEWBIT_WRITE_POINTS
/// names a folder, they are also written to <folder>/d<D>.f32 as floats for other programs.
inline const row_matrix<float>& points_to_cluster(index d) {
  static std::map<index, row_matrix<float>> made;
  row_matrix<float>& points = made[d];
  if (points.size() > 0) return points;
  points.resize(clustered_points, d);
  for (index i = 0; i < points.size(); ++i) {
    points.data()[i] = normal({static_cast<std::uint64_t>(d)}, i);
  }
  if (const char* folder = std::getenv("FEWBIT_WRITE_POINTS")) {
    const std::string path = std::string(folder) + "/d" + std::to_string(d) + ".f32";
    if (std::FILE* file = std::fopen(path.c_str(), "wb")) {
      std::fwrite(points.data(), sizeof(float), static_cast<std::size_t>(points.size()), file);
      std::fclose(file);
    }
  }
  return points;
}

/// Sum of squared distances of the points to their nearest centroids.
inline double plain_inertia(const row_matrix<float>& points, const row_matrix<float>& centroids) {
  const Eigen::MatrixXd columns = centroids.cast<double>();  // k x d: each coordinate is contiguous
  double inertia = 0.0;
  Eigen::ArrayXd distance(columns.rows());
  for (index i = 0; i < points.rows(); ++i) {
    distance.setZero();
    for (index t = 0; t < points.cols(); ++t) {
      distance += (columns.col(t).array() - double{points(i, t)}).square();
    }
    inertia += distance.minCoeff();
  }
  return inertia;
}

inline std::string clustering_name(const std::string& what, const std::string& implementation,
                                   index d, index k) {
  return what + "/" + implementation + "/d:" + std::to_string(d) + "/k:" + std::to_string(k);
}

template <class Cluster>
void run_clustering(benchmark::State& state, Cluster cluster, index d, index k) {
  const row_matrix<float>& points = points_to_cluster(d);
  row_matrix<float> centroids;
  for (auto _ : state) {
    centroids = cluster(points, k);
    benchmark::ClobberMemory();
  }
  if (centroids.rows() != k || centroids.cols() != d || !centroids.allFinite()) {
    state.SkipWithError("no k x d centroids");
    return;
  }
  state.counters["inertia"] = plain_inertia(points, centroids);
  const double distances = 1e-9 * static_cast<double>(clustering_iterations * points.rows() * k);
  state.counters["Gps"] = {distances, benchmark::Counter::kIsIterationInvariantRate};
}

template <class Cluster>
void add_clustering_rows(const std::string& implementation, Cluster cluster,
                         std::initializer_list<index> dimensions = {1, 4, 8, 64}) {
  for (const index d : dimensions) {
    for (const index k : {16, 256}) {
      benchmark::RegisterBenchmark(
          clustering_name("kmeans", implementation, d, k).c_str(),
          [=](benchmark::State& state) { run_clustering(state, cluster, d, k); })
          ->Unit(benchmark::kMillisecond);
    }
  }
}

}  // namespace fewbit::benchmarks
