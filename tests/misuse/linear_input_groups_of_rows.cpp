// expect: dynamic_int8_groups take weights in groups
#include "fewbit/ops/linear.hpp"

using namespace fewbit;

void misuse(const row_matrix<float>& w) { linear<int8_per_row, dynamic_int8_groups> layer(w); }
