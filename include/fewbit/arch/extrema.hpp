#pragma once
/// The smaller and the larger of two registers, where g++ 12 makes two instructions of a comparison
/// and a selection: with AVX-512 it compares into a mask and blends.

#include <cstdint>
#include <type_traits>

#include "fewbit/config.hpp"

#if FEWBIT_HAS_AVX512_VNNI
#include <immintrin.h>
#endif

namespace fewbit::inline FEWBIT_ARCH_NAMESPACE::arch::detail {

/// a < b ? a : b, lane by lane.
template <class T, class Storage>
FEWBIT_ALWAYS_INLINE Storage smaller(const Storage& a, const Storage& b) noexcept {
#if FEWBIT_HAS_AVX512_VNNI
  if constexpr (sizeof(Storage) == 64 && std::is_same_v<T, float>) {
    return reinterpret_cast<Storage>(
        _mm512_min_ps(reinterpret_cast<__m512>(a), reinterpret_cast<__m512>(b)));
  } else if constexpr (sizeof(Storage) == 64 && sizeof(T) <= 4 && std::is_integral_v<T>) {
    const auto x = reinterpret_cast<__m512i>(a), y = reinterpret_cast<__m512i>(b);
    if constexpr (std::is_same_v<T, std::int32_t>) {
      return reinterpret_cast<Storage>(_mm512_min_epi32(x, y));
    } else if constexpr (std::is_same_v<T, std::int8_t>) {
      return reinterpret_cast<Storage>(_mm512_min_epi8(x, y));
    } else if constexpr (std::is_same_v<T, std::uint8_t>) {
      return reinterpret_cast<Storage>(_mm512_min_epu8(x, y));
    }
  }
#endif
  return a < b ? a : b;
}

/// a > b ? a : b, lane by lane.
template <class T, class Storage>
FEWBIT_ALWAYS_INLINE Storage larger(const Storage& a, const Storage& b) noexcept {
#if FEWBIT_HAS_AVX512_VNNI
  if constexpr (sizeof(Storage) == 64 && std::is_same_v<T, float>) {
    return reinterpret_cast<Storage>(
        _mm512_max_ps(reinterpret_cast<__m512>(a), reinterpret_cast<__m512>(b)));
  } else if constexpr (sizeof(Storage) == 64 && sizeof(T) <= 4 && std::is_integral_v<T>) {
    const auto x = reinterpret_cast<__m512i>(a), y = reinterpret_cast<__m512i>(b);
    if constexpr (std::is_same_v<T, std::int32_t>) {
      return reinterpret_cast<Storage>(_mm512_max_epi32(x, y));
    } else if constexpr (std::is_same_v<T, std::int8_t>) {
      return reinterpret_cast<Storage>(_mm512_max_epi8(x, y));
    } else if constexpr (std::is_same_v<T, std::uint8_t>) {
      return reinterpret_cast<Storage>(_mm512_max_epu8(x, y));
    }
  }
#endif
  return a > b ? a : b;
}

}  // namespace fewbit::inline FEWBIT_ARCH_NAMESPACE::arch::detail
