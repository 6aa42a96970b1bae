#pragma once
/// Converts codes of a few bits to floats, in one or three instructions per register.
///
/// | instructions | compute                                         | where                       |
/// |--------------|-------------------------------------------------|-----------------------------|
/// | vpermps zmm  | a float looked up by the low 4 bits of its lane | AVX512, up to 4 bits; p5    |
/// | and, or, sub | bits of the float 2^23 + code,                  | elsewhere                   |
/// |              | then minus (2^23 + zero point)                  |                             |
///
/// Both are exact, so both give the same floats, also if values are scaled by a power of two. Codes
/// are unsigned. A 1-bit code is passed as two bits, as the value 0 or 2 that it means.

#include "fewbit/begin.hpp"

#include <bit>
#include <cstdint>

#include "fewbit/arch/vec.hpp"

#if FEWBIT_HAS_AVX512_VNNI
#include <immintrin.h>
#endif

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace arch {

/// float(code - zero) * unit for the code in the low Bits bits of each lane; higher bits are
/// ignored. `unit` is a power of two from 2^-100 to 1.
///
/// @tparam Affine  each lane has its own zero point
template <int Bits, int Lanes, bool Affine>
class code_values {
  static_assert(Bits >= 2, "fewbit: a 1-bit code is passed as two bits, 0 or 2");

 public:
  using words = vec<std::uint32_t, Lanes>;
  using reals = vec<float, Lanes>;

  /// One zero point for all lanes.
  FEWBIT_ALWAYS_INLINE explicit code_values(int zero, float unit = 1.0F) noexcept
    requires(!Affine)
      : code_values(reals(static_cast<float>(zero)), zero, unit) {}

  /// Zero points of 0 .. 256.
  FEWBIT_ALWAYS_INLINE explicit code_values(const reals& zeros, float unit = 1.0F) noexcept
    requires(Affine)
      : code_values(zeros, 0, unit) {}

  FEWBIT_ALWAYS_INLINE reals operator()(const words& codes) const noexcept {
    if constexpr (looks_up) {
      const reals values = look_up(codes);
      return Affine ? values - zeros_ : values;
    } else {
      const words counts = codes & words((1U << Bits) - 1);
      return bits_as<float>(words(counts | words(exponent_))) - table_;
    }
  }

 private:
  static constexpr bool looks_up = FEWBIT_HAS_AVX512_VNNI && Lanes == 16 && Bits <= 4;

  FEWBIT_ALWAYS_INLINE code_values(const reals& zeros, int zero_of_table, float unit) noexcept
      : table_((reals(0x1p23F) + zeros) * reals(unit)),
        zeros_(zeros * reals(unit)),
        exponent_(std::bit_cast<std::uint32_t>(0x1p23F * unit)) {
    if constexpr (looks_up) {
      for (int i = 0; i < Lanes; ++i) table_.set(i, static_cast<float>(i % (1 << Bits)));
      table_ = (table_ - reals(static_cast<float>(zero_of_table))) * reals(unit);
    }
  }

  FEWBIT_ALWAYS_INLINE reals look_up([[maybe_unused]] const words& codes) const noexcept {
#if FEWBIT_HAS_AVX512_VNNI
    if constexpr (looks_up) {
      return reals::from(reinterpret_cast<typename reals::storage>(_mm512_permutexvar_ps(
          reinterpret_cast<__m512i>(codes.data), reinterpret_cast<__m512>(table_.data))));
    }
#endif
    return reals(0.0F);
  }

  reals table_;  // value of each 4-bit index minus the common zero point; or 2^23 + zero
  reals zeros_;
  std::uint32_t exponent_;  // bits of the float 2^23 * unit
};

}}}  // namespace fewbit::arch

#include "fewbit/end.hpp"
