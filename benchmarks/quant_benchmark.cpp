// Converts floats to 8-bit codes and back, and int32 sums to codes. The rows are compared with
// copies of the same number of bytes, reads from each level of memory and, with
// FEWBIT_BENCHMARK_RIVALS, other libraries.
//
// Names:
//   quantize/f32_s8/<implementation>/n:N        clamp(rne(x / scale) + zero point), one scale
//   quantize/f32_s8_rows/<implementation>/n:N   rows of 1024, each with its own scale max|x| / 127.
//                                               The time includes the scale and the sum of codes
//   dequantize/s8_f32/<implementation>/n:N      (code - zero point) * scale
//   quantize/f32_q8_0/<implementation>_<mode>/n:N, quantize/f32_q4_0/...   blocks of ggml; the mode
//                                               chooses the rounding (ggml_quantize.hpp)
//   requantize/s32_s8_cols/<implementation>/n:N rows of 1024 sums: rne((sum + bias[column]) *
//                                               factor[column]) + zero point, clamped
//   memcpy/n:N                                  a copy whose reads and writes have, in total, the
//                                               bytes of N floats and N codes
//   peak/read_<level>                           reads only
// 256 Ki numbers fit in an L2 cache of 2 MiB. 256 Mi floats are 1 GiB.
//
// Implementations:
//   fewbit_<arch>   this library, with the instruction set of this build
//   xnnpack         its convert operators
//   onednn          its reorder
//   eigen           expressions
// The files in quant/rivals/ describe the work of each. If a library cannot do all the work of a
// row, it does less, never more.
//
// Counters, on one thread:
//   Geps            1e9 numbers per second
//   GBps            1e9 bytes read and written per second
//   exact           1 if elements spread over the result equal the formula, checked before timing

#include <benchmark/benchmark.h>

BENCHMARK_MAIN();
