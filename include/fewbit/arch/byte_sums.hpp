#pragma once
/// Sums of neighbouring bytes.
///
/// | instructions         | compute                              |
/// |----------------------|--------------------------------------|
/// | vpdpbusd             | 16 sums of 4 bytes, added in int32   |
/// | vpmaddubsw, vpmaddwd | 8 sums of 4 bytes, exact: <= 4 * 255 |
/// | saddlp, sadalp       | 4 sums of 4 bytes, exact             |

#include "fewbit/begin.hpp"

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "fewbit/arch/vec.hpp"

#if FEWBIT_HAS_AVX2
#include <immintrin.h>
#elif FEWBIT_HAS_NEON
#include <arm_neon.h>
#endif

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace arch {

/// Adds the sum of four codes to each lane of `sums`. Which codes go to which lane depends on the
/// processor; the sum of all lanes does not.
template <class Code, int N>
FEWBIT_ALWAYS_INLINE vec<std::int32_t, N / 4> add_fours(const vec<std::int32_t, N / 4>& sums,
                                                        const vec<Code, N>& codes) noexcept {
  static_assert(sizeof(Code) == 1);
  using ints = vec<std::int32_t, N / 4>;
#if FEWBIT_HAS_AVX512_VNNI
  if constexpr (N == 64) {
    const auto bytes = reinterpret_cast<__m512i>(codes.data);
    const auto before = reinterpret_cast<__m512i>(sums.data);
    const __m512i ones = _mm512_set1_epi8(1);
    const __m512i after = std::is_signed_v<Code> ? _mm512_dpbusd_epi32(before, ones, bytes)
                                                 : _mm512_dpbusd_epi32(before, bytes, ones);
    return ints::from(reinterpret_cast<typename ints::storage>(after));
  }
#endif
#if FEWBIT_HAS_AVX2
  if constexpr (N == 32) {
    const auto bytes = reinterpret_cast<__m256i>(codes.data);
    const __m256i ones = _mm256_set1_epi8(1);
    const __m256i pairs = std::is_signed_v<Code> ? _mm256_maddubs_epi16(ones, bytes)
                                                 : _mm256_maddubs_epi16(bytes, ones);
    const __m256i fours = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
    return sums + ints::from(reinterpret_cast<typename ints::storage>(fours));
  }
#elif FEWBIT_HAS_NEON
  if constexpr (N == 16) {
    const auto before = reinterpret_cast<int32x4_t>(sums.data);
    if constexpr (std::is_signed_v<Code>) {
      return ints::from(reinterpret_cast<typename ints::storage>(
          vpadalq_s16(before, vpaddlq_s8(reinterpret_cast<int8x16_t>(codes.data)))));
    } else {
      const uint16x8_t pairs = vpaddlq_u8(reinterpret_cast<uint8x16_t>(codes.data));
      return ints::from(reinterpret_cast<typename ints::storage>(
          vpadalq_s16(before, vreinterpretq_s16_u16(pairs))));
    }
  }
#endif
  ints r = sums;
  r += convert<std::int32_t>(part<0, N / 4>(codes));
  r += convert<std::int32_t>(part<1, N / 4>(codes));
  r += convert<std::int32_t>(part<2, N / 4>(codes));
  r += convert<std::int32_t>(part<3, N / 4>(codes));
  return r;
}

/// The sum of `count` codes; exact for count <= 2^23.
template <class Code>
[[nodiscard]] std::int32_t sum_of_bytes(const Code* codes, std::ptrdiff_t count) noexcept {
  using bytes = vec<Code, native_lanes<Code>>;
  vec<std::int32_t, bytes::lanes / 4> sums(0);
  std::ptrdiff_t k = 0;
  for (; k + bytes::lanes <= count; k += bytes::lanes)
    sums = add_fours(sums, bytes::load(codes + k));
  std::int32_t sum = sum_of_lanes(sums);
  for (; k < count; ++k) sum += codes[k];
  return sum;
}

}}}  // namespace fewbit::arch

#include "fewbit/end.hpp"
