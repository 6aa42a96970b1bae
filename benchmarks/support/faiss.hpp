#pragma once
/// k-means by faiss, one thread: its Clustering with an IndexFlatL2 and all points, and, for one
/// dimension, its exact Clustering1D.
///
/// Debian's package is built without AVX2 and multiplies by the BLAS that the system has chosen. An
/// OpenBLAS that does not know the processor takes it for an old one: OPENBLAS_CORETYPE (Haswell,
/// SkylakeX ...) in the environment sets its kernels.

#include <faiss/Clustering.h>
#include <faiss/IndexFlat.h>
#include <omp.h>

#include <cstddef>

#include "fewbit/core/types.hpp"
#include "support/kmeans_rows.hpp"

/// Of OpenBLAS; another BLAS has no threads to hold back.
extern "C" void openblas_set_num_threads(int threads) __attribute__((weak));

namespace fewbit::benchmarks {

inline void hold_faiss_to_one_thread() {
  omp_set_num_threads(1);
  if (openblas_set_num_threads != nullptr) openblas_set_num_threads(1);
}

inline row_matrix<float> faiss_centroids(const faiss::Clustering& clustering) {
  return Eigen::Map<const row_matrix<float>>(clustering.centroids.data(),
                                             static_cast<index>(clustering.k),
                                             static_cast<index>(clustering.d));
}

inline row_matrix<float> faiss_kmeans(const row_matrix<float>& points, index k) {
  hold_faiss_to_one_thread();
  faiss::ClusteringParameters parameters;
  parameters.niter = static_cast<int>(clustering_iterations);
  parameters.max_points_per_centroid = static_cast<int>(points.rows());  // else it takes a sample
  const auto d = static_cast<int>(points.cols());
  faiss::Clustering clustering(d, static_cast<int>(k), parameters);
  faiss::IndexFlatL2 search(d);
  clustering.train(points.rows(), points.data(), search);
  return faiss_centroids(clustering);
}

inline row_matrix<float> faiss_exact_kmeans(const row_matrix<float>& points, index k) {
  hold_faiss_to_one_thread();
  faiss::ClusteringParameters parameters;
  parameters.max_points_per_centroid = static_cast<int>(points.rows());
  faiss::Clustering1D clustering(static_cast<int>(k), parameters);
  clustering.train_exact(points.rows(), points.data());
  return faiss_centroids(clustering);
}

}  // namespace fewbit::benchmarks
