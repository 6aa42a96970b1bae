// expect: a product is written in place: to a row_matrix
#include "fewbit/gemm/bit_planes/multiply.hpp"

using namespace fewbit;

void misuse(const row_matrix<std::int8_t>& a,
            const gemm::plane_weights<gemm::binary_bits, gemm::binary_bits>& w, Eigen::MatrixXi& c,
            workspace& scratch) {
  gemm::multiply(a, w, c, gemm::raw{}, scratch);
}
