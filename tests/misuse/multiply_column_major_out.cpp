// expect: a product is written in place: to a row_matrix
#include "fewbit/gemm/multiply.hpp"

using namespace fewbit;

void misuse(const row_matrix<std::int8_t>& a, const gemm::int8_weights<std::int8_t>& w,
            Eigen::MatrixXi& c) {
  gemm::multiply(a, w, c);
}
