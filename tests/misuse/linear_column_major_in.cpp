// expect: a layer reads inputs in place: as a row_matrix of float
#include "fewbit/ops/linear.hpp"

using namespace fewbit;

void misuse(linear<int8_per_row>& layer, const Eigen::MatrixXf& x, row_matrix<float>& y) {
  layer(x, y);
}
