#pragma once
/// Instruction sets as types.
///
/// A tag names an instruction set; `base` is the tag to fall back to. A kernel is specialized for
/// some tags. The other tags inherit the kernel of their base: `template <class Arch> struct kernel
/// : kernel<typename Arch::base> {};`. Read next: arch/vec.hpp (portable vectors), then the header
/// of one instruction set.

#include "fewbit/begin.hpp"

#include "fewbit/config.hpp"

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace arch {

/// Plain C++ loops without intrinsics.
struct scalar {
  static constexpr bool compiled = true;
  static constexpr const char* name = "scalar";
};

/// AVX2, 16 registers of 256 bits.
struct avx2 {
  using base = scalar;
  static constexpr bool compiled = FEWBIT_HAS_AVX2;
  static constexpr const char* name = "avx2";
};

/// AVX-VNNI: vpdpbusd with VEX encoding, 16 registers of 256 bits.
struct avx_vnni {
  using base = avx2;
  static constexpr bool compiled = FEWBIT_HAS_AVX_VNNI;
  static constexpr const char* name = "avx_vnni";
};

/// AVX-512 F, BW, VL and VNNI (Cascade Lake and later): 32 registers of 512 bits.
struct avx512_vnni {
  using base = avx2;
  static constexpr bool compiled = FEWBIT_HAS_AVX512_VNNI;
  static constexpr const char* name = "avx512_vnni";
};

/// avx512_vnni with VBMI, BITALG, VPOPCNTDQ and GFNI (Ice Lake, Zen 4 and later).
struct avx512_bitalg {
  using base = avx512_vnni;
  static constexpr bool compiled = FEWBIT_HAS_AVX512_BITALG;
  static constexpr const char* name = "avx512_bitalg";
};

/// Armv8.0 Advanced SIMD on aarch64: 32 registers of 128 bits.
struct neon {
  using base = scalar;
  static constexpr bool compiled = FEWBIT_HAS_NEON;
  static constexpr const char* name = "neon";
};

/// neon with sdot and udot (Armv8.2 dotprod).
struct neon_dotprod {
  using base = neon;
  static constexpr bool compiled = FEWBIT_HAS_NEON_DOTPROD;
  static constexpr const char* name = "neon_dotprod";
};

/// neon_dotprod with smmla and usmmla (Armv8.6 i8mm).
struct neon_i8mm {
  using base = neon_dotprod;
  static constexpr bool compiled = FEWBIT_HAS_NEON_I8MM;
  static constexpr const char* name = "neon_i8mm";
};

/// The strongest instruction set that the flags of this translation unit allow.
using native = FEWBIT_NATIVE_ARCH;

/// Instruction sets in order, to call something for each.
template <class... Archs>
struct list {
  static constexpr int size = sizeof...(Archs);

  /// Calls `f.template operator()<Arch>()` for each tag in order.
  template <class F>
  static constexpr void for_each(F&& f) {
    (f.template operator()<Archs>(), ...);
  }
};

namespace detail {

template <class Done, class... Rest>
struct filter {
  using type = Done;
};
template <class... Done, class First, class... Rest>
struct filter<list<Done...>, First, Rest...> {
  static auto next() {
    if constexpr (First::compiled) {
      return filter<list<Done..., First>, Rest...>{};
    } else {
      return filter<list<Done...>, Rest...>{};
    }
  }
  using type = typename decltype(next())::type;
};

}  // namespace detail

/// The tags whose instructions this translation unit may use, weakest first.
using compiled = typename detail::filter<list<>, scalar, avx2, avx_vnni, avx512_vnni, avx512_bitalg,
                                         neon, neon_dotprod, neon_i8mm>::type;

}}}  // namespace fewbit::arch

#include "fewbit/end.hpp"
