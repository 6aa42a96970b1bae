// expect: codes are read in place: from a row_matrix
#include "fewbit/gemm/multiply.hpp"

using namespace fewbit;

void misuse(const row_matrix<std::int8_t>& a, const gemm::int8_weights<std::int8_t>& w,
            row_matrix<std::int32_t>& c) {
  gemm::multiply(a + a, w, c);
}
