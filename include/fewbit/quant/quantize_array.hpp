#pragma once
/// An array of floats to 8-bit codes, with one scale and zero point.
///
///     quantize_array(x, n, params, codes);
///
/// Read before: arrays.hpp (what all functions of arrays share).

#include "fewbit/begin.hpp"

#include <cstdint>
#include <limits>

#include "fewbit/arch/streaming_store.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/quant/array_pieces.hpp"
#include "fewbit/quant/params.hpp"
#include "fewbit/quant/row_quantizer.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// codes[i] = clamp(rne(x[i] * (1 / scale)) + zero_point) over all codes of the type.
///
/// @param params    a finite scale of at least 2^-126, and a zero point that is a code
/// @param executor  runs pieces of 65536 numbers
/// @throws fewbit::error if n is negative, if n > 0 and a pointer is null, or if the scale or the
///         zero point is out of range
template <ByteCode Code, Executor E = inline_executor>
void quantize_array(const float* x, index n, const quant_params& params, Code* codes,
                    const E& executor = {}) {
  using limits = std::numeric_limits<Code>;
  detail::expect_valid_array("quantize_array", x, n, params, codes);
  const detail::row_quantizer<Code> quantizer(params, limits::min(), limits::max());
  const bool streaming = n >= arch::streaming_bytes / detail::bytes_per_number;
  detail::run_by_pieces(quantizer, x, n, codes, streaming, executor);
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
