// expect: they must not be const
#include "fewbit/ops/linear.hpp"

using namespace fewbit;

void misuse(linear<int8_per_row>& layer, const row_matrix<float>& x, const row_matrix<float>& y) {
  layer(x, y);
}
