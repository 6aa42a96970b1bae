#pragma once
/// Arrays of floats to 8-bit codes and back, at the rate of the memory: for buffers that are no
/// matrix of a scheme, and for what an operator does to its inputs.
///
///     quantize_array(x, n, params, codes);                     // one scale and zero point
///     quantize_rows(x, rows, cols, codes, scales, sums);       // a scale for each row, from it
///     dequantize_array(codes, n, params, x);
///
///     code = clamp(rne(x * (1 / scale)) + zero_point)          x = (code - zero_point) * scale
///
/// The reciprocal is rounded to float once, so that this differs from quantize(), which divides, at
/// and beside ties alone (and never for a power-of-two scale). Lengths, pointers and parameters are
/// checked at each call, before anything is written; after that nothing throws, and nothing is
/// allocated. A NaN becomes the zero point, an infinity the last code of its side, and neither
/// counts for the scale of a row. Pointers need no alignment; input and output do not overlap. What
/// is larger than `arch::streaming_bytes` is written past the caches.
/// Read next: quantize.hpp (matrices, any scheme), gemm/stages.hpp (sums of products to codes).

#include "fewbit/begin.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "fewbit/arch/byte_sums.hpp"
#include "fewbit/arch/convert.hpp"
#include "fewbit/arch/magnitude.hpp"
#include "fewbit/arch/memory.hpp"
#include "fewbit/arch/streaming_store.hpp"
#include "fewbit/arch/vec.hpp"
#include "fewbit/core/executor.hpp"
#include "fewbit/core/types.hpp"
#include "fewbit/quant/params.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

namespace detail {

inline constexpr std::int32_t infinite_bits = 0x7F800000;

/// x with NaN replaced by 0, by bit pattern.
template <class V>
FEWBIT_ALWAYS_INLINE V without_nan(const V& x) noexcept {
  using ints = arch::rebind<V, std::int32_t>;
  return arch::select(arch::magnitude_bits(x) > ints(infinite_bits), V(0.0F), x);
}

/// Bits of |x|, or 0 where x is not finite. As integers they are ordered like the numbers, so that
/// a maximum of them does not depend on the order in which it is taken.
template <class V>
FEWBIT_ALWAYS_INLINE arch::rebind<V, std::int32_t> finite_magnitude(const V& x) noexcept {
  using ints = arch::rebind<V, std::int32_t>;
  const ints magnitude = arch::magnitude_bits(x);
  return arch::select(magnitude < ints(infinite_bits), magnitude, ints(0));
}

/// The largest magnitude(x) of a row, 0 if it is empty.
template <class Magnitude>
FEWBIT_ALWAYS_INLINE std::int32_t largest_magnitude(const float* x, index n,
                                                    const Magnitude& magnitude) noexcept {
  using vec = arch::vec<float, arch::native_lanes<float>>;
  std::int32_t largest = 0;
  if (n < vec::lanes) {
    for (index i = 0; i < n; ++i) largest = arch::max(largest, magnitude(x[i]));
    return largest;
  }
  auto even = magnitude(vec::load(x)), odd = magnitude(vec::load(x + n - vec::lanes));
#pragma GCC unroll 4
  for (index i = 0; i + 2 * vec::lanes <= n; i += 2 * vec::lanes) {
    even = arch::max(even, magnitude(vec::load(x + i)));
    odd = arch::max(odd, magnitude(vec::load(x + i + vec::lanes)));
  }
  if (n > 2 * vec::lanes && n % (2 * vec::lanes) > vec::lanes) {
    odd = arch::max(odd, magnitude(vec::load(x + n - 2 * vec::lanes)));
  }
  return arch::max_of_lanes(arch::max(even, odd));
}

/// max|x| of the finite values of a row; 0 if there are none.
[[nodiscard]] inline float finite_amax(const float* x, index n) noexcept {
  std::int32_t largest =
      largest_magnitude(x, n, [](const auto& v) { return arch::magnitude_bits(v); });
  if (largest >= infinite_bits) {
    largest = largest_magnitude(x, n, [](const auto& v) { return finite_magnitude(v); });
  }
  return std::bit_cast<float>(largest);
}

/// Scale of a row whose largest magnitude is amax and becomes the code `largest`: amax / largest,
/// one float less where `largest` times that is no finite float.
[[nodiscard]] inline float dynamic_scale(float amax, int largest = 127) noexcept {
  if (amax == 0.0F) return 1.0F;
  const float scale = amax / static_cast<float>(largest);
  if (scale < min_scale) return min_scale;
  const bool is_finite = scale * static_cast<float>(largest) <= std::numeric_limits<float>::max();
  return is_finite ? scale : std::bit_cast<float>(std::bit_cast<std::int32_t>(scale) - 1);
}

using reals = arch::vec<float, arch::native_lanes<float>>;

/// Numbers that make one register of 8-bit codes, and twice as many, which a step of a loop takes.
inline constexpr index code_lanes = arch::native_lanes<std::int8_t>;

template <class Code>
using codes_register = arch::vec<Code, int{code_lanes}>;

/// Bytes 0xFF and then 0: from code_lanes - n on, n lanes are kept.
struct lane_window {
  std::int8_t bytes[2 * code_lanes];
};
inline constexpr lane_window first_dropped = [] {
  lane_window w{};
  for (index i = code_lanes; i < 2 * code_lanes; ++i) w.bytes[i] = -1;
  return w;
}();

/// The last n lanes, the others 0.
template <class Code>
FEWBIT_ALWAYS_INLINE codes_register<Code> last_lanes(const codes_register<Code>& codes,
                                                     index n) noexcept {
  const auto mask = arch::vec<std::int8_t, int{code_lanes}>::load(first_dropped.bytes + n);
  return codes & arch::bits_as<Code>(mask);
}

/// Codes of one register from four of floats, scaled and rounded; `narrow` makes codes of int32.
template <class Scaled, class Narrow>
FEWBIT_ALWAYS_INLINE auto four_to_codes(const float* x, const Scaled& scaled,
                                        const Narrow& narrow) noexcept {
  arch::rebind<reals, std::int32_t> values[4];
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j)
    values[j] = arch::nearest_int(scaled(reals::load(x + j * reals::lanes)));
  return narrow(values);
}

/// Where a last whole register of codes begins, to cover what remains after the others.
[[nodiscard]] constexpr index last_begin(index n) noexcept { return n - code_lanes; }

/// Bytes of the floats of a register of codes.
inline constexpr index step_bytes = code_lanes * index{sizeof(float)};

/// Asks for the floats of a register of codes, 1 KiB later. From L2: 1.1 times the rate without.
FEWBIT_ALWAYS_INLINE void prefetch_ahead(const float* x) noexcept {
  for (index i = 0; i < step_bytes; i += arch::cache_line)
    arch::prefetch_to_l1(arch::beyond(x, 1024 + i));
}

/// Asks L2 for the floats of a register of codes, so many bytes later.
FEWBIT_ALWAYS_INLINE void prefetch_far(const float* x, index bytes) noexcept {
  for (index i = 0; i < step_bytes; i += arch::cache_line)
    arch::prefetch_to_l2(arch::beyond(x, bytes + i));
}

/// A scale as the hot path uses it.
template <class Code>
struct row_quantizer {
  float inverse_scale;
  std::int32_t zero_point;
  float lowest;  // of the code less the zero point
  float highest;
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

  /// Codes of any number of floats, stored the ordinary way.
  void operator()(const float* x, index n, Code* codes) const noexcept {
    if (n < code_lanes) return encode_few(x, n, codes);
    const index whole = n / code_lanes * code_lanes;
    encode_whole<arch::plain_store>(x, whole, codes);
    if (whole < n) encode_last(x, n, codes);
  }

  /// The same past the caches.
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
  /// Parts that are read side by side where memory is the limit, each a stream of the processor's
  /// prefetcher, and how far ahead L2 is asked for what they bring. On a Sapphire Rapids 256 Mi
  /// numbers come to 0.80 to 0.93 of the rate of memcpy at the same traffic, by where the arrays
  /// lie: nothing to 13 % more than with pages side by side that are asked for 32 KiB ahead, which
  /// need aligned codes besides. The same reads and writes without any arithmetic come to 0.85 to
  /// 0.91, as four fifths of the traffic are reads, which alone take as long as that memcpy.
  static constexpr index streams = 8;
  static constexpr index stream_ahead = 512;

  /// Floats after which one among them that is special is found; they are in L1 or L2 then.
  template <class Store>
  static constexpr index watched = Store::is_streaming ? 65536 : 8192;

  void encode_few(const float* x, index n, Code* codes) const noexcept {
    if (n <= 0) return;  // memcpy takes no null pointer
    float padded[code_lanes] = {};
    Code all[code_lanes];
    std::memcpy(padded, x, sizeof(float) * static_cast<std::size_t>(n));
    encode_whole<arch::plain_store>(padded, code_lanes, all);
    std::memcpy(codes, all, static_cast<std::size_t>(n));
  }

  /// Whatever follows whole registers, with some of what was done.
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

  /// False if a code may be wrong: that of a NaN or of a number that is no int32 after scaling.
  /// These become the smallest int32 and, narrowed, the smallest int16, which is looked for here
  /// and which else only numbers have that are beyond all codes by far.
  template <class Store>
  FEWBIT_ALWAYS_INLINE bool encode_watching(const float* x, index n, Code* codes) const noexcept {
    using half = arch::vec<std::int16_t, 2 * reals::lanes>;
    half least(0);
    const auto encode = [this, &least, x, codes, inverse = reals(inverse_scale),
                         zero = half(static_cast<std::int16_t>(zero_point))](index i) {
      const auto narrow = [&](const half& v) {
        least = arch::min(least, v);
        return arch::add_saturating(v, zero);
      };
      const auto four = four_to_codes(
          x + i, [&](const reals& v) { return v * inverse; },
          [&](const auto& values) { return arch::narrowed<Code>(values, narrow); });
      Store::put(codes + i, within(four));
    };
    const index length =
        Store::is_streaming ? n / (streams * arch::cache_line) * arch::cache_line : 0;
    // A line of codes at a time: a processor keeps few lines open that are not written whole.
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
    return arch::max_of_lanes(half(half(std::int16_t{-1}) - least)) < 0x7FFF;
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

/// What a row's codes say besides.
struct row_result {
  float scale;
  std::int32_t sum;
};

/// Codes of a row of any floats by its own scale.
inline row_result encode_dynamic(const float* x, index n, std::int8_t* codes) noexcept {
  const float scale = dynamic_scale(finite_amax(x, n));
  row_quantizer<std::int8_t>({scale, 0}, -127, 127)(x, n, codes);
  return {scale, arch::sum_of_bytes(codes, n)};
}

/// max|x| of whole registers of codes; garbage if there is a NaN.
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

/// Codes of rows by their own scales, while the magnitudes of rows to come are looked at: one is
/// the work of the ports, the other that of the caches. Rows are at least a register of codes long
/// and a few of them fit L1.
template <class Store>
class row_pipeline {
 public:
  row_pipeline(const float* x, index stride, index cols) noexcept
      : x_(x), stride_(stride), cols_(cols) {}

  /// take(r, row_result) for each row r, in order. False if any of them held something else than
  /// finite numbers; then all is to be done again.
  template <class Take>
  [[nodiscard]] bool run(index rows, std::int8_t* codes, const Take& take) noexcept {
    // A scale takes two divisions after the last number of its row was seen, so the look is two
    // rows ahead.
    float amax = rough_amax(x_, cols_);
    float next_amax = rows > 1 ? rough_amax(x_ + stride_, cols_) : 0.0F;
    bool finite = true;
    for (index r = 0; r < rows; ++r) {
      const float* row = x_ + r * stride_;
      const float scale = dynamic_scale(amax);
      finite &= std::bit_cast<std::int32_t>(amax) < infinite_bits;
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

  /// Codes of x and their sum. No finite number comes to 127.5, so there is no code to clamp, but a
  /// NaN becomes -128 or makes the scale infinite or NaN.
  template <bool Looks>
  FEWBIT_ALWAYS_INLINE std::int32_t encode(const float* x, const float* ahead, float scale,
                                           std::int8_t* codes, float& amax_ahead) noexcept {
    const reals inverse(1.0F / scale);
    const index cols = cols_;  // stores of codes could change the member
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

/// Codes or reals of four registers at a time: x = (code - zero_point) * scale.
///
/// @tparam Saturates  products beyond the largest float become that, with their sign
template <class Code, bool Saturates = false>
struct array_decoder {
  float scale;
  std::int32_t zero_point;

  template <class V>
  FEWBIT_ALWAYS_INLINE arch::rebind<V, float> decode(const V& codes) const noexcept {
    using ints = arch::rebind<V, std::int32_t>;
    const ints steps = arch::bits_as<std::int32_t>(arch::widened(codes)) - ints(zero_point);
    const auto value = arch::convert<float>(steps) * arch::rebind<V, float>(scale);
    if constexpr (Saturates) {
      using reals_of_codes = arch::rebind<V, float>;
      constexpr float most = std::numeric_limits<float>::max();
      return arch::clamp(value, reals_of_codes(-most), reals_of_codes(most));
    } else {
      return value;
    }
  }

  void operator()(const Code* codes, index n, float* x) const noexcept {
    index i = 0;
    for (; i + reals::lanes <= n; i += reals::lanes) write<arch::plain_store>(codes + i, x + i);
    for (index rest = n % reals::lanes; rest > 0; --rest, ++i) x[i] = decode(codes[i]);
  }

  void stream(const Code* codes, index n, float* x) const noexcept {
    const auto address = reinterpret_cast<std::uintptr_t>(x) / sizeof(float);
    index i = static_cast<index>(-address % std::uintptr_t{reals::lanes});
    const bool is_aligned = reinterpret_cast<std::uintptr_t>(x + i) % sizeof(reals) == 0;
    if (!is_aligned || n < i) return (*this)(codes, n, x);
    (*this)(codes, i, x);
    const index length = (n - i) / (streams * arch::cache_line) * arch::cache_line;
    for (const index end = i + length; i < end; i += arch::cache_line) {
      for (index at = i; at < i + streams * length; at += length) write_line(codes + at, x + at);
    }
    i += (streams - 1) * length;
    for (; i + reals::lanes <= n; i += reals::lanes) write<arch::past_caches>(codes + i, x + i);
    arch::end_streaming();
    (*this)(codes + i, n - i, x + i);
  }

 private:
  /// Parts that are written side by side where memory is the limit. On a Zen 5 256 Mi numbers come
  /// to 1.15 times the rate of memcpy at the same traffic, one part at a time to 0.79 times.
  static constexpr index streams = 4;

  /// As many reals as a line of codes makes.
  FEWBIT_ALWAYS_INLINE void write_line(const Code* codes, float* x) const noexcept {
    arch::prefetch_to_l1(arch::beyond(codes, 512));
#pragma GCC unroll 4
    for (index i = 0; i < arch::cache_line; i += reals::lanes)
      write<arch::past_caches>(codes + i, x + i);
  }

  template <class Store>
  FEWBIT_ALWAYS_INLINE void write(const Code* codes, float* x) const noexcept {
    Store::put(x, decode(arch::vec<Code, reals::lanes>::load(codes)));
  }
};

/// Numbers of an array that are one piece of work.
inline constexpr index array_piece = index{1} << 16;

/// Bytes of a number as float and as code.
inline constexpr index bytes_per_number = 5;

/// work(from, n, to), or work.stream if `streaming`, by pieces.
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

/// Floats of a row that a pipeline may hold in L1 three times.
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

inline void expect_length(const char* function, const char* argument, index n) {
  expect(n >= 0, function, argument, n, "0 or more");
}

/// Fails if there are numbers at `pointer`, n of them, and it is null.
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

/// A code that fills a byte.
template <class T>
concept ByteCode = std::is_same_v<T, std::int8_t> || std::is_same_v<T, std::uint8_t>;

/// codes[i] = clamp(rne(x[i] * (1 / scale)) + zero_point) over all codes of the type.
///
/// @param params    a finite scale of at least 2^-126, and a zero point that is a code
/// @param executor  runs pieces of 65536 numbers
/// @throws fewbit::error if n is negative, a pointer to n > 0 numbers is null, or params are none
template <ByteCode Code, Executor E = inline_executor>
void quantize_array(const float* x, index n, const quant_params& params, Code* codes,
                    const E& executor = {}) {
  using limits = std::numeric_limits<Code>;
  detail::expect_valid_array("quantize_array", x, n, params, codes);
  const detail::row_quantizer<Code> quantizer(params, limits::min(), limits::max());
  const bool streaming = n >= arch::streaming_bytes / detail::bytes_per_number;
  detail::run_by_pieces(quantizer, x, n, codes, streaming, executor);
}

/// x[i] = (codes[i] - zero_point) * scale. A product that is larger than the largest float becomes
/// that, with its sign.
///
/// @param params    as quantize_array takes them
/// @param executor  runs pieces of 65536 numbers
/// @throws fewbit::error as quantize_array does
template <ByteCode Code, Executor E = inline_executor>
void dequantize_array(const Code* codes, index n, const quant_params& params, float* x,
                      const E& executor = {}) {
  detail::expect_valid_array("dequantize_array", x, n, params, codes);
  const bool streaming = n >= arch::streaming_bytes / detail::bytes_per_number;
  const auto run = [&](const auto& decoder) {
    detail::run_by_pieces(decoder, codes, n, x, streaming, executor);
  };
  // No code is farther than this from a zero point.
  constexpr double reach = std::numeric_limits<std::uint8_t>::max();
  if (double{params.scale} * reach <= double{std::numeric_limits<float>::max()}) {
    run(detail::array_decoder<Code>{params.scale, params.zero_point});
  } else {
    run(detail::array_decoder<Code, true>{params.scale, params.zero_point});
  }
}

/// Each row by its own symmetric scale, as linear<S, dynamic_int8> takes its inputs.
///
/// @param x         rows x cols floats, row after row
/// @param codes     as many codes, in [-127, 127]
/// @param scales    for each row max|x| / 127 of its finite values; 1 if all are 0, and never below
///                  2^-126
/// @param sums      for each row the sum of its codes, which the zero points of weights ask for;
///                  or nullptr
/// @param executor  runs pieces of about 65536 numbers
/// @throws fewbit::error if rows or cols is negative, or a pointer to numbers other than sums is
///         null
///
/// Near the largest float the scale of a row is one float less, so that each code times it is
/// finite.
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
