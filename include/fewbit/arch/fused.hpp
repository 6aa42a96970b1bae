#pragma once
/// a * b + c with one rounding, and two ways to compare the lanes of a register.
///
/// IEEE 754 defines the result of a fused multiply-add, so sums computed with it have the same bits
/// on every processor. It is twice as fast as a product and a sum that are rounded separately with
/// arch::rounded (arch/vec.hpp). Without the instruction it is computed in double, about ten times
/// slower.

#include "fewbit/begin.hpp"

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "fewbit/arch/vec.hpp"
#include "fewbit/config.hpp"

#if FEWBIT_HAS_AVX2
#include <immintrin.h>
#elif FEWBIT_HAS_NEON
#include <arm_neon.h>
#endif

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace arch {

namespace detail {

#if defined(__FMA__) || defined(__aarch64__) || defined(__FP_FAST_FMAF)
inline constexpr bool has_fused = true;
#else
inline constexpr bool has_fused = false;
#endif

/// a * b + c, computed in double, where the product of two floats is exact. The sum is rounded to
/// odd: an inexact sum becomes the neighbour whose last bit is 1. Therefore the second rounding, to
/// float, never takes an inexact sum for a tie.
/// Source: Boldo and Melquiond 2008, "Emulation of FMA and correctly rounded sums: proved
/// algorithms using rounding to odd"; the error of the sum is computed by Knuth's method (TwoSum).
template <class V>
FEWBIT_ALWAYS_INLINE V fused_by_odd_rounding(const V& a, const V& b, const V& c) noexcept {
  using wide = arch::rebind<V, double>;
  using bits = arch::rebind<V, std::int64_t>;
  const wide product = rounded(wide(convert<double>(a) * convert<double>(b)));
  const wide addend = convert<double>(c);
  const wide sum = product + addend;
  const wide back = sum - product;
  const wide error = wide(product - wide(sum - back)) + wide(addend - back);
  const bits nearest = bits_as<std::int64_t>(sum);
  const bits away = bits_as<std::int64_t>(error) ^ nearest;
  const bits odd = add_wrapping(nearest, select(away < bits(0), bits(-1), bits(1)));
  const bits even = select(bits(nearest & bits(1)) == bits(0), odd, nearest);
  const bits below = select(error < wide(0), even, nearest);
  return convert<float>(bits_as<double>(select(error > wide(0), even, below)));
}

/// r = a * b + c for one register.
template <class Storage>
FEWBIT_ALWAYS_INLINE void fuse_register(const Storage& a, const Storage& b, const Storage& c,
                                        Storage& r) noexcept {
#if FEWBIT_HAS_AVX2 && defined(__FMA__)
  if constexpr (sizeof(Storage) == 64) {
#if defined(__AVX512F__)
    r = reinterpret_cast<Storage>(_mm512_fmadd_ps(
        reinterpret_cast<__m512>(a), reinterpret_cast<__m512>(b), reinterpret_cast<__m512>(c)));
#endif
  } else if constexpr (sizeof(Storage) == 32) {
    r = reinterpret_cast<Storage>(_mm256_fmadd_ps(
        reinterpret_cast<__m256>(a), reinterpret_cast<__m256>(b), reinterpret_cast<__m256>(c)));
  } else {
    r = reinterpret_cast<Storage>(_mm_fmadd_ps(
        reinterpret_cast<__m128>(a), reinterpret_cast<__m128>(b), reinterpret_cast<__m128>(c)));
  }
#elif FEWBIT_HAS_NEON
  r = reinterpret_cast<Storage>(vfmaq_f32(reinterpret_cast<float32x4_t>(c),
                                          reinterpret_cast<float32x4_t>(a),
                                          reinterpret_cast<float32x4_t>(b)));
#else
  static_cast<void>(a), static_cast<void>(b), static_cast<void>(c), static_cast<void>(r);
#endif
}

/// Number of floats in the widest register that fuse_register accepts; 0 if it accepts none.
inline constexpr int fused_lanes =
    (FEWBIT_HAS_AVX2 && has_fused) || FEWBIT_HAS_NEON ? native_lanes<float> : 0;

}  // namespace detail

/// a * b + c of floats, rounded once, lane by lane.
template <class V>
FEWBIT_ALWAYS_INLINE V fused_multiply_add(const V& a, const V& b, const V& c) noexcept {
  static_assert(std::is_same_v<lane<V>, float>);
  if constexpr (!is_vec<V>) {
    if constexpr (detail::has_fused) {
      return std::fma(a, b, c);
    } else {
      return detail::fused_by_odd_rounding(a, b, c);
    }
  } else if constexpr (V::is_native && V::lanes >= 4 && V::lanes <= detail::fused_lanes) {
    V r;
    detail::fuse_register(a.data, b.data, c.data, r.data);
    return r;
  } else if constexpr (V::is_native && !detail::has_fused) {
    return detail::fused_by_odd_rounding(a, b, c);
  } else {
    V r;
    for (int i = 0; i < V::lanes; ++i) r.set(i, fused_multiply_add(a[i], b[i], c[i]));
    return r;
  }
}

/// Index of the first lane that equals `value`. At least one lane must equal it.
template <class T, int N>
FEWBIT_ALWAYS_INLINE int first_equal_lane(const vec<T, N>& v, T value) noexcept {
#if FEWBIT_HAS_AVX2
  if constexpr (std::is_same_v<T, float> && N == 8) {
    const auto register_of = reinterpret_cast<__m256>(v.data);
#if FEWBIT_HAS_AVX512_VNNI
    const unsigned equal = _mm256_cmp_ps_mask(register_of, _mm256_set1_ps(value), _CMP_EQ_OQ);
#else
    const auto equal = static_cast<unsigned>(
        _mm256_movemask_ps(_mm256_cmp_ps(register_of, _mm256_set1_ps(value), _CMP_EQ_OQ)));
#endif
    return std::countr_zero(equal);
  }
#elif FEWBIT_HAS_NEON
  if constexpr (std::is_same_v<T, float> && N == 8) {
    const float32x4_t wanted = vdupq_n_f32(value);
    const uint32x4_t low = vceqq_f32(reinterpret_cast<float32x4_t>(part<0, 4>(v).data), wanted);
    const uint32x4_t high = vceqq_f32(reinterpret_cast<float32x4_t>(part<1, 4>(v).data), wanted);
    const uint8x8_t equal = vmovn_u16(vcombine_u16(vmovn_u32(low), vmovn_u32(high)));
    return std::countr_zero(vget_lane_u64(vreinterpret_u64_u8(equal), 0)) / 8;
  }
#endif
  int i = 0;
  while (i < N - 1 && !(v[i] == value)) ++i;
  return i;
}

/// Bit i is set if a[i] <= b[i].
template <int N>
FEWBIT_ALWAYS_INLINE std::uint32_t lanes_at_most(const vec<float, N>& a,
                                                 const vec<float, N>& b) noexcept {
#if FEWBIT_HAS_AVX512_VNNI
  if constexpr (N == 16) {
    return _mm512_cmp_ps_mask(reinterpret_cast<__m512>(a.data), reinterpret_cast<__m512>(b.data),
                              _CMP_LE_OQ);
  }
#endif
#if FEWBIT_HAS_AVX2
  if constexpr (N == 8) {
    return static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_cmp_ps(
        reinterpret_cast<__m256>(a.data), reinterpret_cast<__m256>(b.data), _CMP_LE_OQ)));
  }
#endif
  std::uint32_t bits = 0;
  for (int i = 0; i < N; ++i) bits |= (a[i] <= b[i] ? 1U : 0U) << i;
  return bits;
}

}}}  // namespace fewbit::arch

#include "fewbit/end.hpp"
