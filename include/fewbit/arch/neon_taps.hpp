#pragma once
/// aarch64: the tap unit (arch/tap_unit.hpp). smlal adds four products of int16 to int32 lanes.

#include "fewbit/begin.hpp"

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "fewbit/arch/tap_unit.hpp"

#if FEWBIT_HAS_NEON
#include <arm_neon.h>

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace arch {

template <class Code>
struct neon_taps : wide_taps {
  using code = Code;
  using smaller = portable_tap_unit<Code>;
  using wide = neon_taps;
  static constexpr int lanes = 4;
  static constexpr int registers = 4;
  static constexpr int channels = 16;
  static constexpr int depth = 1;
  static constexpr int pixels = 4;
  static constexpr int input_offset = 0;

  using accumulator = vec<std::int32_t, lanes>;
  struct column {
    int16x8_t taps[2];
  };

  static constexpr int channel_of(int i, int lane) noexcept { return i * lanes + lane; }

  FEWBIT_ALWAYS_INLINE static column load(const Code* const* taps, std::ptrdiff_t c) noexcept {
    if constexpr (std::is_signed_v<Code>) {
      const int8x16_t codes = vld1q_s8(taps[0] + c);
      return {{vmovl_s8(vget_low_s8(codes)), vmovl_high_s8(codes)}};
    } else {
      const uint8x16_t codes = vld1q_u8(taps[0] + c);
      return {{vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(codes))),
               vreinterpretq_s16_u16(vmovl_high_u8(codes))}};
    }
  }

  template <int i>
  FEWBIT_ALWAYS_INLINE static accumulator add(const accumulator& sum, const column& x,
                                              const weight* w) noexcept {
    const int16x4_t part = i % 2 == 0 ? vget_low_s16(x.taps[i / 2]) : vget_high_s16(x.taps[i / 2]);
    return accumulator::from(reinterpret_cast<accumulator::storage>(
        vmlal_s16(reinterpret_cast<int32x4_t>(sum.data), part, vld1_s16(w))));
  }

  template <class Out>
  FEWBIT_ALWAYS_INLINE static vec<Out, channels> narrow(const accumulator (&sums)[registers],
                                                        std::int32_t offset) noexcept {
    return saturated<Out>(sums, offset);
  }
};

template <class Code>
struct tap_unit<neon, Code> {
  using type = neon_taps<Code>;
};

}}}  // namespace fewbit::arch

#endif

#include "fewbit/end.hpp"
