// expect: a layer writes outputs where they stay: to a row_matrix of float
#include "fewbit/ops/linear.hpp"

using namespace fewbit;

void misuse(linear<int8_per_row>& layer, const row_matrix<float>& x, Eigen::MatrixXf& y) {
  layer(x, y);
}
