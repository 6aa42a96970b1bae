// expect: sign_bits are multiplied by sign_bits, binary ones also by ternary_bits
#include "fewbit/gemm/bit_planes/weights.hpp"

using namespace fewbit;

void misuse(const row_matrix<std::int8_t>& w) {
  (void)gemm::pack_planes<gemm::unsigned_bits<2>, gemm::binary_bits>(w);
}
