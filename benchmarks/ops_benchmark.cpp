// Benchmarks of operators on codes: this library and, with FEWBIT_BENCHMARK_RIVALS, others.
//
// Names:
//   conv/<layer>/<implementation>         convolutions of one image, codes in and codes out
//   depthwise/<layer>/<implementation>    depthwise convolutions
//   op/<operator>_<type>/<implementation>/...   element-wise operators, pools, softmax
//
// Layers: <kernel>[s<stride>]_<height>x<width>x<channels>[_<output channels>], padding "same".
//
// Implementations: fewbit_<type>_<arch>; product_<type>_<arch> (our product of the same extents,
// without gathering windows); xnnpack (int8); onednn_u8s8 (unsigned inputs; saturates without
// VNNI).
//
// Counters:
//   GOPS    1e9 operations per second, 2 for each product of a convolution
//   Geps    1e9 elements of the output per second
//   exact   1 if outputs equalled plain sums in int64 before the timed calls. Rows of product_*
//           have other inputs, so they are not compared
//
// One thread. Weights are packed before the timed calls.

#include <benchmark/benchmark.h>

BENCHMARK_MAIN();
