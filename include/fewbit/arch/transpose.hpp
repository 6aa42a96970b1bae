#pragma once
/// Transposes N registers of N lanes, and reduces each of N registers to one value.

#include "fewbit/begin.hpp"

#include <utility>

#include "fewbit/arch/vec.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace arch {

namespace detail {

/// Half 0: a[0], b[0], a[1], b[1], ... from the first halves of a and b. Half 1: the same from
/// their second halves.
template <int Half, class V, int... i>
FEWBIT_ALWAYS_INLINE V interleave(const V& a, const V& b,
                                  std::integer_sequence<int, i...>) noexcept {
  constexpr int first = Half * V::lanes / 2;
#if FEWBIT_HAS_VECTOR_TYPES && defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
  if constexpr (V::is_native) {
    return V::from(
        __builtin_shufflevector(a.data, b.data, (first + i / 2 + (i % 2) * V::lanes)...));
  }
#endif
#endif
  V v;
  (v.set(i, (i % 2 == 0 ? a : b)[first + i / 2]), ...);
  return v;
}

}  // namespace detail

/// Half 0: a[0], b[0], a[1], b[1], ... from the first halves of a and b. Half 1: the same from
/// their second halves.
template <int Half, class T, int N>
FEWBIT_ALWAYS_INLINE vec<T, N> interleaved(const vec<T, N>& a, const vec<T, N>& b) noexcept {
  return detail::interleave<Half>(a, b, std::make_integer_sequence<int, N>{});
}

/// Swaps rows[i][j] and rows[j][i]. Takes log2(N) rounds. Each round interleaves rows i and i+N/2.
template <class T, int N>
FEWBIT_ALWAYS_INLINE void transpose(vec<T, N> (&rows)[N]) noexcept {
  static_assert(std::has_single_bit(static_cast<unsigned>(N)));
  constexpr std::make_integer_sequence<int, N> lanes;
#pragma GCC unroll 8
  for (int round = 1; round < N; round *= 2) {
    vec<T, N> next[N];
#pragma GCC unroll 32
    for (int i = 0; i < N / 2; ++i) {
      next[2 * i] = detail::interleave<0>(rows[i], rows[i + N / 2], lanes);
      next[2 * i + 1] = detail::interleave<1>(rows[i], rows[i + N / 2], lanes);
    }
#pragma GCC unroll 32
    for (int i = 0; i < N; ++i) rows[i] = next[i];
  }
}

/// Lane i of the result is f applied to all lanes of rows[i], two at a time, in an unspecified
/// order. f must be associative and commutative, for example a minimum.
template <class T, int N, class F>
FEWBIT_ALWAYS_INLINE vec<T, N> fold_rows(vec<T, N> (&rows)[N], const F& f) noexcept {
  static_assert(std::has_single_bit(static_cast<unsigned>(N)));
  constexpr std::make_integer_sequence<int, N> lanes;
#pragma GCC unroll 8
  for (int half = N / 2; half > 0; half /= 2) {
#pragma GCC unroll 32
    for (int i = 0; i < half; ++i) {
      rows[i] = f(detail::interleave<0>(rows[i], rows[i + half], lanes),
                  detail::interleave<1>(rows[i], rows[i + half], lanes));
    }
  }
  return rows[0];
}

}}}  // namespace fewbit::arch

#include "fewbit/end.hpp"
