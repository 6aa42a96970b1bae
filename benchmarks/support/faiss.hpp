#pragma once
/// k-means by faiss, one thread: its Clustering with an IndexFlatL2 and all points, and, for one
/// dimension, its exact Clustering1D; codes of its ProductQuantizer, searched by IndexPQ with 8
/// bits and by IndexPQFastScan with 4. Their centroids are ours.
///
/// Debian's package is built without AVX2 and multiplies by the BLAS that the system has chosen. An
/// OpenBLAS that does not know the processor takes it for an old one: OPENBLAS_CORETYPE (Haswell,
/// SkylakeX ...) in the environment sets its kernels.

#include <faiss/Clustering.h>
#include <faiss/IndexFlat.h>
#include <faiss/IndexPQ.h>
#include <faiss/IndexPQFastScan.h>
#include <faiss/utils/distances.h>
#include <omp.h>

#include <cstddef>
#include <cstdint>
#include <utility>

#include "fewbit/core/types.hpp"
#include "support/kmeans_rows.hpp"
#include "support/pq_rows.hpp"

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

/// With the centroids of a case and its points.
inline faiss::IndexPQ faiss_index(const coded_case& c) {
  hold_faiss_to_one_thread();
  faiss::IndexPQ index(coded_dimension, static_cast<std::size_t>(c.pq.parts()),
                       static_cast<std::size_t>(c.pq.bits()));
  for (fewbit::index p = 0; p < c.pq.parts(); ++p) {
    index.pq.set_params(c.pq.centroids(p).data(), static_cast<int>(p));
  }
  index.is_trained = true;
  index.add(c.points.rows(), c.points.data());
  return index;
}

/// By an index that multiplies, in blocks that the second cache holds. The other ways of
/// ProductQuantizer, with centroids as they are, transposed or by tables of distances, all took
/// twice as long for parts of 8 coordinates.
class faiss_encoder {
 public:
  explicit faiss_encoder(const coded_case& c)
      : index_(faiss_index(c)), nearest_(static_cast<int>(index_.pq.dsub)) {
    index_.pq.assign_index = &nearest_;
  }

  code_matrix operator()(const row_matrix<float>& points) {
    const int usual = std::exchange(faiss::distance_compute_blas_query_bs, 1024);
    code_matrix codes(points.rows(), static_cast<fewbit::index>(index_.pq.code_size));
    index_.pq.compute_codes_with_assign_index(points.data(), codes.data(),
                                              static_cast<std::size_t>(points.rows()));
    faiss::distance_compute_blas_query_bs = usual;
    return codes;
  }

 private:
  faiss::IndexPQ index_;
  faiss::IndexFlatL2 nearest_;
};

inline number_matrix faiss_search(const faiss::Index& index, const row_matrix<float>& queries) {
  row_matrix<std::int64_t> numbers(queries.rows(), found_points);
  row_matrix<float> distances(queries.rows(), found_points);
  index.search(queries.rows(), queries.data(), found_points, distances.data(), numbers.data());
  return numbers.cast<fewbit::index>();
}

}  // namespace fewbit::benchmarks
