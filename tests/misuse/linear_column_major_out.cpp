// expect: a layer writes outputs in place: to a row_matrix of float
#include "fewbit/ops/linear.hpp"

using namespace fewbit;

void misuse(linear<int8_per_row>& layer, const row_matrix<float>& x, Eigen::MatrixXf& y) {
  layer(x, y);
}
