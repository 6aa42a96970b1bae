// Products of 8-bit codes and of codes in bit planes, on every compiled instruction set. They are
// compared with the peaks of the instructions they use and, with FEWBIT_BENCHMARK_RIVALS, with
// other libraries.
//
// Names:
//   gemm/<lhs>_<rhs>_<out>/<implementation>/m:M/n:N/k:K   C (m x n) = A (m x k) W^T
//     u8, s8, f32         8-bit codes and floats
//     u7, s7              8-bit codes that use 7 bits: 0 to 127 and -64 to 63
//     b1, t2, u2, s2      binary, ternary and 2-bit codes in bit planes. In b1_b1, the inputs are
//                         also packed ahead
//     u8 or s8 by b1, t2, s4   8-bit codes by few-bit weights that are multiplied as stored
//     .../cold:1          uses copies of the weights in turn, more than any cache can hold. cold:0
//                         uses one copy
//   gemm/f32_w<bits>g32_f32/...   floats, quantized by the call, by weights of 2, 3, 4 and 8 bits
//                         with a scale for each 32. GBps counts the bytes of packed weights
//   gemm/f32_w4_f32/...   the same with a scale for each row
//   gemm/f32_w4g32f_f32/..., gemm/f32_w2g32f_f32/...      floats that are multiplied as floats
//     <implementation>_threads/.../threads:T/real_time    the caller and T - 1 threads of its pool
//   network/<lhs>_<rhs>_<out>/<implementation>/<network>  all its matrices, each by 128 rows
//   peak/<loop>           one instruction or a chain on registers, or reads from a memory level
//   pack/s8/<implementation>/n:N/k:K                      packs weights into newly allocated memory
//   memcpy/n:N/k:K        copies the same bytes
//   memcpy_fresh/n:N/k:K  copies them into newly allocated memory
//
// Implementations:
//   fewbit_<arch>         this library
//   fewbit_table_<arch>   this library, weights in bit planes, with tables of sums
//   onednn, onednn_gemm   the matmul primitive and the gemm function of oneDNN
//   gemmlowp, xnnpack
//   openblas, eigen       in float
// The headers in support/ describe how each is called.
//
// Counters:
//   GOPS                  1e9 operations per second, 2 m n k operations for each call
//   GBps                  1e9 bytes of weights per second, if m is 1 or 8
//   exact                 1 if elements spread over the result equal 64-bit sums (checked first)
//   bytes_per_weight      of packed weights
//   pairs, fours          shares of a network's weights that AVX2 sums in 16 bits
//                         (gemm/int8/saturation_proof.hpp)
// The label is the tile of a kernel, the instruction set of oneDNN or the core type of OpenBLAS.
//
// All rows use one thread unless their name has threads:T. Weights are packed ahead if the library
// can do so. The time includes all work on activations. Environment variables:
//   OPENBLAS_CORETYPE     sets the kernels of OpenBLAS (Haswell, SkylakeX ...). Otherwise it uses
//                         kernels of an old processor if it does not support this one
//   ONEDNN_MAX_CPU_ISA    limits oneDNN to this instruction set, not to the native arch (ALL: none)

#include <benchmark/benchmark.h>

BENCHMARK_MAIN();
