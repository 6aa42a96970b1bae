// expect: conver
#include "fewbit/quant/quantize.hpp"

using namespace fewbit;

quantized_matrix<int4_grouped<32>> wanted(const quantized_matrix<int8_per_row>& given) {
  return given;
}

int main() { return 0; }
