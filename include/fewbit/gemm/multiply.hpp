#pragma once
/// Products of integer codes, C = epilogue(A W^T), for five forms of weights. A is m x k. W is n x
/// k, one output per row. C is m x n. No product ever saturates.
///
/// | folder      | weights         | made by       | inputs A    | use it for                                 |
/// |-------------|-----------------|---------------|-------------|--------------------------------------------|
/// | int8/       | int8_weights    | pack_int8     | u8, s8      | 8-bit weights, any number of rows          |
/// | few_bits/   | few_bit_weights | pack_few_bits | u8, s8      | 1 to 4 bits, a scale per row: less memory  |
/// |             | grouped_weights | pack_grouped  | s8          | 1 to 8 bits, a scale per group             |
/// | bit_planes/ | plane_weights   | pack_planes   | 1 to 8 bits | 1 or 2 bits on both sides                  |
/// | lookup/     | table_weights   | pack_table    | 1 to 8 bits | 1 row by weights of 1 or 2 bits; AVX2      |
///
/// All forms have the same calls:
///
///     const auto w = gemm::pack_<form>(codes, ..., executor);       // once
///     workspace scratch(gemm::scratch_bytes(w), slots);             // once
///     gemm::multiply(a, w, c, epilogue, scratch, executor);         // often; does not allocate
///
/// The epilogue gets int32 sums; that of grouped_weights gets float totals.
///
/// All forms also have images: `w.write_image(bytes)`, `W::view(bytes)` (gemm/weights_image.hpp).
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
