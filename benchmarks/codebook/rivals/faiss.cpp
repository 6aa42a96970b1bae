// Rows of faiss.

#include "support/faiss.hpp"

namespace fewbit::benchmarks { namespace {

void run_faiss_encoding(benchmark::State& state) {
  const coded_case& c = coded_case::of(16, 8);
  faiss_encoder encode(c);
  run_encoding(state, c, [&](const row_matrix<float>& points) { return encode(points); });
}

void run_faiss_search(benchmark::State& state, const coded_case& c, const faiss::Index& index,
                      fewbit::index queries) {
  run_search(state, c, queries,
             [&](const row_matrix<float>& batch) { return faiss_search(index, batch); });
}

[[maybe_unused]] const bool added = [] {
  add_clustering_rows("faiss", &faiss_kmeans);
  add_clustering_rows("faiss_exact", &faiss_exact_kmeans, {1});
  benchmark::RegisterBenchmark("pq_encode/faiss", &run_faiss_encoding)
      ->Unit(benchmark::kMillisecond);
  for (const fewbit::index queries : {1, 8}) {
    benchmark::RegisterBenchmark(search_name("adc8", "faiss", queries).c_str(),
                                 [=](benchmark::State& state) {
                                   const coded_case& c = coded_case::of(16, 8);
                                   run_faiss_search(state, c, faiss_index(c), queries);
                                 })
        ->Unit(benchmark::kMillisecond);
    benchmark::RegisterBenchmark(search_name("adc4", "faiss", queries).c_str(),
                                 [=](benchmark::State& state) {
                                   const coded_case& c = coded_case::of(32, 4);
                                   run_faiss_search(
                                       state, c, faiss::IndexPQFastScan(faiss_index(c)), queries);
                                 })
        ->Unit(benchmark::kMillisecond);
  }
  return true;
}();

}  // namespace
}  // namespace fewbit::benchmarks
