#pragma once
/// Networks of power-of-two scales on microcontrollers: no float, heap, exception or string.
///
///     constexpr q7_formats formats{.inputs = 4, .weights = 7, .bias = 6, .outputs = 3};
///     constexpr q7_conv2d conv({8, 8, 1}, {.kernel = {3, 3}},
///                              {weights, bias, formats.shifts(), true});
///     constexpr q7_max_pool2d pool(conv.output(), {.kernel = {2, 2}, .stride = {2, 2}});
///     conv(pixels, codes);
///     pool(codes, smaller);
///
/// Codes are int8. The value of a code is code * 2^-n, where n is the number of fractional bits; n
/// may be negative or exceed 7. Layers read weights and bias in place, in constant memory of the
/// caller. The caller provides the memory of inputs and outputs; no other memory is used. Layers
/// are a few words, which `constexpr` puts into constant memory, too. Then shapes are checked by
/// the compiler.
///
/// | header               | has                                                          |
/// |----------------------|--------------------------------------------------------------|
/// | ops/qmn/conv2d.hpp   | q7_conv2d: stride, dilation, padding                         |
/// | ops/qmn/linear.hpp   | q7_linear                                                    |
/// | ops/qmn/pool2d.hpp   | q7_max_pool2d, q7_average_pool2d                             |
/// | ops/qmn/layer.hpp    | q7_weights, q7_shifts, q7_formats                            |
///
/// Codes equal those of conv2d, linear with integer_only<std::int8_t, std::int8_t, q7_pot>, and of
/// max_pool2d, average_pool2d. Define FEWBIT_HAS_STDIO=0 where the C library's stdio would link the
/// heap; set_error_handler() then replaces a trap. On Cortex-M4, M7 and M33 products use smlad.
///
/// Source: Lai, Suda, Chandra 2018, "CMSIS-NN", arXiv:1801.06601.

#include "fewbit/begin.hpp"

#include "fewbit/core/error_handler.hpp"
#include "fewbit/ops/qmn/conv2d.hpp"
#include "fewbit/ops/qmn/linear.hpp"
#include "fewbit/ops/qmn/pool2d.hpp"

#include "fewbit/end.hpp"
