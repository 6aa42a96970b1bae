// Rows of faiss.

#include "support/faiss.hpp"

namespace fewbit::benchmarks {
namespace {

[[maybe_unused]] const bool added = [] {
  add_clustering_rows("faiss", &faiss_kmeans);
  add_clustering_rows("faiss_exact", &faiss_exact_kmeans, {1});
  return true;
}();

}  // namespace
}  // namespace fewbit::benchmarks
