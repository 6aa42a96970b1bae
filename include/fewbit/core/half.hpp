#pragma once
/// IEEE half precision in 16 bits: the format of scales in many weight files.
///
/// Conversions use no special instruction and no type of the compiler, so their bits are the same
/// everywhere. A half has 1 sign bit, 5 exponent bits and 10 fraction bits. Subnormals are
/// multiples of 2^-24. The largest number is 65504. Read next: formats/ggml_blocks.hpp, which
/// stores scales in this format.

#include "fewbit/begin.hpp"

#include <cstdint>

#include "fewbit/arch/convert.hpp"
#include "fewbit/arch/vec.hpp"
#include "fewbit/config.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE {

/// The nearest half, ties to even. If |x| >= 65520 it is infinity. A NaN becomes 0x7E00 with the
/// sign of x.
///
/// @param x  a float, or a vec of floats
template <class V>
FEWBIT_ALWAYS_INLINE arch::rebind<V, std::uint16_t> to_half(const V& x) noexcept {
  using ints = arch::rebind<V, std::int32_t>;
  const ints bits = arch::bits_as<std::int32_t>(x);
  const ints sign = (bits >> ints(16)) & ints(0x8000);
  const ints size = bits & ints(0x7FFFFFFF);
  // From 2^-14 up, a half is the float with an exponent lower by 112; a carry rounds the fraction.
  const ints kept = arch::min(size, ints(0x47800000));
  const ints odd = (kept >> ints(13)) & ints(1);
  const ints normal = ((kept + odd + ints(0xFFF)) >> ints(13)) - ints(112 << 10);
  // Floats from 0.5 to 1 are 2^-24 apart, like subnormal halves, so the sum rounds to one of them.
  const V raised = arch::bits_as<float>(size) + V(0.5F);
  const ints subnormal = arch::bits_as<std::int32_t>(raised) - ints(0x3F000000);
  const ints number = arch::select(size < ints(0x38800000), subnormal, normal);
  const ints half = arch::select(ints(0x7F800000) < size, ints(0x7E00), number);
  return arch::convert<std::uint16_t>(ints(half | sign));
}

/// The float of the same value. A NaN stays a NaN, infinity stays infinity.
///
/// @param half  a std::uint16_t, or a vec of them
template <class H>
FEWBIT_ALWAYS_INLINE arch::rebind<H, float> from_half(const H& half) noexcept {
  using ints = arch::rebind<H, std::int32_t>;
  using floats = arch::rebind<H, float>;
  const ints bits = arch::bits_as<std::int32_t>(arch::widened(half));
  const ints size = (bits & ints(0x7FFF)) << ints(13);
  // The exponent of a half read as a float is too low by 112. The product is exact, for subnormals
  // too.
  const floats number = arch::bits_as<float>(size) * floats(0x1p112F);
  const ints special = size | ints(0x7F800000);
  const ints value =
      arch::select(size < ints(0x0F800000), arch::bits_as<std::int32_t>(number), special);
  const ints sign = (bits & ints(0x8000)) << ints(16);
  return arch::bits_as<float>(ints(value | sign));
}

}}  // namespace fewbit

#include "fewbit/end.hpp"
