#pragma once
/// Looks up floats in a list by codes of a few bits: the levels of a codebook.
///
/// | instructions               | levels | lanes | where                                        |
/// |----------------------------|--------|-------|----------------------------------------------|
/// | vpermps zmm                | 16     | 16    | AVX512; p5                                   |
/// | vpermps ymm                | 8      | 8     | AVX2; p5                                     |
/// | two vpermps ymm, vblendvps | 16     | 8     | AVX2; bit 3 of a code, shifted to the sign,  |
/// |                            |        |       | selects the half of the list                 |
/// | tbl of 4 registers         | 16     | 4     | NEON; looks up the four bytes of each level  |
/// | loads, lane by lane        | 256    | any   | elsewhere                                    |
///
/// Codes are unsigned. A 1-bit code is passed as two bits, 0 or 2: only entries 0 and 2 of its list
/// of 4 are used.

#include "fewbit/begin.hpp"

#include <cstdint>

#include "fewbit/arch/vec.hpp"

#if FEWBIT_HAS_AVX2
#include <immintrin.h>
#elif FEWBIT_HAS_NEON
#include <arm_neon.h>
#endif

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace arch {

/// levels[code] for the code in the low Bits bits of each lane; higher bits are ignored.
template <int Bits, int Lanes>
class level_values {
  static_assert(Bits >= 2, "fewbit: a 1-bit code is passed as two bits, 0 or 2");

 public:
  using words = vec<std::uint32_t, Lanes>;
  using reals = vec<float, Lanes>;

  /// Number of floats in the list: 2^Bits levels, repeated until there are at least 16.
  static constexpr int list_size = Bits < 4 ? 16 : 1 << Bits;

  FEWBIT_ALWAYS_INLINE explicit level_values(const float* levels) noexcept : levels_(levels) {}

  FEWBIT_ALWAYS_INLINE reals operator()(const words& codes) const noexcept {
#if FEWBIT_HAS_AVX512_VNNI
    if constexpr (Bits <= 4 && Lanes == 16) {
      return from(
          _mm512_permutexvar_ps(reinterpret_cast<__m512i>(codes.data), _mm512_loadu_ps(levels_)));
    }
#endif
#if FEWBIT_HAS_AVX2
    if constexpr (Bits <= 4 && Lanes == 8) {
      const auto places = reinterpret_cast<__m256i>(codes.data);
      const __m256 low = _mm256_permutevar8x32_ps(_mm256_loadu_ps(levels_), places);
      if constexpr (Bits < 4) return from(low);
      const __m256 high = _mm256_permutevar8x32_ps(_mm256_loadu_ps(levels_ + 8), places);
      const auto is_high = _mm256_castsi256_ps(_mm256_slli_epi32(places, 28));
      return from(_mm256_blendv_ps(low, high, is_high));
    }
#elif FEWBIT_HAS_NEON
    if constexpr (Bits <= 4 && Lanes == 4) {
      const uint8x16x4_t table = vld1q_u8_x4(reinterpret_cast<const std::uint8_t*>(levels_));
      const words low = codes & words(15U);
      const words bytes = low * words(0x04040404U) + words(0x03020100U);
      return from(vqtbl4q_u8(table, reinterpret_cast<uint8x16_t>(bytes.data)));
    }
#endif
    reals values;
    for (int i = 0; i < Lanes; ++i) values.set(i, levels_[codes[i] & ((1U << Bits) - 1)]);
    return values;
  }

 private:
  template <class Register>
  FEWBIT_ALWAYS_INLINE static reals from(const Register& values) noexcept {
    return reals::from(reinterpret_cast<typename reals::storage>(values));
  }

  const float* levels_;
};

}}}  // namespace fewbit::arch

#include "fewbit/end.hpp"
