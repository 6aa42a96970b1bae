#pragma once
/// Looks up 16 floats at a time in a table of 16 or 256 floats. Codes are the indices.
///
/// | arch   | 16 floats                           | 256 floats     |
/// |--------|-------------------------------------|----------------|
/// | any    | one load for each float             | the same       |
/// | AVX2   | two vpermps, vblendvps selects one  | vgatherdps     |
/// | AVX512 | vpermps, the table in one register  | vgatherdps     |
///
/// Read next: codebook/pq_float_product.hpp.

#include "fewbit/begin.hpp"

#include <cstdint>

#include "fewbit/arch/vec.hpp"
#include "fewbit/config.hpp"

#if FEWBIT_HAS_AVX2
#include <immintrin.h>
#endif

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace arch {

#if FEWBIT_HAS_AVX2 && !FEWBIT_HAS_AVX512_VNNI
namespace detail {

template <int Entries>
FEWBIT_ALWAYS_INLINE vec<float, 8> lookup_eight(const float* table,
                                                const vec<std::int32_t, 8>& codes) noexcept {
  const auto index = reinterpret_cast<__m256i>(codes.data);
  __m256 found;
  if constexpr (Entries == 16) {
    const __m256 low = _mm256_permutevar8x32_ps(_mm256_loadu_ps(table), index);
    const __m256 high = _mm256_permutevar8x32_ps(_mm256_loadu_ps(table + 8), index);
    found = _mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32(index, 28)));
  } else {
    found = _mm256_i32gather_ps(table, index, 4);
  }
  return vec<float, 8>::from(reinterpret_cast<vec<float, 8>::storage>(found));
}

}  // namespace detail
#endif

/// table[codes[i]] in lane i; codes are 0 to Entries - 1.
template <int Entries>
FEWBIT_ALWAYS_INLINE vec<float, 16> lookup_floats(const float* table,
                                                  const vec<std::int32_t, 16>& codes) noexcept {
  static_assert(Entries == 16 || Entries == 256);
#if FEWBIT_HAS_AVX512_VNNI
  const auto index = reinterpret_cast<__m512i>(codes.data);
  const __m512 found = Entries == 16 ? _mm512_permutexvar_ps(index, _mm512_loadu_ps(table))
                                     : _mm512_i32gather_ps(index, table, 4);
  return vec<float, 16>::from(reinterpret_cast<vec<float, 16>::storage>(found));
#else
  float found[16];
#if FEWBIT_HAS_AVX2
  detail::lookup_eight<Entries>(table, part<0, 8>(codes)).store(found);
  detail::lookup_eight<Entries>(table, part<1, 8>(codes)).store(found + 8);
#else
  for (int i = 0; i < 16; ++i) found[i] = table[codes[i]];
#endif
  return vec<float, 16>::load(found);
#endif
}

}}}  // namespace fewbit::arch

#include "fewbit/end.hpp"
