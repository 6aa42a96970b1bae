#pragma once
/// Converts arrays of floats to 8-bit codes and back at memory speed. Use these functions for
/// buffers that are not matrices of a scheme. Operators convert their inputs in the same way.
///
///     quantize_array(x, n, params, codes);                     // one scale and zero point
///     quantize_rows(x, rows, cols, codes, scales, sums);       // each row has its own scale
///     dequantize_array(codes, n, params, x);
///
///     code = clamp(rne(x * (1 / scale)) + zero_point)          x = (code - zero_point) * scale
///
/// The reciprocal 1 / scale is rounded to float once. quantize() divides instead, so a code can
/// differ where x / scale is a tie or next to one. It never differs for a power-of-two scale.
///
/// Each call checks lengths, pointers and parameters before it writes anything. After these checks
/// it does not throw and does not allocate. A NaN becomes the zero point; an infinity becomes the
/// first or the last code, by its sign. Neither affects the scale of a row. Pointers need no
/// alignment. Input and output must not overlap. Arrays larger than `arch::streaming_bytes` are
/// written with streaming stores, past the caches.
///
/// | header                | function                                             |
/// |-----------------------|------------------------------------------------------|
/// | quantize_array.hpp    | quantize_array                                       |
/// | quantize_rows.hpp     | quantize_rows                                        |
/// | dequantize_array.hpp  | dequantize_array                                     |
/// | row_quantizer.hpp     | dynamic_scale, row_quantizer: one row, for operators |
///
/// Read next: quantize.hpp (matrices, any scheme), gemm/stages.hpp (sums of products to codes).

#include "fewbit/begin.hpp"

#include "fewbit/quant/dequantize_array.hpp"
#include "fewbit/quant/quantize_array.hpp"
#include "fewbit/quant/quantize_rows.hpp"
#include "fewbit/quant/row_quantizer.hpp"

#include "fewbit/end.hpp"
