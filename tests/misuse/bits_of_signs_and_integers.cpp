// expect: sign_bits are multiplied by sign_bits, binary ones also by ternary_bits

#include "fewbit/gemm/packed_bits.hpp"

int main() {
  const fewbit::row_matrix<std::int8_t> w = fewbit::row_matrix<std::int8_t>::Ones(1, 1);
  return fewbit::gemm::pack_planes<fewbit::gemm::unsigned_bits<2>, fewbit::gemm::binary_bits>(w)
      .n();
}
