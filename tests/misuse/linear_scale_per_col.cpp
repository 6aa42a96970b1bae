// expect: a scale per column changes along the sum over inputs and cannot be applied to the sum
#include "fewbit/ops/linear.hpp"

using namespace fewbit;

void misuse(const row_matrix<float>& w) { linear<int8_per_col> layer(w); }
