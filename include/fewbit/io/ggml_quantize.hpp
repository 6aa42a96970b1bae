#pragma once
/// Floats to blocks of ggml, bit for bit as one of its implementations makes them.
///
///     block_matrix<q4_0> b = quantize_blocks<q4_0>(w);
///     block_matrix<q8_0> b = quantize_blocks<q8_0, ggml_x86>(w);
///
/// amax = max |x| of a block, x* the first x of that magnitude; h rounds to half precision; in float
/// arithmetic, one operation after the other:
///
/// | block | d                | code                             |
/// |-------|------------------|----------------------------------|
/// | q8_0  | amax / 127       | round(x id), as the mode says    |
/// | q5_0  | x* / -16         | min(31, trunc(x id + 16.5))      |
/// | q4_0  | x* / -8          | min(15, trunc(x id + 8.5))       |
/// | q4_1  | (max - min) / 15 | min(15, trunc((x - min) id + .5)) |
///
/// The block keeps h(d), and q4_1 h(min), but id is the reciprocal of d itself, 0 if d is 0. So the
/// codes of a block whose d rounds to 0 may be other than 0. ggml leaves open what becomes of codes
/// where 1 / d is infinite, |d| < 2^-128: here id is 0 there too.
///
/// | mode      | id in q8_0           | ties in q8_0 | stands for                      |
/// |-----------|----------------------|--------------|---------------------------------|
/// | ggml_ref  | 1 / d                | away from 0  | the reference, used for files   |
/// | ggml_x86  | 127 / amax           | to even      | activations with AVX or AVX2    |
/// | ggml_neon | 1 / d                | to even      | activations with NEON           |
///
/// In the other blocks the modes agree. Source: ggml-quants.c of ggml and its variants for
/// processors.

#include <cassert>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "fewbit/arch/vec.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/io/ggml_blocks.hpp"
#include "fewbit/io/half.hpp"
#include "fewbit/quant/quantize.hpp"
#include "fewbit/quant/rounding.hpp"

namespace fewbit::inline FEWBIT_ARCH_NAMESPACE {

struct ggml_ref {
  static constexpr const char* name = "ggml_ref";
  using rounding = half_away;
  /// What codes of q8_0 are multiplied by, before an infinite or meaningless one becomes 0.
  template <class V>
  FEWBIT_ALWAYS_INLINE static V reciprocal(const V& /*amax*/, const V& d) noexcept {
    return V(1.0F) / d;
  }
};

struct ggml_x86 {
  static constexpr const char* name = "ggml_x86";
  using rounding = nearest_even;
  template <class V>
  FEWBIT_ALWAYS_INLINE static V reciprocal(const V& amax, const V& /*d*/) noexcept {
    return V(127.0F) / amax;
  }
};

struct ggml_neon {
  static constexpr const char* name = "ggml_neon";
  using rounding = nearest_even;
  template <class V>
  FEWBIT_ALWAYS_INLINE static V reciprocal(const V& /*amax*/, const V& d) noexcept {
    return V(1.0F) / d;
  }
};

template <class T>
concept GgmlMode =
    std::same_as<T, ggml_ref> || std::same_as<T, ggml_x86> || std::same_as<T, ggml_neon>;

namespace detail {

/// 0 in place of an infinity.
template <class V>
FEWBIT_ALWAYS_INLINE V finite_or_zero(const V& x) noexcept {
  using ints = arch::rebind<V, std::int32_t>;
  const ints size = arch::bits_as<std::int32_t>(x) & ints(0x7FFFFFFF);
  return arch::select(size < ints(0x7F800000), x, V(0.0F));
}

/// trunc(x id + offset) at most `last`; for finite x it is never negative.
FEWBIT_ALWAYS_INLINE std::int8_t offset_code(float x, float id, float offset, int last) noexcept {
  const float moved = arch::rounded(x * id) + offset;
  return static_cast<std::int8_t>(moved < static_cast<float>(last) ? static_cast<int>(moved)
                                                                   : last);
}

/// The first x of the largest magnitude.
inline float first_largest(const float* x) noexcept {
  float amax = 0.0F;
  float largest = 0.0F;
  for (index j = 0; j < ggml_block_size; ++j) {
    const float size = std::fabs(x[j]);
    largest = amax < size ? x[j] : largest;
    amax = amax < size ? size : amax;
  }
  return largest;
}

template <GgmlMode Mode>
void quantize_block(const float* x, q8_0& b) noexcept {
  const float amax = std::fabs(first_largest(x));
  const float d = amax / 127.0F;
  const float id = finite_or_zero(Mode::reciprocal(amax, d));
  write_half(to_half(d), b.d);
  for (index j = 0; j < ggml_block_size; ++j) {
    b.qs[j] = static_cast<std::int8_t>(Mode::rounding::round(x[j] * id));
  }
}

/// Blocks whose codes are moved by `Zero` and whose scale takes the largest x to code 0.
template <int Zero, class B>
void quantize_signed_block(const float* x, B& b) noexcept {
  const float d = first_largest(x) / static_cast<float>(-Zero);
  const float id = finite_or_zero(1.0F / d);
  write_half(to_half(d), b.d);
  block_codes codes;
  for (index j = 0; j < ggml_block_size; ++j) {
    codes[static_cast<std::size_t>(j)] =
        offset_code(x[j], id, static_cast<float>(Zero) + 0.5F, 2 * Zero - 1);
  }
  pack_block(codes, b);
}

template <GgmlMode Mode>
void quantize_block(const float* x, q5_0& b) noexcept {
  quantize_signed_block<16>(x, b);
}

template <GgmlMode Mode>
void quantize_block(const float* x, q4_0& b) noexcept {
  quantize_signed_block<8>(x, b);
}

template <GgmlMode Mode>
void quantize_block(const float* x, q4_1& b) noexcept {
  float lo = x[0];
  float hi = x[0];
  for (index j = 1; j < ggml_block_size; ++j) {
    lo = x[j] < lo ? x[j] : lo;
    hi = x[j] > hi ? x[j] : hi;
  }
  const float d = (hi - lo) / 15.0F;
  const float id = finite_or_zero(1.0F / d);
  write_half(to_half(d), b.d);
  write_half(to_half(lo), b.m);
  block_codes codes;
  for (index j = 0; j < ggml_block_size; ++j) {
    codes[static_cast<std::size_t>(j)] = offset_code(x[j] - lo, id, 0.5F, 15);
  }
  pack_block(codes, b);
}

}  // namespace detail

/// Quantizes 32 * count finite floats to blocks, without a check: a d beyond half precision becomes
/// infinite as in ggml, and NaNs and infinities give some block.
template <GgmlBlock B, GgmlMode Mode = ggml_ref>
void quantize_row(const float* x, index count, B* blocks) noexcept {
  for (index b = 0; b < count; ++b) {
    detail::quantize_block<Mode>(x + b * ggml_block_size, blocks[b]);
  }
}

/// Quantizes a matrix of whole blocks.
///
/// @throws fewbit::error if `w` is empty or not finite, if its columns are no multiple of 32, or if
///         a d or m is beyond half precision (from 65520 on)
template <GgmlBlock B, GgmlMode Mode = ggml_ref, Executor E = inline_executor>
[[nodiscard]] block_matrix<B> quantize_blocks(const Eigen::Ref<const row_matrix<float>>& w,
                                              const E& executor = {}) {
  detail::expect_finite("quantize_blocks", "w", w);
  if (w.cols() % ggml_block_size != 0) {
    detail::fail("quantize_blocks", "number of columns", w.cols(), "a multiple of 32");
  }
  const index per_row = w.cols() / ggml_block_size;
  std::vector<B> blocks(static_cast<std::size_t>(w.rows() * per_row));
  executor.for_each(w.rows(), [&](index r) {
    quantize_row<B, Mode>(detail::row_of(w, r), per_row, blocks.data() + r * per_row);
  });
  return block_matrix<B>(w.rows(), w.cols(), std::move(blocks));
}

}  // namespace fewbit::inline FEWBIT_ARCH_NAMESPACE
