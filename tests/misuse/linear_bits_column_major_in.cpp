// expect: a layer reads inputs in place: as a row_matrix of float
#include "fewbit/ops/linear.hpp"

using namespace fewbit;

void misuse(linear<binary_per_row, binary_inputs>& layer, const Eigen::MatrixXf& x,
            row_matrix<float>& y) {
  layer(x, y);
}
