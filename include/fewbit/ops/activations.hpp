#pragma once
/// Float activations to 8-bit codes inside an operator: detail::row_quantizer for a given scale,
/// detail::encode_dynamic for the scale of the row. The formula and the kernels are those of
/// quant/arrays.hpp.

#include "fewbit/begin.hpp"

#include "fewbit/quant/arrays.hpp"

#include "fewbit/end.hpp"
