#pragma once
/// Means of two and of four 8-bit codes, without wider integers.
///
/// | function               | x86     | NEON   | computes                                          |
/// |------------------------|---------|--------|---------------------------------------------------|
/// | rounded_average, uint8 | vpavgb  | urhadd | (a + b + 1) >> 1                                  |
/// | mean_of_four           |         |        | the mean of four codes, ties away from zero       |
///
/// Read next: ops/pool2d.hpp.

#include "fewbit/begin.hpp"

#include <cstdint>
#include <type_traits>

#include "fewbit/arch/vec.hpp"
#include "fewbit/config.hpp"

#if defined(__SSE2__) && FEWBIT_HAS_VECTOR_TYPES
#include <immintrin.h>
#elif FEWBIT_HAS_NEON
#include <arm_neon.h>
#endif

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace arch {

/// (a + b + 1) >> 1.
template <int N>
FEWBIT_ALWAYS_INLINE vec<std::uint8_t, N> rounded_average(const vec<std::uint8_t, N>& a,
                                                          const vec<std::uint8_t, N>& b) noexcept {
  using V = vec<std::uint8_t, N>;
  [[maybe_unused]] const auto from = [](auto bits) {
    return V::from(reinterpret_cast<typename V::storage>(bits));
  };
#if FEWBIT_HAS_AVX512_VNNI
  if constexpr (V::is_native && sizeof(V) == 64) {
    return from(
        _mm512_avg_epu8(reinterpret_cast<__m512i>(a.data), reinterpret_cast<__m512i>(b.data)));
  } else
#endif
#if FEWBIT_HAS_AVX2
      if constexpr (V::is_native && sizeof(V) == 32) {
    return from(
        _mm256_avg_epu8(reinterpret_cast<__m256i>(a.data), reinterpret_cast<__m256i>(b.data)));
  } else
#endif
#if defined(__SSE2__) && FEWBIT_HAS_VECTOR_TYPES
      if constexpr (V::is_native && sizeof(V) == 16) {
    return from(_mm_avg_epu8(reinterpret_cast<__m128i>(a.data), reinterpret_cast<__m128i>(b.data)));
  } else
#elif FEWBIT_HAS_NEON
  if constexpr (V::is_native && sizeof(V) == 16) {
    return from(
        vrhaddq_u8(reinterpret_cast<uint8x16_t>(a.data), reinterpret_cast<uint8x16_t>(b.data)));
  } else
#endif
  {
    V r;
    for (int i = 0; i < N; ++i) r.set(i, static_cast<std::uint8_t>((a[i] + b[i] + 1) >> 1));
    return r;
  }
}

/// The sum of four codes divided by 4, ties away from zero.
///
/// Averages of averages round up twice. With p = rounded_average(a, b) and q = rounded_average(c,
/// d), the lowest bits of a ^ b and c ^ d say whether p and q were rounded, so they tell where the
/// average of p and q is one too large, and where it is a tie that was rounded up.
template <class T, int N>
FEWBIT_ALWAYS_INLINE vec<T, N> mean_of_four(const vec<T, N>& a, const vec<T, N>& b,
                                            const vec<T, N>& c, const vec<T, N>& d) noexcept {
  static_assert(sizeof(T) == 1);
  using bytes = vec<std::uint8_t, N>;
  const bytes flip(std::uint8_t{std::is_signed_v<T> ? 128 : 0}), one(std::uint8_t{1});
  const auto positive = [&](const vec<T, N>& v) { return bits_as<std::uint8_t>(v) ^ flip; };
  const bytes p = rounded_average(positive(a), positive(b));
  const bytes q = rounded_average(positive(c), positive(d));
  const bytes first = bits_as<std::uint8_t>(a ^ b), second = bits_as<std::uint8_t>(c ^ d);
  const bytes odd = p ^ q;
  const bytes mean = rounded_average(p, q) - ((first | second) & odd & one);
  if constexpr (std::is_signed_v<T>) {
    const vec<T, N> code = bits_as<T>(bytes(mean ^ flip));
    const bytes tie = ((first ^ second) ^ one) & (odd ^ first) & one;
    return code - (bits_as<T>(tie) & (code < vec<T, N>(T{1})));
  } else {
    return mean;
  }
}

}}}  // namespace fewbit::arch

#include "fewbit/end.hpp"
