#pragma once
/// Loads and stores of the first lanes of a vector, for the ends of rows and for short rows.
///
/// | lanes of | AVX512                | AVX2                    | elsewhere         |
/// |----------|-----------------------|-------------------------|-------------------|
/// | 32 bits  | masked vmovdqu32      | vpmaskmovd              | through the stack |
/// | 8 bits   | masked vmovdqu8       | through the stack       | through the stack |
///
/// A masked instruction neither reads nor writes memory of lanes that are left out. A load through
/// the stack waits until the lanes, which are written one by one, can be read as a register.
/// Read next: gemm/epilogue.hpp.

#include "fewbit/begin.hpp"

#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "fewbit/arch/vec.hpp"
#include "fewbit/config.hpp"

#if FEWBIT_HAS_AVX2
#include <immintrin.h>
#endif

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace arch {

namespace detail {

#if FEWBIT_HAS_AVX2
/// A register loaded from number 8 - n has -1 in its first n lanes.
inline constexpr std::int32_t first_lanes[16] = {-1, -1, -1, -1, -1, -1, -1, -1,
                                                 0,  0,  0,  0,  0,  0,  0,  0};

FEWBIT_ALWAYS_INLINE __m256i first_of_8(int n) noexcept {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(first_lanes + 8 - n));
}
#endif

#if FEWBIT_HAS_AVX512_VNNI
/// The first n <= Lanes of Lanes bits.
template <int Lanes>
FEWBIT_ALWAYS_INLINE std::uint64_t first_bits(int n) noexcept {
#if defined(__BMI2__)
  return _bzhi_u64(~std::uint64_t{0}, static_cast<unsigned>(n));
#else
  if (Lanes == 64 && n == 64) return ~std::uint64_t{0};
  return (std::uint64_t{1} << n) - 1;
#endif
}
#endif

/// Copies n < 2 * Most numbers in parts that are powers of two. Most is a power of two, or 0.
template <int Most, class T>
FEWBIT_ALWAYS_INLINE void copy_first(const T* from, T* to, int n) noexcept {
  if constexpr (Most > 0) {
    if ((n & Most) != 0) {
      std::memcpy(to, from, sizeof(T) * Most);
      from += Most;
      to += Most;
    }
    copy_first<Most / 2>(from, to, n);
  }
}

/// Whether a masked instruction loads and stores V.
template <class V>
inline constexpr bool is_maskable =
    V::is_native &&
    ((FEWBIT_HAS_AVX512_VNNI && sizeof(V) == 64 && sizeof(typename V::value_type) != 2) ||
     (FEWBIT_HAS_AVX2 && sizeof(V) == 32 && sizeof(typename V::value_type) == 4));

}  // namespace detail

/// Lanes p[0] .. p[n - 1], then lanes of 0. Nothing else is read.
///
/// @param n  0 to V::lanes
template <class V>
FEWBIT_ALWAYS_INLINE V load_first(const lane<V>* p, int n) noexcept {
  static_assert(sizeof(lane<V>) <= 4);
  if constexpr (detail::is_maskable<V>) {
#if FEWBIT_HAS_AVX512_VNNI
    if constexpr (sizeof(V) == 64) {
      const std::uint64_t mask = detail::first_bits<V::lanes>(n);
      __m512i bits;
      if constexpr (sizeof(lane<V>) == 4) {
        bits = _mm512_maskz_loadu_epi32(static_cast<__mmask16>(mask), p);
      } else {
        bits = _mm512_maskz_loadu_epi8(mask, p);
      }
      return V::from(reinterpret_cast<typename V::storage>(bits));
    } else
#endif
    {
#if FEWBIT_HAS_AVX2
      const __m256i bits =
          _mm256_maskload_epi32(reinterpret_cast<const int*>(p), detail::first_of_8(n));
      return V::from(reinterpret_cast<typename V::storage>(bits));
#endif
    }
  } else {
    lane<V> all[V::lanes] = {};
    for (int i = 0; i < n; ++i) all[i] = p[i];
    return V::load(all);
  }
}

/// Writes the first n lanes to p[0] .. p[n - 1], and nothing else.
///
/// @param n  0 to V::lanes
template <class V>
FEWBIT_ALWAYS_INLINE void store_first(const V& v, lane<V>* p, int n) noexcept {
  static_assert(sizeof(lane<V>) <= 4);
  if constexpr (detail::is_maskable<V>) {
#if FEWBIT_HAS_AVX512_VNNI
    if constexpr (sizeof(V) == 64) {
      const auto bits = reinterpret_cast<__m512i>(v.data);
      const std::uint64_t mask = detail::first_bits<V::lanes>(n);
      if constexpr (sizeof(lane<V>) == 4) {
        _mm512_mask_storeu_epi32(p, static_cast<__mmask16>(mask), bits);
      } else {
        _mm512_mask_storeu_epi8(p, mask, bits);
      }
    } else
#endif
    {
#if FEWBIT_HAS_AVX2
      _mm256_maskstore_epi32(reinterpret_cast<int*>(p), detail::first_of_8(n),
                             reinterpret_cast<__m256i>(v.data));
#endif
    }
  } else {
    lane<V> all[V::lanes];
    v.store(all);
    if constexpr (std::has_single_bit(unsigned{V::lanes})) {
      detail::copy_first<V::lanes>(all, p, n);
    } else {
      for (int i = 0; i < n; ++i) p[i] = all[i];
    }
  }
}

}}}  // namespace fewbit::arch

#include "fewbit/end.hpp"
