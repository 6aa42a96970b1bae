#pragma once
/// Products of integer codes, C = epilogue(A W^T): the door to their four kinds. A is m x k, W is
/// n x k with one output per row, C is m x n. No kind ever saturates.
///
/// | folder      | weights         | made by     | inputs A    | use it for                                 |
/// |-------------|-----------------|-------------|-------------|--------------------------------------------|
/// | int8/       | int8_weights    | pack_int8   | u8, s8      | 8-bit weights, any number of rows          |
/// | few_bits/   | few_bit_weights | constructor | u8, s8      | 1 to 4 bits, a scale per row: less memory  |
/// |             | grouped_weights | constructor | s8          | 1 to 8 bits, a scale per group             |
/// | bit_planes/ | plane_weights   | pack_planes | 1 to 8 bits | 1 or 2 bits on both sides                  |
/// | lookup/     | table_weights   | pack_table  | 1 to 8 bits | 1 row by weights of 1 or 2 bits; AVX2      |
///
/// Read next: gemm/epilogue.hpp (what happens to sums), gemm/stages.hpp (ready stages).

#include "fewbit/begin.hpp"

#include "fewbit/gemm/apply_epilogue.hpp"
#include "fewbit/gemm/bit_planes/multiply.hpp"
#include "fewbit/gemm/few_bits/multiply.hpp"
#include "fewbit/gemm/few_bits/multiply_grouped.hpp"
#include "fewbit/gemm/int8/multiply.hpp"
#include "fewbit/gemm/lookup/multiply.hpp"
#include "fewbit/gemm/stages.hpp"

#include "fewbit/end.hpp"
