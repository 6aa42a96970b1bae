// expect: no matching function for call to
#include "fewbit/quant/quantize.hpp"

using namespace fewbit;

int main() {
  const quant_params params[1] = {};
  return quantize<ternary_per_row>(row_matrix<float>::Ones(1, 1), params).code(0, 0);
}
