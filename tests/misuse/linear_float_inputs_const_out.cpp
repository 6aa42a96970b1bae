// expect: they must not be const
#include "fewbit/ops/linear.hpp"

using namespace fewbit;

void misuse(const linear<int8_per_row, float_inputs>& layer, const Eigen::VectorXf& x,
            const Eigen::VectorXf& y) {
  layer(x, y);
}
