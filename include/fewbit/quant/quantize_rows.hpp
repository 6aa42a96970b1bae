#pragma once
/// Rows of floats to 8-bit codes, each row with its own scale.
///
///     quantize_rows(x, rows, cols, codes, scales, sums);
///
/// Read before: arrays.hpp (what all functions of arrays share).

#include "fewbit/begin.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>

#include "fewbit/arch/byte_sums.hpp"
#include "fewbit/arch/convert.hpp"
#include "fewbit/arch/magnitude.hpp"
#include "fewbit/arch/streaming_store.hpp"
#include "fewbit/arch/vec.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/finite.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/quant/array_pieces.hpp"
#include "fewbit/quant/row_quantizer.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// The scale of a row and the sum of its codes.
struct row_result {
  float scale;
  std::int32_t sum;
};

/// Codes of one row, under the scale of that row. Values may be non-finite.
inline row_result encode_dynamic(const float* x, index n, std::int8_t* codes) noexcept {
  const float scale = dynamic_scale(finite_amax(x, n));
  row_quantizer<std::int8_t>({scale, 0}, -127, 127)(x, n, codes);
  return {scale, arch::sum_of_bytes(codes, n)};
}

/// A running max|x|, one register of codes at a time. The result is meaningless if there is a NaN.
class magnitude_look {
 public:
  FEWBIT_ALWAYS_INLINE void see(const float* x) noexcept {
    a_ = arch::larger_magnitude(a_, reals::load(x));
    b_ = arch::larger_magnitude(b_, reals::load(x + reals::lanes));
    c_ = arch::larger_magnitude(c_, reals::load(x + 2 * reals::lanes));
    d_ = arch::larger_magnitude(d_, reals::load(x + 3 * reals::lanes));
  }

  [[nodiscard]] FEWBIT_ALWAYS_INLINE float largest() const noexcept {
    const reals two =
        arch::larger_magnitude(arch::larger_magnitude(a_, b_), arch::larger_magnitude(c_, d_));
    return std::bit_cast<float>(arch::max_of_lanes(arch::bits_as<std::int32_t>(two)));
  }

 private:
  reals a_ = reals(0.0F), b_ = reals(0.0F), c_ = reals(0.0F), d_ = reals(0.0F);
};

[[nodiscard]] inline float rough_amax(const float* x, index n) noexcept {
  magnitude_look look;
  for (index i = 0; i + code_lanes <= n; i += code_lanes) look.see(x + i);
  look.see(x + last_begin(n));
  return look.largest();
}

/// Codes of rows, each under its own scale. While one row is encoded, the maximum of a later row is
/// computed: encoding is limited by the execution ports, the maximum by the caches. Rows have at
/// least one register of codes, and three of them fit L1.
template <class Store>
class row_pipeline {
 public:
  row_pipeline(const float* x, index stride, index cols) noexcept
      : x_(x), stride_(stride), cols_(cols) {}

  /// Calls take(r, row_result) for each row r, in order. Returns false if a value is not finite;
  /// the caller must then encode all rows again.
  template <class Take>
  [[nodiscard]] bool run(index rows, std::int8_t* codes, const Take& take) noexcept {
    // Two divisions follow the maximum of a row before its codes can start, so the maximum is
    // computed two rows ahead.
    float amax = rough_amax(x_, cols_);
    float next_amax = rows > 1 ? rough_amax(x_ + stride_, cols_) : 0.0F;
    bool finite = true;
    for (index r = 0; r < rows; ++r) {
      const float* row = x_ + r * stride_;
      const float scale = dynamic_scale(amax);
      finite &= std::bit_cast<std::int32_t>(amax) < infinity_bits;
      amax = next_amax;
      std::int8_t* to = codes + r * cols_;
      take(r, {scale, r + 2 < rows ? encode<true>(row, row + 2 * stride_, scale, to, next_amax)
                                   : encode<false>(row, row, scale, to, next_amax)});
    }
    return finite && arch::max_of_lanes(codes_type(codes_type(std::int8_t{-1}) - least_)) < 127;
  }

 private:
  using codes_type = codes_register<std::int8_t>;

  FEWBIT_ALWAYS_INLINE static codes_type codes_of(const float* x, const reals& inverse) noexcept {
    return four_to_codes(
        x, [&](const reals& v) { return v * inverse; },
        [](const auto& values) {
          return arch::narrowed<std::int8_t>(values, [](const auto& v) { return v; });
        });
  }

  /// Writes the codes of x and returns their sum. No quotient of finite numbers reaches 127.5, so
  /// codes need no clamp. A NaN becomes -128, or makes the scale infinite or NaN.
  template <bool Looks>
  FEWBIT_ALWAYS_INLINE std::int32_t encode(const float* x, const float* ahead, float scale,
                                           std::int8_t* codes, float& amax_ahead) noexcept {
    const reals inverse(1.0F / scale);
    const index cols = cols_;  // a local: stores of codes may alias the member
    arch::vec<std::int32_t, int{code_lanes / 4}> sums(0);
    codes_type least = least_;
    magnitude_look look;
    index i = 0;
    for (; i + code_lanes <= cols; i += code_lanes) {
      if constexpr (Looks) {
        prefetch_ahead(ahead + i);
        look.see(ahead + i);
      }
      const codes_type four = codes_of(x + i, inverse);
      sums = arch::add_fours(sums, four);
      least = arch::min(least, four);
      Store::put(codes + i, four);
    }
    if (i < cols) {
      const index last = last_begin(cols);
      if constexpr (Looks) look.see(ahead + last);
      const codes_type four = codes_of(x + last, inverse);
      sums = arch::add_fours(sums, last_lanes<std::int8_t>(four, cols - i));
      least = arch::min(least, four);
      four.store(codes + last);
    }
    least_ = least;
    if constexpr (Looks) amax_ahead = look.largest();
    return arch::sum_of_lanes(sums);
  }

  const float* x_;
  index stride_;
  index cols_;
  codes_type least_ = codes_type(0);
};

/// The longest row for row_pipeline: three such rows of floats fit L1.
inline constexpr index pipeline_cols = 3072;

template <class Store>
void quantize_some_rows(const float* x, index rows, index cols, std::int8_t* codes, float* scales,
                        std::int32_t* sums) noexcept {
  const auto take = [=](index r, const row_result& result) {
    scales[r] = result.scale;
    if (sums != nullptr) sums[r] = result.sum;
  };
  if (cols >= code_lanes && cols <= pipeline_cols) {
    if (row_pipeline<Store>(x, cols, cols).run(rows, codes, take)) return;
  }
  for (index r = 0; r < rows; ++r) take(r, encode_dynamic(x + r * cols, cols, codes + r * cols));
}

template <class E>
void quantize_rows(const float* x, index rows, index cols, std::int8_t* codes, float* scales,
                   std::int32_t* sums, bool streaming, const E& executor) noexcept {
  const bool is_aligned =
      reinterpret_cast<std::uintptr_t>(codes) % code_lanes == 0 && cols % code_lanes == 0;
  const index at_once = std::max(index{1}, array_piece / std::max(index{1}, cols));
  executor.for_each((rows + at_once - 1) / at_once, [=](index i) {
    const index first = i * at_once, count = std::min(at_once, rows - first);
    const auto work = [&](auto store) {
      quantize_some_rows<decltype(store)>(x + first * cols, count, cols, codes + first * cols,
                                          scales + first, sums == nullptr ? sums : sums + first);
    };
    if (streaming && is_aligned) {
      work(arch::past_caches{});
      arch::end_streaming();
    } else {
      work(arch::plain_store{});
    }
  });
}

}  // namespace detail

/// Quantizes each row under its own symmetric scale, as linear<S, dynamic_int8> does with its
/// inputs.
///
/// @param x         rows x cols floats, row after row
/// @param codes     rows x cols codes in [-127, 127]
/// @param scales    one for each row: max|x| / 127 of its finite values, at least 2^-126; 1 if all
///                  are 0
/// @param sums      one for each row: the sum of its codes, which a product with affine weights
///                  needs; or nullptr
/// @param executor  runs pieces of about 65536 numbers
/// @throws fewbit::error if rows or cols is negative, or if a pointer other than `sums` is null and
///         there are numbers
///
/// Near the largest float, the scale of a row is one float less, so that code * scale is finite.
template <Executor E = inline_executor>
void quantize_rows(const float* x, index rows, index cols, std::int8_t* codes, float* scales,
                   std::int32_t* sums, const E& executor = {}) {
  constexpr const char* function = "quantize_rows";
  detail::expect_length(function, "rows", rows);
  detail::expect_length(function, "cols", cols);
  detail::expect_numbers_at(function, "x", x, rows > 0 ? cols : 0);
  detail::expect_numbers_at(function, "codes", codes, rows > 0 ? cols : 0);
  detail::expect_numbers_at(function, "scales", scales, rows);
  const bool streaming = rows * cols >= arch::streaming_bytes / detail::bytes_per_number;
  detail::quantize_rows(x, rows, cols, codes, scales, sums, streaming, executor);
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
