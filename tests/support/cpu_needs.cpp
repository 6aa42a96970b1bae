// The instruction sets that the flags of this build allow. They are constants, so that a processor
// without these instructions can read them.

#include "fewbit/config.hpp"

extern const bool needs_avx2;
extern const bool needs_avx_vnni;
extern const bool needs_avx512_vnni;
extern const bool needs_avx512_bitalg;

constexpr bool needs_avx2 = FEWBIT_HAS_AVX2;
constexpr bool needs_avx_vnni = FEWBIT_HAS_AVX_VNNI;
constexpr bool needs_avx512_vnni = FEWBIT_HAS_AVX512_VNNI;
constexpr bool needs_avx512_bitalg = FEWBIT_HAS_AVX512_BITALG;
