#pragma once
/// Minimum and maximum of two registers, lane by lane. With AVX-512, g++ 12 compiles a comparison
/// and a selection to two instructions: a comparison into a mask, and a blend. Each intrinsic here
/// is one instruction.

#include "fewbit/begin.hpp"

#include <cstdint>
#include <type_traits>

#include "fewbit/config.hpp"

#if FEWBIT_HAS_AVX512_VNNI
#include <immintrin.h>
#endif

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace arch::detail {

/// r = a < b ? a : b, lane by lane. (The result is a parameter because g++ warns that returning a
/// register depends on the -m flags.)
template <class T, class Storage>
FEWBIT_ALWAYS_INLINE void smaller(const Storage& a, const Storage& b, Storage& r) noexcept {
#if FEWBIT_HAS_AVX512_VNNI
  constexpr bool full = sizeof(Storage) == 64;
  if constexpr (full && std::is_same_v<T, float>) {
    r = reinterpret_cast<Storage>(
        _mm512_min_ps(reinterpret_cast<__m512>(a), reinterpret_cast<__m512>(b)));
  } else if constexpr (full && std::is_same_v<T, std::int32_t>) {
    r = reinterpret_cast<Storage>(
        _mm512_min_epi32(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
  } else if constexpr (full && std::is_same_v<T, std::int16_t>) {
    r = reinterpret_cast<Storage>(
        _mm512_min_epi16(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
  } else if constexpr (full && std::is_same_v<T, std::int8_t>) {
    r = reinterpret_cast<Storage>(
        _mm512_min_epi8(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
  } else if constexpr (full && std::is_same_v<T, std::uint8_t>) {
    r = reinterpret_cast<Storage>(
        _mm512_min_epu8(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
  } else {
    r = a < b ? a : b;
  }
#else
  r = a < b ? a : b;
#endif
}

/// r = a > b ? a : b, lane by lane.
template <class T, class Storage>
FEWBIT_ALWAYS_INLINE void larger(const Storage& a, const Storage& b, Storage& r) noexcept {
#if FEWBIT_HAS_AVX512_VNNI
  constexpr bool full = sizeof(Storage) == 64;
  if constexpr (full && std::is_same_v<T, float>) {
    r = reinterpret_cast<Storage>(
        _mm512_max_ps(reinterpret_cast<__m512>(a), reinterpret_cast<__m512>(b)));
  } else if constexpr (full && std::is_same_v<T, std::int32_t>) {
    r = reinterpret_cast<Storage>(
        _mm512_max_epi32(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
  } else if constexpr (full && std::is_same_v<T, std::int16_t>) {
    r = reinterpret_cast<Storage>(
        _mm512_max_epi16(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
  } else if constexpr (full && std::is_same_v<T, std::int8_t>) {
    r = reinterpret_cast<Storage>(
        _mm512_max_epi8(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
  } else if constexpr (full && std::is_same_v<T, std::uint8_t>) {
    r = reinterpret_cast<Storage>(
        _mm512_max_epu8(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
  } else {
    r = a > b ? a : b;
  }
#else
  r = a > b ? a : b;
#endif
}

}}}  // namespace fewbit::arch::detail

#include "fewbit/end.hpp"
