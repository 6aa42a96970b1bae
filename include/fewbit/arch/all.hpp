#pragma once
/// Every instruction set this translation unit is compiled for.

#include "fewbit/begin.hpp"

#include "fewbit/arch/avx2.hpp"
#include "fewbit/arch/avx2_bits.hpp"
#include "fewbit/arch/avx512_bitalg.hpp"
#include "fewbit/arch/avx512_vnni.hpp"
#include "fewbit/arch/avx_vnni.hpp"
#include "fewbit/arch/neon.hpp"
#include "fewbit/arch/neon_bits.hpp"

#include "fewbit/end.hpp"
