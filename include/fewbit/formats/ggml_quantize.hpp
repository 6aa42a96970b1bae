#pragma once
/// Quantizes floats to blocks of ggml. The bytes equal those of ggml's own quantization. A mode
/// selects one of ggml's implementations.
///
///     block_matrix<q4_0> b = quantize_blocks<q4_0>(w);
///     block_matrix<q8_0> b = quantize_blocks<q8_0, ggml_x86>(w);
///
/// In a block, amax is max |x| and x* is the first x with |x| = amax. h(x) rounds to half
/// precision. The formulas use float arithmetic, and each operation rounds:
///
/// | block | d                | code                              |
/// |-------|------------------|-----------------------------------|
/// | q8_0  | amax / 127       | round(x id), ties by the mode     |
/// | q5_0  | x* / -16         | min(31, trunc(x id + 16.5))       |
/// | q4_0  | x* / -8          | min(15, trunc(x id + 8.5))        |
/// | q4_1  | (max - min) / 15 | min(15, trunc((x - min) id + .5)) |
///
/// The block stores h(d), and q4_1 also h(min). id is the reciprocal of d before d is rounded to a
/// half, or 0 if d is 0. If h(d) is 0, the decoded values are 0 (q4_1: min) for any codes. If
/// |d| <= 2^-128, id is infinite and ggml does not define the codes; this header sets id = 0.
///
/// | mode      | id in q8_0 | ties in q8_0 | the same bits as in ggml      |
/// |-----------|------------|--------------|-------------------------------|
/// | ggml_ref  | 1 / d      | away from 0  | portable code, used for files |
/// | ggml_x86  | 127 / amax | to even      | activations with AVX or AVX2  |
/// | ggml_neon | 1 / d      | to even      | activations with NEON         |
///
/// The modes differ only for q8_0. Source: ggml-quants.c of ggml and its versions for each
/// processor. Read next: ggml_blocks.hpp (layouts), ggml_weighted.hpp (scales fitted to inputs).

#include "fewbit/begin.hpp"

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>
#include <vector>

#include "fewbit/arch/convert.hpp"
#include "fewbit/arch/magnitude.hpp"
#include "fewbit/arch/transpose.hpp"
#include "fewbit/arch/vec.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/half.hpp"
#include "fewbit/core/rows.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/formats/ggml_blocks.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

/// The factor of x in q8_0. The caller replaces an infinite factor by 0.
struct one_over_d {
  template <class V>
  FEWBIT_ALWAYS_INLINE static V reciprocal(const V& /*amax*/, const V& d) noexcept {
    return V(1.0F) / d;
  }
};

struct ties_to_even {
  template <class V>
  FEWBIT_ALWAYS_INLINE static arch::rebind<V, std::int32_t> round(const V& x) noexcept {
    return arch::nearest_int(x);
  }
};

}  // namespace detail

/// The portable code of ggml: id = 1 / d, ties away from zero.
struct ggml_ref : detail::one_over_d {
  static constexpr const char* name = "ggml_ref";
  template <class V>
  FEWBIT_ALWAYS_INLINE static arch::rebind<V, std::int32_t> round(const V& x) noexcept {
    return arch::nearest_int_half_away(x);
  }
};

/// ggml on x86: id = 127 / amax, ties to even.
struct ggml_x86 : detail::ties_to_even {
  static constexpr const char* name = "ggml_x86";
  template <class V>
  FEWBIT_ALWAYS_INLINE static V reciprocal(const V& amax, const V& /*d*/) noexcept {
    return V(127.0F) / amax;
  }
};

/// ggml on NEON: id = 1 / d, ties to even.
struct ggml_neon : detail::one_over_d, detail::ties_to_even {
  static constexpr const char* name = "ggml_neon";
};

template <class T>
concept GgmlMode =
    std::same_as<T, ggml_ref> || std::same_as<T, ggml_x86> || std::same_as<T, ggml_neon>;

namespace detail {

/// x, or 0 if x is infinite or NaN.
template <class V>
FEWBIT_ALWAYS_INLINE V finite_or_zero(const V& x) noexcept {
  using ints = arch::rebind<V, std::int32_t>;
  const ints size = arch::bits_as<std::int32_t>(x) & ints(0x7FFFFFFF);
  return arch::select(size < ints(0x7F800000), x, V(0.0F));
}

/// min(last, trunc(x id + offset)). Not negative for finite x.
FEWBIT_ALWAYS_INLINE std::int8_t offset_code(float x, float id, float offset, int last) noexcept {
  const float moved = arch::rounded(x * id) + offset;
  return static_cast<std::int8_t>(moved < static_cast<float>(last) ? static_cast<int>(moved)
                                                                   : last);
}

/// The first x with the largest magnitude.
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
    b.qs[j] = static_cast<std::int8_t>(Mode::round(x[j] * id));
  }
}

/// Quantizes with codes offset by `Zero`. The scale maps the x of the largest magnitude to code 0.
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

/// The block that quantization makes of 32 zeros.
template <GgmlBlock B>
[[nodiscard]] B block_of_zeros() noexcept {
  const float zeros[ggml_block_size] = {};
  B b;
  quantize_block<ggml_ref>(zeros, b);
  return b;
}

using block_floats = arch::vec<float, arch::native_lanes<float>>;
using block_ints = arch::rebind<block_floats, std::int32_t>;

/// Number of blocks whose scales are computed together, one in each lane of a register.
inline constexpr int block_lanes = block_floats::lanes;

/// Largest number of blocks in a batch. A batch computes all its scales, then all its codes. Within
/// it, the divisions for some blocks overlap the search for the largest magnitudes of the next.
inline constexpr int most_blocks = 8 * block_lanes;

/// Scales of a batch, computed before the codes.
struct block_scales {
  float id[most_blocks];
  std::uint16_t d[most_blocks];

  void set(int first, const block_floats& scale, const block_floats& reciprocal) noexcept {
    finite_or_zero(reciprocal).store(id + first);
    to_half(scale).store(d + first);
  }
};

/// Lane b: the largest magnitude in block b.
FEWBIT_ALWAYS_INLINE block_floats amax_of_blocks(const float* x) noexcept {
  block_floats largest[block_lanes];
#pragma GCC unroll 16
  for (int b = 0; b < block_lanes; ++b) {
    largest[b] = block_floats(0.0F);
#pragma GCC unroll 8
    for (int j = 0; j < int{ggml_block_size}; j += block_lanes) {
      const auto next = block_floats::load(x + b * int{ggml_block_size} + j);
      largest[b] = arch::larger_magnitude(largest[b], next);
    }
  }
  return arch::fold_rows(
      largest, [](const block_floats& a, const block_floats& b) { return arch::max(a, b); });
}

/// Lane b: the first x with the largest magnitude in block b.
FEWBIT_ALWAYS_INLINE block_floats first_largest_of_blocks(const float* x) noexcept {
  block_floats lows[block_lanes], highs[block_lanes];
#pragma GCC unroll 16
  for (int b = 0; b < block_lanes; ++b) {
    lows[b] = highs[b] = block_floats::load(x + b * int{ggml_block_size});
#pragma GCC unroll 8
    for (int j = block_lanes; j < int{ggml_block_size}; j += block_lanes) {
      const auto next = block_floats::load(x + b * int{ggml_block_size} + j);
      lows[b] = arch::min(lows[b], next);
      highs[b] = arch::max(highs[b], next);
    }
  }
  const auto smaller = [](const block_floats& a, const block_floats& b) { return arch::min(a, b); };
  const auto larger = [](const block_floats& a, const block_floats& b) { return arch::max(a, b); };
  const block_floats low = arch::fold_rows(lows, smaller);
  const block_floats high = arch::fold_rows(highs, larger);
  const block_floats below = block_floats(0.0F) - low;
  block_floats largest = arch::select(below < high, high, low);
  const block_ints is_tie = below == high;
  if (arch::sum_of_lanes(is_tie) != 0) {
    for (int b = 0; b < block_lanes; ++b) {
      if (is_tie[b] != 0) largest.set(b, first_largest(x + b * int{ggml_block_size}));
    }
  }
  return largest;
}

/// Stores N consecutive codes. The first one is number `first_code`, counted over all blocks.
template <int N>
FEWBIT_ALWAYS_INLINE void store_codes(const arch::vec<std::int8_t, N>& codes, q8_0* blocks,
                                      int first_code) noexcept {
  if constexpr (N == 64) {
    arch::part<0, 32>(codes).store(blocks[first_code / 32].qs);
    arch::part<1, 32>(codes).store(blocks[first_code / 32 + 1].qs);
  } else {
    codes.store(blocks[first_code / 32].qs + first_code % 32);
  }
}

template <GgmlMode Mode>
FEWBIT_ALWAYS_INLINE void find_scales(const float* x, const q8_0* /*blocks*/, int first,
                                      block_scales& scales) noexcept {
  const block_floats amax = amax_of_blocks(x);
  const block_floats d = amax / block_floats(127.0F);
  scales.set(first, d, Mode::reciprocal(amax, d));
}

template <GgmlMode Mode>
FEWBIT_ALWAYS_INLINE void find_scales(const float* x, const q4_0* /*blocks*/, int first,
                                      block_scales& scales) noexcept {
  const block_floats d = first_largest_of_blocks(x) / block_floats(-8.0F);
  scales.set(first, d, block_floats(1.0F) / d);
}

/// Codes of `count` blocks of q8_0. Each step makes four registers of codes.
template <GgmlMode Mode>
void write_codes(const float* x, int count, const float* id, q8_0* blocks) noexcept {
  for (int first = 0; first < count * int{ggml_block_size}; first += 4 * block_lanes) {
    block_ints codes[4];
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      const int at = first + v * block_lanes;
      const block_floats scaled = block_floats::load(x + at) * block_floats(id[at / 32]);
      codes[v] = Mode::round(scaled);
    }
    store_codes(arch::saturated<std::int8_t>(codes, 0), blocks, first);
  }
}

/// Codes of q4_0, each in an int32 lane.
FEWBIT_ALWAYS_INLINE block_ints offset_codes(const float* x, const block_floats& id) noexcept {
  const block_floats moved =
      arch::rounded(block_floats(block_floats::load(x) * id)) + block_floats(8.5F);
  return arch::convert<std::int32_t>(arch::min(moved, block_floats(15.0F)));
}

/// Codes of `count` blocks of q4_0. Each step makes four registers of low codes and four of high
/// codes.
template <GgmlMode Mode>
void write_codes(const float* x, int count, const float* id, q4_0* blocks) noexcept {
  constexpr int half = int{ggml_block_size} / 2;
  for (int first = 0; first < count * half; first += 4 * block_lanes) {
    block_ints codes[4];
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      const int at = first + v * block_lanes, b = at / half;
      const float* low = x + b * int{ggml_block_size} + at % half;
      const block_floats scale(id[b]);
      codes[v] = offset_codes(low, scale) | offset_codes(low + half, scale) << block_ints(4);
    }
    std::uint8_t bytes[4 * block_lanes];
    arch::saturated<std::uint8_t>(codes, 0).store(bytes);
#pragma GCC unroll 4
    for (int b = 0; b < block_lanes / 4; ++b) {
      std::memcpy(blocks[first / half + b].qs, bytes + b * half, half);
    }
  }
}

/// Quantizes `count` blocks as one batch. `count` is in [block_lanes, most_blocks].
template <GgmlMode Mode, class B>
void quantize_blocks_at_once(const float* x, int count, B* blocks) noexcept {
  block_scales scales;
  int found = 0;
  do {
    find_scales<Mode>(x + found * int{ggml_block_size}, blocks, found, scales);
    found += block_lanes;
  } while (found < count);
  write_codes<Mode>(x, count, scales.id, blocks);
  for (int b = 0; b < count; ++b) write_half(scales.d[b], blocks[b].d);
}

/// Fails if the d or m of a block is not a finite half. The error names the weight that caused it:
/// the one with the largest magnitude for d, the smallest one for m.
template <GgmlBlock B>
void expect_finite_blocks(const char* function, const matrix_ref& w, const std::vector<B>& blocks) {
  const index per_row = w.cols() / ggml_block_size;
  for (index i = 0; i < static_cast<index>(blocks.size()); ++i) {
    const B& block = blocks[static_cast<std::size_t>(i)];
    const index r = i / per_row, first = i % per_row * ggml_block_size;
    const float* x = row_of(w, r) + first;
    const auto blame = [&](const auto& precedes, const char* want) {
      const index at = std::max_element(x, x + ggml_block_size, precedes) - x;
      fail(function, element("w", r, first + at), x[at], want);
    };
    if constexpr (B::has_minimum) {
      if (!is_finite(read_half(block.m))) {
        blame([](float a, float b) { return b < a; }, "a number within half precision, 65504");
      }
    }
    if (is_finite(read_half(block.d))) continue;
    blame([](float a, float b) { return std::fabs(a) < std::fabs(b); },
          "a number whose block has a d within half precision, 65504");
  }
}

template <class B>
inline constexpr bool has_batches = std::is_same_v<B, q8_0> || std::is_same_v<B, q4_0>;

}  // namespace detail

/// Quantizes 32 * count floats to blocks without checks. The floats must be finite: the codes of
/// other floats are meaningless. A d above the range of halves becomes infinite, as in ggml.
template <GgmlBlock B, GgmlMode Mode = ggml_ref>
void quantize_row(const float* x, index count, B* blocks) noexcept {
  const index in_batches = detail::has_batches<B> ? count - count % detail::block_lanes : 0;
  if constexpr (detail::has_batches<B>) {
    for (index b = 0; b < in_batches; b += detail::most_blocks) {
      const index next = std::min(index{detail::most_blocks}, in_batches - b);
      detail::quantize_blocks_at_once<Mode>(x + b * ggml_block_size, static_cast<int>(next),
                                            blocks + b);
    }
  }
  for (index b = in_batches; b < count; ++b) {
    detail::quantize_block<Mode>(x + b * ggml_block_size, blocks[b]);
  }
}

/// Quantizes a matrix. The number of columns must be a multiple of 32.
///
/// @throws fewbit::error if `w` is empty or not finite, if the number of columns is not a multiple
///         of 32, or if a d or m is above the range of halves (magnitude 65520 or more); the error
///         names the weight that caused it
template <GgmlBlock B, GgmlMode Mode = ggml_ref, Executor E = inline_executor>
[[nodiscard]] block_matrix<B> quantize_blocks(const Eigen::Ref<const row_matrix<float>>& w,
                                              const E& executor = {}) {
  detail::expect_finite("quantize_blocks", "w", w);
  detail::expect_whole_blocks("quantize_blocks", w.cols());
  const index per_row = w.cols() / ggml_block_size;
  std::vector<B> blocks(static_cast<std::size_t>(w.rows() * per_row));
  executor.for_each(w.rows(), [&](index r) {
    quantize_row<B, Mode>(detail::row_of(w, r), per_row, blocks.data() + r * per_row);
  });
  detail::expect_finite_blocks<B>("quantize_blocks", w, blocks);
  return block_matrix<B>(w.rows(), w.cols(), std::move(blocks));
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
