#pragma once
/// The step of depthwise convolutions: some taps of a block of channels times their weights.
///
///     accumulator[channel] += sum over d of x[tap d][channel] * w[tap d][channel]
///
/// d = 0 .. depth - 1 are pixels of one image column, one below the other. The channels of a block
/// are the lanes of a few registers. Members of a unit:
///
/// - code: type of the activations. weight: type of the packed weights; weight_min and weight_max
///   are the weights for which sums are exact.
/// - channels, lanes, registers: channels of a block = lanes of a register * registers.
/// - depth: taps of a step. pixels: outputs that the sums in registers have room for.
/// - input_offset: the unit multiplies x + input_offset, because its instruction needs an unsigned
///   operand. The caller subtracts input_offset * (sum of the weights).
/// - column: the taps of a step in registers; load(taps, c) reads channels c .. c + channels - 1 of
///   the pixels taps[0] .. taps[depth - 1]. One column serves all outputs that contain its pixels.
/// - add<i>(sum, column, w): the step of register i. Weights are in memory as [lane][d].
/// - channel_of(i, lane): the channel of the block that a lane of register i holds. Loads
///   interleave taps within parts of a register, so the order is not the natural one.
/// - narrow<Code>(sums, offset): the sums + offset, saturated to codes, in the natural order.
/// - smaller: a unit of fewer channels, or void. wide: a unit for weights that this one cannot
///   hold.
///
/// Every unit adds modulo 2^32; no product or sum saturates. `tap_unit<Arch, Code>::type` falls
/// back to the base of Arch. Read next: arch/avx2_taps.hpp; the loop around the step is
/// ops/depthwise/tile.hpp.

#include "fewbit/begin.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>

#include "fewbit/arch/arch.hpp"
#include "fewbit/arch/convert.hpp"
#include "fewbit/arch/vec.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace arch {

/// Weights of units that multiply int16: differences of 8-bit codes and zero points.
struct wide_taps {
  using weight = std::int16_t;
  static constexpr int weight_min = -255;
  static constexpr int weight_max = 255;
};

/// In portable vectors, one tap at a time.
template <class Code>
struct portable_tap_unit : wide_taps {
  using code = Code;
  using smaller = void;
  using wide = portable_tap_unit;
  static constexpr int lanes = 4;
  static constexpr int registers = 2;
  static constexpr int channels = lanes * registers;
  static constexpr int depth = 1;
  static constexpr int pixels = 2;
  static constexpr int input_offset = 0;

  using accumulator = vec<std::int32_t, lanes>;
  struct column {
    accumulator taps[registers];
  };

  static constexpr int channel_of(int i, int lane) noexcept { return i * lanes + lane; }

  FEWBIT_ALWAYS_INLINE static column load(const Code* const* taps, std::ptrdiff_t c) noexcept {
    const Code* p = taps[0] + c;
    return {{convert<std::int32_t>(vec<Code, lanes>::load(p)),
             convert<std::int32_t>(vec<Code, lanes>::load(p + lanes))}};
  }

  template <int i>
  FEWBIT_ALWAYS_INLINE static accumulator add(const accumulator& sum, const column& x,
                                              const weight* w) noexcept {
    const auto weights = convert<std::int32_t>(vec<weight, lanes>::load(w));
    return add_wrapping(sum, multiply_wrapping(x.taps[i], weights));
  }

  template <class Out>
  FEWBIT_ALWAYS_INLINE static vec<Out, channels> narrow(const accumulator (&sums)[registers],
                                                        std::int32_t offset) noexcept {
    vec<Out, channels> codes;
    saturated<Out>(sums[0], offset).store(reinterpret_cast<Out*>(&codes.data));
    saturated<Out>(sums[1], offset).store(reinterpret_cast<Out*>(&codes.data) + lanes);
    return codes;
  }
};

/// The unit of an instruction set. An arch without a specialization uses the unit of its base.
template <class Arch, class Code>
struct tap_unit : tap_unit<typename Arch::base, Code> {};

template <class Code>
struct tap_unit<scalar, Code> {
  using type = portable_tap_unit<Code>;
};

}}}  // namespace fewbit::arch

#include "fewbit/end.hpp"
