// expect: a layer reads inputs in place: as a row_matrix of float
#include "fewbit/ops/linear.hpp"

using namespace fewbit;

void misuse(const linear<int8_per_row, float_inputs>& layer, const row_matrix<float>& x,
            row_matrix<float>& y) {
  layer(2.0F * x, y);
}
