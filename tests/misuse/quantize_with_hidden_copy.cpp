// expect: no matching function for call to
#include "fewbit/quant/modes.hpp"

using namespace fewbit;

int main() {
  const Eigen::MatrixXf column_major = Eigen::MatrixXf::Ones(2, 2);
  row_matrix<std::int8_t> codes(2, 2);
  quantize_with<onnx, std::int8_t>(column_major, codes, {});
}
