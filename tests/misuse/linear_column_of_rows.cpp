// expect: a vector, which is one row; copy other operands to a row_matrix first
#include "fewbit/ops/linear.hpp"

using namespace fewbit;

void misuse(linear<int8_per_row>& layer, const row_matrix<float>& x, Eigen::VectorXf& y) {
  layer(x.col(0), y);
}
