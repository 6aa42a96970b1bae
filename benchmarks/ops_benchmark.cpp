// Benchmarks of operators on codes: this library and, with FEWBIT_BENCHMARK_RIVALS, others.
//
// Names:
//   conv/<layer>/<implementation>         convolutions of one image, codes in and codes out
//   depthwise/<layer>/<implementation>    depthwise convolutions
//   op/<operator>_<type>/<implementation>/...   element-wise operators, pools, softmax
//   network/mobilenetv2_int8/<implementation>   MobileNetV2 of FEWBIT_DATA_DIR, one image in a call
//   one_row/<n>/<implementation>          n x n linear layers with bias at one row, floats out
//
// Layers: <kernel>[s<stride>]_<height>x<width>x<channels>[_<output channels>], padding "same".
//
// Implementations: fewbit_<type>_<arch>; product_<type>_<arch> (our product of the same extents,
// without gathering windows); xnnpack (int8); onednn_u8s8 (unsigned inputs; saturates without
// VNNI).
//
// Rows of one_row/: eigen_float is Eigen's product in float. fewbit_<arch>_floats quantizes its
// inputs at each call, fewbit_<arch>_static by calibrated parameters; fewbit_<arch>_codes reads
// codes; fewbit_<arch>_three_gates computes three layers of one input that is quantized once.
//
// Rows of network/: fewbit_<arch> runs the whole graph, from codes to logits. xnnpack_sum and
// onednn_sum run layers of the same extents one after the other, with random weights. Padding is
// part of the convolutions, and the fully connected layer is a 1x1 convolution. XNNPACK has no
// transposition of bytes, so xnnpack_sum lacks the first operator, which puts the channels of the
// image last. Without the data or nlohmann-json, these rows print what is missing.
//
// Counters:
//   GOPS    1e9 operations per second, 2 for each product of a convolution
//   Geps    1e9 elements of the output per second
//   exact   1 if outputs equalled plain sums in int64 before the timed calls. Rows of product_*
//           have other inputs, so they are not compared. Of the sums of layers, all convolutions
//           are compared. oneDNN adds the zero point before it rounds, so it rounds some ties to
//           the other neighbour, and exact may be 0. network/.../fewbit_<arch>: 1 if the logits of
//           the first 4 images equal the reference
//   arena_bytes   bytes of the block that holds all activations
//   layers  how many operators of the network run
//   heap_bytes    memory of the weights of a layer
//
// One thread. Weights are packed before the timed calls.

#include <benchmark/benchmark.h>

BENCHMARK_MAIN();
