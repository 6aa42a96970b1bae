#pragma once
/// Converts rows of floats to 8-bit codes inside loops of operators.
///
///     const float scale = dynamic_scale(finite_amax(x, n));
///     const row_quantizer<std::int8_t> to_codes({scale, 0}, -127, 127);
///     to_codes(x, n, codes);                    // any length
///     to_codes.encode(v);                       // one float or a vector of them
///
/// code = clamp(rne(x * (1 / scale)) + zero_point). A NaN becomes the zero point; an infinity
/// becomes the first or the last code, by its sign. Read next: quantize_rows.hpp,
/// quantize_array.hpp.

#include "fewbit/begin.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>

#include "fewbit/arch/byte_sums.hpp"
#include "fewbit/arch/convert.hpp"
#include "fewbit/arch/memory.hpp"
#include "fewbit/arch/partial.hpp"
#include "fewbit/arch/streaming_store.hpp"
#include "fewbit/arch/vec.hpp"
#include "fewbit/config.hpp"
#include "fewbit/core/finite.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/quant/params.hpp"
#include "fewbit/quant/scale.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// The scale of a row whose largest magnitude is amax and whose largest code is `largest`:
/// amax / largest, at least 2^-126; 1 if amax is 0. Where largest * scale would be infinite, the
/// scale is one float less.
[[nodiscard]] inline float dynamic_scale(float amax, int largest = 127) noexcept {
  if (amax == 0.0F) return 1.0F;
  const float scale = amax / static_cast<float>(largest);
  if (scale < min_scale) return min_scale;
  const bool is_finite = scale * static_cast<float>(largest) <= std::numeric_limits<float>::max();
  return is_finite ? scale : std::bit_cast<float>(std::bit_cast<std::int32_t>(scale) - 1);
}

namespace detail {

using reals = arch::vec<float, arch::native_lanes<float>>;

/// Codes of one register. One step of a loop converts as many floats.
inline constexpr index code_lanes = arch::native_lanes<std::int8_t>;

template <class Code>
using codes_register = arch::vec<Code, int{code_lanes}>;

/// code_lanes bytes of 0, then code_lanes bytes of 0xFF. A register loaded from byte n has 0xFF in
/// its last n lanes.
struct lane_window {
  std::int8_t bytes[2 * code_lanes];
};
inline constexpr lane_window first_dropped = [] {
  lane_window w{};
  for (index i = code_lanes; i < 2 * code_lanes; ++i) w.bytes[i] = -1;
  return w;
}();

/// Keeps the last n lanes and sets the others to 0.
template <class Code>
FEWBIT_ALWAYS_INLINE codes_register<Code> last_lanes(const codes_register<Code>& codes,
                                                     index n) noexcept {
  const auto mask = arch::vec<std::int8_t, int{code_lanes}>::load(first_dropped.bytes + n);
  return codes & arch::bits_as<Code>(mask);
}

/// Converts four registers of floats to one register of codes: scaled(x) is rounded to int32, and
/// `narrow` converts four registers of int32 to codes. load(i) returns the register of floats i,
/// i + 1, ...
template <class Load, class Scaled, class Narrow>
FEWBIT_ALWAYS_INLINE auto loaded_to_codes(const Load& load, const Scaled& scaled,
                                          const Narrow& narrow) noexcept {
  arch::rebind<reals, std::int32_t> values[4];
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) values[j] = arch::nearest_int(scaled(load(index{j} * reals::lanes)));
  return narrow(values);
}

/// The same of floats in memory.
template <class Scaled, class Narrow>
FEWBIT_ALWAYS_INLINE auto four_to_codes(const float* x, const Scaled& scaled,
                                        const Narrow& narrow) noexcept {
  return loaded_to_codes([x](index i) { return reals::load(x + i); }, scaled, narrow);
}

/// The first element of the last register of n codes. It overlaps the register before it.
[[nodiscard]] constexpr index last_begin(index n) noexcept { return n - code_lanes; }

/// Bytes of the floats of a register of codes.
inline constexpr index step_bytes = code_lanes * index{sizeof(float)};

/// Prefetches into L1 the floats of one register of codes, 1 KiB ahead. For data in L2 this gives
/// 1.1 times the rate.
FEWBIT_ALWAYS_INLINE void prefetch_ahead(const float* x) noexcept {
  for (index i = 0; i < step_bytes; i += arch::cache_line)
    arch::prefetch_to_l1(arch::beyond(x, 1024 + i));
}

/// Prefetches into L2 the floats of one register of codes, `bytes` ahead.
FEWBIT_ALWAYS_INLINE void prefetch_far(const float* x, index bytes) noexcept {
  for (index i = 0; i < step_bytes; i += arch::cache_line)
    arch::prefetch_to_l2(arch::beyond(x, bytes + i));
}

/// Converts floats to codes under one scale and zero point: code = clamp(rne(x * (1 / scale)) +
/// zero_point, code_min, code_max).
///
/// Construct it from a finite scale of at least 2^-126, a zero point that is a code, and the first
/// and last code. encode(x) converts one float or a vector. operator() converts n floats, stream()
/// converts n floats and writes them past the caches.
template <class Code>
struct row_quantizer {
  float inverse_scale;
  std::int32_t zero_point;
  float lowest;   // code_min - zero_point
  float highest;  // code_max - zero_point
  Code code_min;
  Code code_max;

  row_quantizer(const quant_params& p, std::int32_t smallest, std::int32_t largest) noexcept
      : inverse_scale(1.0F / p.scale),
        zero_point(p.zero_point),
        lowest(static_cast<float>(smallest - p.zero_point)),
        highest(static_cast<float>(largest - p.zero_point)),
        code_min(static_cast<Code>(smallest)),
        code_max(static_cast<Code>(largest)) {}

  template <class V>
  FEWBIT_ALWAYS_INLINE arch::rebind<V, Code> encode(const V& x) const noexcept {
    using ints = arch::rebind<V, std::int32_t>;
    const V quotient = arch::rounded(V(without_nan(x) * V(inverse_scale)));
    const ints code = arch::round_to_int(arch::clamp(quotient, V(lowest), V(highest)));
    return arch::convert<Code>(ints(code + ints(zero_point)));
  }

  /// Converts n floats, with ordinary stores.
  void operator()(const float* x, index n, Code* codes) const noexcept {
    if (n < code_lanes) return encode_few(x, n, codes);
    const index whole = n / code_lanes * code_lanes;
    encode_whole<arch::plain_store>(x, whole, codes);
    if (whole < n) encode_last(x, n, codes);
  }

  /// Converts n floats and fills the last register with the code of 0. `codes` has room for whole
  /// registers, code_lanes codes each.
  ///
  /// @param fits  whether all |x| / scale are known to be at most 2^30
  FEWBIT_ALWAYS_INLINE void to_whole_registers(const float* x, index n, Code* codes,
                                               bool fits) const noexcept {
    const reals inverse(inverse_scale);
    const half zero = int16_zero();
    half least(0);
    index i = 0;
    for (; i + code_lanes <= n; i += code_lanes) {
      encode_four([from = x + i](index j) { return reals::load(from + j); }, inverse, zero, least)
          .store(codes + i);
    }
    if (i < n) encode_first(x + i, n - i, least).store(codes + i);
    if (!fits && needs_replacing(least)) [[unlikely]] {
      const row_quantizer again = *this;  // so that this object can stay in registers
      again(x, n, codes);
    }
  }

  /// Converts n floats, with streaming stores.
  void stream(const float* x, index n, Code* codes) const noexcept {
    const auto address = reinterpret_cast<std::uintptr_t>(codes);
    const auto first = static_cast<index>(-address % std::uintptr_t{code_lanes});
    if (n < first + code_lanes) return (*this)(x, n, codes);
    if (first > 0) encode_whole<arch::plain_store>(x, code_lanes, codes);
    const index whole = (n - first) / code_lanes * code_lanes;
    encode_whole<arch::past_caches>(x + first, whole, codes + first);
    arch::end_streaming();
    if (first + whole < n) encode_last(x, n, codes);
  }

 private:
  using half = arch::vec<std::int16_t, 2 * reals::lanes>;

  /// `streams` parts of the input are read side by side, each one a stream of the processor's
  /// prefetcher; data is prefetched into L2 `stream_ahead` bytes early. Rates of 256 Mi numbers on
  /// a Sapphire Rapids, relative to memcpy with the same traffic:
  ///
  /// | way                                          | rate                             |
  /// |----------------------------------------------|----------------------------------|
  /// | this one                                     | 0.80 to 0.93, by array addresses |
  /// | the same reads and writes without arithmetic | 0.85 to 0.91                     |
  ///
  /// This way is 0 to 13 % faster than pages side by side that are prefetched 32 KiB ahead, which
  /// need aligned codes. Four fifths of the traffic are reads. The reads alone take as long as that
  /// memcpy.
  static constexpr index streams = 8;
  static constexpr index stream_ahead = 512;

  /// Floats between two checks for values that need encode_replacing. They are still in L1 or L2
  /// when a check fails and they are read again.
  template <class Store>
  static constexpr index watched = Store::is_streaming ? 65536 : 8192;

  /// Less than a register of codes.
  void encode_few(const float* x, index n, Code* codes) const noexcept {
    if (n <= 0) return;
    half least(0);
    arch::store_first(encode_first(x, n, least), codes, static_cast<int>(n));
    if (needs_replacing(least)) encode_few_replacing(x, n, codes);
  }

  /// The codes of 0 < n <= code_lanes floats, then codes of 0.
  FEWBIT_ALWAYS_INLINE codes_register<Code> encode_first(const float* x, index n,
                                                         half& least) const noexcept {
    const auto load = [&](index i) {
      if (i >= n) return reals(0.0F);
      if (n - i >= reals::lanes) return reals::load(x + i);
      return arch::load_first<reals>(x + i, static_cast<int>(n - i));
    };
    return encode_four(load, reals(inverse_scale), int16_zero(), least);
  }

  [[gnu::noinline]] void encode_few_replacing(const float* x, index n, Code* codes) const noexcept {
    float padded[code_lanes] = {};
    Code all[code_lanes];
    std::memcpy(padded, x, sizeof(float) * static_cast<std::size_t>(n));
    encode_replacing<arch::plain_store>(padded, code_lanes, all);
    std::memcpy(codes, all, static_cast<std::size_t>(n));
  }

  /// Converts the last register, which overlaps the one before it.
  void encode_last(const float* x, index n, Code* codes) const noexcept {
    encode_whole<arch::plain_store>(x + last_begin(n), code_lanes, codes + last_begin(n));
  }

  /// n is a multiple of code_lanes.
  template <class Store>
  void encode_whole(const float* x, index n, Code* codes) const noexcept {
    for (index i = 0; i < n; i += watched<Store>) {
      const index count = std::min(watched<Store>, n - i);
      if (!encode_watching<Store>(x + i, count, codes + i)) {
        encode_replacing<Store>(x + i, count, codes + i);
      }
    }
  }

  [[nodiscard]] half int16_zero() const noexcept {
    return half(static_cast<std::int16_t>(zero_point));
  }

  /// One register of codes of the floats that load(0), load(lanes) ... return.
  ///
  /// @param inverse, zero  inverse_scale and int16_zero(), loaded before the loop: the compiler
  ///                       must assume that a store of a code changes the members
  /// @param least          the minimum of the int16 values so far
  template <class Load>
  FEWBIT_ALWAYS_INLINE codes_register<Code> encode_four(const Load& load, const reals& inverse,
                                                        const half& zero,
                                                        half& least) const noexcept {
    const auto narrow = [&](const half& v) {
      least = arch::min(least, v);
      return arch::add_saturating(v, zero);
    };
    return within(loaded_to_codes(
        load, [&](const reals& v) { return v * inverse; },
        [&](const auto& values) { return arch::narrowed<Code>(values, narrow); }));
  }

  /// Whether a code may be wrong: its value is a NaN, or no int32 after scaling. Such a value
  /// becomes the smallest int32 and then the smallest int16. Large negative numbers give the same
  /// minimum; they only cost time.
  [[nodiscard]] FEWBIT_ALWAYS_INLINE static bool needs_replacing(const half& least) noexcept {
    return arch::max_of_lanes(half(half(std::int16_t{-1}) - least)) == 0x7FFF;
  }

  /// Converts, and returns false if a code may be wrong.
  template <class Store>
  FEWBIT_ALWAYS_INLINE bool encode_watching(const float* x, index n, Code* codes) const noexcept {
    half least(0);
    const auto encode = [this, &least, x, codes, inverse = reals(inverse_scale),
                         zero = int16_zero()](index i) {
      const auto load = [from = x + i](index j) { return reals::load(from + j); };
      Store::put(codes + i, encode_four(load, inverse, zero, least));
    };
    const index length =
        Store::is_streaming ? n / (streams * arch::cache_line) * arch::cache_line : 0;
    // Whole cache lines of codes, because a processor has few buffers for partly written lines.
    for (index i = 0; i < length; i += arch::cache_line) {
#pragma GCC unroll 1
      for (index first = i; first < streams * length; first += length) {
#pragma GCC unroll 4
        for (index j = first; j < first + arch::cache_line; j += code_lanes) {
          prefetch_far(x + j, stream_ahead);
          encode(j);
        }
      }
    }
#pragma GCC unroll 2
    for (index i = streams * length; i < n; i += code_lanes) {
      prefetch_ahead(x + i);
      encode(i);
    }
    return !needs_replacing(least);
  }

  template <class Store>
  void encode_replacing(const float* x, index n, Code* codes) const noexcept {
    const reals inverse(inverse_scale), bound(0x1p30F);
    for (index i = 0; i < n; i += code_lanes) {
      const auto four = four_to_codes(
          x + i, [&](const reals& v) { return arch::min(reals(without_nan(v) * inverse), bound); },
          [&](const auto& values) { return arch::saturated<Code>(values, zero_point); });
      Store::put(codes + i, within(four));
    }
  }

  FEWBIT_ALWAYS_INLINE codes_register<Code> within(
      const codes_register<Code>& codes) const noexcept {
    return arch::clamp(codes, codes_register<Code>(code_min), codes_register<Code>(code_max));
  }
};

}  // namespace detail

/// The public name; documented above.
using detail::row_quantizer;

}}  // namespace fewbit

#include "fewbit/end.hpp"
