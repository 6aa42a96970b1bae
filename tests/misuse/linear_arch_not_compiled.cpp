// expect: this arch is not compiled in; add its -m flag, or use arch::native
#include "fewbit/ops/linear.hpp"

using namespace fewbit;

#if defined(__aarch64__)
using foreign = arch::avx2;
#else
using foreign = arch::neon;
#endif

void misuse(const row_matrix<float>& w) { linear<int8_per_row, dynamic_int8, foreign> layer(w); }
