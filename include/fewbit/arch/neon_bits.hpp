#pragma once
/// aarch64 Advanced SIMD: counts the ones of bytes in one instruction; 32 registers of 128 bits.
///
/// | instruction    | computes             | use                                 |
/// |----------------|----------------------|-------------------------------------|
/// | cnt            | the ones of 16 bytes | once per step of 128 bits           |
/// | add            | 16 counts of bytes   | once per step, for at most 31 steps |
/// | uaddlp, uadalp | 2 sums of 8 counts   | three instructions per 31 steps     |
///
/// Port bound: with eor, a step is 3 instructions. On two vector ports, 256 operations of binary
/// codes take 1.5 cycles.

#include "fewbit/begin.hpp"

#include "fewbit/arch/bit_unit.hpp"
#include "fewbit/arch/lookup_unit.hpp"
#include "fewbit/arch/table_unit.hpp"

#if FEWBIT_HAS_NEON
#include <arm_neon.h>

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace arch {

struct neon_bits : bit_words<2, 4, 4> {
  using counts = vec<std::uint8_t, 16>;
  static constexpr int steps_per_fold = 31;  // each adds at most 8 to a byte

  FEWBIT_ALWAYS_INLINE static counts add(const counts& sum, const words& bits) noexcept {
    const uint8x16_t ones = vcntq_u8(reinterpret_cast<uint8x16_t>(bits.data));
    return sum + counts::from(reinterpret_cast<counts::storage>(ones));
  }

  FEWBIT_ALWAYS_INLINE static words fold(const words& sums, const counts& bytes) noexcept {
    const uint32x4_t quads = vpaddlq_u16(vpaddlq_u8(reinterpret_cast<uint8x16_t>(bytes.data)));
    const uint64x2_t totals = vpadalq_u32(reinterpret_cast<uint64x2_t>(sums.data), quads);
    return words::from(reinterpret_cast<words::storage>(totals));
  }
};

template <>
struct bit_unit<neon> {
  using type = neon_bits;
};

struct neon_table : table_bytes<16, 4> {
  FEWBIT_ALWAYS_INLINE static bytes lookup(const std::uint8_t* table, const quads& i) noexcept {
    return bytes::from(reinterpret_cast<bytes::storage>(
        vqtbl1q_u8(vld1q_u8(table), reinterpret_cast<uint8x16_t>(i.data))));
  }
};

template <>
struct table_unit<neon> {
  using type = neon_table;
};

template <>
struct lookup_unit<neon, 4> {
  using type = paired_lookups4<neon_table>;
};

}}}  // namespace fewbit::arch

#endif

#include "fewbit/end.hpp"
