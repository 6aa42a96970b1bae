#pragma once
/// Long arrays in pieces, and their checks: private to quantize_array, dequantize_array and
/// quantize_rows.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <limits>

#include "fewbit/arch/memory.hpp"
#include "fewbit/arch/streaming_store.hpp"
#include "fewbit/core/error.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/quant/params.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// A code of one byte.
template <class T>
concept ByteCode = std::is_same_v<T, std::int8_t> || std::is_same_v<T, std::uint8_t>;

namespace detail {

/// Numbers in one piece of work.
inline constexpr index array_piece = index{1} << 16;

/// Bytes of one number: 4 as a float and 1 as a code.
inline constexpr index bytes_per_number = 5;

/// Calls work(from, n, to), or work.stream(from, n, to) if `streaming`, for each piece.
template <class Work, class In, class Out, class E>
void run_by_pieces(const Work& work, const In* from, index n, Out* to, bool streaming,
                   const E& executor) noexcept {
  executor.for_each((n + array_piece - 1) / array_piece, [=](index i) {
    const index first = i * array_piece, count = std::min(array_piece, n - first);
    if (streaming) {
      work.stream(from + first, count, to + first);
    } else {
      work(from + first, count, to + first);
    }
  });
}

inline void expect_length(const char* function, const char* argument, index n) {
  expect(n >= 0, function, argument, n, "0 or more");
}

/// Fails if n > 0 and `pointer` is null.
inline void expect_numbers_at(const char* function, const char* argument, const void* pointer,
                              index n) {
  if (n > 0) expect_pointer(function, argument, pointer);
}

template <class Code>
void expect_valid_array(const char* function, const float* x, index n, const quant_params& params,
                        const Code* codes) {
  using limits = std::numeric_limits<Code>;
  expect_length(function, "n", n);
  expect_numbers_at(function, "x", x, n);
  expect_numbers_at(function, "codes", codes, n);
  expect_positive_scale(function, "params.scale", params.scale);
  expect_zero_point(function, "params.zero_point", params.zero_point, limits::min(), limits::max());
}

}  // namespace detail

}}  // namespace fewbit

#include "fewbit/end.hpp"
