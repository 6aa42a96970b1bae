// expect: codes are read in place: from a row_matrix
#include "fewbit/gemm/few_bits/multiply.hpp"

using namespace fewbit;

void misuse(const Eigen::Matrix<std::int8_t, -1, -1>& a, const gemm::few_bit_weights<4>& w,
            row_matrix<std::int32_t>& c) {
  gemm::multiply(a, w, c);
}
