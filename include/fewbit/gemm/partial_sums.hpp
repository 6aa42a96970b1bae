#pragma once
/// Sums of one row or a few rows over a part of k, for callers with some KiB of scratch memory.
///
/// Such a caller processes k in chunks. It prepares one chunk of activations, adds the products of
/// the chunk to the sums of some columns, and continues with the next chunk. Sums are int32 and
/// exact, so chunks do not change results.
///
/// | weights          | partial_sums<weights> is in      |
/// |------------------|----------------------------------|
/// | int8_weights     | gemm/int8/partial_sums.hpp       |
/// | few_bit_weights  | gemm/few_bits/partial_sums.hpp   |
/// | plane_weights    | gemm/bit_planes/partial_sums.hpp |
/// | table_weights    | gemm/lookup/partial_sums.hpp     |
///
/// grouped_weights have float totals (gemm/few_bits/partial_totals.hpp). Read next:
/// ops/linear/int8.hpp, which calls these classes.

#include "fewbit/begin.hpp"

#include "fewbit/config.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm {

/// `add` adds the products of some codes of k to the sums of some columns.
///
/// @tparam Weights  packed weights
/// @tparam Lhs      type of the activations; given only if packed weights of one type take several
///                  (few_bit_weights)
template <class Weights, class Lhs = void>
class partial_sums;

}}}  // namespace fewbit::gemm

#include "fewbit/end.hpp"
