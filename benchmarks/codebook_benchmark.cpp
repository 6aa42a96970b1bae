// k-means beside other libraries (with FEWBIT_BENCHMARK_RIVALS), and the peak of its instruction.
//
// Names:
//   kmeans/<implementation>/d:D/k:K   65,536 points of D independent standard normal coordinates,
//                                     25 iterations, from the points to the centroids: first
//                                     centroids and layout are inside the time
//   assign/<implementation>/d:D/k:K   the search for the nearest of K centroids alone, of points in
//                                     panels
//   peak/fma                          fused multiply-adds on registers
//
// Implementations: fewbit (the best instruction set of this build), fewbit_<arch>, faiss, and
// faiss_exact (d = 1), whose support/faiss.hpp says how they are called. kmeans_sklearn.py adds
// scikit-learn's to the same table.
//
// Counters: inertia, of the centroids that were timed, in double by plain loops over all points and
// centroids; Gps, 1e9 distances per second: of kmeans 25 n k over the whole time, of assign n k;
// GOPS, two for each fused multiply-add. One thread.

#include <benchmark/benchmark.h>

BENCHMARK_MAIN();
