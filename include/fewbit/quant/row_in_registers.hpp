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

/// Writes codes of type Code, and fills the last register with the code of 0, which is `zero`.
template <class Code>
struct byte_row {
  static constexpr index least = 1, most = short_row;
  using code = Code;
  using ints = arch::rebind<reals, std::int32_t>;
  Code* codes;
  int zero;

  template <int R>
  FEWBIT_ALWAYS_INLINE void put(const ints (&values)[R], index n) const noexcept {
    if constexpr (R == 2) {
      four<R>(values, 0).store(codes);
    } else {
      constexpr index part = R / 2 * reals::lanes;
      codes_register<Code>(static_cast<Code>(zero))
          .store(codes + (n - 1) / code_lanes * code_lanes);
      if constexpr (R == 4) {
        const auto both = four<R>(values, 0);
        arch::part<0, int{part}>(both).store(codes);
        arch::part<1, int{part}>(both).store(codes + n - part);
      } else {
        static_assert(R == 8);
        four<R>(values, 0).store(codes);
        four<R>(values, 4).store(codes + n - part);
      }
    }
  }

 private:
  template <int R>
  FEWBIT_ALWAYS_INLINE auto four(const ints (&values)[R], int first) const noexcept {
    using half = arch::vec<std::int16_t, 2 * reals::lanes>;
    ints some[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i)
      some[i] = first + i < R ? values[std::min(first + i, R - 1)] : ints(0);
    return arch::narrowed<Code>(
        some, [add = half(static_cast<std::int16_t>(zero))](const half& v) { return v + add; });
  }
};

/// Writes codes in the form of a unit that takes them from registers, 16 at a time. The number of
/// codes is a multiple of the depth of a step, and `least` to `most`: a unit with turns of several
/// steps is for long rows, other units are for short ones. Units take the codes plus `zero`.
template <class Unit, class Code>
struct unit_row {
  static constexpr bool has_turns = requires { Unit::turn_steps; };
  static constexpr index least = has_turns ? 4 * reals::lanes : 1;
  static constexpr index most = has_turns ? short_row : 4 * reals::lanes;
  using code = Code;
  using ints = arch::rebind<reals, std::int32_t>;
  typename Unit::lhs_code* to;
  int zero;

  template <int R>
  FEWBIT_ALWAYS_INLINE void put(const ints (&values)[R], index n) const noexcept {
    constexpr index together = 2 * reals::lanes;
#pragma GCC unroll 4
    for (int i = 0; i < R; i += 2) {
      const index first = i < R / 2 || R == 2 ? i / 2 * together : n - (R - i) / 2 * together;
      Unit::copy_ints(values[i] + ints(zero), values[i + 1] + ints(zero), to + first);
    }
  }
};

/// The longest rows for which load_row reads 2 and 4 registers. Longer ones take 8.
inline constexpr index two_registers = 2 * reals::lanes, four_registers = 4 * reals::lanes;

/// The zero point of codes of magnitudes up to 127: 0, or 128 for unsigned codes.
template <class Code>
inline constexpr int middle_code = std::is_signed_v<Code> ? 0 : 128;

/// Whether dynamic_scale of a largest magnitude, given by its bits, is the quotient by 127: the
/// magnitude is 2^-119 to 2^127.
[[nodiscard]] FEWBIT_ALWAYS_INLINE bool has_usual_scale(std::int32_t bits) noexcept {
  constexpr std::uint32_t least = 8U << 23U, largest = 254U << 23U;
  return static_cast<std::uint32_t>(bits) - least <= largest - least;
}

/// Rounds scaled(v) of each register of a row and writes the codes.
template <int R, class Row, class Scaled>
FEWBIT_ALWAYS_INLINE void put_row(const reals (&row)[R], index n, const Row& to,
                                  const Scaled& scaled) noexcept {
  arch::rebind<reals, std::int32_t> values[R];
#pragma GCC unroll 8
  for (int i = 0; i < R; ++i) values[i] = arch::nearest_int(scaled(row[i]));
  to.template put<R>(values, n);
}

/// Codes of a row of R registers under its own scale, which is returned; 0, without any effect, if
/// a value is not finite. The scale is computed in all lanes, because a broadcast takes longer than
/// wide divisions.
template <int R, class Row>
FEWBIT_ALWAYS_INLINE float encode_dynamic_registers(const float* x, index n,
                                                    const Row& to) noexcept {
  reals row[R];
  load_row(x, n, row);
  auto largest = arch::magnitude_bits(row[0]);
#pragma GCC unroll 8
  for (int i = 1; i < R; ++i) largest = arch::max(largest, arch::magnitude_bits(row[i]));
  largest = arch::largest_in_all(largest);
  reals scale = arch::bits_as<float>(largest) / reals(127.0F);
  if (!has_usual_scale(largest[0])) [[unlikely]] {
    if (largest[0] >= infinity_bits) return 0.0F;
    scale = reals(dynamic_scale(std::bit_cast<float>(largest[0])));
  }
  // |x| / scale < 127.5, so no code leaves its range.
  const reals inverse = reals(1.0F) / scale;
  put_row(row, n, to, [&](const reals& v) { return v * inverse; });
  return scale[0];
}

/// The same for a row of Row::least to Row::most floats.
template <class Row>
FEWBIT_ALWAYS_INLINE float encode_short_dynamic_row(const float* x, index n,
                                                    const Row& to) noexcept {
  if constexpr (Row::least <= two_registers) {
    if (n <= two_registers) return encode_dynamic_registers<2>(x, n, to);
  }
  if constexpr (Row::most > four_registers) {
    if (n > four_registers) return encode_dynamic_registers<8>(x, n, to);
  }
  return encode_dynamic_registers<4>(x, n, to);
}

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

/// Codes of one row under the scale dynamic_scale(max|x|), which is returned:
///
///     codes[i] = clamp(rne(x[i] * (1 / scale)), -127, 127), plus 128 if codes are unsigned
///
/// Infinities and NaN are as in row_quantizer. n is at least 1. `codes` has room for whole
/// registers; the last one is filled with the code of 0.
template <class Code>
[[gnu::noinline]] float encode_dynamic_row(const float* x, index n, Code* codes) noexcept {
  if (n <= short_row) {
    const float scale = encode_short_dynamic_row(x, n, byte_row<Code>{codes, middle_code<Code>});
    if (scale > 0.0F) [[likely]]
      return scale;
  }
  return encode_any_dynamic_row(x, n, codes);
}

/// A unit in whose form a row can be written.
template <class Unit>
concept TakesInts =
    reals::lanes == 8 && requires(const arch::rebind<reals, std::int32_t>& v,
                                  typename Unit::lhs_code* to) { Unit::copy_ints(v, v, to); };
/// Whether it can write a row of n codes.
template <TakesInts Unit>
[[nodiscard]] FEWBIT_ALWAYS_INLINE bool takes_ints(index n) noexcept {
  using row = unit_row<Unit, std::int8_t>;
  return n >= row::least && n <= row::most && n % 4 == 0;
}

/// encode_dynamic_row for n floats with takes_ints(n), in the form of a unit. `to` has room for n
/// codes rounded up to a multiple of 16. Returns 0, without any effect, if a value is not finite.
template <TakesInts Unit>
[[gnu::noinline]] float encode_dynamic_unit_row(const float* x, index n,
                                                typename Unit::lhs_code* to) noexcept {
  return encode_short_dynamic_row(x, n, unit_row<Unit, std::int8_t>{to, 0});
}

/// Codes of a row of Row::least to Row::most floats under `params`, saturated to all codes.
template <class Row>
FEWBIT_ALWAYS_INLINE void encode_short_static_row(const float* x, index n,
                                                  const quant_params& params,
                                                  const Row& to) noexcept {
  using limits = std::numeric_limits<typename Row::code>;
  const row_quantizer<typename Row::code> to_codes(params, limits::min(), limits::max());
  const reals inverse(to_codes.inverse_scale), lowest(to_codes.lowest), highest(to_codes.highest);
  const auto encode = [&](auto registers) FEWBIT_INLINE_LAMBDA {
    reals row[decltype(registers)::value];
    load_row(x, n, row);
    put_row(row, n, to, [&](const reals& v) {
      return arch::clamp(reals(without_nan(v) * inverse), lowest, highest);
    });
  };
  if constexpr (Row::least <= two_registers) {
    if (n <= two_registers) return encode(std::integral_constant<int, 2>{});
  }
  if constexpr (Row::most > four_registers) {
    if (n > four_registers) return encode(std::integral_constant<int, 8>{});
  }
  encode(std::integral_constant<int, 4>{});
}

/// encode_static_row for n floats with takes_ints(n), in the form of a unit, as
/// encode_dynamic_unit_row.
template <TakesInts Unit, class Code>
[[gnu::noinline]] void encode_static_unit_row(const float* x, index n, const quant_params& params,
                                              typename Unit::lhs_code* to) noexcept {
  encode_short_static_row(x, n, params, unit_row<Unit, Code>{to, params.zero_point});
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
  if (n > short_row) return encode_long_static_row(x, n, params, codes);
  encode_short_static_row(x, n, params, byte_row<Code>{codes, params.zero_point});
}

}}}  // namespace fewbit::detail

#include "fewbit/end.hpp"
