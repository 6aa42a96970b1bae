#pragma once
/// AVX512-VNNI: vpdpbusd on 512 bits, 32 registers.
///
/// | instruction      | computes                                      | why here                  |
/// |------------------|-----------------------------------------------|---------------------------|
/// | vpdpbusd zmm     | 16 sums of 4 products u8 x s8, added in int32 | 128 operations, exact     |
/// | vpbroadcastd m32 | four activations to all columns               | on a load port            |
///
/// Port bound: 2 vpdpbusd zmm per cycle (ports 0 and 5 of Intel servers, both multiply pipes of
/// Zen 5).

#include "fewbit/arch/vnni.hpp"

#if FEWBIT_HAS_AVX512_VNNI
#include <immintrin.h>

namespace fewbit::inline FEWBIT_ARCH_NAMESPACE::arch {

struct avx512_vnni_word {
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
};

template <class Lhs>
struct dot_unit<avx512_vnni, Lhs> : own_unit<vnni_unit<avx512_vnni_word, Lhs>> {};

template <int Bits>
struct stored_unit<avx512_vnni, Bits> : vnni_stored<avx512_vnni_word, 8, Bits> {};

}  // namespace fewbit::inline FEWBIT_ARCH_NAMESPACE::arch

#endif
