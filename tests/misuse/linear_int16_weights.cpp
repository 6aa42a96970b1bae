// expect: operators take weights of up to 8 bits
#include "fewbit/ops/linear.hpp"

using namespace fewbit;

void misuse(const row_matrix<float>& w) { linear<int16_per_row> layer(w); }
