// Benchmarks of the functions that repair quantized weights, on one thread.
//
// Names:
//   gptq/<scheme>/<implementation>/k:K   GPTQ of K x K weights from 512 rows of inputs: the
//                                        products of the inputs and all that follows
//   gptq/matrix_work/eigen/k:K           the matrix work that the published algorithm needs, in
//                                        double by Eigen, without any rounding: X^T X, Cholesky
//                                        factor, inverse, second Cholesky factor, and the updates
//                                        of the columns to the right of each block of 128
//
// Weights and inputs are normally distributed. Counters:
//   GFLOPS  1e9 operations of that matrix work per second of the row's time: the same number of
//           operations for every row, so the ratio of two rows is the ratio of their times

#include <benchmark/benchmark.h>

BENCHMARK_MAIN();
