#pragma once
/// AVX-VNNI: vpdpbusd on 256 bits with VEX encoding, so 16 registers.
///
/// | instruction      | computes                                      | why here                  |
/// |------------------|-----------------------------------------------|---------------------------|
/// | vpdpbusd ymm     | 8 sums of 4 products u8 x s8, added in int32  | 64 operations, exact      |
/// | vpbroadcastd m32 | copies four activations to all columns        | runs on a load port       |
///
/// Port bound: one vpdpbusd per cycle on each port that executes it (2 per cycle on Golden Cove and
/// Zen 5).

#include "fewbit/begin.hpp"

#include "fewbit/arch/avx2.hpp"
#include "fewbit/arch/vnni.hpp"

#if FEWBIT_HAS_AVX_VNNI
#include <immintrin.h>

namespace fewbit { inline namespace FEWBIT_ARCH_NAMESPACE { namespace arch {

struct avx_vnni_word : avx2_floats {
  using fields = shifted_fields;
  static constexpr int lanes = 8;
  using ints = vec<std::int32_t, lanes>;

  FEWBIT_ALWAYS_INLINE static ints broadcast(std::int32_t quad) noexcept {
    return ints::from(reinterpret_cast<ints::storage>(_mm256_set1_epi32(quad)));
  }

  FEWBIT_ALWAYS_INLINE static ints dpbusd(const ints& sum, const ints& unsigned_bytes,
                                          const ints& signed_bytes) noexcept {
    return ints::from(reinterpret_cast<ints::storage>(_mm256_dpbusd_avx_epi32(
        reinterpret_cast<__m256i>(sum.data), reinterpret_cast<__m256i>(unsigned_bytes.data),
        reinterpret_cast<__m256i>(signed_bytes.data))));
  }

  /// dpbusd with four signed bytes of memory, broadcast to all lanes.
  FEWBIT_ALWAYS_INLINE static ints dpbusd_quad(const ints& sum, const ints& unsigned_bytes,
                                               const std::int8_t* signed_bytes) noexcept {
    return dpbusd(sum, unsigned_bytes, broadcast(quad_of(signed_bytes)));
  }
};

template <class Lhs>
struct dot_unit<avx_vnni, Lhs> : own_unit<vnni_unit<avx_vnni_word, Lhs>> {};

template <int Bits>
struct stored_unit<avx_vnni, Bits> : avx_vnni_stored<avx_vnni_word, Bits> {};

}}}  // namespace fewbit::arch

#endif

#include "fewbit/end.hpp"
