#pragma once
/// AVX512-VNNI: vpdpbusd on 512 bits, 32 registers.
///
/// | instruction      | computes                                      | why here                  |
/// |------------------|-----------------------------------------------|---------------------------|
/// | vpdpbusd zmm     | 16 sums of 4 products u8 x s8, added in int32 | 128 operations, exact     |
/// | vpbroadcastd m32 | copies four activations to all columns        | runs on a load port       |
/// | vpdpbusd m32     | both at once, if each broadcast is used once  | half as many instructions |
///
/// Port bound: 2 vpdpbusd zmm per cycle (ports 0 and 5 of Intel servers, both multiply pipes of
/// Zen 5).

#include "fewbit/begin.hpp"

#include "fewbit/arch/vnni.hpp"

#if FEWBIT_HAS_AVX512_VNNI
#include <immintrin.h>

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace arch {

struct avx512_vnni_word {
  using fields = shifted_fields;
  static constexpr int lanes = 16;
  using ints = vec<std::int32_t, lanes>;

  FEWBIT_ALWAYS_INLINE static ints broadcast(std::int32_t quad) noexcept {
    return ints::from(reinterpret_cast<ints::storage>(_mm512_set1_epi32(quad)));
  }

  FEWBIT_ALWAYS_INLINE static ints dpbusd(const ints& sum, const ints& unsigned_bytes,
                                          const ints& signed_bytes) noexcept {
    return ints::from(reinterpret_cast<ints::storage>(_mm512_dpbusd_epi32(
        reinterpret_cast<__m512i>(sum.data), reinterpret_cast<__m512i>(unsigned_bytes.data),
        reinterpret_cast<__m512i>(signed_bytes.data))));
  }

  /// dpbusd with four signed bytes of memory, broadcast to all lanes. It is written in asm because
  /// g++ 12 does not make the broadcast part of the instruction. One instruction instead of two
  /// also saves a register.
  FEWBIT_ALWAYS_INLINE static ints dpbusd_quad(const ints& sum, const ints& unsigned_bytes,
                                               const std::int8_t* signed_bytes) noexcept {
    auto next = reinterpret_cast<__m512i>(sum.data);
    asm("vpdpbusd %2%{1to16%}, %1, %0"
        : "+v"(next)
        : "v"(unsigned_bytes.data), "m"(*reinterpret_cast<const std::int8_t(*)[4]>(signed_bytes)));
    return ints::from(reinterpret_cast<ints::storage>(next));
  }

  FEWBIT_ALWAYS_INLINE static vec<float, lanes> multiply_add(const vec<float, lanes>& a,
                                                             const vec<float, lanes>& b,
                                                             const vec<float, lanes>& c) noexcept {
    return vec<float, lanes>::from(_mm512_fmadd_ps(a.data, b.data, c.data));
  }
};

template <class Lhs>
struct dot_unit<avx512_vnni, Lhs> : own_unit<vnni_unit<avx512_vnni_word, Lhs>> {};

template <int Bits>
struct stored_unit<avx512_vnni, Bits> : avx512_vnni_stored<avx512_vnni_word, Bits> {};

}}}  // namespace fewbit::arch

#endif

#include "fewbit/end.hpp"
