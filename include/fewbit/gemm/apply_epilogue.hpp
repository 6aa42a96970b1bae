#pragma once
/// Applies an epilogue to existing sums: the output of a product, or any other int32 or float
/// matrix.
///
///     apply_epilogue(sums, codes, add_bias{b} | requantize<xnn_fp32>{factors} | to_int8{zero});
///
/// multiply() applies its epilogue while sums are in registers, which saves writing and reading
/// them. Read next: gemm/stages.hpp (ready stages), quant/arrays.hpp (floats to codes and back).

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cassert>
#include <cstdint>

#include "fewbit/arch/streaming_store.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/gemm/epilogue.hpp"
#include "fewbit/gemm/epilogue_rows.hpp"
#include "fewbit/gemm/tuning.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace gemm {

namespace detail {

/// Bypasses the caches if `streaming` bytes or more are read and written and the rows of c start on
/// cache lines.
template <class In, class Out, class E, class Ex>
void apply_epilogue(const In* sums, index stride, const output_rectangle<Out>& c, const E& epilogue,
                    index streaming, const Ex& executor) noexcept {
  constexpr int lanes = arch::native_lanes<In>;
  constexpr index line = arch::cache_line;
  const index bytes = c.rows * c.cols * index{sizeof(In) + sizeof(Out)};
  const bool on_lines = reinterpret_cast<std::uintptr_t>(c.data) % line == 0 &&
                        c.stride * index{sizeof(Out)} % line == 0;
  const index at_once = std::max(index{1}, epilogue_piece / std::max(index{1}, c.cols));
  executor.for_each((c.rows + at_once - 1) / at_once, [&](index i) {
    const index first = i * at_once;
    const output_rectangle<Out> part{c.data, c.stride, first, 0, std::min(at_once, c.rows - first),
                                     c.cols};
    if (on_lines && bytes >= streaming) {
      apply_epilogue_to_rows<lanes, from_memory, arch::past_caches>(sums + first * stride, stride,
                                                                    part, epilogue);
      arch::end_streaming();
    } else {
      apply_epilogue_to_rows<lanes, from_l2>(sums + first * stride, stride, part, epilogue);
    }
  });
}

}  // namespace detail

/// c = epilogue(sums), element by element. The columns and rows of the stages are those of c.
///
/// @param sums      m x n, int32 or float as the epilogue requires
/// @param c         m x n of what the epilogue returns; must not overlap sums
/// @param executor  runs pieces of about 65536 numbers; results do not depend on it
///
/// Above arch::streaming_bytes, stores bypass the caches if the rows of c start on cache lines.
template <class Sums, class C, class E, Executor Ex = inline_executor>
  requires RowMajorDense<Sums, scalar_of<Sums>> && ProductInto<C, E, scalar_of<Sums>>
void apply_epilogue(const Sums& sums, C&& c, const E& epilogue, const Ex& executor = {}) noexcept {
  assert(sums.rows() == c.rows() && sums.cols() == c.cols());
  const output_rectangle<scalar_of<C>> to{c.data(), c.outerStride(), 0, 0, c.rows(), c.cols()};
  detail::apply_epilogue(sums.data(), sums.outerStride(), to, epilogue, arch::streaming_bytes,
                         executor);
}

}}}  // namespace fewbit::gemm

#include "fewbit/end.hpp"
