// expect: a layer of bit planes takes symmetric weights
#include "fewbit/ops/linear.hpp"

using namespace fewbit;

void misuse(const row_matrix<float>& w) { linear<uint8_affine_per_row, binary_inputs> layer(w); }
