// Products of 8-bit codes, and of codes in bit planes, on every compiled instruction set, beside
// the peaks of the instructions they are made of and, with FEWBIT_BENCHMARK_RIVALS, beside other
// libraries.
//
// Names:
//   gemm/<lhs>_<rhs>_<out>/<implementation>/m:M/n:N/k:K   C (m x n) = A (m x k) W^T
//     <lhs>: u8, s8 or f32; u7, <rhs> s7 are 8-bit codes that fill 7 bits, of 0 to 127, -64 to 63
//     b1, t2, u2, s2: binary, ternary and 2-bit codes in bit planes; b1 packed ahead on both sides
//     u8 or s8 by b1, t2, s4: 8-bit codes by such weights that stay packed, and by 4-bit ones
//     .../cold:1          as many copies of the weights, in turn, as no cache holds; cold:0: one
//   gemm/f32_w<bits>g32_f32/.../cold:0   floats, quantized inside, by weights of 2, 3, 4 and 8 bits
//                         with a scale for each 32; GBps are of bytes as packed
//   gemm/f32_w4_f32/...   the same with a scale for each row
//   gemm/f32_w4g32f_f32/..., gemm/f32_w2g32f_f32/... floats that stay floats
//     <implementation>_threads/.../threads:T/real_time    the caller and T - 1 threads of its pool
//   network/<lhs>_<rhs>_<out>/<implementation>/<network>  all its matrices, each by 128 rows
//   peak/<loop>           one instruction, or a chain, on registers; reading from a level of memory
//   pack/s8/<implementation>/n:N/k:K                      weights packed into memory just asked for
//   memcpy/n:N/k:K, memcpy_fresh/n:N/k:K                  copied, the second to such memory too
//
// Implementations: fewbit_<arch>; fewbit_table_<arch>, weights in planes through tables of sums;
// onednn (its matmul), onednn_gemm, gemmlowp, xnnpack, openblas and
// eigen (the last two in float). Their headers in support/ say how each is called.
//
// Counters: GOPS, 2 m n k operations per second; GBps, bytes of weights per second, where m is 1 or
// 8; exact, whether elements spread over the result equalled what 64-bit sums give, before it was
// timed; bytes_per_weight; pairs and fours, the shares of a network's weights that AVX2 sums in 16
// bits (gemm/int8/saturation_proof.hpp). The label is the tile of a kernel, the instruction set of
// oneDNN or the core type of OpenBLAS.
//
// Weights are packed ahead where the library can; what is done to activations is inside the time;
// one thread. In the environment: OPENBLAS_CORETYPE (Haswell, SkylakeX ...) sets the kernels of
// OpenBLAS, which takes processors it does not know for old ones; ONEDNN_MAX_CPU_ISA holds oneDNN
// to another instruction set than that of our native arch (ALL: to none).

#include <benchmark/benchmark.h>

BENCHMARK_MAIN();
