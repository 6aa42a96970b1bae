#pragma once
/// The linear layer, Y = X W^T + bias, is linear<Weights, Inputs>. The table lists the kinds of
/// weights and inputs, their cost and their use.
///
///     linear<int8_per_row> dynamic(weights, bias);                // X quantized at each call
///     linear<int8_per_row, static_uint8> fixed(weights, bias, p); // X quantized with calibrated p
///     linear<int4_grouped<32>, float_inputs> real(weights, bias); // only weights are quantized
///     linear<binary_per_row, binary_inputs> xnor(weights, bias);  // one bit for each input
///     dynamic(inputs, outputs);                                   // no allocation, no exception
///
/// | weights             | inputs                       | file in linear/  | bytes per weight     | use it for                      |
/// |---------------------|------------------------------|------------------|----------------------|---------------------------------|
/// | int8, uint8,        | dynamic_int8                 | int8.hpp         | 1                    | the first choice: no            |
/// | a scale per row     |                              |                  |                      | calibration, small error        |
/// | 1 to 4 bits,        | dynamic_int8                 | int8.hpp         | bits / 8             | less memory at the speed of     |
/// | a scale per row     |                              |                  |                      | int8                            |
/// | any scheme          | static_int8, static_uint8    | int8.hpp         | 1; bits / 8 if up to | chains of layers: codes in,     |
/// |                     |                              |                  | 4 bits, scale of row | codes out; needs calibration    |
/// | codebook<B>,        | dynamic_int8, static_int8,   | int8.hpp         | 1                    | learned levels at the speed of  |
/// | a scale per row     | static_uint8                 |                  |                      | int8                            |
/// | integers in groups  | dynamic_int8,                | grouped.hpp      | bits / 8 + 2 / group | few rows, bound by the memory   |
/// |                     | dynamic_int8_groups          |                  |                      | traffic of weights              |
/// | integers with       | dynamic_int8,                | grouped.hpp      | bits / 8 + 6 / group | ggml's Q4_1 and K-quants, HQQ   |
/// | minima              | dynamic_int8_groups          |                  |                      |                                 |
/// | any scheme          | float_inputs                 | float_inputs.hpp | bits / 8 + 2 / group | exact inputs; slower with many  |
/// |                     |                              |                  |                      | rows                            |
/// | symmetric integers, | binary_inputs,               | bit_planes.hpp   | bits / 8             | one to few bits on both sides   |
/// | a scale per row     | ternary_inputs,              |                  |                      |                                 |
/// |                     | few_bit_inputs<B>,           |                  |                      |                                 |
/// |                     | unsigned_inputs<B>           |                  |                      |                                 |
/// | ttq                 | dynamic_int8                 | two_scale.hpp    | 1 / 4                | ternary weights with two scales |
/// | pq<Width, Bits>     | dynamic_int8, float_inputs   | pq.hpp, included | 1 / 8 to 1 / 2       | the fewest bytes for few rows   |
/// |                     |                              | by name          |                      |                                 |
///
/// If weights in groups have zero points, these add 1 / group bytes per weight. All layers have the
/// same calls (ops/layer.hpp).
///
/// All layers are saved to files and loaded from them; the weights of a mapped file are read in
/// place (io/packed_file.hpp). A layer of grouped.hpp is also made from a view of weights in flash.
/// For other weights in flash call the product itself, with scales and bias beside the image
/// (gemm/weights_image.hpp):
///
///     const auto w = gemm::int8_weights<std::int8_t>::view(image);  // once; copies nothing
///     gemm::multiply(a, w, y,                                       // often; a: int8, y: float
///                    gemm::to_float{} | gemm::scale_columns{scales} | gemm::add_columns{bias},
///                    scratch);
///
/// Read next: ops/layer.hpp, ops/inputs.hpp.

#include "fewbit/begin.hpp"

#include "fewbit/ops/inputs.hpp"
#include "fewbit/ops/layer.hpp"
#include "fewbit/ops/linear/bit_planes.hpp"
#include "fewbit/ops/linear/choices.hpp"
#include "fewbit/ops/linear/float_inputs.hpp"
#include "fewbit/ops/linear/grouped.hpp"
#include "fewbit/ops/linear/int8.hpp"
#include "fewbit/ops/linear/two_scale.hpp"

#include "fewbit/end.hpp"
