#pragma once
/// Arrays of floats to 8-bit codes and back, at the rate of the memory: for buffers that are no
/// matrix of a scheme, and for what an operator does to its inputs.
///
///     quantize_array(x, n, params, codes);                     // one scale and zero point
///     quantize_rows(x, rows, cols, codes, scales, sums);       // a scale for each row, from it
///     dequantize_array(codes, n, params, x);
///
///     code = clamp(rne(x * (1 / scale)) + zero_point)          x = (code - zero_point) * scale
///
/// The reciprocal is rounded to float once, so that this differs from quantize(), which divides, at
/// and beside ties alone (and never for a power-of-two scale). Lengths, pointers and parameters are
/// checked at each call, before anything is written; after that nothing throws, and nothing is
/// allocated. A NaN becomes the zero point, an infinity the last code of its side, and neither
/// counts for the scale of a row. Pointers need no alignment; input and output do not overlap. What
/// is larger than `arch::streaming_bytes` is written past the caches.
/// Read next: quantize.hpp (matrices, any scheme), gemm/stages.hpp (sums of products to codes).

#include "fewbit/begin.hpp"

#include "fewbit/quant/dequantize_array.hpp"
#include "fewbit/quant/quantize_array.hpp"
#include "fewbit/quant/quantize_rows.hpp"
#include "fewbit/quant/row_quantizer.hpp"

#include "fewbit/end.hpp"
