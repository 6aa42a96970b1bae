#pragma once
/// The linear layer, Y = X W^T + bias: which class template serves which weights and inputs.
///
///     linear<int8_per_row> dynamic(weights, bias);                // X quantized at each call
///     linear<int8_per_row, static_uint8> fixed(weights, bias, p); // X quantized with calibrated p
///     linear<int4_grouped<32>, float_inputs> real(weights, bias); // weights alone are quantized
///     linear<binary_per_row, binary_inputs> xnor(weights, bias);  // X one bit each
///     dynamic(inputs, outputs);                                   // no allocation, no exception
///
/// | weights                              | inputs                      | file, ops/linear/ | bytes per weight    |
/// |--------------------------------------|-----------------------------|-------------------|---------------------|
/// | integers, a scale per row or coarser | dynamic_int8, static_int8,  | int8.hpp          | 1; bits / 8 up to 4 |
/// |                                      | static_uint8                |                   | bits                |
/// | codebooks, a scale per row           | the same                    | int8.hpp          | 1                   |
/// | any, in groups                       | static_int8, static_uint8   | int8.hpp          | 1                   |
/// | any, in groups                       | dynamic_int8,               | grouped.hpp       | bits / 8 + 2 / group|
/// |                                      | dynamic_int8_groups         |                   |                     |
/// | integers with minima (real_minimum)  | dynamic_int8,               | grouped.hpp       | bits / 8 + 6 / group|
/// |                                      | dynamic_int8_groups         |                   |                     |
/// | any                                  | float_inputs                | float_inputs.hpp  | bits / 8 + 2 / group|
/// | symmetric, a scale per row           | binary_inputs,              | bit_planes.hpp    | bits / 8            |
/// |                                      | ternary_inputs,             |                   |                     |
/// |                                      | few_bit_inputs<B>           |                   |                     |
/// | two-scale ternary (quantize_ttq)     | dynamic_int8                | two_scale.hpp     | 1 / 4               |
/// | codes of a product quantizer         | dynamic_int8, float_inputs  | pq.hpp, by name   | 1 / 8 to 1 / 2      |
///
/// int8_per_row with dynamic_int8 is the place to start. static inputs save the pass over each row,
/// but need calibration. Weights in groups of few bits are the choice where one or a few rows wait
/// for weights from memory. float_inputs keep the inputs exact and cost float arithmetic.
/// Read next: ops/linear/choices.hpp (inputs, options, scratch memory).

#include "fewbit/begin.hpp"

#include "fewbit/ops/linear/bit_planes.hpp"
#include "fewbit/ops/linear/choices.hpp"
#include "fewbit/ops/linear/float_inputs.hpp"
#include "fewbit/ops/linear/grouped.hpp"
#include "fewbit/ops/linear/int8.hpp"
#include "fewbit/ops/linear/two_scale.hpp"

#include "fewbit/end.hpp"
