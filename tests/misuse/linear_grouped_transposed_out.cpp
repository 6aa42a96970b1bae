// expect: a layer writes outputs in place: to a row_matrix of float
#include "fewbit/ops/linear.hpp"

using namespace fewbit;

void misuse(linear<int4_grouped<32>>& layer, const row_matrix<float>& x, row_matrix<float>& y) {
  layer(x, y.transpose());
}
