// Benchmarks of k-means and product quantization: this library, other libraries (with
// FEWBIT_BENCHMARK_RIVALS), and the peak rates of the instructions that they use.
//
// Names:
//   kmeans/<implementation>/d:D/k:K   clusters 65,536 points of D independent standard normal
//                                     coordinates, 25 iterations. The time includes the choice of
//                                     first centroids and changes of memory layout
//   assign/<implementation>/d:D/k:K   finds the nearest of K centroids, for points in panels
//   pq_encode/<implementation>        encodes 65,536 points of 128 coordinates, 16 codes of 8 bits
//   adc8/<implementation>/queries:Q   finds the 10 nearest of these codes for each of Q queries.
//                                     The time includes tables, lookups and selection
//   adc4/<implementation>/queries:Q   the same with 32 codes of 4 bits
//   adc8_sums, adc4_sums              only the lookups and their sums
//   gemv/pq/<implementation>/width:W/bits:B/m:M/n:N/k:K/cold:0 or 1
//                                     multiplies M rows of inputs by N x K weights, stored as codes
//                                     of a product quantizer with B / W bits per weight. Floats in,
//                                     floats out; the time includes tables. cold:1 alternates
//                                     between more layers than the caches can hold
//   gemv/w4g32/<implementation>/...   the same with linear<int4_grouped<32>>
//   peak/fma                          fused multiply-adds on registers
//   peak/shuffle                      byte lookups in registers
//
// Implementations:
//   fewbit          the best instruction set of this build
//   fewbit_<arch>   one instruction set
//   faiss           support/faiss.hpp describes the calls
//   faiss_exact     the exact algorithm of faiss, only for d = 1
// kmeans_sklearn.py adds rows for scikit-learn to the same table.
//
// Counters, on one thread:
//   inertia   sum of squared distances to the centroids of the timed call, by plain loops in double
//   Gps       1e9 distances or lookups per second. Distances: 25 n k for a call of kmeans, n k for
//             assign, 256 for each code of pq_encode. Lookups: one for each code and query of adc
//   found     the fraction of the true nearest decoded points that were found
//   GBps      gemv: 1e9 bytes of weights per second, including scales or centroids
//   Geps      gemv: 1e9 weights per second, times the number of input rows
//   GOPS      1e9 operations per second, two for each fused multiply-add

#include <benchmark/benchmark.h>

BENCHMARK_MAIN();
