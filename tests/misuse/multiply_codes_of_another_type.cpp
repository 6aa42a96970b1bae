// expect: from a row_matrix of the type that weights are packed for
#include "fewbit/gemm/multiply.hpp"

using namespace fewbit;

void misuse(const row_matrix<std::uint8_t>& a, const gemm::int8_weights<std::int8_t>& w,
            row_matrix<std::int32_t>& c) {
  gemm::multiply(a, w, c);
}
