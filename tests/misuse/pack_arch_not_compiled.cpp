// expect: this arch is not compiled in; add its -m flag, or use arch::native
#include "fewbit/gemm/int8/weights.hpp"

using namespace fewbit;

#if defined(__aarch64__)
using foreign = arch::avx2;
#else
using foreign = arch::neon;
#endif

void misuse(const row_matrix<std::int8_t>& w) { (void)gemm::pack_int8<std::int8_t, foreign>(w); }
