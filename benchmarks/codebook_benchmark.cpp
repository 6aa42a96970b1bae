// k-means and product quantization beside other libraries (with FEWBIT_BENCHMARK_RIVALS), and the
// peaks of their instructions.
//
// Names:
//   kmeans/<implementation>/d:D/k:K   65,536 points of D independent standard normal coordinates,
//                                     25 iterations, from the points to the centroids: first
//                                     centroids and layout are inside the time
//   assign/<implementation>/d:D/k:K   the search for the nearest of K centroids alone, of points in
//                                     panels
//   pq_encode/<implementation>        65,536 points of 128 coordinates to 16 codes of 8 bits
//   adc8/<implementation>/queries:Q   the 10 nearest of those codes to each of Q queries: tables,
//                                     lookups and choice are inside the time
//   adc4/<implementation>/queries:Q   the same with 32 codes of 4 bits
//   adc8_sums, adc4_sums              the lookups and their sums alone
//   gemv/pq/<implementation>/width:W/bits:B/m:M/n:N/k:K/cold:0 or 1
//                                     M rows of inputs by n x k weights of B / W bits each, by
//                                     codes of a product quantizer; floats to floats, tables inside
//                                     the time. Cold: as many layers in turn as no cache holds
//   gemv/w4g32/<implementation>/...   the same by linear<int4_grouped<32>>
//   peak/fma                          fused multiply-adds on registers
//   peak/shuffle                      lookups of bytes in registers
//
// Implementations: fewbit (the best instruction set of this build), fewbit_<arch>, faiss, and
// faiss_exact (d = 1), whose support/faiss.hpp says how they are called. kmeans_sklearn.py adds
// scikit-learn's to the same table.
//
// Counters: inertia, of the centroids that were timed, in double by plain loops over all points and
// centroids; Gps, 1e9 distances per second: of kmeans 25 n k over the whole time, of assign n k, of
// pq_encode 256 for each code; of the searches 1e9 lookups, one for each code and query; found, the
// share of the nearest decoded points that were among those found; of gemv GBps of weights, with
// scales or centroids, and Geps, 1e9 weights per second and row of inputs; GOPS, two for each fused
// multiply-add. One thread.

#include <benchmark/benchmark.h>

BENCHMARK_MAIN();
