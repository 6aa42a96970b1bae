#pragma once
/// k-means and search by faiss, on one thread.
///
/// | rows        | classes of faiss                                                        |
/// |-------------|-------------------------------------------------------------------------|
/// | faiss       | Clustering with IndexFlatL2 on all points                               |
/// | faiss_exact | Clustering1D, the exact algorithm for one dimension                     |
/// | pq_encode   | ProductQuantizer                                                        |
/// | adc8, adc4  | IndexPQ (8-bit codes), IndexPQFastScan (4-bit codes)                    |
///
/// The product quantizers use the centroids of this library.
///
/// Debian's package is built without AVX2 and multiplies with the BLAS of the system. An OpenBLAS
/// that does not recognise the processor uses kernels for an old one. The environment variable
/// OPENBLAS_CORETYPE (Haswell, SkylakeX ...) selects other kernels.

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

/// A function of OpenBLAS. The pointer is null with another BLAS.
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
  parameters.max_points_per_centroid = static_cast<int>(points.rows());  // uses all, not a sample
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

/// An index with the centroids and the points of a case.
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

/// Encodes with an index that multiplies, in blocks that fit into the second-level cache. The other
/// ways of ProductQuantizer (centroids as they are, transposed centroids, tables of distances) took
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
