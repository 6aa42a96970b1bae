#pragma once
/// Looks up bytes in a table of 256 bytes. Codes are the indices.
///
/// | arch          | lookup                                                              | bytes at once |
/// |---------------|---------------------------------------------------------------------|---------------|
/// | any           | one load for each byte                                              | 64            |
/// | avx2          | 16 vpshufb, joined by 14 vpblendvb                                  | 64            |
/// | avx512_bitalg | two vpermi2b, each on 128 entries; the highest bit selects a result | 64            |
/// | neon          | four tbl of 64 entries each                                         | 64            |
///
/// On AVX2, part i of the table holds entries 16 i .. 16 i + 15. vpshufb looks up the low four bits
/// of a code in a part and returns 0 if the highest bit of the code is set. Three levels of
/// vpblendvb select one of eight parts by bits 4, 5 and 6.
///
/// Read next: ops/code_table.hpp.

#include "fewbit/begin.hpp"

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

class byte_lookup {
 public:
  /// Number of bytes that one call of a step looks up.
  static constexpr int at_once = 64;

  byte_lookup() = default;
  explicit byte_lookup(const std::uint8_t* entries) noexcept {
    std::memcpy(&table_[0], entries, 256);
  }

  /// The table in registers, where it fits.
  class step {
   public:
#if FEWBIT_HAS_AVX512_BITALG
    FEWBIT_ALWAYS_INLINE explicit step(const byte_lookup& t) noexcept
        : part_{_mm512_load_si512(&t.table_[0]), _mm512_load_si512(&t.table_[64]),
                _mm512_load_si512(&t.table_[128]), _mm512_load_si512(&t.table_[192])} {}

    FEWBIT_ALWAYS_INLINE void operator()(const std::uint8_t* x, std::uint8_t* y) const noexcept {
      const __m512i codes = _mm512_loadu_si512(x);
      const __m512i low = _mm512_permutex2var_epi8(part_[0], codes, part_[1]);
      const __m512i high = _mm512_permutex2var_epi8(part_[2], codes, part_[3]);
      _mm512_storeu_si512(y, _mm512_mask_blend_epi8(_mm512_movepi8_mask(codes), low, high));
    }

   private:
    __m512i part_[4];
#elif FEWBIT_HAS_AVX2
    FEWBIT_ALWAYS_INLINE explicit step(const byte_lookup& t) noexcept : table_(&t.table_[0]) {}

    FEWBIT_ALWAYS_INLINE void operator()(const std::uint8_t* x, std::uint8_t* y) const noexcept {
      const auto* from = reinterpret_cast<const __m256i*>(x);
      auto* to = reinterpret_cast<__m256i*>(y);
      const __m256i first = look_up(_mm256_loadu_si256(from));
      const __m256i second = look_up(_mm256_loadu_si256(from + 1));
      _mm256_storeu_si256(to, first);
      _mm256_storeu_si256(to + 1, second);
    }

   private:
    FEWBIT_ALWAYS_INLINE __m256i look_up(__m256i code) const noexcept {
      // 16-bit shifts move bits 4, 5 and 6 of each byte to its highest bit, which vpblendvb reads.
      const __m256i bit[3] = {_mm256_slli_epi16(code, 3), _mm256_slli_epi16(code, 2),
                              _mm256_slli_epi16(code, 1)};
      const __m256i flipped = _mm256_xor_si256(code, _mm256_set1_epi8(-128));
      return _mm256_or_si256(select(0, code, bit), select(8, flipped, bit));
    }

    /// The entry in parts first ... first + 7, or 0.
    FEWBIT_ALWAYS_INLINE __m256i select(int first, __m256i code,
                                        const __m256i (&bit)[3]) const noexcept {
      const auto pair = [&](int i) FEWBIT_INLINE_LAMBDA {
        return _mm256_blendv_epi8(_mm256_shuffle_epi8(part(first + i), code),
                                  _mm256_shuffle_epi8(part(first + i + 1), code), bit[0]);
      };
      const __m256i low = _mm256_blendv_epi8(pair(0), pair(2), bit[1]);
      const __m256i high = _mm256_blendv_epi8(pair(4), pair(6), bit[1]);
      return _mm256_blendv_epi8(low, high, bit[2]);
    }

    FEWBIT_ALWAYS_INLINE __m256i part(int i) const noexcept {
      return _mm256_broadcastsi128_si256(
          _mm_load_si128(reinterpret_cast<const __m128i*>(table_ + 16 * i)));
    }
    const std::uint8_t* table_;
#elif FEWBIT_HAS_NEON
    FEWBIT_ALWAYS_INLINE explicit step(const byte_lookup& t) noexcept
        : part_{vld1q_u8_x4(&t.table_[0]), vld1q_u8_x4(&t.table_[64]), vld1q_u8_x4(&t.table_[128]),
                vld1q_u8_x4(&t.table_[192])} {}

    FEWBIT_ALWAYS_INLINE void operator()(const std::uint8_t* x, std::uint8_t* y) const noexcept {
      const uint8x16_t part = vdupq_n_u8(64);
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v) {
        uint8x16_t code = vld1q_u8(x + 16 * v);
        uint8x16_t found = vqtbl4q_u8(part_[0], code);
#pragma GCC unroll 3
        for (int i = 1; i < 4; ++i) {
          code = vsubq_u8(code, part);
          found = vqtbx4q_u8(found, part_[i], code);
        }
        vst1q_u8(y + 16 * v, found);
      }
    }

   private:
    uint8x16x4_t part_[4];
#else
    FEWBIT_ALWAYS_INLINE explicit step(const byte_lookup& t) noexcept : table_(&t.table_[0]) {}

    FEWBIT_ALWAYS_INLINE void operator()(const std::uint8_t* x, std::uint8_t* y) const noexcept {
      for (int i = 0; i < at_once; ++i) y[i] = table_[x[i]];
    }

   private:
    const std::uint8_t* table_;
#endif
  };

  /// The entry of one code.
  [[nodiscard]] std::uint8_t operator[](std::uint8_t code) const noexcept { return table_[code]; }

 private:
  alignas(64) std::uint8_t table_[256] = {};
};

}}}  // namespace fewbit::arch

#include "fewbit/end.hpp"
