// Arrays of real numbers to 8-bit codes and back, and int32 sums to codes, beside copying as many
// bytes, reading from each level of memory and, with FEWBIT_BENCHMARK_RIVALS, other libraries.
//
// Names:
//   quantize/f32_s8/<implementation>/n:N        clamp(rne(x / scale) + zero point), one scale
//   quantize/f32_s8_rows/<implementation>/n:N   rows of 1024, each by its own max|x| / 127, found
//                                               inside the time, and the sum of its codes
//   dequantize/s8_f32/<implementation>/n:N      (code - zero point) * scale
//   quantize/f32_q8_0/<implementation>_<mode>/n:N, quantize/f32_q4_0/...   blocks of 32 as ggml has
//                                               them; the mode says whose rounding
//   requantize/s32_s8_cols/<implementation>/n:N rows of 1024 sums: rne((sum + bias[column]) *
//                                               factor[column]) + zero point, clamped
//   memcpy/n:N                                  a copy that reads and writes, in all, the bytes
//                                               that N floats and N codes have
//   peak/read_<level>                           reading alone
// 256 Ki numbers stay in a second-level cache of 2 MiB; 256 Mi floats are 1 GiB.
//
// Implementations: fewbit_<arch>, the instruction set that the program is built for; xnnpack (its
// convert operators), onednn (its reorder) and eigen (expressions). Their headers in support/ say
// what each can do: where one cannot do all of a row's work it does less, never more.
//
// Counters: Geps, 10^9 numbers per second; GBps, bytes read and written per second; exact, whether
// elements spread over the result equalled the formula before it was timed. One thread.

#include <benchmark/benchmark.h>

BENCHMARK_MAIN();
