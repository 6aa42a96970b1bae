// Benchmarks of products of 8-bit codes and of codes in bit planes: this library on every compiled
// instruction set, other libraries (with FEWBIT_BENCHMARK_RIVALS), and the peak rates of the
// instructions that they use.
//
// Names:
//   gemm/<lhs>_<rhs>_<out>/<implementation>/m:M/n:N/k:K   C (m x n) = A (m x k) W^T
//   .../cold:1                                  alternates between more copies of the weights than
//                                               the caches can hold; cold:0 uses one copy
//   gemm/f32_w<bits>g32_f32/.../cold:0          float inputs, quantized inside the call; weights of
//                                               2, 3, 4 or 8 bits with a scale for each 32
//   gemm/f32_w4_f32/...                         the same with a scale for each row
//   gemm/f32_w4g32f_f32/..., f32_w2g32f_f32     the same with inputs that stay floats
//   .../<implementation>_threads/.../threads:T/real_time   the caller and T - 1 threads of a pool
//   network/<lhs>_<rhs>_<out>/<implementation>/<network>   all matrices of a network, 128 rows each
//   recorded/u8_s8_s32/<implementation>/<network>/extremes:0   all products of a network with real
//                                               activations; extremes:1: 0 or 255 at random
//   peak/<loop>                                 one instruction, or a chain, on registers only; or
//                                               reading from one level of memory
//   pack/s8/<implementation>/n:N/k:K            packs weights into newly allocated memory
//   memcpy/n:N/k:K                              copies into memory that was written before
//   memcpy_fresh/n:N/k:K                        copies into newly allocated memory
//
// Operands <lhs> and <rhs>:
//   u8, s8, f32       all 8-bit codes, or floats
//   u7, s7            8-bit codes that use 7 bits: u7 is 0 to 127, s7 (only <rhs>) is -64 to 63
//   b1, t2, u2, s2    binary, ternary and 2-bit codes in bit planes. Both operands of b1 by b1 are
//                     packed before the timed calls
//   u8 or s8 by b1, t2, s4   8-bit codes by weights that stay packed: binary, ternary, 4-bit
//
// Implementations: fewbit_<arch>; fewbit_table_<arch> (weights in bit planes, products by tables of
// sums); onednn (its matmul), onednn_gemm, gemmlowp, xnnpack; openblas and eigen (both in float);
// eigen_int (int32, small products).
// Headers in support/ describe the calls.
//
// Counters:
//   GOPS              1e9 operations per second, 2 m n k for a product
//   GBps              1e9 bytes of packed weights per second (m = 1 or 8, or grouped weights)
//   exact             1 if samples of the result equalled sums in 64 bits before the timed calls
//   bytes_per_weight  bytes that a weight takes in packed form
//   pairs, fours      fractions of a network's weights that AVX2 sums in 16 bits
//                     (gemm/int8/saturation_proof.hpp); of the work, in rows of recorded products
// The label is the tile of a kernel, the instruction set of oneDNN or the core type of OpenBLAS.
//
// Weights are packed before the timed calls if the library can do so. Conversion of activations is
// inside the time. One thread, except for the _threads rows.
//
// Environment variables:
//   OPENBLAS_CORETYPE   the kernels of OpenBLAS (Haswell, SkylakeX ...). Without it, OpenBLAS uses
//                       kernels for an old processor if it does not recognise the new one
//   ONEDNN_MAX_CPU_ISA  limits oneDNN to another instruction set than that of our native arch
//                       (ALL: no limit)

#include <benchmark/benchmark.h>

BENCHMARK_MAIN();
