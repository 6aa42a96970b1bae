// Benchmarks of calibration: observers of float data, and the search for thresholds in their
// histograms.
//
// Names:
//   observe/<observer>/n:N          one batch of N standard normal numbers. max: max_observer.
//                                   histogram: histogram_observer with 2048 bins on each side of 0,
//                                   from its first value. 16 Mi numbers are 64 MiB; the largest N
//                                   is a memory that no cache holds
//   search/<method>/<implementation>
//                                   the threshold of a histogram of 16 Mi magnitudes with 2048
//                                   bins, all of them in use. entropy: 1921 thresholds, 8 bits.
//                                   mse: 1920 thresholds, 8 bits
//   peak/read_<level>               only reads
//
// Implementations:
//   fewbit   the library
//   plain    the published method as a loop over thresholds: counts of both distributions, and one
//            std::log for each bin. It is the reference of the test, compiled with the same flags
// histogram_numpy.py adds numpy.histogram on the same numbers.
//
// Counters, on one thread:
//   GBps    1e9 bytes read per second
//   Geps    1e9 numbers per second
//   exact   1 if the result equalled plain loops before the timed calls

#include <benchmark/benchmark.h>

BENCHMARK_MAIN();
