// expect: a layer reads inputs in place: as a row_matrix of float
#include "fewbit/ops/linear/two_scale.hpp"

using namespace fewbit;

void misuse(linear<ttq>& layer, const Eigen::VectorXf& x, Eigen::VectorXf& y) {
  layer(2.0F * x, y);
}
