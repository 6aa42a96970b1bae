#pragma once
/// Every instruction set this translation unit is compiled for.

#include "fewbit/arch/avx2.hpp"
#include "fewbit/arch/avx512_vnni.hpp"
#include "fewbit/arch/avx_vnni.hpp"
#include "fewbit/arch/neon.hpp"
