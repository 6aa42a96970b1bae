// expect: a layer reads inputs in place: as a row_matrix of float
#include "fewbit/ops/linear.hpp"

using namespace fewbit;

void misuse(linear<int8_per_row, static_int8>& layer, const Eigen::VectorXd& x,
            Eigen::VectorXf& y) {
  layer(x, y);
}
