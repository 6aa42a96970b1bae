#pragma once
/// Looks up bytes in a table of 256 bytes. Codes are the indices.
///
/// | arch          | lookup                                                              | bytes at once |
/// |---------------|---------------------------------------------------------------------|---------------|
/// | any           | one load for each byte                                              | 64            |
/// | avx2          | 16 vpshufb of differences, joined by exclusive or                   | 128           |
/// | avx512_bitalg | two vpermi2b, each on 128 entries; the highest bit selects a result | 64            |
/// | neon          | four tbl of 64 entries each                                         | 64            |
///
/// On AVX2, part i of the table holds entries 16 i .. 16 i + 15, and vpshufb returns 0 for an index
/// with its highest bit set. The table stores the exclusive or of each part and the part before.
/// All parts up to that of the code are looked up with the low half of the code and joined, so that
/// all entries cancel but one. The index is reduced by 16 for each part, with saturation: it is
/// negative from the part after that of the code on.
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
  static constexpr int at_once = FEWBIT_HAS_AVX2 && !FEWBIT_HAS_AVX512_BITALG ? 128 : 64;

  byte_lookup() = default;

  explicit byte_lookup(const std::uint8_t* entries) noexcept {
    std::memcpy(&table_[0], entries, 256);
    if constexpr (stores_differences) {
      using part = vec<std::uint8_t, 16>;
      for (int i = 240; i > 0; i -= 16) {
        if (i != 128) (part::load(&table_[i]) ^ part::load(&table_[i - 16])).store(&table_[i]);
      }
    }
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
      __m256i low[4], high[4], found[4];
      const __m256i sixteen = _mm256_set1_epi8(16), flip = _mm256_set1_epi8(-128);
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v) {
        low[v] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + 32 * v));
        high[v] = _mm256_xor_si256(low[v], flip);
        found[v] = _mm256_setzero_si256();
      }
#pragma GCC unroll 8
      for (int i = 0; i < 8; ++i) {
        const __m256i of_low = part(i), of_high = part(i + 8);
#pragma GCC unroll 4
        for (int v = 0; v < 4; ++v) {
          found[v] = _mm256_xor_si256(found[v], _mm256_shuffle_epi8(of_low, low[v]));
          found[v] = _mm256_xor_si256(found[v], _mm256_shuffle_epi8(of_high, high[v]));
          low[v] = _mm256_subs_epi8(low[v], sixteen);
          high[v] = _mm256_subs_epi8(high[v], sixteen);
        }
      }
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v)
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(y + 32 * v), found[v]);
    }

   private:
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
  [[nodiscard]] std::uint8_t operator[](std::uint8_t code) const noexcept {
    if constexpr (!stores_differences) return table_[code];
    std::uint8_t found = 0;
    for (int i = code & 0x80; i <= code; i += 16)
      found = static_cast<std::uint8_t>(found ^ table_[i / 16 * 16 + code % 16]);
    return found;
  }

 private:
  static constexpr bool stores_differences = at_once == 128;

  alignas(64) std::uint8_t table_[256] = {};
};

}}}  // namespace fewbit::arch

#include "fewbit/end.hpp"
