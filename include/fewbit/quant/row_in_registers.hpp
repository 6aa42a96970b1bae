#pragma once
/// One row of floats to 8-bit codes, for operators that are called row by row.
///
///     const float scale = encode_dynamic_row(x, n, codes);     // scale = max|x| / 127
///     encode_static_row(x, n, params, codes);
///
/// A row of up to 64 floats stays in registers between its largest magnitude and its codes: it is
/// read once, by straight code without loops. Rows of more than two registers are read as two parts
/// of whole registers, one at each end, which may overlap. Both functions are real functions, so a
/// program contains each once, and its callers have all registers for the product. Time of the
/// quantization is latency: two divisions, one reduction of a register, one store that the product
/// reads back. Read before: quant/row_quantizer.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "fewbit/arch/convert.hpp"
#include "fewbit/arch/magnitude.hpp"
#include "fewbit/arch/partial.hpp"
#include "fewbit/arch/vec.hpp"
#include "fewbit/core/finite.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/quant/params.hpp"
#include "fewbit/quant/row_quantizer.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace detail {

/// Number of floats of the longest row that stays in registers; 0 where registers are narrow.
inline constexpr index short_row = reals::lanes >= 8 ? 64 : 0;

/// All floats of a row of at most two registers, then zeros; or, of a longer row of at most R
/// registers and at least R / 2, the first and the last R / 2 registers.
template <int R>
FEWBIT_ALWAYS_INLINE void load_row(const float* x, index n, reals (&row)[R]) noexcept {
  constexpr index lanes = reals::lanes;
  if constexpr (R == 2) {
    const index first = std::min(n, lanes);
    row[0] = arch::load_first<reals>(x, static_cast<int>(first));
    row[1] = arch::load_first<reals>(x + first, static_cast<int>(n - first));
  } else {
#pragma GCC unroll 4
    for (int i = 0; i < R / 2; ++i) {
      row[i] = reals::load(x + i * lanes);
      row[R / 2 + i] = reals::load(x + n - (R / 2 - i) * lanes);
    }
  }
}

/// Writes the codes of registers that load_row has loaded, and fills the last register of codes
/// with the code of 0. scaled(v) is rounded to int32, which narrow(int16) makes codes.
template <class Code, int R, class Scaled, class Narrow>
FEWBIT_ALWAYS_INLINE void store_row(const reals (&row)[R], index n, const Scaled& scaled,
                                    const Narrow& narrow, Code* codes) noexcept {
  using ints = arch::rebind<reals, std::int32_t>;
  const auto four = [&](int first) {
    ints values[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i)
      values[i] =
          first + i < R ? arch::nearest_int(scaled(row[std::min(first + i, R - 1)])) : ints(0);
    return arch::narrowed<Code>(values, narrow);
  };
  if constexpr (R == 2) {
    four(0).store(codes);
  } else {
    constexpr index part = R / 2 * reals::lanes;
    const ints zeros[4] = {ints(0), ints(0), ints(0), ints(0)};
    arch::narrowed<Code>(zeros, narrow).store(codes + (n - 1) / code_lanes * code_lanes);
    if constexpr (R == 4) {
      const auto both = four(0);
      arch::part<0, int{part}>(both).store(codes);
      arch::part<1, int{part}>(both).store(codes + n - part);
    } else {
      static_assert(R == 8);
      four(0).store(codes);
      four(4).store(codes + n - part);
    }
  }
}

/// The longest rows for which load_row reads 2 and 4 registers. Longer ones take 8.
inline constexpr index two_registers = 2 * reals::lanes, four_registers = 4 * reals::lanes;

/// The zero point of codes of magnitudes up to 127: 0, or 128 for unsigned codes.
template <class Code>
inline constexpr int middle_code = std::is_signed_v<Code> ? 0 : 128;

/// encode_dynamic_row for rows that are long or not finite.
template <class Code>
[[gnu::noinline]] float encode_any_dynamic_row(const float* x, index n, Code* codes) noexcept {
  constexpr int zero = middle_code<Code>;
  const largest_of_row largest = largest_of(x, n);
  const float scale = dynamic_scale(largest.amax);
  row_quantizer<Code>({scale, zero}, zero - 127, zero + 127)
      .to_whole_registers(x, n, codes, largest.is_finite);
  return scale;
}

/// Whether dynamic_scale of a largest magnitude, given by its bits, is the quotient by 127: the
/// magnitude is 2^-119 to 2^127.
[[nodiscard]] FEWBIT_ALWAYS_INLINE bool has_usual_scale(std::int32_t bits) noexcept {
  constexpr std::uint32_t least = 8U << 23U, largest = 254U << 23U;
  return static_cast<std::uint32_t>(bits) - least <= largest - least;
}

/// encode_dynamic_row for R registers.
template <int R, class Code>
FEWBIT_ALWAYS_INLINE float encode_dynamic_registers(const float* x, index n, Code* codes) noexcept {
  using half = arch::vec<std::int16_t, 2 * reals::lanes>;
  reals row[R];
  load_row(x, n, row);
  auto largest = arch::magnitude_bits(row[0]);
#pragma GCC unroll 8
  for (int i = 1; i < R; ++i) largest = arch::max(largest, arch::magnitude_bits(row[i]));
  const auto most = arch::largest_first(largest);
  float scale = arch::bits_as<float>(most)[0] / 127.0F;
  if (!has_usual_scale(most[0])) [[unlikely]] {
    if (most[0] >= infinity_bits) return encode_any_dynamic_row(x, n, codes);
    scale = dynamic_scale(std::bit_cast<float>(most[0]));
  }
  // |x| / scale < 127.5, so no code leaves its range.
  const reals inverse(1.0F / scale);
  store_row(
      row, n, [&](const reals& v) { return v * inverse; },
      [](const half& v) {
        if constexpr (middle_code<Code> == 0) return v;
        return v + half(std::int16_t{middle_code<Code>});
      },
      codes);
  return scale;
}

/// Codes of one row under the scale dynamic_scale(max|x|), which is returned: codes[i] =
/// clamp(rne(x[i] * (1 / scale)), -127, 127), plus 128 if codes are unsigned. Infinities and NaN are
/// as in row_quantizer. `codes` has room for whole registers; the last one is filled with the code
/// of 0.
template <class Code>
[[gnu::noinline]] float encode_dynamic_row(const float* x, index n, Code* codes) noexcept {
  if (n > short_row) return encode_any_dynamic_row(x, n, codes);
  if (n <= two_registers) return encode_dynamic_registers<2>(x, n, codes);
  if constexpr (four_registers < short_row) {
    if (n > four_registers) return encode_dynamic_registers<8>(x, n, codes);
  }
  return encode_dynamic_registers<4>(x, n, codes);
}

/// encode_static_row for R registers.
template <int R, class Code>
FEWBIT_ALWAYS_INLINE void encode_static_registers(const float* x, index n,
                                                  const row_quantizer<Code>& to_codes,
                                                  Code* codes) noexcept {
  using half = arch::vec<std::int16_t, 2 * reals::lanes>;
  const reals inverse(to_codes.inverse_scale), lowest(to_codes.lowest), highest(to_codes.highest);
  const half zero(static_cast<std::int16_t>(to_codes.zero_point));
  reals row[R];
  load_row(x, n, row);
  store_row(
      row, n,
      [&](const reals& v) { return arch::clamp(reals(without_nan(v) * inverse), lowest, highest); },
      [&](const half& v) { return v + zero; }, codes);
}

/// encode_static_row for long rows.
template <class Code>
[[gnu::noinline]] void encode_long_static_row(const float* x, index n, const quant_params& params,
                                              Code* codes) noexcept {
  using limits = std::numeric_limits<Code>;
  row_quantizer<Code>(params, limits::min(), limits::max()).to_whole_registers(x, n, codes, false);
}

/// Codes of one row under `params`: codes[i] = rne(x[i] * (1 / scale)) + zero_point, saturated to
/// all codes. The rest is as in encode_dynamic_row.
template <class Code>
[[gnu::noinline]] void encode_static_row(const float* x, index n, const quant_params& params,
                                         Code* codes) noexcept {
  using limits = std::numeric_limits<Code>;
  if (n > short_row) return encode_long_static_row(x, n, params, codes);
  const row_quantizer<Code> to_codes(params, limits::min(), limits::max());
  if (n <= two_registers) return encode_static_registers<2>(x, n, to_codes, codes);
  if constexpr (four_registers < short_row) {
    if (n > four_registers) return encode_static_registers<8>(x, n, to_codes, codes);
  }
  encode_static_registers<4>(x, n, to_codes, codes);
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
