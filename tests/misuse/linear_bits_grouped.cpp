// expect: a layer of bit planes takes one scale for each row
#include "fewbit/ops/linear.hpp"

using namespace fewbit;

void misuse(const row_matrix<float>& w) { linear<binary_grouped<32>, binary_inputs> layer(w); }
