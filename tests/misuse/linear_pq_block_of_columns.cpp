// expect: a layer reads inputs in place: as a row_matrix of float
#include "fewbit/ops/linear.hpp"
#include "fewbit/ops/linear/pq.hpp"

using namespace fewbit;

void misuse(linear<pq<4, 4>>& layer, const Eigen::MatrixXf& x, row_matrix<float>& y) {
  layer(x.leftCols(8), y);
}
