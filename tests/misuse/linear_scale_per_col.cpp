// expect: a scale per column varies along the sum over inputs and cannot leave it
#include "fewbit/ops/linear.hpp"

using namespace fewbit;

void misuse(const row_matrix<float>& w) { linear<int8_per_col> layer(w); }
