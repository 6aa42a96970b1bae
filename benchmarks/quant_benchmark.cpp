// Benchmarks that convert arrays of floats to 8-bit codes and back, and int32 sums to codes: this
// library, other libraries (with FEWBIT_BENCHMARK_RIVALS), and copying or reading as many bytes.
//
// Names:
//   quantize/f32_s8/<implementation>/n:N        clamp(rne(x / scale) + zero point), one scale
//   quantize/f32_s8_rows/<implementation>/n:N   rows of 1024 with the scale max|x| / 127 each. The
//                                               time includes the search for the scale and the sum
//                                               of the codes of each row
//   dequantize/s8_f32/<implementation>/n:N      (code - zero point) * scale
//   quantize/f32_q8_0/<implementation>_<mode>/n:N, quantize/f32_q4_0/...   blocks of 32 as in ggml;
//                                               the mode is that of formats/ggml_quantize.hpp
//   requantize/s32_s8_cols/<implementation>/n:N rows of 1024 sums: rne((sum + bias[column]) *
//                                               factor[column]) + zero point, clamped
//   memcpy/n:N                                  a copy that reads and writes as many bytes in total
//                                               as N floats and N codes have
//   peak/read_<level>                           only reads
// Arrays of 256 Ki numbers fit into a second-level cache of 2 MiB. 256 Mi floats are 1 GiB.
//
// Implementations: fewbit_<arch> (the instruction set of this build), xnnpack (its convert
// operators), onednn (its reorder) and eigen (expressions). The files in quant/rivals/ describe
// what each of them can do. An implementation that cannot do all the work of a row does less, never
// more.
//
// Counters, on one thread:
//   Geps    1e9 numbers per second
//   GBps    1e9 bytes read and written per second
//   exact   1 if samples of the result equalled the formula before the timed calls

#include <benchmark/benchmark.h>

BENCHMARK_MAIN();
